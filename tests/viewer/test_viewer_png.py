"""Pictures in files: exact pixels, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from mask_files import blobs, write
from PIL import Image
from slides.slide_samples import gradient, write_slide

from qpmask.errors import MaskError, OptionsError, OutputError
from qpmask.geometry import Size
from qpmask.ometiff.reader import MaskFile
from qpmask.viewer import png, slidepicture
from qpmask.viewer.opening import open_scene
from qpmask.viewer.panel import WIDTH_PX
from qpmask.viewer.png import panel_text, save_scene, with_legend, write_png
from qpmask.viewer.viewport import Viewport, picture_viewport


@pytest.fixture
def mask_path(tmp_path: Path) -> Path:
    path = tmp_path / "mask.ome.tif"
    write(path, blobs(300, 500))
    return path


def test_the_file_holds_the_picture_and_the_legend(mask_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "shown.png"
    with open_scene(mask_path) as scene:
        view = picture_viewport(scene.size, (0, 0, 500, 300), 2)
        size = save_scene(scene, view, path)
        expected = scene.picture(view).pixels
    with Image.open(path) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        saved = np.asarray(image)
    assert size == Size(saved.shape[1], saved.shape[0])
    assert saved.shape[1] == 250 + 1 + WIDTH_PX
    np.testing.assert_array_equal(saved[:150, :250], expected)
    assert (saved[:, 251:] < 100).any(), "letters"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mask.ome.tif", "shown.png"]


@pytest.mark.parametrize("heights", [(5, 9), (9, 5), (7, 7)])
def test_picture_and_legend_stand_side_by_side(heights: tuple[int, int]) -> None:
    picture = np.full((heights[0], 4, 3), 10, np.uint8)
    panel = np.full((heights[1], 6, 3), 250, np.uint8)
    page = with_legend(picture, panel)
    assert page.shape == (max(heights), 11, 3)
    np.testing.assert_array_equal(page[: heights[0], :4], picture)
    np.testing.assert_array_equal(page[: heights[1], 5:], panel)


def test_an_older_picture_is_replaced(mask_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "Größe 肝.PNG"
    path.write_text("old")
    with open_scene(mask_path) as scene:
        save_scene(scene, picture_viewport(scene.size), path)
    with Image.open(path) as image:
        image.verify()


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupted_one_leaves_the_older_picture_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException] | BaseException
) -> None:
    path = tmp_path / "shown.png"
    path.write_text("old")

    def broken(handle: int) -> None:
        raise error

    monkeypatch.setattr(png.os, "fsync", broken)
    expected = KeyboardInterrupt if error is KeyboardInterrupt else OutputError
    with pytest.raises(expected):
        write_png(np.zeros((5, 5, 3), np.uint8), path)
    assert [p.name for p in tmp_path.iterdir()] == ["shown.png"]
    assert path.read_text() == "old"


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    for path in (tmp_path / "no folder" / "a.png", tmp_path / "folder.png"):
        with pytest.raises(OutputError, match="cannot be written"):
            write_png(np.zeros((5, 5, 3), np.uint8), path)
    assert [p.name for p in tmp_path.iterdir()] == ["folder.png"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_a_picture_may_be_read_like_any_other_file(tmp_path: Path) -> None:
    write_png(np.zeros((5, 5, 3), np.uint8), tmp_path / "a.png")
    (tmp_path / "other").touch()
    assert (tmp_path / "a.png").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("name", ["a.jpg", "a", "png", "a.png.tif"])
def test_only_png(mask_path: Path, tmp_path: Path, name: str) -> None:
    with open_scene(mask_path) as scene, pytest.raises(OptionsError, match=r"end in \.png"):
        save_scene(scene, picture_viewport(scene.size), tmp_path / name)
    assert not (tmp_path / name).exists()


def test_a_damaged_mask_gives_no_picture(mask_path: Path, tmp_path: Path) -> None:
    with MaskFile(mask_path) as file:
        offset, count = (int(numbers[-1]) for numbers in file.segments(0))
    raw = bytearray(mask_path.read_bytes())
    raw[offset : offset + count] = bytes(count)
    mask_path.write_bytes(raw)
    with open_scene(mask_path) as scene, pytest.raises(MaskError, match="level 0, row"):
        save_scene(scene, picture_viewport(scene.size), tmp_path / "a.png")
    assert [p.name for p in tmp_path.iterdir()] == ["mask.ome.tif"]


def test_a_picture_without_the_slide_that_was_asked_for_is_refused(
    mask_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slidepicture, "MAX_SLIDE_PX", 1000)
    slide = write_slide(tmp_path / "slide.tif", gradient(300, 500))
    with (
        open_scene(mask_path, slide_path=slide) as scene,
        pytest.raises(OptionsError, match="no smaller levels"),
    ):
        save_scene(scene, picture_viewport(scene.size), tmp_path / "a.png")


def test_the_text_says_what_is_shown(mask_path: Path) -> None:
    with open_scene(mask_path) as scene:
        text = panel_text(scene, scene.picture(Viewport(-10, 100, 4, Size(100, 100))))
        assert text.title == "mask.ome.tif"
        assert text.lines == ("x 0 to 390, y 100 to 300", "1 pixel shows 4 of the mask")
        assert text.scale_bar is not None and text.scale_bar[1] == "100 µm"
        text = panel_text(scene, scene.picture(Viewport(0, 0, 0.25, Size(100, 100))))
        assert text.lines[1] == "4 pixels show 1 of the mask"
