"""Downloads QuPath, by paquo's own code, to a folder in which it is found again."""

from __future__ import annotations

import http.client
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from qpmask.errors import EngineError, NoQuPathError, OptionsError, OutputError
from qpmask.outputs import writing


def get_qupath(version: str, folder: Path, on_bytes: Callable[[int], None]) -> Path:
    """Download a release of QuPath and unpack it.

    Parameters
    ----------
    version : str
        Such as ``0.6.0`` or ``v0.6.0``.
    folder : Path
        Where to; QuPath gets a folder of its own in it. The home folder is one that is searched.
    on_bytes : callable
        Called with the number of bytes that have arrived.

    Returns
    -------
    Path
        The folder of the installation.

    Raises
    ------
    OptionsError
        That is no version.
    NoQuPathError
        The download failed; nothing is left behind.
    OutputError
        The folder cannot be written to.
    """
    if not re.fullmatch(r"v?\d+\.\d+\.\d+(-(rc|m)\d+)?", version):
        raise OptionsError(f"{version!r} is not a version of QuPath.", hint="Write it like 0.6.0.")
    target = folder / f"QuPath-{version.removeprefix('v')}"
    if target.exists():
        raise OutputError(f"{target} is there already.", hint="'qpmask doctor' tells if it works.")
    from qpmask.engines.jvm import download_functions

    download, extract = download_functions()

    def counted(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
        done = 0
        for chunk in chunks:
            done += len(chunk)
            on_bytes(done)
            yield chunk

    with writing(folder, "The folder"):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".qupath-", dir=folder) as scratch:
            try:
                archive = download(version, scratch, callback=counted)
            except (OSError, http.client.HTTPException) as error:
                raise NoQuPathError(
                    f"QuPath {version} could not be downloaded: {error}.",
                    hint="Is there a release of that version, and does the network reach it? "
                    "It can also be downloaded by hand; 'qpmask doctor' tells where it is looked "
                    "for.",
                ) from error
            try:
                return Path(extract(archive, str(folder)))
            except Exception as error:  # tarfile's and lzma's errors have no common root
                raise EngineError(
                    f"The archive of QuPath {version} could not be unpacked: {error}.",
                    hint="Is there enough space? On macOS, is 7z installed?",
                ) from error
