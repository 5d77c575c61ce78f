"""A slide of one tissue, and patch files made of it."""

from __future__ import annotations

from pathlib import Path

import handmade_projects
import numpy as np
from mask_files import blobs
from patches.patch_slides import tissue_picture

from qpmask import make_patches, open_patches, patch_options

HEIGHT, WIDTH, SIDE = 900, 1300, 64
PIXELS, TISSUE = tissue_picture(HEIGHT, WIDTH)
LABELS = blobs(HEIGHT, WIDTH, n=9, seed=4)


def run(inputs, tmp_path: Path, **options):
    options = {"patch_size": SIDE, "target_mpp": 2.0, **options}
    return make_patches(inputs, tmp_path / "out", patch_options(**options))


def one(inputs, tmp_path: Path, **options):
    report = run(inputs, tmp_path, **options)
    assert report.ok, [r.error for r in report]
    return open_patches(tmp_path / "out" / report.records[0].file)


def cells(pad: bool = False) -> list[tuple[int, int]]:
    return [
        (x, y)
        for y in range(0, HEIGHT if pad else HEIGHT - SIDE + 1, SIDE)
        for x in range(0, WIDTH if pad else WIDTH - SIDE + 1, SIDE)
    ]


def share(found: np.ndarray, x: int, y: int) -> float:
    return float(found[y : y + SIDE, x : x + SIDE].sum()) / SIDE**2


def project_of_file(folder: Path, *images: tuple[str, list[str]]) -> Path:
    """A project whose images are read from ``a.tif`` by Bio-Formats, with arguments."""
    entries = []
    for number, (name, args) in enumerate(images, 1):
        builder = {
            "builderType": "uri", "uri": (folder / "a.tif").as_uri(), "args": args,
            "providerClassName": "qupath.lib.images.servers.bioformats.BioFormatsServerBuilder",
            "metadata": handmade_projects.metadata(WIDTH, HEIGHT),
        }  # fmt: skip
        entries.append(handmade_projects.image(name, number, serverBuilder=builder))
    return handmade_projects.write(folder / "project", *entries)
