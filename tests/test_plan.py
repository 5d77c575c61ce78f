"""What a run would do: labels, counts, sizes, findings, and what stops it. Needs no Java."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import projects
import pytest
from conftest import hash_tree

from qpmask import export_options, plan_export
from qpmask.classes import ClassMap, class_map_from_dict, load_preset
from qpmask.errors import (
    DataFileError,
    DataFileMissingError,
    NoSuchImageError,
    OptionsError,
    ProjectError,
    QpmaskError,
    TruncatedDataError,
    UnmappedClassError,
)
from qpmask.geometry import PixelSize, Size
from qpmask.plan import ImagePlan, Plan, fingerprint, same_fingerprint

SQUARES, STACK, CELLS, MANY = ("squares.ome.tif", "stack.ome.tif", "cells.ome.tif", "many.ome.tif")
THREE = (SQUARES, STACK, CELLS)
ALL = {"Alpha": 1, "Beta": 2, "Gamma": 3, "Alpha: Positive": 4}


@pytest.fixture
def three(tiny: Path) -> Path:
    """The images that are not special."""
    projects.keep(tiny, *THREE)
    return tiny


def plan(project: Path, classes: Any = None, **options: Any) -> Plan:
    return plan_export(project, classes=classes, options=export_options(**options))


def one(project: Path, name: str, classes: Any = None, **options: Any) -> ImagePlan:
    """The plan of one image, which is fine."""
    (image,) = plan(project, classes, images=(name,), **options).images
    assert image.error is None, image.error
    return image


def failure(project: Path, name: str, **options: Any) -> QpmaskError:
    """Why one image cannot be drawn."""
    (image,) = plan(project, images=(name,), **options).images
    assert image.error is not None and image.job is None
    return image.error


def metadata_of(project: Path, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    projects.edit(project, lambda d: change(projects.entry(d, name)["serverBuilder"]["metadata"]))


# -- classes ------------------------------------------------------------------------------------


def test_labels_follow_the_project(three: Path) -> None:
    before = hash_tree(three)
    made = plan(three)
    assert [(e.label, e.name) for e in made.class_map.entries] == [
        (1, "Alpha"), (2, "Beta"), (3, "Gamma"), (4, "Alpha: Positive"),
    ]  # fmt: skip
    assert made.class_map.origin == "project"
    expected = {
        "Alpha": (8, 2), "Beta": (2, 1), "Gamma": (1, 1), "Region*": (1, 1), None: (1, 1),
        "Alpha: Positive": (1, 1),
    }  # fmt: skip
    assert {name: made.count([name]) for name in expected} == expected
    assert made.count(["Gamma", "Alpha: Positive"]) == (2, 2)
    assert hash_tree(three) == before


def test_a_class_that_the_map_lacks_stops_the_run(three: Path) -> None:
    with pytest.raises(UnmappedClassError) as caught:
        plan(three, {"alpha": 1, "Gamma": 3, "Bet": 4})
    text = caught.value.message
    assert "lacks 3 class(es)" in text
    assert "'Alpha' (8 objects in 2 images; the map has 'alpha')" in text
    assert "'Beta' (2 objects in 1 image; the map has 'Bet')" in text
    assert "'Alpha: Positive' (1 object in 1 image" in text
    assert "Region*" not in text, "QuPath's own ignored classes need no label"
    assert caught.value.hint is not None and "--unknown ignore" in caught.value.hint


def test_only_selected_images_have_to_be_covered(three: Path) -> None:
    assert one(three, STACK, {"Alpha": 5}).drawn == 6
    with pytest.raises(UnmappedClassError, match=r"'Alpha: Positive' \(1 object"):
        plan(three, {"Alpha": 5}, images=(CELLS,))


def test_going_on_without_unknown_classes_is_told(three: Path) -> None:
    made = plan(three, {"Alpha": 1, "Beta": 2}, unknown="ignore")
    (finding,) = [f for f in made.findings if "Not in the class map" in f]
    assert "'Gamma' (1 object in 1 image" in finding
    squares, stack, cells = made.images
    assert (squares.drawn, stack.drawn, cells.drawn) == (4, 6, 0)
    assert "No objects to draw: the mask is all background." in cells.findings


def test_classes_left_out_on_purpose_are_told(three: Path) -> None:
    class_map = class_map_from_dict(
        {"classes": {"Alpha": 1, "Gamma": 3}, "ignore": ["*: Positive", "B*", "Region[*]"]}, "x"
    )
    made = plan(three, class_map)
    (finding,) = [f for f in made.findings if "on purpose" in f]
    assert "'Beta' (2 objects)" in finding and "'Alpha: Positive' (1 object)" in finding
    assert "'Region*' (1 object)" in finding
    assert made.images[0].drawn == 3


def test_a_class_that_qupath_ignores_is_drawn_if_the_map_names_it(three: Path) -> None:
    image = one(three, SQUARES, {**ALL, "Region*": 9})
    assert {r.name: r.objects for r in image.legend}["Region*"] == 1
    assert image.drawn == 6


def test_a_derived_class_is_a_class_of_its_own(three: Path) -> None:
    image = one(three, CELLS, ALL)
    assert [(r.label, r.name, r.objects) for r in image.legend] == [
        (1, "Alpha", 0), (2, "Beta", 0), (3, "Gamma", 0), (4, "Alpha: Positive", 1),
    ]  # fmt: skip


def test_an_alias_gets_the_label_and_the_count(three: Path) -> None:
    class_map = class_map_from_dict(
        {"classes": [{"label": 7, "name": "A", "aliases": ["Alpha", "Beta"]},
                     {"label": 3, "name": "Gamma"}]}, "x",
    )  # fmt: skip
    image = one(three, SQUARES, class_map)
    assert [(r.label, r.name, r.objects) for r in image.legend] == [(7, "A", 4), (3, "Gamma", 1)]
    assert image.job is not None
    assert [(r.class_name, r.label) for r in image.job.rules] == [
        ("A", 7), ("Alpha", 7), ("Beta", 7), ("Gamma", 3)
    ]  # fmt: skip


def test_the_order_of_the_map_is_the_order_of_drawing(three: Path) -> None:
    image = one(three, SQUARES, {"Gamma": 1, "Alpha": 9, "Beta": 4})
    assert image.job is not None
    assert [(r.class_name, r.label) for r in image.job.rules] == [
        ("Gamma", 1), ("Alpha", 9), ("Beta", 4)
    ]  # fmt: skip


def test_a_saved_map_gets_new_classes_at_its_end(three: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    out.mkdir()
    saved = plan(three, images=(SQUARES,)).class_map
    assert [e.name for e in saved.entries] == ["Alpha", "Beta", "Gamma"]
    (out / "classes.yaml").write_text(saved.to_yaml(), "utf-8")
    again = plan_export(three, out).class_map
    assert [(e.label, e.name) for e in again.entries] == [
        (1, "Alpha"), (2, "Beta"), (3, "Gamma"), (4, "Alpha: Positive"),
    ]  # fmt: skip
    assert sorted(p.name for p in out.iterdir()) == ["classes.yaml"]


def test_a_saved_map_of_ones_own_stays_strict(three: Path, tmp_path: Path) -> None:
    (tmp_path / "classes.yaml").write_text("Alpha: 1\n")
    with pytest.raises(UnmappedClassError):
        plan_export(three, tmp_path)


def test_a_class_that_the_saved_map_ignores_gets_no_label(three: Path, tmp_path: Path) -> None:
    saved = plan(three, images=(SQUARES,)).class_map
    saved = replace(saved, ignore=("*: Positive",))
    (tmp_path / "classes.yaml").write_text(saved.to_yaml(), "utf-8")
    made = plan_export(three, tmp_path).class_map
    assert made.find("Alpha: Positive") is None
    assert made.find("Region*") is None, "it is none of the project's own classes"


def test_above_255_labels_masks_are_uint16(tiny: Path) -> None:
    many = one(tiny, MANY)
    assert many.job is not None
    assert (many.job.dtype, many.drawn) == ("uint16", 300)
    few = one(tiny, MANY, {f"Class {i:03d}": i + 1 for i in range(255)}, unknown="ignore")
    assert few.job is not None
    assert (few.job.dtype, few.job.max_label, few.drawn) == ("uint8", 255, 255)


# -- objects without a class --------------------------------------------------------------------


def test_unclassified_objects_are_left_out_with_a_warning(three: Path) -> None:
    assert "1 object without a class left out." in one(three, SQUARES).findings
    assert not any("without a class" in f for f in one(three, STACK).findings)
    assert one(three, SQUARES).drawn == 5


def test_unclassified_objects_with_a_label(three: Path) -> None:
    image = one(three, SQUARES, unclassified=9)
    assert image.drawn == 6
    assert (image.legend[0].label, image.legend[0].name, image.legend[0].objects) == (
        9, "Unclassified", 1
    )  # fmt: skip
    assert image.job is not None
    assert (image.job.rules[0].class_name, image.job.rules[0].label) == (None, 9)
    assert not any("without a class" in f for f in image.findings)


def test_unclassified_objects_as_an_error(three: Path) -> None:
    with pytest.raises(UnmappedClassError, match=r"1 object in 1 image have no class|has no class"):
        plan(three, unclassified="error")
    assert one(three, STACK, unclassified="error").drawn == 6


def test_the_map_says_what_to_do_and_the_option_overrules_it(three: Path) -> None:
    strict = class_map_from_dict({"classes": ALL, "unclassified": "error"}, "x")
    with pytest.raises(UnmappedClassError):
        plan(three, strict)
    assert one(three, SQUARES, strict, unclassified="ignore").drawn == 5
    labelled = class_map_from_dict({"classes": ALL, "unclassified": 9}, "x")
    assert one(three, SQUARES, labelled).drawn == 6


@pytest.mark.parametrize("options", [{"unclassified": 2}, {"boundary_label": 2}])
def test_labels_that_belong_to_a_class_already(three: Path, options: dict[str, Any]) -> None:
    with pytest.raises(OptionsError, match="'Beta' already") as caught:
        plan(three, ALL, **options)
    assert caught.value.hint is not None and "such as 5" in caught.value.hint


def test_boundary_and_unclassified_objects_need_two_labels(three: Path) -> None:
    with pytest.raises(OptionsError, match="unclassified objects"):
        plan(three, ALL, unclassified=9, boundary_label=9)


def test_a_boundary_is_in_the_legend(three: Path) -> None:
    image = one(three, SQUARES, ALL, boundary_label=300)
    assert (image.legend[-1].label, image.legend[-1].name) == (300, "Boundary")
    assert image.job is not None and image.job.dtype == "uint16"
    background = one(three, SQUARES, ALL, boundary_label=0)
    assert [r.label for r in background.legend] == [1, 2, 3, 4]


# -- which objects ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("objects", "counts"),
    [
        ("annotations", {"Alpha: Positive": 1}),
        ("detections", {"Alpha": 1, "Beta": 1, "Gamma": 1, None: 1}),
        ("cells", {"Alpha": 1, "Beta": 1}),
        ("nuclei", {"Alpha": 1, "Beta": 1}),
    ],
)
def test_the_kinds_of_objects(three: Path, objects: str, counts: dict[str | None, int]) -> None:
    image = one(three, CELLS, objects=objects)
    assert image.inventory is not None
    assert image.inventory.counts(objects) == counts
    assert image.drawn == sum(n for name, n in counts.items() if name is not None)


def test_classes_of_other_kinds_need_no_label(three: Path) -> None:
    assert one(three, CELLS, {"Alpha": 1, "Beta": 2}, objects="cells").drawn == 2


def test_instances_are_all_objects_that_are_not_left_out(three: Path) -> None:
    image = one(three, SQUARES, instances=True)
    assert image.job is not None
    assert len(image.job.instance_rows) == image.job.max_label == image.drawn == 6
    assert image.legend == () and image.job.rules == ()
    assert "1 object left out, as the class map and the options say." in image.findings
    assert len(set(image.job.instance_ids)) == 6 and None not in image.job.instance_ids


@pytest.mark.parametrize(
    ("classes", "options", "n"),
    [
        (None, {"unclassified": "ignore"}, 5),
        ({"Alpha": 1}, {}, 6),  # a class decides nothing about an instance's label
        ({"Alpha": 1}, {"unknown": "ignore"}, 3),
        ({"Alpha": 1}, {"unknown": "ignore", "unclassified": "ignore"}, 2),
        ({**ALL, "Region*": 9}, {}, 7),
    ],
)
def test_which_objects_become_instances(
    three: Path, classes: Any, options: dict[str, Any], n: int
) -> None:
    assert one(three, SQUARES, classes, instances=True, **options).drawn == n


def test_a_boundary_is_no_instance(three: Path) -> None:
    """Label 2 would be both the second object and all outlines."""
    (image,) = plan(three, instances=True, boundary_label=2, images=(SQUARES,)).images
    assert isinstance(image.error, OptionsError)


def test_a_multichannel_mask_has_a_plane_a_class(three: Path) -> None:
    image = one(three, STACK, ALL, multichannel=True, unclassified=9)
    assert image.job is not None
    assert [r.name for r in image.legend] == ["Unclassified", *ALL]
    assert (image.job.n_channels, image.job.n_planes, image.job.dtype) == (5, 5 * 6, "uint8")
    assert [(r.class_name, r.channel) for r in image.job.rules] == [
        (None, 0), ("Alpha", 1), ("Beta", 2), ("Gamma", 3), ("Alpha: Positive", 4),
    ]  # fmt: skip


def test_an_alias_shares_the_plane_of_its_class(three: Path) -> None:
    class_map = class_map_from_dict(
        {"classes": [{"label": 7, "name": "A", "aliases": ["Alpha", "Beta"]},
                     {"label": 900, "name": "Gamma"}]}, "x",
    )  # fmt: skip
    image = one(three, SQUARES, class_map, multichannel=True)
    assert image.job is not None
    assert [(r.class_name, r.channel) for r in image.job.rules] == [
        ("A", 0), ("Alpha", 0), ("Beta", 0), ("Gamma", 1)
    ]  # fmt: skip
    assert image.job.dtype == "uint8"


def test_a_multichannel_mask_needs_a_class(three: Path) -> None:
    error = failure_with(three, SQUARES, ClassMap(()), multichannel=True, unknown="ignore")
    assert isinstance(error, OptionsError)


def failure_with(project: Path, name: str, classes: Any, **options: Any) -> QpmaskError | None:
    (image,) = plan(project, classes, images=(name,), **options).images
    return image.error


# -- sizes --------------------------------------------------------------------------------------


def test_full_resolution_by_default(three: Path) -> None:
    image = one(three, SQUARES)
    assert image.job is not None
    assert (image.job.size, image.job.downsample) == (Size(64, 48), 1.0)
    assert image.pixel_size == PixelSize(0.5, 0.5)


@pytest.mark.parametrize(
    ("options", "downsample", "size"),
    [
        ({"downsample": 5}, 5.0, Size(12, 9)),
        ({"mpp": 2.0}, 4.0, Size(16, 12)),
        ({"mpp": 0.5}, 1.0, Size(64, 48)),
        ({"mpp": 0.75}, 1.5, Size(42, 32)),
        ({"mpp": 0.5000000001}, 1.0, Size(64, 48)),
        ({"mpp": 32.0}, 64.0, Size(1, 1)),
    ],
)
def test_downsampling(three: Path, options: Any, downsample: float, size: Size) -> None:
    image = one(three, SQUARES, **options)
    assert image.job is not None
    assert (image.job.downsample, image.job.size) == (downsample, size)
    assert image.pixel_size == PixelSize(0.5 * downsample, 0.5 * downsample)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"mpp": 0.25}, "finer than its image"), ({"downsample": 65}, "nothing is left"),
     ({"mpp": 1000.0}, "nothing is left")],
)  # fmt: skip
def test_resolutions_that_an_image_cannot_have(three: Path, options: Any, words: str) -> None:
    error = failure(three, SQUARES, **options)
    assert isinstance(error, OptionsError)
    assert words in error.message and "squares.ome.tif" in error.message


def test_a_pixel_size_for_each_image_by_its_own(three: Path) -> None:
    def coarser(meta: dict[str, Any]) -> None:
        for part in ("pixelWidth", "pixelHeight"):
            meta["pixelCalibration"][part]["value"] = 1.0

    metadata_of(three, CELLS, coarser)
    made = plan(three, mpp=2.0)
    assert [p.job.downsample for p in made.images if p.job] == [4.0, 4.0, 2.0]


def test_an_image_without_pixel_size_fails_alone(three: Path) -> None:
    metadata_of(three, STACK, lambda m: m.pop("pixelCalibration"))
    squares, stack, cells = plan(three, mpp=1.0).images
    assert squares.job is not None and cells.job is not None
    assert stack.job is None
    assert stack.error is not None and "no pixel size" in stack.error.message
    assert stack.error.hint is not None and "--downsample" in stack.error.hint
    full = one(three, STACK)
    assert full.pixel_size is None


def test_slices_that_nobody_has(three: Path) -> None:
    metadata_of(three, SQUARES, lambda m: m.update(sizeZ=10**9))
    assert "more than any slide has" in failure(three, SQUARES).message


def test_empty_metadata_is_none_and_the_next_place_is_asked(three: Path) -> None:
    metadata_of(three, SQUARES, lambda m: m.clear())
    image = one(three, SQUARES)
    assert image.entry.size is not None and str(image.entry.size) == "64 x 48"


def test_objects_on_other_slices_are_told(three: Path) -> None:
    metadata_of(three, STACK, lambda m: m.update(sizeZ=2, sizeT=1))
    image = one(three, STACK)
    assert "4 objects on slices or time points that the image does not have." in image.findings


def test_objects_on_other_slices_are_not_drawn(three: Path) -> None:
    metadata_of(three, STACK, lambda m: m.update(sizeZ=2, sizeT=1))
    image = one(three, STACK)
    assert image.drawn == 2
    assert image.legend[0].objects == 2


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
    assert "data folder" in error.message


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
