"""Many masks of one image in one file, by name; they may overlap."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qpmask import MaskCollection

rows, cols = np.mgrid[:2000, :3000]
tissue = (rows - 1000) ** 2 + (cols - 1500) ** 2 < 900**2
tumor = (rows - 900) ** 2 + (cols - 1800) ** 2 < 250**2

path = Path("slide.ozx")
with MaskCollection(path, "w", shape=tissue.shape, mpp=0.5) as masks:
    masks.add("Tissue", tissue, color=(150, 200, 150))
    masks.add("Tumor", tumor, color=(200, 0, 0))

with MaskCollection(path) as masks:
    for area in masks.areas().values():
        print(f"{area.name}: {area.n_pixels:,} pixels, {area.area_mm2:.3f} mm²")
    print(masks.labels_at(1800, 900))
    print(masks["Tumor"][masks.box("Tumor")].shape)  # just where it is
    print(masks["Tissue"].region(0, 0, 3000, 2000, downsample=8).shape)
