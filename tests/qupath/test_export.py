"""Whole exports through QuPath: what appears in the folder."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import hash_tree
from exports import TINY_CLASSES, files, statuses

from qpmask import check_mask, export_masks, export_options
from qpmask.classes import ClassMap, load_class_map
from qpmask.errors import UnmappedClassError
from qpmask.ometiff.layout import single_tiles
from qpmask.ometiff.reader import MaskFile

pytestmark = [pytest.mark.qupath, pytest.mark.usefixtures("qupath")]


# -- what comes out -----------------------------------------------------------------------------


def test_the_demo_project(demo: Path, tmp_path: Path) -> None:
    before = hash_tree(demo)
    out = tmp_path / "masks"
    report = export_masks(demo, out)
    assert report.ok
    assert hash_tree(demo) == before, "the project was written to"
    names = [f"Prostate {letter}.ome.tif" for letter in "ABC"]
    assert files(out) == {
        *names, *(f"{n}.json" for n in names), "areas.csv", "classes.yaml",
        "report.json", "report.csv",
    }  # fmt: skip
    for name in names:
        assert check_mask(out / name).ok
        with MaskFile(out / name) as mask:
            assert (mask.size.width_px, mask.size.height_px) == (3000, 2200)
            assert mask.dtype == np.uint8
            assert mask.metadata is not None and mask.metadata.pixel_size is not None
            assert mask.metadata.pixel_size.width_um == 0.5
            by_name = {c.name: c.label for c in mask.metadata.classes}
            assert by_name["Stroma"] == 1
            # Classes that are not on the project's list come after it, by name.
            assert by_name["Adipose tissue"] == 12
            assert by_name["Seminal vesicle"] == 13
            assert by_name["Tumor: Positive"] == 14
            assert "Ignore*" not in by_name
    saved = json.loads((out / "report.json").read_text("utf-8"))
    assert saved["ok"] and saved["engine"]["name"] == "qupath"
    with (out / "report.csv").open(newline="", encoding="utf-8") as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["done"] * 3
    assert any("Ignore*" in w for w in report.warnings)
    first, _, third = report
    assert any("1 object without a class left out" in w for w in first.warnings)
    assert third.slide == "missing"
    assert first.slide.endswith("A.ome.tif")


def test_the_sidecar_counts_what_is_in_the_mask(tiny: Path, tmp_path: Path) -> None:
    export_masks(tiny, tmp_path / "m", TINY_CLASSES, export_options(images=("squares*",)))
    path = tmp_path / "m" / "squares.ome.tif"
    sidecar = json.loads(path.with_name(path.name + ".json").read_text("utf-8"))
    with MaskFile(path) as mask:
        labels, counts = np.unique(mask.read(), return_counts=True)
    assert sidecar["pixels"] == {
        str(label): count for label, count in zip(labels.tolist(), counts.tolist(), strict=True)
    }
    rows = {c["name"]: c for c in sidecar["classes"]}
    assert rows["Beta"]["pixels"] == sidecar["pixels"]["2"]
    assert rows["Beta"]["objects"] == 2
    assert rows["Beta"]["area_mm2"] == pytest.approx(sidecar["pixels"]["2"] * 0.25e-6)
    assert sidecar["mask"]["bytes"] == path.stat().st_size


@pytest.mark.parametrize("compression", ["lzw", "zlib", "zstd", "none"])
@pytest.mark.parametrize("pyramid", [True, False])
def test_compression_and_pyramid_change_no_label(
    demo: Path, tmp_path: Path, compression: Any, pyramid: bool
) -> None:
    options = export_options(images=("*A",), tile_px=256, compression=compression, pyramid=pyramid)
    assert export_masks(demo, tmp_path / "m", options=options).ok
    with MaskFile(tmp_path / "m" / "Prostate A.ome.tif") as mask:
        assert mask.compression == compression
        assert len(mask.levels) == (5 if pyramid else 1)
        level0 = mask.read()
        for k in range(len(mask.levels)):
            np.testing.assert_array_equal(mask.read(level=k), level0[:: 2**k, :: 2**k])
    plain = export_options(images=("*A",), tile_px=256)
    export_masks(demo, tmp_path / "plain", options=plain)
    with MaskFile(tmp_path / "plain" / "Prostate A.ome.tif") as mask:
        np.testing.assert_array_equal(mask.read(), level0)


def test_a_pixel_size_decides_the_downsample(demo: Path, tmp_path: Path) -> None:
    report = export_masks(demo, tmp_path / "m", options=export_options(images=("*C",), mpp=2.0))
    (record,) = report
    assert (record.width_px, record.height_px, record.downsample) == (750, 550, 4.0)
    assert record.pixel_width_um == 2.0


def test_instances_come_with_their_table(tiny: Path, tmp_path: Path) -> None:
    options = export_options(images=("cells*",), objects="cells", instances=True)
    assert export_masks(tiny, tmp_path / "m", options=options).ok
    with (tmp_path / "m" / "cells.ome.tif.instances.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["label"], r["class"]) for r in rows] == [("1", "Alpha"), ("2", "Beta")]
    assert [float(rows[1][k]) for k in ("x_px0", "y_px0", "width_px0", "height_px0")] == [
        18, 2, 12, 12,
    ]  # fmt: skip
    assert all(len(r["object_id"]) == 36 for r in rows)


def test_channels_are_named_by_their_class(tiny: Path, tmp_path: Path) -> None:
    options = export_options(images=("squares*",), multichannel=True, unknown="ignore")
    assert export_masks(tiny, tmp_path / "m", {"Beta": 4, "Alpha": 1}, options).ok
    with MaskFile(tmp_path / "m" / "squares.ome.tif") as mask:
        assert mask.metadata is not None
        assert mask.metadata.channel_names == ("Beta", "Alpha")
        assert mask.n_planes == 2
    from qpmask.report.foldercheck import check_output

    assert check_output(tmp_path / "m" / "squares.ome.tif", needs_sidecar=True).problems == ()


# -- classes ------------------------------------------------------------------------------------


def test_a_class_that_the_map_lacks_stops_before_anything_is_written(
    tiny: Path, tmp_path: Path
) -> None:
    with pytest.raises(UnmappedClassError, match=r"'Gamma' \(1 object in 1 image; .*'gamma'"):
        export_masks(
            tiny, tmp_path / "m", {"Alpha": 1, "Beta": 2, "gamma": 3},
            export_options(images=("squares*",)),
        )  # fmt: skip
    assert not (tmp_path / "m").exists()


def test_labels_stay_when_the_project_gets_new_classes(demo: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    export_masks(demo, out, options=export_options(images=("*C",)))
    first = load_class_map(out / "classes.yaml")
    path = demo / "classifiers" / "classes.json"
    data = json.loads(path.read_text("utf-8"))
    data["pathClasses"].insert(0, {"name": "Brand new", "color": -1})
    path.write_text(json.dumps(data), "utf-8")
    export_masks(demo, out, options=export_options(images=("*C",)))
    second = load_class_map(out / "classes.yaml")
    assert second.entries[: len(first.entries)] == first.entries
    added = {e.name for e in second.entries[len(first.entries) :]}
    assert "Brand new" in added


def test_masks_of_another_class_map_in_the_folder_are_named(demo: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    export_masks(demo, out, options=export_options(images=("*C",)))
    report = export_masks(
        demo, out, {"Stroma": 1}, export_options(images=("*A",), unknown="ignore")
    )
    assert any("Prostate C.ome.tif" in w and "another class map" in w for w in report.warnings)


def test_the_class_map_as_used_is_saved(demo: Path, tmp_path: Path) -> None:
    chosen = ClassMap((), origin="x")
    with pytest.raises(UnmappedClassError):
        export_masks(demo, tmp_path / "m", chosen)
    export_masks(demo, tmp_path / "m", {"Stroma": 3}, export_options(unknown="ignore"))
    saved = load_class_map(tmp_path / "m" / "classes.yaml")
    assert [(e.label, e.name) for e in saved.entries] == [(3, "Stroma")]
    # The next run without a map takes it, and is as strict as with the map itself.
    with pytest.raises(UnmappedClassError):
        export_masks(demo, tmp_path / "m")


# -- two engines --------------------------------------------------------------------------------


def test_both_engines_agree_on_the_demo(demo: Path, tmp_path: Path) -> None:
    report = export_masks(demo, tmp_path / "m", options=export_options(engine="both"))
    assert report.ok
    sidecar = json.loads((tmp_path / "m" / "Prostate B.ome.tif.json").read_text("utf-8"))
    assert sidecar["engine"]["name"] == "qupath" and sidecar["verified_by"] == "native"
    # A mask that one engine alone has made does not stand for one that both have.
    export_masks(demo, tmp_path / "one", options=export_options(engine="qupath", images=("*C",)))
    both = export_options(engine="both", images=("*C",))
    assert statuses(export_masks(demo, tmp_path / "one", options=both)) == {"Prostate C": "done"}


def test_engines_that_do_not_agree_keep_no_mask(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qpmask.engines.native import engine

    real = engine._NativeRendering.tiles

    def other(self: Any) -> Iterator[Any]:
        for number, tile in enumerate(single_tiles(real(self))):
            if number == 7 and not isinstance(tile, int):
                tile[100, 50] ^= 1
            yield tile

    monkeypatch.setattr(engine._NativeRendering, "tiles", other)
    options = export_options(engine="both", images=("*A",))
    (record,) = export_masks(demo, tmp_path / "m", options=options)
    assert record.status == "failed" and record.error is not None
    assert "1 of 6,600,000 pixels differ, the first at (562, 612)" in record.error
    assert not list((tmp_path / "m").glob("*.tif"))


def test_automatically_each_image_has_an_engine_that_holds_its_labels(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """QuPath draws what it can; the limit is lowered, so that small images go beyond it."""
    monkeypatch.setattr("qpmask.engines.base.QUPATH_MAX_LABEL", 5)
    options = export_options(engine="auto", instances=True, images=("squares*", "cells*"))
    report = export_masks(tiny, tmp_path / "m", options=options)
    drawn_by = {r.image: (r.engine or "").split()[0] for r in report}
    assert drawn_by == {"squares.ome.tif": "native", "cells.ome.tif": "qupath"}
    assert any("drawn by the native engine" in warning for warning in report.warnings)
    assert {r.status for r in export_masks(tiny, tmp_path / "m", options=options)} == {"skipped"}
