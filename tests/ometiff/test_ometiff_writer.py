from __future__ import annotations

import errno
import os
import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import assume, given
from hypothesis import strategies as st
from ometiff.mask_samples import blobs, cut, histogram, levels_of, size_of, write

from qpmask.errors import MaskError, OptionsError, OutputError
from qpmask.geometry import PixelSize, Size, pyramid_sizes
from qpmask.ometiff import MaskFile, MaskLayout, MaskMetadata, check_mask, write_mask
from qpmask.ometiff import writer as writer_module
from qpmask.ometiff.directorywriter import resolution_per_cm

COMPRESSIONS = ("lzw", "zlib", "zstd", "packbits", "png", "none")

# One label over the whole of some tiles, a lone pixel at an odd place (which no level may show),
# a lone pixel at a place that every level shows, and edges that fill no tile.
SMALL = np.zeros((40, 50), np.uint8)
SMALL[:16, :16] = 3
SMALL[17, 17] = 1
SMALL[32, 32] = 2
SMALL[32:, 48:] = 200


def pixels_of_levels(path: Path, plane: int = 0) -> list[np.ndarray]:
    with MaskFile(path) as mask:
        return [mask.read(level, plane) for level in range(len(mask.levels))]


def assert_equal_levels(found: list[np.ndarray], base: np.ndarray) -> None:
    expected = levels_of(base, len(found))
    for level, (have, want) in enumerate(zip(found, expected, strict=True)):
        assert have.dtype == want.dtype
        assert np.array_equal(have, want), f"level {level}"


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
@pytest.mark.parametrize("big", [False, True])
def test_hand_made_mask(tmp_path: Path, compression: str, dtype: str, big: bool) -> None:
    path = tmp_path / "m.ome.tif"
    base = SMALL.astype(dtype)
    if (dtype, compression) == ("uint32", "png"):
        with pytest.raises(OptionsError, match="8 or 16 bits"):
            write(path, base, tile_px=16, compression=compression)
        return
    result = write(path, base, tile_px=16, compression=compression, big=big)
    found = pixels_of_levels(path)
    assert [level.shape for level in found] == [(40, 50), (20, 25), (10, 13)]
    assert_equal_levels(found, base)
    assert not any((level == 1).any() for level in found[1:])
    assert found[2][8, 8] == 2
    assert result.counts_by_label() == {0: 1726, 1: 1, 2: 1, 3: 256, 200: 16}
    assert result.levels == pyramid_sizes(Size(50, 40), 16)
    assert result.file_bytes == path.stat().st_size
    assert result.n_tiles == 12 + 4 + 1
    assert result.is_bigtiff is big
    assert check_mask(path, counts=result.counts).problems == ()


def test_directories(tmp_path: Path) -> None:
    path = tmp_path / "m.ome.tif"
    write(path, SMALL, tile_px=16)
    data = path.read_bytes()
    assert data[:8] == b"II*\0\x08\0\0\0"
    with tifffile.TiffFile(path) as tif:
        first, *levels = tif.pages
        assert first.subifds == tuple(level.offset for level in levels)
        assert [page.subfiletype for page in tif.pages] == [0, 1, 1]
        assert tif.is_ome
        for level, page in enumerate(tif.pages):
            assert page.photometric == 1 and page.predictor == 1 and 320 not in page.tags
            assert page.compression == 5 and page.tile == (16, 16)
            assert page.tags[296].value == 3 and page.tags[305].value.startswith("qpmask ")
            assert (270 in page.tags) is (level == 0)
            assert len(page.dataoffsets) == len(page.databytecounts)
            assert min(page.dataoffsets) > levels[-1].offset
        assert first.tags[282].value == (100000000, 2527)
        assert first.tags[283].value == (40000, 1)
        assert levels[0].tags[282].value == (50000000, 2527)
        assert first.tags[330].dtype == 13
    write(path, SMALL, tile_px=16, big=True)
    assert path.read_bytes()[:16] == struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16)
    with tifffile.TiffFile(path) as tif:
        assert tif.pages[0].tags[330].dtype == 18


def test_without_pixel_size_and_pyramid(tmp_path: Path) -> None:
    path = tmp_path / "m.ome.tif"
    write(path, SMALL, tile_px=16, pixel_size=None, pyramid=False)
    with tifffile.TiffFile(path) as tif:
        (page,) = tif.pages
        assert page.tags[296].value == 1 and page.tags[282].value == (1, 1)
        assert 330 not in page.tags
    assert check_mask(path).ok


def test_equal_tiles_are_stored_once(tmp_path: Path) -> None:
    """Constant edge tiles too, and mixed tiles that happen to be equal, at all levels."""
    base = np.full((100, 100), 2, np.uint8)
    base[:16, :16] = base[32:48, 32:48] = SMALL[8:24, 8:24]
    result = write(tmp_path / "m.ome.tif", base, tile_px=16)
    with MaskFile(tmp_path / "m.ome.tif") as mask:
        segments = set()
        for level in range(len(mask.levels)):
            offsets, bytecounts = mask.segments(level)
            assert offsets.min() > 0 and bytecounts.min() > 0
            segments |= set(zip(offsets.tolist(), bytecounts.tolist(), strict=True))
            if level == 0:
                assert offsets[0] == offsets[2 * 7 + 2]
                assert len(set(offsets.tolist())) == 2
    assert len(segments) == result.n_segments < result.n_tiles


def test_several_planes(tmp_path: Path) -> None:
    path = tmp_path / "m.ome.tif"
    base = np.stack([blobs(70, 90, seed=i) for i in range(2 * 3 * 2)])
    result = write(path, base, size_c=2, size_z=3, size_t=2, channel_names=("a", "b"), tile_px=32)
    assert len(result.counts) == 12
    with MaskFile(path) as mask:
        assert mask.n_planes == 12
        assert mask.metadata is not None and mask.metadata.channel_names == ("a", "b")
    for plane in range(12):
        assert_equal_levels(pixels_of_levels(path, plane), base[plane])
        assert result.counts_by_label(plane) == histogram(base[plane])
    with tifffile.TiffFile(path) as tif:
        assert [len(page.subifds) for page in tif.pages] == [2] * 12
        series = tif.series[0]
        assert series.axes == "TZCYX"
        for level, stack in enumerate(series.levels):
            assert np.array_equal(
                stack.asarray().reshape(12, *stack.shape[-2:]), base[:, :: 2**level, :: 2**level]
            )
    assert check_mask(path, counts=result.counts).problems == ()


@st.composite
def masks(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    """Blocky label arrays with some noise."""
    tile_px = draw(st.sampled_from([16, 32, 48]))
    height, width = draw(st.integers(1, 150)), draw(st.integers(1, 150))
    dtype = draw(st.sampled_from(["uint8", "uint16", "uint32"]))
    block = draw(st.sampled_from([1, 5, 16, 40]))
    labels = draw(st.lists(st.integers(0, np.iinfo(dtype).max), min_size=1, max_size=5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    coarse = rng.choice(labels, (-(-height // block), -(-width // block)))
    return np.kron(coarse, np.ones((block, block), int))[:height, :width].astype(dtype), tile_px


@given(masks(), st.sampled_from(COMPRESSIONS), st.booleans(), st.booleans())
def test_any_mask_reads_back(tmp_path: Path, mask, compression, big, pyramid) -> None:
    base, tile_px = mask
    assume((base.dtype, compression) != (np.uint32, "png"))
    path = tmp_path / "m.ome.tif"
    result = write(path, base, tile_px=tile_px, compression=compression, big=big, pyramid=pyramid)
    found = pixels_of_levels(path)
    assert len(found) == len(result.levels)
    assert_equal_levels(found, base)
    assert result.counts_by_label() == histogram(base)
    with tifffile.TiffFile(path) as tif:
        assert np.array_equal(tif.series[0].levels[-1].asarray(), found[-1])
    assert check_mask(path, counts=histogram(base), classes=histogram(base)).problems == ()


@given(masks(), st.sampled_from(COMPRESSIONS), st.randoms())
def test_the_kind_of_tile_does_not_matter(tmp_path: Path, mask, compression, random) -> None:
    base, tile_px = mask
    assume((base.dtype, compression) != (np.uint32, "png"))
    tiles = []
    for tile in cut(base, tile_px):
        constant = len(np.unique(tile)) == 1
        kinds = [tile]
        if constant:
            label = int(tile[0, 0])
            kinds += [label, tile.dtype.type(label)]
        tiles.append(random.choice(kinds))
    one = write(tmp_path / "1.ome.tif", base, tile_px=tile_px, compression=compression)
    two = write(tmp_path / "2.ome.tif", base, tiles, tile_px=tile_px, compression=compression)
    assert one.counts == two.counts == (histogram(base),)
    assert (tmp_path / "1.ome.tif").read_bytes() == (tmp_path / "2.ome.tif").read_bytes()


def test_same_tiles_same_file(tmp_path: Path) -> None:
    base = blobs(300, 400)
    for name in "ab":
        write(tmp_path / name, base, tile_px=32)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("tiles_per_strip", [2, 256])
def test_same_file_whatever_the_number_of_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiles_per_strip: int
) -> None:
    """Machines of one cluster differ in it."""
    monkeypatch.setattr("qpmask.ometiff.strips.strip_tiles", lambda tile: tiles_per_strip)
    base = blobs(700, 300)
    layout = MaskLayout(size_of(base), 16)
    metadata = MaskMetadata("m", size_of(base))
    made = set()
    for threads in (1, 2, 4, 7):
        write_mask(tmp_path / "m", layout, metadata, cut(base, 16), threads=threads)
        made.add((tmp_path / "m").read_bytes())
        assert check_mask(tmp_path / "m", threads=threads).ok
    assert len(made) == 1


def test_progress_counts_tiles_of_level_0(tmp_path: Path) -> None:
    seen: list[int] = []
    base = blobs(100, 130)
    layout = MaskLayout(size_of(base), 32)
    metadata = MaskMetadata("m", size_of(base))
    write_mask(tmp_path / "m", layout, metadata, cut(base, 32), on_tile=seen.append, threads=1)
    assert seen == [5, 10, 15, 20]  # strip by strip, here whole rows of tiles


def test_classic_until_the_file_is_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.ome.tif"
    result = write(path, SMALL, tile_px=16)
    assert not result.is_bigtiff
    monkeypatch.setattr(writer_module, "_CLASSIC_MAX_BYTES", result.file_bytes)
    assert not write(path, SMALL, tile_px=16).is_bigtiff
    monkeypatch.setattr(writer_module, "_CLASSIC_MAX_BYTES", result.file_bytes - 1)
    assert write(path, SMALL, tile_px=16).is_bigtiff
    assert_equal_levels(pixels_of_levels(path), SMALL)


@pytest.mark.parametrize("length_um", [0.2527, 0.25, 1 / 3, 1e-7, 3e-9, 1e9, 1e20, 1.5, 0.1 + 0.2])
@pytest.mark.parametrize("level", [0, 1, 9])
def test_resolutions_fit_into_tiff(length_um: float, level: int) -> None:
    for value in resolution_per_cm(PixelSize(length_um, length_um), level):
        assert 0 < value.numerator < 2**32 and 0 < value.denominator < 2**32
        if 1e-5 < length_um < 1e5:
            assert float(value) == pytest.approx(10_000 / length_um / 2**level, rel=1e-9)
    assert resolution_per_cm(PixelSize(0.2527, 0.5))[0] == Fraction(100000000, 2527)


# --- tiles that do not fit --------------------------------------------------------------------

GOOD = list(cut(SMALL, 16))


@pytest.mark.parametrize(
    ("tiles", "words"),
    [
        (GOOD[:-1], "ended before tile .row 2, column 3. of 12"),
        ([*GOOD, 0], "more tiles than the 12"),
        ([GOOD[0].astype(np.uint16), *GOOD[1:]], "uint16"),
        ([*GOOD[:3], GOOD[0], *GOOD[4:]], r"row 0, column 3.*expected uint8 of shape \(16, 2\)"),
        ([GOOD[0][None], *GOOD[1:]], "shape"),
        ([256, *GOOD[1:]], "label 256, which uint8 cannot hold"),
        ([-1, *GOOD[1:]], "label -1"),
        (["x", *GOOD[1:]], "is a str"),
        ([1.0, *GOOD[1:]], "is a float"),
    ],
)
def test_tiles_that_do_not_fit(tmp_path: Path, tiles: list, words: str) -> None:
    path = tmp_path / "m.ome.tif"
    with pytest.raises(MaskError, match=words):
        write(path, SMALL, tiles, tile_px=16)
    assert not path.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "int8"},
        {"dtype": "float32"},
        {"dtype": "rubbish"},
        {"tile_px": 100},
        {"tile_px": 0},
        {"tile_px": 8208},
        {"compression": "jpeg"},
        {"size": Size(0, 5)},
        {"size": Size(2**31, 5)},
        {"size_z": 0},
    ],
)
def test_layouts_that_make_no_sense(change: dict) -> None:
    with pytest.raises(OptionsError):
        MaskLayout(**{"size": Size(5, 5), **change})


def test_a_layout_takes_numpy_types() -> None:
    assert MaskLayout(Size(1, 1), dtype=np.uint16).dtype == "uint16"  # type: ignore[arg-type]


def test_layout_and_metadata_must_agree(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match="size_c = 2"):
        write_mask(
            tmp_path / "m",
            MaskLayout(Size(5, 5)),
            MaskMetadata("m", Size(5, 5), size_c=2),
            [0],
        )
    assert not (tmp_path / "m").exists()


# --- interrupted ------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError, OSError, GeneratorExit])
@pytest.mark.parametrize("after", [0, 1, 11])
def test_no_file_is_left_when_the_tiles_fail(tmp_path: Path, error: type, after: int) -> None:
    def tiles():
        yield from GOOD[:after]
        raise error

    with pytest.raises(error):
        write(tmp_path / "m.ome.tif", SMALL, tiles(), tile_px=16)
    assert list(tmp_path.iterdir()) == []


def test_no_file_is_left_when_progress_fails(tmp_path: Path) -> None:
    def on_tile(n_done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_mask(
            tmp_path / "m",
            MaskLayout(size_of(SMALL), 16),
            MaskMetadata("m", size_of(SMALL)),
            GOOD,
            on_tile=on_tile,
        )
    assert list(tmp_path.iterdir()) == []


def test_no_file_is_left_when_encoding_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encode(tile: np.ndarray, compression: str, *, one_bit: bool) -> bytes:
        raise MemoryError

    monkeypatch.setattr(writer_module, "encode_tile", encode)
    with pytest.raises(MemoryError):
        write(tmp_path / "m.ome.tif", SMALL, tile_px=16, compression="zlib")
    assert list(tmp_path.iterdir()) == []


def test_no_file_is_left_when_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OutputError, match=r"m\.ome\.tif.*No space left") as caught:
        write(tmp_path / "m.ome.tif", SMALL, tile_px=16)
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_device() -> None:
    with pytest.raises(OutputError, match="/dev/full"):
        write(Path("/dev/full"), SMALL, tile_px=16)
    assert Path("/dev/full").exists()  # a device is no file of ours to remove


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        write(tmp_path / "no" / "m.ome.tif", SMALL, tile_px=16)
    with pytest.raises(OutputError, match="cannot be written"):
        write(tmp_path, SMALL, tile_px=16)
    assert tmp_path.is_dir()
