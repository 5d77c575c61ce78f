"""What every engine must do: one contract, inherited by the tests of each engine.

The images are those of ``tests/data/tiny``, and the expected pixels are written here by hand.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import projects
import pytest
from conftest import TINY
from handmade_projects import with_objects
from qpdata.qpdata_builder import Obj, Roi

from qpmask.classes import ClassEntry, ClassMap, class_map_from_dict
from qpmask.engines.base import Engine, Watch
from qpmask.errors import Interrupted
from qpmask.geometry import TileGrid
from qpmask.ometiff.layout import single_tiles
from qpmask.options import ExportOptions, export_options
from qpmask.plan import ImagePlan, make_plan
from qpmask.project import open_project

CLASSES = ClassMap(
    (
        ClassEntry(1, "Alpha", (200, 0, 0)),
        ClassEntry(2, "Beta"),
        ClassEntry(7, "Gamma"),
        ClassEntry(9, "Alpha: Positive"),
    ),
    origin="test",
)


def plan_one(
    name: str, class_map: ClassMap | None = CLASSES, *, project: Path = TINY, **options: Any
) -> ImagePlan:
    """The plan of one image of the small project, or of a copy of it."""
    chosen: ExportOptions = export_options(images=(f"{name}.ome.tif",), unknown="ignore", **options)
    plan = make_plan(open_project(project), class_map, chosen)
    assert plan.images[0].error is None, plan.images[0].error
    return plan.images[0]


def box(shape: tuple[int, int], *boxes: tuple[int, int, int, int, int]) -> np.ndarray:
    """An array of zeros with (x, y, width, height, label) boxes, later ones on top."""
    array = np.zeros(shape, np.int64)
    for x, y, width, height, label in boxes:
        array[y : y + height, x : x + width] = label
    return array


def plan_of(project: Path, class_map: ClassMap | None = CLASSES, **options: Any) -> ImagePlan:
    """The plan of the only image of a hand-made project."""
    chosen = export_options(unknown="ignore", **options)
    (image,) = make_plan(open_project(project), class_map, chosen).images
    assert image.error is None, image.error
    return image


def square(name: str | None, x: float, y: float, side: float, **more: Any) -> Obj:
    """A square annotation, as a polygon: columns x to x + side, rows y to y + side."""
    xs, ys = [x, x + side, x + side, x], [y, y, y + side, y + side]
    path_class = None if name is None else (name,)
    return Obj(path_class=path_class, roi=Roi("PolygonROI", (xs, ys)), **more)


#: What becomes of each: covered; seen at its left edge; seen there as part of its class; outside;
#: thin; covered; on top.
HIDDEN = (
    square("Alpha", 4, 4, 3),
    square("Alpha", 2, 2, 9),
    square("Alpha", 2, 2, 2),
    square("Alpha", 40, 2, 3),
    square("Beta", 20.2, 10.2, 0.5),
    square("Alpha", 5, 5, 1),
    square("Beta", 3, 2, 12),
)


class EngineContract:
    """Inherit this and give a fixture ``engine``."""

    @pytest.fixture
    def engine(self) -> Engine:
        raise NotImplementedError

    @pytest.fixture
    def hand_made(self, tmp_path: Path) -> Any:
        """Make a project of one image of 32 x 24 pixels with these objects."""
        return lambda *objects: with_objects(tmp_path / "hand made", objects, (32, 24))

    @pytest.fixture
    def draw(self, engine: Engine, tmp_path: Path) -> Any:
        """Draw a plan: an array of shape (planes, height, width)."""

        def _draw(plan: ImagePlan, watch: Watch | None = None) -> np.ndarray:
            job = plan.job
            assert job is not None
            grid = TileGrid(job.size, job.tile_px)
            out = np.full((job.n_planes, job.size.height_px, job.size.width_px), -1, np.int64)
            with engine.render(job, tmp_path / "scratch.ome.tif", watch or Watch()) as rendering:
                tiles = list(single_tiles(rendering.tiles()))
            assert len(tiles) == grid.n_tiles * job.n_planes
            for i, pixels in enumerate(tiles):
                plane, rest = divmod(i, grid.n_tiles)
                row, col = divmod(rest, grid.n_cols)
                height, width = grid.shape(row, col)
                y, x = row * grid.tile_px, col * grid.tile_px
                if not isinstance(pixels, int):
                    assert pixels.shape == (height, width)
                    assert pixels.dtype == job.dtype
                out[plane, y : y + height, x : x + width] = pixels
            return out

        return _draw

    def test_areas_overlap_in_draw_order_and_holes_stay(self, draw: Any) -> None:
        expected = box(
            (48, 64), (4, 4, 20, 16, 1), (16, 12, 24, 18, 2), (44, 6, 16, 16, 7), (48, 10, 8, 8, 0)
        )
        expected[40, 44] = expected[41, 46] = 1  # points
        expected[40, 20:31] = 2  # a line
        np.testing.assert_array_equal(draw(plan_one("squares"))[0], expected)

    def test_the_order_of_the_map_decides_not_the_number(self, draw: Any) -> None:
        flipped = replace(CLASSES, entries=tuple(reversed(CLASSES.entries)))
        mask = draw(plan_one("squares", flipped))[0]
        assert mask[14, 20] == 1  # Alpha over Beta now

    def test_unclassified_objects_lie_beneath_all_others(self, draw: Any) -> None:
        mask = draw(plan_one("squares", unclassified=200))[0]
        np.testing.assert_array_equal(mask[34:44, 2:12], 200)
        assert (mask == 200).sum() == 100

    @pytest.mark.parametrize(("place", "expected"), [(0, 2), (1, 1)])
    def test_a_row_of_the_map_places_unclassified_objects(
        self, draw: Any, hand_made: Any, place: int, expected: int
    ) -> None:
        project = hand_made(square("Alpha", 2, 2, 8), square(None, 4, 4, 8))
        rows = [{"label": 2, "name": "Alpha"}]
        rows.insert(place, {"label": 1, "unclassified": True})  # type: ignore[dict-item]
        mask = draw(plan_of(project, class_map_from_dict({"classes": rows}, "x")))[0]
        both = [(2, 2, 8, 8, 2), (4, 4, 8, 8, 1)]
        np.testing.assert_array_equal(
            mask, box((24, 32), *(both if expected == 1 else reversed(both)))
        )

    def test_by_area_smaller_objects_cover_larger_ones_of_any_class(
        self, draw: Any, hand_made: Any
    ) -> None:
        """Of equal areas the later class of the map is on top; lines and points cover all."""
        project = hand_made(
            Obj(path_class=("Alpha",), roi=Roi("PointsROI", ([3.5], [3.5]))),
            Obj(path_class=("Alpha",), roi=Roi("LineROI", (4, 15, 20, 15))),
            square("Alpha", 8, 4, 4),
            square("Gamma", 14, 4, 8),
            square("Alpha", 18, 4, 8),
            square("Gamma", 1, 1, 20),
            square(None, 4, 2, 10),
            square("Beta", 6, 3, 8),
        )
        names = ("Alpha", "Beta", "Gamma")
        rows: list[Any] = [{"label": i, "name": name} for i, name in enumerate(names, 1)]
        rows.append({"label": 9, "unclassified": True})
        mapped = class_map_from_dict({"classes": rows, "order": "area"}, "x")
        expected = box(
            (24, 32), (1, 1, 20, 20, 3), (4, 2, 10, 10, 9), (18, 4, 8, 8, 1), (6, 3, 8, 8, 2),
            (14, 4, 8, 8, 3), (8, 4, 4, 4, 1), (4, 15, 17, 1, 1), (3, 3, 1, 1, 1),
        )  # fmt: skip
        for tile_px in (16, 512):
            plan = plan_of(project, mapped, tile_px=tile_px)
            np.testing.assert_array_equal(draw(plan)[0], expected)
        in_channels = draw(plan_of(project, mapped, multichannel=True))
        assert in_channels[0, 4, 8] == in_channels[1, 4, 8] == in_channels[2, 4, 8] == 255

    def test_instances_by_area_are_numbered_as_they_are_drawn(
        self, draw: Any, hand_made: Any
    ) -> None:
        project = hand_made(
            square("Beta", 4, 4, 4, children=(square("Alpha", 6, 6, 12),)),
            square("Alpha", 2, 2, 18),
            square("Alpha", 7, 7, 3),
        )
        plan = plan_of(project, None, instances=True, order="area")
        assert plan.job is not None and plan.job.instance_rows == (2, 1, 0, 3)
        expected = box((24, 32), (2, 2, 18, 18, 1), (6, 6, 12, 12, 2), (4, 4, 4, 4, 3),
                       (7, 7, 3, 3, 4))  # fmt: skip
        np.testing.assert_array_equal(draw(plan)[0], expected)

    def test_a_boundary_by_area_goes_around_every_drawn_area(
        self, draw: Any, hand_made: Any
    ) -> None:
        project = hand_made(
            square("Beta", 4, 4, 4), square("Alpha", 2, 2, 18), square("Z", 1, 1, 9)
        )
        plan = plan_of(project, ClassMap((ClassEntry(1, "Beta"), ClassEntry(2, "Alpha"))),
                       order="area", boundary_label=7)  # fmt: skip
        mask = draw(plan)[0]
        assert mask[2, 10] == mask[4, 5] == 7
        assert mask[6, 6] == 1 and mask[12, 12] == 2
        assert mask[1, 5] == 0, "not drawn, no boundary"

    def test_objects_without_a_pixel_are_found(
        self, engine: Engine, hand_made: Any, tmp_path: Path
    ) -> None:
        """An engine that tells which objects left a pixel tells this; others tell nothing."""
        project = hand_made(*HIDDEN)
        plan = plan_of(project, ClassMap((ClassEntry(1, "Alpha"), ClassEntry(2, "Beta"))))
        assert plan.job is not None
        with engine.render(plan.job, tmp_path / "scratch.ome.tif", Watch()) as rendering:
            drawn = list(single_tiles(rendering.tiles()))
            counts = [{label: int((np.asarray(drawn[0]) == label).sum()) for label in (0, 1, 2)}]
            sight = rendering.sight(counts)
        if sight is None:
            return
        assert sight.rows.tolist() == [0, 1, 2, 3, 4, 5, 6]
        assert sight.has_pixel.tolist() == [True, True, True, False, False, True, True]
        assert sight.outside.tolist() == [False, False, False, True, False, False, False]
        assert sight.left.tolist() == [False, True, True, False, False, False, True]
        assert dict(sight.covered_by) == {0: (2,), 5: (2,)}
        (share,) = sight.shares
        assert (share.label, share.drawn_px, share.covered_by) == (1, 81, (2,))

    def test_ignored_and_unmapped_classes_leave_no_pixel(self, draw: Any) -> None:
        only_beta = ClassMap((ClassEntry(5, "Beta"),))
        mask = draw(plan_one("squares", only_beta))[0]
        assert set(np.unique(mask)) == {0, 5}
        assert mask[14, 20] == 5

    def test_aliases_get_the_label_of_their_class(self, draw: Any) -> None:
        merged = ClassMap((ClassEntry(3, "Alpha", aliases=("Gamma",)),))
        mask = draw(plan_one("squares", merged))[0]
        assert mask[5, 5] == 3
        assert mask[7, 45] == 3

    @pytest.mark.parametrize("tile_px", [16, 32, 512])
    def test_tiles_of_any_size_give_the_same_mask(self, draw: Any, tile_px: int) -> None:
        np.testing.assert_array_equal(
            draw(plan_one("squares", tile_px=tile_px)), draw(plan_one("squares"))
        )

    def test_slices_and_time_points_are_planes(self, draw: Any) -> None:
        mask = draw(plan_one("stack"))
        assert mask.shape == (6, 16, 20)
        for t in range(2):
            for z in range(3):
                side = 2 + z + 4 * t
                np.testing.assert_array_equal(
                    mask[z + 3 * t], box((16, 20), (1, 1, side, side, 1)), f"z {z}, t {t}"
                )

    def test_labels_above_255_are_uint16(self, draw: Any) -> None:
        plan = plan_one("many", None)
        assert plan.job is not None and plan.job.dtype == "uint16"
        mask = draw(plan)[0]
        # Before Class 000 come three on the project's list, and one that another image has in use.
        assert mask[0, 0] == 5
        assert mask[59, 57] == 0
        assert mask[56, 57] == 304
        assert len(np.unique(mask)) == 301

    @pytest.mark.parametrize("label", [255, 256])
    def test_the_labels_around_255(self, draw: Any, label: int) -> None:
        plan = plan_one("squares", ClassMap((ClassEntry(label, "Alpha"),)))
        assert plan.job is not None
        assert plan.job.dtype == ("uint8" if label == 255 else "uint16")
        assert draw(plan)[0][5, 5] == label

    @pytest.mark.parametrize(
        ("objects", "expected"),
        [
            ("annotations", [(0, 0, 36, 36, 9)]),
            ("cells", [(2, 2, 12, 12, 1), (18, 2, 12, 12, 2)]),
            ("nuclei", [(5, 5, 4, 4, 1), (18, 2, 12, 12, 2)]),
            ("detections", [(2, 2, 12, 12, 1), (18, 2, 12, 12, 2), (2, 20, 8, 8, 7)]),
        ],
    )
    def test_the_objects_that_are_asked_for(
        self, draw: Any, objects: str, expected: list[tuple[int, int, int, int, int]]
    ) -> None:
        mask = draw(plan_one("cells", objects=objects))[0]
        np.testing.assert_array_equal(mask, box((40, 40), *expected))

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({"objects": "cores"}, [(4, 4, 16, 16, 1)]),
            ({"objects": "cores", "unclassified": 5}, [(4, 4, 16, 16, 1), (44, 4, 16, 16, 5)]),
            ({"objects": "all-cores"}, [(4, 4, 16, 16, 1), (24, 4, 16, 16, 1)]),
            ({"objects": "annotations"}, [(6, 6, 4, 4, 2)]),
            (
                {"objects": "cores", "instances": True},
                [(4, 4, 16, 16, 1), (44, 4, 16, 16, 2)],
            ),
            (
                {"objects": "all-cores", "instances": True},
                [(4, 4, 16, 16, 1), (24, 4, 16, 16, 2), (44, 4, 16, 16, 3)],
            ),
        ],
    )
    def test_cores_of_a_tissue_microarray(
        self, draw: Any, tiny: Path, options: dict[str, Any], expected: list[Any]
    ) -> None:
        projects.put_cores(tiny, "squares.ome.tif")
        plan = plan_one("squares", project=tiny, **options)
        np.testing.assert_array_equal(draw(plan)[0], box((48, 64), *expected))

    def test_instances_get_a_label_each_in_the_order_of_the_file(self, draw: Any) -> None:
        plan = plan_one("cells", objects="detections", instances=True)
        mask = draw(plan)[0]
        boxes = [(2, 2, 12, 12), (18, 2, 12, 12), (2, 20, 8, 8), (20, 20, 8, 8)]
        np.testing.assert_array_equal(
            mask, box((40, 40), *((*b, i) for i, b in enumerate(boxes, 1)))
        )

    def test_instances_of_classes_left_out_are_not_drawn(self, draw: Any) -> None:
        only = ClassMap((ClassEntry(1, "Gamma"), ClassEntry(2, "Beta")))
        plan = plan_one("cells", only, objects="detections", instances=True, unclassified="ignore")
        np.testing.assert_array_equal(
            draw(plan)[0], box((40, 40), (18, 2, 12, 12, 1), (2, 20, 8, 8, 2))
        )

    def test_channels_keep_what_overlaps(self, draw: Any) -> None:
        two = ClassMap((ClassEntry(4, "Alpha"), ClassEntry(2, "Beta")))
        mask = draw(plan_one("squares", two, multichannel=True))
        assert mask.shape == (2, 48, 64)
        assert set(np.unique(mask)) == {0, 255}
        assert mask[0, 14, 20] == mask[1, 14, 20] == 255
        assert mask[0, 4:20, 4:24].all() and mask[1, 12:30, 16:40].all()
        assert mask[0].sum() // 255 == 20 * 16 + 2
        assert mask[1].sum() // 255 == 24 * 18 + 11

    def test_channels_and_slices_together(self, draw: Any) -> None:
        two = ClassMap((ClassEntry(1, "Beta"), ClassEntry(2, "Alpha")))
        mask = draw(plan_one("stack", two, multichannel=True))
        assert mask.shape == (12, 16, 20)
        assert not mask[0::2].any()
        assert [int((m != 0).sum()) for m in mask[1::2]] == [4, 9, 16, 36, 49, 64]

    def test_one_class_in_channels(self, draw: Any) -> None:
        mask = draw(plan_one("squares", ClassMap((ClassEntry(6, "Beta"),)), multichannel=True))
        assert mask.shape == (1, 48, 64)
        assert mask[0, 12:30, 16:40].all()

    def test_downsampled(self, draw: Any) -> None:
        plan = plan_one("squares", downsample=4.0)
        assert plan.job is not None and str(plan.job.size) == "16 x 12"
        mask = draw(plan)[0]
        # QuPath samples thin shapes at pixel corners: from 16/4 = 4 up to, not with, 40/4 = 10.
        np.testing.assert_array_equal(mask[:3, :7], box((3, 7), (1, 1, 5, 2, 1)))
        np.testing.assert_array_equal(mask[3:8, :11], box((5, 11), (1, 0, 5, 2, 1),
                                                          (4, 0, 6, 5, 2)))  # fmt: skip

    def test_a_boundary_goes_around_every_drawn_area(self, draw: Any) -> None:
        mask = draw(plan_one("squares", boundary_label=50))[0]
        assert mask[4, 10] == 50  # upper edge of Alpha
        assert mask[10, 10] == 1
        assert mask[8, 52] == 7 and mask[10, 52] == 50  # the edge of the hole
        assert not (mask[34:44, 2:12] == 50).any()  # not drawn, no boundary

    def test_an_image_without_objects_is_background(self, draw: Any) -> None:
        assert not draw(plan_one("empty")).any()

    def test_progress_counts_up(self, draw: Any) -> None:
        seen: list[int] = []
        draw(plan_one("stack"), Watch(on_tiles=seen.append))
        assert seen == sorted(seen)

    def test_a_stopped_run_raises_and_leaves_no_file(self, engine: Engine, tmp_path: Path) -> None:
        stop = threading.Event()
        stop.set()
        plan = plan_one("squares")
        assert plan.job is not None
        scratch = tmp_path / "scratch.ome.tif"
        with (
            pytest.raises(Interrupted),
            engine.render(plan.job, scratch, Watch(stop=stop)) as rendering,
        ):
            list(single_tiles(rendering.tiles()))
        assert not scratch.exists()

    def test_the_engine_says_what_it_is(self, engine: Engine) -> None:
        probed, started = engine.probe(), engine.start()
        assert probed.name == started.name
        assert probed.version == started.version
        assert probed.pixel_rules == started.pixel_rules
