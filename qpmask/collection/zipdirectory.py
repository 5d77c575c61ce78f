"""The directory of a zip: its entries, looked at with care before anything of them is believed.

Names twice, or alike but for case, or that leave the archive; entries that are compressed,
encrypted, or lie upon one another: all are refused. A digest of the directory stands in the
archive's comment (:func:`mark_of`), as the directory has no checksum itself.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple

from qpmask.errors import MaskError

COMMENT_KEY: Final = "qpmask"
UTF8: Final = 0x800
LOCAL_HEADER_BYTES: Final = 30
_ENCRYPTED = 1
_MAX_ROOT_BYTES = 64 << 20
_TAIL_BYTES = 1 << 14  # with all of the directory but of large collections
_END = struct.Struct("<4s4H2IH")  # mark, disks, entries here and in all, bytes, offset, comment
_HEAD = struct.Struct("<4s6H3I5H2I")
_NEWEST = 45  # version that is needed to read it: 4.5, which is all that zipfile reads

Read = Callable[[int, int], bytes]
"""So many bytes from an offset in the file, all of them or an error."""


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


class Entry(NamedTuple):
    """What the directory says of an entry.

    Parameters
    ----------
    name : str
        Its name, as it stands there.
    offset : int
        Where in the file its header is.
    n_bytes, packed_bytes : int
        Its length, and what it takes in the file.
    crc : int
        CRC-32 of its bytes.
    flags, method : int
        Of the zip: how the name is encoded, how the bytes are compressed.
    """

    name: str
    offset: int
    n_bytes: int
    packed_bytes: int
    crc: int
    flags: int
    method: int

    @property
    def raw_name(self) -> bytes:
        """Its name as bytes."""
        is_utf8 = self.flags & UTF8 or self.name.isascii()  # the same then, in a tenth of the time
        return self.name.encode("utf-8" if is_utf8 else "cp437")


def read_directory(path: Path, file_bytes: int, read: Read) -> tuple[list[Entry], bytes]:
    """Entries and comment of an archive.

    Raises
    ------
    MaskError
        It ends too early. Whatever zipfile raises, where it is damaged in another way.
    """
    found = _of_ours(file_bytes, read)
    if found is not None:
        return found
    with zipfile.ZipFile(path) as archive:
        comment = archive.comment
        end = read(file_bytes - len(comment) - _END.size, _END.size)
        if end[:4] != b"PK\x05\x06" or int.from_bytes(end[-2:], "little") != len(comment):
            raise MaskError(
                f"{path} ends too early.", hint="It is damaged or was not copied whole."
            )
        return [entry_of(info) for info in archive.infolist()], comment


def _of_ours(file_bytes: int, read: Read) -> tuple[list[Entry], bytes] | None:
    """The same in a third of the time, of a plain archive such as is written here.

    None of any other: one with additions to entries, in several parts, of more than 4 GiB or 65,534
    entries, with anything before it or between its parts; or a damaged one.
    """
    start = max(0, file_bytes - _TAIL_BYTES)
    tail = read(start, file_bytes - start)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or at + _END.size > len(tail):
        return None
    _, disk, other_disk, n_here, n, n_bytes, offset, n_comment = _END.unpack_from(tail, at)
    if disk or other_disk or n_here != n or at + _END.size + n_comment != len(tail):
        return None
    if offset + n_bytes != start + at:
        return None
    rows = tail[offset - start : at] if offset >= start else read(offset, n_bytes)
    entries, here = [], 0
    try:
        for _ in range(n):
            (mark, _, needed, flags, method, _, _, crc, packed, length, n_name, n_extra, n_said,
             disk, _, _, header) = _HEAD.unpack_from(rows, here)  # fmt: skip
            end = here + _HEAD.size + n_name
            if mark != b"PK\x01\x02" or n_extra or n_said or disk or needed > _NEWEST:
                return None
            raw = rows[here + _HEAD.size : end]
            name = raw.decode("utf-8" if flags & UTF8 or raw.isascii() else "cp437")
            entries.append(Entry(name, header, length, packed, crc, flags, method))
            here = end
    except (struct.error, UnicodeDecodeError):
        return None
    return (entries, tail[at + _END.size :]) if here == n_bytes else None


def entry_of(info: zipfile.ZipInfo) -> Entry:
    """An entry as zipfile has it."""
    return Entry(
        info.orig_filename, info.header_offset, info.file_size, info.compress_size, info.CRC,
        info.flag_bits, info.compress_type,
    )  # fmt: skip


def checked(path: Path, entries: Iterable[Entry], file_bytes: int) -> dict[str, Entry]:
    """Entries by name, in their order, if nothing speaks against them; folders are left out.

    Raises
    ------
    EntryError
        Something does.
    """
    entries = [entry for entry in entries if not entry.name.endswith("/")]
    folded: dict[str, str] = {}
    end = 0
    for entry in sorted(entries, key=lambda e: e.offset):
        name = entry.name
        if not name or name[0] == "/" or ".." in name.split("/") or "\\" in name or ":" in name:
            raise EntryError(
                f"{path} has an entry {name!r}, whose name leads out of the archive.", entry=name
            )
        n_before = len(folded)
        other = folded.setdefault(name.casefold(), name)
        if len(folded) == n_before:
            raise EntryError(
                f"{path} has two entries {name!r}"
                + ("." if other == name else f" and {other!r}, which differ in case alone."),
                hint="It was appended to by a program that cannot replace entries; write it anew.",
                entry=name,
            )
        if entry.method != zipfile.ZIP_STORED or entry.n_bytes != entry.packed_bytes:
            raise EntryError(
                f"The entry {name!r} of {path} is compressed by the zip itself.",
                hint="Zip it again without compression, as OME-Zarr's RFC-9 asks for.",
                entry=name,
            )
        if entry.flags & _ENCRYPTED:
            raise EntryError(f"The entry {name!r} of {path} is encrypted.", entry=name)
        if entry.offset < end:
            raise EntryError(f"The entry {name!r} of {path} lies upon another one.", entry=name)
        end = entry.offset + LOCAL_HEADER_BYTES + len(entry.raw_name) + entry.n_bytes
        if end > file_bytes:
            raise EntryError(
                f"{path} ends within the entry {name!r}.",
                hint="It is damaged or was not copied whole.",
                entry=name,
            )
    return {entry.name: entry for entry in entries}


def mark_of(entries: Iterable[Entry]) -> str:
    """A digest of names, lengths and CRCs, as the comment of a zip holds it too."""
    text = "".join(f"{entry.name}\0{entry.n_bytes}\0{entry.crc}\n" for entry in entries)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def mark_in(comment: bytes) -> object:
    """The digest that a comment holds; None where there is none."""
    try:
        return json.loads(comment)[COMMENT_KEY]["entries"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def root_of_damaged(path: Path, root: str) -> bytes:
    """The root's document of a zip that is not to be believed, for words about it; may be empty."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(root) as file:
            return file.read(_MAX_ROOT_BYTES)
    except Exception:  # zipfile raises nearly anything on damaged bytes
        return b""
