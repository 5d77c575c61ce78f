"""The output folder: names, locks, leftovers, and files that are whole or not there."""

from __future__ import annotations

import csv
import errno
import json
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qpmask.errors import OutputError, QpmaskError
from qpmask.outputs import (
    MASK_SUFFIX,
    OutputFolder,
    OutputWriter,
    file_sha256,
    mask_names,
    read_json,
    sha256_meanwhile,
    writing,
)
from qpmask.project import ImageEntry


def entry(entry_id: str, name: str) -> ImageEntry:
    return ImageEntry(entry_id, name, None, 1, 1, None, None, (), None, (), Path("data"))


def named(*names: str) -> list[str]:
    """Mask names of images with the ids 1, 2, ..."""
    made = mask_names(entry(str(i), name) for i, name in enumerate(names, 1))
    return [made[str(i)].removesuffix(MASK_SUFFIX) for i in range(1, len(names) + 1)]


# -- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("Case 1.svs", "Case 1"),
        ("a.ome.tif", "a"),
        ("a.OME.TIFF", "a"),
        ("a.b.ndpi", "a.b"),
        ("a.svs.svs", "a.svs"),
        (".svs", "svs"),
        ("a.txt", "a.txt"),
        ("2.5 um", "2.5 um"),
        ("slide.svs - Series 1", "slide.svs - Series 1"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ('a/b\\c:d*e?f"g<h>i|j', "a_b_c_d_e_f_g_h_i_j"),
        ("a\tb\nc\0d\x7f", "a_b_c_d_"),
        ("  .a.  ", "a"),
        ("...", "_"),
        ("", "_"),
        ("CON.svs", "_CON"),
        ("com1", "_com1"),
        ("nul.2", "_nul.2"),
        ("CONTROL", "CONTROL"),
        ("cafe\u0301", "caf\u00e9"),
        ("half \ud800", "half _"),
        ("病理.svs", "病理"),
    ],
)
def test_names_by_hand(name: str, stem: str) -> None:
    assert named(name) == [stem]


def test_long_names_are_cut_and_stay_apart() -> None:
    one, two, wide = named("x" * 250 + "1", "x" * 250 + "2", "病" * 200)
    assert one != two and one.startswith("x" * 100) and wide.startswith("病" * 50)
    assert max(len(n.encode()) for n in (one, two, wide)) < 180


def test_names_that_would_collide_get_their_id() -> None:
    assert named("A.svs", "a.ndpi", "B") == ["A_id1", "a_id2", "B"]
    assert named("ﬁn", "fin", "FIN") == ["ﬁn_id1", "fin_id2", "FIN_id3"]
    assert named("Straße", "STRASSE") == ["Straße_id1", "STRASSE_id2"]


def test_an_image_that_is_called_like_anothers_answer() -> None:
    first, second, third = named("a", "a", "a_id1")
    assert third == "a_id1"
    assert len({first, second, third}) == 3


odd = st.sampled_from(
    ["a", "A", "a.svs", "a_id1", "a_id2", "A_ID1", "\u00e5", "a\u030a", "\u212b", "ﬁ", "fi", "ß",
     "SS", "İ", "ı", "con", "..", "/", "x" * 200, "X" * 200, "病" * 90, "", " ", ".", "_", "\ud800"]
)  # fmt: skip
image_names = st.lists(odd | st.text(max_size=12) | st.text(min_size=100, max_size=400), max_size=9)
FORBIDDEN = set('<>:"/\\|?*') | {chr(i) for i in range(32)} | {"\x7f"}


def folded(name: str) -> str:
    """As a file system sees it that knows neither case nor compatibility forms."""
    return unicodedata.normalize("NFKC", name).casefold()


@settings(max_examples=200)
@given(image_names)
@example(["a", "A", "a_id1", "a_id2"])
@example(["a_id1", "a", "A", "A_ID1"])
@example(["ı", "I"])
def test_names_never_collide_and_fit_every_file_system(names: list[str]) -> None:
    entries = [entry(str(i), name) for i, name in enumerate(names, 1)]
    made = mask_names(entries)
    assert list(made) == [e.id for e in entries]
    assert len({folded(n) for n in made.values()}) == len(names)
    assert len({n.upper() for n in made.values()}) == len(names)
    for name in made.values():
        assert name.endswith(MASK_SUFFIX)
        assert not FORBIDDEN & set(name)
        assert name not in (".", "..") and not name.startswith((".", " "))
        stem = name.removesuffix(MASK_SUFFIX)
        assert stem and not stem.endswith((" ", "."))
        # The longest file that is made of it: ours while it grows, and the table of instances.
        assert len(f"{name}.{2**22}.scratch.ome.tif".encode()) <= 255
    assert mask_names(entries) == made


def test_a_long_id_does_not_make_a_name_too_long() -> None:
    made = mask_names([entry("i" * 200, "x" * 200), entry("j" * 200, "x" * 200)])
    assert all(len(name.encode()) <= 230 for name in made.values())


# -- the folder ---------------------------------------------------------------------------------


def tree(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_files_appear_under_their_names(tmp_path: Path) -> None:
    out = tmp_path / "new" / "er"
    with OutputFolder(out) as folder:
        part = folder.work_file("a.part")
        part.write_bytes(b"mask")
        assert folder.publish(part, "a.ome.tif") == out / "a.ome.tif"
        folder.write_json("a.json", {"µ": "病"})
        folder.write_csv("a.csv", ["a", "b"], [[1, "x, y"], ["\n", '"']])
    assert tree(tmp_path) == {"new/er/a.ome.tif", "new/er/a.json", "new/er/a.csv"}
    assert not (out / ".qpmask").exists()
    assert (out / "a.ome.tif").read_bytes() == b"mask"
    assert json.loads((out / "a.json").read_text("utf-8")) == {"µ": "病"}
    with (out / "a.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["a", "b"], ["1", "x, y"], ["\n", '"']]


def test_a_second_run_is_refused_while_the_first_one_writes(tmp_path: Path) -> None:
    with OutputFolder(tmp_path) as folder:
        folder.work_file("a.part").write_bytes(b"x")
        with pytest.raises(OutputError, match="Another run") as caught:
            OutputFolder(tmp_path)
        assert caught.value.hint is not None and "another folder" in caught.value.hint
        assert folder.work_file("a.part").exists(), "the work of the first run was removed"
    with OutputFolder(tmp_path):
        pass


def test_a_run_in_another_process_is_seen(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from qpmask.outputs import OutputFolder\n"
        "from qpmask.errors import OutputError\n"
        "try:\n    OutputFolder(pathlib.Path(sys.argv[1]))\n"
        "except OutputError:\n    sys.exit(7)\n"
    )
    with OutputFolder(tmp_path):
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == 7


def test_what_a_killed_run_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    work = tmp_path / ".qpmask"
    work.mkdir()
    (work / "a.ome.tif.77.part.tif").write_bytes(b"half")
    (work / "lock").touch()
    (tmp_path / "a.ome.tif").write_bytes(b"whole")
    (tmp_path / "notes.txt").write_text("mine")
    with OutputFolder(tmp_path) as folder:
        assert [p.name for p in work.iterdir()] == ["lock"]
        assert folder.path == tmp_path
    assert tree(tmp_path) == {"a.ome.tif", "notes.txt"}


def test_a_folder_made_for_nothing_goes_again(tmp_path: Path) -> None:
    with pytest.raises(ValueError), OutputFolder(tmp_path / "new"):
        raise ValueError
    assert not (tmp_path / "new").exists()
    (tmp_path / "theirs").mkdir()
    with OutputFolder(tmp_path / "theirs"):
        pass
    assert (tmp_path / "theirs").is_dir()


def test_a_run_that_fails_leaves_no_partial_file(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), OutputFolder(tmp_path) as folder:
        folder.work_file("a.part").write_bytes(b"x")
        raise KeyboardInterrupt
    assert tree(tmp_path) == set()
    with OutputFolder(tmp_path):
        pass


def test_folders_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(OutputError) as caught:
            OutputFolder(path)
        assert str(path) in caught.value.message and caught.value.hint


@pytest.mark.parametrize(
    ("number", "hint"),
    [(errno.ENOSPC, "Free some space"), (errno.EROFS, "read-only"), (errno.EIO, "permissions")],
)
def test_an_old_file_outlives_a_write_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, hint: str
) -> None:
    with OutputFolder(tmp_path) as folder:
        folder.write_text("report.json", "old")

        def broken(handle: int) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "fsync", broken)
        with pytest.raises(OutputError) as caught:
            folder.write_text("report.json", "new")
        assert str(tmp_path / "report.json") in caught.value.message
        assert caught.value.hint is not None and hint in caught.value.hint
        monkeypatch.undo()
        assert (tmp_path / "report.json").read_text() == "old"
    assert tree(tmp_path) == {"report.json"}


def test_files_that_go_together_wait_for_the_disk_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[set[str]] = []

    def note(path: Path) -> None:
        synced.append({p.name for p in path.iterdir() if p.is_file()})

    monkeypatch.setattr("qpmask.outputs.folder.sync_folder", note)
    with OutputFolder(tmp_path) as folder:
        folder.write_csv("a.csv", ["a"], [], sync=False)
        folder.publish(folder.write_text(".qpmask/b", "b", sync=False), "b", sync=False)
        assert synced == []
        folder.write_json("c.json", {})
    assert synced == [{"a.csv", "b", "c.json"}]


def test_a_name_that_is_taken_by_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.ome.tif").mkdir()
    with OutputFolder(tmp_path) as folder:
        part = folder.work_file("p")
        part.touch()
        with pytest.raises(OutputError, match=r"a\.ome\.tif"):
            folder.publish(part, "a.ome.tif")


def test_a_writer_needs_a_folder_that_is_held(tmp_path: Path) -> None:
    """As workers use it: it neither makes the folder nor cleans it."""
    with pytest.raises(OutputError):
        OutputWriter(tmp_path / "gone").write_text("a", "b")
    with OutputFolder(tmp_path):
        OutputWriter(tmp_path).write_text("a", "b")
    assert (tmp_path / "a").read_text() == "b"


def test_a_report_of_an_image_whose_name_is_no_text(tmp_path: Path) -> None:
    """JSON and Java can hold half a surrogate."""
    with OutputFolder(tmp_path) as folder:
        folder.write_json("report.json", {"image": "\ud800"})
        folder.write_csv("report.csv", ["image"], [["\ud800"]])


def test_errors_that_are_no_failures_of_writing_pass(tmp_path: Path) -> None:
    inner = OutputError("inner", hint="h")
    with pytest.raises(OutputError) as caught, writing(tmp_path, "The file"):
        raise inner
    assert caught.value is inner
    with pytest.raises(ValueError, match="x"), writing(tmp_path, "The file"):
        raise ValueError("x")


def test_our_own_errors_pass(tmp_path: Path) -> None:
    from qpmask.errors import DataFileMissingError, NoQuPathError

    for kind in (NoQuPathError, DataFileMissingError):
        inner: QpmaskError = kind("inner")
        with pytest.raises(QpmaskError) as caught, writing(tmp_path, "The file"):
            raise inner
        assert caught.value is inner


# -- small helpers ------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "3", "\xff", "[" * 5_000])
def test_json_that_is_no_object_is_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(text.encode("latin-1"))
    assert read_json(path) is None
    assert read_json(tmp_path / "gone.json") is None


def test_hashes_of_files(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert file_sha256(path) == ("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")


@pytest.mark.parametrize("large", [False, True])
def test_a_hash_that_is_worked_out_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"abc" * 1000)
    monkeypatch.setattr("qpmask.outputs.files.n_cores", lambda: 2)
    if large:
        monkeypatch.setattr("qpmask.outputs.files._WORTH_A_THREAD_BYTES", 1)
    assert sha256_meanwhile(path)() == file_sha256(path)
    monkeypatch.setattr("qpmask.outputs.files.file_sha256", _fails)
    with pytest.raises(OSError, match="gone"):
        sha256_meanwhile(path)()


def _fails(path: Path) -> str:
    raise OSError("gone")
