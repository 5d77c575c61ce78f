from __future__ import annotations

import logging
import pickle
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from ometiff.mask_samples import CLASSES, PIXEL_SIZE, blobs, damaged, levels_of, write

from qpmask.errors import MaskError, OptionsError
from qpmask.geometry import Size
from qpmask.ometiff import Level, MaskFile, MaskMetadata, check_mask

BASE = blobs(200, 330)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reader") / "m.ome.tif"
    write(path, BASE, tile_px=64, extra={"engine": "test"})
    return path


def test_what_it_is(path: Path) -> None:
    with MaskFile(str(path)) as mask:
        assert mask.path == path
        assert mask.size == Size(330, 200)
        assert mask.dtype == np.uint8
        assert mask.n_planes == 1
        assert mask.compression == "lzw"
        assert mask.levels == tuple(
            Level(size, Size(64, 64))
            for size in (Size(330, 200), Size(165, 100), Size(83, 50), Size(42, 25))
        )
        assert mask.levels[0].n_rows == 4 and mask.levels[0].n_cols == 6
        assert mask.metadata == MaskMetadata(
            "a mask",
            Size(330, 200),
            pixel_size=PIXEL_SIZE,
            classes=CLASSES,
            extra={"engine": "test"},
        )
        assert "330 x 200" in repr(mask)


@given(st.data())
def test_any_region(path: Path, data: st.DataObject) -> None:
    with MaskFile(path) as mask:
        level = data.draw(st.integers(0, 3))
        expected = levels_of(BASE, 4)[level]
        height, width = expected.shape
        y0, y1 = sorted(data.draw(st.tuples(st.integers(0, height), st.integers(0, height))))
        x0, x1 = sorted(data.draw(st.tuples(st.integers(0, width), st.integers(0, width))))
        found = mask.read(level, 0, y0, y1, x0, x1)
        assert found.dtype == np.uint8
        assert np.array_equal(found, expected[y0:y1, x0:x1])


def test_tiles_are_cropped_and_the_callers_own(path: Path) -> None:
    with MaskFile(path) as mask:
        for level, expected in enumerate(levels_of(BASE, 4)):
            for row in range(mask.levels[level].n_rows):
                for col in range(mask.levels[level].n_cols):
                    tile = mask.tile(level, 0, row, col)
                    part = expected[row * 64 : row * 64 + 64, col * 64 : col * 64 + 64]
                    assert np.array_equal(tile, part)
                    tile[:] = 77
        assert np.array_equal(mask.read(), BASE)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_iter_tiles(path: Path, threads: int) -> None:
    with MaskFile(path) as mask:
        for _ in range(2):  # the second time with a full memory of known tiles
            places = []
            for row, col, tile in mask.iter_tiles(0, 0, threads):
                part = BASE[row * 64 : row * 64 + 64, col * 64 : col * 64 + 64]
                assert isinstance(tile, int) == (len(np.unique(part)) == 1)
                assert (part == tile).all()
                places.append((row, col))
            assert places == [(row, col) for row in range(4) for col in range(6)]


def test_iter_tiles_can_be_left_early(path: Path) -> None:
    with MaskFile(path) as mask:
        tiles = mask.iter_tiles()
        next(tiles)
        tiles.close()


def test_threads_share_a_file(path: Path) -> None:
    levels = levels_of(BASE, 4)
    with MaskFile(path) as mask, ThreadPoolExecutor(8) as pool:
        jobs = [(level, pool.submit(mask.read, level)) for level in [0, 1, 2, 3] * 20]
        assert all(np.array_equal(job.result(), levels[level]) for level, job in jobs)


def test_reading_without_pread(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.pread", raising=False)
    with MaskFile(path) as mask:
        assert np.array_equal(mask.read(), BASE)


def test_places_that_are_not_there(path: Path) -> None:
    with MaskFile(path) as mask:
        for call in (
            lambda: mask.read(4),
            lambda: mask.read(0, 1),
            lambda: mask.read(-1),
            lambda: mask.read(0, 0, 0, 201),
            lambda: mask.read(0, 0, 5, 4),
            lambda: mask.read(0, 0, 0, 5, -1, 5),
            lambda: mask.tile(0, 0, 4, 0),
            lambda: mask.packed(0, 0, 0, -1),
            lambda: mask.segments(9),
            lambda: list(mask.iter_tiles(9)),
        ):
            with pytest.raises(OptionsError, match=r"m\.ome\.tif"):
                call()


def test_a_closed_file(path: Path) -> None:
    mask = MaskFile(path)
    mask.close()
    with pytest.raises(MaskError, match="closed"):
        mask.read()


# --- other programs' files --------------------------------------------------------------------


def write_like_qupath(path: Path, base: np.ndarray, **options: Any) -> None:
    """As QuPath's OMEPyramidWriter has it: big-endian, SubIFDs, tiles not shared."""
    options = {"compression": "lzw", "tile": (64, 64), **options}
    levels = [base, base[..., ::2, ::2], base[..., ::4, ::4]]
    with tifffile.TiffWriter(path, byteorder=">", bigtiff=options.pop("bigtiff", False)) as tif:
        tif.write(levels[0], subifds=2, **options)
        for level in levels[1:]:
            tif.write(level, subfiletype=1, **options)


@pytest.mark.parametrize("compression", ["lzw", "zlib", "zstd", "packbits", None])
@pytest.mark.parametrize("predictor", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_big_endian_files(
    tmp_path: Path, compression: str | None, predictor: bool, dtype: str
) -> None:
    if predictor and compression in (None, "packbits"):
        pytest.skip("TIFF has predictors with LZW and deflate only")
    path = tmp_path / "q.tif"
    base = blobs(100, 150, dtype) * np.array(1 if dtype == "uint8" else 300, dtype)
    write_like_qupath(
        path,
        base,
        compression=compression,
        predictor=predictor,
        photometric="minisblack",
        metadata=None,
    )
    with MaskFile(path) as mask:
        assert mask.dtype == np.dtype(dtype)
        assert mask.metadata is None
        for level in range(3):
            assert np.array_equal(mask.read(level), base[:: 2**level, :: 2**level])


def test_a_palette_is_not_applied(tmp_path: Path) -> None:
    path = tmp_path / "q.tif"
    palette = np.random.default_rng(0).integers(0, 2**16, (3, 256), np.uint16)
    base = blobs(100, 150)
    write_like_qupath(path, base, photometric="palette", colormap=palette)
    with MaskFile(path) as mask:
        assert np.array_equal(mask.read(), base)


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("bigtiff", [False, True])
def test_several_samples_are_planes(tmp_path: Path, planar: str, bigtiff: bool) -> None:
    path = tmp_path / "q.tif"
    base = np.stack([blobs(100, 150, "uint16", seed=i) for i in range(3)])
    levels = [base[:, :: 2**k, :: 2**k] for k in range(3)]
    order = (lambda a: np.moveaxis(a, 0, -1)) if planar == "contig" else (lambda a: a)
    options = {"planarconfig": planar, "photometric": "rgb", "tile": (64, 64)}
    with tifffile.TiffWriter(path, byteorder=">", bigtiff=bigtiff) as tif:
        tif.write(order(levels[0]), subifds=2, compression="lzw", **options)
        for level in levels[1:]:
            tif.write(order(level), subfiletype=1, compression="lzw", **options)
    with MaskFile(path) as mask:
        assert mask.n_planes == 3
        for plane in range(3):
            for level in range(3):
                assert np.array_equal(mask.read(level, plane), levels[level][plane])
            offsets, bytecounts = mask.segments(0, plane)
            assert len(offsets) == len(bytecounts) == 6
            for row, col, tile in mask.iter_tiles(1, plane):
                part = levels[1][plane][row * 64 : row * 64 + 64, col * 64 : col * 64 + 64]
                assert (part == tile).all()


@pytest.mark.parametrize("n_samples", [5, 65_281])
def test_samples_that_a_file_counts_but_does_not_describe_are_damage(
    tmp_path: Path, n_samples: int
) -> None:
    """To look for tens of thousands of planes in a file of a few bytes takes hours."""
    path = tmp_path / "m.ome.tif"
    write(path, blobs(100, 150), tile_px=32)
    with tifffile.TiffFile(path, mode="r+") as tif:
        tif.pages.first.tags["SamplesPerPixel"].overwrite(n_samples)
    with pytest.raises(MaskError, match=f"{n_samples:,} samples a pixel.*damaged"):
        MaskFile(path)
    assert [p.kind for p in check_mask(path).problems] == ["file"]


def test_pages_are_planes(tmp_path: Path) -> None:
    path = tmp_path / "q.ome.tif"
    base = np.stack([blobs(100, 150, seed=i) for i in range(6)]).reshape(2, 3, 100, 150)
    tifffile.imwrite(path, base, tile=(32, 64), compression="zlib", metadata={"axes": "ZCYX"})
    with MaskFile(path) as mask:
        assert mask.n_planes == 6
        assert mask.metadata is not None
        assert (mask.metadata.size_c, mask.metadata.size_z) == (3, 2)
        assert mask.levels[0].tile == Size(64, 32)
        for plane in range(6):
            assert np.array_equal(mask.read(0, plane), base.reshape(6, 100, 150)[plane])


def test_levels_in_the_main_chain(tmp_path: Path) -> None:
    """As GDAL writes overviews; pages that are no levels are left alone."""
    path = tmp_path / "q.tif"
    base = blobs(200, 150)
    options = {"tile": (64, 64), "metadata": None, "photometric": "minisblack"}
    with tifffile.TiffWriter(path) as tif:
        tif.write(base, **options)
        tif.write(base[::2, ::2], subfiletype=1, **options)
        tif.write(np.zeros((20, 20), np.float32), metadata=None)
        tif.write(np.zeros((20, 20, 3), np.uint8), photometric="rgb", metadata=None)
        tif.write(base[::4, ::4], subfiletype=1, **options)
    with MaskFile(path) as mask:
        assert mask.n_planes == 1
        assert [level.size for level in mask.levels] == [
            Size(150, 200),
            Size(75, 100),
            Size(38, 50),
        ]
        assert np.array_equal(mask.read(2), base[::4, ::4])


def test_a_description_that_is_no_ome(tmp_path: Path) -> None:
    path = tmp_path / "q.tif"
    tifffile.imwrite(path, BASE, tile=(64, 64), description="<OME>", metadata=None)
    with MaskFile(path) as mask:
        assert mask.metadata is None
        assert "cannot be read" in (mask.structure.metadata_problem or "")
    tifffile.imwrite(path, BASE, tile=(64, 64), description="hello", metadata=None)
    with MaskFile(path) as mask:
        assert mask.metadata is None


# --- damaged files ----------------------------------------------------------------------------


@pytest.fixture
def data(path: Path) -> bytearray:
    return bytearray(path.read_bytes())


def entry_of(data: bytes, tag: int, directory: int = 8) -> int:
    """Place of a tag's entry in a little-endian classic TIFF."""
    (n_entries,) = struct.unpack_from("<H", data, directory)
    places = [directory + 2 + 12 * i for i in range(n_entries)]
    return next(p for p in places if struct.unpack_from("<H", data, p)[0] == tag)


def values_of(data: bytes, tag: int) -> int:
    """Place of a tag's values."""
    return int(struct.unpack_from("<L", data, entry_of(data, tag) + 8)[0])


def assert_mask_error(path: Path, words: str | None = None) -> None:
    """Opening or reading raises MaskError and nothing else, and the check is a report."""
    with pytest.raises(MaskError, match=words) as caught, MaskFile(path) as mask:
        for plane in range(mask.n_planes):
            for level in range(len(mask.levels)):
                mask.read(level, plane)
    assert str(path) in str(caught.value)
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), MaskError)
    report = check_mask(path)
    assert not report.ok and report.problems and str(report.problems[0])


def test_no_file(tmp_path: Path) -> None:
    assert_mask_error(tmp_path / "missing.tif", "cannot be opened: No such file")
    assert_mask_error(tmp_path, "cannot be opened")


@pytest.mark.parametrize(
    "content",
    [b"", b"II", b"II*\0", b"\x89PNG\r\n\x1a\n" + bytes(100), b"II*\0\0\0\0\0", b"x" * 999],
)
def test_not_a_tiff(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tif").write_bytes(content)
    assert_mask_error(tmp_path / "x.tif")


def test_truncated_anywhere(tmp_path: Path, data: bytearray) -> None:
    damaged = tmp_path / "x.tif"
    lengths = {*range(0, 600, 7), *range(600, len(data), 97), len(data) - 1}
    for length in sorted(lengths):
        damaged.write_bytes(data[:length])
        assert_mask_error(damaged)


def test_damage_makes_no_noise(
    tmp_path: Path, data: bytearray, caplog: pytest.LogCaptureFixture
) -> None:
    """People get one error, not what tifffile logs on its way."""
    (tmp_path / "x.tif").write_bytes(data[:300])
    assert not check_mask(tmp_path / "x.tif").ok
    assert caplog.records == []
    with caplog.at_level("DEBUG", logger="qpmask"):
        assert not check_mask(tmp_path / "x.tif").ok
    assert any("tifffile" in record.getMessage() for record in caplog.records)
    assert not logging.getLogger("tifffile").filters


def test_missing_tile(tmp_path: Path, data: bytearray) -> None:
    for tag in (324, 325):
        copy = data.copy()
        struct.pack_into("<L", copy, values_of(data, tag) + 4 * 9, 0)
        (tmp_path / "x.tif").write_bytes(copy)
        assert_mask_error(tmp_path / "x.tif", "level 0, row 1, column 3 of .* missing")
        with MaskFile(tmp_path / "x.tif") as mask:
            assert np.array_equal(mask.read(0, 0, 0, 64), BASE[:64])
            for call in (mask.tile, mask.packed, mask.known_label):
                with pytest.raises(MaskError, match="row 1, column 3"):
                    call(0, 0, 1, 3)
            with pytest.raises(MaskError, match="row 1, column 3"):
                list(mask.iter_tiles())


@pytest.mark.parametrize("n_bytes", [1, 2, 10, 2**31, 2**32 - 1])
def test_wrong_bytecount(tmp_path: Path, data: bytearray, n_bytes: int) -> None:
    struct.pack_into("<L", data, values_of(data, 325) + 4 * 9, n_bytes)
    (tmp_path / "x.tif").write_bytes(data)
    assert_mask_error(tmp_path / "x.tif", "row 1, column 3")


def test_offset_beyond_the_end(tmp_path: Path, data: bytearray) -> None:
    struct.pack_into("<L", data, values_of(data, 324) + 4 * 9, len(data))
    (tmp_path / "x.tif").write_bytes(data)
    assert_mask_error(tmp_path / "x.tif", "row 1, column 3 .* beyond the file's end")


@pytest.mark.parametrize("tag", [256, 257, 258, 259, 262, 277, 284, 322, 323, 324, 325, 330, 339])
@pytest.mark.parametrize("value", [0, 1, 3, 7, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF])
@pytest.mark.parametrize("field", [2, 4, 8])
def test_any_damaged_tag_is_a_mask_error_or_harmless(
    tmp_path: Path, data: bytearray, tag: int, value: int, field: int
) -> None:
    """``field``: type, count or value of the tag's entry."""
    struct.pack_into(
        "<H" if field == 2 else "<L",
        data,
        entry_of(data, tag) + field,
        value & 0xFFFF if field == 2 else value,
    )
    (tmp_path / "x.tif").write_bytes(data)
    try_everything(tmp_path / "x.tif")


@given(st.data())
def test_any_damage_is_a_mask_error_or_harmless(
    tmp_path: Path, path: Path, data: st.DataObject
) -> None:
    (tmp_path / "x.tif").write_bytes(data.draw(damaged(path.read_bytes())))
    try_everything(tmp_path / "x.tif")


def try_everything(path: Path) -> None:
    try:
        with MaskFile(path) as mask:
            if mask.size.area_px < 10**7:
                for plane in range(min(mask.n_planes, 4)):
                    for level in range(len(mask.levels)):
                        mask.read(level, plane)
                check_mask(path)
    except MaskError as error:
        assert str(path) in str(error)


def test_garbled_tile(tmp_path: Path) -> None:
    for compression in ("lzw", "zlib", "zstd"):
        damaged = tmp_path / "x.tif"
        write(damaged, BASE, tile_px=64, compression=compression)
        with MaskFile(damaged) as mask:
            offsets, bytecounts = mask.segments()
            index = int(np.argmax(bytecounts))
        content = bytearray(damaged.read_bytes())
        start, n_bytes = int(offsets[index]), int(bytecounts[index])
        content[start : start + n_bytes] = b"\xff" * n_bytes
        damaged.write_bytes(content)
        assert_mask_error(damaged, rf"row {index // 6}, column {index % 6} .*{compression}")


def write_floats(path: Path) -> None:
    tifffile.imwrite(path, BASE.astype(np.float32), tile=(64, 64))


def write_negative(path: Path) -> None:
    pixels = BASE.astype(np.int16)
    pixels[100, 100] = -3
    tifffile.imwrite(path, pixels, tile=(64, 64))


def write_64_bits(path: Path) -> None:
    tifffile.imwrite(path, BASE.astype(np.uint64), tile=(64, 64))


def write_volume(path: Path) -> None:
    volume = np.zeros((16, 64, 64), np.uint8)
    tifffile.imwrite(path, volume, tile=(16, 64, 64), volumetric=True, metadata=None)


def write_jpeg(path: Path) -> None:
    tifffile.imwrite(path, BASE, tile=(64, 64), compression="jpeg")


def write_fill_order(path: Path) -> None:
    write(path, BASE)
    data = bytearray(path.read_bytes())
    struct.pack_into("<H", data, entry_of(data, 284), 266)
    struct.pack_into("<L", data, entry_of(data, 266) + 8, 2)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (write_floats, "float32"),
        (write_negative, r"row 1, column 1 .* the label -3"),
        (write_64_bits, "uint64"),
        (write_volume, "depth"),
        (write_jpeg, r"JPEG \(7\)"),
        (write_fill_order, "FillOrder"),
    ],
)
def test_tiffs_that_are_no_masks(tmp_path: Path, make: Callable[[Path], None], words: str) -> None:
    make(tmp_path / "x.tif")
    assert_mask_error(tmp_path / "x.tif", words)
