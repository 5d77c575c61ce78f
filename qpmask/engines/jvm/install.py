"""Which QuPath is on this machine, as paquo finds it. Starts nothing.

paquo decides where QuPath is: ``PAQUO_QUPATH_DIR``, ``.paquo.toml``, its search folders.
"""

from __future__ import annotations

import contextlib
import re
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qpmask.errors import NoQuPathError

GET_IT = (
    "Install QuPath (0.4 or later) from its download page, or run 'qpmask get-qupath'; "
    "then 'qpmask doctor' tells whether it is found. A folder of your own choice is named by the "
    "environment variable PAQUO_QUPATH_DIR."
)


@dataclass(frozen=True)
class QuPathInstall:
    """A QuPath on this machine, as paquo finds it; nothing has been started.

    ``version`` comes from the name of its core jar, ``unknown`` where that does not tell.
    """

    app_dir: Path
    runtime_dir: Path
    jvm_path: Path
    version: str

    @property
    def folder(self) -> Path:
        """The folder of the installation."""
        return (
            self.app_dir.parent.parent
            if self.app_dir.parent.name == "lib"
            else (self.app_dir.parent)
        )


def find_qupath() -> QuPathInstall:
    """Find the QuPath that would be used. Starts nothing.

    Raises
    ------
    NoQuPathError
        There is none, or the one that is named is not one.
    """
    with quiet_imports():
        from paquo._config import settings, to_kwargs
        from paquo.jpype_backend import find_qupath as paquo_find
    kwargs = to_kwargs(settings)
    # paquo leaves "~" in its search folders as it is.
    folders = kwargs.get("qupath_search_dirs") or []
    kwargs["qupath_search_dirs"] = [
        str(Path(f).expanduser()) for f in ([folders] if isinstance(folders, str) else folders)
    ]
    named = str(kwargs.get("qupath_dir") or "")
    if named:
        kwargs["qupath_dir"] = str(Path(named).expanduser())
    try:
        app_dir, runtime_dir, jvm_path, _ = paquo_find(**kwargs)
    except (ValueError, OSError) as error:
        if named:
            raise NoQuPathError(
                f"There is no usable QuPath in {named}.",
                hint="PAQUO_QUPATH_DIR, or qupath_dir in .paquo.toml, must name the folder that "
                "holds QuPath's lib/app and lib/runtime (Windows: app and runtime). "
                "--engine native needs none.",
            ) from error
        raise NoQuPathError("No QuPath was found on this machine.", hint=GET_IT) from error
    return QuPathInstall(app_dir, runtime_dir, jvm_path, _version_of(app_dir))


def search_places() -> tuple[str, ...]:
    """Folders in which a QuPath is searched for, as paquo's settings have them."""
    with quiet_imports():
        from paquo._config import settings, to_kwargs
        from paquo.jpype_backend import _conda_qupath_dir
    kwargs = to_kwargs(settings)
    folders = kwargs.get("qupath_search_dirs") or []
    places = [folders] if isinstance(folders, str) else list(folders)
    if kwargs.get("qupath_search_conda"):
        places += [folder for folder in [_conda_qupath_dir()] if folder is not None]
    return tuple(str(Path(place).expanduser()) for place in places)


def is_named() -> bool:
    """Whether paquo's settings name a folder of QuPath, so that it is not searched for."""
    with quiet_imports():
        from paquo._config import settings, to_kwargs
    return bool(to_kwargs(settings).get("qupath_dir"))


def download_functions() -> tuple[Any, Any]:
    """Give paquo's functions that download and unpack QuPath."""
    with quiet_imports():
        from paquo._utils import download_qupath, extract_qupath
    return download_qupath, extract_qupath


def _version_of(app_dir: Path) -> str:
    """Version of QuPath by its core jar, without starting it."""
    for jar in sorted(app_dir.glob("qupath-core-[0-9]*.jar")):
        with contextlib.suppress(OSError, KeyError, zipfile.BadZipFile), zipfile.ZipFile(jar) as z:
            manifest = z.read("META-INF/MANIFEST.MF").decode("utf-8", "replace")
            found = re.search(r"^Implementation-Version:\s*(\S+)", manifest, re.MULTILINE)
            if found:
                return found.group(1)
        return jar.stem.removeprefix("qupath-core-")
    return "unknown"


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Imports of paquo, whose dependencies warn about things that are not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
