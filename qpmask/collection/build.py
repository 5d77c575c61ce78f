"""A collection from what was before and what was added: arrays chosen, each shard written once.

Arrays that nothing touches are copied as they are. All others are made shard by shard, chunk by
chunk, on a few threads. Smaller levels are picked while level 0 goes by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from qpmask.collection import chunkbits, metadata
from qpmask.collection.arrays import THREADS, Layer
from qpmask.collection.chunkbits import Bits
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
from qpmask.collection.picked import Picked, every, packed, picked_from
from qpmask.collection.records import About, MaskRow, only_value
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
            painter = _Painter(one.sources, one.rows, one.dtype, one.codec, only=one.only)
            _write(out, path, painter, grids, grids)
    if not is_root:
        below = list(sources)
        if before is not None:
            below = [s for s in sources if isinstance(s, Added)]
            below.append(Kept(before, (everything[0]._replace(dtype="bool"),), ()))
        flattened = _Painter(below, everything, root_type, root_codec, is_flat=True)
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


class _Painter:
    """Chunks of an array, put together from sources: masks that do not overlap, or all, flattened.

    Parameters
    ----------
    sources : sequence of Source
        Where pixels come from.
    rows : sequence of MaskRow
        The masks; of a flattened array, those that lie on top last.
    dtype, codec
        Of the array.
    is_flat : bool
        Whether it is all masks, flattened.
    only : int, optional
        What the only mask is in it, of an array of a single one that is true or false.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        rows: Sequence[MaskRow],
        dtype: np.dtype[Any],
        codec: ChunkCodec,
        is_flat: bool = False,
        only: int | None = None,
    ) -> None:
        self.dtype, self.codec = dtype, codec
        self._only = only
        self._is_flat = is_flat
        self._rank = np.zeros(max((row.label for row in rows), default=0) + 1, np.uint32)
        self._rank[[row.label for row in rows]] = np.arange(1, len(rows) + 1)
        self._kept = [s for s in sources if isinstance(s, Kept)]
        self._added = [s for s in sources if isinstance(s, Added)]
        self._added.sort(key=lambda source: int(self._rank[source.mask.label]))
        self._at = {id(s): s.positions() for s in sources}
        self._is_integers = not is_flat and bool(rows) and rows[0].dtype != "bool"

    def chunk(self, at: Position, grid: Grid, step: int | None) -> _Chunk:
        """A chunk of level 0 as it is stored, and every n-th pixel of it."""
        kept = [s for s in self._kept if at in self._at[id(s)]]
        added = [s for s in self._added if at in self._at[id(s)]]
        if not kept and not added:
            return None, None
        if self._is_integers and added:
            if step is None:
                return added[0].blob(at), None
            labels = added[0].pixels(at)
            assert labels is not None
            return added[0].blob(at), every(labels, step)
        if self._only is not None and not kept:
            small = None if step is None else added[0].picked(at)
            small_labels = None if small is None else packed(small * self.dtype.type(self._only))
            if self._only == 1 and added[0].mask.codec == self.codec and self.dtype == np.uint8:
                return added[0].blob(at), small_labels
            bits = added[0].bits(at)
            assert bits is not None
            return self._encoded(bits, grid.chunk), small_labels
        if len(kept) == 1 and not added and not kept[0].gone:
            same = self._same(kept[0], at)
            if same is not None:
                whole = kept[0].layer.chunk(0, at) if step is not None else None
                return same, None if whole is None else every(whole, step)
        labels = np.zeros(grid.chunk, self.dtype)
        for before in kept:
            self._lay(labels, before, at)
        for source in added:
            bits = source.bits(at)
            if bits is not None:
                chunkbits.paint(labels, bits, source.mask.label)
        if not labels.any():
            return None, None
        return self.encode(labels), every(labels, step)

    def picked(self, at: Position, grid: Grid, step: int) -> bytes | None:
        """Every n-th pixel of a chunk of level 0, packed."""
        each = (slice(None, None, step),) * len(grid.shape)
        small = np.zeros(tuple(-(-n // step) for n in grid.chunk), self.dtype)
        for source in self._kept:
            if at in self._at[id(source)]:
                self._lay(small, source, at, each)
        for added in self._added:
            where = added.picked(at)
            if where is not None:
                small[where] = added.mask.label
        return packed(small)

    def encode(self, labels: NDArray[Any]) -> bytes:
        """A chunk of any level."""
        if self._only is not None:
            return self._encoded(chunkbits.pack(labels != 0, labels.shape), labels.shape)
        return self.codec.encode(labels)

    def _encoded(self, bits: Bits, chunk: tuple[int, ...]) -> bytes:
        label = self._only
        assert label is not None
        return self.codec.encode_mask(
            bits, label, self.dtype, lambda: chunkbits.unpack(bits, chunk) * self.dtype.type(label)
        )

    def _same(self, source: Kept, at: Position) -> bytes | None:
        """A chunk of an array of before that can stay as it is."""
        if self._is_flat and source.rows[0].dtype != "bool":
            return None
        if source.layer.only not in (None, self._only or source.rows[0].label):
            return None
        info = source.layer.arrays[0]
        if (info.dtype, info.codec.kind, info.codec.has_crc) != (self.dtype, self.codec.kind, True):
            return None
        return source.layer.blob(0, at)

    def _lay(
        self, below: NDArray[Any], source: Kept, at: Position, each: tuple[slice, ...] = ()
    ) -> None:
        """Lay an array of before, or some pixels of it, upon what is there and lies lower."""
        labels = source.labels(at)
        if labels is None:
            return
        labels = labels[each]
        if self._is_flat and source.rows[0].dtype != "bool":
            labels = (labels != 0) * self.dtype.type(source.rows[0].label)
        if self._is_flat:
            higher = self._rank[labels] > self._rank[below]
            np.copyto(below, labels, where=higher, casting="unsafe")
        else:
            np.copyto(below, labels, where=labels != 0, casting="unsafe")


def _write(
    out: Output, path: str, painter: _Painter, base: Sequence[Grid], grids: Sequence[Grid]
) -> None:
    """All levels of an array of which anything is new.

    Parameters
    ----------
    out : Output
        Where to.
    path : str
        Of the array's group, with a slash at its end.
    painter : _Painter
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
    painter: _Painter,
) -> None:
    """A level and those after it, each from what was picked of the one before."""
    for level in range(first, len(grids)):
        assert picked is not None
        following = picked_from(grids, level, painter.dtype)

        def make(
            at: Position, picked: Picked = picked, following: Picked | None = following
        ) -> _Chunk:
            pixels = picked.pop(at)
            if pixels is None:
                return None, None
            return painter.encode(pixels), every(pixels, following.step if following else None)

        _shards(out, f"{path}{level}", grids[level], make, following)
        picked = following


#: A chunk as it is stored, and what was picked of it for the next level, packed.
_Chunk = tuple[bytes | None, bytes | None]


def _shards(
    out: Output,
    path: str,
    grid: Grid,
    make: Callable[[Position], _Chunk],
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
