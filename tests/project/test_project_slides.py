"""Where a project's slides are: URIs, and files that moved."""

from __future__ import annotations

from pathlib import Path

import pytest
from handmade_projects import image, metadata, put, write
from hypothesis import given
from hypothesis import strategies as st

from qpmask.project import ImageEntry, Project, open_project
from qpmask.project.imagejson import path_from_uri


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
        ("file:///d%3A/a.svs", "/d:/a.svs"),
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


# -- names that are composed on one system and decomposed on another ----------------------------

COMPOSED, DECOMPOSED = "Pr\u00e4parat \u00e9.svs", "Pra\u0308parat e\u0301.svs"


@pytest.mark.parametrize(
    ("stored", "given"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)], ids=["nfc", "nfd"]
)
def test_slides_are_found_by_names_in_either_unicode_form(
    tmp_path: Path, stored: str, given: str
) -> None:
    slide = put(tmp_path / stored.removesuffix(".svs") / stored, b"slide")
    named = tmp_path / given.removesuffix(".svs") / given
    project, entry = project_with_slide(tmp_path, named.as_uri())
    assert project.find_slide(entry) == slide
    # Moved together with the project.
    old = tmp_path / "old" / given / "p" / "project.qpproj"
    moved = put(tmp_path / "q" / stored, b"slide")
    project, entry = project_with_slide(
        tmp_path, (old.parent / given).as_uri(), project_uri=old.as_uri(), folder="q"
    )
    assert project.find_slide(entry) == moved
    # By its file name, below a folder.
    project, entry = project_with_slide(tmp_path, f"file:/no/where/{given}")
    assert project.find_slide(entry, [tmp_path / "q"]) == moved


def test_the_form_that_the_project_gives_comes_first(tmp_path: Path) -> None:
    slides = {name: put(tmp_path / "s" / name, b"slide") for name in (COMPOSED, DECOMPOSED)}
    if len(list((tmp_path / "s").iterdir())) < 2:
        pytest.skip("this file system takes both names for one")
    for name, slide in slides.items():
        project, entry = project_with_slide(tmp_path, (tmp_path / "s" / name).as_uri())
        assert project.find_slide(entry) == slide
        assert project.find_slide(entry, [tmp_path / "s"]) == slide


def test_images_are_chosen_by_names_in_either_unicode_form(tmp_path: Path) -> None:
    project = open_project(write(tmp_path, image(name=DECOMPOSED), image("B", 2)))
    for pattern in (COMPOSED, DECOMPOSED, "PR\u00c4*", "Pra\u0308*"):
        assert [e.id for e in project.select([pattern])] == ["1"]
