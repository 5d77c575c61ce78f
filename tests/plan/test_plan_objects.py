"""What a run would do: which objects it draws, on masks of which size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import projects
import pytest
from plan.planning import ALL, CELLS, SQUARES, STACK, failure, metadata_of, one, plan

from qpmask.classes import ClassMap, class_map_from_dict
from qpmask.errors import (
    OptionsError,
    QpmaskError,
)
from qpmask.geometry import PixelSize, Size

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
    (said,) = [text for text in image.findings if text.startswith("Left out")]
    assert said == "Left out: 1 object of 'Region*' (QuPath ignores *)."
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


def test_pixels_that_are_not_square_are_said_with_mpp(three: Path) -> None:
    def flat(meta: dict[str, Any]) -> None:
        meta["pixelCalibration"]["pixelHeight"]["value"] = 1.5

    metadata_of(three, SQUARES, flat)
    image = one(three, SQUARES, mpp=2.0)
    assert image.job is not None and image.job.downsample == 2.0
    (said,) = [text for text in image.findings if "not square" in text]
    assert "0.5 x 1.5" in said and "1 x 3" in said
    assert not any("not square" in text for text in one(three, CELLS, mpp=2.0).findings)
    assert not any("not square" in text for text in one(three, SQUARES, downsample=2).findings)


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


# -- tissue microarrays ---------------------------------------------------------------------------


def test_missing_cores_are_left_out_unless_asked_for(three: Path) -> None:
    projects.put_cores(three, SQUARES)
    cores = one(three, SQUARES, ALL, objects="cores")
    everything = one(three, SQUARES, ALL, objects="all-cores")
    assert (cores.drawn, everything.drawn) == (1, 2)
    assert sum(cores.legend[i].objects for i in range(len(cores.legend))) == 1
    told = "1 TMA core marked as missing left out ('all-cores' instead of 'cores' draws them too)."
    assert told in cores.findings and told not in everything.findings


def test_cores_give_their_names_to_instances(three: Path) -> None:
    projects.put_cores(three, SQUARES)
    cores = one(three, SQUARES, ALL, objects="cores", instances=True)
    assert [(row.label, row.name) for row in cores.legend] == [(1, "A-1"), (2, "Core 2")]
    everything = one(three, SQUARES, ALL, objects="all-cores", instances=True)
    assert [row.name for row in everything.legend] == ["A-1", "A-2", "Core 3"]
    assert one(three, SQUARES, ALL, instances=True).legend == ()
