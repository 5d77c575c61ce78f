"""What is done with strips, against NumPy."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from ometiff.mask_samples import histogram

from qpmask.geometry import Size, pyramid_sizes
from qpmask.ometiff import MaskFile, check_mask, kernels, pixelpool
from qpmask.ometiff.codecs import decode_segment
from qpmask.ometiff.kernels import levels
from qpmask.ometiff.labelcount import LabelCounter
from qpmask.ometiff.pixelpool import new_pixels
from qpmask.ometiff.pyramid import Pyramid
from qpmask.ometiff.runs import RunStrip, TileRuns, no_runs
from qpmask.ometiff.stripreader import StripReader
from qpmask.ometiff.strips import (
    MIXED,
    STRIP_PX,
    UNKNOWN,
    StripGrid,
    StripShape,
    TileStrip,
    strip_tiles,
)

GARBAGE = 77  # behind the pixels of a tile, where nobody may look


@st.composite
def masks(draw) -> tuple[np.ndarray, int]:
    """Labels of any size in blocks, noise in places; and a tile size."""
    height, width = draw(st.integers(1, 150)), draw(st.integers(1, 300))
    dtype = draw(st.sampled_from([np.uint8, np.uint16, np.uint32]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    block = draw(st.sampled_from([1, 3, 16, 50]))
    n_labels = draw(st.sampled_from([1, 2, 5, int(np.iinfo(dtype).max) + 1]))
    coarse = rng.integers(0, n_labels, (height // block + 1, width // block + 1))
    mask = np.kron(coarse, np.ones((block, block), np.int64))[:height, :width]
    return mask.astype(dtype), draw(st.sampled_from([16, 32, 48]))


def strip_of(mask: np.ndarray, grid: StripGrid, row: int, number: int) -> TileStrip:
    """A strip of a mask; some of its tiles of one label are a number already."""
    shape = grid.shape(row, number)
    pixels = new_pixels(shape.n_tiles, grid.tile.area_px, mask.dtype)
    pixels[:] = GARBAGE
    labels = np.full(shape.n_tiles, MIXED, np.int64)
    strip = TileStrip(shape, labels, pixels)
    edge = grid.tile.width_px
    for k in range(shape.n_tiles):
        col = number * grid.tiles_per_strip + k
        tile = mask[row * edge :, col * edge :][:edge, :edge]
        if (tile == tile[0, 0]).all() and k % 2:
            labels[k] = tile[0, 0]
        else:
            strip.tile(k)[:] = tile
    return strip


def strips_of(mask: np.ndarray, tile_px: int):
    grid = StripGrid(Size(mask.shape[1], mask.shape[0]), Size(tile_px, tile_px))
    for row in range(grid.n_rows):
        for number in range(grid.n_strips):
            yield grid, row, number, strip_of(mask, grid, row, number)


def test_strips_of_a_level_are_two_by_two_of_the_level_below() -> None:
    assert strip_tiles(Size(512, 512)) == 256
    assert strip_tiles(Size(4096, 4096)) == 4
    assert strip_tiles(Size(16, 16)) == 256
    for edge in range(16, 9000, 240):
        n_tiles = strip_tiles(Size(edge, edge))
        assert n_tiles % 2 == 0 and n_tiles * edge**2 <= max(STRIP_PX, 2 * edge**2)
    grid = StripGrid(Size(132_000, 700), Size(512, 512))
    assert (grid.n_rows, grid.n_cols, grid.n_strips) == (2, 258, 2)
    shape = grid.shape(1, 1)
    assert shape == StripShape(2, 512, 512, 132_000 - 257 * 512, 700 - 512)
    assert shape.areas().tolist() == [512 * 188, 416 * 188]
    assert shape.part(0, 1) == StripShape(1, 512, 512, 512, 188)
    assert shape.part(1, 2) == StripShape(1, 512, 512, 416, 188)
    parts = list(grid.shape(0, 0).parts())
    assert [first for first, _ in parts] == list(range(0, 256, 32))
    assert {part for _, part in parts} == {StripShape(32, 512, 512, 512, 512)}
    assert [part for _, part in shape.parts()] == [shape]


def runs_of(strip: TileStrip) -> TileRuns:
    runs = kernels.runs_of(strip.pixels, strip.labels, strip.shape)
    return TileRuns(strip.shape, runs, strip.dtype)


def equal(a: TileRuns, b: TileRuns) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a.runs, b.runs, strict=True))


def lots(case):
    """Strips of a mask as runs."""
    mask, tile_px = case
    for grid, row, number, strip in strips_of(mask, tile_px):
        yield grid, row, number, strip, runs_of(strip)


@given(masks())
def test_pixels_to_runs_and_back(case) -> None:
    counts = Counter[int]()
    counter = LabelCounter(case[0].dtype)
    for *_, strip, tiles in lots(case):
        runs = tiles.runs
        counts.update(counter.count(runs))
        for k, (before, after) in enumerate(zip(strip, tiles, strict=True)):
            assert np.array_equal(*np.broadcast_arrays(before, after))
            values = np.unique(before)
            assert runs.labels()[k] == (values[0] if len(values) == 1 else MIXED)
            own = runs.values[runs.start[k] : runs.start[k + 1]]
            assert (own[1:] != own[:-1]).all()  # so that equal tiles have equal runs
        shape = strip.shape
        for k, tile in enumerate(strip):
            painted = np.full(shape.tile_width * shape.tile_height, GARBAGE, strip.dtype)
            kernels.paint(runs, k, shape, painted)
            whole = np.zeros((shape.tile_height, shape.tile_width), strip.dtype)
            whole[: shape.height, : shape.width(k)] = tile
            assert np.array_equal(painted, whole.ravel())
    mask, _ = case
    assert counts == histogram(mask)


def test_hand_made_runs() -> None:
    shape = StripShape(3, 16, 16, 2, 3)
    pixels = new_pixels(3, 256, np.dtype(np.uint8))
    pixels[:] = GARBAGE
    pixels[2, :6] = [1, 1, 1, 5, 5, 1]
    labels = np.array([UNKNOWN, 3, MIXED])
    runs = kernels.runs_of(pixels, labels, shape)
    assert runs.values.tolist() == [3, 1, 5, 1]
    assert runs.ends.tolist() == [48, 3, 5, 6]
    assert runs.start.tolist() == [0, 0, 1, 4]
    assert runs.labels().tolist() == [UNKNOWN, 3, MIXED]
    above = StripShape(2, 16, 16, 1, 2)
    half = kernels.assemble([runs, no_runs(), no_runs(), no_runs()], 2, above)
    assert half.values.tolist() == [1, 5]
    assert half.ends.tolist() == [1, 2]
    assert half.start.tolist() == [0, 0, 2]
    labels[0] = 4
    runs = kernels.runs_of(pixels, labels, shape)
    half = kernels.assemble([runs, no_runs(), no_runs(), no_runs()], 2, above)
    assert half.values.tolist() == [4, 3, 4, 3, 1, 5]
    assert half.ends.tolist() == [8, 16, 24, 32, 1, 2]
    labels[0] = UNKNOWN
    runs = kernels.runs_of(pixels, labels, shape)
    with pytest.raises(ValueError, match="tile 0"):
        list(TileRuns(shape, runs, pixels.dtype))


@given(masks(), st.sampled_from([2, 4, 256]), st.sampled_from([0, 0.1]), st.randoms())
def test_a_pyramid_is_the_subsampling_of_its_base(
    case, tiles_per_strip: int, unknown: float, random
) -> None:
    """Of tiles that can be read; in strips of any number of tiles, which come in any order."""
    mask, tile_px = case
    size = Size(mask.shape[1], mask.shape[0])
    tile = Size(tile_px, tile_px)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("qpmask.ometiff.strips.strip_tiles", lambda tile: tiles_per_strip)
        grids = tuple(StripGrid(level, tile) for level in pyramid_sizes(size, tile_px))
        known = np.ones((grids[0].n_rows, grids[0].n_cols), bool)
        known.ravel()[:] = [random.random() >= unknown for _ in range(known.size)]
        pyramid = Pyramid(grids)
        todo = [(0, r, number, without(tiles, known, r, number * tiles_per_strip))
                for _, r, number, _, tiles in lots(case)]  # fmt: skip
        random.shuffle(todo)
        n_tiles = 0
        while todo:
            level, row, number, tiles = todo.pop()
            strip = strip_of(mask[:: 2**level, :: 2**level], grids[level], row, number)
            step = 2**level
            here = np.pad(known, [(0, -n % step) for n in known.shape], constant_values=True)
            here = here.reshape(len(here) // step, step, -1, step).all((1, 3))
            expected = without(runs_of(strip), here, row, number * tiles_per_strip)
            assert equal(tiles, expected)
            n_tiles += tiles.shape.n_tiles
            above = pyramid.above(level, row, number)
            if above is not None:
                above.take(tiles, row, number)
                if pyramid.arrived(above):
                    todo.append((above.level, above.row, above.number, above.tiles))
    assert n_tiles == sum(grid.n_rows * grid.n_cols for grid in grids)
    assert pyramid.n_waiting == 0


def without(tiles: TileRuns, known: np.ndarray, row: int, col: int) -> TileRuns:
    """A strip that begins at this tile, without those that are not known."""
    runs = tiles.runs
    kept = [k for k in range(tiles.shape.n_tiles) if known[row, col + k]]
    n_runs = np.zeros(tiles.shape.n_tiles, np.int64)
    n_runs[kept] = np.diff(runs.start)[kept]
    at = [i for k in kept for i in range(runs.start[k], runs.start[k + 1])]
    start = np.concatenate([[0], np.cumsum(n_runs)]).astype(np.int64)
    return TileRuns(tiles.shape, RunStrip(runs.values[at], runs.ends[at], start), tiles.dtype)


@given(masks(), st.sampled_from([2, 256]))
def test_putting_together_stays_within_its_arrays(case, tiles_per_strip: int) -> None:
    """The same by the kernel as plain Python, which checks its indices."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(levels, "assemble", levels.assemble.function)
        mask, tile_px = case
        test = test_a_pyramid_is_the_subsampling_of_its_base.hypothesis.inner_test
        test((mask[:70, :70], tile_px), tiles_per_strip, 0.1, Random(len(mask)))


def test_what_is_unknown_below_is_unknown_above() -> None:
    tile = Size(16, 16)
    pyramid = Pyramid((StripGrid(Size(64, 32), tile), StripGrid(Size(32, 16), tile)))
    shape = StripShape(4, 16, 16, 16, 16)
    for row in range(2):
        labels = np.array([1, 1, 1, UNKNOWN if row else 1])
        strip = TileStrip(shape, labels, new_pixels(4, 256, np.dtype("u1")))
        above = pyramid.above(0, row, 0)
        assert above is not None
        above.take(runs_of(strip), row, 0)
        assert pyramid.arrived(above) == (row == 1)
    assert above.tiles.runs.labels().tolist() == [1, UNKNOWN]


@given(masks())
def test_lzw_there_and_back(case) -> None:
    mask, tile_px = case
    period = mask.dtype.itemsize
    for grid, _, _, strip, tiles in lots(case):
        shape, runs = strip.shape, tiles.runs
        data, n_bytes = kernels.pack_runs(runs, period, shape)
        assert ((n_bytes > 0) == (runs.labels() == MIXED)).all()
        mixed = np.flatnonzero(n_bytes)
        starts = (np.cumsum(n_bytes) - n_bytes)[mixed]
        back = new_pixels(shape.n_tiles, grid.tile.area_px, mask.dtype)
        failed = np.ones(len(mixed), bool)
        kernels.unpack_pixels(data, starts, n_bytes[mixed], mixed, back.view(np.uint8), failed)
        assert not failed.any()
        for k, start in zip(mixed.tolist(), starts.tolist(), strict=True):
            packed = data[start : start + int(n_bytes[k])].tobytes()
            full = np.zeros((tile_px, tile_px), mask.dtype)
            full[: shape.height, : shape.width(k)] = strip.tile(k)
            raw = imagecodecs.lzw_decode(packed, out=full.nbytes)
            assert raw == full.tobytes() == back[k].tobytes()
            if shape.width(k) < tile_px:
                kernels.crop(back, shape, k)
            found = back[k, : shape.area(k)].reshape(shape.height, shape.width(k))
            assert np.array_equal(found, strip.tile(k))
        labels = runs.labels()
        read = kernels.unpack_runs(data, starts, n_bytes[mixed], mixed, period, shape, labels)
        assert equal(TileRuns(shape, read, mask.dtype), tiles)


def decoded(data: bytes, edge: int) -> tuple[bytes | None, ...]:
    """A segment of edge x edge bytes, decoded to them, and to runs (of 1, 2, 4 bytes a pixel)."""
    # A wall around the tile: nothing may be written beyond it.
    out = np.full((3, edge * edge), GARBAGE, np.uint8)
    failed = np.zeros(1, bool)
    packed = np.frombuffer(data + b"\0", np.uint8)[: len(data)]
    starts, n_bytes = np.array([0]), np.array([len(data)])
    kernels.unpack_pixels(packed, starts, n_bytes, np.array([1]), out, failed)
    assert (out[[0, 2]] == GARBAGE).all()
    found = [None if failed[0] else out[1].tobytes()]
    for dtype in (np.uint8, np.uint16, np.uint32):
        period = np.dtype(dtype).itemsize
        shape = StripShape(1, edge // period, edge, edge // period, edge)
        unread = np.array([MIXED])
        runs = kernels.unpack_runs(packed, starts, n_bytes, np.array([0]), period, shape, unread)
        is_read = len(runs.values) > 0
        if is_read:
            assert (np.diff(runs.ends, prepend=0) > 0).all() and runs.ends[-1] == shape.area(0)
            assert (runs.values[1:] != runs.values[:-1]).all()
        tile = TileRuns(shape, runs, np.dtype(dtype)).tile(0).tobytes() if is_read else None
        found.append(tile)
    return tuple(found)


@given(masks())
def test_lzw_of_other_encoders(case) -> None:
    """Decoding must not rely on what our encoder does."""
    mask, _ = case
    for pixels in (mask.astype(np.uint8), mask):
        base = np.resize(pixels, 4096 // pixels.itemsize).tobytes()
        whole, *by_runs = decoded(imagecodecs.lzw_encode(base), 64)
        assert whole == base
        assert set(by_runs) <= {base, None}


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_runs_of_labels_of_any_bytes_are_decoded_as_runs(dtype: str) -> None:
    """Labels of equal bytes, of bytes in common, neighbours of one pixel: none needs pixels."""
    top = int(np.iinfo(dtype).max)
    labels = [0, 1, 255, top, top - 1, 256 % (top + 1), 0x01010101 & top, 0x12345678 & top, 0x80]
    rng = np.random.default_rng(1)
    runs = np.repeat(rng.choice(labels, 700), rng.integers(1, 9, 700))
    tile = np.resize(runs, (64, 64)).astype(dtype)
    shape = StripShape(1, 64, 64, 64, 64)
    data, n_bytes = kernels.pack_runs(
        kernels.runs_of(tile.reshape(1, -1).copy(), np.array([MIXED]), shape),
        tile.itemsize, shape,
    )  # fmt: skip
    read = kernels.unpack_runs(
        data, np.array([0]), n_bytes, np.array([0]), tile.itemsize, shape, np.array([MIXED])
    )
    assert np.array_equal(TileRuns(shape, read, tile.dtype).tile(0), tile)


def test_noise_of_another_encoder() -> None:
    rng = np.random.default_rng(0)
    base = rng.integers(0, 256, (64, 64), np.uint8).tobytes()
    assert decoded(imagecodecs.lzw_encode(base), 64)[0] == base


@given(st.binary(max_size=80), st.integers(0, 2**32 - 1), st.integers(0, 40))
def test_damaged_lzw_is_refused_or_what_other_decoders_read(noise, seed, n_flips) -> None:
    rng = np.random.default_rng(seed)
    base = np.repeat(rng.integers(0, 4, 64), 64).astype(np.uint8)
    good = bytearray(imagecodecs.lzw_encode(base.tobytes()))
    for at in rng.integers(0, len(good), n_flips):
        good[at] ^= 1 << rng.integers(8)
    for data in (bytes(good), noise, bytes(good[: len(good) // 2]), b"\x80" + noise):
        for found in decoded(data, 64):
            if found is not None:
                assert found == decode_segment(data, "lzw", 4096).tobytes()


@given(masks())
def test_compare_counts_pixels_that_differ(case) -> None:
    mask, tile_px = case
    rng = np.random.default_rng(mask.size)
    other = mask.copy()
    hit = rng.random(mask.shape) < 0.01
    other[hit] ^= 1
    edge = tile_px
    for (grid, row, number, _, a), (*_, b) in zip(lots(case), lots((other, tile_px)), strict=True):
        n_wrong = np.full(a.shape.n_tiles, -1, np.int64)
        kernels.compare(a.runs, b.runs, n_wrong)
        first = number * grid.tiles_per_strip
        expected = [
            np.count_nonzero(hit[row * edge :, (first + k) * edge :][:edge, :edge])
            for k in range(a.shape.n_tiles)
        ]
        assert n_wrong.tolist() == expected
        start = b.runs.start.copy()
        n_first = int(start[1])  # the first tile cannot be read
        start[1:] -= n_first
        unknown = RunStrip(b.runs.values[n_first:].copy(), b.runs.ends[n_first:].copy(), start)
        kernels.compare(a.runs, unknown, n_wrong)
        assert n_wrong.tolist() == [0, *expected[1:]]


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "zstd"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_strips_are_read_as_tiles_are(
    tmp_path: Path, byteorder: str, compression: str | None, dtype: str
) -> None:
    rng = np.random.default_rng(0)
    mask = np.kron(rng.integers(0, 3, (5, 40)), np.ones((40, 40))).astype(dtype)[:170, :1570]
    mask[5, 1000] = 9
    path = tmp_path / "m.tif"
    tifffile.imwrite(
        path, mask, tile=(32, 48), compression=compression, byteorder=byteorder, predictor=False
    )
    counts: Counter[int] = Counter()
    with MaskFile(path) as file:
        reader, counter = StripReader(file), LabelCounter(file.dtype)
        (grid,) = reader.grids
        for _ in range(2):  # the second time, tiles of one label are known
            found = np.zeros_like(mask)
            for row in range(grid.n_rows):
                for number in range(grid.n_strips):
                    read = reader.read(0, 0, row, number)
                    assert read.errors == {}
                    counts.update(counter.count(read.tiles.runs))
                    for k, tile in enumerate(read.tiles):
                        x = (number * grid.tiles_per_strip + k) * 48
                        found[row * 32 :, x:][: read.tiles.shape.height, :48] = tile
            assert np.array_equal(found, mask)
    assert counts == {label: 2 * n for label, n in histogram(mask).items()}


def test_interleaved_channels_are_told_apart(tmp_path: Path) -> None:
    """All channels of a tile share their place in the file; one may have one label, another not."""
    mask = np.zeros((40, 64, 3), np.uint8)
    mask[:, :, 1] = 5
    mask[3, 7, 2] = 9
    path = tmp_path / "m.tif"
    tifffile.imwrite(path, mask, tile=(32, 32), photometric="rgb", compression="lzw")
    with MaskFile(path) as file:
        reader = StripReader(file)
        for plane in (0, 1, 2, 0):
            for row in range(2):
                read = reader.read(0, plane, row, 0)
                for k, tile in enumerate(read.tiles):
                    expected = mask[row * 32 :, k * 32 :, plane][:32, :32]
                    assert np.array_equal(*np.broadcast_arrays(tile, expected))


@pytest.mark.parametrize("predictor", [False, True])
def test_labels_of_32_bits_are_not_cut(tmp_path: Path, predictor: bool) -> None:
    path = tmp_path / "m.tif"
    mask = np.full((96, 64), 65537, np.uint32)
    mask[40, 3] = 70000
    tifffile.imwrite(path, mask, tile=(32, 32), compression="zlib", predictor=predictor)
    for _ in range(2):
        assert check_mask(path).counts == ({65537: mask.size - 1, 70000: 1},)
    with MaskFile(path) as file:
        reader = StripReader(file)
        for _ in range(2):  # the second time, most tiles are known
            assert next(iter(reader.read(0, 0, 0, 0).tiles)) == 65537


def test_only_arrays_of_the_pool_go_back_to_it() -> None:
    mine = np.arange(4 * 256, dtype=np.uint8).reshape(4, 256)
    before = mine.copy()
    for array in (mine, mine[:2], np.frombuffer(bytes(256), np.uint8)):
        pixelpool.give_back(array)
    for n_tiles in (1, 2, 4):
        new_pixels(n_tiles, 256, np.dtype(np.uint8))[:] = 99
    assert np.array_equal(mine, before)
    one = new_pixels(3, 250, np.dtype(np.uint16))
    pixelpool.give_back(one)
    assert np.shares_memory(one, new_pixels(3, 250, np.dtype(np.uint16)))
