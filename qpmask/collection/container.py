"""The entries of a collection by name: of a zip (``.ozx``) or of a folder. Bytes, no meaning.

A zip is looked at with care before anything of it is believed: names twice, or alike but for case,
or that leave the archive, entries that are compressed, encrypted, or lie upon one another.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
import threading
import weakref
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Protocol

from qpmask.errors import MaskError

ROOT = "zarr.json"
COMMENT_KEY = "qpmask"
_LOCAL_HEADER_BYTES = 30
_END_BYTES = 22
_BLOCK_BYTES = 1 << 20
_MAX_ROOT_BYTES = 64 << 20


class EntryError(MaskError):
    """Something is wrong with one entry.

    Parameters
    ----------
    entry : str
        Its name.
    """

    def __init__(self, message: str, *, hint: str | None = None, entry: str = "") -> None:
        super().__init__(message, hint=hint)
        self.entry = entry


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
        try:
            with zipfile.ZipFile(path) as archive:
                self._check_end(archive.comment)
                self._entries = _checked(path, archive.infolist(), os.fstat(self._file.fileno()))
            if _said(archive.comment) != self.mark():
                # The directory has no checksum itself, and an entry whose name is damaged there
                # would be missed by nobody: chunks that are not there are empty.
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
        return None if entry is None else entry.file_size

    def read(self, name: str, start: int = 0, n_bytes: int | None = None) -> bytes:
        """Bytes of an entry."""
        entry = self._entries[name]
        at = self._start(name, entry)
        length = entry.file_size - start if n_bytes is None else n_bytes
        if not 0 <= start <= start + length <= entry.file_size:
            raise EntryError(
                f"The entry {name!r} of {self.path} is shorter than it should be.", entry=name
            )
        return self._read_at(at + start, length, name)

    def is_sound(self, name: str) -> bool:
        """Whether an entry's CRC-32 holds."""
        crc, length = 0, self._entries[name].file_size
        for start in range(0, length, _BLOCK_BYTES):
            crc = zlib.crc32(self.read(name, start, min(_BLOCK_BYTES, length - start)), crc)
        return crc == self._entries[name].CRC

    def mark(self) -> str:
        """What tells this collection from others: names, sizes and CRCs of its entries."""
        return mark_of(self._entries.values())

    def _start(self, name: str, entry: zipfile.ZipInfo) -> int:
        """Where the bytes of an entry begin; its name there must be that of the directory."""
        wanted = name.encode("utf-8" if entry.flag_bits & 0x800 else "cp437")
        n_head = _LOCAL_HEADER_BYTES + len(wanted)
        head = self._read_at(entry.header_offset, n_head, name)
        if head[:4] != b"PK\x03\x04":
            raise EntryError(
                f"The entry {name!r} of {self.path} does not begin where it should.", entry=name
            )
        n_name, n_extra = struct.unpack_from("<2H", head, 26)
        if head[_LOCAL_HEADER_BYTES:] != wanted or n_name != len(wanted):
            raise EntryError(
                f"The entry {name!r} of {self.path} has another name in the archive's directory.",
                hint="It is damaged; make it again.",
                entry=name,
            )
        return int(entry.header_offset + n_head + n_extra)

    def _check_end(self, comment: bytes) -> None:
        """The comment at the very end must be as long as it says."""
        n_bytes = os.fstat(self._file.fileno()).st_size
        end = self._read_at(n_bytes - len(comment) - _END_BYTES, _END_BYTES, "end")
        if end[:4] != b"PK\x05\x06" or int.from_bytes(end[-2:], "little") != len(comment):
            raise MaskError(
                f"{self.path} ends too early.", hint="It is damaged or was not copied whole."
            )

    def _read_at(self, offset: int, n_bytes: int, name: str) -> bytes:
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
        changed = (self.path / ROOT).stat().st_mtime_ns
        return hashlib.blake2b(self.read(ROOT) + str(changed).encode(), digest_size=16).hexdigest()


def read_document(container: Container, name: str) -> bytes:
    """A small entry, after its checksum.

    Raises
    ------
    MaskError
        It is not what was written.
    """
    if not container.is_sound(name):
        raise MaskError(
            f"The entry {name!r} of {container.path} has another checksum than its bytes.",
            hint="It is damaged; make it again.",
        )
    return container.read(name)


def root_of_damaged(path: Path) -> bytes:
    """The root's document of a zip that is not to be believed, for words about it; may be empty."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(ROOT) as file:
            return file.read(_MAX_ROOT_BYTES)
    except Exception:  # zipfile raises nearly anything on damaged bytes
        return b""


def mark_of(entries: Iterable[zipfile.ZipInfo]) -> str:
    """A digest of names, sizes and CRCs, as the comment of a zip holds it too."""
    digest = hashlib.blake2b(digest_size=16)
    for entry in entries:
        digest.update(f"{entry.orig_filename}\0{entry.file_size}\0{entry.CRC}\n".encode())
    return digest.hexdigest()


def _said(comment: bytes) -> object:
    """The digest in a comment; None where there is none."""
    try:
        return json.loads(comment)[COMMENT_KEY]["entries"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def _checked(
    path: Path, entries: list[zipfile.ZipInfo], stat: os.stat_result
) -> dict[str, zipfile.ZipInfo]:
    """Entries by name, if nothing speaks against them."""
    found: dict[str, zipfile.ZipInfo] = {}
    folded: dict[str, str] = {}
    end = 0
    for entry in sorted(entries, key=lambda e: e.header_offset):
        name = entry.orig_filename
        if entry.is_dir():
            continue
        if not name or name[0] == "/" or ".." in name.split("/") or "\\" in name or ":" in name:
            raise EntryError(
                f"{path} has an entry {name!r}, whose name leads out of the archive.", entry=name
            )
        other = folded.setdefault(name.casefold(), name)
        if name in found or other != name:
            raise EntryError(
                f"{path} has two entries {name!r}"
                + ("." if other == name else f" and {other!r}, which differ in case alone."),
                hint="It was appended to by a program that cannot replace entries; write it anew.",
                entry=name,
            )
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise EntryError(
                f"The entry {name!r} of {path} is compressed by the zip itself.",
                hint="Zip it again without compression, as OME-Zarr's RFC-9 asks for.",
                entry=name,
            )
        if entry.flag_bits & 1:
            raise EntryError(f"The entry {name!r} of {path} is encrypted.", entry=name)
        if entry.header_offset < end:
            raise EntryError(f"The entry {name!r} of {path} lies upon another one.", entry=name)
        end = entry.header_offset + _LOCAL_HEADER_BYTES + len(name.encode()) + entry.file_size
        if end > stat.st_size:
            raise EntryError(
                f"{path} ends within the entry {name!r}.",
                hint="It is damaged or was not copied whole.",
                entry=name,
            )
        found[name] = entry
    return {entry.orig_filename: entry for entry in entries if entry.orig_filename in found}
