"""A mask that was just written as a TIFF, as a collection: chunk by chunk, each read once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qpmask.collection.adding import BlockWriter
from qpmask.collection.arrays import THREADS
from qpmask.collection.collection import MaskCollection
from qpmask.collection.grid import Position, first_grid
from qpmask.mask import Mask, open_mask
from qpmask.ometiff.labelcount import count_labels
from qpmask.ometiff.omexml import ClassRow
from qpmask.ometiff.threads import in_threads

INSTANCES = "objects"
"""Name of the only mask of an instance mask: its labels are the objects."""


def collect_tiff(
    tiff: Path,
    out: Path,
    classes: Sequence[ClassRow],
    *,
    name: str,
    extra: Mapping[str, Any],
    on_chunk: Callable[[], None] = lambda: None,
) -> None:
    """Write the classes of a TIFF as masks of a collection.

    Parameters
    ----------
    tiff : Path
        The mask: a plane a class, or one plane.
    out : Path
        The collection; none may be there.
    classes : sequence of ClassRow
        Of one plane, its labels; else a row a plane, in order. None at all: the labels are objects,
        and become one mask of integers.
    name : str
        For viewers.
    extra : mapping
        Kept with it.
    on_chunk : callable, optional
        Called after each chunk; what it raises ends the work.
    """
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(open_mask(tiff))
        masks = stack.enter_context(
            MaskCollection(
                out,
                "w",
                shape=first.shape,
                mpp=first.mpp,
                name=name,
                extra=extra,
                odd_names="keep",  # QuPath takes any name for a class
            )
        )
        positions = list(first_grid(first.shape).chunks_in(tuple(map(range, first.shape))))
        if not classes:
            with masks.writer(INSTANCES, dtype=str(first.dtype)) as writer:
                _write({None: writer}, first, positions, on_chunk)
        elif first.n_planes > 1:
            for number, row in enumerate(classes):
                plane = first.plane(number)
                with masks.writer(row.name, label=row.label, color=row.color) as writer:
                    _write({None: writer}, plane, positions, on_chunk)
        else:
            with contextlib.ExitStack() as all_written:
                writers: dict[int | None, BlockWriter] = {
                    row.label: all_written.enter_context(
                        masks.writer(row.name, label=row.label, color=row.color)
                    )
                    for row in classes
                    if row.label
                }
                if len(writers) == 1 and first.metadata is not None and not first.classes:
                    writers = {None: next(iter(writers.values()))}
                _write(writers, first, positions, on_chunk)


def _write(
    writers: Mapping[int | None, BlockWriter],
    mask: Mask,
    positions: Iterable[Position],
    on_chunk: Callable[[], None],
) -> None:
    grid = first_grid(mask.shape)

    def bring(at: Position) -> None:
        rows, cols = grid.box(at)
        pixels = np.asarray(mask[rows.start : rows.stop, cols.start : cols.stop])
        if None in writers:
            writers[None].write_chunk(at, pixels)
            return
        for label in count_labels(pixels, tuple(label for label in writers if label)):
            if label in writers:
                writers[label].write_chunk(at, pixels == label)

    for _ in in_threads(bring, positions, THREADS):
        on_chunk()
