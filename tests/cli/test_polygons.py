"""``qpmask polygons``: what comes out, what is skipped, what is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import shapely
import tifffile
from conftest import DEMO, Cli

from qpmask import MaskWriter

MASK = np.kron(np.array([[0, 1, 1], [2, 1, 0]], np.uint8), np.ones((40, 50), np.uint8))


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    path = tmp_path / "slide.ome.tif"
    classes = {"Stroma": 1, "Tumor": 2}
    with MaskWriter(path, 150, 80, classes=classes, mpp=0.5) as writer:
        writer.write(0, 0, MASK)
    return path


def features(path: Path) -> list[dict]:
    data = path.read_bytes()
    text = gzip.decompress(data) if path.name.endswith(".gz") else data
    return json.loads(text)["features"]


def test_a_mask_becomes_a_file(mask: Path, qpmask_cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "out" / "slide.geojson"

    code, shown, _ = qpmask_cli("polygons", mask, "-o", out)

    assert code == 0
    assert "Stroma 1, Tumor 1" in shown
    stroma, tumor = features(out)
    assert stroma["properties"]["classification"]["name"] == "Stroma"
    assert len(stroma["properties"]["classification"]["color"]) == 3
    assert tumor["geometry"]["coordinates"] == [[[0, 80], [0, 40], [50, 40], [50, 80], [0, 80]]]
    assert sorted(p.name for p in out.parent.iterdir()) == ["slide.geojson"]


def test_what_still_holds_is_skipped(mask: Path, qpmask_cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "a.geojson.gz"
    qpmask_cli("polygons", mask, "-o", out)
    before = out.stat()

    code, shown, _ = qpmask_cli("polygons", mask, "-o", out, "--json")
    (record,) = json.loads(shown)["files"]
    assert (code, record["status"], record["objects"]) == (0, "skipped", 2)
    assert out.stat().st_mtime_ns == before.st_mtime_ns

    code, shown, _ = qpmask_cli("polygons", mask, "-o", out, "--class", "tumor", "--json")
    assert code == 1
    assert "Did you mean 'Tumor'" in json.loads(shown)["files"][0]["error"]
    qpmask_cli("polygons", mask, "-o", out, "--class", "Tumor")
    assert len(features(out)) == 1


def test_a_file_of_others_stays(mask: Path, qpmask_cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "mine.geojson"
    out.write_text('{"type": "FeatureCollection", "features": []}')

    code, _, said = qpmask_cli("polygons", mask, "-o", out)

    assert code == 1
    assert "--force" in said
    assert out.read_text().endswith("[]}")
    assert qpmask_cli("polygons", mask, "-o", out, "--force")[0] == 0
    assert len(features(out)) == 2


def test_a_folder_of_masks(mask: Path, qpmask_cli: Cli, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "other.tif", MASK)
    (tmp_path / "bad.tif").write_bytes(b"no TIFF")
    out = tmp_path / "out"

    code, _, said = qpmask_cli("polygons", tmp_path, "-o", out, "--gzip", "--split", "class")

    assert code == 1
    assert "bad.tif" in said
    assert sorted(p.name for p in out.iterdir()) == [
        "other.geojson.gz", "report.json", "slide.geojson.gz"
    ]  # fmt: skip
    names = [f["properties"]["classification"]["name"] for f in features(out / "other.geojson.gz")]
    assert names == ["Label 1", "Label 2"]
    statuses = [f["status"] for f in json.loads((out / "report.json").read_text())["files"]]
    assert sorted(statuses) == ["done", "done", "failed"]


def test_a_dry_run_writes_nothing(mask: Path, qpmask_cli: Cli, tmp_path: Path) -> None:
    code, shown, _ = qpmask_cli("polygons", mask, "-o", tmp_path / "out", "--dry-run")

    assert code == 0
    assert "planned" in shown
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "options",
    [
        ("no such.tif", "-o", "a.geojson"),
        ("{mask}",),
        ("{mask}", "{other}", "-o", "a.geojson"),
        ("{mask}", "-o", "a.geojson", "--frame", "file", "--downsample", "2"),
    ],
)
def test_what_makes_no_sense_is_refused(
    options: tuple[str, ...],
    mask: Path,
    qpmask_cli: Cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    other = tmp_path / "other.tif"
    tifffile.imwrite(other, MASK)

    code, _, said = qpmask_cli("polygons", *(o.format(mask=mask, other=other) for o in options))

    assert code == 2
    assert "error:" in said
    assert not (tmp_path / "a.geojson").exists()


def test_masks_of_a_project(qpmask_cli: Cli, tmp_path: Path) -> None:
    """Classes in channels, and instances with their ids, names and classes."""
    export = ("export", DEMO, "--images", "Prostate A", "--engine", "native", "-q", "-o")
    qpmask_cli(*export, tmp_path / "many", "--multichannel")
    qpmask_cli(*export, tmp_path / "each", "--instances")
    qpmask_cli(*export, tmp_path / "one")

    for name in ("many", "each", "one"):
        assert qpmask_cli("polygons", tmp_path / name, "-o", tmp_path / "polygons" / name)[0] == 0

    many, each, one = (
        json.loads((tmp_path / "polygons" / name / "Prostate A.geojson").read_text())
        for name in ("many", "each", "one")
    )
    assert one["qpmask"]["image"] == "Prostate A"
    names = [
        {f["properties"].get("classification", {}).get("name") for f in found["features"]}
        for found in (one, many, each)
    ]
    assert len(names[0]) > 2 and names[0] == names[1] == names[2] - {None}
    assert all(len(f["id"]) == 36 for f in each["features"])


def test_simplified_polygons_say_how_many_pixels_change(qpmask_cli: Cli, tmp_path: Path) -> None:
    rows, cols = np.mgrid[:200, :200]
    disc = (((rows - 100) ** 2 + (cols - 100) ** 2 < 80**2) * (1 + (cols > 100))).astype(np.uint8)
    with MaskWriter(tmp_path / "m.ome.tif", 200, 200, classes={"A": 1, "B": 2}, mpp=0.5) as writer:
        writer.write(0, 0, disc)
    qpmask_cli("polygons", "m.ome.tif", "-o", "exact.geojson")

    code, _, said = qpmask_cli("polygons", "m.ome.tif", "-o", "less.geojson", "--simplify", "1")

    assert code == 0
    assert "of the pixels change" in said
    exact, less = (features(tmp_path / f"{name}.geojson") for name in ("exact", "less"))
    shapes = [[shapely.geometry.shape(f["geometry"]) for f in found] for found in (exact, less)]
    assert shapely.coverage_is_valid(shapes[1])
    assert sum(map(shapely.count_coordinates, shapes[1])) < 60
    assert sum(map(shapely.count_coordinates, shapes[0])) > 300
    assert abs(sum(s.area for s in shapes[1]) / sum(s.area for s in shapes[0]) - 1) < 0.02


def test_no_two_masks_go_into_one_file(tmp_path: Path, qpmask_cli: Cli) -> None:
    folders = [tmp_path / name for name in ("one", "two", "three")]
    for k, (folder, name) in enumerate(zip(folders, ("a", "a", "a_2"), strict=True), 1):
        folder.mkdir()
        with MaskWriter(folder / f"{name}.ome.tif", 150, 80, classes={f"C{k}": k}) as writer:
            writer.write(0, 0, np.where(MASK == 1, k, 0).astype(np.uint8))
    code, _, _ = qpmask_cli("polygons", *folders, "-o", tmp_path / "out")
    assert code == 0
    made = sorted((tmp_path / "out").glob("*.geojson"))
    found = {f["properties"]["classification"]["name"] for path in made for f in features(path)}
    assert (len(made), found) == (3, {"C1", "C2", "C3"})
