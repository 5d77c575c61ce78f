"""Collections compared, mask by mask, or a collection's flattened mask with a TIFF."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.collection.flatmask import CollectionMask
from qpmask.errors import MaskError
from qpmask.mask import Mask
from qpmask.ometiff.maskcompare import Comparison
from qpmask.ometiff.omexml import MaskMetadata

_BLOCK_PX = 1024
_SLICES = 64


@dataclass(frozen=True, eq=False)
class Plane:
    """Two masks that are compared pixel by pixel, and what they are called."""

    name: str | None
    first: Mask
    second: Mask


def planes_of(first: Mask, second: Mask) -> tuple[Plane, ...]:
    """What is compared with what.

    Masks of one name with each other, if both are collections; else what is flattened.

    Raises
    ------
    MaskError
        They have different sizes, or no mask in common.
    """
    if first.shape != second.shape:
        raise MaskError(
            f"The masks cannot be compared: the first has {first.shape[::-1]} pixels, the second "
            f"{second.shape[::-1]}.",
            hint="Collections are compared at one resolution; export one of them again.",
        )
    if first.n_planes != second.n_planes:
        raise MaskError(
            f"The masks cannot be compared: the first has {first.n_planes} planes, the second "
            f"{second.n_planes}."
        )
    if not (isinstance(first, CollectionMask) and isinstance(second, CollectionMask)):
        return (Plane(None, first, second),)
    names = [n for n in first.collection.names() if n in second.collection]
    if not names:
        raise MaskError("The collections have no mask of the same name.")
    return tuple(Plane(n, first.plane(n), second.plane(n)) for n in names)


def compare_planes(planes: tuple[Plane, ...], on_tile: Callable[[int], None] | None) -> Comparison:
    """Count the pairs of labels of each plane, block by block."""
    confusion = []
    n_done = n_different = 0
    for plane in planes:
        total: Counter[tuple[int, int]] = Counter()
        for a, b in _blocks(plane):
            pairs = a.astype(np.uint64) << np.uint64(32) | b.astype(np.uint64)
            values, counts = np.unique(pairs, return_counts=True)
            for value, n in zip(values.tolist(), counts.tolist(), strict=True):
                total[value >> 32, value & 0xFFFFFFFF] += n
            n_different += not np.array_equal(a, b)
            n_done += 1
            if on_tile is not None:
                on_tile(n_done)
        confusion.append(dict(total))
    return Comparison(tuple(confusion), (), n_different)


def words_of(planes: tuple[Plane, ...], mask: Mask) -> MaskMetadata | None:
    """What a mask says of itself, with a channel a plane where masks are compared by name."""
    metadata = mask.metadata
    if planes[0].name is None or metadata is None:
        return metadata
    return MaskMetadata(
        name=metadata.name,
        size=metadata.size,
        size_c=len(planes),
        pixel_size=metadata.pixel_size,
        channel_names=tuple(str(plane.name) for plane in planes),
        extra={"kind": "multichannel"},
    )


def notes_of(first: Mask, second: Mask) -> Iterator[str]:
    """Masks that only one of two collections has."""
    if isinstance(first, CollectionMask) and isinstance(second, CollectionMask):
        for which, mine, other in (("first", first, second), ("second", second, first)):
            alone = [n for n in mine.collection.names() if n not in other.collection]
            if alone:
                yield f"only the {which} has {', '.join(map(repr, alone[:10]))}"


def _blocks(plane: Plane) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    rows, cols = plane.first.shape
    for y in range(0, rows, _BLOCK_PX):
        for x in range(0, cols, _BLOCK_PX):
            part = slice(y, y + _BLOCK_PX), slice(x, x + _BLOCK_PX)
            yield from _slices(plane, part)


def _slices(plane: Plane, part: tuple[slice, slice]) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """A part of each slice of two volumes, a row of chunks at once; of two planes, of these."""
    first, second = plane.first, plane.second
    for z in range(0, first.n_planes, _SLICES):
        a, b = (_stack(mask, range(z, min(z + _SLICES, mask.n_planes)), part)
                for mask in (first, second))  # fmt: skip
        if plane.name is not None:  # 255 is what a channel has where its class is
            a, b = ((found != 0) * np.uint8(255) for found in (a, b))
        yield a, b


def _stack(mask: Mask, slices: range, part: tuple[slice, slice]) -> NDArray[Any]:
    if mask.n_planes == 1:
        return np.asarray(mask[part])
    if isinstance(mask, CollectionMask):
        return np.asarray(mask.volume[slices.start : slices.stop, part[0], part[1]])
    n_channels = mask.metadata.size_c if mask.metadata is not None else mask.n_planes
    if n_channels > 1:
        raise MaskError(f"{mask.path} has channels, and the other one is a volume.")
    return np.stack([np.asarray(mask.plane(z=z)[part]) for z in slices])
