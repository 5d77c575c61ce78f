"""Masks that are hard to bring back: for the tests of the way back into QuPath."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qpmask import MaskWriter


def label_image(height: int, width: int, n_labels: int = 5, seed: int = 0) -> NDArray[np.uint8]:
    """Blobs, single pixels, lines of one pixel, contacts by a corner, holes in holes."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((height, width), np.uint8)
    y, x = np.mgrid[:height, :width]
    for _ in range(40):
        cy, cx, r = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(3, height / 8)
        distance = np.hypot(y - cy, x - cx)
        label = int(rng.integers(1, n_labels + 1))
        for k in range(3):  # rings within rings
            labels[distance < r * (1 - k / 3)] = label if k != 1 else 0
    speckle = rng.random(labels.shape) < 0.002
    labels[speckle] = rng.integers(1, n_labels + 1, int(speckle.sum()))
    for i in range(min(height, width) // 2):  # a diagonal, and lines
        labels[i, i] = 1 + i % n_labels
    labels[height // 3, :] = 2
    labels[:, 511 : 513 if width > 600 else 512] = 3  # along tiles
    labels[-1, -1] = n_labels
    return labels


def mask_of(path: Path, labels: NDArray[np.uint8], names: Mapping[int, str]) -> Path:
    """A mask file as a user's program writes it."""
    height, width = labels.shape
    with MaskWriter(path, width, height, classes=dict(names)) as mask:
        mask.write(0, 0, labels)
    return path
