"""How many pixels of level 0 a pixel of each level of a pyramid spans: from sizes and tiles alone.

No file says it. Programs round sizes down or up, and some pad each level to whole tiles (CAMELYON's
slides, ASAP's masks): there the scale is a power of two, not the ratio of the sizes, which is up to
a tile away.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from qpmask.geometry import Size

Scale = tuple[float, float]


def level_scales(sizes: Sequence[Size], tiles: Sequence[Size | None] = ()) -> tuple[Scale, ...]:
    """Pixels of level 0 in a pixel of each level, in x and y.

    Parameters
    ----------
    sizes : sequence of Size
        Of the levels, level 0 first.
    tiles : sequence of Size or None
        Of their tiles, where they are known; without them no level counts as padded.

    Returns
    -------
    tuple of (float, float)
        (1, 1) for level 0. Powers of two where one explains the size, padded or not; else the
        whole number that does; else the ratio of the sizes.
    """
    scales: list[Scale] = [(1.0, 1.0)]
    for number, size in enumerate(sizes[1:], 1):
        tile = tiles[number] if number < len(tiles) else None
        scales.append(_scale(sizes[0], size, tile, [x for x, _ in scales]))
    return tuple(scales)


def scale_of(base: Size, level: Size) -> Scale:
    """How many pixels of `base` a pixel of a single level spans, in x and y; none is padded."""
    return _scale(base, level, None, [])


def _scale(base: Size, level: Size, tile: Size | None, before: Sequence[float]) -> Scale:
    ratio = max(base.width_px / level.width_px, base.height_px / level.height_px)
    nearest = 2 ** round(math.log2(ratio)) if ratio > 1 else 1
    least = before[-1] if len(before) > 1 else 0
    for scale in (nearest, max(1, nearest // 2), nearest * 2):
        if scale > least and _explains(scale, base, level):
            return float(scale), float(scale)
    if tile is not None:
        for scale in _padded_scales(before, ratio):
            if _explains(scale, base, level, tile):
                return float(scale), float(scale)
    whole = max(1, round(ratio))
    if _explains(whole, base, level):
        return float(whole), float(whole)
    return base.width_px / level.width_px, base.height_px / level.height_px


def _padded_scales(before: Sequence[float], ratio: float) -> Iterator[int]:
    """Powers of two that a padded level may have: as the levels before go on, then from below."""
    least = max([1.0, *before])
    if len(before) > 1 and before[-1] > before[-2]:
        following = before[-1] * before[-1] / before[-2]
        if following == int(following) and following >= ratio * (1 - 1e-9):
            yield int(following)
    power = 2 ** (math.floor(math.log2(least)) + 1)
    while power < 2**31:
        if power >= ratio * (1 - 1e-9):  # padding makes levels larger, never smaller
            yield power
        power *= 2


def _explains(scale: int, base: Size, level: Size, tile: Size | None = None) -> bool:
    """Whether a level of this scale has this size: rounded down or up, or filled up to tiles."""
    return _explains_length(
        scale, base.width_px, level.width_px, tile.width_px if tile else None
    ) and _explains_length(
        scale, base.height_px, level.height_px, tile.height_px if tile else None
    )  # fmt: skip


def _explains_length(scale: int, base_px: int, level_px: int, tile_px: int | None) -> bool:
    rounded = max(1, base_px // scale), -(-base_px // scale)
    if level_px in rounded:
        return True
    return tile_px is not None and level_px in (-(-n // tile_px) * tile_px for n in rounded)
