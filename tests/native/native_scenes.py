"""Random drawings that go for the rules' corners: ties, slivers, far coordinates, tile borders."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from native.native_judge import Drawing

from qpmask.engines.native.shapes import Kind
from qpmask.geometry import Size

GRIDS = (1.0, 2.0, 4.0, 100.0, None)
"""Steps per pixel that coordinates are rounded to; None means any float32."""

ALL_AREAS = (Kind.POLYGON, Kind.GEOMETRY, Kind.RECTANGLE, Kind.ELLIPSE)
EVERYTHING = tuple(Kind)


def on_grid(rng: np.random.Generator, values: np.ndarray, grid: float | None) -> np.ndarray:
    """Round to a grid, or leave as they are."""
    return values if grid is None else np.round(values * grid) / grid


def outline(rng: np.random.Generator, reach: float) -> np.ndarray:
    """A ring around the origin: a star, a scribble, a sliver, a box, a spike, or nearly nothing."""
    n = int(rng.integers(3, 40))
    style = rng.integers(7)
    if style <= 1:
        angle = np.sort(rng.uniform(0, 2 * np.pi, n))
        radius = reach * rng.uniform(0.2 if style else 0.8, 1, n)
        ring = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    elif style == 2:
        ring = rng.uniform(-reach, reach, (n, 2))
    elif style == 3:
        ring = rng.uniform(-reach, reach, (1, 2)) * np.linspace(-1, 1, n)[:, None]
        ring = ring + rng.uniform(-1, 1, (n, 2))
    elif style == 4:
        x, y = rng.uniform(0.1, reach, 2)
        ring = np.array([[-x, -y], [x, -y], [x, y], [-x, y]])
    elif style == 5:
        ring = rng.uniform(-2, 2, (n, 2))
    else:
        steps = rng.normal(0, reach / 6, (4 * n, 2))
        ring = np.cumsum(steps, axis=0)
    if rng.random() < 0.2:
        ring = np.repeat(ring, rng.integers(1, 3, len(ring)), axis=0)
    if rng.random() < 0.2:
        ring = np.concatenate([ring, ring[:1]])
    return ring[::-1] if rng.random() < 0.5 else ring


def drawing(
    rng: np.random.Generator, kind: Kind, label: int, centre: np.ndarray, reach: float
) -> Drawing:
    """One object around a centre, in px0."""
    grid = GRIDS[rng.integers(len(GRIDS))]

    def place(ring: np.ndarray) -> np.ndarray:
        return on_grid(rng, ring + centre, grid)

    if kind in (Kind.POLYGON, Kind.POLYLINE):
        return Drawing(kind, label, place(outline(rng, reach)).astype(np.float32))
    if kind is Kind.GEOMETRY:
        polygons = []
        for _ in range(rng.integers(1, 4)):
            centre = centre + rng.uniform(-reach, reach, 2)
            rings = [place(_at_least_three(outline(rng, reach)))]
            low, high = rings[0].min(axis=0), rings[0].max(axis=0)
            for _ in range(rng.integers(0, 3)):
                # JTS takes a polygon's bounds from its shell, so a hole must not reach beyond.
                hole = place(_at_least_three(outline(rng, reach / 3)))
                rings.append(np.clip(hole, low, high))
            polygons.append(rings)
        return Drawing(kind, label, polygons)
    if kind is Kind.POINTS:
        return Drawing(kind, label, place(rng.uniform(-reach, reach, (rng.integers(1, 60), 2))))
    corners = place(rng.uniform(-reach, reach, (2, 2)))
    if kind is Kind.LINE:
        if rng.random() < 0.2:
            corners[1, rng.integers(2)] = corners[0, rng.integers(2)]
        return Drawing(kind, label, [float(v) for v in corners.ravel()])
    low, high = corners.min(axis=0), corners.max(axis=0)
    return Drawing(kind, label, [float(v) for v in (*low, *(high - low))])


def _at_least_three(ring: np.ndarray) -> np.ndarray:
    return (
        ring
        if len(np.unique(ring, axis=0)) >= 3
        else np.concatenate([ring, ring + np.array([[1, 2]])])
    )


def scene(
    rng: np.random.Generator,
    image: Size,
    kinds: Sequence[Kind],
    n: int,
    labels: Sequence[int],
    area: tuple[float, float, float, float] | None = None,
) -> list[Drawing]:
    """Objects in and around an image, or around an area (x, y, width, height) of it, px0."""
    x, y, w, h = area or (0, 0, image.width_px, image.height_px)
    drawings = []
    for _ in range(n):
        reach = min(w, h) * 2.0 ** rng.uniform(-8, 0.2)
        centre = np.array([x, y]) + rng.uniform(-0.1, 1.1, 2) * [w, h]
        kind = kinds[rng.integers(len(kinds))]
        label = labels[rng.integers(len(labels))]
        drawings.append(drawing(rng, kind, label, centre, max(reach, 0.5)))
    return drawings
