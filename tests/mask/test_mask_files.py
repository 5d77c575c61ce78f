"""Masks of other programs, damaged ones, and an open mask from its start to its end."""

from __future__ import annotations

import gc
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_files import BASE, blobs, foreign_level, write, write_foreign
from ometiff.mask_samples import damaged, histogram

from qpmask import check_mask
from qpmask.errors import MaskError, OptionsError, QpmaskError
from qpmask.mask import open_mask
from qpmask.ometiff import MaskFile
from qpmask.report.foldercheck import mask_files

# --- other programs' files, and damage --------------------------------------------------------


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_files_as_qupath_writes_them(tmp_path: Path, bigtiff: bool, dtype: str) -> None:
    """Big-endian, with a palette, SubIFDs, levels rounded down."""
    base = blobs(203, 331, dtype)
    n_colors = 2 ** (8 * base.dtype.itemsize)
    palette = np.random.default_rng(0).integers(0, 2**16, (3, n_colors), np.uint16)
    path = tmp_path / "x.ome.tif"
    write_foreign(path, base, bigtiff=bigtiff, photometric="palette", colormap=palette)
    with open_mask(path) as mask:
        assert mask.dtype == np.dtype(dtype) and mask.dtype.isnative
        assert mask.level_scales == ((1, 1), (2, 2), (4, 4))
        assert np.array_equal(mask[5:190, ::-1], base[5:190, ::-1])
        for level in (1, 2):
            expected = foreign_level(base, level)
            found = mask.region(0, 0, 331 // 4 * 4, 203 // 4 * 4, 2**level)
            assert np.array_equal(found, expected[: found.shape[0], : found.shape[1]])
        assert mask.counts() == histogram(base)


def test_colours_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    base = np.stack([blobs(100, 150, seed=i) for i in range(3)], axis=-1)
    write_foreign(path, base[:, :, :], photometric="rgb", n_levels=1)
    with pytest.raises(MaskError, match=r"colours \(RGB\), not labels.*plane=0"):
        open_mask(path)
    with open_mask(path, plane=2) as mask:
        assert np.array_equal(mask[:], base[:, :, 2])


def test_files_that_are_no_masks(tmp_path: Path) -> None:
    with pytest.raises(MaskError, match="No such file"):
        open_mask(tmp_path / "missing.tif")
    (tmp_path / "x.tif").write_bytes(b"no TIFF")
    with pytest.raises(MaskError, match="not a TIFF"):
        open_mask(tmp_path / "x.tif")
    tifffile.imwrite(tmp_path / "x.tif", BASE.astype(np.float32), tile=(64, 64))
    with pytest.raises(MaskError, match="float32; labels are whole numbers"):
        open_mask(tmp_path / "x.tif")


@settings(max_examples=60)
@given(st.data())
def test_any_damage_is_our_error_or_harmless(
    tmp_path: Path, path: Path, data: st.DataObject
) -> None:
    content = data.draw(damaged(path.read_bytes()))
    shortest = data.draw(st.sampled_from([100, 1000, len(content) // 2]))
    n_bytes = data.draw(st.integers(shortest, len(content)))
    (tmp_path / "x.tif").write_bytes(content[:n_bytes])
    try:
        with open_mask(tmp_path / "x.tif") as mask:
            if mask.size < 10**7:
                mask.areas()
                mask.thumbnail(50)
                mask[::3]
                list(mask.tiles_with(1))
    except QpmaskError as error:
        assert "x.tif" in str(error)


def test_a_missing_tile_is_never_background(tmp_path: Path, path: Path) -> None:
    content = bytearray(path.read_bytes())
    (n_entries,) = struct.unpack_from("<H", content, 8)
    entries = [10 + 12 * i for i in range(n_entries)]
    at = next(e for e in entries if struct.unpack_from("<H", content, e)[0] == 324)
    (values,) = struct.unpack_from("<L", content, at + 8)
    struct.pack_into("<L", content, values + 4 * 9, 0)
    (tmp_path / "x.tif").write_bytes(content)
    with open_mask(tmp_path / "x.tif") as mask:
        assert np.array_equal(mask[:64], BASE[:64])
        for read in (lambda: mask[:], mask.areas, mask.present, lambda: list(mask.tiles_with(1))):
            with pytest.raises(MaskError, match=r"row 1, column 3 .*missing"):
                read()


def test_strips(tmp_path: Path) -> None:
    """As QuPath's writeImage has them, and ImageJ: one strip, or a few, and a palette."""
    path = tmp_path / "x.tif"
    base = blobs(3000, 700, seed=3)
    palette = np.zeros((3, 256), np.uint16)
    for options in (
        {}, {"rowsperstrip": 7}, {"compression": "zlib", "rowsperstrip": 999},
        {"photometric": "palette", "colormap": palette}, {"imagej": True},
    ):  # fmt: skip
        tifffile.imwrite(path, base, **options)
        with open_mask(path) as mask:
            assert np.array_equal(mask[:], base)
            assert np.array_equal(mask[2990:, 100:300], base[2990:, 100:300])
            assert mask.counts() == histogram(base)
            assert mask.levels[0].tile.height_px <= 999, "a part can be read"
        report = check_mask(path)
        assert report.counts[0] == histogram(base)
        assert any("in strips" in str(p) for p in report.problems)
    content = path.read_bytes()
    path.write_bytes(content[:-1])  # ImageJ's pixels are at the end
    with open_mask(path) as mask:
        assert np.array_equal(mask[:2000], base[:2000])
        with pytest.raises(MaskError, match="end"):
            mask[:]


def test_colours_are_no_masks(tmp_path: Path) -> None:
    for name in ("a.ome.tif", "b.TIFF", ".hidden.tif", "c.tif.json", "d.png"):
        write(tmp_path / name, BASE)
    tifffile.imwrite(tmp_path / "slide.tif", np.zeros((64, 64, 3), np.uint8), tile=(32, 32))
    (tmp_path / "damaged.tif").write_bytes(b"II*")
    assert [p.name for p in mask_files(tmp_path)] == ["a.ome.tif", "b.TIFF", "damaged.tif"]


def test_a_mask_closed_while_it_is_read(path: Path) -> None:
    with open_mask(path) as mask:
        tiles = mask.tiles_with(1, 2, 3)
    with pytest.raises(MaskError, match="is closed"):
        list(tiles)


def test_whole_dots_per_inch_are_no_pixel_size(tmp_path: Path) -> None:
    for dpi, mpp in ((72, None), (600, None), (25400 / 0.5, 0.5), (25400 / 12.34, 12.34)):
        write_foreign(tmp_path / "x.tif", BASE, resolution=(dpi, dpi), resolutionunit=2)
        with open_mask(tmp_path / "x.tif") as mask:
            assert mask.mpp == (None if mpp is None else pytest.approx((mpp, mpp)))


# --- life -------------------------------------------------------------------------------------


def test_a_closed_mask(path: Path) -> None:
    mask = open_mask(path)
    mask.areas()
    mask.close()
    mask.close()
    assert mask.shape == (200, 330)
    for read in (
        lambda: mask[:], lambda: mask[0, 0], mask.areas, mask.present, lambda: mask.tiles_with(1),
        mask.thumbnail, lambda: mask.tile(0, 0, 0), lambda: mask.binary(1)[0],
        lambda: mask.counts((0, 0, 1, 1)),
    ):  # fmt: skip
        with pytest.raises(MaskError, match=r"is closed.* Open it again"):
            read()


def test_a_mask_that_is_dropped_closes_its_file_in_silence(path: Path) -> None:
    mask = open_mask(path)
    file = mask._file._segments._file
    del mask
    gc.collect()
    assert file.closed


def test_a_mask_that_cannot_be_used_leaves_no_file_open(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[MaskFile] = []
    init = MaskFile.__init__

    def spy(self: MaskFile, *args: Any, **options: Any) -> None:
        opened.append(self)
        init(self, *args, **options)

    monkeypatch.setattr(MaskFile, "__init__", spy)
    with pytest.raises(OptionsError):
        open_mask(path, plane=5)
    assert [file.is_closed for file in opened] == [True]


def test_a_mask_is_not_compared_as_a_whole(tmp_path: Path) -> None:
    """NumPy would take False for an answer."""
    path = tmp_path / "m.ome.tif"
    write(path, blobs(40, 50))
    with open_mask(path) as mask, open_mask(path) as other:
        for label in (3, np.uint8(3), np.zeros((40, 50)), [1, 2]):
            with pytest.raises(TypeError, match="binary"):
                mask == label  # noqa: B015
        with pytest.raises(TypeError, match="present"):
            3 in mask  # noqa: B015
        assert mask == mask and mask != other and mask is not None
        assert len({mask, other}) == 2
