"""Makes QuPath projects of any size for the benchmarks; needs a QuPath."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import tifffile

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

CLASSES = {"Tumor": (200, 0, 0), "Stroma": (150, 200, 150), "Necrosis": (50, 50, 50),
           "Immune cells": (160, 90, 160), "Other": (255, 200, 0)}  # fmt: skip


def make_project(
    folder: Path,
    side_px: int,
    annotations: int,
    vertices: int = 200,
    seed: int = 0,
    radius_px: float | None = None,
) -> Path:
    """Write a project of one image of ``side_px`` squared with round, uneven annotations.

    Together they cover about a third of the image, whatever its size, unless their ``radius_px`` is
    given.
    """
    from qupath_writer import ProjectWriter

    slide = folder.parent / f"{folder.name}.ome.tif"
    tifffile.imwrite(
        slide, np.zeros((64, 64), np.uint8), ome=True,
        metadata={"axes": "YX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25},
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    writer = ProjectWriter(folder, CLASSES)
    names = list(CLASSES)
    radius = radius_px or side_px * np.sqrt(0.35 / np.pi / annotations)
    with writer.image(slide, "synthetic") as image:
        angle = np.linspace(0, 2 * np.pi, vertices, endpoint=False)
        for i in range(annotations):
            x, y = rng.uniform(0, side_px, 2)
            r = radius * rng.uniform(0.5, 1.4)
            rough = r * (1 + 0.2 * np.sin(3 * angle + i) + 0.02 * rng.standard_normal(vertices))
            points = np.stack([x + rough * np.cos(angle), y + rough * np.sin(angle)], 1)
            image.add(image.polygon([tuple(p) for p in points.tolist()]), names[i % len(names)])
    writer.close()
    slide.unlink()
    path = folder / "project.qpproj"
    data = json.loads(path.read_text("utf-8"))
    metadata = data["images"][0]["serverBuilder"]["metadata"]
    metadata["width"] = metadata["height"] = side_px
    metadata["levels"] = [{"downsample": 1.0, "width": side_px, "height": side_px}]
    path.write_text(json.dumps(data), "utf-8")
    return path
