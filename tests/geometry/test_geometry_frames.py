"""Where an image lies in its file: every builder of QuPath 0.2 to 0.7, and what is not known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from handmade_projects import metadata, one
from hypothesis import given
from hypothesis import strategies as st

from qpmask.errors import FrameError
from qpmask.geometry import Affine, Bounds, Size
from qpmask.geometry.frames import Frame
from qpmask.project.serverchain import read_frame

OPENSLIDE = "qupath.lib.images.servers.openslide.OpenslideServerBuilder"
BIOFORMATS = "qupath.lib.images.servers.bioformats.BioFormatsServerBuilder"


def slide(width: int = 100, height: int = 80, provider: str | None = BIOFORMATS,
          args: tuple[str, ...] = ("--series", "0")) -> dict[str, Any]:  # fmt: skip
    builder: dict[str, Any] = {"builderType": "uri", "uri": "file:/s/a%20b.svs",
                               "args": list(args), "metadata": metadata(width, height)}  # fmt: skip
    return builder if provider is None else {**builder, "providerClassName": provider}


def around(kind: str, builder: Any, width: int, height: int, **more: Any) -> dict[str, Any]:
    return {
        "builderType": kind, "builder": builder, "metadata": metadata(width, height), **more
    }  # fmt: skip


def crop(builder: Any, x: int, y: int, width: int, height: int) -> dict[str, Any]:
    region = {"x": x, "y": y, "width": width, "height": height, "z": 0, "t": 0}
    return around("cropped", builder, width, height, region=region)


def place(builder: Any, x: float, y: float) -> tuple[float, float]:
    """Where a point of the image lies in the file of 100 x 80 pixels."""
    return read_frame(builder).to_file(Size(100, 80))(x, y)


def test_a_whole_slide_is_its_file(tmp_path: Path) -> None:
    frame = one(tmp_path, serverBuilder=slide()).frame
    assert frame.matrix == Affine() and frame.unknown is None and frame.is_whole
    assert frame.words() == ""
    assert frame.file is not None
    assert (frame.file.name, frame.file.series, frame.file.provider) == (
        "a b.svs", 0, "Bio-Formats",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rotation", "size", "point"),
    # The image's first pixel covers (0, 0) to (1, 1); its middle lies in the file at `point`.
    [
        ("ROTATE_NONE", (100, 80), (0.5, 0.5)),
        ("ROTATE_90", (80, 100), (0.5, 79.5)),
        ("ROTATE_180", (100, 80), (99.5, 79.5)),
        ("ROTATE_270", (80, 100), (99.5, 0.5)),
    ],
)
def test_rotations(rotation: str, size: tuple[int, int], point: tuple[float, float]) -> None:
    builder = around("rotated", slide(), *size, rotation=rotation)
    assert place(builder, 0.5, 0.5) == point
    assert read_frame(builder).is_whole == (rotation == "ROTATE_NONE")


@pytest.mark.parametrize(
    ("flip", "point"),
    [("NONE", (2.5, 1.5)), ("HORIZONTAL", (97.5, 1.5)), ("VERTICAL", (2.5, 78.5)),
     ("BOTH", (97.5, 78.5))],
)  # fmt: skip
def test_flips(flip: str, point: tuple[float, float]) -> None:
    assert place(around("flipped", slide(), 100, 80, flip=flip), 2.5, 1.5) == point


def test_crops_of_rotations_and_rotations_of_crops() -> None:
    turned = around("rotated", slide(), 80, 100, rotation="ROTATE_90")
    assert place(crop(turned, 10, 20, 30, 40), 0, 0) == (20, 70)
    cropped = crop(slide(), 10, 20, 30, 40)
    assert place(around("rotated", cropped, 40, 30, rotation="ROTATE_90"), 0, 0) == (10, 60)
    words = read_frame(crop(turned, 10, 20, 30, 40)).words()
    assert words == "cropped to 30 x 40 pixels at x 10, y 20, rotated by 90 degrees"


def test_transforms_lead_from_the_file_to_the_image() -> None:
    transform = {"m00": 2, "m01": 0, "m02": -6, "m10": 0, "m11": 4, "m12": 8}
    builder = around("affine", slide(), 194, 328, transform=transform)
    assert place(builder, 0, 8) == (3, 0)
    shear = {**transform, "m01": 1}
    assert place(around("affine", slide(), 9, 9, transform=shear), -6, 8) == (0, 0)
    same = {"m00": 1, "m01": 0, "m02": 0, "m10": 0, "m11": 1, "m12": 0}
    assert read_frame(around("affine", slide(), 100, 80, transform=same)).is_whole


@pytest.mark.parametrize(
    "kind",
    ["pyramidize", "color", "swapRedBlue", "color_deconvolved", "normalized", "typeConvert",
     "channels", "sliced", "z_projected"],
)  # fmt: skip
def test_what_changes_values_or_planes_moves_nothing(kind: str) -> None:
    frame = read_frame(around(kind, slide(), 100, 80, channels=[slide(50, 40)]))
    assert frame.to_file(Size(100, 80)) == Affine() and frame.words() == ""
    assert bool(frame.notes) == (kind in ("channels", "sliced", "z_projected"))


@pytest.mark.parametrize(
    ("builder", "why"),
    [
        ({}, "does not say how it is made"),
        (around("warped", slide(), 100, 80), "'warped'"),
        (around("rotated", slide(), 80, 100, rotation="ROTATE_45"), "ROTATE_45"),
        (around("flipped", slide(), 100, 80), "its flip is None"),
        (around("rotated", slide(), 100, 80, rotation="ROTATE_90"), "contradicts itself"),
        (around("cropped", slide(), 10, 10), "no region"),
        ({**crop(slide(), 1, 1, 10, 10), "metadata": metadata(11, 10)}, "contradicts itself"),
        (around("affine", slide(), 1, 1), "no six numbers"),
        (around("affine", slide(), 1, 1, transform=dict.fromkeys(
            ("m00", "m01", "m02", "m10", "m11", "m12"), 0)), "cannot be inverted"),
        (around("sparse", None, 9, 9, regions=[]), "composes it of several images"),
        (around("z_concatenated", None, 9, 9, builders=[slide()]), "composes it"),
        (around("color", None, 9, 9), "no image below"),
        ({"builderType": "uri"}, "does not name its file"),
        (slide(provider="ext.OmeroServerBuilder"), "ext.OmeroServerBuilder reads it"),
        (slide(provider="qupath.lib.images.servers.JsonImageServerBuilder"), "Json"),
        (slide(args=("--dims", "YXCZT")), "swap its dimensions"),
        (slide(args=("--series", "two")), "its series is 'two'"),
    ],
)  # fmt: skip
def test_what_is_not_known_is_said_and_never_guessed(builder: dict[str, Any], why: str) -> None:
    frame = read_frame(builder)
    assert frame.matrix is None and frame.unknown is not None and why in frame.unknown
    assert not frame.is_whole
    with pytest.raises(FrameError, match="not known"):
        frame.to_file(Size(100, 80))


def test_an_endless_chain_ends() -> None:
    builder: dict[str, Any] = slide()
    for _ in range(200):
        builder = around("color", builder, 100, 80)
    assert "64 times" in str(read_frame(builder).unknown)


@pytest.mark.parametrize(
    ("args", "series", "name"),
    [
        (("--series", "2"), 2, None), (("--series=2",), 2, None), (("-s", "2"), 2, None),
        (("--series", "-1"), None, None), ((), None, None),
        (("--name", "Label"), None, "Label"), (("--dims", "XYZCT", "--series", "1"), 1, None),
    ],
)  # fmt: skip
def test_the_series_is_the_file_s(
    args: tuple[str, ...], series: int | None, name: str | None
) -> None:
    frame = read_frame(slide(args=args))
    assert frame.file is not None
    assert (frame.file.series, frame.file.series_name) == (series, name)
    assert frame.is_whole == (not series and name is None)


def test_a_rotation_in_the_arguments_counts_where_qupath_chooses_the_reader() -> None:
    args = ("--rotate", "ROTATE_180")
    assert place(slide(provider=None, args=args), 0, 0) == (100, 80)
    assert place(slide(provider=BIOFORMATS, args=args), 0, 0) == (0, 0)


BOUNDS = Bounds(300, 200, Size(100, 80))
FULL = Size(1000, 900)


def test_openslide_s_bounds_are_applied_unless_told_otherwise() -> None:
    cut = read_frame(crop(slide(provider=OPENSLIDE, args=()), 10, 20, 5, 5))
    assert cut.to_file(FULL, BOUNDS)(0, 0) == (310, 220)
    whole = read_frame(crop(slide(1000, 900, OPENSLIDE, ("--no-crop",)), 10, 20, 5, 5))
    assert whole.to_file(FULL, BOUNDS)(0, 0) == (10, 20)
    by_bioformats = read_frame(crop(slide(1000, 900), 10, 20, 5, 5))
    assert by_bioformats.to_file(FULL, BOUNDS)(0, 0) == (10, 20)
    # A slide that names no bounds is read whole.
    assert cut.to_file(Size(100, 80))(0, 0) == (10, 20)
    # As wide and high as the slide, yet elsewhere: QuPath moves it all the same.
    assert cut.to_file(Size(100, 80), Bounds(3, 4, Size(100, 80)))(0, 0) == (13, 24)


def test_a_slide_of_another_size_is_another_slide() -> None:
    frame = read_frame(slide(provider=OPENSLIDE, args=()))
    with pytest.raises(FrameError, match=r"QuPath read 100 x 80 pixels of a b\.svs"):
        frame.to_file(FULL)
    with pytest.raises(FrameError, match="scanned: 90 x 80"):
        frame.to_file(FULL, Bounds(0, 0, Size(90, 80)))
    with pytest.raises(FrameError):
        read_frame(slide()).to_file(FULL, BOUNDS)  # Bio-Formats knows no bounds


def test_the_reader_that_qupath_chose_is_told_by_what_it_read() -> None:
    frame = read_frame(slide(provider=None, args=()))
    assert frame.to_file(FULL, BOUNDS)(0, 0) == (300, 200)
    assert frame.to_file(Size(100, 80), Bounds(5, 5, Size(50, 40)))(0, 0) == (0, 0)
    bare = read_frame({"builderType": "uri", "uri": "file:/s/a.svs"})
    with pytest.raises(FrameError, match="not known"):
        bare.to_file(FULL, BOUNDS)
    assert bare.to_file(FULL) == Affine()


def test_a_mask_has_a_frame_of_its_own() -> None:
    frame = read_frame(crop(slide(), 10, 20, 30, 40)).scaled(2.5)
    assert frame.to_file(Size(100, 80))(2, 4) == (15, 30)
    assert Frame(None, unknown="x").scaled(2) == Frame(None, unknown="x")


numbers = st.integers(-50, 50)
turns = st.sampled_from(
    [Affine(0, 1, 0, -1, 0, 7), Affine(-1, 0, 9, 0, -1, 7), Affine(2, 1, 3, 0, 4, 5),
     Affine.shift(3, -4), Affine.scale(2, 4)]
)  # fmt: skip


@given(st.lists(turns, min_size=1, max_size=5), numbers, numbers)
def test_matrices_compose_and_lead_back(chain: list[Affine], x: int, y: int) -> None:
    whole = Affine()
    for step in chain:
        whole = whole @ step
    point: tuple[float, float] = (x, y)
    for step in reversed(chain):
        point = step(*point)
    assert whole(x, y) == point
    assert whole.inverse()(*point) == pytest.approx((x, y))


def test_what_a_matrix_does_to_lengths_and_boxes() -> None:
    turned = Affine(0, -2, 80, 3, 0, 0)
    assert (turned.step_x, turned.step_y) == (3, 2)
    assert turned.keeps_axes and not turned.is_upright
    assert turned.box(0, 0, 10, 20) == (40, 0, 40, 30)
    assert Affine.scale(2).is_upright
    assert not Affine(1, 0.1, 0, 0, 1, 0).keeps_axes
    with pytest.raises(ValueError, match="inverted"):
        Affine.scale(0, 1).inverse()
