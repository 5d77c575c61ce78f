"""A project's JSON: what QuPath wrote, what is refused, classes, and which images are selected."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import projects
import pytest
from conftest import DEMO, LIVER, TINY, hash_tree
from handmade_projects import BARE, image, one, put, write
from hypothesis import given, settings
from hypothesis import strategies as st

from qpmask.errors import NoSuchImageError, ProjectError, ProjectNotFoundError, QpmaskError
from qpmask.geometry import PixelSize, Size
from qpmask.project import Project, open_project, read_class_list
from qpmask.project.imagejson import unpack_color

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
     b"\xff\xfe{\x00}\x00", b"\x00\x00\x00", "[" * 5_000,
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


def _listed(tmp_path: Path, *rows: Any) -> tuple[list[tuple[str, Any]], tuple[str, ...]]:
    path = put(tmp_path / "classes.json", json.dumps({"pathClasses": rows}))
    classes, findings = read_class_list(path)
    return [(c.name, c.color) for c in classes], findings


def test_the_class_list(tmp_path: Path) -> None:
    assert _listed(
        tmp_path, {"name": "Tumor", "color": -3670016}, {"name": "tumor"}, {"name": ""},
        {"color": 3}, None, {"name": "Tumor: Positive", "color": None},
    ) == ([("Tumor", (200, 0, 0)), ("tumor", None), ("Tumor: Positive", None)], ())  # fmt: skip
    assert read_class_list(tmp_path / "no.json") == ((), ())


def test_a_class_listed_twice_is_one_with_the_last_colour(tmp_path: Path) -> None:
    # QuPath 0.6 and 0.7: DefaultProject sets the colour of each row on the one class.
    rows = [{"name": "Tumor", "color": -3670016}, {"name": "Tumor", "color": 1}, {"name": "Tumor"}]
    assert _listed(tmp_path, *rows) == ([("Tumor", (0, 0, 1))], ())


def test_names_on_the_class_list_are_brought_to_one_form(tmp_path: Path) -> None:
    names = ["Tumor ", "UBERON:1", "Tumor", "A ::B", "Unclassified", " Unclassified", ":"]
    listed, findings = _listed(tmp_path, *({"name": name} for name in names))
    assert [name for name, _ in listed] == ["Tumor", "UBERON: 1", "A: B"]
    assert findings == (
        "'Tumor ' and 'Tumor' of the project's class list are one class: 'Tumor'.",
        "The project's class list has 'A ::B', which QuPath refuses (a part of it is empty): read "
        "as 'A: B'.",
    )


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
