"""Mask files compared: any layout, any resolution, and what is refused."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from mask_files import Layout, blobs, layouts, write, write_foreign

from qpmask import MaskWriter, compare_masks
from qpmask.agreement.pairing import Frame, pair
from qpmask.errors import MaskError, OptionsError
from qpmask.geometry import PixelSize, Size

BASE = np.minimum(blobs(300, 500), 3)


def pairs_of(first: np.ndarray, second: np.ndarray) -> Counter[tuple[int, int]]:
    return Counter(zip(first.ravel().tolist(), second.ravel().tolist(), strict=True))


def make(path: Path, labels: np.ndarray, **options: Any) -> Path:
    with MaskWriter(path, labels.shape[1], labels.shape[0], **options) as writer:
        writer.write(0, 0, labels)
    return path


@settings(max_examples=40)
@given(layouts(), layouts())
def test_every_pair_of_labels_is_counted(tmp_path: Path, one: Layout, other: Layout) -> None:
    """Whatever the tiles, strips, byte order, compression and type of both files."""
    other = replace(other, rows=one.rows, cols=one.cols)
    first, second = one.write(tmp_path / "a.tif"), other.write(tmp_path / "b.tif")
    found = compare_masks(tmp_path / "a.tif", tmp_path / "b.tif")
    assert found.pixels.confusion[0] == pairs_of(first, second)
    different = np.argwhere(first != second)
    assert found.equal == (len(different) == 0)
    places = found.pixels.places
    if found.pixels.n_tiles_different <= 100:
        assert sum(place.n_pixels for place in places) == len(different)
    for place in places:
        assert first[place.y_px, place.x_px] != second[place.y_px, place.x_px]


def test_a_row_of_several_strips(tmp_path: Path) -> None:
    first = np.minimum(blobs(40, 2100, seed=1), 3)
    second = first.copy()
    second[20, 2090] = 3 - second[20, 2090]
    make(tmp_path / "a.tif", first, tile_size=16)
    for tile in (16, 64):
        make(tmp_path / "b.tif", second, tile_size=tile)
        found = compare_masks(tmp_path / "a.tif", tmp_path / "b.tif")
        assert found.pixels.confusion[0] == pairs_of(first, second)
        (place,) = found.pixels.places
        assert (place.row, place.col, place.x_px, place.y_px) == (1, 130, 2090, 20)


@pytest.mark.parametrize("scale", [2, 4, 8, 3, 5])
@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("is_ours", [False, True])
def test_a_finer_mask_is_brought_to_the_coarser_by_picking(
    tmp_path: Path, scale: int, swapped: bool, is_ours: bool
) -> None:
    picked = BASE[::scale, ::scale]
    if is_ours:
        make(tmp_path / "fine.tif", BASE, mpp=0.25, classes={n: f"c{n}" for n in range(1, 4)})
    else:  # levels that are averages, which must not be used
        write_foreign(tmp_path / "fine.tif", BASE)
    changed = picked.copy()
    changed[3, 5] = 3 - changed[3, 5]
    for labels, n_different in ((picked, 0), (changed, 1)):
        make(tmp_path / "coarse.tif", labels, tile_size=64)
        names = ["fine.tif", "coarse.tif"]
        found = compare_masks(*(tmp_path / name for name in (names[::-1] if swapped else names)))
        assert found.n_pixels == picked.size and found.n_different == n_different
        assert found.pairing.coarser == (0 if swapped else 1)
        assert (found.pairing.scale_x, found.pairing.scale_y) == (scale, scale)
        assert [(p.x_px, p.y_px) for p in found.pixels.places] == [(5, 3)][:n_different]


def test_a_size_rounded_down_as_qupath_has_it(tmp_path: Path) -> None:
    labels = BASE[::4, ::4][: 300 // 4, : 499 // 4]
    make(tmp_path / "fine.tif", BASE[:299, :499])
    make(tmp_path / "coarse.tif", labels[: 299 // 4])
    assert compare_masks(tmp_path / "fine.tif", tmp_path / "coarse.tif").equal


def test_a_scale_that_is_not_whole_comes_from_the_masks_themselves() -> None:
    image = Size(1000, 601)
    fine = Frame(image, None, image, 1.0)
    coarse = Frame(image.downsampled(3.97), None, image, 3.97)
    found = pair(fine, coarse)
    assert (found.coarser, found.scale_x, found.scale_y) == (1, 3.97, 3.97)


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (Frame(Size(100, 50)), Frame(Size(50, 50)), "no downsample explains"),
        (Frame(Size(100, 50)), Frame(Size(50, 100)), "no downsample explains"),
        (Frame(Size(100, 50)), Frame(Size(90, 55)), "no downsample explains"),
        (
            Frame(Size(100, 50), PixelSize(0.5, 0.5)),
            Frame(Size(25, 12), PixelSize(0.5, 0.5)),
            "4 pixels of the other by their sizes, but 1 by their pixel sizes",
        ),
        (
            Frame(Size(100, 50), None, Size(100, 50), 1.0),
            Frame(Size(100, 50), None, Size(200, 100), 2.0),
            "an image of 100 x 50 pixels, the second for one of 200 x 100",
        ),
    ],
)
def test_masks_of_different_images_are_refused(first: Frame, second: Frame, words: str) -> None:
    with pytest.raises(MaskError, match=words):
        pair(first, second)
    with pytest.raises(MaskError):
        pair(second, first)


def test_pixel_sizes_that_contradict_equal_sizes_are_said(tmp_path: Path) -> None:
    one = make(tmp_path / "a.tif", BASE, mpp=0.25)
    other = make(tmp_path / "b.tif", BASE, mpp=0.5)
    assert "0.25 µm in the first and 0.5 µm" in compare_masks(one, other).notes[0]
    assert compare_masks(one, make(tmp_path / "b.tif", BASE, mpp=0.2502)).notes == ()


def test_by_name(tmp_path: Path) -> None:
    """The same classes under other labels."""
    swapped = np.array([0, 2, 1, 3], np.uint8)[BASE]
    one = make(tmp_path / "a.tif", BASE, classes={"A": 1, "B": 2, "C": 3})
    other = make(tmp_path / "b.tif", swapped, classes={"B": 1, "A": 2, "C": 3})
    by_label = compare_masks(one, other)
    assert not by_label.equal and "label 1 is 'A' in the first" in by_label.notes[0]
    by_name = compare_masks(one, other, by="name")
    assert by_name.equal and by_name.notes == () and by_name.kappa == 1.0
    assert [s.name for s in by_name.scores] == ["A", "B", "C", "(background)"]
    with pytest.raises(OptionsError, match="by is 'class'"):
        compare_masks(one, other, by="class")  # type: ignore[arg-type]


def test_labels_that_stand_for_objects_are_said(tmp_path: Path) -> None:
    classes = make(tmp_path / "a.tif", BASE, classes={"A": 1, "B": 2, "C": 3})
    objects = make(tmp_path / "b.tif", BASE, extra={"kind": "instances"})
    with pytest.raises(MaskError, match="the second has a label for each object"):
        compare_masks(classes, objects)
    bare = make(tmp_path / "c.tif", BASE)
    assert "labels of the second stand for objects" in compare_masks(bare, objects).notes[0]
    assert "labels of both masks" in compare_masks(objects, objects).notes[0]


def test_scores_of_files_are_those_of_arrays(tmp_path: Path) -> None:
    second = np.roll(BASE, 7, axis=1)
    one = make(tmp_path / "a.tif", BASE, classes={"A": 1, "B": 2, "C": 3})
    write(tmp_path / "b.tif", second, tile_px=64)
    found = compare_masks(one, tmp_path / "b.tif")
    for score in found.scores:
        a, b = score.label == BASE, second == score.label
        assert score.dice == pytest.approx(2 * np.sum(a & b) / (a.sum() + b.sum()))
    assert found.agreement.accuracy == pytest.approx(np.mean(second == BASE))


def test_a_damaged_tile_is_an_error_and_not_background(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", BASE, tile_px=64)
    write(tmp_path / "b.tif", BASE, tile_px=64)
    content = bytearray((tmp_path / "b.tif").read_bytes())
    (tmp_path / "b.tif").write_bytes(content[: len(content) // 3])
    with pytest.raises(MaskError):
        compare_masks(tmp_path / "a.tif", tmp_path / "b.tif")
