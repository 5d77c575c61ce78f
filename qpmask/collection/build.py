"""A collection from what was before and what was added: arrays chosen, each shard written once.

Arrays that nothing touches are copied as they are. All others are made shard by shard, chunk by
chunk; a chunk of a single mask goes over without being encoded again. Smaller levels are picked
while level 0 goes by, so each chunk is decoded once.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from qpmask.collection import metadata
from qpmask.collection.adding import stored_type
from qpmask.collection.arrays import THREADS, Layer
from qpmask.collection.codecs import ChunkCodec, of_many, of_own, pack_shard
from qpmask.collection.container import ROOT
from qpmask.collection.grid import STEP, Grid, Position, pyramid
from qpmask.collection.layers import Source, share
from qpmask.collection.metadata import About, MaskRow
from qpmask.collection.output import Output
from qpmask.collection.spool import Spool, SpooledMask
from qpmask.ometiff.threads import in_threads

Flat = Literal["auto", "full", "overview"]


@dataclass(frozen=True, eq=False)
class Added:
    """A mask of the spool."""

    spool: Spool
    mask: SpooledMask
    grid: Grid

    is_layer = False

    @property
    def can_share(self) -> bool:
        """Whether other masks may stand in the same array."""
        return self.mask.dtype == "bool"

    @property
    def n_pixels(self) -> int:
        """Pixels that are not 0."""
        return self.mask.n_pixels

    def positions(self) -> set[Position]:
        """Chunks that hold anything."""
        return set(self.mask.chunks)

    def chunk(self, at: Position) -> NDArray[Any] | None:
        """Labels of a chunk."""
        held = self.mask.chunks.get(at)
        if held is None:
            return None
        dtype = stored_type(self.mask.dtype, self.mask.label)
        return self.mask.codec.decode(self.spool.blob(held), self.grid.chunk, dtype)

    def blob(self, at: Position, codec: ChunkCodec, dtype: np.dtype[Any]) -> bytes | None:
        """The chunk as it is in the spool."""
        held = self.mask.chunks.get(at)
        if held is None or codec != self.mask.codec:
            return None
        if dtype != stored_type(self.mask.dtype, self.mask.label):
            return None
        return self.spool.blob(held)


@dataclass(frozen=True, eq=False)
class Kept:
    """An array of before, without what was deleted from it."""

    layer: Layer
    rows: tuple[MaskRow, ...]
    gone: tuple[int, ...]  # labels

    is_layer = True

    @property
    def can_share(self) -> bool:
        """Whether other masks may stand in the same array."""
        return all(row.dtype == "bool" for row in self.rows)

    @property
    def n_pixels(self) -> int:
        """Pixels that are not 0."""
        return sum(row.n_pixels for row in self.rows)

    def positions(self) -> set[Position]:
        """Chunks that may hold anything."""
        return set(self.layer.present(0))

    def chunk(self, at: Position) -> NDArray[Any] | None:
        """Labels of a chunk."""
        pixels = self.layer.chunk(0, at)
        if pixels is None or not self.gone:
            return pixels
        return np.where(np.isin(pixels, self.gone), pixels.dtype.type(0), pixels)

    def blob(self, at: Position, codec: ChunkCodec, dtype: np.dtype[Any]) -> bytes | None:
        """The chunk as it was stored."""
        info = self.layer.arrays[0]
        same = info.codec.kind == codec.kind and info.codec.has_crc and info.dtype == dtype
        return self.layer.blob(0, at) if same and not self.gone else None


@dataclass(frozen=True, eq=False)
class _Planned:
    """An array to be written."""

    path: str
    sources: tuple[Source, ...]
    rows: tuple[MaskRow, ...]
    dtype: np.dtype[Any]
    codec: ChunkCodec

    @property
    def copied(self) -> Layer | None:
        """The array of before, where it goes over as it is."""
        (first, *more) = self.sources
        if isinstance(first, Kept) and not more and not first.gone:
            return first.layer
        return None


def build(
    out: Output, about: About, sources: Sequence[Source], order: Sequence[str], flat: Flat
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
    """
    grids = pyramid(about.shape)
    planned = _plan(about, sources)
    rank = {name: number for number, name in enumerate(order)}
    everything = sorted((row for p in planned for row in p.rows), key=lambda row: rank[row.name])
    is_root = len(planned) == 1 and planned[0].path == ""
    # A small plane costs nothing in full.
    is_small = flat == "auto" and len(about.shape) == 2 and len(grids) == 1
    first = 1 if is_root or is_small or flat == "full" else STEP[len(about.shape)]
    root_grids = pyramid(about.shape, len(grids), first)
    root_type = stored_type("bool", max((row.label for row in everything), default=1))
    if is_root and planned[0].copied is not None:
        root_type = planned[0].copied.dtype
    root_codec = planned[0].codec if is_root else of_many(len(about.shape))

    _documents(out, about, planned, root_grids, grids, (root_type, root_codec), everything)
    flattened = _Flattened(grids[0], root_grids, root_type, everything)
    for one in planned:
        path = f"{one.path}/" if one.path else ""
        if one.copied is not None:
            _copy(out, one.copied, path)
            if not is_root:
                flattened.add_layer(one.copied, one.rows)
        else:
            _write(out, one, path, grids, None if is_root else flattened)
    if not is_root:
        flattened.write(out, root_codec)


def _plan(about: About, sources: Sequence[Source]) -> list[_Planned]:
    n_axes = len(about.shape)
    groups = share(sources)
    planned = []
    for group in groups:
        members = tuple(sources[i] for i in group)
        rows: list[MaskRow] = []
        for source in members:
            if isinstance(source, Kept):
                rows += [replace(row, layer="") for row in source.rows]
            else:
                assert isinstance(source, Added)
                mask = source.mask
                rows.append(
                    MaskRow(
                        mask.name, mask.label, mask.dtype, "", mask.n_pixels, mask.box(n_axes),
                        mask.color, mask.group,
                    )
                )  # fmt: skip
        if not rows:
            continue
        first = members[0]
        label = max(row.label for row in rows)
        dtype = stored_type(rows[0].dtype, label)
        codec = of_own(n_axes) if len(rows) == 1 and rows[0].dtype == "bool" else of_many(n_axes)
        if isinstance(first, Kept):
            dtype = np.promote_types(dtype, first.layer.dtype) if rows[0].dtype == "bool" else dtype
            if len(members) == 1 and not first.gone:
                codec, dtype = first.layer.arrays[0].codec, first.layer.dtype
        planned.append(_Planned("", members, tuple(rows), dtype, codec))
    if len(planned) == 1 and planned[0].rows[0].dtype == "bool":
        return planned
    names = metadata.paths_of(p.rows[0].name if len(p.rows) == 1 else "" for p in planned)
    return [
        replace(p, path=path, rows=tuple(replace(row, layer=path) for row in p.rows))
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
    out: Output, planned: _Planned, path: str, grids: Sequence[Grid], flattened: _Flattened | None
) -> None:
    """All levels of an array of which anything is new."""
    at = {id(source): source.positions() for source in planned.sources}
    smaller = _picked_from(grids, 0, planned.dtype)

    def make(position: Position) -> _Chunk:
        parts = [s for s in planned.sources if position in at[id(s)]]
        if not parts:
            return None, None
        blob = parts[0].blob(position, planned.codec, planned.dtype) if len(parts) == 1 else None
        if blob is not None and smaller is None and flattened is None:
            return blob, None
        pixels = _merged(parts, position, planned.dtype)
        if pixels is None:
            return None, None
        if flattened is not None:
            flattened.take(position, pixels, planned.rows)
        small = None if smaller is None else smaller.pick(pixels)
        return blob or planned.codec.encode(pixels), small

    _shards(out, f"{path}0", grids[0], make, smaller)
    _smaller_levels(out, path, grids, smaller, planned.codec)


def _smaller_levels(
    out: Output, path: str, grids: Sequence[Grid], picked: _Picked | None, codec: ChunkCodec
) -> None:
    """Level 1 and on, each from what was picked of the one before."""
    for level, grid in enumerate(grids[1:], 1):
        assert picked is not None
        following = _picked_from(grids, level, picked.dtype)

        def make(
            at: Position, picked: _Picked = picked, following: _Picked | None = following
        ) -> _Chunk:
            pixels = picked.pop(at)
            if pixels is None:
                return None, None
            return codec.encode(pixels), None if following is None else following.pick(pixels)

        _shards(out, f"{path}{level}", grid, make, following)
        picked = following


#: A chunk as it is stored, and what was picked of it for the next level.
_Chunk = tuple[bytes | None, bytes | None]


def _shards(
    out: Output,
    path: str,
    grid: Grid,
    make: Callable[[Position], _Chunk],
    following: _Picked | None,
) -> None:
    """Make all chunks of a level on a few threads, and write a shard once all of its are there."""

    def chunk(at: Position | None) -> _Chunk:
        return (None, None) if at is None else make(at)

    for shard in grid.shards():
        blobs: list[bytes | None] = []
        positions = list(grid.chunks_of(shard))
        for at, (blob, small) in zip(positions, in_threads(chunk, positions, THREADS), strict=True):
            blobs.append(blob)
            if following is not None and small is not None and at is not None:
                following.keep(at, small)
        if any(blob is not None for blob in blobs):
            out.add(f"{path}/c/{'/'.join(map(str, shard))}", pack_shard(blobs))


def _merged(parts: Sequence[Source], at: Position, dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """Labels of a chunk from sources that do not overlap; None if there are none."""
    whole: NDArray[Any] | None = None
    for source in parts:
        pixels = source.chunk(at)
        if pixels is None:
            continue
        if whole is None:
            whole = pixels.astype(dtype, copy=len(parts) > 1)
        else:
            np.maximum(whole, pixels, out=whole, casting="unsafe")
    return whole if whole is not None and whole.any() else None


class _Picked:
    """Every n-th pixel of the chunks of a level, packed, until another level is made of them."""

    def __init__(self, source: Grid, target: Grid, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self._target = target
        self._step = target.scale // source.scale
        self._side = tuple(-(-c // self._step) for c in source.chunk)
        self._kept: dict[Position, dict[Position, bytes]] = {}

    def pick(self, pixels: NDArray[Any]) -> bytes | None:
        """Every n-th pixel of a chunk; None if all is background."""
        small = np.ascontiguousarray(pixels[(slice(None, None, self._step),) * pixels.ndim])
        return bytes(imagecodecs.zstd_encode(small.tobytes(), 1)) if small.any() else None

    def keep(self, at: Position, small: bytes) -> None:
        """Keep what was picked of a chunk."""
        self._kept.setdefault(self._into(at), {})[at] = small

    def peek(self, at: Position) -> NDArray[Any] | None:
        """What is kept of a chunk."""
        small = self._kept.get(self._into(at), {}).get(at)
        return None if small is None else self._unpacked(small)

    def pop(self, at: Position) -> NDArray[Any] | None:
        """A chunk of the level that is made. It is forgotten then."""
        parts = self._kept.pop(at, None)
        if not parts:
            return None
        full = np.zeros(self._target.chunk, self.dtype)
        for source, small in parts.items():
            start = [
                a * n - i * c for a, n, i, c in zip(source, self._side, at, full.shape, strict=True)
            ]
            # The last chunk of a level may be padded by more than the next level has room for.
            room = [min(n, c - s) for s, n, c in zip(start, self._side, full.shape, strict=True)]
            target = tuple(slice(s, s + r) for s, r in zip(start, room, strict=True))
            full[target] = self._unpacked(small)[tuple(slice(0, r) for r in room)]
        return full

    def _into(self, at: Position) -> Position:
        return tuple(a * n // c for a, n, c in zip(at, self._side, self._target.chunk, strict=True))

    def _unpacked(self, small: bytes) -> NDArray[Any]:
        n_bytes = int(np.prod(self._side)) * self.dtype.itemsize
        raw = imagecodecs.zstd_decode(small, out=n_bytes)
        return np.frombuffer(raw, self.dtype).reshape(self._side)


def _picked_from(grids: Sequence[Grid], level: int, dtype: np.dtype[Any]) -> _Picked | None:
    """What the level after `level` is made of; None where there is none."""
    return _Picked(grids[level], grids[level + 1], dtype) if level + 1 < len(grids) else None


class _Flattened:
    """The root where masks overlap: what lies on top, picked while the arrays go by."""

    def __init__(
        self, base: Grid, grids: Sequence[Grid], dtype: np.dtype[Any], rows: Sequence[MaskRow]
    ) -> None:
        self._base, self._grids = base, grids
        self._step = grids[0].scale
        self._picked = _Picked(base, grids[0], dtype)
        rank = np.zeros(max((row.label for row in rows), default=0) + 1, np.uint32)
        rank[[row.label for row in rows]] = np.arange(1, len(rows) + 1)
        self._rank = rank

    def take(self, at: Position, pixels: NDArray[Any], rows: Sequence[MaskRow]) -> None:
        """A chunk of level 0 of an array; one after the other for each place."""
        self._lay(at, pixels[(slice(None, None, self._step),) * pixels.ndim], rows)

    def add_layer(self, layer: Layer, rows: Sequence[MaskRow]) -> None:
        """An array of before, from its level of the same scale."""
        scales = [grid.scale for grid in layer.grids]
        if self._step not in scales:
            for at in layer.present(0):
                pixels = layer.chunk(0, at)
                if pixels is not None:
                    self.take(at, pixels, rows)
            return
        level = scales.index(self._step)
        side = tuple(-(-c // self._step) for c in self._base.chunk)
        for at in layer.present(level):
            pixels = layer.chunk(level, at)
            assert pixels is not None
            start = [a * c for a, c in zip(at, layer.grids[level].chunk, strict=True)]
            counts = [-(-c // n) for c, n in zip(layer.grids[level].chunk, side, strict=True)]
            for inside in itertools.product(*map(range, counts)):
                part = np.zeros(side, pixels.dtype)
                piece = pixels[
                    tuple(slice(i * n, (i + 1) * n) for i, n in zip(inside, side, strict=True))
                ]
                part[tuple(slice(0, n) for n in piece.shape)] = piece
                place = tuple(s // n + i for s, n, i in zip(start, side, inside, strict=True))
                self._lay(place, part, rows)

    def write(self, out: Output, codec: ChunkCodec) -> None:
        """The root's levels."""
        following = _picked_from(self._grids, 0, self._picked.dtype)

        def make(at: Position) -> _Chunk:
            pixels = self._picked.pop(at)
            if pixels is None:
                return None, None
            return codec.encode(pixels), None if following is None else following.pick(pixels)

        _shards(out, "0", self._grids[0], make, following)
        _smaller_levels(out, "", self._grids, following, codec)

    def _lay(self, at: Position, small: NDArray[Any], rows: Sequence[MaskRow]) -> None:
        if rows[0].dtype != "bool":
            small = (small != 0) * self._picked.dtype.type(rows[0].label)
        if not small.any():
            return
        below = self._picked.peek(at)
        if below is not None:
            small = np.where(self._rank[small] > self._rank[below], small, below)
        packed = np.ascontiguousarray(small, self._picked.dtype).tobytes()
        self._picked.keep(at, bytes(imagecodecs.zstd_encode(packed, 1)))
