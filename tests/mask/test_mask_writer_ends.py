"""What ends a MaskWriter besides its mask: forks, and Ctrl-C while it waits."""

from __future__ import annotations

import gc
import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from qpmask import MaskWriter, finalize, open_mask
from qpmask.errors import MaskError, OutputError
from qpmask.ometiff import WriteResult

ONES = np.ones((16, 16), np.uint8)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("how", ["the end", "an exception", "discard"])
@pytest.mark.parametrize("n_before", [0, 1])
def test_a_fork_takes_nothing_away(tmp_path: Path, how: str, n_before: int) -> None:
    path = tmp_path / "m.ome.tif"
    with MaskWriter(path, 64, 64, tile_size=16) as writer:
        for _ in range(n_before):
            writer.write(0, 0, ONES)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            code = 9
            try:
                if how == "discard":
                    writer.discard()
                    code = 0
                else:
                    with writer:
                        if how == "an exception":
                            raise ZeroDivisionError
            except ZeroDivisionError:
                code = 0
            except MaskError as error:
                code = 0 if how == "the end" and "belongs to the process" in str(error) else 8
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        with pytest.raises(OutputError, match="Another writer"):
            MaskWriter(path, 64, 64, tile_size=16, discard_unfinished=True)
        writer.write(48, 48, ONES)
    with open_mask(path) as mask:
        assert int(mask[:].sum()) == 256 * (1 + n_before)


def test_ctrl_c_while_close_waits_for_a_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.ome.tif"
    writer = MaskWriter(path, 64, 64, tile_size=16)
    writer.write(0, 0, ONES)
    wait = threading.Condition.wait_for

    def interrupted(*args: object, **kwargs: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Condition, "wait_for", interrupted)
    with pytest.raises(KeyboardInterrupt):
        writer.close()
    monkeypatch.setattr(threading.Condition, "wait_for", wait)
    writer.write(16, 16, ONES)  # it is as open as before
    assert writer.close().counts[0][1] == 512


def test_a_journal_that_cannot_be_closed_gives_the_lock_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.ome.tif"
    writer = MaskWriter(path, 64, 64, tile_size=16)
    writer.write(0, 0, ONES)
    close = writer._journal.close

    def fails() -> None:
        close()
        raise OSError("the server is gone")

    monkeypatch.setattr(writer._journal, "close", fails)
    with pytest.raises(OSError, match="server"):
        writer.close()
    assert finalize(path).counts[0][1] == 256


def test_a_writer_that_is_never_closed_says_where_its_writes_are(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "m.ome.tif"
    writer = MaskWriter(path, 64, 64, tile_size=16)
    writer.write(0, 0, ONES)
    del writer
    gc.collect()
    assert "1 writes" in caplog.text and "qpmask finalize" in caplog.text
    assert finalize(path).counts[0][1] == 256  # nobody holds the lock
    empty = MaskWriter(tmp_path / "e.ome.tif", 64, 64)
    del empty
    gc.collect()
    assert [p.name for p in tmp_path.iterdir()] == ["m.ome.tif"]


def test_masked_pixels_are_not_written(tmp_path: Path) -> None:
    path = tmp_path / "m.ome.tif"
    block = np.ma.masked_array(np.full((4, 4), 3, np.uint8), mask=np.eye(4, dtype=bool))
    block.data[0, 0] = 200  # under the mask there may be anything
    with MaskWriter(path, 8, 8, tile_size=16, classes={3: "x"}) as writer:
        writer.write(0, 0, block)
        writer.write(4, 4, block, where=np.tri(4, dtype=bool))
    expected = np.zeros((8, 8), np.uint8)
    expected[:4, :4] = 3 * (1 - np.eye(4))
    expected[4:, 4:] = 3 * (np.tri(4) - np.eye(4))
    with open_mask(path) as mask:
        assert np.array_equal(mask[:], expected)
    tiles = [np.ma.masked_array(np.full((16, 16), 3), mask=np.eye(16, dtype=bool)), np.ma.masked]
    tiles[1] = np.ma.masked_all((16, 16), np.uint8)
    MaskWriter.from_tiles(path, 32, 16, tiles, order="rows", tile_size=16, classes={3: "x"})
    with open_mask(path) as mask:
        assert np.array_equal(mask[:, :16], 3 * (1 - np.eye(16)))
        assert not mask[:, 16:].any()


def test_threads_that_close_together_get_the_same_result(tmp_path: Path) -> None:
    writer = MaskWriter(tmp_path / "m.ome.tif", 300, 300, tile_size=16)
    writer.write(0, 0, np.ones((100, 100), np.uint8))
    started = threading.Barrier(3)

    def close() -> WriteResult:
        started.wait()
        return writer.close()

    with ThreadPoolExecutor(3) as pool:
        results = [job.result() for job in [pool.submit(close) for _ in range(3)]]
    assert results[0] is results[1] is results[2] and results[0].path.is_file()


def test_tiles_in_order_beside_unfinished_writes_get_advice_that_can_be_followed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "m.ome.tif"
    with pytest.raises(ZeroDivisionError), MaskWriter(path, 8, 8, tile_size=16) as writer:
        writer.write(0, 0, [[1]])
        raise ZeroDivisionError
    with pytest.raises(OutputError) as caught:
        MaskWriter.from_tiles(path, 8, 8, [0], tile_size=16)
    hint = str(caught.value.hint)
    assert "remove m.ome.tif.writing" in hint and "discard_unfinished" not in hint
