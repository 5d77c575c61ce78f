"""A collection from what was before and what was added: arrays chosen, each shard written once.

Arrays that nothing touches are copied as they are. All others are made shard by shard, chunk by
chunk, on a few threads. Smaller levels are picked while level 0 goes by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from qpmask.collection import metadata
from qpmask.collection.arrays import THREADS, Layer
from qpmask.collection.chunkpainter import Chunk, ChunkPainter
from qpmask.collection.codecs import (
    ChunkCodec,
    of_integers,
    of_many,
    of_one,
    of_picture,
    pack_shard,
)
from qpmask.collection.container import ROOT
from qpmask.collection.grid import STEP, Grid, Position, pyramid
from qpmask.collection.layers import share
from qpmask.collection.output import Output
from qpmask.collection.records import About, MaskRow, only_value
from qpmask.collection.smallerlevels import Picked, every, picked_from
from qpmask.collection.sources import Added, Kept, Source, stored_type
from qpmask.ometiff.threads import in_threads

Flat = Literal["auto", "full", "overview"]


@dataclass(frozen=True, eq=False)
class _Planned:
    """An array to be written."""

    path: str
    sources: tuple[Source, ...]
    rows: tuple[MaskRow, ...]
    dtype: np.dtype[Any]
    codec: ChunkCodec

    @property
    def only(self) -> int | None:
        """What a true-or-false mask is in an array of its own; None of several, and of integers."""
        return only_value(self.path, self.rows)

    @property
    def copied(self) -> Layer | None:
        """The array of before, where it goes over as it is."""
        (first, *more) = self.sources
        if isinstance(first, Kept) and not more and not first.gone:
            return first.layer if first.layer.only == self.only else None
        return None


def build(
    out: Output,
    about: About,
    sources: Sequence[Source],
    order: Sequence[str],
    flat: Flat,
    before: Layer | None = None,
) -> None:
    """Write a collection.

    Parameters
    ----------
    out : Output
        Where to.
    about : About
        What it is.
    sources : sequence of Added or Kept
        What it holds.
    order : sequence of str
        Names of all masks, those that lie on top last.
    flat : str
        What the root is where masks overlap: a "full" flattened mask, or an "overview" of it at a
        coarser scale; "auto" is an overview, but of small planes. Masks that do not overlap are the
        root themselves.
    before : Layer, optional
        The full flattened mask of all that is kept, if there is one.
    """
    n_axes = len(about.shape)
    grids = pyramid(about.shape)
    planned = _plan(about, sources)
    rank = {name: number for number, name in enumerate(order)}
    everything = sorted((row for p in planned for row in p.rows), key=lambda row: rank[row.name])
    is_root = len(planned) == 1 and planned[0].path == ""
    is_small = flat == "auto" and n_axes == 2 and len(grids) == 1  # which costs nothing in full
    is_full = is_root or is_small or flat == "full"
    root_grids = pyramid(about.shape, len(grids), 1 if is_full else STEP[n_axes])
    root_type = stored_type("bool", max((row.label for row in everything), default=1))
    if is_root and planned[0].copied is not None:
        root_type = planned[0].copied.dtype
    root_codec = of_many(n_axes) if is_full else of_picture(n_axes)
    if is_root:
        root_codec = planned[0].codec

    _documents(out, about, planned, root_grids, grids, (root_type, root_codec), everything)
    for one in planned:
        path = f"{one.path}/" if one.path else ""
        if one.copied is not None:
            _copy(out, one.copied, path)
        else:
            painter = ChunkPainter(one.sources, one.rows, one.dtype, one.codec, only=one.only)
            _write(out, path, painter, grids, grids)
    if not is_root:
        below = list(sources)
        if before is not None:
            below = [s for s in sources if isinstance(s, Added)]
            below.append(Kept(before, (everything[0]._replace(dtype="bool"),), ()))
        flattened = ChunkPainter(below, everything, root_type, root_codec, is_flat=True)
        _write(out, "", flattened, grids, root_grids)


def _plan(about: About, sources: Sequence[Source]) -> list[_Planned]:
    n_axes = len(about.shape)
    groups = share(sources)
    planned = []
    for group in groups:
        members = tuple(sources[i] for i in group)
        rows: list[MaskRow] = []
        for source in members:
            if isinstance(source, Kept):
                rows += [row._replace(layer="") for row in source.rows]
            else:
                assert isinstance(source, Added)
                rows.append(source.mask.row(n_axes))
        if not rows:
            continue
        first = members[0]
        label = max(row.label for row in rows) if len(rows) > 1 or len(groups) == 1 else 1
        dtype = stored_type(rows[0].dtype, label)
        codec = of_many(n_axes) if len(rows) > 1 else of_one(n_axes)
        if rows[0].dtype != "bool":
            codec = of_integers(n_axes)
        if isinstance(first, Kept):
            dtype = np.promote_types(dtype, first.layer.dtype) if rows[0].dtype == "bool" else dtype
            if len(members) == 1 and not first.gone:
                codec, dtype = first.layer.arrays[0].codec, first.layer.dtype
        planned.append(_Planned("", members, tuple(rows), dtype, codec))
    if len(planned) == 1 and planned[0].rows[0].dtype == "bool":
        return planned
    names = metadata.paths_of(p.rows[0].name if len(p.rows) == 1 else "" for p in planned)
    return [
        replace(p, path=path, rows=tuple(row._replace(layer=path) for row in p.rows))
        for p, path in zip(planned, (f"labels/{name}" for name in names), strict=True)
    ]


def _documents(
    out: Output,
    about: About,
    planned: Sequence[_Planned],
    root_grids: Sequence[Grid],
    grids: Sequence[Grid],
    root: tuple[np.dtype[Any], ChunkCodec],
    everything: Sequence[MaskRow],
) -> None:
    """All ``zarr.json``, the root's first, level by level of the hierarchy."""
    below = [p for p in planned if p.path]
    documents = {ROOT: metadata.root_document(about, root_grids, everything)}
    kept = planned[0].copied if planned and not below else None
    for number, grid in enumerate(root_grids):
        documents[f"{number}/{ROOT}"] = (
            metadata.array_document(grid, *root, about.axes)
            if kept is None
            else kept.arrays[number].document
        )
    if below:
        paths = [p.path.removeprefix("labels/") for p in below]
        documents[f"labels/{ROOT}"] = metadata.labels_document(paths)
    for p in below:
        documents[f"{p.path}/{ROOT}"] = metadata.layer_document(about, grids, p.rows)
    for p in below:
        for number, grid in enumerate(grids):
            documents[f"{p.path}/{number}/{ROOT}"] = (
                metadata.array_document(grid, p.dtype, p.codec, about.axes)
                if p.copied is None
                else p.copied.arrays[number].document
            )
    for name in sorted(documents, key=lambda name: name.count("/")):
        out.add(name, metadata.to_bytes(documents[name]))


def _copy(out: Output, layer: Layer, path: str) -> None:
    """Shards of an array of before, as they are."""
    for number, info in enumerate(layer.arrays):
        for shard in info.grid.shards():
            data = layer.shard(number, shard)
            if data is not None:
                out.add(f"{path}{number}/c/{'/'.join(map(str, shard))}", data)


def _write(
    out: Output, path: str, painter: ChunkPainter, base: Sequence[Grid], grids: Sequence[Grid]
) -> None:
    """All levels of an array of which anything is new.

    Parameters
    ----------
    out : Output
        Where to.
    path : str
        Of the array's group, with a slash at its end.
    painter : ChunkPainter
        Makes chunks of level 0 of the collection.
    base : sequence of Grid
        The collection's levels.
    grids : sequence of Grid
        The array's: the same, or coarser ones.
    """
    if grids[0].scale == 1:
        picked = picked_from(grids, 0, painter.dtype)
        step = None if picked is None else picked.step
        _shards(out, f"{path}0", grids[0], lambda at: painter.chunk(at, base[0], step), picked)
        _smaller_levels(out, path, 1, grids, picked, painter)
        return
    picked = Picked(base[0], grids[0], painter.dtype)
    positions = list(base[0].chunks_in(tuple(map(range, base[0].shape))))
    made = in_threads(lambda at: painter.picked(at, base[0], grids[0].scale), positions, THREADS)
    for at, small in zip(positions, made, strict=True):
        if small is not None:
            picked.keep(at, small)
    _smaller_levels(out, path, 0, grids, picked, painter)


def _smaller_levels(
    out: Output,
    path: str,
    first: int,
    grids: Sequence[Grid],
    picked: Picked | None,
    painter: ChunkPainter,
) -> None:
    """A level and those after it, each from what was picked of the one before."""
    for level in range(first, len(grids)):
        assert picked is not None
        following = picked_from(grids, level, painter.dtype)

        def make(
            at: Position, picked: Picked = picked, following: Picked | None = following
        ) -> Chunk:
            pixels = picked.pop(at)
            if pixels is None:
                return None, None
            return painter.encode(pixels), every(pixels, following.step if following else None)

        _shards(out, f"{path}{level}", grids[level], make, following)
        picked = following


def _shards(
    out: Output,
    path: str,
    grid: Grid,
    make: Callable[[Position], Chunk],
    following: Picked | None,
) -> None:
    """Make all chunks of a level on a few threads, and write a shard once all of its are there."""
    made = in_threads(make, _all_chunks(grid), THREADS)
    for shard in grid.shards():
        blobs: list[bytes | None] = []
        for at in grid.chunks_of(shard):
            blob, small = (None, None) if at is None else next(made)
            blobs.append(blob)
            if following is not None and small is not None and at is not None:
                following.keep(at, small)
        if any(blob is not None for blob in blobs):
            out.add(f"{path}/c/{'/'.join(map(str, shard))}", pack_shard(blobs))


def _all_chunks(grid: Grid) -> Iterator[Position]:
    """All chunks, shard by shard."""
    for shard in grid.shards():
        for at in grid.chunks_of(shard):
            if at is not None:
                yield at
