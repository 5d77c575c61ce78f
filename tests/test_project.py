"""What a project's JSON says: sizes, pixel sizes, slides, classes, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import projects
import pytest
from conftest import DEMO, LIVER, TINY, hash_tree
from hypothesis import given, settings
from hypothesis import strategies as st

from qpmask.errors import NoSuchImageError, ProjectError, ProjectNotFoundError, QpmaskError
from qpmask.geometry import PixelSize, Size
from qpmask.project import (
    ImageEntry,
    Project,
    open_project,
    path_from_uri,
    read_class_list,
    unpack_color,
)

UM = "\u00b5m"

CALIBRATION = {
    "pixelWidth": {"value": 0.25, "unit": UM}, "pixelHeight": {"value": 0.5, "unit": UM}
}  # fmt: skip


def metadata(width: Any = 100, height: Any = 80, **more: Any) -> dict[str, Any]:
    return {"width": width, "height": height, "sizeZ": 1, "sizeT": 1, **more}


def image(name: str = "A", entry_id: Any = 1, **more: Any) -> dict[str, Any]:
    builder = {"builderType": "uri", "uri": "file:/slides/A.svs", "metadata": metadata()}
    return {"serverBuilder": builder, "entryID": entry_id, "imageName": name, **more}


def write(folder: Path, *images: Any, name: str = "project.qpproj", **more: Any) -> Path:
    """A project of hand-made entries; keys given as None are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    data = {
        "version": "0.6.0", "uri": (folder / name).as_uri(), "lastID": 9, "images": list(images),
        **more,
    }  # fmt: skip
    path = folder / name
    path.write_text(json.dumps({k: v for k, v in data.items() if v is not None}), "utf-8")
    return path


def one(folder: Path, **more: Any) -> ImageEntry:
    """The only image of a project with this entry."""
    (entry,) = open_project(write(folder, image(**more)))
    return entry


def put(folder: Path, text: str | bytes) -> Path:
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_bytes(text.encode() if isinstance(text, str) else text)
    return folder


# -- projects that QuPath wrote -----------------------------------------------------------------


def test_the_small_project() -> None:
    before = hash_tree(TINY)
    project = open_project(TINY)
    assert project.path == (TINY / "project.qpproj").resolve()
    assert project.version == "0.6.0"
    assert [(e.id, e.name.removesuffix(".ome.tif")) for e in project] == [
        ("1", "squares"), ("2", "stack"), ("3", "cells"), ("4", "many"), ("5", "empty"),
        ("6", "unsaved"),
    ]  # fmt: skip
    squares, stack, *_, unsaved = project
    assert (squares.size, squares.size_z, squares.size_t) == (Size(64, 48), 1, 1)
    assert squares.pixel_size == PixelSize(0.5, 0.5)
    assert squares.uris == ("file:/tmp/qpmask/tiny-slides/squares.ome.tif",)
    assert squares.provider == "qupath.lib.images.servers.bioformats.BioFormatsServerBuilder"
    assert squares.provider_args == ("--series", "0")
    assert squares.data_path == project.folder / "data" / "1" / "data.qpdata"
    assert (stack.size, stack.size_z, stack.size_t) == (Size(20, 16), 3, 2)
    assert unsaved.size is None and unsaved.problem is not None
    assert "how large" in unsaved.problem
    assert [(c.name, c.color) for c in project.classes] == [
        ("Alpha", (200, 0, 0)), ("Beta", (0, 150, 0)), ("Gamma", (189, 67, 111)),
        ("Region*", (0, 0, 180)),
    ]  # fmt: skip
    assert hash_tree(TINY) == before


@pytest.mark.skipif(not LIVER.exists(), reason="the real project is not on this machine")
def test_real_slides_of_qupath_0_7() -> None:
    project = open_project(LIVER)
    assert project.version.startswith("0.7")
    assert len(project) == 4
    for entry in project:
        assert entry.size is not None and entry.size.area_px > 5_000_000_000
        assert entry.pixel_size is not None and 0.1 < entry.pixel_size.mean_um < 1
        assert entry.data_path.exists()
        assert project.find_slide(entry) is None


# -- size and pixel size ------------------------------------------------------------------------


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


BARE = {"builderType": "uri", "uri": "file:/slides/A.svs"}


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


# -- entry ids ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "entry_id", ["../1", "..", ".", "", "a/b", "a\\b", "/etc", "C:", "a\0b", "../../data/1"]
)
def test_an_entry_id_cannot_lead_out_of_the_project(tmp_path: Path, entry_id: str) -> None:
    entry = one(tmp_path / "p", entry_id=entry_id)
    assert entry.id == entry_id
    assert entry.data_dir.parent == (tmp_path / "p" / "data").resolve()
    assert ".." not in entry.data_dir.parts
    assert not entry.data_path.exists()


def test_an_entry_id_longer_than_a_file_name(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    assert not one(tmp_path, entry_id="x" * 300).data_path.exists()


def test_an_entry_id_that_is_no_text(tmp_path: Path) -> None:
    one(tmp_path, entry_id="\ud800", serverBuilder=BARE)


@pytest.mark.parametrize("second", [1, "1"])
def test_two_images_with_one_id_are_refused(tmp_path: Path, second: Any) -> None:
    path = write(tmp_path, image("A", 1), image("B", second))
    with pytest.raises(ProjectError, match="entry id 1"):
        open_project(path)


# -- URIs and slides ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:/a/b.svs", "/a/b.svs"),
        ("file:///a/b.svs", "/a/b.svs"),
        ("file://localhost/a/b.svs", "/a/b.svs"),
        ("file:/a%20b/100%25%23%3F.svs", "/a b/100%#?.svs"),
        ("file:/a+b.svs", "/a+b.svs"),
        ("file:/Pr%C3%A4parat/%E7%97%85.svs", "/Präparat/病.svs"),
        ("file:/Präparat.svs", "/Präparat.svs"),
        ("file:/C:/Users/x/a%20b.svs", "C:/Users/x/a b.svs"),
        ("file:///d:/a.svs", "d:/a.svs"),
        ("file://server/share/a.svs", "//server/share/a.svs"),
        ("file:////server/share/a.svs", "//server/share/a.svs"),
    ],
)
def test_file_uris_become_paths(uri: str, path: str) -> None:
    assert path_from_uri(uri) == Path(path)


@pytest.mark.parametrize(
    "uri", ["https://example.org/a.svs", "omero://1", "", "a.svs", "/a/b.svs", "file:/a%00b"]
)
def test_other_uris_are_no_paths(uri: str) -> None:
    assert path_from_uri(uri) is None


@pytest.mark.parametrize("uri", ["file://[::1/a", "file://[x/a.svs", "//[", "http://a]/b"])
def test_uris_that_are_none_are_no_paths(uri: str) -> None:
    assert path_from_uri(uri) is None


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1,
                        max_size=8).filter(lambda p: p not in (".", "..")),
                min_size=1, max_size=4))  # fmt: skip
def test_paths_come_back_from_their_uris(parts: list[str]) -> None:
    path = Path("/", *parts)
    assert path_from_uri(path.as_uri()) == path


def project_with_slide(
    tmp_path: Path, slide: str, *, project_uri: str | None = None, folder: str = "p"
) -> tuple[Project, ImageEntry]:
    builder = {"builderType": "uri", "uri": slide, "metadata": metadata()}
    path = write(tmp_path / folder, image(serverBuilder=builder), uri=project_uri)
    project = open_project(path)
    return project, project.images[0]


def test_a_slide_where_the_project_says(tmp_path: Path) -> None:
    slide = put(tmp_path / "my slides" / "a b.svs", "x")
    project, entry = project_with_slide(tmp_path, slide.as_uri())
    assert project.find_slide(entry) == slide


@pytest.mark.parametrize("old", ["file:/old/home/p/project.qpproj",
                                 "file:/C:/old%20home/p/project.qpproj",
                                 "file://server/old/p/project.qpproj"])  # fmt: skip
@pytest.mark.parametrize("where", ["slides/a%20b.svs", "../slides/a%20b.svs"])
def test_slides_that_moved_together_with_the_project(tmp_path: Path, old: str, where: str) -> None:
    slide_uri = old.replace("project.qpproj", where)
    if where.startswith(".."):
        slide_uri = old.replace("p/project.qpproj", where[3:])
    project, entry = project_with_slide(tmp_path, slide_uri, project_uri=old)
    assert project.find_slide(entry) is None
    here = (project.folder / where.replace("%20", " ")).resolve()
    put(here, "x")
    found = project.find_slide(entry)
    assert found is not None and found.resolve() == here


def test_the_slide_where_the_project_says_comes_first(tmp_path: Path) -> None:
    old = tmp_path / "old"
    there, here = put(old / "a.svs", "there"), put(tmp_path / "p" / "a.svs", "here")
    project, entry = project_with_slide(
        tmp_path, there.as_uri(), project_uri=(old / "project.qpproj").as_uri()
    )
    assert project.find_slide(entry) == there
    there.unlink()
    assert project.find_slide(entry) == here


def test_slides_found_by_name_below_a_folder(tmp_path: Path) -> None:
    project, entry = project_with_slide(tmp_path, "file:/gone/a%20%5B1%5D*.svs")
    hit = put(tmp_path / "pool" / "2021" / "deep" / "a [1]*.svs", "x")
    put(tmp_path / "pool" / "a 1x.svs", "no pattern: the name is meant as it is")
    put(tmp_path / "empty" / "other.svs", "x")
    assert project.find_slide(entry) is None
    assert project.find_slide(entry, [tmp_path / "empty"]) is None
    assert project.find_slide(entry, [tmp_path / "empty", tmp_path / "pool"]) == hit


def test_slides_on_windows_drives_are_found_by_name(tmp_path: Path) -> None:
    project, entry = project_with_slide(tmp_path, "file:/Z:/scans/a.svs")
    hit = put(tmp_path / "pool" / "a.svs", "x")
    assert project.find_slide(entry, [tmp_path / "pool"]) == hit


@pytest.mark.parametrize(
    "uri",
    ["https://omero.example.org/?image=1", "file:/",
     "file:///a/.."],
)  # fmt: skip
def test_what_has_no_file_name_is_not_looked_for(tmp_path: Path, uri: str) -> None:
    project, entry = project_with_slide(tmp_path, uri)
    (tmp_path / "pool").mkdir()
    assert project.find_slide(entry, [tmp_path / "pool"]) is None


# -- finding and refusing projects --------------------------------------------------------------


def test_a_folder_or_the_file_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "p", image(), name="study.qpproj")
    assert open_project(tmp_path / "p").path == path.resolve()
    assert open_project(str(path)) == open_project(tmp_path / "p")
    monkeypatch.chdir(tmp_path)
    assert open_project("p").path.is_absolute()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert open_project("~/p").path == path.resolve()


def test_folders_that_hold_no_project(tmp_path: Path) -> None:
    (tmp_path / "x.qpproj").mkdir()
    with pytest.raises(ProjectNotFoundError, match=r"no \.qpproj file"):
        open_project(tmp_path)
    with pytest.raises(ProjectNotFoundError, match="nowhere"):
        open_project(tmp_path / "nowhere")


@pytest.mark.parametrize("path", ["x" * 300, "~nosuchuser/p"])
def test_paths_that_cannot_be(path: str) -> None:
    with pytest.raises(ProjectNotFoundError):
        open_project(path)


def test_of_several_projects_one_must_be_named(tmp_path: Path) -> None:
    write(tmp_path, image(), name="one.qpproj")
    second = write(tmp_path, image(), name="two.qpproj")
    with pytest.raises(ProjectError, match=r"one\.qpproj, two\.qpproj") as caught:
        open_project(tmp_path)
    assert caught.value.hint is not None and "Name the one" in caught.value.hint
    assert open_project(second).path == second.resolve()


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"version": "0.6.0", "lastID": 1}', "[]", "null", '{"images": {}}',
     b"\xff\xfe{\x00}\x00", b"\x00\x00\x00", "[" * 100_000,
     '{"version": "0.6.0", "lastID": 1, "images": [{"imageName": "A"}]}',
     '{"version": "0.6.0", "lastID": 1, "images": [null]}'],
)  # fmt: skip
def test_damaged_projects_are_named_with_their_backup(tmp_path: Path, text: str | bytes) -> None:
    path = put(tmp_path / "project.qpproj", text)
    with pytest.raises(ProjectError) as caught:
        open_project(tmp_path)
    assert str(path) in caught.value.message
    assert "backup" in str(caught.value) and ".backup" not in str(caught.value)
    backup = put(tmp_path / "project.qpproj.backup", "{}")
    with pytest.raises(ProjectError) as caught:
        open_project(tmp_path)
    assert caught.value.hint is not None and str(backup) in caught.value.hint


@pytest.mark.parametrize("missing", ["version", "lastID"])
def test_a_project_that_qupath_would_refuse(tmp_path: Path, missing: str) -> None:
    path = write(tmp_path, image(), **{missing: None})
    with pytest.raises(ProjectError, match="QuPath would refuse it"):
        open_project(path)


def test_byte_order_marks_are_taken(tmp_path: Path) -> None:
    path = write(tmp_path, image())
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(open_project(path)) == 1


def test_a_project_without_images_opens(tmp_path: Path) -> None:
    project = open_project(write(tmp_path))
    assert len(project) == 0 and list(project) == []


def test_projects_that_share_a_data_folder(tiny: Path) -> None:
    shutil.copy(tiny / "project.qpproj", tiny / "second.qpproj")
    projects.keep(tiny, "cells.ome.tif")
    assert [e.name for e in open_project(tiny / "project.qpproj")] == ["cells.ome.tif"]
    assert len(open_project(tiny / "second.qpproj")) == 6


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(
        ["metadata", "width", "height", "pixelCalibration", "pixelWidth", "value", "unit", "uri",
         "builder", "args", "server", "sizeZ"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=150)
@given(server=json_values, name=json_values, tags=json_values)
def test_whatever_an_entry_holds_the_project_opens(
    tmp_path_factory: pytest.TempPathFactory, server: Any, name: Any, tags: Any
) -> None:
    folder = tmp_path_factory.mktemp("p")
    odd = {"entryID": 1, "serverBuilder": server, "imageName": name, "tags": tags, "metadata": tags}
    first, second = open_project(write(folder, odd, image("good", 2)))
    assert isinstance(first.name, str) and first.name
    assert first.size is None or first.size.width_px >= 1
    assert second.size == Size(100, 80)


# -- classes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("packed", "color"),
    [(-1, (255, 255, 255)), (-3670016, (200, 0, 0)), (-16777216, (0, 0, 0)), (0x010203, (1, 2, 3)),
     (None, None), ("red", None), (True, None), (1.5, None)],
)  # fmt: skip
def test_packed_colours(packed: Any, color: Any) -> None:
    assert unpack_color(packed) == color


def test_the_class_list(tmp_path: Path) -> None:
    path = put(tmp_path / "classes.json", json.dumps({"pathClasses": [
        {"name": "Tumor", "color": -3670016}, {"name": "tumor"}, {"name": "Tumor", "color": 1},
        {"name": ""}, {"color": 3}, None, {"name": "Tumor: Positive", "color": None},
    ]}))  # fmt: skip
    assert [(c.name, c.color) for c in read_class_list(path)] == [
        ("Tumor", (200, 0, 0)), ("tumor", None), ("Tumor: Positive", None)
    ]  # fmt: skip
    assert read_class_list(tmp_path / "no.json") == ()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pathClasses": {}}'])
def test_a_damaged_class_list_is_not_an_empty_one(tmp_path: Path, text: str) -> None:
    """Labels follow the list: with an empty one they would shift."""
    put(tmp_path / "classifiers" / "classes.json", text)
    with pytest.raises(ProjectError, match=r"classes\.json"):
        open_project(write(tmp_path, image()))


# -- selecting images ---------------------------------------------------------------------------


@pytest.fixture
def shelf(tmp_path: Path) -> Project:
    names = ["Case 1 A.svs", "Case 1 B.svs", "case 2 a.svs", "12", "odd [1].svs", "Case 1 A.svs"]
    return open_project(write(tmp_path, *(image(n, i) for i, n in enumerate(names, 11))))


@pytest.mark.parametrize(
    ("patterns", "ids"),
    [
        ([], "11 12 13 14 15 16"),
        (["Case 1 A.svs"], "11 16"),
        (["13"], "13"),
        (["12"], "12 14"),  # the id of one, the name of another
        (["Case*"], "11 12 16"),
        (["*B.svs"], "12"),
        (["*b.svs"], "12"),  # in another case only where nothing fits as it is written
        (["case*"], "13"),
        (["CASE ? A.SVS"], "11 13 16"),
        (["odd [1].svs"], "15"),  # a name before a pattern
        (["Case 1 [AB].svs"], "11 12 16"),
        (["Case 1 [!A].svs"], "12"),
        (["13", "Case 1 B.svs", "12"], "12 13 14"),  # in the project's order
    ],
)
def test_selections(shelf: Project, patterns: list[str], ids: str) -> None:
    assert [e.id for e in shelf.select(patterns)] == ids.split()


@pytest.mark.parametrize("pattern", ["", "nothing", "1", "Case 3*", "svs"])
def test_a_selection_that_matches_nothing_is_an_error(shelf: Project, pattern: str) -> None:
    with pytest.raises(NoSuchImageError) as caught:
        shelf.select(["13", pattern])
    assert repr(pattern) in caught.value.message
    assert caught.value.hint is not None and "'Case 1 A.svs'" in caught.value.hint


@pytest.mark.parametrize("open_it", [lambda p: open_project(p), lambda p: open_project(str(p))])
def test_the_demo_project_moved(tmp_path: Path, open_it: Callable[[Path], Project]) -> None:
    """It was written elsewhere; its slides lie beside it, one of them on purpose not."""
    project = open_it(Path(shutil.copytree(DEMO, tmp_path / "moved here")))
    found = [project.find_slide(e) for e in project]
    assert [p and p.name for p in found] == ["A.ome.tif", "B.ome.tif", None]


def test_errors_are_of_one_family() -> None:
    assert issubclass(ProjectNotFoundError, QpmaskError)
    assert issubclass(NoSuchImageError, ProjectError)
