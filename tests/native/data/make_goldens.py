"""Make ``goldens.npz``: random drawings and the masks that a real QuPath makes of them.

Purpose: the same proof as test_native_parity.py, where there is no QuPath.
Run: ``python tests/native/data/make_goldens.py`` with a QuPath 0.6 or later that paquo finds.
Inputs: none (the drawings come from seeds). Output: ``goldens.npz`` beside this file, with
``cases``, JSON as bytes (the drawings and options in full, so that no random generator has to
give the same numbers again), and ``mask_0``, ``mask_1``, ... The masks are cropped to
``window`` (first tile row and column) where the image is large.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from native.native_judge import Drawing, assemble, tiles  # noqa: E402
from native.native_scenes import ALL_AREAS, EVERYTHING, scene  # noqa: E402

from qpmask.engines import jvm  # noqa: E402
from qpmask.engines.native.plane import PlaneOptions, is_thin  # noqa: E402
from qpmask.geometry import Size, TileGrid  # noqa: E402

# Downsample, tile, line thickness, boundary label, labels in draw order, distance of the origin.
PLANS: tuple[dict[str, Any], ...] = (
    {"downsample": 1.0, "tile_px": 256, "labels": [1, 2, 3]},
    {"downsample": 1.0, "tile_px": 64, "labels": [3, 1, 2], "boundary_label": 9},
    {"downsample": 1.5, "tile_px": 64, "labels": [2, 1, 3], "boundary_label": 200},
    {"downsample": 2.0, "tile_px": 512, "labels": [1, 2, 3]},
    {"downsample": 2.7, "tile_px": 64, "labels": [1, 3, 2]},
    {"downsample": 3.7, "tile_px": 128, "labels": [1, 2, 3]},
    {"downsample": 4.0, "tile_px": 64, "labels": [5, 300, 1000], "boundary_label": 7},
    {"downsample": 10.0, "tile_px": 256, "labels": [1, 2, 3]},
    {"downsample": 16.3, "tile_px": 64, "labels": [1, 2, 3]},
    {"downsample": 1.0, "tile_px": 64, "labels": [1, 2], "line_thickness": 1.5},
    {"downsample": 1.0, "tile_px": 256, "labels": [1, 2, 3], "far": (149_000, 120_345)},
    {"downsample": 2.7, "tile_px": 256, "labels": [1, 2, 3], "far": (30_000, 149_321)},
)


def make(seed: int, plan: dict[str, Any]) -> tuple[dict[str, Any], np.ndarray]:
    """Draw one plan with QuPath; the case as plain data, and its mask."""
    rng = np.random.default_rng(seed)
    downsample, tile_px, labels = plan["downsample"], plan["tile_px"], plan["labels"]
    x, y = plan.get("far", (0, 0))
    w, h = (int(v * downsample) for v in rng.integers(180, 300, 2))
    options = PlaneOptions(
        Size(x + w, y + h),
        downsample=downsample,
        tile_px=tile_px,
        line_thickness=plan.get("line_thickness", 1.0),
        boundary_label=plan.get("boundary_label"),
    )
    kinds = EVERYTHING if is_thin(options.line_thickness, downsample) else ALL_AREAS
    drawings = scene(rng, options.image, kinds, 18, labels, (x, y, w, h))
    grid = options.tile_grid
    window = int(y / downsample / tile_px), int(x / downsample / tile_px)
    mask = draw(drawings, options, labels, grid, window)
    case = {
        "image": [options.image.width_px, options.image.height_px],
        "options": {
            "downsample": downsample,
            "tile_px": tile_px,
            "line_thickness": options.line_thickness,
            "boundary_label": options.boundary_label,
        },
        "labels": labels,
        "window": window,
        "drawings": [[int(d.kind), d.label, plain(d.data)] for d in drawings],
    }
    return case, mask


def draw(
    drawings: list[Drawing],
    options: PlaneOptions,
    labels: list[int],
    grid: TileGrid,
    window: tuple[int, int],
) -> np.ndarray:
    """QuPath's mask from the tile ``window`` on."""
    only = [rc for rc in grid if rc[0] >= window[0] and rc[1] >= window[1]]
    return assemble(rest_of(grid, window), tiles(drawings, options, labels, only))


def rest_of(grid: TileGrid, window: tuple[int, int]) -> TileGrid:
    """The part of a grid from a tile on."""
    row, col = window
    size = Size(grid.size.width_px - col * grid.tile_px, grid.size.height_px - row * grid.tile_px)
    return TileGrid(size, grid.tile_px)


def plain(data: Any) -> Any:
    """Arrays as lists of floats, which JSON keeps exactly."""
    if isinstance(data, np.ndarray):
        return data.astype(np.float64).tolist()
    if isinstance(data, (list, tuple)):
        return [plain(part) for part in data]
    return float(data)


def main() -> None:
    """Write ``goldens.npz``."""
    print(jvm.start())
    cases, masks = [], {}
    for seed, plan in enumerate(PLANS):
        case, mask = make(seed, plan)
        cases.append(case)
        masks[f"mask_{seed}"] = mask.astype(np.uint16 if mask.max() > 255 else np.uint8)
    text = np.frombuffer(json.dumps(cases).encode(), np.uint8)
    target = HERE / "goldens.npz"
    np.savez_compressed(target, cases=text, **masks)
    print(target, target.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
