from __future__ import annotations

import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from ometiff.mask_samples import CLASSES, blobs, cut, histogram, write

from qpmask.agreement import compare_masks
from qpmask.geometry import Size
from qpmask.ometiff import ClassRow, MaskFile, MaskLayout, check_mask, to_ome_xml
from qpmask.ometiff.codecs import encode_tile
from qpmask.ometiff.maskcompare import compare_with_tiles
from qpmask.ometiff.omexml import MaskMetadata

BASE = blobs(200, 330)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "m.ome.tif"
    write(path, BASE, tile_px=64)
    return path


def texts(path: Path, **options) -> list[str]:
    return [str(problem) for problem in check_mask(path, **options).problems]


def patch_tile(path: Path, level: int, row: int, col: int, pixels: np.ndarray | None) -> None:
    """Give a tile other pixels, or none at all (offset 0), whatever it shared before."""
    with MaskFile(path) as mask:
        structure = mask.structure
        image = structure.images[0][level]
        compression = mask.compression
        index = row * mask.levels[level].n_cols + col
    data = bytearray(path.read_bytes())
    offset, n_bytes = 0, 0
    if pixels is not None:
        full = np.zeros((64, 64), pixels.dtype)
        full[: pixels.shape[0], : pixels.shape[1]] = pixels
        packed = encode_tile(full, compression)
        offset, n_bytes = len(data), len(packed)
        data += packed
    n_entries = struct.unpack_from("<H", data, image.directory_offset)[0]
    for i in range(n_entries):
        place = image.directory_offset + 2 + 12 * i
        tag, _, count, value = struct.unpack_from("<HHLL", data, place)
        if tag in (324, 325):
            at = place + 8 if count == 1 else value
            struct.pack_into("<L", data, at + 4 * index, offset if tag == 324 else n_bytes)
    path.write_bytes(data)


def test_a_good_mask(path: Path) -> None:
    seen: list[int] = []
    report = check_mask(path, counts=histogram(BASE), on_tile=seen.append)
    assert report.ok and report.problems == () and report.n_problems == 0
    assert report.path == path
    assert report.counts == (histogram(BASE),)
    assert [(s.width_px, s.height_px) for s in report.levels] == [
        (330, 200),
        (165, 100),
        (83, 50),
        (42, 25),
    ]
    assert report.n_tiles == 24 + 6 + 2 + 1
    assert report.metadata is not None and report.metadata.classes == CLASSES
    assert report.file_bytes == path.stat().st_size
    assert seen == [6, 12, 18, 24]  # strip by strip, here whole rows of tiles


@pytest.mark.parametrize("threads", [1, 4])
def test_a_missing_tile(path: Path, threads: int) -> None:
    patch_tile(path, 0, 1, 3, None)
    report = check_mask(path, threads=threads)
    assert [str(p) for p in report.problems] == [
        "level 0, row 1, column 3: it is missing from the file"
    ]
    assert report.problems[0].kind == "tile"
    # What the tile would have held is known to no one: neither counted nor compared.
    assert sum(report.counts[0].values()) == BASE.size - 64 * 64


def test_a_missing_tile_of_a_level(path: Path) -> None:
    patch_tile(path, 1, 1, 2, None)
    patch_tile(path, 3, 0, 0, None)
    assert texts(path, counts=histogram(BASE)) == [
        "level 1, row 1, column 2: it is missing from the file",
        "level 3, row 0, column 0: it is missing from the file",
    ]


def test_two_bad_tiles_do_not_hide_a_third(path: Path) -> None:
    patch_tile(path, 0, 0, 0, None)
    patch_tile(path, 0, 3, 5, None)
    patch_tile(path, 1, 0, 0, None)
    assert len(texts(path)) == 3


def test_one_wrong_pixel_in_a_level(path: Path) -> None:
    for level, row, col in ((1, 0, 1), (2, 0, 0), (3, 0, 0)):
        with MaskFile(path) as mask:
            tile = mask.tile(level, 0, row, col)
        tile[-1, -1] ^= 1
        patch_tile(path, level, row, col, tile)
        (problem, *_) = [p for p in check_mask(path).problems if p.kind == "pyramid"]
        assert (problem.level, problem.row, problem.col) == (level, row, col)
        assert problem.text.startswith("1 of ")
        tile[-1, -1] ^= 1
        patch_tile(path, level, row, col, tile)
        assert check_mask(path).ok


def test_a_wrong_tile_of_one_label_in_a_level(tmp_path: Path) -> None:
    path = tmp_path / "m.ome.tif"
    write(path, np.full((200, 330), 2, np.uint8))
    patch_tile(path, 1, 0, 0, np.full((64, 64), 3, np.uint8))
    assert texts(path) == [
        "level 1, row 0, column 0: 4,096 of 4,096 pixels differ from level 0 subsampled by 2"
    ]


def test_a_wrong_tile_of_the_base(path: Path) -> None:
    with MaskFile(path) as mask:
        tile = mask.tile(0, 0, 1, 1)
    tile[0, 1] = 99  # an odd place: no level shows it
    patch_tile(path, 0, 1, 1, tile)
    found = texts(path, counts=histogram(BASE))
    assert found[0] == (
        "level 0, row 1, column 1: the label 99 is in no class; 1 pixels have it, the first here"
    )
    assert any(text == "label 99 has 1 pixels; expected 0" for text in found)
    assert len(found) == 3
    tile[0, 0] = 99
    patch_tile(path, 0, 1, 1, tile)
    kinds = {p.kind for p in check_mask(path).problems}
    assert kinds == {"label", "pyramid"}


def test_labels_of_the_classes_given(path: Path) -> None:
    assert texts(path, classes=[1, 2, 3, 200]) == []
    assert texts(path, classes=[ClassRow(1, "a"), 2, ClassRow(3, "b"), 200]) == []
    (text,) = texts(path, classes=[1, 2, 3])
    assert "the label 200 is in no class" in text
    assert len(texts(path, classes=[])) == 4


def test_without_a_class_table_any_label_may_be(tmp_path: Path) -> None:
    write(tmp_path / "m", BASE, classes=())
    assert check_mask(tmp_path / "m").ok


def test_counts(path: Path) -> None:
    right = histogram(BASE)
    assert texts(path, counts={**right, 77: 0}) == []
    assert texts(path, counts=[right]) == []
    assert texts(path, counts={**right, 1: right[1] + 1000, 7: 5}) == [
        f"label 1 has {right[1]:,} pixels; expected {right[1] + 1000:,}",
        "label 7 has 0 pixels; expected 5",
    ]
    assert texts(path, counts=[right, right]) == ["it has 1 planes; 2 were expected"]


def test_counts_of_planes(tmp_path: Path) -> None:
    base = np.stack([BASE, BASE[::-1, ::-1] // 3])
    result = write(tmp_path / "m", base, size_c=2, classes=())
    each = [histogram(plane) for plane in base]
    for counts in (result.counts, each, histogram(base)):
        assert texts(tmp_path / "m", counts=counts) == []
    (text, *_) = texts(tmp_path / "m", counts=[each[0], each[0]])
    assert text.startswith("plane 1: label ")


def test_a_bad_tile_names_its_plane(tmp_path: Path) -> None:
    write(tmp_path / "m", np.stack([BASE, BASE]), size_z=2)
    patch_tile(tmp_path / "m", 0, 0, 1, None)
    assert texts(tmp_path / "m") == [
        "plane 0, level 0, row 0, column 1: it is missing from the file"
    ]


def test_many_problems_are_counted_and_not_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "m"
    write(path, blobs(64 * 12, 64 * 12), tile_px=64)
    data = bytearray(path.read_bytes())
    with MaskFile(path) as mask:
        place = next(
            struct.unpack_from("<L", data, at + 8)[0]
            for at in range(10, 400, 12)
            if struct.unpack_from("<H", data, at)[0] == 324
        )
        assert mask.levels[0].n_tiles == 144
    data[place : place + 4 * 144] = bytes(4 * 144)
    path.write_bytes(data)
    report = check_mask(path)
    assert report.n_problems >= 144 and len(report.problems) == 100


def test_progress_that_fails_is_passed_on(path: Path) -> None:
    def on_tile(n_done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_mask(path, on_tile=on_tile)


# --- structure --------------------------------------------------------------------------------


def write_levels(path: Path, levels: list[np.ndarray], **options) -> None:
    subifds = options.pop("subifds", len(levels) - 1)
    byteorder = options.pop("byteorder", "<")
    subfiletype = options.pop("subfiletype", 1)
    size = Size(levels[0].shape[1], levels[0].shape[0])
    xml = to_ome_xml(options.pop("record", MaskMetadata("m", size)))
    options = {"tile": (64, 64), "metadata": None, "photometric": "minisblack", **options}
    with tifffile.TiffWriter(path, byteorder=byteorder, ome=False) as tif:
        tif.write(levels[0], subifds=subifds, description=xml, **options)
        for level in levels[1:]:
            tif.write(level, subfiletype=subfiletype, **options)


HALF = BASE[::2, ::2]


@pytest.mark.parametrize(
    ("options", "levels", "words"),
    [
        ({}, [BASE, HALF], "not the main chain"),
        ({"subifds": 0}, [BASE, HALF], "not the SubIFDs"),
        ({"byteorder": ">"}, [BASE], "big-endian"),
        ({"subfiletype": 0}, [BASE, HALF], "NewSubfileType"),
        ({"photometric": "miniswhite"}, [BASE], "photometric interpretation 0"),
        ({"predictor": True, "compression": "lzw"}, [BASE], "predictor"),
        (
            {},
            [BASE, BASE[:-1:2, :-2:2]],
            "level 1 is 164 x 100 pixels; half of level 0 is 165 x 100",
        ),
        ({"record": MaskMetadata("m", Size(9, 9))}, [BASE], "says 9 x 9 pixels; the file has 330"),
        (
            {"record": MaskMetadata("m", Size(330, 200), dtype="uint16")},
            [BASE],
            "says uint16; the file has uint8",
        ),
        (
            {"record": MaskMetadata("m", Size(330, 200), size_z=4)},
            [BASE],
            "says 4 planes; the file has 1",
        ),
    ],
)
def test_structure(tmp_path: Path, options: dict, levels: list, words: str) -> None:
    write_levels(tmp_path / "m", levels, **options)
    report = check_mask(tmp_path / "m")
    found = [p for p in report.problems if words in p.text]
    assert len(found) == 1 and found[0].kind == "structure", report.problems


def test_a_palette(tmp_path: Path) -> None:
    colormap = np.zeros((3, 256), np.uint16)
    write_levels(tmp_path / "m", [BASE], photometric="palette", colormap=colormap)
    assert any("colour map" in text for text in texts(tmp_path / "m"))


def test_tiles_of_levels_differ(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "m") as tif:
        tif.write(BASE, subifds=1, tile=(64, 64))
        tif.write(HALF, subfiletype=1, tile=(32, 32), compression="zlib")
    found = texts(tmp_path / "m")
    assert any("level 1 has tiles of 32 x 32 pixels, level 0 of 64 x 64" in text for text in found)
    assert any("level 1 is compressed with zlib, level 0 with none" in text for text in found)
    assert any("has no OME-XML" in text or "OME-XML" in text for text in found)


def test_no_ome_xml(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "m", BASE, tile=(64, 64), metadata=None)
    assert texts(tmp_path / "m") == ["it has no OME-XML, so QuPath sees one level"]


@pytest.mark.parametrize(
    ("resolution", "unit", "words"),
    [
        (None, None, "OpenSlide has none"),
        ((1, 1), 1, "OpenSlide has none"),
        ((0, 0), 3, "pixel size in X"),
        ((40000, 40000), 3, None),
        ((101600, 101600), 2, None),
        ((101600, 50800), 2, "pixel size in Y is 0.25 µm in the OME-XML and 0.5"),
    ],
)
def test_pixel_sizes_must_agree(tmp_path: Path, resolution, unit, words) -> None:
    from qpmask.geometry import PixelSize

    record = MaskMetadata("m", Size(330, 200), pixel_size=PixelSize(0.25, 0.25))
    options = {} if resolution is None else {"resolution": resolution, "resolutionunit": unit}
    write_levels(tmp_path / "m", [BASE], record=record, **options)
    found = texts(tmp_path / "m")
    assert (found == []) if words is None else (words in found[0])


@given(st.data())
def test_any_changed_pixel_is_found(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "m.ome.tif"
    write(path, BASE, tile_px=64)
    with MaskFile(path) as mask:
        level = data.draw(st.integers(0, 3))
        place = mask.levels[level]
        row = data.draw(st.integers(0, place.n_rows - 1))
        col = data.draw(st.integers(0, place.n_cols - 1))
        tile = mask.tile(level, 0, row, col)
    y = data.draw(st.integers(0, tile.shape[0] - 1))
    x = data.draw(st.integers(0, tile.shape[1] - 1))
    tile[y, x] = (tile[y, x] + 1) % 4
    patch_tile(path, level, row, col, tile)
    assert not check_mask(path, counts=histogram(BASE)).ok


def test_layout_is_what_the_check_asks_for() -> None:
    assert MaskLayout(Size(330, 200), 64).level_sizes[-1] == Size(42, 25)


def test_compare_tells_which_labels_differ_where(tmp_path: Path) -> None:
    a, b = BASE.copy(), BASE.copy()
    a[:64, :64], b[:64, :64] = 2, 7  # a whole tile of one label each
    b[100:103, 200:205] = 250
    write(tmp_path / "a.ome.tif", a, tile_px=64)
    write(tmp_path / "b.ome.tif", b, tile_px=64)
    found = compare_masks(tmp_path / "a.ome.tif", tmp_path / "b.ome.tif")
    pairs = zip(a[a != b].tolist(), b[a != b].tolist(), strict=True)
    pixels = found.pixels
    assert pixels.by_labels == Counter(pairs)
    assert pixels.n_different == 64 * 64 + 15 and pixels.n_tiles_different == 2
    assert [(p.x_px, p.y_px, p.n_pixels) for p in pixels.places] == [(0, 0, 4096), (200, 100, 15)]
    again = compare_with_tiles(tmp_path / "a.ome.tif", cut(b, 64))
    assert again == pixels
