"""The file being written: bytes at its end, its front last, and nothing left after an error."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from qpmask.errors import OutputError


class Sink:
    """The file being written; its trouble becomes :class:`OutputError`."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self.path = path
        self._file = file
        self.n_bytes = 0

    @classmethod
    @contextlib.contextmanager
    def open(cls, path: Path) -> Iterator[Sink]:
        """Open for writing; on any exception close and remove it."""
        with _output_errors(path):
            file = path.open("wb", buffering=1 << 20)
        try:
            yield cls(path, file)
            with _output_errors(path):
                file.close()
        except BaseException:
            with contextlib.suppress(OSError):
                file.close()
            with contextlib.suppress(OSError):
                if path.is_file():  # and no device
                    path.unlink()
            raise

    def append(self, data: bytes) -> int:
        """Write at the end; returns the offset."""
        offset = self.n_bytes
        with _output_errors(self.path):
            self._file.write(data)
        self.n_bytes += len(data)
        return offset

    def finish(self, front: bytes, sync: Callable[[int], object] | None = None) -> None:
        """Fill in the front and sync, or hand the open file to ``sync``, by its handle."""
        with _output_errors(self.path):
            self._file.seek(0)
            self._file.write(front)
            self._file.flush()
            (sync or os.fsync)(self._file.fileno())


@contextlib.contextmanager
def _output_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"The mask {path} cannot be written: {error.strerror or error}.",
            hint="Is there room on the disk, and may you write there?",
        ) from error
