"""Pyramids that other programs made: padded levels, averaged labels, tiles left out."""

from __future__ import annotations

import logging
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import Cli
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mask_files import blobs, write

from qpmask import open_mask
from qpmask.errors import TileError

T = 16


def blocks(pixels: np.ndarray, step: int) -> np.ndarray:
    """Blocks of a label image, shape (rows, columns, step * step); those at the edge are filled."""
    rows, cols = (-(-n // step) * step for n in pixels.shape)
    filled = np.pad(pixels, [(0, rows - pixels.shape[0]), (0, cols - pixels.shape[1])], mode="edge")
    cut = filled.reshape(rows // step, step, cols // step, step).swapaxes(1, 2)
    return cut.reshape(rows // step, cols // step, step * step)


def spans(at: int, step: int, length: int) -> slice:
    """Pixels of level 0 that one of a level may stand for: every so many, or spread over all."""
    ratio = length / -(-length // step)
    return slice(min(at * step, int(at * ratio)), max((at + 1) * step, math.ceil((at + 1) * ratio)))


REDUCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": lambda b: np.rint(b.mean(2)),
    "median": lambda b: np.median(b, axis=2).astype(int),
    "max": lambda b: b.max(2),
    "nearest": lambda b: b[:, :, -1],
}


def write_pyramid(path: Path, base: np.ndarray, levels: list[np.ndarray], tile: int = T) -> None:
    with tifffile.TiffWriter(path) as tif:
        for number, pixels in enumerate([base, *levels]):
            tif.write(pixels, tile=(tile, tile), subfiletype=int(number > 0), metadata=None,
                      compression="lzw")  # fmt: skip


def padded(pixels: np.ndarray, tile: int) -> np.ndarray:
    """Filled with background to whole tiles, as ASAP writes levels."""
    return np.pad(pixels, [(0, -n % tile) for n in pixels.shape])


def test_a_level_padded_to_half_of_level_0_and_a_pixel_is_used(tmp_path: Path) -> None:
    """15 of 30 columns and one of padding are not 16 that were spread over these 30."""
    base = np.ones((17, 30), np.uint8)
    write_pyramid(tmp_path / "m.tif", base, [padded(base[::2, ::2], T)])
    with open_mask(tmp_path / "m.tif") as mask:
        assert mask.fitting_level(2) == 1
        assert (mask.region(0, 0, 30, 17, 2) == 1).all()


@given(
    arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40)),
           elements=st.sampled_from([0, 0, 0, 1, 2, 4, 200])),
    st.sampled_from(sorted(REDUCTIONS)),
    st.booleans(),
    st.sampled_from([4, 1024]),
)  # fmt: skip
@settings(max_examples=60)
def test_no_label_comes_out_that_level_0_lacks_there(
    tmp_path: Path, base: np.ndarray, reduction: str, pads: bool, window_px: int
) -> None:
    """Any label image, by any reduction, padded or not, looked at as a whole or in pieces."""
    reduced = [REDUCTIONS[reduction](blocks(base, step)).astype(np.uint8) for step in (2, 4)]
    reduced = [padded(level, T) if pads else level for level in reduced]
    as_long = any(n == m for level in reduced for n, m in zip(level.shape, base.shape, strict=True))
    path = tmp_path / "m.tif"
    path.unlink(missing_ok=True)
    write_pyramid(path, base, [level for level in reduced if level.size < base.size])
    with pytest.MonkeyPatch.context() as patch, open_mask(path) as mask:
        patch.setattr("qpmask.mask.averagedlevels._WINDOW_PX", window_px)
        for step in (2, 4):
            found = mask.region(0, 0, base.shape[1], base.shape[0], step)
            assert found.shape == blocks(base, step).shape[:2]
            for (y, x), label in np.ndenumerate(found):
                assert label in base[spans(y, step, base.shape[0]), spans(x, step, base.shape[1])]
            # These levels hold labels, and are used; but filled up to the size of level 0 along an
            # axis, one says nothing of its scale.
            if reduction in ("max", "nearest") and not (pads and as_long):
                assert mask.fitting_level(step) == max(
                    k for k, (scale, _) in enumerate(mask.level_scales) if scale <= step
                )


def test_a_few_averages_are_found_among_straight_even_edges(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A map of even squares hides the 42 pixels that are wrong, if tiles are counted together."""
    base = np.kron(np.arange(64 * 64).reshape(64, 64) % 2 * 4, np.ones((16, 16))).astype(np.uint8)
    base[100:184, 333] = 2
    base[100:184, 332] = 0
    level = REDUCTIONS["mean"](blocks(base, 2)).astype(np.uint8)
    possible = (blocks(base, 2) == level[:, :, None]).any(2)
    assert np.count_nonzero(~possible) == 42
    write_pyramid(tmp_path / "m.tif", base, [level], tile=64)
    with open_mask(tmp_path / "m.tif") as mask:
        assert mask.fitting_level(2) == 0
    assert "mixes labels" in caplog.text


@pytest.mark.parametrize("layout", ["none", "lzw", "lzw busy", "strips"])
@pytest.mark.parametrize("first_mean", [1, 2])
def test_a_few_averages_are_found_in_a_large_mask(
    tmp_path: Path, layout: str, first_mean: int
) -> None:
    """Two discs among straight even edges, and large parts full of even edges, of 4096 x 4096."""
    base = np.zeros((4096, 4096), np.uint8)
    base.reshape(4096, 16, 256)[:, :, :128] = 4
    if layout == "lzw busy":
        noise = np.random.default_rng(0).integers(0, 2, (256, 1024), np.uint8) * 4
        base[:1024] = noise.repeat(4, 0).repeat(4, 1)
    ys, xs = np.mgrid[-12:12, -12:12]
    for x, label in ((3101, 4), (3181, 0)):
        base[2989:3013, x - 12 : x + 12][ys**2 + xs**2 < 100] = label
    levels = [base]
    for level in (1, 2):
        b = levels[-1]
        quarters = np.stack([b[y::2, x::2] for y in (0, 1) for x in (0, 1)]).astype(np.uint16)
        levels.append(quarters[0] if level < first_mean else quarters.sum(0) // 4)
    stored: dict[str, Any] = {"tile": (256, 256)} if layout != "strips" else {"rowsperstrip": 16}
    with tifffile.TiffWriter(tmp_path / "m.tif") as tif:
        for pixels in levels:
            tif.write(pixels.astype(np.uint8), subfiletype=int(pixels is not base), metadata=None,
                      compression="lzw" if "lzw" in layout else None, **stored)  # fmt: skip
    with open_mask(tmp_path / "m.tif") as mask:
        assert mask.fitting_level(4) == first_mean - 1
        with pickle.loads(pickle.dumps(mask)) as copy:
            assert copy.fitting_level(4) == first_mean - 1
        for step in (2, 4):
            found = mask.region(2944, 2944, 512, 128, step)
            expected = blocks(base[2944:3072, 2944:3456], step)
            assert (expected == found[:, :, None]).any(2).all()


def test_levels_that_are_filled_up_to_tiles_are_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By the ratio of sizes they would lie up to a quarter of the picture away."""
    base = blobs(700, 900, n=20)
    levels = [padded(base[:: 2**k, :: 2**k], 256) for k in (1, 2)]
    write_pyramid(tmp_path / "m.tif", base, levels, tile=256)
    with open_mask(tmp_path / "m.tif") as mask:
        assert mask.level_scales == ((1, 1), (2, 2), (4, 4))
        for step in (2, 4):
            assert mask.fitting_level(step) == int(np.log2(step))
            found = mask.region(0, 0, 900, 700, step)
            np.testing.assert_array_equal(found, base[::step, ::step])
        part = mask.region(300, 200, 500, 400, 4)
        np.testing.assert_array_equal(part, base[200:600:4, 300:800:4])
    assert caplog.text == ""


# -- sparse files -------------------------------------------------------------------------------


def leave_out(path: Path, numbers: list[int]) -> None:
    """Let a TIFF's first directory say of some tiles that they are not there."""
    with tifffile.TiffFile(path) as tif:
        tags = [tif.pages[0].tags[name] for name in ("TileOffsets", "TileByteCounts")]
        order = tif.byteorder
    with path.open("r+b") as file:
        for tag in tags:
            for number in numbers:
                width = np.dtype(order + {3: "u2", 4: "u4", 16: "u8"}[tag.dtype]).itemsize
                file.seek(tag.valueoffset + number * width)
                file.write(b"\0" * width)


def test_tiles_that_a_sparse_file_leaves_out_are_background(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base = blobs(200, 300, n=9) + 1
    path = tmp_path / "m.tif"
    write_pyramid(path, base, [], tile=64)
    leave_out(path, [0, 7, 19])
    expected = base.copy()
    for number in (0, 7, 19):
        row, col = divmod(number, 5)
        expected[row * 64 : (row + 1) * 64, col * 64 : (col + 1) * 64] = 0
    with open_mask(path) as mask:
        np.testing.assert_array_equal(mask[:], expected)
        assert mask.counts() == {
            int(k): int(n) for k, n in zip(*np.unique(expected, return_counts=True), strict=True)
        }
        np.testing.assert_array_equal(mask.region(0, 0, 300, 200, 4), expected[::4, ::4])
    said = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert len(said) == 1 and "3 tiles are not in the file" in said[0].getMessage()


def test_commands_say_once_that_tiles_are_left_out(tmp_path: Path, qpmask_cli: Cli) -> None:
    path = tmp_path / "m.tif"
    write_pyramid(path, blobs(200, 300, n=9) + 1, [], tile=64)
    leave_out(path, [0, 7])
    for command in (["info"], ["view", "--save", "a.png"], ["compare", path]):
        _, out, err = qpmask_cli(*command, path)
        said = (out + err).count("2 tiles are not in the file")
        assert said == (2 if command[0] == "compare" else 1), command  # both masks are sparse


@pytest.mark.parametrize("how", ["ours", "QuPath's"])
def test_in_our_files_and_in_qupath_s_a_tile_that_is_not_there_is_damage(
    tmp_path: Path, how: str
) -> None:
    base = blobs(200, 300, n=9) + 1
    path = tmp_path / "m.ome.tif"
    options: dict[str, Any] = {}
    if how == "ours":
        write(path, base)
    else:
        xml = (
            '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            'Creator="OME Bio-Formats 7.3.0"><Image ID="Image:0"><Pixels SizeX="300" SizeY="200" '
            'Type="uint8" SizeC="1" SizeZ="1" SizeT="1" DimensionOrder="XYCZT"/></Image></OME>'
        )
        options = {"description": xml}
        tifffile.imwrite(path, base, tile=(64, 64), metadata=None, **options)
    leave_out(path, [7])
    with open_mask(path) as mask, pytest.raises(TileError, match="missing from the file"):
        mask[:]
