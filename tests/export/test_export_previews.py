"""Pictures of masks: what is made, what the next run keeps, and what may fail without the mask."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import projects
import pytest
import tifffile
from conftest import Cli
from exports import files
from PIL import Image
from slides.slide_samples import gradient, write_slide

from qpmask import export_masks, export_options, open_mask
from qpmask.errors import MissingExtraError, OptionsError
from qpmask.events import ImageFinished
from qpmask.export import previews
from qpmask.report import Report
from qpmask.viewer import requirements

ALL = {"contact_sheet.png", *(f"previews/Prostate {letter}.png" for letter in "ABC")}

CUT = {"x": 17, "y": 9, "width": 40, "height": 30, "z": 0, "t": 0}


def export(project: Path, out: Path, **options: object) -> Report:
    values = export_options(engine="native", previews=True, **options)  # type: ignore[arg-type]
    return export_masks(project, out, options=values)


def pictures(out: Path) -> dict[str, int]:
    """When each picture was last written, by its name below the folder."""
    return {name: (out / name).stat().st_mtime_ns for name in files(out) if name.endswith(".png")}


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def test_a_picture_a_mask_and_one_sheet(demo: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    report = export(demo, out)
    assert report.ok and set(pictures(out)) == ALL
    assert not any("preview" in text for record in report for text in record.warnings)
    with_slide, without = (pixels(out / "previews" / f"Prostate {n}.png") for n in "AC")
    corner = with_slide[2:20, 2:20]
    assert (corner != 255).any(), "the slide's glass, not paper"
    assert (without[2:20, 2:20] == 255).all(), "the slide of C is not there"
    sheet = pixels(out / "contact_sheet.png")
    assert sheet.shape[1] < 500 and (sheet != 255).any()
    assert not (out / ".qpmask").exists()


def test_the_next_run_makes_what_is_missing_or_no_longer_holds(demo: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    export(demo, out)
    first = pictures(out)
    export(demo, out)
    assert pictures(out) == first, "nothing changed, nothing was made"

    (out / "previews" / "Prostate B.png").unlink()
    export(demo, out)
    again = pictures(out)
    assert {name for name in ALL if again[name] != first[name]} == {"previews/Prostate B.png"}

    (demo / "slides" / "B.ome.tif").rename(demo / "slides" / "moved.tif")
    export(demo, out)
    moved = pictures(out)
    changed = {name for name in ALL if moved[name] != again[name]}
    assert changed == {"previews/Prostate B.png", "contact_sheet.png"}, "now without the slide"

    (out / "previews" / "Prostate A.png").write_bytes(b"no picture")
    export(demo, out, force=True)
    assert pixels(out / "previews" / "Prostate A.png").shape[1] > 500


def test_other_pixels_are_another_picture(demo: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    projects.keep(demo, "Prostate A")
    export(demo, out)
    before = pictures(out)
    export(demo, out, downsample=2.0)
    assert all(when != before[name] for name, when in pictures(out).items())


def test_a_slide_that_cannot_be_used_is_said(demo: Path, tmp_path: Path) -> None:
    tifffile.imwrite(demo / "slides" / "A.ome.tif", np.zeros((64, 80, 3), np.uint8))
    report = export(demo, tmp_path / "m", images="*A")
    (record,) = report
    assert record.ok and "without the slide" in record.warnings[-1]
    assert set(pictures(tmp_path / "m")) == {"contact_sheet.png", "previews/Prostate A.png"}


@pytest.mark.parametrize(
    ("kind", "size", "more", "shown"),
    [
        ("rotated", (64, 48), {"rotation": "ROTATE_180"}, lambda p: p[::-1, ::-1]),
        ("rotated", (48, 64), {"rotation": "ROTATE_90"}, lambda p: np.rot90(p, -1)),
        ("cropped", (40, 30), {"region": CUT}, lambda p: p[9:39, 17:57]),
    ],
    ids=["turned", "turned by 90", "cropped"],
)
def test_the_slide_lies_as_qupath_shows_it(
    tiny: Path, tmp_path: Path, kind: str, size: tuple[int, int], more: dict[str, Any],
    shown: Callable[[np.ndarray], np.ndarray],
) -> None:  # fmt: skip
    name, whole = "squares.ome.tif", gradient(48, 64)
    slide = write_slide(tmp_path / "slide.tif", whole)

    def change(data: dict[str, Any]) -> None:
        projects.entry(data, name)["serverBuilder"]["uri"] = slide.as_uri()

    projects.keep(tiny, name)
    projects.edit(tiny, change)
    projects.wrap(tiny, name, kind, *size, **more)
    out = tmp_path / "m"
    (record,) = export(tiny, out, unknown="ignore")
    assert record.mask is not None and not any("preview" in text for text in record.warnings)
    with open_mask(out / record.mask) as mask:
        glass = mask[:, :] == 0
    assert glass.any()
    found = pixels(out / "previews" / "squares.png")[: size[1], : size[0]]
    np.testing.assert_array_equal(found[glass], shown(whole)[glass])


def test_a_picture_that_fails_leaves_the_mask_and_the_older_picture(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "m"
    export(demo, out)
    before = pictures(out)

    def fail(*args: object) -> None:
        raise OptionsError("No ink.")

    monkeypatch.setattr(previews, "page_of", fail)
    report = export(demo, out, downsample=2.0)
    assert report.ok and report.count("done") == 3
    assert all("There is no preview: No ink." in r.warnings[-1] for r in report)
    assert pictures(out) == before
    monkeypatch.undo()
    monkeypatch.setattr(previews, "contact_sheet", fail)
    assert "contact sheet: No ink." in export(demo, out, downsample=2.0).warnings[-1]


def test_without_the_extra_nothing_is_begun(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requirements, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="matplotlib"):
        export(demo, tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_the_command(qpmask_cli: Cli, demo: Path) -> None:
    code, _, _ = qpmask_cli(
        "export", demo, "-o", "m", "--engine", "native", "--previews", "--images", "*C"
    )
    assert code == 0 and Path("m/contact_sheet.png").is_file()


def test_a_run_that_is_stopped_goes_on_with_the_pictures(demo: Path, tmp_path: Path) -> None:
    stop = threading.Event()

    def after_the_first(event: object) -> None:
        if isinstance(event, ImageFinished):
            stop.set()

    out, options = tmp_path / "m", export_options(engine="native", previews=True)
    report = export_masks(demo, out, options=options, progress=after_the_first, stop=stop)
    assert report.interrupted
    first = pictures(out)
    assert set(first) == {"previews/Prostate A.png"}, "no sheet of some of the masks"
    assert not [name for name in files(out) if ".part" in name]
    export(demo, out)
    assert set(pictures(out)) == ALL
    assert pictures(out)["previews/Prostate A.png"] == first["previews/Prostate A.png"]
