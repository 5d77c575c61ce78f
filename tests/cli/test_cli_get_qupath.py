"""``qpmask get-qupath``, with a download that is none."""

from __future__ import annotations

import http.client
import tarfile
import urllib.error
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli

from qpmask.engines import jvm
from qpmask.errors import EngineError, NoQuPathError, OptionsError
from qpmask.setup.download import get_qupath


class Source:
    """Stands in for paquo's two functions."""

    def __init__(self) -> None:
        self.versions: list[str] = []
        self.download_error: BaseException | None = None
        self.extract_error: BaseException | None = None

    def download(self, version: str, path: str, *, callback: Any) -> str:
        self.versions.append(version)
        archive = Path(path) / f"QuPath-v{version}-Linux.tar.xz"
        with archive.open("wb") as file:
            for chunk in callback(iter([b"a" * 300, b"b" * 700]), name="url"):
                file.write(chunk)
                if self.download_error is not None:
                    raise self.download_error
        return str(archive)

    def extract(self, archive: str, destination: str) -> str:
        assert Path(archive).stat().st_size == 1000
        if self.extract_error is not None:
            raise self.extract_error
        folder = Path(destination) / "QuPath-0.6.0"
        folder.mkdir()
        return str(folder)


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Source:
    made = Source()
    monkeypatch.setattr(jvm, "download_functions", lambda: (made.download, made.extract))
    return made


@pytest.fixture
def cli(qpmask_cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    """Run ``qpmask get-qupath``. The home folder is a new one."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return partial(qpmask_cli, "get-qupath")


def test_qupath_comes_to_the_home_folder(cli: Cli, source: Source, tmp_path: Path) -> None:
    code, out, err = cli()
    assert code == 0
    assert out == f"{tmp_path / 'QuPath-0.6.0'}\n", "only the folder: it can be used in a script"
    assert "doctor" in err and "PAQUO_QUPATH_DIR" not in err
    assert source.versions == ["0.6.0"]
    assert [p.name for p in tmp_path.iterdir()] == ["QuPath-0.6.0"], "the archive is gone"


def test_a_folder_of_ones_own_is_found_by_its_variable(
    cli: Cli, source: Source, tmp_path: Path
) -> None:
    code, _, err = cli("0.5.1", "--dir", tmp_path / "new" / "er")
    assert code == 0 and source.versions == ["0.5.1"]
    assert f"PAQUO_QUPATH_DIR={tmp_path / 'new' / 'er' / 'QuPath-0.6.0'}" in err


def test_progress_counts_the_bytes(source: Source, tmp_path: Path) -> None:
    seen: list[int] = []
    assert get_qupath("0.6.0", tmp_path, seen.append) == tmp_path / "QuPath-0.6.0"
    assert seen == [300, 1000]


@pytest.mark.parametrize("version", ["v0.6.0", "0.6.0-rc1", "0.2.0-m12"])
def test_versions(source: Source, tmp_path: Path, version: str) -> None:
    get_qupath(version, tmp_path, lambda done: None)
    assert source.versions == [version]


@pytest.mark.parametrize("version", ["latest", "0.6", "0.6.0/../..", "0.6.0;x", "", "0.6.0\n"])
def test_what_is_no_version_is_not_asked_for(source: Source, tmp_path: Path, version: str) -> None:
    with pytest.raises(OptionsError, match="not a version"):
        get_qupath(version, tmp_path / "new", lambda done: None)
    assert source.versions == [] and not (tmp_path / "new").exists()


def test_what_is_no_version_is_a_mistake_of_usage(cli: Cli, source: Source) -> None:
    code, out, err = cli("newest")
    assert (code, out) == (2, "") and "Write it like 0.6.0." in err


FAILURES = [
    urllib.error.URLError("no route to host"),
    urllib.error.HTTPError("url", 404, "Not Found", None, None),  # type: ignore[arg-type]
    TimeoutError("timed out"),
    ConnectionResetError("reset"),
    http.client.IncompleteRead(b"half"),
]


@pytest.mark.parametrize("error", FAILURES, ids=lambda e: type(e).__name__)
def test_a_download_that_fails(cli: Cli, source: Source, tmp_path: Path, error: Exception) -> None:
    source.download_error = error
    code, out, err = cli()
    assert (code, out) == (3, "")
    assert "could not be downloaded" in err and "cannot be written" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [*FAILURES, KeyboardInterrupt()], ids=lambda e: type(e).__name__)
def test_a_download_that_fails_leaves_nothing_behind(
    source: Source, tmp_path: Path, error: BaseException
) -> None:
    source.download_error = error
    with pytest.raises((NoQuPathError, OSError, http.client.HTTPException, KeyboardInterrupt)):
        get_qupath("0.6.0", tmp_path, lambda done: None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error",
    [RuntimeError("no qupath extracted?"), OSError(28, "No space left on device"),
     EOFError("Compressed file ended"),
     tarfile.ReadError("not an xz file")],
)  # fmt: skip
def test_an_archive_that_cannot_be_unpacked(
    cli: Cli, source: Source, tmp_path: Path, error: Exception
) -> None:
    source.extract_error = error
    with pytest.raises(EngineError, match="could not be unpacked"):
        get_qupath("0.6.0", tmp_path, lambda done: None)
    code, out, err = cli()
    assert code == 1 and out == "" and "could not be unpacked" in err
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c(cli: Cli, source: Source, tmp_path: Path) -> None:
    source.download_error = KeyboardInterrupt()
    code, out, err = cli()
    assert (code, out) == (130, "") and "Interrupted." in err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made(cli: Cli, source: Source, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, _, err = cli("--dir", tmp_path / "file" / "x")
    assert code == 2 and "cannot be written" in err
    assert source.versions == []
