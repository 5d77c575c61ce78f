"""The entries of a collection by name: of a zip (``.ozx``) or of a folder. Bytes, no meaning."""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import threading
import weakref
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Protocol

from qpmask.collection.zipdirectory import (
    LOCAL_HEADER_BYTES,
    Entry,
    EntryError,
    checked,
    mark_in,
    mark_of,
    read_directory,
)
from qpmask.errors import MaskError

ROOT = "zarr.json"
_BLOCK_BYTES = 1 << 20


class Container(Protocol):
    """What holds the entries of a collection; safe for threads."""

    path: Path

    def close(self) -> None:
        """Let go of the file."""

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""

    def names(self) -> Iterator[str]:
        """Names of all entries."""

    def n_bytes(self, name: str) -> int | None:
        """Length of an entry, None where there is none."""

    def read(self, name: str, start: int = 0, n_bytes: int | None = None) -> bytes:
        """Bytes of an entry; :class:`MaskError` where they are not all there."""

    def document(self, name: str) -> bytes:
        """All of a small entry; :class:`MaskError` where its own checksum does not hold."""

    def is_sound(self, name: str) -> bool:
        """Whether an entry's own checksum holds, where it has one."""

    def mark(self) -> str:
        """What tells this collection from others, without reading pixels."""


def open_container(path: Path) -> Container:
    """Open a collection's file or folder.

    Raises
    ------
    MaskError
        It cannot be opened, or is damaged.
    """
    return Folder(path) if path.is_dir() else Zip(path)


class Zip:
    """A zip archive with stored entries.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    MaskError
        It is no such archive, or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            self._file = path.open("rb", buffering=0)
        except OSError as error:
            raise MaskError(f"{path} cannot be opened: {error.strerror or error}.") from error
        weakref.finalize(self, self._file.close)
        self._starts: dict[str, int] = {}
        try:
            n_bytes = os.fstat(self._file.fileno()).st_size
            entries, comment = read_directory(path, n_bytes, self._read_at)
            self._entries = checked(path, entries, n_bytes)
            self._mark = mark_of(self._entries.values())
            if mark_in(comment) != self._mark:
                # An entry whose name is damaged in the directory would be missed by nobody: chunks
                # that are not there are empty.
                for name, entry in self._entries.items():
                    self._start(name, entry)
        except MaskError:
            self.close()
            raise
        except Exception as error:  # zipfile raises nearly anything on damaged bytes
            self.close()
            raise MaskError(
                f"{path} is no zip archive that can be read: {error}.",
                hint="It is damaged or was not copied whole.",
            ) from error

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._file.closed

    def names(self) -> Iterator[str]:
        """Names of all entries, in the order of the archive's directory."""
        return iter(self._entries)

    def n_bytes(self, name: str) -> int | None:
        """Length of an entry, None where there is none."""
        entry = self._entries.get(name)
        return None if entry is None else entry.n_bytes

    def read(self, name: str, start: int = 0, n_bytes: int | None = None) -> bytes:
        """Bytes of an entry."""
        entry = self._entries[name]
        at = self._start(name, entry)
        length = entry.n_bytes - start if n_bytes is None else n_bytes
        if not 0 <= start <= start + length <= entry.n_bytes:
            raise EntryError(
                f"The entry {name!r} of {self.path} is shorter than it should be.", entry=name
            )
        return self._read_at(at + start, length, name)

    def document(self, name: str) -> bytes:
        """All of a small entry, after its CRC-32."""
        data = self.read(name)
        if zlib.crc32(data) != self._entries[name].crc:
            raise EntryError(
                f"The entry {name!r} of {self.path} has another checksum than its bytes.",
                hint="It is damaged; make it again.",
                entry=name,
            )
        return data

    def is_sound(self, name: str) -> bool:
        """Whether an entry's CRC-32 holds."""
        crc, length = 0, self._entries[name].n_bytes
        for start in range(0, length, _BLOCK_BYTES):
            crc = zlib.crc32(self.read(name, start, min(_BLOCK_BYTES, length - start)), crc)
        return crc == self._entries[name].crc

    def mark(self) -> str:
        """What tells this collection from others: names, sizes and CRCs of its entries."""
        return self._mark

    def _start(self, name: str, entry: Entry) -> int:
        """Where the bytes of an entry begin; its name there must be that of the directory."""
        known = self._starts.get(name)
        if known is not None:
            return known
        wanted = entry.raw_name
        n_head = LOCAL_HEADER_BYTES + len(wanted)
        head = self._read_at(entry.offset, n_head, name)
        if head[:4] != b"PK\x03\x04":
            raise EntryError(
                f"The entry {name!r} of {self.path} does not begin where it should.", entry=name
            )
        n_name, n_extra = struct.unpack_from("<2H", head, 26)
        if head[LOCAL_HEADER_BYTES:] != wanted or n_name != len(wanted):
            raise EntryError(
                f"The entry {name!r} of {self.path} has another name in the archive's directory.",
                hint="It is damaged; make it again.",
                entry=name,
            )
        at: int = entry.offset + n_head + n_extra
        self._starts[name] = at
        return at

    def _read_at(self, offset: int, n_bytes: int, name: str = "the directory") -> bytes:
        try:
            if hasattr(os, "pread"):
                data = os.pread(self._file.fileno(), n_bytes, offset)
            else:
                with self._lock:
                    self._file.seek(offset)
                    data = self._file.read(n_bytes) or b""
        except (OSError, ValueError) as error:  # ValueError: the file is closed
            if self.is_closed:
                raise MaskError(f"{self.path} is closed.", hint="Open it again.") from error
            raise EntryError(
                f"The entry {name!r} of {self.path} cannot be read: {error}.", entry=name
            ) from error
        if len(data) != n_bytes:
            raise EntryError(
                f"{self.path} ends within the entry {name!r}.",
                hint="It is damaged or was not copied whole.",
                entry=name,
            )
        return data


class Folder:
    """A folder with a file an entry.

    Parameters
    ----------
    path : Path
        The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_closed = False
        if not (path / ROOT).is_file():
            raise MaskError(
                f"{path} is no OME-Zarr folder that qpmask reads: it has no {ROOT}.",
                hint="OME-Zarr 0.4 and earlier, which it does not read, has .zattrs instead."
                if (path / ".zattrs").exists()
                else None,
            )
        self._opened = self._root()

    def close(self) -> None:
        """Reading is an error from now on."""
        self.is_closed = True

    def names(self) -> Iterator[str]:
        """Names of all files, sorted."""
        for folder, below, files in os.walk(self.path):
            below.sort()
            for name in sorted(files):
                yield PurePosixPath(Path(folder, name).relative_to(self.path)).as_posix()

    def n_bytes(self, name: str) -> int | None:
        """Length of a file, None where there is none."""
        if self.is_closed:
            raise MaskError(f"{self.path} is closed.", hint="Open it again.")
        try:
            return (self.path / name).stat().st_size
        except (OSError, ValueError):
            self._check_same()  # of another folder, what is missing is not empty
            return None

    def read(self, name: str, start: int = 0, n_bytes: int | None = None) -> bytes:
        """Bytes of a file."""
        if self.is_closed:
            raise MaskError(f"{self.path} is closed.", hint="Open it again.")
        try:
            with (self.path / name).open("rb", buffering=0) as file:
                file.seek(start)
                data = file.read() if n_bytes is None else file.read(n_bytes) or b""
        except OSError as error:
            self._check_same()
            raise MaskError(f"{self.path / name} cannot be read: {error.strerror}.") from error
        self._check_same()
        if n_bytes is not None and len(data) != n_bytes:
            raise MaskError(
                f"{self.path / name} ends too early.", hint="It is damaged or was not copied whole."
            )
        return data

    def document(self, name: str) -> bytes:
        """All of a file; files have no checksum of their own."""
        return self.read(name)

    def is_sound(self, name: str) -> bool:
        """Whether it can be read; files have no checksum of their own."""
        return len(self.read(name)) == self.n_bytes(name)

    def _root(self) -> tuple[int, int, int] | None:
        with contextlib.suppress(OSError):
            stat = (self.path / ROOT).stat()
            return stat.st_ino, stat.st_mtime_ns, stat.st_size
        return None

    def _check_same(self) -> None:
        """A folder that was replaced has the same name, and files of the same names."""
        if self._root() != self._opened:
            raise MaskError(
                f"{self.path} was written again, or removed, since it was opened.",
                hint="Open it again.",
            )

    def mark(self) -> str:
        """What tells this collection from others: the root's document and when it was written."""
        changed = self._opened[1] if self._opened else None
        return hashlib.blake2b(self.read(ROOT) + str(changed).encode(), digest_size=16).hexdigest()
