"""Objects that leave no pixel: how they are counted, and the words for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_contract import box, square
from handmade_projects import with_objects
from hypothesis import given
from hypothesis import strategies as st
from qpdata.qpdata_builder import Obj, Roi

from qpmask import export_masks, export_options, open_mask
from qpmask.classes import ClassMap, class_map_from_dict
from qpmask.engines.base import Sight
from qpmask.errors import HiddenObjectsError
from qpmask.outputs import read_json
from qpmask.report import ImageRecord, Report
from qpmask.report.hiddenobjects import (
    CoveredClass,
    Hidden,
    HiddenGroup,
    check_hidden,
    hidden_from_dict,
    run_lines,
)

THREE = class_map_from_dict(
    {
        "classes": [
            {"label": i, "name": name} for i, name in enumerate(("Tumor", "Stroma", "Muscle"), 1)
        ]
    },
    "x",
)
CELLS = [Obj(kind="PathCellObject", path_class=("Tumor",), roi=square("T", 3, 3, 4).roi)] * 3


def on_slice(name: str, z: int, x: int, y: int, side: int) -> Obj:
    roi = Roi("PolygonROI", ([x, x + side, x + side, x], [y, y, y + side, y + side]), (-1, z, 0))
    return Obj(path_class=(name,), roi=roi)


def run(
    folder: Path,
    *objects: Obj,
    classes: Any = THREE,
    size: tuple[int, int] = (32, 24),
    **options: Any,
) -> tuple[Report, ImageRecord, dict[str, Any]]:
    """Export one image natively: the report, its record, its sidecar."""
    project = with_objects(folder / "project", objects, (32, 24))
    report = export_masks(
        project, folder / "masks", THREE, export_options(**{"engine": "native", **options})
    )
    return report, report.records[0], read_json(folder / "masks" / "A.ome.tif.json") or {}


@pytest.mark.parametrize("kind", ["RectangleROI", "EllipseROI"])
def test_a_box_thinner_than_a_pixel_is_said_as_thin(tmp_path: Path, kind: str) -> None:
    thin = Obj(path_class=("Tumor",), roi=Roi(kind, (20.2, 10.2, 20.5, 14)))
    _, record, _ = run(tmp_path, square("Stroma", 2, 2, 4), thin)
    assert record.hidden is not None
    assert [(group.class_name, group.why) for group in record.hidden.groups] == [("Tumor", "thin")]


def test_a_covered_object_is_said_with_what_covers_it(tmp_path: Path) -> None:
    report, record, sidecar = run(
        tmp_path, square("Tumor", 4, 4, 4), square("Muscle", 2, 2, 10), square("Stroma", 20, 2, 4)
    )
    assert record.hidden is not None and report.ok
    assert record.hidden.lines() == [
        "Tumor: 1 object, no pixel left: covered by Muscle, drawn later"
    ]
    assert [row.share for row in record.hidden.covered] == [1]
    assert report.hidden_lines()[0] == (
        "A: Tumor: 1 object, no pixel left: covered by Muscle, drawn later."
    )
    assert "--order area" in report.hidden_lines()[-1]
    assert sidecar["hidden"]["objects"] == 1
    assert sidecar["hidden"]["groups"][0]["ids"] == ["number 1"]
    assert record.as_row()[12] == 1
    assert "no pixel left" in str(record.as_row()[-1])
    assert "ids" not in record.as_dict()["hidden"]["groups"][0]


def test_by_area_it_is_seen(tmp_path: Path) -> None:
    objects = square("Tumor", 4, 4, 4), square("Muscle", 2, 2, 10)
    _, record, _ = run(tmp_path, *objects, order="area")
    assert record.hidden == Hidden()
    with open_mask(tmp_path / "masks" / "A.ome.tif") as mask:
        expected = box((24, 32), (2, 2, 10, 10, 3), (4, 4, 4, 4, 1))
        np.testing.assert_array_equal(mask[:, :], expected)


def test_outside_thin_and_on_a_missing_plane(tmp_path: Path) -> None:
    xs, ys = [1, 3, 3, 1], [1, 1, 3, 3]
    _, record, _ = run(
        tmp_path,
        square("Tumor", 40, 2, 3),
        square("Tumor", 20.2, 10.2, 0.5),
        square("Tumor", 2, 2, 3),
        Obj(path_class=("Stroma",), roi=Roi("PolygonROI", (xs, ys), (-1, 4, 0))),
    )
    assert record.hidden is not None
    assert [(g.class_name, g.why, g.objects, g.of) for g in record.hidden.groups] == [
        ("Tumor", "outside", 1, 3),
        ("Tumor", "thin", 1, 3),
        ("Stroma", "plane", 1, 1),
    ]
    assert record.hidden.n_objects == 3


def test_objects_inside_others_of_their_class_are_seen(tmp_path: Path) -> None:
    _, record, _ = run(tmp_path, square("Tumor", 4, 4, 4), square("Tumor", 2, 2, 10))
    assert record.hidden == Hidden()


def test_hidden_objects_that_cover_one_another(tmp_path: Path) -> None:
    """Six nested squares below one: each is covered by the one on top of all."""
    nested = [square("Tumor" if i % 2 else "Stroma", 8 - i, 8 - i, 2 + 2 * i) for i in range(6)]
    _, record, _ = run(tmp_path, *nested, square("Muscle", 2, 2, 20))
    assert record.hidden is not None
    assert {(g.class_name, g.objects, g.by) for g in record.hidden.groups} == {
        ("Tumor", 3, ("Muscle",)), ("Stroma", 3, ("Muscle",))
    }  # fmt: skip


def test_classes_covered_for_more_than_half_say_their_share(tmp_path: Path) -> None:
    _, record, sidecar = run(
        tmp_path, square("Tumor", 2, 2, 10), square("Stroma", 2, 2, 8), square("Muscle", 2, 2, 2)
    )
    assert record.hidden is not None and not record.hidden.groups
    (found,) = record.hidden.covered
    assert (found.class_name, found.drawn_px, found.left_px) == ("Tumor", 100, 36)
    assert str(found) == "Tumor: 64 % of its pixels are covered by Stroma and Muscle, drawn later"
    assert hidden_from_dict(sidecar["hidden"]) == record.hidden


def test_a_second_run_says_it_again(tmp_path: Path) -> None:
    objects = square("Tumor", 4, 4, 4), square("Muscle", 2, 2, 10)
    _, first, _ = run(tmp_path, *objects)
    _, again, _ = run(tmp_path, *objects)
    assert (again.status, again.hidden) == ("skipped", first.hidden)


def test_as_an_error_no_mask_is_kept(tmp_path: Path) -> None:
    objects = square("Tumor", 4, 4, 4), square("Muscle", 2, 2, 10)
    report, record, _ = run(tmp_path, *objects, hidden="error")
    assert (record.status, record.error_type, report.ok) == ("failed", "HiddenObjectsError", False)
    assert "covered by Muscle" in str(record.error)
    assert not (tmp_path / "masks" / "A.ome.tif").exists()
    run(tmp_path, *objects)
    _, standing, _ = run(tmp_path, *objects, hidden="error")
    assert standing.status == "failed", "a mask that stands is no excuse"


def test_an_instance_that_another_covers(tmp_path: Path) -> None:
    _, record, _ = run(
        tmp_path, square("Tumor", 4, 4, 4), square("Muscle", 2, 2, 10), square(None, 20, 2, 4),
        instances=True,
    )  # fmt: skip
    assert record.hidden is not None
    assert record.hidden.lines() == [
        "Tumor: 1 object, no pixel left: covered by Muscle, drawn later"
    ]
    text = (tmp_path / "masks" / "A.ome.tif.instances.csv").read_text("utf-8")
    lines = [line.split(",") for line in text.splitlines()]
    columns = dict(zip(*[lines[0], range(len(lines[0]))], strict=True))
    rows = [
        [line[columns[c]] for c in ("pixels", "area_um2", "centroid_x_px0", "centroid_y_px0")]
        for line in lines[1:]
    ]
    assert rows == [["0", "", "6.0", "6.0"], ["100", "", "7.0", "7.0"], ["16", "", "22.0", "4.0"]]


def test_channels_cover_nothing(tmp_path: Path) -> None:
    _, record, _ = run(
        tmp_path, square("Tumor", 4, 4, 4), square("Muscle", 2, 2, 10), square("Tumor", 40, 2, 1),
        multichannel=True,
    )  # fmt: skip
    assert record.hidden is not None
    assert [(g.why, g.objects) for g in record.hidden.groups] == [("outside", 1)]


def test_boundaries_that_cover_what_they_go_around(tmp_path: Path) -> None:
    _, record, _ = run(tmp_path, square("Tumor", 4, 4, 1), boundary_label=9)
    assert record.hidden is not None
    assert record.hidden.groups[0].reason == "covered by the boundary lines"


def test_shares_of_boundary_lines(tmp_path: Path) -> None:
    report, record, _ = run(tmp_path, square("Tumor", 4, 4, 3), boundary_label=9)
    assert record.hidden is not None and not record.hidden.groups
    (found,) = record.hidden.covered
    assert (found.left_px, found.drawn_px) == (4, 9)
    assert str(found).endswith("of its pixels are covered by the boundary lines")
    (way,) = report.hidden_lines()[1:]
    assert "--boundary" in way and "--order" not in way


def test_shares_of_all_slices_together(tmp_path: Path) -> None:
    """Tumor: 91 of 100 pixels on one slice, 7 of 144 on the other."""
    objects = [
        on_slice("Tumor", 0, 1, 1, 10), on_slice("Muscle", 0, 1, 1, 3),
        on_slice("Tumor", 1, 1, 1, 12), on_slice("Stroma", 1, 1, 1, 3),
        on_slice("Muscle", 1, 5, 1, 8), on_slice("Muscle", 1, 1, 5, 12),
    ]  # fmt: skip
    project = with_objects(tmp_path / "project", objects, (32, 24), sizeZ=2)
    report = export_masks(project, tmp_path / "masks", THREE, export_options(engine="native"))
    hidden = report.records[0].hidden
    assert hidden is not None and not hidden.groups
    (found,) = hidden.covered
    assert (found.drawn_px, found.left_px, found.by) == (244, 98, ("Muscle", "Stroma"))


def test_shares_of_the_classes_of_instances(tmp_path: Path) -> None:
    _, record, _ = run(
        tmp_path, square("Tumor", 2, 2, 6), square("Tumor", 20, 2, 6), square("Muscle", 2, 2, 5),
        square("Muscle", 20, 2, 5), instances=True,
    )  # fmt: skip
    assert record.hidden is not None and not record.hidden.groups
    (found,) = record.hidden.covered
    assert (found.class_name, found.drawn_px, found.left_px) == ("Tumor", 72, 22)
    assert found.by == ("Muscle",)


@pytest.mark.parametrize("options", [{}, {"instances": True}])
def test_objects_without_a_shape(tmp_path: Path, options: dict[str, Any]) -> None:
    bare = Obj(path_class=("Tumor",))
    no_point = Obj(path_class=("Tumor",), roi=Roi("PolygonROI", ([], []), (-1, 0, 0)))
    report, record, _ = run(tmp_path, square("Tumor", 4, 4, 4), bare, no_point, **options)
    assert record.hidden is not None
    (group,) = record.hidden.groups
    assert (group.class_name, group.objects, group.of, group.why) == ("Tumor", 2, 3, "empty")
    assert report.hidden_lines() == [
        "A: Tumor: 2 objects, no pixel left: without a shape (no ROI, or an empty one)."
    ]


def test_nothing_but_objects_without_a_shape(tmp_path: Path) -> None:
    _, record, _ = run(tmp_path, Obj(path_class=("Tumor",)))
    assert record.hidden is not None and record.hidden.all_background


def test_a_mask_that_is_all_background_though_there_are_objects(tmp_path: Path) -> None:
    report, record, _ = run(tmp_path, square("Tumor", 40, 2, 3))
    assert record.hidden is not None and record.hidden.all_background
    assert report.hidden_lines()[0].startswith("A: the mask is all background, though")
    assert report.ok, "something was drawn"


# -- nothing is drawn ---------------------------------------------------------------------------


def test_all_without_a_class_is_said_once_and_fails(tmp_path: Path) -> None:
    report, _, _ = run(tmp_path, square(None, 4, 4, 4), square(None, 2, 2, 10))
    assert report.nothing_drawn and not report.ok
    (said,) = [w for w in report.warnings if "without a class" in w]
    assert said == (
        "All 2 annotations in 1 image are without a class: --unclassified 4 draws them with that "
        "label; --instances each with its own."
    )


def test_objects_of_another_kind_are_named(tmp_path: Path) -> None:
    report, record, _ = run(tmp_path, *CELLS)
    assert report.nothing_drawn and not report.ok
    assert any("--objects cells" in w for w in report.warnings)
    assert any("There are no annotations, but" in w for w in record.warnings)
    assert run(tmp_path, *CELLS, objects="cells")[0].ok


def test_an_image_without_any_objects_is_fine(tmp_path: Path) -> None:
    report, _, _ = run(tmp_path)
    assert report.ok and not report.nothing_drawn


# -- words --------------------------------------------------------------------------------------


def hidden(n: int = 1, name: str = "Tumor", by: tuple[str, ...] = ("Muscle",)) -> Hidden:
    return Hidden((HiddenGroup(name, n, n, "covered", by),))


def test_many_images_are_one_line() -> None:
    lines = run_lines([(f"image {i}", hidden(2)) for i in range(400)])
    assert lines[0] == (
        "Tumor: 800 objects in 400 images, no pixel left: covered by Muscle, drawn later."
    )
    assert len(lines) == 2


def test_many_kinds_are_few_lines() -> None:
    lines = run_lines([("A", hidden(i, f"class {i}")) for i in range(1, 101)])
    assert len(lines) == 14
    assert lines[0].startswith("A: class 100: 100 objects"), "the most objects come first"
    assert lines[-2] == "88 more of this kind; report.json has them all."


def test_many_coverers_are_named_in_part() -> None:
    group = hidden(by=("A", "B", "C", "D", "E")).groups[0]
    assert group.reason == "covered by A, B, C and 2 more, drawn later"


@pytest.mark.parametrize("data", [None, {}, {"groups": 3}, {"groups": [], "covered": [{"a": 1}]}])
def test_sidecars_that_do_not_say(data: object) -> None:
    assert hidden_from_dict(data) is None


def test_an_error_names_what_and_how_to_go_on() -> None:
    check_hidden(Hidden(covered=(CoveredClass("Tumor", 1, 10, 1),)), "A")
    with pytest.raises(HiddenObjectsError, match="1 object of A leaves no pixel: Tumor") as caught:
        check_hidden(hidden(), "A")
    assert "--hidden warn" in str(caught.value)


# -- every object, by its pixels ----------------------------------------------------------------


@st.composite
def scenes(draw: st.DrawFn) -> list[Obj]:
    names = st.sampled_from(["Tumor", "Stroma", "Muscle", None])
    place = st.integers(-4, 36) | st.floats(-4, 36, width=32)
    side = st.integers(1, 20) | st.floats(0.25, 20, width=32)
    squares = st.builds(square, names, place, place, side)
    return draw(st.lists(squares, min_size=1, max_size=12))


@given(scenes(), st.sampled_from(["classes", "area"]), st.sampled_from([16, 512]))
def test_an_object_is_hidden_if_and_only_if_none_of_its_pixels_has_its_label(
    tmp_path_factory: pytest.TempPathFactory, objects: list[Obj], order: str, tile_px: int
) -> None:
    """Each object is drawn alone, and its pixels are looked up in the mask of all."""
    from engine_contract import plan_of

    from qpmask.engines.base import Watch
    from qpmask.engines.native.engine import NativeEngine

    folder = tmp_path_factory.mktemp("scene")
    rows = [*THREE.as_dict()["classes"], {"label": 4, "unclassified": True}]
    classes = class_map_from_dict({"classes": rows}, "x")

    def drawn(scene: list[Obj], class_map: ClassMap) -> tuple[np.ndarray, Sight]:
        plan = plan_of(
            with_objects(folder / "p", scene, (32, 24)), class_map, order=order, tile_px=tile_px
        )
        assert plan.job is not None
        mask = np.zeros((24, 32), np.int64)
        with NativeEngine(threads=1).render(plan.job, folder / "s", Watch()) as rendering:
            tiles = [tile for strip in rendering.tiles() for tile in strip]
            side = plan.job.tile_px
            n_cols = -(-32 // side)
            for i, tile in enumerate(tiles):
                y, x = i // n_cols * side, i % n_cols * side
                mask[y : y + side, x : x + side] = tile
            labels, counts = np.unique(mask, return_counts=True)
            sight = rendering.sight([dict(zip(labels.tolist(), counts.tolist(), strict=True))])
        assert sight is not None
        return mask, sight

    mask, sight = drawn(objects, classes)
    labels = {row["name"]: row["label"] for row in THREE.as_dict()["classes"]} | {None: 4}
    alone_px: dict[int, np.ndarray] = {}
    for i, each in enumerate(objects):
        label = labels[each.path_class[0] if each.path_class else None]
        alone, _ = drawn([each], classes)
        alone_px[label] = alone_px.get(label, False) | (alone == label)
        assert sight.has_pixel[i] == bool((alone == label).any())
        assert sight.left[i] == bool(((alone == label) & (mask == label)).any())
        if sight.has_pixel[i] and not sight.left[i]:
            assert set(sight.covered_by[i]) <= set(mask[alone == label].tolist())
            assert sight.covered_by[i]
    shares = {share.label: share for share in sight.shares}
    for label, where in alone_px.items():
        left = int((mask == label).sum())
        assert (label in shares) == (2 * left < where.sum())
        if label in shares:
            assert (shares[label].drawn_px, shares[label].left_px) == (where.sum(), left)
            assert set(shares[label].covered_by) == set(mask[where].tolist()) - {label}
