"""What an extractor sees of a patch: its size, and how its colours are scaled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.errors import OptionsError

Triple = tuple[float, float, float]

NORMALIZE: dict[str, tuple[Triple, Triple]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
"""Means and deviations of red, green and blue in 0 to 1, by name."""

INTERPOLATIONS = ("bilinear", "bicubic")


@dataclass(frozen=True)
class Seeing:
    """How a patch becomes the input of a model.

    Attributes
    ----------
    resize : int or None
        The patch is scaled to so many pixels a side, with antialiasing as Pillow does it; None
        leaves it.
    crop : int or None
        So many pixels a side are cut of its middle; None takes all.
    interpolation : str
        ``bilinear`` or ``bicubic``.
    mean, std : tuple of float
        Of red, green and blue: a value v of 0 to 255 becomes (v / 255 - mean) / std.
    """

    resize: int | None = None
    crop: int | None = None
    interpolation: str = "bilinear"
    mean: Triple = NORMALIZE["imagenet"][0]
    std: Triple = NORMALIZE["imagenet"][1]

    @classmethod
    def of(
        cls,
        *,
        resize: int | None = None,
        crop: int | None = None,
        interpolation: str = "bilinear",
        normalize: str | Sequence[Sequence[float]] = "imagenet",
    ) -> Seeing:
        """From the words of the registry and the command line.

        Raises
        ------
        OptionsError
            There is no such normalization.
        """
        if isinstance(normalize, str):
            if normalize not in NORMALIZE:
                raise OptionsError(
                    f"normalize is {normalize!r}; it must be one of {', '.join(NORMALIZE)}."
                )
            mean, std = NORMALIZE[normalize]
        else:
            (m0, m1, m2), (s0, s1, s2) = normalize
            mean, std = (m0, m1, m2), (s0, s1, s2)
        return cls(resize, crop, interpolation, mean, std)

    def side(self, patch_px: int) -> int:
        """Pixels a side of what a model gets of a patch of so many."""
        scaled = patch_px if self.resize is None else self.resize
        return scaled if self.crop is None else self.crop

    def cut(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A patch, uint8 (h, w, 3), scaled and cropped; the values stay 0 to 255."""
        if self.resize is not None and pixels.shape[:2] != (self.resize, self.resize):
            from PIL import Image

            how = getattr(Image.Resampling, self.interpolation.upper())
            image = Image.fromarray(pixels).resize((self.resize, self.resize), how)
            pixels = np.asarray(image)
        if self.crop is None or pixels.shape[:2] == (self.crop, self.crop):
            return pixels
        top, left = ((n - self.crop) // 2 for n in pixels.shape[:2])
        if min(top, left) < 0:
            raise OptionsError(
                f"The extractor sees {self.crop} pixels of a patch of {pixels.shape[1]}.",
                hint="Cut larger patches, or use an extractor that scales them.",
            )
        return pixels[top : top + self.crop, left : left + self.crop]

    def normalized(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """A batch, uint8 (b, h, w, 3), as float32 (b, 3, h, w), normalized."""
        scale, shift = self.scale_shift()
        out = np.empty((len(pixels), 3, *pixels.shape[1:3]), np.float32)
        for c in range(3):
            np.multiply(pixels[..., c], scale[c], out=out[:, c])
            out[:, c] += shift[c]
        return out

    def scale_shift(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What a value of 0 to 255 is multiplied by, and what is added then, by channel."""
        mean, std = np.array(self.mean), np.array(self.std)
        return (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for attributes."""
        return {
            "resize": self.resize or 0,
            "crop": self.crop or 0,
            "interpolation": self.interpolation,
            "mean": list(self.mean),
            "std": list(self.std),
        }

    def __str__(self) -> str:
        parts = []
        if self.resize is not None:
            parts.append(f"resize {self.resize} {self.interpolation}")
        if self.crop is not None and self.crop != self.resize:
            parts.append(f"crop {self.crop}")
        known = next((k for k, v in NORMALIZE.items() if v == (self.mean, self.std)), "own means")
        return ", ".join([*parts, known])
