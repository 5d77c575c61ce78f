"""What a project says about its images: sizes and pixel sizes, wherever they are written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import projects
import pytest
from handmade_projects import BARE, CALIBRATION, UM, image, metadata, one, put, write

from qpmask.geometry import PixelSize, Size
from qpmask.project import open_project


def test_only_the_outermost_server_says_how_large_an_image_is(tmp_path: Path) -> None:
    """A rotated or cropped server has another size than what it wraps."""
    inner = {"builderType": "uri", "uri": "file:/s/a.svs", "providerClassName": "p.Inner",
             "args": ["--series", "3"], "metadata": metadata(100, 80)}  # fmt: skip
    rotated = {"builderType": "rotated", "rotation": "ROTATE_90", "builder": inner,
               "metadata": metadata(80, 100)}  # fmt: skip
    cropped = {"builderType": "cropped", "builder": rotated, "metadata": metadata(30, 20)}
    entry = one(tmp_path, serverBuilder=cropped)
    assert entry.size == Size(30, 20)
    assert entry.uris == ("file:/s/a.svs",)
    assert entry.provider == "p.Inner"


def test_arguments_belong_to_the_provider(tmp_path: Path) -> None:
    inner = {"builderType": "uri", "uri": "file:/s/a.svs", "providerClassName": "p.Inner",
             "args": ["--series", "3"]}  # fmt: skip
    rotated = {"builderType": "rotated", "builder": inner, "metadata": metadata()}
    assert one(tmp_path, serverBuilder=rotated).provider_args == ("--series", "3")


def test_an_inner_size_does_not_stand_in_for_a_missing_outer_one(tmp_path: Path) -> None:
    inner = {"builderType": "uri", "uri": "file:/s/a.svs", "metadata": metadata(100, 80)}
    entry = one(tmp_path, serverBuilder={"builderType": "rotated", "builder": inner})
    assert entry.size is None and entry.problem is not None


def test_all_slides_of_a_combined_image_are_known(tmp_path: Path) -> None:
    parts = [{"builderType": "uri", "uri": f"file:/s/{i}.svs"} for i in range(3)]
    sparse = {
        "builderType": "sparse", "metadata": metadata(),
        "regions": [{"region": {"x": 0}, "builder": {"builderType": "uri", "uri": "file:/s/9"}}],
        "builders": parts,
    }  # fmt: skip
    assert set(one(tmp_path, serverBuilder=sparse).uris) == {
        "file:/s/9", "file:/s/0.svs", "file:/s/1.svs", "file:/s/2.svs",
    }  # fmt: skip


def test_loops_cannot_be_written_but_depths_can(tmp_path: Path) -> None:
    builder: dict[str, Any] = {"builderType": "uri", "uri": "file:/s/a"}
    for _ in range(200):
        builder = {"builderType": "rotated", "builder": builder}
    assert one(tmp_path, serverBuilder={**builder, "metadata": metadata()}).size == Size(100, 80)


@pytest.mark.parametrize(
    "server",
    [
        {**BARE, "metadata": metadata(7, 5, pixelCalibration=CALIBRATION)},  # 0.2 to 0.4
        {"builder": BARE, "metadata": metadata(7, 5, pixelCalibration=CALIBRATION)},  # 0.5
        {"builder": {**BARE, "metadata": metadata(7, 5, pixelCalibration=CALIBRATION)}},
    ],
)
def test_the_server_file_says_what_the_project_does_not(tmp_path: Path, server: Any) -> None:
    put(tmp_path / "data" / "1" / "server.json", json.dumps(server))
    put(tmp_path / "data" / "1" / "summary.json", '{"server": {"width": 1, "height": 1}}')
    entry = one(tmp_path, serverBuilder=BARE)
    assert entry.size == Size(7, 5)
    assert entry.pixel_size == PixelSize(0.25, 0.5)
    assert entry.problem is None


def test_then_the_data_file_says_it(tiny: Path) -> None:
    """A data file that QuPath wrote; only its first lines are read."""

    def strip(data: dict[str, Any]) -> None:
        del data["images"][0]["serverBuilder"]["metadata"]

    projects.edit(tiny, strip)
    folder = tiny / "data" / "1"
    (folder / "server.json").unlink()
    (folder / "summary.json").write_text('{"server": {"width": 1, "height": 1}}')
    raw = (folder / "data.qpdata").read_bytes()
    entry = open_project(tiny).images[0]
    assert (entry.size, entry.pixel_size) == (Size(64, 48), PixelSize(0.5, 0.5))
    # Cut inside the text of the server: the next place is asked.
    (folder / "data.qpdata").write_bytes(raw[:400])
    assert open_project(tiny).images[0].size == Size(1, 1)


def data_file(server: str) -> bytes:
    """The beginning of a data file; the server as a long string if it has to be."""
    version = b"Data file version 4"
    block = len(version).to_bytes(2, "big") + version
    raw = server.encode()
    if len(raw) < 2**16:
        text = b"\x74" + len(raw).to_bytes(2, "big") + raw
    else:
        text = b"\x7c" + len(raw).to_bytes(8, "big") + raw
    return b"\xac\xed\x00\x05\x77" + bytes([len(block)]) + block + text


@pytest.mark.parametrize("padding", [0, 70_000])
def test_servers_with_many_channels_are_read_from_the_data_file(
    tmp_path: Path, padding: int
) -> None:
    server = {**BARE, "metadata": {"name": "x" * padding, **metadata(7, 5)}}
    text = json.dumps({"dataVersion": 3, "qupathVersion": "0.6.0", "server": server})
    put(tmp_path / "data" / "1" / "data.qpdata", data_file(text))
    assert one(tmp_path, serverBuilder=BARE).size == Size(7, 5)


def test_last_the_summary_says_it(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "1"
    put(folder / "server.json", "{broken")
    put(folder / "data.qpdata", b"\xac\xed\x00\x05")
    put(folder / "summary.json", json.dumps({"server": {**metadata(9, 8), "sizeZ": 4}}))
    entry = one(tmp_path, serverBuilder=BARE)
    assert (entry.size, entry.size_z, entry.pixel_size) == (Size(9, 8), 4, None)


@pytest.mark.parametrize("found", [None, [], 5, "x", {}])
def test_an_image_whose_size_nobody_knows_is_listed_with_its_problem(
    tmp_path: Path, found: Any
) -> None:
    entry = one(tmp_path, serverBuilder={**BARE, "metadata": found})
    assert entry.size is None
    assert entry.problem


@pytest.mark.parametrize(
    ("width", "height"),
    [(0, 10), (-1, 10), (10, 2**31), (1.5, 10), (float("nan"), 10), (float("inf"), 10),
     ("100", 10), (None, 10), (True, 10), ([100], 10)],
)  # fmt: skip
def test_impossible_sizes_are_told(tmp_path: Path, width: Any, height: Any) -> None:
    entry = one(tmp_path, serverBuilder={**BARE, "metadata": metadata(width, height)})
    assert entry.size is None
    assert entry.problem is not None and "impossible size" in entry.problem


def test_a_size_beyond_all_numbers(tmp_path: Path) -> None:
    entry = one(tmp_path, serverBuilder={**BARE, "metadata": metadata(10**400, 10)})
    assert entry.size is None


def test_sizes_that_java_wrote_as_decimals(tmp_path: Path) -> None:
    entry = one(tmp_path, serverBuilder={**BARE, "metadata": metadata(100.0, 2**31 - 1)})
    assert entry.size == Size(100, 2**31 - 1)


@pytest.mark.parametrize("value", [0, -3, "2", None, float("nan"), True])
def test_odd_numbers_of_slices_are_one(tmp_path: Path, value: Any) -> None:
    meta = {**metadata(), "sizeZ": value, "sizeT": value}
    entry = one(tmp_path, serverBuilder={**BARE, "metadata": meta})
    assert (entry.size_z, entry.size_t) == (1, 1)


def side(value: Any, unit: Any = UM) -> dict[str, Any]:
    return {"value": value, "unit": unit}


@pytest.mark.parametrize("unit", [UM, "\u03bcm", "um"])
def test_micrometres_in_all_their_spellings(tmp_path: Path, unit: str) -> None:
    calibration = {"pixelWidth": side(0.25, unit), "pixelHeight": side(2, unit)}
    meta = metadata(pixelCalibration=calibration)
    assert one(tmp_path, serverBuilder={**BARE, "metadata": meta}).pixel_size == PixelSize(0.25, 2)


@pytest.mark.parametrize(
    "calibration",
    [
        None, [], {}, {"pixelWidth": side(0.5)},
        {"pixelWidth": side(0.5), "pixelHeight": side(0.5, "px")},
        {"pixelWidth": side(1.0, "px"), "pixelHeight": side(1.0, "px")},
        {"pixelWidth": side(0.5, "mm"), "pixelHeight": side(0.5, "mm")},
        {"pixelWidth": side(float("nan")), "pixelHeight": side(0.5)},
        {"pixelWidth": side(0.5), "pixelHeight": side(float("inf"))},
        {"pixelWidth": side(0.5), "pixelHeight": side(0)},
        {"pixelWidth": side(0.5), "pixelHeight": side(-0.5)},
        {"pixelWidth": side("0.5"), "pixelHeight": side(0.5)},
        {"pixelWidth": side(0.5, None), "pixelHeight": side(0.5)},
        {"pixelWidth": 0.5, "pixelHeight": 0.5},
    ],
)  # fmt: skip
def test_what_is_no_pixel_size(tmp_path: Path, calibration: Any) -> None:
    """A wrong pixel size is worse than none: areas and ``--mpp`` would be wrong."""
    meta = metadata(pixelCalibration=calibration)
    entry = one(tmp_path, serverBuilder={**BARE, "metadata": meta})
    assert entry.pixel_size is None
    assert entry.size == Size(100, 80)


def test_gson_writes_nan_without_quotes(tmp_path: Path) -> None:
    path = write(tmp_path, image())
    text = path.read_text().replace('"width": 100', '"magnification": NaN, "width": 100')
    path.write_text(text)
    (entry,) = open_project(path)
    assert (entry.magnification, entry.size) == (None, Size(100, 80))


def test_what_else_an_entry_holds(tmp_path: Path) -> None:
    entry = one(tmp_path, description="d", tags=["t", "u"], metadata={"Patient": "7", "n": 3})
    assert (entry.description, entry.tags) == ("d", ("t", "u"))
    assert entry.metadata == {"Patient": "7", "n": "3"}


@pytest.mark.parametrize(
    "damage",
    [{"serverBuilder": None}, {"serverBuilder": [1]}, {"metadata": [1]}, {"tags": {"a": 1}},
     {"description": 5}],
)  # fmt: skip
def test_parts_of_another_type_do_not_stop_the_project(tmp_path: Path, damage: Any) -> None:
    bad, good = image("bad", 1) | damage, image("good", 2)
    assert [e.name for e in open_project(write(tmp_path, bad, good))] == ["bad", "good"]


def test_a_name_is_found_somewhere(tmp_path: Path) -> None:
    server = {**BARE, "metadata": {**metadata(), "name": "from the server"}}
    assert one(tmp_path, name="", serverBuilder=server).name == "from the server"
    assert one(tmp_path, name=None, serverBuilder=BARE).name == "image 1"  # type: ignore[arg-type]
