"""Blocks in any order: the mask is what NumPy makes of the same writes."""

from __future__ import annotations

import pickle
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import assume, given
from hypothesis import strategies as st
from ometiff.mask_samples import assert_others_read

from qpmask import ClassEntry, ClassMap, MaskWriter, check_mask
from qpmask.errors import MaskError, OptionsError, OutputError, QpmaskError
from qpmask.geometry import PixelSize
from qpmask.ometiff import ClassRow, MaskFile
from qpmask.options import MAX_LABEL

CODECS = ("lzw", "zlib", "zstd", "packbits", "png", "none")


def read_all(path: Path) -> list[np.ndarray]:
    with MaskFile(path) as mask:
        return [mask.read(level) for level in range(len(mask.levels))]


def assert_mask(path: Path, expected: np.ndarray) -> None:
    """The file holds these pixels, every level is their subsampling, and the check is content."""
    levels = read_all(path)
    for level, pixels in enumerate(levels):
        assert np.array_equal(pixels, expected[:: 2**level, :: 2**level]), f"level {level}"
    labels, numbers = np.unique(expected, return_counts=True)
    counts = dict(zip(labels.tolist(), numbers.tolist(), strict=True))
    assert check_mask(path, counts=counts).problems == ()


# --- what the writes mean ---------------------------------------------------------------------


@dataclass
class Write:
    """A write, and what it does to an array, by the definition."""

    x: int
    y: int
    block: np.ndarray
    rule: str
    where: np.ndarray | None

    def upon(self, array: np.ndarray) -> None:
        for row in range(self.block.shape[0]):
            for col in range(self.block.shape[1]):
                y, x = self.y + row, self.x + col
                if not (0 <= y < array.shape[0] and 0 <= x < array.shape[1]):
                    continue
                if self.where is not None and not self.where[row, col]:
                    continue
                new, old = int(self.block[row, col]), int(array[y, x])
                if self.rule == "replace":
                    array[y, x] = new
                elif self.rule == "max":
                    array[y, x] = max(new, old)
                elif old == 0:
                    array[y, x] = new


@st.composite
def a_write(draw: st.DrawFn, width: int, height: int, labels: list[int]) -> Write:
    h, w = draw(st.integers(1, 45)), draw(st.integers(1, 45))
    x, y = draw(st.integers(1 - w, width - 1)), draw(st.integers(1 - h, height - 1))
    if draw(st.integers(0, 5)) == 0:  # often enough, whole tiles
        x, y, h, w = 0, 0, height, width
    grain = draw(st.sampled_from([1, 7, 64]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    block = np.kron(
        rng.choice(labels, (-(-h // grain), -(-w // grain))), np.ones((grain, grain), int)
    )[:h, :w]
    dtypes = ["uint8", "uint16", "uint32", "int16", "int64", "uint64", ">i4"]
    block = block.astype(
        draw(st.sampled_from([d for d in dtypes if block.max() <= np.iinfo(d).max]))
    )
    if draw(st.booleans()):
        block = np.asfortranarray(block)
    where = None
    if draw(st.booleans()):
        where = np.kron(rng.random((-(-h // 5), -(-w // 5))) < 0.5, np.ones((5, 5))) > 0
        where = where[:h, :w]
    return Write(x, y, block, draw(st.sampled_from(["replace", "max", "keep"])), where)


@st.composite
def scenes(draw: st.DrawFn) -> tuple[int, int, int, list[int], list[Write]]:
    width, height = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    most = draw(st.sampled_from([1, 255, 65535, MAX_LABEL]))
    labels = [0, *draw(st.lists(st.integers(0, most), min_size=1, max_size=4))]
    writes = draw(st.lists(a_write(width, height, labels), max_size=8))
    return width, height, draw(st.sampled_from([16, 32, 48])), labels, writes


@given(scenes(), st.sampled_from(CODECS), st.booleans(), st.booleans())
def test_any_writes_do_what_numpy_does(tmp_path: Path, scene, codec, pyramid, in_two_runs) -> None:
    width, height, tile_size, labels, writes = scene
    assume(codec != "png" or max(labels) < 2**16)
    expected = np.zeros((height, width), np.uint32)
    bits = max(labels) <= 1 and codec != "png"
    path = tmp_path / "m.ome.tif"
    writer = MaskWriter(
        path, width, height, tile_size=tile_size, compression=codec, pyramid=pyramid, bits=bits,
        threads=1, classes={label: f"class {label}" for label in labels},
    )  # fmt: skip
    for number, write in enumerate(writes):
        if in_two_runs and number == len(writes) // 2:
            try:
                with writer:
                    raise ZeroDivisionError
            except ZeroDivisionError:
                if writer.n_writes:
                    writer = MaskWriter.resume(path)
                else:
                    writer = MaskWriter(path, width, height, tile_size=tile_size)
        writer.write(write.x, write.y, write.block, rule=write.rule, where=write.where, clip=True)
        write.upon(expected)
    result = writer.close()
    assert_mask(path, expected)
    assert result.path == path and writer.close() is result
    assert [p.name for p in tmp_path.iterdir()] == ["m.ome.tif"]


def test_hand_made_writes(tmp_path: Path) -> None:
    path = tmp_path / "m.ome.tif"
    with MaskWriter(path, 40, 20, tile_size=16, mpp=0.5, classes={"Tumor": 2, "Stroma": 3}) as mask:
        assert mask.path == path and str(mask.size) == "40 x 20"
        mask.write(-2, -2, np.full((4, 4), 3), clip=True)  # cut to 2 x 2
        mask.write(38, 19, np.full((9, 9), 2), clip=True)  # cut to 1 x 2
        mask.write(14, 5, np.full((2, 4), 2), rule="keep")  # over the border of two tiles
        mask.write(15, 5, np.full((1, 2), 3), rule="max")
        mask.write(14, 6, [[3, 0, 3]], rule="max")
        mask.write(0, 0, [[2, 255]], where=[[True, False]])
        assert mask.n_writes == 6
    expected = np.zeros((20, 40), np.uint8)
    expected[:2, :2] = [[2, 3], [3, 3]]
    expected[19, 38:] = 2
    expected[5:7, 14:18] = [[2, 3, 3, 2], [3, 2, 3, 2]]
    assert_mask(path, expected)
    with MaskFile(path) as found:
        assert found.dtype == np.uint8 and found.metadata is not None
        assert found.metadata.pixel_size == PixelSize(0.5, 0.5)
        assert found.metadata.classes == (ClassRow(2, "Tumor"), ClassRow(3, "Stroma"))
        assert found.metadata.name == "m"


def test_nothing_written_is_background(tmp_path: Path) -> None:
    with MaskWriter(tmp_path / "m.ome.tif", 100, 70, tile_size=16) as mask:
        mask.write(5, 5, np.zeros((0, 10), int))
        mask.write(5, 5, np.ones((2, 2), int), where=np.zeros((2, 2), bool))
        mask.write(5, 5, np.zeros((2, 2), int), rule="max")
    assert_mask(tmp_path / "m.ome.tif", np.zeros((70, 100)))


def test_bool_blocks(tmp_path: Path) -> None:
    block = np.eye(20, dtype=bool)
    with MaskWriter(tmp_path / "m.ome.tif", 20, 20, tile_size=16, bits=True) as mask:
        mask.write(0, 0, block)
    assert_mask(tmp_path / "m.ome.tif", block.astype(int))
    assert tifffile.imread(tmp_path / "m.ome.tif", series=0, level=0).dtype == bool


@pytest.mark.parametrize(
    ("options", "written", "dtype"),
    [
        ({}, 255, "uint8"),
        ({}, 256, "uint16"),
        ({}, 65535, "uint16"),
        ({}, 65536, "uint32"),
        ({"dtype": "uint16"}, 1, "uint16"),
        ({"dtype": np.uint16}, 1, "uint16"),
        ({"classes": {1: "a", 300: "b"}}, 1, "uint16"),
        ({"classes": {1: "a", 255: "b"}}, 1, "uint8"),
        ({"classes": {1: "a", 2**31 - 1: "b"}}, 1, "uint32"),
    ],
)
def test_the_pixel_type(tmp_path: Path, options: dict[str, Any], written: int, dtype: str) -> None:
    with MaskWriter(tmp_path / "m.ome.tif", 20, 20, tile_size=16, **options) as mask:
        mask.write(3, 3, [[written]])
    assert {level.dtype.name for level in read_all(tmp_path / "m.ome.tif")} == {dtype}


def test_a_later_label_above_255_widens_the_mask(tmp_path: Path) -> None:
    expected = np.zeros((20, 20), int)
    with MaskWriter(tmp_path / "m.ome.tif", 20, 20, tile_size=16) as mask:
        for x, y, label in ((0, 0, 7), (5, 5, 300), (6, 5, 9)):
            block = np.full((4, 4), label) - np.eye(4, dtype=int)
            mask.write(x, y, block)
            expected[y : y + 4, x : x + 4] = block
    assert_mask(tmp_path / "m.ome.tif", expected)


@pytest.mark.parametrize(
    "classes",
    [
        {1: "a", 7: "b"},
        {"a": 1, "b": 7},
        {0: "nothing", 1: "a", np.uint8(7): "b"},
        [ClassRow(1, "a"), ClassRow(7, "b", (1, 2, 3))],
        ClassMap((ClassEntry(1, "a"), ClassEntry(7, "b", (1, 2, 3), ("c",)))),
    ],
    ids=["labels", "names", "background", "rows", "map"],
)
def test_class_tables(tmp_path: Path, classes: Any) -> None:
    with MaskWriter(tmp_path / "m.ome.tif", 20, 20, classes=classes) as mask:
        mask.write(0, 0, [[1, 7, 0]])
        with pytest.raises(MaskError, match=r"labels 2, 9 in 2 pixels.*x = 4, y = 5"):
            mask.write(3, 5, [[1, 9, 2]])
        mask.write(3, 5, [[1, 9, 2]], where=[[True, False, False]])
    expected = np.zeros((20, 20), int)
    expected[0, :2], expected[5, 3] = (1, 7), 1
    assert_mask(tmp_path / "m.ome.tif", expected)
    with MaskFile(tmp_path / "m.ome.tif") as found:
        assert found.metadata is not None
        names = {row.label: row.name for row in found.metadata.classes}
        assert {1: "a", 7: "b"}.items() <= names.items()
        assert {row.color for row in found.metadata.classes if row.label == 7} <= {None, (1, 2, 3)}


# --- blocks that cannot be written ------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "y", "block", "options", "error", "words"),
    [
        (0, 0, np.zeros((2, 2)), {}, MaskError, "float64.*argmax"),
        (0, 0, np.zeros((2, 2), np.complex64), {}, MaskError, "complex64"),
        (0, 0, np.zeros((2, 2, 3), int), {}, MaskError, r"\(2, 2, 3\)"),
        (0, 0, np.zeros(4, int), {}, MaskError, r"\(rows, columns\)"),
        (0, 0, 5, {}, MaskError, "shape"),
        (0, 0, [[1, 2], [3]], {}, MaskError, "NumPy array"),
        (0, 0, [["x"]], {}, MaskError, "type"),
        (4, 9, [[1, -1]], {}, MaskError, "label -1 in 1 pixels.*x = 5, y = 9.*0 to 255"),
        (0, 0, [[256]], {}, MaskError, "label 256"),
        (0, 0, [[2**63]], {}, MaskError, "label 9223372036854775808"),
        (30, 0, [[1]], {}, OptionsError, "wholly outside the mask of 30 x 20"),
        (-1, 0, [[1]], {}, OptionsError, "wholly outside"),
        (0, 20, [[1]], {}, OptionsError, "swapped"),
        (29, 0, [[1, 2]], {}, OptionsError, "1 pixel with labels beyond.*clip=True"),
        (-1, -1, [[1, 2], [3, 4]], {}, OptionsError, "3 pixels with labels beyond the mask"),
        (29, 0, [[1, 2]], {"clip": "no"}, OptionsError, "clip is 'no'"),
        (0.5, 0, [[1]], {}, OptionsError, "x is 0.5"),
        (0, None, [[1]], {}, OptionsError, "y is None"),
        (0, 0, [[1]], {"rule": "min"}, OptionsError, "rule 'min'.*replace, max, keep"),
        (0, 0, [[1]], {"where": [[1]]}, MaskError, "must be bool"),
        (0, 0, [[1]], {"where": [[True, True]]}, MaskError, r"\(1, 2\)"),
    ],
)
def test_a_bad_block_is_refused_and_the_writer_goes_on(
    tmp_path: Path, x, y, block, options, error, words
) -> None:
    path = tmp_path / "m.ome.tif"
    with MaskWriter(path, 30, 20, dtype="uint8", tile_size=16) as mask:
        mask.write(0, 0, [[5]])
        with pytest.raises(error, match=words) as caught:
            mask.write(x, y, block, **options)
        assert isinstance(caught.value, QpmaskError)
        assert mask.n_writes == 1
        mask.write(1, 0, [[6]])
    expected = np.zeros((20, 30), int)
    expected[0, :2] = 5, 6
    assert_mask(path, expected)


def test_one_bit_holds_two_labels(tmp_path: Path) -> None:
    with MaskWriter(tmp_path / "m.ome.tif", 30, 20, bits=True) as mask:
        with pytest.raises(MaskError, match=r"label 2.*1 bit holds 0 to 1"):
            mask.write(0, 0, [[1, 2]])
        mask.write(0, 0, [[1]])
    assert int(read_all(tmp_path / "m.ome.tif")[0].sum()) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"tile_size": 100},
        {"tile_size": 0},
        {"tile_size": 16384},
        {"tile_size": 64.5},
        {"dtype": "int8"},
        {"compression": "jpeg"},
        {"bits": True, "compression": "png"},
        {"bits": True, "dtype": "uint16"},
        {"bits": True, "classes": {2: "a"}},
        {"classes": {}},
        {"classes": {1: 2}},
        {"classes": ["a", "b"]},
        {"classes": {"a": 1, "b": 1}},
        {"classes": {256: "a"}, "dtype": "uint8"},
        {"classes": {70000: "a"}, "dtype": "uint16"},
        {"classes": {2**31: "a"}},
        {"classes": {70000: "a"}, "compression": "png"},
        {"dtype": "uint32", "compression": "png"},
        {"mpp": 0},
        {"mpp": float("nan")},
        {"mpp": (1, 2, 3)},
        {"mpp": "ab"},
        {"mpp": 0.25e-6},  # metres
        {"mpp": 1e20},
        {"mpp": np.array(0.5)},
        {"classes": 3},
        {"extra": [1]},
        {"threads": 0},
        {"threads": "x"},
    ],
)
def test_options_that_make_no_sense(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(OptionsError):
        MaskWriter(tmp_path / "m.ome.tif", 30, 20, **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [(0, 5), (5, -1), (2**31, 5), (1.5, 5), ("a", 5)])
def test_sizes_that_make_no_sense(tmp_path: Path, size: Any) -> None:
    with pytest.raises(OptionsError):
        MaskWriter(tmp_path / "m.ome.tif", *size)
    assert list(tmp_path.iterdir()) == []


# --- threads and processes --------------------------------------------------------------------


def test_threads_write_whole_blocks(tmp_path: Path) -> None:
    """Every block covers all of the mask: what is left is one of them, whole."""
    path = tmp_path / "m.ome.tif"
    with MaskWriter(path, 100, 90, tile_size=16) as mask:

        def work(label: int) -> None:
            for _ in range(5):
                mask.write(0, 0, np.full((90, 100), label) + np.eye(90, 100, dtype=int))

        threads = [threading.Thread(target=work, args=(label,)) for label in range(1, 9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert mask.n_writes == 40
    label = int(read_all(path)[0][0, 1])
    assert_mask(path, np.full((90, 100), label) + np.eye(90, 100, dtype=int))


def test_a_writer_is_closed_by_another_thread_than_its_own(tmp_path: Path) -> None:
    mask = MaskWriter(tmp_path / "m.ome.tif", 30, 20)
    mask.write(0, 0, [[1]])
    thread = threading.Thread(target=mask.close)
    thread.start()
    thread.join()
    assert mask.result is not None
    with MaskWriter(tmp_path / "m.ome.tif", 30, 20):
        pass


def test_a_writer_stays_in_its_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with MaskWriter(tmp_path / "m.ome.tif", 30, 20) as mask:
        with pytest.raises(TypeError, match="another process"):
            pickle.dumps(mask)
        with monkeypatch.context() as patch:
            patch.setattr("os.getpid", lambda: -1)
            with pytest.raises(MaskError, match="belongs to the process"):
                mask.write(0, 0, [[1]])


def test_a_closed_writer(tmp_path: Path) -> None:
    with MaskWriter(tmp_path / "m.ome.tif", 30, 20) as mask:
        pass
    with pytest.raises(MaskError, match="closed"):
        mask.write(0, 0, [[1]])
    with pytest.raises(MaskError, match="closed"):
        mask.flush()
    assert "closed" in repr(mask)


def test_progress(tmp_path: Path) -> None:
    seen: list[int] = []
    mask = MaskWriter(tmp_path / "m.ome.tif", 50, 40, tile_size=16)
    mask.write(0, 0, np.ones((40, 50), int))
    mask.close(on_tile=seen.append)
    assert seen[-1] == 12 and seen == sorted(seen)


# --- what others read -------------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["lzw", "zlib", "zstd", "packbits", "none"])
@pytest.mark.parametrize("bits", [False, True])
def test_others_read_the_mask(tmp_path: Path, codec: str, bits: bool) -> None:
    path = tmp_path / "m.ome.tif"
    rng = np.random.default_rng(1)
    block = np.kron(rng.integers(0, 2 if bits else 200, (30, 40)), np.ones((11, 9), int))
    with MaskWriter(path, 400, 300, compression=codec, bits=bits, tile_size=128) as mask:
        mask.write(20, -10, block, clip=True)
    expected = np.zeros((300, 400), int)
    expected[:, 20:380] = block[10:310]
    assert_mask(path, expected)
    assert_others_read(path, expected)


# --- tiles in order ---------------------------------------------------------------------------

ARRAY = np.kron(np.arange(12).reshape(3, 4) % 5, np.ones((16, 16), np.uint8)).astype(np.uint8)[
    :40, :55
]
ARRAY[3, 3] = ARRAY[39, 54] = 4
PLACES = [(x, y) for y in range(0, 40, 16) for x in range(0, 55, 16)]
CROPPED = [ARRAY[y : y + 16, x : x + 16] for x, y in PLACES]
PADDED = [np.pad(t, ((0, 16 - t.shape[0]), (0, 16 - t.shape[1]))) for t in CROPPED]


def constant_or_not(tile: np.ndarray) -> Any:
    return int(tile[0, 0]) if (tile == tile[0, 0]).all() else tile


@pytest.mark.parametrize(
    "items",
    [
        CROPPED,
        PADDED,
        [(x, y, tile.astype(int)) for (x, y), tile in zip(PLACES, PADDED, strict=True)],
        [constant_or_not(tile) for tile in CROPPED],
    ],
    ids=["cropped", "padded", "with their places", "numbers"],
)
@pytest.mark.parametrize("codec", CODECS)
def test_tiles_in_order(tmp_path: Path, items: list[Any], codec: str) -> None:
    path = tmp_path / "m.ome.tif"
    seen: list[int] = []
    result = MaskWriter.from_tiles(
        path, 55, 40, iter(items), order="rows", tile_size=16,
        classes={i: str(i) for i in range(5)},
        compression=codec, on_tile=seen.append,
    )  # fmt: skip
    assert_mask(path, ARRAY)
    assert result.path == path and seen[-1] == 12
    assert [p.name for p in tmp_path.iterdir()] == ["m.ome.tif"]


@pytest.mark.parametrize(
    ("items", "words"),
    [
        (CROPPED[:-1], "ended after 11 of 12"),
        ([*CROPPED, CROPPED[0]], "more tiles than the 12"),
        ([*CROPPED, None], "more tiles than the 12"),
        ([(0, 0, CROPPED[0]), (32, 0, CROPPED[2])], "at x = 32, y = 0; the next.* x = 16, y = 0"),
        ([(0.0, 0, CROPPED[0])], "whole numbers"),
        ([CROPPED[0][:5]], r"Tile 0 .*shape \(5, 16\)"),
        ([CROPPED[0][..., None]], "shape"),
        ([CROPPED[0].astype(float)], "float64"),
        ([CROPPED[0] + 5], "label"),
        ([None], "shape"),
        ([7], "class table"),
        ([-1], "label -1"),
    ],
)
def test_tiles_that_do_not_follow(tmp_path: Path, items: list[Any], words: str) -> None:
    path = tmp_path / "m.ome.tif"
    path.write_text("old")
    with pytest.raises(MaskError, match=words):
        MaskWriter.from_tiles(
            path,
            55,
            40,
            items,
            order="rows",
            tile_size=16,
            classes={i: str(i) for i in range(5)},
        )
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["m.ome.tif"]


def test_tiles_column_by_column_do_not_pass_for_rows(tmp_path: Path) -> None:
    """On a square grid they would make a whole mask, transposed."""
    path = tmp_path / "m.ome.tif"
    square = ARRAY[:32, :32]
    columns = [(x, y, square[y : y + 16, x : x + 16]) for x in (0, 16) for y in (0, 16)]
    bare = [tile for *_, tile in columns]
    with pytest.raises(OptionsError, match="does not say its place") as caught:
        MaskWriter.from_tiles(path, 32, 32, bare, tile_size=16)
    assert caught.value.hint is not None and "order='rows'" in caught.value.hint
    with pytest.raises(OptionsError, match="does not say its place"):
        MaskWriter.from_tiles(path, 32, 32, [columns[0], *bare[1:]], tile_size=16)
    with pytest.raises(MaskError, match="at x = 0, y = 16; the next"):
        MaskWriter.from_tiles(path, 32, 32, columns, tile_size=16)
    with pytest.raises(OptionsError, match="one of rows"):
        MaskWriter.from_tiles(path, 32, 32, bare, order="columns", tile_size=16)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
    by_row = sorted(columns, key=lambda item: item[1::-1])
    for tiles, order in ((by_row, None), ([tile for *_, tile in by_row], "rows")):
        MaskWriter.from_tiles(path, 32, 32, tiles, order=order, tile_size=16)
        assert_mask(path, square)


def test_the_iterator_of_tiles_fails(tmp_path: Path) -> None:
    def tiles():
        yield CROPPED[0]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        MaskWriter.from_tiles(tmp_path / "m.ome.tif", 55, 40, tiles(), order="rows", tile_size=16)
    assert list(tmp_path.iterdir()) == []


def test_two_writers_of_one_mask(tmp_path: Path) -> None:
    path = tmp_path / "m.ome.tif"
    with MaskWriter(path, 55, 40) as mask:
        mask.write(0, 0, [[1]])
        for attempt in (
            lambda: MaskWriter(path, 55, 40),
            lambda: MaskWriter(path, 55, 40, discard_unfinished=True),
            lambda: MaskWriter.resume(path),
            lambda: MaskWriter.from_tiles(path, 55, 40, CROPPED, tile_size=16),
        ):
            with pytest.raises(OutputError, match="Another writer is at work"):
                attempt()
        mask.write(1, 0, [[1]])
    assert read_all(path)[0].sum() == 2
