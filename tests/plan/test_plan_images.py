"""What a run would do: images and their data files, and which masks still hold."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import projects
import pytest
from plan.planning import ALL, CELLS, SQUARES, STACK, failure, one, plan

from qpmask.classes import load_preset
from qpmask.errors import (
    DataFileError,
    DataFileMissingError,
    NoSuchImageError,
    ProjectError,
    TruncatedDataError,
    UnmappedClassError,
)
from qpmask.plan import fingerprint, same_fingerprint

# -- data files ---------------------------------------------------------------------------------


def test_an_image_that_was_never_saved_is_all_background(three: Path) -> None:
    folder = projects.data_file(three, SQUARES).parent
    shutil.rmtree(folder)
    folder.mkdir()
    image = one(three, SQUARES)
    assert (image.drawn, image.data_sha256) == (0, None)
    assert any("Nothing was ever annotated" in f for f in image.findings)
    assert any("all background" in f for f in image.findings)


def test_a_lost_data_file_is_no_blank_mask(three: Path) -> None:
    path = projects.data_file(three, SQUARES)
    path.unlink()
    error = failure(three, SQUARES)
    assert isinstance(error, DataFileMissingError)
    assert "held 7 objects" in error.message and str(path) in error.message
    backup = path.with_name("data.qpdata.bkp")
    backup.write_bytes(b"x")
    error = failure(three, SQUARES)
    assert error.hint is not None and str(backup) in error.hint
    shutil.rmtree(path.parent)
    error = failure(three, SQUARES)
    assert isinstance(error, DataFileMissingError)
    assert "no data folder of" in error.message and SQUARES in error.message
    assert "other images have theirs" in error.message
    shutil.rmtree(three / "data")
    errors = [str(image.error) for image in plan(three).images]
    assert len(errors) == 3 and len(set(errors)) == 1, "one fault of the project, one reason"
    assert errors[0].startswith("The project has lost its data: there is nothing in")


def test_objects_that_qupath_counted_and_the_file_lacks_are_told(three: Path) -> None:
    summary = projects.data_file(three, SQUARES).with_name("summary.json")
    data = json.loads(summary.read_text("utf-8"))
    data["hierarchy"]["nObjects"] += 3
    summary.write_text(json.dumps(data))
    assert any("QuPath counted" in finding for finding in one(three, SQUARES).findings)
    assert not any("QuPath counted" in finding for finding in one(three, CELLS).findings)


def test_a_damaged_file_and_a_damaged_backup(three: Path) -> None:
    path = projects.data_file(three, SQUARES)
    path.with_name(path.name + ".bkp").write_bytes(b"rubbish")
    path.write_bytes(path.read_bytes()[:500])
    error = failure(three, SQUARES, use_backup=True)
    assert "Its backup is of no use" in error.message
    assert error.hint is not None and "--use-backup" not in error.hint


def test_a_data_file_that_is_a_link_to_nowhere_is_lost(three: Path) -> None:
    """As git-annex and a share that is not mounted leave it."""
    path = projects.data_file(three, SQUARES)
    path.with_name("summary.json").unlink()
    path.unlink()
    path.symlink_to(three / "gone")
    assert isinstance(failure(three, SQUARES), DataFileMissingError)


@pytest.mark.parametrize("n_bytes", [0, 1, 4, 100, -1])
def test_a_truncated_data_file_fails_its_image_alone(three: Path, n_bytes: int) -> None:
    path = projects.data_file(three, SQUARES)
    path.write_bytes(path.read_bytes()[:n_bytes])
    squares, stack, cells = plan(three).images
    assert isinstance(squares.error, TruncatedDataError)
    assert str(path) in squares.error.message
    assert stack.job is not None and cells.job is not None


@pytest.mark.parametrize("raw", [b"PK\x03\x04" + bytes(400), b"not a data file at all" * 50])
def test_another_file_in_the_place_of_the_data_file(three: Path, raw: bytes) -> None:
    path = projects.data_file(three, SQUARES)
    path.write_bytes(raw)
    error = failure(three, SQUARES)
    assert isinstance(error, DataFileError) and str(path) in error.message


def test_a_folder_in_the_place_of_the_data_file(three: Path) -> None:
    path = projects.data_file(three, SQUARES)
    path.unlink()
    path.mkdir()
    assert isinstance(failure(three, SQUARES), DataFileError)


def test_the_size_of_an_unsaved_image_is_not_known(tiny: Path) -> None:
    error = failure(tiny, "unsaved.ome.tif")
    assert isinstance(error, ProjectError)
    assert error.hint is not None and "QuPath" in error.hint


def test_a_saved_image_without_objects_is_all_background(tiny: Path) -> None:
    image = one(tiny, "empty.ome.tif")
    assert image.drawn == 0 and image.data_sha256 is not None
    assert any("all background" in f for f in image.findings)
    assert not any("ever annotated" in f for f in image.findings)


# -- names, slides, selection -------------------------------------------------------------------


def test_names_do_not_depend_on_the_selection(tiny: Path) -> None:
    projects.rename(tiny, {SQUARES: "a.svs", STACK: "A.ndpi", CELLS: "b"})
    everything = {p.entry.id: p.mask_name for p in plan(tiny).images}
    assert everything["1"] == "a_id1.ome.tif" and everything["2"] == "A_id2.ome.tif"
    for entry_id, name in everything.items():
        (alone,) = plan(tiny, images=(entry_id,)).images
        assert alone.mask_name == name


def test_missing_slides_are_told_and_need_not_be_there(demo: Path, tmp_path: Path) -> None:
    first, second, third = plan(demo).images
    assert first.slide is not None and second.slide is not None
    assert third.slide is None and third.job is not None
    assert any("The slide is not at" in f for f in third.findings)
    uri = third.entry.uris[0]
    moved = tmp_path / "elsewhere" / uri.rpartition("/")[2]
    moved.parent.mkdir()
    moved.touch()
    *_, third = plan(demo, slides=(moved.parent,)).images
    assert third.slide == moved
    assert not any("The slide is not at" in f for f in third.findings)


def test_selections_that_match_nothing(three: Path) -> None:
    with pytest.raises(NoSuchImageError):
        plan(three, images=("nothing",))
    projects.keep(three)
    with pytest.raises(ProjectError, match="has no images"):
        plan(three)


def test_the_preset_in_use(demo: Path) -> None:
    """The demo project uses a derived class and one that QuPath ignores."""
    with pytest.raises(UnmappedClassError) as caught:
        plan(demo, load_preset("prostate"))
    assert "'Tumor: Positive'" in caught.value.message
    made = plan(demo, load_preset("prostate"), unknown="ignore")
    assert all(p.error is None for p in made.images)
    assert any("'Tumor: Positive'" in f for f in made.findings)


# -- what decides a mask ------------------------------------------------------------------------


def made_from(project: Path, classes: Any = ALL, **options: Any) -> dict[str, Any]:
    made = plan(project, classes, images=(SQUARES,), **options)
    return fingerprint(made.images[0], made.class_map, "rules-1")


@pytest.mark.parametrize(
    "options",
    [{"downsample": 2}, {"mpp": 1.0}, {"tile_px": 256}, {"line_thickness": 2.0},
     {"boundary_label": 99}, {"boundary_label": 0}, {"unclassified": 77}, {"instances": True},
     {"multichannel": True}, {"compression": "none"}, {"pyramid": False},
     {"objects": "detections"}],
)  # fmt: skip
def test_a_mask_of_other_options_does_not_hold(three: Path, options: dict[str, Any]) -> None:
    plain = made_from(three)
    other = made_from(three, **options)
    assert not same_fingerprint(json.loads(json.dumps(plain)), other)
    assert same_fingerprint(json.loads(json.dumps(other)), made_from(three, **options))


@pytest.mark.parametrize(
    "options", [{"workers": 2}, {"force": True}, {"jvm_memory": "1g"}, {"downsample": 1.0},
                {"mpp": 0.5}, {"slides": (Path("no"),)}],
)  # fmt: skip
def test_options_that_change_no_byte_do_not_matter(three: Path, options: dict[str, Any]) -> None:
    assert same_fingerprint(json.loads(json.dumps(made_from(three))), made_from(three, **options))


def test_a_mask_of_another_map_or_data_file_does_not_hold(three: Path) -> None:
    plain = made_from(three)
    reordered = dict(reversed(ALL.items()))
    assert not same_fingerprint(plain, made_from(three, reordered))
    assert not same_fingerprint(plain, made_from(three, {**ALL, "New": 9}))
    made = plan(three, ALL, images=(SQUARES,))
    assert not same_fingerprint(plain, fingerprint(made.images[0], made.class_map, "rules-2"))
    source = projects.data_file(three, CELLS)
    shutil.copy(source, projects.data_file(three, SQUARES))
    assert not same_fingerprint(plain, made_from(three))


@pytest.mark.parametrize("old", [None, [], "x", {}, {"format": 1}])
def test_sidecars_that_say_nothing_do_not_hold(three: Path, old: object) -> None:
    assert not same_fingerprint(old, made_from(three))
