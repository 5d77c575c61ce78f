"""Claims: one holder at a time; what the dead held is taken over by one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from qpmask.errors import OutputError
from qpmask.outputs import OutputFolder, claims
from qpmask.outputs.claims import CLAIMS_FOLDER, PLANS_FOLDER, Claims, claimed, live_claims


def abandoned(folder: Path, key: str, generation: int = 1, **holder: object) -> Path:
    path = folder / f"{key}.{generation}.claim"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(holder))
    return path


def test_one_at_a_time(tmp_path: Path) -> None:
    with Claims(tmp_path) as one, Claims(tmp_path) as other:
        assert one.take("7")
        assert not other.take("7")
        assert other.take("8")
        assert claimed(tmp_path) == {"7": True, "8": True}
        one.give_back("7")
        assert other.take("7")
    assert list(tmp_path.iterdir()) == []


def test_of_many_threads_one_gets_it(tmp_path: Path) -> None:
    with Claims(tmp_path) as mine:
        got: list[bool] = []
        start = threading.Barrier(16)

        def take() -> None:
            with Claims(tmp_path) as own:
                start.wait()
                took = own.take("1")
                got.append(took)
                if took:
                    start_end.wait()

        start_end = threading.Event()
        threads = [threading.Thread(target=take) for _ in range(16)]
        for thread in threads:
            thread.start()
        while len(got) < 16:
            time.sleep(0.01)
        start_end.set()
        for thread in threads:
            thread.join()
        assert sum(got) == 1
        assert mine.take("1")


def test_what_a_dead_process_of_this_machine_held_is_free_at_once(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from qpmask.outputs.claims import Claims\n"
        "c = Claims(Path(sys.argv[1])); c.__enter__(); assert c.take('5'); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert claimed(tmp_path) == {"5": False}
    with Claims(tmp_path) as one, Claims(tmp_path) as other:
        assert one.take("5")
        assert not other.take("5")


def test_where_nobody_can_ask_for_a_process_time_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qpmask.outputs.claims._PIDS_TELL", False)
    with Claims(tmp_path) as one:
        assert one.take("5")
        assert claimed(tmp_path) == {"5": True}
        os.utime(tmp_path / "5.1.claim", (1, 1))
        assert claimed(tmp_path) == {"5": False}


def test_what_another_machine_held_is_free_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = abandoned(tmp_path, "5", host="elsewhere", pid=1, boot="other")
    with Claims(tmp_path) as mine:
        assert not mine.take("5")
        old = time.time() - 2 * claims.STALE_S
        os.utime(path, (old, old))
        assert mine.take("5")


def test_one_that_was_written_half_is_held(tmp_path: Path) -> None:
    (tmp_path / "5.1.claim").write_text('{"host": ')
    with Claims(tmp_path) as mine:
        assert not mine.take("5")


def test_whoever_was_taken_over_leaves_it_to_the_other(tmp_path: Path) -> None:
    with Claims(tmp_path) as mine, Claims(tmp_path) as third:
        assert mine.take("5")
        other = abandoned(tmp_path, "5", generation=2, host="elsewhere", pid=1, boot="other")
        mine.give_back("5")
        assert not third.take("5"), "the second generation is held"
        other.unlink()


def test_given_back_while_another_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was stale when it was looked at, and is gone when it is taken over, is left alone."""
    abandoned(tmp_path, "5", host=socket.gethostname(), pid=2**22 + 1, boot=claims._boot())
    with Claims(tmp_path) as mine, Claims(tmp_path) as other, Claims(tmp_path) as third:
        assert mine.take("5")

        def gone_meanwhile(path: Path, folder: Path | None = None) -> bool:
            mine.give_back("5")
            return True

        monkeypatch.setattr(claims, "is_stale", gone_meanwhile)
        took = other.take("5")
        monkeypatch.undo()
        assert third.take("5") is not took
    assert list(tmp_path.iterdir()) == []


def test_claims_say_that_they_are_held(tmp_path: Path) -> None:
    with Claims(tmp_path, touch_every_s=0.02) as mine:
        assert mine.take("5")
        path = tmp_path / "5.1.claim"
        os.utime(path, (1, 1))
        for _ in range(200):
            if path.stat().st_mtime > 1:
                break
            time.sleep(0.02)
        assert path.stat().st_mtime > 1


def test_a_run_keeps_away_from_a_folder_that_tasks_work_in(tmp_path: Path) -> None:
    folder = tmp_path / PLANS_FOLDER / "abc" / CLAIMS_FOLDER
    with Claims(folder) as mine:
        assert mine.take("5")
        assert len(live_claims(tmp_path)) == 1
        with pytest.raises(OutputError, match=f"Process {os.getpid()} on .* is at work"):
            OutputFolder(tmp_path)
    with OutputFolder(tmp_path):
        pass
