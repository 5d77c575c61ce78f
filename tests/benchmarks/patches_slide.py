"""The slide and the mask that ``patches.py`` measures on: made once, the truth beside them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

MPP, MAGNIFICATION = 0.25, 40
SMALL = 32  # the slide is drawn at 1/32 and enlarged, with a texture laid over it
TRUTH = 32


def tissue_map(height: int, width: int, seed: int = 5) -> np.ndarray:
    """Seven blobs with lumina and cracks, about 28 % of the area."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    found = np.zeros((height, width), bool)
    side = min(height, width)
    centres = [(0.16, 0.24), (0.5, 0.22), (0.82, 0.27), (0.22, 0.72), (0.53, 0.68), (0.83, 0.75),
               (0.68, 0.5)]  # fmt: skip
    radii = [0.15, 0.14, 0.125, 0.165, 0.15, 0.12, 0.045]
    for (cx, cy), radius in zip(centres, radii, strict=True):
        dx, dy = x - cx * width, y - cy * height
        angle, distance = np.arctan2(dy, dx), np.hypot(dx, dy)
        wave = sum(
            rng.uniform(0.02, 0.07) * np.sin(k * angle + rng.uniform(0, 6)) for k in range(2, 9)
        )
        blob = distance < radius * side * (1 + wave)
        for _ in range(14):  # lumina
            a, d = rng.uniform(0, 6.28), rng.uniform(0, 0.8) * radius * side
            px, py = cx * width + d * np.cos(a), cy * height + d * np.sin(a)
            blob &= np.hypot(x - px, y - py) > rng.uniform(0.004, 0.012) * side
        phase = rng.uniform(0, 6)
        crack = np.abs(np.sin((dx * np.cos(phase) + dy * np.sin(phase)) / side * 60 + 3 * angle))
        blob &= ~((crack < 0.015) & (distance > 0.3 * radius * side))
        found |= blob
    return found


def make_slide(folder: Path, width: int = 40_000, height: int = 30_000) -> Path:
    """An Aperio-like slide, with its truth at 1/32 in ``truth.npy``."""
    import pyvips

    path = folder / f"slide_{width}x{height}.svs"
    if path.exists():
        return path
    rows, cols = height // SMALL, width // SMALL
    found = tissue_map(rows, cols)
    np.save(folder / "truth.npy", found.astype(np.float64))
    rng = np.random.default_rng(1)
    small = np.full((rows, cols, 3), (241, 240, 243), np.uint8)
    stain = rng.integers(0, 40, (rows, cols, 1))
    small[found] = (np.array([214, 150, 195]) - stain * [1, 2, 1])[found].astype(np.uint8)
    image = pyvips.Image.new_from_array(small).resize(SMALL, kernel="linear")
    image = image.gravity("north-west", width, height, extend="copy")
    texture = pyvips.Image.new_from_array(rng.integers(-9, 10, (512, 512, 3)).astype(np.int8))
    texture = texture.replicate(width // 512 + 1, height // 512 + 1).crop(0, 0, width, height)
    image = (image + texture).cast("uchar").copy(interpretation="srgb")
    about = (
        f"Aperio Image Library v12.0.0\n{width}x{height} [0,0 {width}x{height}] (256x256) "
        f"JPEG/RGB Q=80|AppMag = {MAGNIFICATION}|MPP = {MPP}"
    )
    image.set_type(pyvips.GValue.gstr_type, "image-description", about)
    part = path.with_suffix(".part")
    image.tiffsave(str(part), tile=True, tile_width=256, tile_height=256, compression="jpeg", Q=80,
                   pyramid=True, bigtiff=True)  # fmt: skip
    part.rename(path)
    return path


def make_mask(folder: Path, side: int = 100_000, n: int = 1000) -> Path:
    """A mask of some annotations in five classes."""
    from qpmask import MaskWriter

    path = folder / f"mask_{side}.ome.tif"
    if path.exists():
        return path
    rng = np.random.default_rng(2)
    places = [
        (*rng.uniform(0, side, 2), side * rng.uniform(0.004, 0.014), rng.uniform(0, 6), k % 5 + 1)
        for k in range(n)
    ]

    at = np.array(places)

    def tiles() -> object:
        for top in range(0, side, 512):
            row = at[(at[:, 1] > top - at[:, 2] * 1.3) & (at[:, 1] < top + 512 + at[:, 2] * 1.3)]
            for left in range(0, side, 512):
                h, w = min(512, side - top), min(512, side - left)
                near = row[
                    (row[:, 0] > left - row[:, 2] * 1.3) & (row[:, 0] < left + w + row[:, 2] * 1.3)
                ]
                tile = np.zeros((h, w), np.uint8)
                for x, y, r, phase, label in near:
                    y0, y1 = (int(min(max(y + s * 1.3 * r - top, 0), h)) for s in (-1, 1))
                    x0, x1 = (int(min(max(x + s * 1.3 * r - left, 0), w)) for s in (-1, 1))
                    dy = (np.arange(y0, y1) + top - y).astype(np.float32)[:, None]
                    dx = (np.arange(x0, x1) + left - x).astype(np.float32)[None, :]
                    wave = 1 + 0.2 * np.sin(5 * np.arctan2(dy, dx) + phase)
                    tile[y0:y1, x0:x1][np.hypot(dx, dy) < r * wave] = label
                yield tile if len(near) else 0

    classes = {k: f"Class {k}" for k in range(1, 6)}
    MaskWriter.from_tiles(path, side, side, tiles(), order="rows", classes=classes, mpp=MPP)
    return path


def quality(coords: np.ndarray, size_px0: int, truth: np.ndarray) -> dict[str, float]:
    """Share of the tissue that lies in some patch, and mean share of tissue in a patch."""
    side = size_px0 / TRUTH
    covered = np.zeros(truth.shape, bool)
    shares = []
    for x, y in (coords / TRUTH).tolist():
        part = slice(round(y), round(y + side)), slice(round(x), round(x + side))
        covered[part] = True
        shares.append(float(truth[part].mean()) if truth[part].size else 0.0)
    return {
        "patches": len(coords),
        "covered": float(truth[covered].sum() / truth.sum()),
        "share": float(np.mean(shares)) if shares else 0.0,
        "twice": len(coords) - len(np.unique(coords, axis=0)),
    }


def save(path: Path, data: object) -> None:
    """Write down what a contestant found."""
    path.write_text(json.dumps(data))
