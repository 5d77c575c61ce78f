"""What happens to the writes when the process, the disk or the file lets them down."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import TESTS
from hypothesis import given
from hypothesis import strategies as st
from mask.unfinished import SIZE, blocks, leave, names, painted, read, record_ends

from qpmask import MaskWriter, check_mask, finalize
from qpmask.errors import MaskCheckError, MaskError, OptionsError, OutputError
from qpmask.maskwriter import finish
from qpmask.maskwriter.journal import JournalReader
from qpmask.maskwriter.packedwrites import HEAD, PIECE
from qpmask.ometiff import CheckReport, Problem

# --- exceptions -------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError, MaskError, SystemExit])
def test_an_exception_keeps_the_writes_and_the_older_mask(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    path = tmp_path / "m.ome.tif"
    path.write_text("older")
    first = error("first")
    with pytest.raises(error) as caught, MaskWriter(path, *SIZE) as mask:
        for x, y, block in blocks(3):
            mask.write(x, y, block)
        raise first
    assert caught.value is first
    assert path.read_text() == "older"
    assert names(tmp_path) == {"m.ome.tif", "m.ome.tif.writing"}
    assert "3 writes" in caplog.text and "qpmask finalize" in caplog.text
    said = " ".join([*getattr(first, "__notes__", []), str(first)])
    assert "m.ome.tif.writing" in said or sys.version_info < (3, 11)
    result = finalize(path)
    assert result.path == path and np.array_equal(read(path), painted(blocks(3)))
    assert names(tmp_path) == {"m.ome.tif"}


def test_an_exception_before_the_first_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), MaskWriter(tmp_path / "m.ome.tif", *SIZE):
        raise ZeroDivisionError
    assert names(tmp_path) == set()


def test_unfinished_writes_are_never_lost_silently(tmp_path: Path) -> None:
    path = tmp_path / "m.ome.tif"
    leave(path, blocks(3))
    with pytest.raises(OutputError, match=r"left 3 writes unfinished.*finalize.*resume"):
        MaskWriter(path, *SIZE)
    with MaskWriter.resume(path) as mask:
        assert mask.n_writes == 3 and (mask.size.width_px, mask.size.height_px) == SIZE
        for x, y, block in blocks(5)[3:]:
            mask.write(x, y, block)
    assert np.array_equal(read(path), painted(blocks(5)))


def test_tiles_in_order_respect_unfinished_writes_too(tmp_path: Path) -> None:
    leave(tmp_path / "m.ome.tif", blocks(3))
    with pytest.raises(OutputError, match="left 3 writes unfinished"):
        MaskWriter.from_tiles(tmp_path / "m.ome.tif", *SIZE, [0])
    assert names(tmp_path) == {"m.ome.tif.writing"}


def test_unfinished_writes_are_discarded_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "m.ome.tif"
    leave(path, blocks(3))
    with MaskWriter(path, *SIZE, discard_unfinished=True) as mask:
        mask.write(0, 0, [[1]])
    assert read(path).sum() == 1
    other = MaskWriter(path, *SIZE)
    other.write(0, 0, [[2]])
    other.discard()
    assert names(tmp_path) == {"m.ome.tif"} and read(path).sum() == 1
    with pytest.raises(MaskError, match="closed"):
        other.close()


def test_a_file_that_is_no_journal_is_not_removed(tmp_path: Path) -> None:
    path, journal = tmp_path / "m.ome.tif", tmp_path / "m.ome.tif.writing"
    journal.write_text("somebody's poem, longer than the head of a journal")
    with pytest.raises(OutputError, match="unfinished"):
        MaskWriter(path, *SIZE)
    for attempt in (finalize, MaskWriter.resume):
        with pytest.raises(MaskError, match="holds no writes"):
            attempt(path)
    assert journal.read_text().startswith("somebody's")


@pytest.mark.parametrize("attempt", [finalize, MaskWriter.resume])
def test_nothing_to_finalize(tmp_path: Path, attempt: Callable[[Path], object]) -> None:
    with pytest.raises(MaskError, match="no unfinished writes"):
        attempt(tmp_path / "m.ome.tif")
    assert names(tmp_path) == set()


# --- the process is killed --------------------------------------------------------------------

CHILD = """
import sys
from mask.unfinished import SIZE, blocks
from qpmask import MaskWriter

mask = MaskWriter(sys.argv[1], *SIZE, tile_size=32, classes={i: str(i) for i in range(256)})
for x, y, block in blocks(2000):
    mask.write(x, y, block)
    print("written", flush=True)
mask.close()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL on Windows")
@pytest.mark.parametrize("n_lines", [1, 40, 333])
def test_a_killed_process_loses_nothing_that_was_written(tmp_path: Path, n_lines: int) -> None:
    path = tmp_path / "m.ome.tif"
    path.write_text("older")
    env = {**os.environ, "PYTHONPATH": str(TESTS)}
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, env=env, text=True
    ) as child:
        assert child.stdout is not None
        for _ in range(n_lines):
            assert child.stdout.readline() == "written\n"
        child.send_signal(signal.SIGKILL)
        n_said = n_lines + len(child.stdout.readlines())
    assert child.returncode == -signal.SIGKILL
    assert path.read_text() == "older"
    with JournalReader(tmp_path / "m.ome.tif.writing") as reader:
        n_kept = reader.contents(verify=True).n_writes
    # The last one may have been written and not yet been said.
    assert n_said <= n_kept <= n_said + 1 < 2000
    finalize(path)
    assert np.array_equal(read(path), painted(blocks(n_kept)))
    assert names(tmp_path) <= {"m.ome.tif", "m.ome.tif.writing.lock"}


# --- the journal is damaged -------------------------------------------------------------------


def test_a_last_write_cut_anywhere_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "m.ome.tif"
    journal = leave(path, blocks(3))
    whole = journal.read_bytes()
    ends = record_ends(journal)
    assert len(ends) == 4 and ends[-1] == len(whole)
    two = painted(blocks(2))
    for cut in range(ends[2], ends[3]):
        caplog.clear()
        journal.write_bytes(whole[:cut])
        if cut % 40 == 0:  # whole masks take longer than their tiles
            finalize(path)
            assert np.array_equal(read(path), two), cut
        else:
            with MaskWriter.resume(path) as mask:
                assert mask.n_writes == 2
                mask.discard()
        assert ("not finished" in caplog.text) is (cut > ends[2])
    journal.write_bytes(whole)
    finalize(path)
    assert np.array_equal(read(path), painted(blocks(3)))


def test_a_cut_write_does_not_hide_the_next_ones(tmp_path: Path) -> None:
    path = tmp_path / "m.ome.tif"
    journal = leave(path, blocks(3))
    journal.write_bytes(journal.read_bytes()[:-5])
    with MaskWriter.resume(path) as mask:
        x, y, block = blocks(4)[3]
        mask.write(x, y, block)
    assert np.array_equal(read(path), painted([*blocks(2), blocks(4)[3]]))


@pytest.mark.parametrize("n_zeros", [1, 28, 5000, 3 << 20])
def test_zeros_behind_the_last_write(tmp_path: Path, n_zeros: int) -> None:
    """As some file systems leave them when the power fails."""
    path = tmp_path / "m.ome.tif"
    journal = leave(path, blocks(3))
    with journal.open("ab") as file:
        file.write(bytes(n_zeros))
    finalize(path)
    assert np.array_equal(read(path), painted(blocks(3)))


@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("place", ["mark", "head", "table", "pixels", "last byte"])
def test_damage_in_the_middle_is_an_error_until_it_is_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, victim: int, place: str
) -> None:
    path = tmp_path / "m.ome.tif"
    path.write_text("older")
    journal = leave(path, blocks(4))
    ends = record_ends(journal)
    data = bytearray(journal.read_bytes())
    start = ends[victim]
    n_pieces = struct.unpack_from("<L", data, start + 8)[0]
    at = {
        "mark": start,
        "head": start + 13,
        "table": start + HEAD.size + 2,
        "pixels": start + HEAD.size + n_pieces * PIECE.itemsize + 3,
        "last byte": ends[victim + 1] - 1,
    }[place]
    data[at] ^= 0x40
    journal.write_bytes(data)
    for attempt in (finalize, MaskWriter.resume):
        with pytest.raises(MaskError, match=r"damaged.*3 writes are whole.*--skip-damaged"):
            attempt(path)
    assert journal.read_bytes() == data and path.read_text() == "older"
    finalize(path, skip_damaged=True)
    assert "left out" in caplog.text
    rest = [write for i, write in enumerate(blocks(4)) if i != victim]
    assert np.array_equal(read(path), painted(rest))


def test_a_damaged_beginning(tmp_path: Path) -> None:
    path = tmp_path / "m.ome.tif"
    journal = leave(path, blocks(1))
    whole = journal.read_bytes()
    for at in range(record_ends(journal)[0]):
        data = bytearray(whole)
        data[at] ^= 0x01
        journal.write_bytes(data)
        with pytest.raises(MaskError, match=r"m\.ome\.tif\.writing"):
            finalize(path)
    for cut in (0, 10, 20, record_ends(journal)[0] - 1):
        journal.write_bytes(whole[:cut])
        with pytest.raises(MaskError):
            finalize(path)
    assert names(tmp_path) == {"m.ome.tif.writing"}


def test_a_journal_of_another_version(tmp_path: Path) -> None:
    path = tmp_path / "m.ome.tif"
    journal = leave(path, blocks(1))
    journal.write_bytes(journal.read_bytes().replace(b"writes 2\n", b"writes 1\n"))
    with pytest.raises(MaskError, match="another version"):
        finalize(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("row", 3), ("row", 2**32 - 1), ("col", 3), ("y_px", 30), ("x_px", 65535),
        ("height_px", 0), ("width_px", 33), ("label", 251), ("label", -2), ("pixel_bytes", 10**6),
    ],
)  # fmt: skip
def test_a_record_that_says_impossible_things(tmp_path: Path, field: str, value: int) -> None:
    """Its CRC is right: a journal may be anybody's file."""
    path = tmp_path / "m.ome.tif"
    journal = leave(path, [(70, 50, np.full((9, 9), 250)), (0, 0, np.ones((5, 5), int))])
    data = bytearray(journal.read_bytes())
    start = record_ends(journal)[0]
    end = start + HEAD.size + PIECE.itemsize * struct.unpack_from("<L", data, start + 8)[0]
    table = np.frombuffer(data, PIECE, offset=start + HEAD.size, count=1)
    table[field] = value
    struct.pack_into("<L", data, start + 4, zlib.crc32(data[start + 8 : end]))
    del table
    journal.write_bytes(data)
    with pytest.raises(MaskError, match="damaged"):
        finalize(path)
    finalize(path, skip_damaged=True)
    assert read(path).sum() == 25


@given(st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=30)), max_size=3), st.booleans())
def test_any_damage_is_one_kind_of_error(tmp_path: Path, damage, skip: bool) -> None:
    path = tmp_path / "m.ome.tif"
    journal = tmp_path / "m.ome.tif.writing"
    if not (tmp_path / "whole").exists():
        shutil.move(leave(path, blocks(2)), tmp_path / "whole")
    data = (tmp_path / "whole").read_bytes()
    for place, piece in damage:
        data = data[:place] + piece + data[place + len(piece) :]
    journal.write_bytes(data)
    logging.getLogger("qpmask").setLevel(logging.ERROR)
    try:
        finalize(path, skip_damaged=skip)
    except (MaskError, OptionsError):
        assert journal.exists()
    else:
        assert check_mask(path).ok
    finally:
        logging.getLogger("qpmask").setLevel(logging.NOTSET)


# --- the disk ---------------------------------------------------------------------------------

FULL = """
import resource, sys
import numpy as np
from qpmask import MaskWriter
from qpmask.errors import OutputError

mask = MaskWriter(sys.argv[1], 1000, 1000, compression="none")
noise = np.random.default_rng(0).integers(0, 250, (1000, 1000), np.uint8)
expected = np.zeros((1000, 1000), np.uint8)
limit = 300_000
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
n_failed = 0
for i in range(20):
    x, y = i * 40, i * 37
    block = noise[y : y + 200, x : x + (200 if i % 2 else 20)]
    try:
        mask.write(x, y, block)
    except OutputError as error:
        assert f"x = {x}, y = {y}" in str(error) and "Earlier writes are safe" in str(error)
        n_failed += 1
    else:
        expected[y : y + block.shape[0], x : x + block.shape[1]] = block
assert 0 < n_failed < 15, n_failed
try:
    mask.close()
except OutputError as error:
    assert "qpmask finalize" in str(error), error
else:
    raise AssertionError("a mask of 1 MB in a file of 0.3 MB")
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
np.save(sys.argv[2], expected)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on Windows")
def test_a_full_disk_costs_the_block_and_no_other(tmp_path: Path) -> None:
    """A limit on the size of files stands in for the full disk."""
    path = tmp_path / "out" / "m.ome.tif"
    path.parent.mkdir()
    path.write_text("older")
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path), str(tmp_path / "expected.npy")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert names(path.parent) <= {"m.ome.tif", "m.ome.tif.writing", "m.ome.tif.writing.lock"}
    assert path.read_text() == "older"
    finalize(path)
    assert np.array_equal(read(path), np.load(tmp_path / "expected.npy"))


def test_the_mask_cannot_be_made_at_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.ome.tif"
    path.write_text("older")

    def fsync(number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OutputError, match=r"No space left.*finalize"), monkeypatch.context() as m:
        m.setattr(os, "fsync", fsync)
        with MaskWriter(path, *SIZE) as mask:
            for x, y, block in blocks(3):
                mask.write(x, y, block)
            with pytest.raises(OutputError, match="No space left"):
                mask.flush()
    assert path.read_text() == "older"
    assert names(tmp_path) == {"m.ome.tif", "m.ome.tif.writing"}
    finalize(path)
    assert np.array_equal(read(path), painted(blocks(3)))


def test_a_mask_that_does_not_read_back_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.ome.tif"
    path.write_text("older")

    def check(part: Path, **options: object) -> CheckReport:
        assert part.parent == tmp_path and part != path
        return CheckReport(part, (Problem("a pixel fell out", "tile"),), 1)

    with pytest.raises(MaskCheckError, match="a pixel fell out"), monkeypatch.context() as m:
        m.setattr(finish, "check_mask", check)
        with MaskWriter(path, *SIZE) as mask:
            mask.write(0, 0, [[1]])
    assert path.read_text() == "older"
    assert names(tmp_path) == {"m.ome.tif", "m.ome.tif.writing"}


def test_a_piece_that_rots_while_it_waits(tmp_path: Path) -> None:
    path = tmp_path / "m.ome.tif"
    with pytest.raises(MaskError, match="damaged"), MaskWriter(path, *SIZE) as mask:
        for x, y, block in blocks(3):
            mask.write(x, y, block)
        with (tmp_path / "m.ome.tif.writing").open("r+b") as file:
            file.seek(-10, os.SEEK_END)
            file.write(b"0123456789")
    assert names(tmp_path) == {"m.ome.tif.writing"}


@pytest.mark.parametrize("kind", ["no folder", "a file for a folder", "a folder"])
def test_paths_that_cannot_be_written(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "there" / "m.ome.tif"
    if kind == "a file for a folder":
        path.parent.write_text("a file")
    elif kind == "a folder":
        path.mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    for attempt in (
        lambda: MaskWriter(path, *SIZE),
        lambda: MaskWriter.from_tiles(path, *SIZE, []),
    ):
        with pytest.raises(OutputError, match=r"m\.ome\.tif cannot be written"):
            attempt()
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(
    sys.platform == "win32" or not hasattr(os, "geteuid") or os.geteuid() == 0,
    reason="root may write anywhere",
)
def test_a_folder_without_permission(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    with pytest.raises(OutputError, match="cannot be written"):
        MaskWriter(folder / "m.ome.tif", *SIZE)
