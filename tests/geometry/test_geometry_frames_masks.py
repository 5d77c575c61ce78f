"""Frames in masks: what a run says of them, what its files carry, what a slide under them shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import projects
import pytest
import tifffile
from conftest import Cli
from hypothesis import given
from hypothesis import strategies as st
from mask_files import write
from PIL import Image
from slides.slide_samples import gradient, write_scn, write_slide

from qpmask import export_masks, export_options, open_mask
from qpmask.agreement import compare_masks
from qpmask.cli.console import place_text
from qpmask.errors import MaskError
from qpmask.geometry import Affine, Size
from qpmask.geometry.frames import Frame, SlideFile, frame_from_json

ROTATED = "squares.ome.tif"  # 64 x 48 pixels


def wrap(project: Path, kind: str, width: int, height: int, **more: Any) -> None:
    projects.keep(project, ROTATED)
    projects.wrap(project, ROTATED, kind, width, height, **more)


def export(project: Path, out: Path, **options: Any) -> Any:
    options = {"unknown": "ignore", "engine": "native", **options}
    return export_masks(project, out, options=export_options(**options))


def test_a_rotated_image_is_warned_about_once_and_its_mask_knows(
    tiny: Path, tmp_path: Path
) -> None:
    wrap(tiny, "rotated", 64, 48, rotation="ROTATE_180")
    (record,) = export(tiny, tmp_path / "out", downsample=2)
    said = [text for text in record.warnings if "rotated by 180 degrees" in text]
    assert len(said) == 1 and "matrix" in said[0]
    path = tmp_path / "out" / record.mask
    with open_mask(path) as mask:
        assert mask.frame is not None
        assert mask.frame.to_file(Size(64, 48)) == Affine(-2, 0, 64, 0, -2, 48)
        in_file = mask.frame
    sidecar = json.loads(path.with_name(path.name + ".json").read_text("utf-8"))
    assert sidecar["frame"] == {
        "mask_to_file": [-2.0, 0.0, 64.0, 0.0, -2.0, 48.0],
        "unknown": None,
        "steps": ["rotated by 180 degrees"],
        "notes": [],
        "file": ROTATED,
        "reader": "Bio-Formats",
        "series": 0,
        "series_name": None,
        "read_px0": [64, 48],
        "origin": "level 0",
    }
    assert frame_from_json(sidecar["frame"]) == in_file


def test_a_mask_is_made_again_when_its_image_is_turned(tiny: Path, tmp_path: Path) -> None:
    projects.keep(tiny, ROTATED)
    out = tmp_path / "out"
    assert [r.status for r in export(tiny, out)] == ["done"]
    assert [r.status for r in export(tiny, out)] == ["skipped"]
    wrap(tiny, "rotated", 64, 48, rotation="ROTATE_180")
    assert [r.status for r in export(tiny, out)] == ["done"]


def test_an_image_as_it_is_in_its_file_is_no_news(tiny: Path, tmp_path: Path) -> None:
    projects.keep(tiny, ROTATED)
    (record,) = export(tiny, tmp_path / "out")
    assert not any("file" in text and "QuPath shows" in text for text in record.warnings)


def test_where_nothing_is_known_no_slide_is_put_under(
    tiny: Path, tmp_path: Path, qpmask_cli: Cli
) -> None:
    wrap(tiny, "invented", 64, 48)
    (record,) = export(tiny, tmp_path / "out")
    assert record.status == "done"
    assert any("is not known" in text and "'invented'" in text for text in record.warnings)
    slide = write_slide(tmp_path / "slide.tif", gradient(48, 64))
    code, _, err = qpmask_cli(
        "view", tmp_path / "out" / record.mask, "--slide", slide, "--save", "a.png"
    )
    assert code == 2 and "'invented'" in err
    assert not Path("a.png").exists()


def test_info_says_where_a_mask_lies(tiny: Path, tmp_path: Path, qpmask_cli: Cli) -> None:
    wrap(tiny, "rotated", 64, 48, rotation="ROTATE_180")
    (record,) = export(tiny, tmp_path / "out", downsample=2)
    mask = tmp_path / "out" / record.mask
    _, out, _ = qpmask_cli("info", mask)
    said = "squares.ome.tif, rotated by 180 degrees: (x, y) at (-2 x + 64, -2 y + 48)"
    assert f"in its file: {said}" in out and "mask_to_file" not in out
    _, out, _ = qpmask_cli("info", mask, "--json")
    data = json.loads(out)
    assert data["frame"]["mask_to_file"] == [-2, 0, 64, 0, -2, 48]
    assert "frame" not in data["made_by"]
    _, out, _ = qpmask_cli("info", tiny)
    assert "rotated by 180 degrees" in out


@pytest.mark.parametrize(
    ("matrix", "text"),
    [(Affine(), "(x, y)"), (Affine(0, 1, 0, -1, 0, 80), "(y, -x + 80)"),
     (Affine(1.5, -0.25, -3, 0, 2, 0), "(1.5 x - 0.25 y - 3, 2 y)")],
)  # fmt: skip
def test_matrices_in_words(matrix: Affine, text: str) -> None:
    frame = Frame(matrix, SlideFile("a.svs", None, 2, None, None, "unclear"))
    assert place_text(frame.to_json()) == (
        f"a.svs, series 2, as it is: (x, y) at {text} of level 0 or of its scanned part"
    )


# -- a slide under a mask -----------------------------------------------------------------------


def mask_with(path: Path, frame: Frame, pixels: np.ndarray) -> Path:
    write(path, pixels, extra={"frame": json.dumps(frame.to_json())}, pixel_size=None)
    return path


def picture(cli: Cli, mask: Path, slide: Path) -> tuple[np.ndarray, str]:
    code, _, err = cli("view", mask, "--slide", slide, "--opacity", 0, "--save", "a.png")
    assert code == 0, err
    with Image.open("a.png") as image:
        return np.asarray(image), err


def test_the_slide_under_a_mask_of_a_turned_crop(tmp_path: Path, qpmask_cli: Cli) -> None:
    """Sizes would say nothing: a square crop, turned by 90 degrees."""
    pixels = gradient(300, 500)
    slide = write_slide(tmp_path / "slide.tif", pixels)
    image = np.rot90(pixels, -1)[100:200, 50:150]
    matrix = Affine(0, 1, 0, -1, 0, 300) @ Affine.shift(50, 100)
    frame = Frame(
        matrix, SlideFile("slide.tif", "Bio-Formats", 0, None, Size(500, 300)), ("turned",)
    )
    shown, err = picture(
        qpmask_cli, mask_with(tmp_path / "m.ome.tif", frame, np.ones((100, 100), np.uint8)), slide
    )
    np.testing.assert_array_equal(shown[:100, :100], image)
    assert "as QuPath shows it: turned" in err


def test_the_series_that_the_image_is_is_opened(tmp_path: Path, qpmask_cli: Cli) -> None:
    first, second = gradient(60, 80), gradient(90, 70)[::-1]
    with tifffile.TiffWriter(tmp_path / "s.ome.tif", ome=True) as tif:
        for pixels in (first, second):
            tif.write(np.ascontiguousarray(pixels), photometric="rgb")
    frame = Frame(Affine(), SlideFile("s.ome.tif", "Bio-Formats", 1, None, Size(70, 90)))
    mask = mask_with(tmp_path / "m.ome.tif", frame, np.ones((90, 70), np.uint8))
    shown, err = picture(qpmask_cli, mask, tmp_path / "s.ome.tif")
    np.testing.assert_array_equal(shown[:90, :70], second)
    assert "series 1" in err
    plain = write_slide(tmp_path / "plain.tif", gradient(90, 70))
    code, _, err = qpmask_cli("view", mask, "--slide", plain, "--save", "b.png")
    assert code == 2 and "Series 1" in err


def test_a_slide_that_qupath_cut_to_its_scanned_part(
    tiny: Path, tmp_path: Path, qpmask_cli: Cli
) -> None:
    """The project does not say where that lies; the slide does, where it is there."""
    pytest.importorskip("openslide", reason="only OpenSlide knows bounds")
    pixels = gradient(48, 64)
    slide = write_scn(tmp_path / "a.scn", pixels, 100, 40, (400, 300))

    def change(data: dict[str, Any]) -> None:
        builder = projects.entry(data, ROTATED)["serverBuilder"]
        name = "qupath.lib.images.servers.openslide.OpenslideServerBuilder"
        builder.update(uri=slide.as_uri(), providerClassName=name, args=[])

    projects.keep(tiny, ROTATED)
    projects.edit(tiny, change)
    (record,) = export(tiny, tmp_path / "out")
    assert sum("cut to 64 x 48 pixels at x 100, y 40" in text for text in record.warnings) == 1
    path = tmp_path / "out" / record.mask
    with open_mask(path) as mask:
        assert mask.frame is not None
        assert mask.frame.to_file(Size(400, 300)) == Affine.shift(100, 40)
    shown, _ = picture(qpmask_cli, path, slide)
    np.testing.assert_array_equal(shown[:48, :64], pixels)
    assert [r.status for r in export(tiny, tmp_path / "out")] == ["skipped"]
    # Without the slide the mask says what it counts from, and the viewer asks the slide.
    slide.rename(tmp_path / "b.scn")
    (record,) = export(tiny, tmp_path / "other")
    with open_mask(tmp_path / "other" / record.mask) as mask:
        assert mask.frame is not None and mask.frame.to_json()["origin"] == "scanned part"
    shown, err = picture(qpmask_cli, tmp_path / "other" / record.mask, tmp_path / "b.scn")
    np.testing.assert_array_equal(shown[:48, :64], pixels)
    assert "scanned part" in err


# -- the record ---------------------------------------------------------------------------------

sizes = st.builds(Size, st.integers(1, 2**31 - 1), st.integers(1, 2**31 - 1))
numbers = st.floats(-1e9, 1e9).map(lambda value: value + 0.0)
files = st.builds(
    SlideFile,
    st.sampled_from(["a.svs", "%C3%A4%20%23.tif"]),
    st.sampled_from(["OpenSlide", "Bio-Formats", None]),
    st.none() | st.integers(0, 9),
    st.none() | st.text(max_size=5),
    st.none() | sizes,
    st.sampled_from(["no", "yes", "unclear"]),
)


@given(
    st.builds(Affine, *[numbers] * 6).filter(lambda m: abs(m.determinant) > 1e-6),
    files,
    st.lists(st.text(), max_size=3).map(tuple),
)
def test_a_frame_survives_json(matrix: Affine, file: SlideFile, steps: tuple[str, ...]) -> None:
    frame = Frame(matrix, file, steps, None, ("note",))
    back = frame_from_json(json.loads(json.dumps(frame.to_json())))
    assert back == frame
    assert frame_from_json(Frame(None, file, unknown="why").to_json()) == Frame(
        None, file, unknown="why"
    )


@pytest.mark.parametrize(
    "raw",
    [None, 5, "x", [], {}, {"mask_to_file": [1, 2]}, {"mask_to_file": [0, 0, 0, 0, 0, 0]},
     {"mask_to_file": [1, 0, float("nan"), 0, 1, 0]}, {"mask_to_file": ["a"] * 6},
     {"mask_to_file": [1, 0, 0, 0, 1, 0], "file": "a", "origin": "the moon"}],
)  # fmt: skip
def test_what_is_no_frame_is_none(raw: Any) -> None:
    assert frame_from_json(raw) is None


# -- masks against one another ------------------------------------------------------------------


def test_masks_of_other_parts_of_a_slide_are_not_compared(tmp_path: Path) -> None:
    """They have the same size: at 180 degrees, or in a crop that was moved."""
    pixels = np.ones((40, 60), np.uint8)
    file = SlideFile("a.svs", "Bio-Formats", 0, None, Size(100, 80))
    masks = {
        name: mask_with(tmp_path / f"{name}.ome.tif", Frame(matrix, file, (name,)), pixels)
        for name, matrix in {
            "here": Affine.shift(10, 20),
            "turned": Affine(-1, 0, 70, 0, -1, 60),
            "moved": Affine.shift(13, 20),
        }.items()
    }
    half = mask_with(
        tmp_path / "half.ome.tif",
        Frame(Affine.shift(10, 20) @ Affine.scale(2), file, ("half",)),
        pixels[::2, ::2],
    )
    assert compare_masks(masks["here"], half).equal
    for name in ("turned", "moved"):
        with pytest.raises(MaskError, match=f"another part of the slide.*{name}"):
            compare_masks(masks["here"], masks[name])
