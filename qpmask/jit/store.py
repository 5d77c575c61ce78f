"""Machine code on disk: one file for a library, its sources, its compiler and this processor.

The folder is ``QPMASK_CACHE_DIR``, or the user's cache folder for qpmask; whoever may write to it
may run code as whoever reads it, so it should be nobody else's. A file is written whole or not at
all, and read only if its checksum holds: a damaged one is compiled again.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import logging
import os
import sys
import tempfile
from pathlib import Path

_log = logging.getLogger(__name__)


def place(name: str, sources: str) -> Path:
    """Where the code of a library is, or belongs; ``sources`` is their hash."""
    return _folder() / f"{name}-{_key(sources)}.kernels"


def hash_of_sources(modules: tuple[str, ...]) -> str:
    """Hash of the files of modules, and of those that compile them."""
    digest = hashlib.sha256()
    own = [f"{__package__}.{name}" for name in ("arguments", "build", "library", "target")]
    for module in (*modules, *own):
        spec = importlib.util.find_spec(module)
        assert spec is not None and spec.origin is not None
        digest.update(spec.loader.get_data(spec.origin))  # type: ignore[union-attr]
    return digest.hexdigest()


def read(path: Path) -> bytes | None:
    """Machine code; None if there is none, or none that is whole."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    digest, code = data[:32], data[32:]
    return code if hashlib.sha256(code).digest() == digest else None


def write(path: Path, code: bytes) -> None:
    """Keep machine code; if there is no place for it, say so and go on."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(code).digest() + code)
            Path(scratch).replace(path)
        except BaseException:
            Path(scratch).unlink(missing_ok=True)
            raise
    except OSError as error:
        _log.error(
            "What was compiled cannot be kept in %s (%s), so each run will compile it anew. "
            "QPMASK_CACHE_DIR names another folder.",
            path.parent,
            error.strerror or error,
        )


def _folder() -> Path:
    if chosen := os.environ.get("QPMASK_CACHE_DIR"):
        return Path(chosen)
    import platformdirs

    return platformdirs.user_cache_path("qpmask", appauthor=False)


@functools.cache
def _key(sources: str) -> str:
    """Of everything that the code depends on."""
    numba_version = _numba_version()  # first: without Numba there is no llvmlite either

    import llvmlite
    import llvmlite.binding as llvm
    import numpy as np

    digest = hashlib.sha256()
    for item in (
        sources,
        sys.version_info[:2],
        numba_version,
        llvmlite.__version__,
        np.__version__,
        llvm.get_process_triple(),
        llvm.get_host_cpu_name(),
        llvm.get_host_cpu_features().flatten(),
    ):
        digest.update(f"{item}\n".encode())
    return digest.hexdigest()[:20]


def _numba_version() -> str:
    """Version of Numba, which is not imported for that.

    Raises
    ------
    ImportError
        Numba is not installed.
    """
    spec = importlib.util.find_spec("numba")
    if spec is None or spec.origin is None:
        raise ImportError("No module named 'numba'", name="numba")
    with contextlib.suppress(OSError):  # where releases say it; the metadata is slow to read
        return Path(spec.origin).with_name("_version.py").read_text()
    from importlib.metadata import version

    return version("numba")
