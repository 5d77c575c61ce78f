"""A collection read back: every entry and chunk of every level, against what it says of itself."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.collection.arrays import Layer
from qpmask.collection.collection import MaskCollection
from qpmask.collection.container import ROOT
from qpmask.collection.grid import Grid, Position
from qpmask.collection.metadatareader import from_bytes, read_levels
from qpmask.collection.records import MaskRow
from qpmask.common.arguments import path_of
from qpmask.errors import QpmaskError

_MOST = 20


@dataclass(frozen=True)
class CollectionReport:
    """What a check found.

    Parameters
    ----------
    path : Path
        The collection.
    problems : tuple of str
        What is wrong, a sentence each; empty if nothing is.
    n_chunks : int
        Chunks that were read.
    file_bytes : int
        Length of the file, or of all files of the folder.
    """

    path: Path
    problems: tuple[str, ...]
    n_chunks: int = 0
    file_bytes: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def check_collection(path: Path | str) -> CollectionReport:
    """Read a collection back.

    Checks the checksum of every entry and chunk; the labels, pixels and bounding box of each mask;
    the smaller levels against level 0; and the root against the masks.
    """
    path = path_of(path, "path")
    try:
        with MaskCollection(path, cache_bytes=0) as masks:
            check = _Check(masks)
            problems = []
            for problem in check.problems():
                problems.append(problem)
                if len(problems) == _MOST:
                    problems.append("and perhaps more")
                    break
            return CollectionReport(path, tuple(problems), check.n_chunks, _n_bytes(path))
    except QpmaskError as error:
        return CollectionReport(path, (str(error),), 0, _n_bytes(path) if path.exists() else 0)


class _Check:
    def __init__(self, masks: MaskCollection) -> None:
        self._masks = masks
        self.n_chunks = 0

    def problems(self) -> Iterator[str]:
        container = self._masks.container
        named = {row.layer: repr(row.name) for row in self._masks.rows()}
        for name in container.names():
            if not container.is_sound(name):
                of = name.rsplit("/c/")[0].rpartition("/")[0]
                yield f"the entry {name!r} has another checksum than its bytes" + (
                    f" (of the mask {named[of]})" if of in named else ""
                )
        for path, rows in self._masks.by_layer().items():
            try:
                yield from self._layer(path, rows)
            except QpmaskError as error:
                yield f"{_names(rows)}: {error.message}"
        if "" not in self._masks.by_layer():
            try:
                yield from self._root()
            except QpmaskError as error:
                yield error.message

    def _layer(self, path: str, rows: Sequence[MaskRow]) -> Iterator[str]:
        """One array and the masks in it."""
        layer = self._masks.layer(path)
        yield from self._levels(path, rows, len(layer.grids))
        counts: dict[int, int] = {}
        low: dict[int, list[int]] = {}
        high: dict[int, list[int]] = {}
        picked = [0] * len(layer.grids)
        for at in layer.present(0):
            pixels = layer.chunk(0, at)
            self.n_chunks += 1
            if pixels is None:
                continue
            grid = layer.grids[0]
            start = [a * c for a, c in zip(at, grid.chunk, strict=True)]
            inside = pixels[tuple(slice(0, len(r)) for r in grid.box(at))]
            for label, box, n in _labels(inside, is_one=rows[0].dtype != "bool"):
                counts[label] = counts.get(label, 0) + n
                first = [s + b[0] for s, b in zip(start, box, strict=True)]
                end = [s + b[1] for s, b in zip(start, box, strict=True)]
                low[label] = list(map(min, low.get(label, first), first))
                high[label] = list(map(max, high.get(label, end), end))
            for level in range(1, len(layer.grids)):
                picked[level] += yield from _against_level(layer, level, at, inside, _names(rows))
        for row in rows:
            label = (layer.only or row.label) if row.dtype == "bool" else 1
            n = counts.pop(label, 0)
            if n != row.n_pixels:
                yield f"the mask {row.name!r} has {n:,} pixels, and should have {row.n_pixels:,}"
            elif n and tuple(zip(low[label], high[label], strict=True)) != row.box:
                yield f"the mask {row.name!r} has another bounding box than it says"
        if counts:
            yield f"the array of {_names(rows)} has labels of no mask: {sorted(counts)[:5]}"
        for level in range(1, len(layer.grids)):
            n = 0
            for at in layer.present(level):
                self.n_chunks += 1
                pixels = layer.chunk(level, at)
                n += 0 if pixels is None else int(np.count_nonzero(pixels))
            if n != picked[level]:
                yield f"level {level} of {_names(rows)} has pixels that level 0 has not"

    def _levels(self, path: str, rows: Sequence[MaskRow], n_levels: int) -> Iterator[str]:
        """What an image tells other programs of its levels; here they are known."""
        name = f"{path}/{ROOT}".lstrip("/")
        container = self._masks.container
        if container.n_bytes(name) is None:
            yield f"{name} is missing (of {_names(rows)})"
            return
        document = from_bytes(container.document(name), name)
        if read_levels(document, name) != [str(level) for level in range(n_levels)]:
            yield f"{name} names other levels than there are (of {_names(rows)})"

    def _root(self) -> Iterator[str]:
        """The root, which is picked from the masks."""
        root = self._masks.root_layer()
        flat = self._masks.flat_pixels(from_masks=True)
        for level, grid in enumerate(root.grids):
            for at in _all_chunks(grid):
                box = grid.box(at)
                wanted = flat.read(0, tuple(
                    range(r.start * grid.scale, min(n, (r.stop - 1) * grid.scale + 1), grid.scale)
                    for r, n in zip(box, self._masks.shape, strict=True)
                ))  # fmt: skip
                found = root.chunk(level, at)
                self.n_chunks += 1
                inside = 0 if found is None else found[tuple(slice(0, len(r)) for r in box)]
                if not np.array_equal(np.broadcast_to(inside, wanted.shape), wanted):
                    yield f"the flattened mask does not show the masks (level {level}, chunk {at})"
                    return


def _against_level(
    layer: Layer, level: int, at: Position, pixels: NDArray[Any], names: str
) -> Generator[str, None, int]:
    """Compare what a smaller level has of a chunk of level 0; how many pixels that are."""
    grid, scale = layer.grids[0], layer.grids[level].scale
    starts = [a * c for a, c in zip(at, grid.chunk, strict=True)]
    firsts = [-s % scale for s in starts]
    part = pixels[tuple(slice(f, None, scale) for f in firsts)]
    where = tuple(
        range((s + f) // scale, (s + f) // scale + n)
        for s, f, n in zip(starts, firsts, part.shape, strict=True)
    )
    found = np.zeros(part.shape, layer.dtype)
    layer.read(level, where, found, np.copyto)
    if not np.array_equal(found, part):
        yield f"level {level} of {names} is not picked from level 0 (chunk {at})"
    return int(np.count_nonzero(part))


def _labels(
    pixels: NDArray[Any], *, is_one: bool
) -> Iterator[tuple[int, list[tuple[int, int]], int]]:
    """Each label of a chunk, its bounding box, its pixels; of integers all that is not 0 as 1."""
    labels = [1] if is_one else [int(n) for n in np.unique(pixels) if n]
    for label in labels:
        found = pixels != 0 if is_one else pixels == label
        n = int(np.count_nonzero(found))
        if not n:
            continue
        box = []
        for axis in range(pixels.ndim):
            others = tuple(a for a in range(pixels.ndim) if a != axis)
            at = np.flatnonzero(found.any(axis=others))
            box.append((int(at[0]), int(at[-1]) + 1))
        yield label, box, n


def _all_chunks(grid: Grid) -> Iterator[Position]:
    return grid.chunks_in(tuple(map(range, grid.shape)))


def _names(rows: Sequence[MaskRow]) -> str:
    names = ", ".join(repr(row.name) for row in rows[:3])
    return names + (f" and {len(rows) - 3} more" if len(rows) > 3 else "")


def _n_bytes(path: Path) -> int:
    if path.is_dir():
        return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
    return path.stat().st_size
