"""A mask upon its slide: blending, what lies beside, what is said about a point."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from mask_files import write, write_foreign
from slides.slide_samples import gradient, write_slide

from qpmask.errors import MaskError, NoSuchClassError, OptionsError
from qpmask.geometry import PixelSize, Size
from qpmask.mask import open_mask
from qpmask.ometiff.omexml import ClassRow, MaskMetadata, to_ome_xml
from qpmask.slides.with_pillow import ImageSlide
from qpmask.viewer import requirements, slidepicture
from qpmask.viewer.opening import open_scene
from qpmask.viewer.palette import palette_color
from qpmask.viewer.scene import OUTSIDE, PAPER, lay_over
from qpmask.viewer.viewport import Viewport, picture_viewport

BASE = np.zeros((60, 80), np.uint8)
BASE[10:30, 20:50] = 1
BASE[30:50, 20:50] = 2
CLASSES = (ClassRow(1, "Tumor", (200, 0, 0)), ClassRow(2, "Stroma"))
WHOLE = picture_viewport(Size(80, 60))


@pytest.fixture
def mask_path(tmp_path: Path) -> Path:
    path = tmp_path / "mask.ome.tif"
    write(path, BASE, classes=CLASSES, pixel_size=PixelSize(0.5, 0.5))
    return path


def test_classes_have_their_colors_and_the_background_is_paper(mask_path: Path) -> None:
    with open_scene(mask_path) as scene:
        picture = scene.picture(WHOLE)
    expected = np.full((60, 80, 3), PAPER, np.uint8)
    expected[BASE == 1] = (200, 0, 0)
    expected[BASE == 2] = palette_color(2)
    np.testing.assert_array_equal(picture.pixels, expected)
    assert [(row.label, row.name) for row in picture.legend] == [
        (1, "Tumor"), (2, "Stroma"), (0, "(background)"),
    ]  # fmt: skip
    assert sum(row.share for row in picture.legend) == pytest.approx(1)


def test_beside_the_mask_counts_for_nothing(mask_path: Path) -> None:
    with open_scene(mask_path) as scene:
        picture = scene.picture(Viewport(-20, -20, 1, Size(60, 45)))
    assert (picture.pixels[:20] == OUTSIDE).all() and (picture.pixels[:, :20] == OUTSIDE).all()
    shares = {row.label: row.share for row in picture.legend}
    assert shares == {1: 15 * 20 / (25 * 40), 0: 1 - 15 * 20 / (25 * 40)}


@pytest.mark.parametrize("opacity", [0.0, 0.5, 1.0])
def test_the_slide_shines_through(mask_path: Path, tmp_path: Path, opacity: float) -> None:
    slide = gradient(60, 80)
    path = write_slide(tmp_path / "slide.tif", slide)
    with open_scene(mask_path, slide_path=path, opacity=opacity) as scene:
        pixels = scene.picture(WHOLE).pixels.astype(float)
    np.testing.assert_array_equal(pixels[BASE == 0], slide[BASE == 0])
    expected = slide[BASE == 1] * (1 - opacity) + np.array((200, 0, 0)) * opacity
    # The opacity is a whole number of 255ths.
    assert np.abs(pixels[BASE == 1] - expected).max() <= 1


def test_a_mask_hides_half_of_its_slide_unless_told_otherwise(
    mask_path: Path, tmp_path: Path
) -> None:
    path = write_slide(tmp_path / "slide.tif", gradient(60, 80))
    with open_scene(mask_path) as scene:
        assert (scene.opacity, scene.has_slide) == (1.0, False)
    with open_scene(mask_path, slide_path=path) as scene:
        assert (scene.opacity, scene.has_slide) == (0.5, True)


def test_a_smaller_mask_lies_upon_a_larger_slide(mask_path: Path, tmp_path: Path) -> None:
    slide = gradient(60, 80).repeat(4, 0).repeat(4, 1)
    path = write_slide(tmp_path / "slide.tif", slide, tile=(64, 64))
    with open_scene(mask_path, slide_path=path, opacity=0) as scene:
        np.testing.assert_array_equal(scene.picture(WHOLE).pixels, slide[::4, ::4])
        close = scene.picture(Viewport(10, 20, 0.25, Size(40, 30))).pixels
    np.testing.assert_array_equal(close, slide[80:110, 40:80])


def test_a_slide_of_another_mask_is_refused(mask_path: Path, tmp_path: Path) -> None:
    path = write_slide(tmp_path / "slide.tif", gradient(80, 80))
    with (
        pytest.raises(OptionsError, match="does not cover the slide"),
        open_scene(mask_path, slide_path=path),
    ):
        pass


def test_where_the_slide_is_too_large_the_mask_is_shown_alone(
    mask_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slidepicture, "MAX_SLIDE_PX", 1000)
    path = write_slide(tmp_path / "slide.tif", gradient(60, 80))
    with open_scene(mask_path, slide_path=path) as scene:
        picture = scene.picture(WHOLE)
        assert picture.note is not None and "no smaller levels" in picture.note
        assert tuple(picture.pixels[0, 0]) == PAPER
        assert scene.picture(Viewport(0, 0, 1, Size(20, 20))).note is None


def test_a_point_in_words(mask_path: Path) -> None:
    with open_scene(mask_path) as scene:
        assert scene.describe(20.0, 10.9) == "Tumor (label 1)   x 20  y 10"
        assert scene.describe(0.5, 0.5) == "(background)   x 0  y 0"
        assert scene.describe(-0.5, 0) == scene.describe(80, 0) == "outside the mask"


def test_a_mask_of_another_program(tmp_path: Path) -> None:
    """No class table, one level, the other byte order: as QuPath writes them."""
    path = tmp_path / "mask.tif"
    write_foreign(path, BASE, n_levels=1)
    with open_scene(path) as scene:
        picture = scene.picture(WHOLE)
        assert [row.name for row in picture.legend] == ["label 1", "label 2", "(background)"]
        assert picture.legend[0].color == palette_color(1)
        assert scene.describe(20, 10).startswith("label 1  ")
        assert scene.pixel_size is None


@pytest.mark.parametrize("n_colors", [3, 256])
def test_a_palette_in_the_file_gives_the_colors(tmp_path: Path, n_colors: int) -> None:
    """QuPath writes one, shorter than TIFF asks for."""
    path = tmp_path / "mask.tif"
    colormap = np.zeros((3, 256), np.uint16)
    colormap[:, 1] = (200 * 257, 0, 0)
    colormap[:, 2] = (1 * 257, 2 * 257, 3 * 257)
    about = MaskMetadata("A", Size(80, 60), channel_names=("Labels",))
    write_foreign(
        path, BASE, n_levels=1, photometric="palette", colormap=colormap,
        description=to_ome_xml(about),
    )  # fmt: skip
    if n_colors < 256:
        shorten_colormap(path, n_colors)
    with open_scene(path) as scene:
        picture = scene.picture(WHOLE)
    assert [(row.name, row.color) for row in picture.legend] == [
        ("label 1", (200, 0, 0)), ("label 2", (1, 2, 3)), ("(background)", None),
    ]  # fmt: skip
    assert tuple(picture.pixels[0, 0]) == PAPER, "the background's colour counts for nothing"


def shorten_colormap(path: Path, n_colors: int) -> None:
    with tifffile.TiffFile(path) as tif:
        tag = tif.pages[0].tags[320]
        assert tif.byteorder == ">"
        where, values = tag.offset, np.asarray(tag.value, ">u2").reshape(3, -1)[:, :n_colors]
        data = tag.valueoffset
    raw = bytearray(path.read_bytes())
    raw[where + 4 : where + 8] = (3 * n_colors).to_bytes(4, "big")
    raw[data : data + values.nbytes] = values.tobytes()
    path.write_bytes(raw)


@pytest.fixture
def planes_path(tmp_path: Path) -> Path:
    path = tmp_path / "planes.ome.tif"
    planes = np.stack([np.where(label == BASE, 255, 0).astype(np.uint8) for label in (1, 2)])
    write(
        path, planes, size_c=2, classes=(), channel_names=("Tumor", "Stroma"),
        extra={"kind": "multichannel", "channel_labels": "3,5"},
    )  # fmt: skip
    return path


def test_a_plane_has_the_colour_of_its_channel(tmp_path: Path) -> None:
    path = tmp_path / "planes.ome.tif"
    planes = np.stack([np.where(label == BASE, 255, 0).astype(np.uint8) for label in (1, 2)])
    write(
        path, planes, size_c=2, classes=(), channel_names=("Tumor", "Stroma"),
        channel_colors=((200, 0, 1), None),
        extra={"kind": "multichannel", "channel_labels": "3,5"},
    )  # fmt: skip
    for plane, color in ((None, (200, 0, 1)), ("1", palette_color(5))):
        with open_scene(path, plane=plane) as scene:
            (row,) = (row for row in scene.picture(WHOLE).legend if row.label == 255)
            assert row.color == color
    with open_mask(path) as mask:
        assert mask.classes[255].color == (200, 0, 1)
        with pytest.raises(NoSuchClassError) as error:
            mask.binary("Stroma")
        assert error.value.hint == "It has a plane of its own: mask.plane('Stroma')."
        assert mask.plane("Stroma").binary("Stroma")[:].sum() == 20 * 30


@pytest.mark.parametrize(
    ("plane", "name", "label"), [(None, "Tumor", 3), ("1", "Stroma", 5), ("Stroma", "Stroma", 5)]
)
def test_planes_by_number_and_name(
    planes_path: Path, plane: str | None, name: str, label: int
) -> None:
    with open_scene(planes_path, plane=plane) as scene:
        row, background = scene.picture(WHOLE).legend
        assert (row.label, row.name, row.color) == (255, name, palette_color(label))
        assert row.share == 20 * 30 / (60 * 80)
        assert background.label == 0
        assert scene.caption.plane is not None and scene.caption.plane.endswith(f": {name}")


@pytest.mark.parametrize(("plane", "words"), [("2", "0 to 1"), ("Tumour", "Did you mean 'Tumor'")])
def test_planes_that_are_not_there(planes_path: Path, plane: str, words: str) -> None:
    with pytest.raises(OptionsError, match=words), open_scene(planes_path, plane=plane):
        pass


def test_a_damaged_mask_is_an_error_of_ours(mask_path: Path) -> None:
    mask_path.write_bytes(mask_path.read_bytes()[:200])
    with pytest.raises(MaskError), open_scene(mask_path):
        pass


@pytest.mark.parametrize(("module", "name"), [("matplotlib", "matplotlib"), ("PIL", "Pillow")])
def test_without_the_extra_it_is_named(
    mask_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, name: str
) -> None:
    from qpmask.errors import MissingExtraError

    real = requirements.find_spec
    monkeypatch.setattr(requirements, "find_spec", lambda m: None if m == module else real(m))
    with (
        pytest.raises(MissingExtraError, match=rf'needs {name}, .* "qpmask\[view\]"'),
        open_scene(mask_path),
    ):
        pass


def test_everything_is_closed(
    mask_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qpmask.viewer import opening

    closed = []
    slide = ImageSlide(gradient(60, 80))
    monkeypatch.setattr(slide, "close", lambda: closed.append(True), raising=False)
    monkeypatch.setattr(opening, "open_slide", lambda path, series: slide)
    with open_scene(mask_path, slide_path=tmp_path / "slide.svs") as scene:
        assert not closed
    assert closed == [True]
    with pytest.raises(MaskError, match="closed"):
        scene.describe(1, 1)


@pytest.mark.parametrize("opacity", [-0.1, 1.1, float("nan")])
def test_opacities_that_make_no_sense(mask_path: Path, opacity: float) -> None:
    with pytest.raises(OptionsError, match="opacity"), open_scene(mask_path, opacity=opacity):
        pass


@given(st.integers(0, 2**32 - 1), st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.5, 1.0])))
def test_blending_is_the_weighted_mean(seed: int, opacity: float) -> None:
    rng = np.random.default_rng(seed)
    under, over = rng.integers(0, 256, (2, 300, 2, 3)).astype(np.uint8)
    covered = rng.integers(0, 2, (300, 2)).astype(bool)
    pixels = under.copy()
    lay_over(pixels, np.dstack([over, covered.astype(np.uint8) * 255]), opacity)
    weight = round(opacity * 255) / 255
    mixed = under * (1 - weight) + over * weight
    np.testing.assert_array_equal(pixels[~covered], under[~covered])
    assert np.abs(pixels[covered] - mixed[covered]).max(initial=0) <= 0.51
