"""Packbits, PNG and pixels of one bit: what is written, what others read, what is refused."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from ometiff.mask_samples import assert_others_read, blobs, cut, size_of
from ometiff.test_ometiff_readers import qupath_planes, qupath_server

from qpmask.errors import MaskError, OptionsError
from qpmask.geometry import Size
from qpmask.ometiff import MaskFile, MaskLayout, MaskMetadata, check_mask, write_mask
from qpmask.ometiff.codecs import decode_segment, encode_tile

BIT_CODECS = ("lzw", "zlib", "zstd", "packbits", "none")


def write_layout(path: Path, array: np.ndarray, tile_px: int, **layout: object) -> None:
    size, dtype = size_of(array), array.dtype.name
    result = write_mask(
        path,
        MaskLayout(size, tile_px, dtype, **layout),  # type: ignore[arg-type]
        MaskMetadata("m", size, dtype=dtype),
        cut(array, tile_px),
    )
    assert check_mask(path, counts=result.counts).problems == ()


def test_the_first_pixel_is_the_highest_bit() -> None:
    tile = np.zeros((16, 16), np.uint8)
    tile[0, 0] = tile[0, 15] = tile[1, 9] = 1
    packed = encode_tile(tile, "none", one_bit=True)
    assert packed[:4] == bytes([0b10000000, 0b00000001, 0, 0b01000000]) and len(packed) == 32


@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from(BIT_CODECS), st.integers(0, 99))
def test_any_mask_of_one_bit(tmp_path: Path, height, width, compression, seed) -> None:
    rng = np.random.default_rng(seed)
    array = (rng.random((height, width)) < rng.choice([0, 0.1, 0.9, 1])).astype(np.uint8)
    path = tmp_path / "m.ome.tif"
    write_layout(path, array, 32, compression=compression, one_bit=True)
    with MaskFile(path) as mask:
        assert mask.dtype == np.uint8
        for level in range(len(mask.levels)):
            assert np.array_equal(mask.read(level), array[:: 2**level, :: 2**level])


@pytest.mark.parametrize("compression", BIT_CODECS)
def test_others_read_one_bit(tmp_path: Path, compression: str) -> None:
    array = (blobs(400, 333) > 0).astype(np.uint8)
    path = tmp_path / "m.ome.tif"
    # libtiff refuses to read tiles of less than 1024 bytes that are not compressed.
    write_layout(path, array, 128, compression=compression, one_bit=True)
    with tifffile.TiffFile(path) as tif:
        assert tif.pages[0].bitspersample == 1
        assert all(
            np.array_equal(level.asarray(), array[:: 2**i, :: 2**i])
            for i, level in enumerate(tif.series[0].levels)
        )
    image_module = pytest.importorskip("PIL.Image", reason="Pillow reads masks")
    with image_module.open(path) as image:
        assert image.mode == "1"
    assert_others_read(path, array)
    openslide = pytest.importorskip("openslide", reason="OpenSlide reads masks")
    with openslide.OpenSlide(path) as slide:
        rgba = np.asarray(slide.read_region((0, 0), 0, slide.dimensions))
        assert np.array_equal(rgba[..., 0], array * 255)  # it shows bits as black and white


@pytest.mark.qupath
@pytest.mark.parametrize("one_bit", [False, True])
@pytest.mark.parametrize("compression", ["lzw", "zlib", "packbits", "none"])
def test_qupath_reads_bits_and_packbits(
    tmp_path: Path, java_class: Any, compression: str, one_bit: bool
) -> None:
    # Bio-Formats 7.3 reads other pixels, without a word, from bits of a level whose width is no
    # multiple of 8: it rounds the width of the image where it should round the tile's.
    array = (blobs(400, 384 if one_bit else 333) > 0).astype(np.uint8)
    path = tmp_path / "m.ome.tif"
    write_layout(path, array, 128, compression=compression, one_bit=one_bit)
    server = qupath_server(java_class, path)
    try:
        for level, channels in enumerate(qupath_planes(java_class, server)):
            assert np.array_equal(channels[0], array[:: 2**level, :: 2**level])
    finally:
        server.close()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_others_read_packbits(tmp_path: Path, dtype: str) -> None:
    array = blobs(400, 333, dtype)
    path = tmp_path / "m.ome.tif"
    write_layout(path, array, 64, compression="packbits")
    assert_others_read(path, array)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_tifffile_reads_png(tmp_path: Path, dtype: str) -> None:
    array = blobs(400, 333, dtype) * np.dtype(dtype).type(1 if dtype == "uint8" else 251)
    path = tmp_path / "m.ome.tif"
    write_layout(path, array, 64, compression="png")
    assert np.array_equal(tifffile.imread(path, series=0, level=0), array)


def test_a_big_endian_file_with_png_tiles(tmp_path: Path) -> None:
    """A PNG is big-endian by itself: the byte order of the file must not be applied again."""
    array = blobs(130, 150, "uint16") * np.uint16(251)
    path = tmp_path / "m.tif"
    tiles = [np.pad(t, [(0, 64 - n) for n in t.shape]) for t in cut(array, 64)]
    with tifffile.TiffWriter(path, byteorder=">") as tif:
        tif.write(
            (encode_tile(tile, "png") for tile in tiles),
            shape=array.shape, dtype="uint16", tile=(64, 64), compression="png", metadata=None,
        )  # fmt: skip
    assert path.read_bytes()[:2] == b"MM"
    with MaskFile(path) as mask:
        assert np.array_equal(mask.read(), array)


def test_bits_of_another_program_and_of_several_samples(tmp_path: Path) -> None:
    array = blobs(130, 150) > 0
    path = tmp_path / "m.tif"
    tifffile.imwrite(path, array, tile=(64, 64))
    with MaskFile(path) as mask:
        assert mask.dtype == np.uint8 and np.array_equal(mask.read(), array)


@pytest.mark.parametrize("compression", ["lzw", "none"])
def test_a_label_that_does_not_fit_into_a_bit(tmp_path: Path, compression: str) -> None:
    for tile in (2, np.eye(16, dtype=np.uint8) * 3):
        with pytest.raises(MaskError, match="0 and 1 only"):
            write_mask(
                tmp_path / "m.ome.tif",
                MaskLayout(Size(16, 16), 16, compression=compression, one_bit=True),
                MaskMetadata("m", Size(16, 16)),
                [tile],
            )
    assert list(tmp_path.iterdir()) == []


def test_bits_that_make_no_sense() -> None:
    for change in ({"dtype": "uint16"}, {"compression": "png"}):
        with pytest.raises(OptionsError, match="1 bit"):
            MaskLayout(Size(5, 5), one_bit=True, **change)  # type: ignore[arg-type]


GOOD_PNG = encode_tile(blobs(64, 64), "png")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89PNG",
        GOOD_PNG[:200],
        GOOD_PNG[:16] + struct.pack(">LL", 2**31 - 1, 2**31 - 1) + GOOD_PNG[24:],
        bytes(imagecodecs.png_encode(np.zeros((64, 64, 3), np.uint8))),
        bytes(imagecodecs.png_encode(np.zeros((64, 63), np.uint8))),
        bytes(imagecodecs.png_encode(np.zeros((64, 32), np.uint16))[:40]),
    ],
    ids=["empty", "start", "cut", "huge", "colour", "narrow", "16 bit"],
)
def test_pngs_that_are_no_tiles(data: bytes) -> None:
    with pytest.raises(ValueError):
        decode_segment(data, "png", 64 * 64)


@given(st.binary(max_size=200))
def test_damaged_packed_bytes_are_one_error(data: bytes) -> None:
    for compression in ("packbits", "png"):
        try:
            raw = decode_segment(data, compression, 256)
        except ValueError:
            continue
        assert len(raw) == 256


@pytest.mark.parametrize("compression", ["lzw", "zlib", "zstd", "packbits", "png"])
def test_an_error_can_be_pickled_with_all_that_it_comes_from(compression: str) -> None:
    """Which is what Dask does with errors."""
    with pytest.raises(ValueError, match=r"decode|holds") as caught:
        decode_segment(b"\x07" * 40, compression, 64)
    error: BaseException | None = caught.value
    while error is not None:
        assert type(pickle.loads(pickle.dumps(error))) is type(error)
        error = error.__cause__ or error.__context__
