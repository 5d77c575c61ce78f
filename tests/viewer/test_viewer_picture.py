"""``qpmask.save_picture``: what it saves is what ``qpmask view --save`` saves, and its errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import Cli
from PIL import Image

from qpmask import MaskWriter, save_picture
from qpmask.errors import OptionsError, OutsideMaskError, WrongTypeError


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    """A mask of 60 x 40 pixels: a red class in the upper left quarter."""
    from qpmask import ClassEntry

    red = [ClassEntry(1, "Red", (255, 0, 0))]
    with MaskWriter(tmp_path / "m.ome.tif", 60, 40, classes=red) as writer:
        writer.write(0, 0, np.ones((20, 30), np.uint8))
    return tmp_path / "m.ome.tif"


def picture(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def test_pixels_of_the_mask(mask: Path, tmp_path: Path) -> None:
    size = save_picture(mask, tmp_path / "p.png", region=(20, 10, 20, 20), downsample=1)
    pixels = picture(tmp_path / "p.png")
    assert pixels.shape[:2] == (size.height_px, size.width_px)
    assert (pixels[:10, :10] == (255, 0, 0)).all() and (pixels[10:20, :20] == 255).all()


def test_a_slide_below(mask: Path, tmp_path: Path) -> None:
    blue = np.zeros((40, 60, 3), np.uint8)
    blue[:, :, 2] = 200
    tifffile.imwrite(tmp_path / "s.tif", blue, photometric="rgb", tile=(32, 32))
    save_picture(mask, tmp_path / "p.png", slide=tmp_path / "s.tif", opacity=0.5, downsample=1)
    pixels = picture(tmp_path / "p.png").astype(int)
    assert np.abs(pixels[5, 5] - (128, 0, 100)).max() <= 1
    assert np.abs(pixels[30, 50] - (0, 0, 200)).max() <= 1


def test_the_command_line_saves_the_same(mask: Path, tmp_path: Path, qpmask_cli: Cli) -> None:
    save_picture(mask, tmp_path / "a.png", plane=0)
    assert qpmask_cli("view", mask, "--plane", "0", "--save", tmp_path / "b.png")[0] == 0
    assert np.array_equal(picture(tmp_path / "a.png"), picture(tmp_path / "b.png"))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"region": (0, 0, 5)}, WrongTypeError, "region"),
        ({"region": (0, 0, 5, "5")}, WrongTypeError, "region"),
        ({"region": (100, 0, 5, 5)}, OutsideMaskError, "outside the mask"),
        ({"downsample": "2"}, WrongTypeError, "downsample"),
        ({"opacity": None, "downsample": 0}, OptionsError, "downsample"),
        ({"opacity": 2}, OptionsError, "opacity"),
        ({"plane": 7}, OptionsError, "no plane 7"),
        ({"plane": 1.5}, WrongTypeError, "plane"),
        ({"slide": 3}, WrongTypeError, "slide"),
        ({"slide": "none.svs"}, OptionsError, "no slide"),
    ],
)
def test_what_makes_no_sense(
    mask: Path, tmp_path: Path, arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        save_picture(mask, tmp_path / "p.png", **arguments)
    assert not list(tmp_path.glob("*p.png*"))


def test_the_mask_itself_is_not_replaced(mask: Path) -> None:
    named = mask.rename(mask.with_name("m.png"))
    with pytest.raises(OptionsError, match="what should be looked at"):
        save_picture(named, named)
