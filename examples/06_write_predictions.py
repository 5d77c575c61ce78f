"""Writes a model's predictions, which come in any order and overlap, into one mask."""

import random
from collections.abc import Iterator

import numpy as np

from qpmask import MaskWriter

WIDTH, HEIGHT, PATCH, STEP = 3000, 2000, 512, 448


def predictions() -> Iterator[tuple[int, int, np.ndarray]]:
    """A stand-in for a model: patches with scores for background, stroma and tumor."""
    places = [(x, y) for y in range(0, HEIGHT, STEP) for x in range(0, WIDTH, STEP)]
    random.Random(0).shuffle(places)
    for x, y in places:
        rows, cols = np.mgrid[y : y + PATCH, x : x + PATCH]
        tumor = 1.0 - np.hypot(rows - 900, cols - 1200) / 700
        stroma = 1.0 - np.hypot(rows - 1000, cols - 1600) / 1100
        yield x, y, np.stack([np.zeros((PATCH, PATCH)), stroma, 2 * tumor])


if __name__ == "__main__":
    classes = {1: "Stroma", 2: "Tumor"}
    with MaskWriter("prediction.ome.tif", WIDTH, HEIGHT, classes=classes, mpp=0.5) as mask:
        for x, y, scores in predictions():
            # Where patches overlap the greater label stays; what hangs over the edge is cut off.
            mask.write(x, y, scores.argmax(axis=0), rule="max", clip=True)
    # Had this been interrupted: qpmask finalize prediction.ome.tif
    for label, n_pixels in mask.result.counts_by_label().items():
        name = classes.get(label, "background")
        print(f"{label}  {name:12s} {n_pixels:10,d} pixels, {n_pixels * 0.25e-6:.3f} mm²")
