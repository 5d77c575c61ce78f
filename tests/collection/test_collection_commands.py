"""Collections where TIFFs go: export, resume, check, compare, info, view, open_mask."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import DEMO, Cli
from handmade_projects import with_objects
from qpdata.qpdata_builder import Obj, Roi

from qpmask import (
    MaskCollection,
    compare_masks,
    export_masks,
    export_options,
    open_mask,
    save_picture,
)
from qpmask.collection.check import check_collection
from qpmask.errors import MaskError, OptionsError

NAME = "Prostate A"


def exported(folder: Path, **options: Any) -> Path:
    report = export_masks(
        DEMO, folder, options=export_options(engine="native", images=NAME, **options)
    )
    assert report.ok
    (record,) = report
    assert record.mask is not None
    return folder / record.mask


@pytest.fixture(scope="module")
def masks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same image in each format."""
    folder = tmp_path_factory.mktemp("exports")
    made = {f: exported(folder / f, format=f) for f in ("ome-tiff", "ozx", "ome-zarr")}
    for name, options in {
        "planes": {"multichannel": True},
        "planes-ozx": {"multichannel": True, "format": "ozx"},
        "cells": {"instances": True},
        "cells-ozx": {"instances": True, "format": "ozx"},
    }.items():
        made[name] = exported(folder / name, **options)
    return made


@pytest.mark.parametrize("kind", ["ozx", "ome-zarr"])
def test_an_export_has_the_pixels_names_and_colours_of_the_tiff(
    kind: str, masks: dict[str, Path]
) -> None:
    assert masks[kind].name == NAME + {"ozx": ".ozx", "ome-zarr": ".ome.zarr"}[kind]
    with open_mask(masks["ome-tiff"]) as tiff, open_mask(masks[kind]) as mask:
        assert np.array_equal(mask[:], tiff[:])
        assert mask.dtype == tiff.dtype
        assert mask.classes == tiff.classes
        assert mask.mpp == tiff.mpp
        assert mask.frame == tiff.frame
        assert mask.areas() == tiff.areas()
        assert mask.present((500, 400, 900, 700)) == tiff.present((500, 400, 900, 700))
        for step in (1, 2, 4, 8, 16):
            assert np.array_equal(
                mask.region(0, 0, 3000, 2200, step), tiff.region(0, 0, 3000, 2200, step)
            )
        for tile in mask.tiles_with("Tumor"):
            height, width = tile.pixels.shape
            part = tiff.region(tile.x_px, tile.y_px, width, height)
            assert np.array_equal(tile.pixels, part)
        again = pickle.loads(pickle.dumps(mask))
        assert np.array_equal(again.binary("Tumor")[:], tiff.binary("Tumor")[:])


def test_classes_that_overlap_keep_all_pixels(masks: dict[str, Path]) -> None:
    with open_mask(masks["planes"]) as planes, MaskCollection(masks["planes-ozx"]) as found:
        assert planes.metadata is not None
        assert found.names() == planes.metadata.channel_names
        for number, name in enumerate(found.names()):
            assert np.array_equal(found[name][:], planes.plane(number)[:] == 255)
    with open_mask(masks["planes-ozx"]) as flat, MaskCollection(masks["planes-ozx"]) as found:
        one = flat.plane("Tumor")
        assert np.array_equal(one[:] != 0, found["Tumor"][:])
        assert one.present() == (0, found.row("Tumor").label)


def test_instances_are_one_mask_of_labels(masks: dict[str, Path]) -> None:
    with open_mask(masks["cells"]) as tiff, MaskCollection(masks["cells-ozx"]) as found:
        assert found.names() == ("objects",)
        assert np.array_equal(found["objects"][:], tiff[:])


@pytest.mark.parametrize("kind", ["ozx", "ome-zarr"])
def test_a_second_run_skips_and_a_damaged_one_is_made_again(kind: str, tmp_path: Path) -> None:
    path = exported(tmp_path, format=kind)
    options = export_options(engine="native", images=NAME, format=kind)  # type: ignore[arg-type]
    assert [r.status for r in export_masks(DEMO, tmp_path, options=options)] == ["skipped"]
    target = path if path.is_file() else path / "0" / "c" / "0" / "0"
    data = bytearray(target.read_bytes())
    data[len(data) // 2] ^= 1
    target.write_bytes(data)
    assert [r.status for r in export_masks(DEMO, tmp_path, options=options)] == ["done"]
    assert [r.status for r in export_masks(DEMO, tmp_path, options=options)] == ["skipped"]
    assert not (tmp_path / ".qpmask").exists()


def test_a_mask_in_two_formats_is_said(tmp_path: Path) -> None:
    other = exported(tmp_path)
    assert other.name.endswith(".ome.tif")
    options = export_options(engine="native", images=NAME, format="ozx")
    report = export_masks(DEMO, tmp_path, options=options)
    assert any(other.name in text and "another format" in text for text in report.warnings)
    assert other.exists()


def test_check_finds_damage_and_what_is_missing(qpmask_cli: Cli, tmp_path: Path) -> None:
    exported(tmp_path, format="ozx")
    path = exported(tmp_path, format="ome-zarr")
    assert qpmask_cli("check", str(tmp_path))[0] == 0
    shutil.rmtree(path / "0" / "c")
    code, out, _ = qpmask_cli("check", str(tmp_path))
    assert code == 1
    assert "INVALID" in out and "Tumor" in out


def test_compare(masks: dict[str, Path], tmp_path: Path) -> None:
    assert compare_masks(masks["ome-tiff"], masks["ozx"]).equal
    assert compare_masks(masks["ozx"], masks["ome-zarr"]).equal
    other = tmp_path / "other.ozx"
    shutil.copy(masks["ozx"], other)
    with MaskCollection(other, "a") as changed:
        tumor = MaskCollection(other)["Tumor"][:]
        tumor[:100] = True
        n = int(tumor.sum())
        changed.add("Tumor", tumor, replace=True)
        changed.add("only here", tumor)
    found = compare_masks(masks["ozx"], other, by="name")
    assert not found.equal
    (score,) = [s for s in found.scores if s.name == "Tumor"]
    assert score.dice == pytest.approx(2 * (n - 300_000) / (2 * n - 300_000), rel=1e-2)
    assert any("only here" in note for note in found.notes)


def test_folders_of_collections_are_compared(
    qpmask_cli: Cli, masks: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(masks["ozx"].parent, tmp_path / "b")
    shutil.copytree(masks["ome-zarr"], tmp_path / "b" / masks["ome-zarr"].name)
    code, out, _ = qpmask_cli("compare", str(masks["ozx"].parent), str(tmp_path / "b"))
    assert code == 1
    assert f"equal     {masks['ozx'].name}" in out
    assert f"DIFFERENT {masks['ome-zarr'].name}" in out
    whole = masks["ome-zarr"], tmp_path / "b" / masks["ome-zarr"].name
    assert qpmask_cli("compare", *map(str, whole))[0] == 0  # folders, but each is one mask


def test_info_and_view(qpmask_cli: Cli, masks: dict[str, Path], tmp_path: Path) -> None:
    code, out, _ = qpmask_cli("info", str(masks["planes-ozx"]))
    assert code == 0
    assert "Tumor" in out and "3,000 x 2,200" in out
    code, out, _ = qpmask_cli("info", str(masks["ome-zarr"]), "--json")
    rows = {row["name"]: row for row in json.loads(out)["masks"]}
    with open_mask(masks["ome-tiff"]) as tiff:
        assert rows["Tumor"]["pixels"] == tiff.counts()[rows["Tumor"]["label"]]
    pytest.importorskip("matplotlib")
    for kind in ("ome-tiff", "ozx"):
        save_picture(masks[kind], tmp_path / f"{kind}.png")
    assert (tmp_path / "ozx.png").stat().st_size > 1000


def test_what_collections_cannot_do_is_said(masks: dict[str, Path], tmp_path: Path) -> None:
    with open_mask(masks["ozx"]) as mask:
        with pytest.raises(OptionsError, match="Zarr store itself"):
            mask.aszarr()
        with pytest.raises(OptionsError, match=r"Tumour.*Tumor"):
            mask.binary("Tumour")
    with pytest.raises(MaskError, match="closed"):
        mask[:5]
    with pytest.raises(OptionsError, match="simpleitk"):
        export_options(format="ozx", made_for="simpleitk")


@pytest.mark.parametrize("multichannel", [True, False])
def test_classes_of_a_project_keep_their_names(multichannel: bool, tmp_path: Path) -> None:
    names = ("Immune/CD8", "Tumor", "tumor", "Tumor: Positive", "a\\b")
    objects = [
        Obj(
            roi=Roi("RectangleROI", (2 + 7 * i, 1, 11 + 7 * i, 10)),
            path_class=tuple(name.split(": ")),
        )
        for i, name in enumerate(names)
    ]
    project = with_objects(tmp_path / "p", objects, (48, 24))
    options = export_options(engine="native", format="ozx", multichannel=multichannel)
    (record,) = export_masks(project, tmp_path / "masks", options=options)
    assert record.status == "done" and record.mask is not None
    path = tmp_path / "masks" / record.mask
    assert check_collection(path).ok
    tiff = export_options(engine="native", multichannel=multichannel)
    (record,) = export_masks(project, tmp_path / "tiff", options=tiff)
    assert record.mask is not None
    with MaskCollection(path) as masks, open_mask(tmp_path / "tiff" / record.mask) as same:
        assert set(masks.names()) == set(names)
        for name in names:
            want = same.plane(name)[:] == 255 if multichannel else same.binary(name)[:]
            assert want.any() and np.array_equal(masks[name][:], want), name
        entries = list(masks.container.names())
    assert len({entry.casefold() for entry in entries}) == len(entries)
