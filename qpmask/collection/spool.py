"""Masks that were added and are not in the collection yet: an append-only file beside it.

``NAME.ozx.writing`` holds, one after the other, records with a checksum each: what the collection
is, chunks of masks, and a line for each mask that is complete, or deleted. A mask counts once its
line is on the disk, so what ``add`` has returned from survives the death of the process, and what
it was in the middle of leaves no trace. Opened again, the file is read up to its last whole record.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qpmask.collection.codecs import ChunkCodec, checksum
from qpmask.collection.container import open_container
from qpmask.collection.grid import Position
from qpmask.collection.records import MaskRow
from qpmask.errors import MaskError, OutputError
from qpmask.outputs.files import sync_folder, writing

SUFFIX = ".writing"
_MAGIC = b"qpm3"
_HEAD = struct.Struct("<4sIQI")  # magic, bytes of JSON, bytes of chunk, checksum of these three


@dataclass(frozen=True)
class SpooledChunk:
    """Where a chunk stands in the spool, and what it holds.

    Parameters
    ----------
    offset, n_bytes : int
        Where it is stored.
    n_pixels : int
        Pixels that are not 0.
    box : tuple of (int, int)
        Their bounding box in the mask: first pixel and the one after the last along each axis.
    n_picked : int
        Bytes behind it that hold its pixels for smaller levels, if they were picked already.
    """

    offset: int
    n_bytes: int
    n_pixels: int
    box: tuple[tuple[int, int], ...]
    n_picked: int = 0


@dataclass
class SpooledMask:
    """A mask in the spool.

    Parameters
    ----------
    name, label, dtype, color, group
        As :class:`.records.MaskRow` has them.
    codec : ChunkCodec, optional
        How its chunks are stored, true as 1; None: as bits, to be packed when the collection is.
    chunks : dict
        What it holds, by position.
    """

    name: str
    label: int
    dtype: str
    codec: ChunkCodec | None
    color: tuple[int, int, int] | None = None
    group: str | None = None
    chunks: dict[Position, SpooledChunk] = field(default_factory=dict)

    @functools.cached_property  # nobody asks before it is complete
    def n_pixels(self) -> int:
        """Pixels that are not 0."""
        return sum(chunk.n_pixels for chunk in self.chunks.values())

    @functools.cached_property
    def box(self) -> tuple[tuple[int, int], ...]:
        """Bounding box: first pixel and the one after the last along each axis; () if empty."""
        boxes = [chunk.box for chunk in self.chunks.values()]
        return tuple(
            (min(a for a, _ in axis), max(b for _, b in axis)) for axis in zip(*boxes, strict=True)
        )

    def row(self, n_axes: int) -> MaskRow:
        """What is known of it, as of a mask of the collection."""
        box = self.box or ((0, 0),) * n_axes
        return MaskRow(
            self.name, self.label, self.dtype, "", self.n_pixels, box, self.color, self.group
        )


class Spool:
    """The file; one process writes to it.

    Parameters
    ----------
    path : Path
        The file.
    header : dict, optional
        What the collection is, for a new one. Without it, one that is there is read and gone on
        with.

    Attributes
    ----------
    header : dict or None
        Of the file; None of one that was not even begun.
    masks : dict of str to SpooledMask
        Complete masks by name.
    deleted : set of str
        Masks of the older collection that are deleted or replaced.
    n_changes : int
        How many masks were added and deleted since it was opened.
    published : str or None
        Mark of the collection that all of it was written to, if it came so far.
    """

    def __init__(self, path: Path, header: dict[str, Any] | None = None) -> None:
        self.path = path
        self.header: Any = header
        self.masks: dict[str, SpooledMask] = {}
        self.deleted: set[str] = set()
        self.published: str | None = None
        self._open: dict[int, SpooledMask] = {}
        self._next = 0
        self.n_changes = 0
        self._lock = threading.Lock()
        with writing(path, "The file"):
            self._file = path.open("w+b" if header is not None else "r+b", buffering=0)
            if header is not None:
                self._append({"collection": header})
                self.sync()
                sync_folder(path.parent)
            else:
                self._file.truncate(self._recover())  # without a record that was not finished

    def close(self) -> None:
        """Close the file; it stays."""
        self._file.close()

    def remove(self) -> None:
        """Close the file and remove it."""
        self._file.close()
        with writing(self.path, "The file"):
            self.path.unlink(missing_ok=True)
            sync_folder(self.path.parent)

    def begin(self, mask: SpooledMask) -> int:
        """Begin a mask; the number that its chunks are given."""
        with self._lock:
            self._next += 1
            self._open[self._next] = mask
            return self._next

    def put(
        self,
        number: int,
        at: Position,
        blob: bytes,
        n_pixels: int,
        box: tuple[tuple[int, int], ...],
        picked: bytes = b"",
    ) -> None:
        """A chunk of a mask; a later one replaces it."""
        record = {"m": number, "at": list(at), "n": n_pixels, "box": box, "picked": len(picked)}
        offset = self._append(record, blob + picked)
        self._open[number].chunks[at] = SpooledChunk(offset, len(blob), n_pixels, box, len(picked))

    def drop(self, number: int, at: Position) -> None:
        """A chunk that holds nothing any more."""
        if self._open[number].chunks.pop(at, None) is not None:
            self._append({"m": number, "at": list(at), "n": 0, "box": []})

    def commit(self, number: int, replaces: bool) -> None:
        """A mask is complete; on the disk when this returns."""
        mask = self._open.pop(number)
        codec = mask.codec
        self._append(
            {
                "done": number, "name": mask.name, "label": mask.label, "dtype": mask.dtype,
                "codec": codec and [codec.kind, codec.level], "color": mask.color,
                "group": mask.group, "replaces": replaces,
            }
        )  # fmt: skip
        self.sync()
        if replaces:
            self.deleted.add(mask.name)
        self.masks[mask.name] = mask
        self.n_changes += 1

    def abandon(self, number: int) -> None:
        """A mask that is not finished."""
        self._open.pop(number, None)

    def delete(self, name: str) -> None:
        """A mask goes; on the disk when this returns."""
        self._append({"delete": name})
        self.sync()
        self.masks.pop(name, None)
        self.deleted.add(name)
        self.n_changes += 1

    def publish(self, mark: str) -> None:
        """A collection with all of it is about to get its name; that is known after a crash too."""
        self._append({"published": mark})
        self.sync()

    def blob(self, chunk: SpooledChunk) -> bytes:
        """Bytes of a chunk."""
        return self._read_at(chunk.offset, chunk.n_bytes)

    def picked(self, chunk: SpooledChunk) -> bytes:
        """What was picked of a chunk for smaller levels."""
        return self._read_at(chunk.offset + chunk.n_bytes, chunk.n_picked)

    def _read_at(self, offset: int, n_bytes: int) -> bytes:
        if hasattr(os, "pread"):
            data = os.pread(self._file.fileno(), n_bytes, offset)
        else:
            with self._lock:
                self._file.seek(offset)
                data = self._file.read(n_bytes)
        if len(data) != n_bytes:
            raise OutputError(f"{self.path} was cut off by another program.")
        return data

    def sync(self) -> None:
        """Bring all to the disk."""
        with writing(self.path, "The file"):
            os.fsync(self._file.fileno())

    def _append(self, record: dict[str, Any], blob: bytes = b"") -> int:
        """Append a record; where its chunk begins."""
        body = json.dumps(record, separators=(",", ":")).encode()
        crc = int.from_bytes(checksum(body + blob), "little")
        data = _HEAD.pack(_MAGIC, len(body), len(blob), crc) + body + blob
        with self._lock, writing(self.path, "The file"):
            end = self._file.seek(0, os.SEEK_END)
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
        return end + _HEAD.size + len(body)

    def _recover(self) -> int:
        """Read what is there; where the last whole record ends."""
        end = 0
        for record, offset, n_bytes in self._records():
            end = offset + n_bytes
            if "collection" in record:
                self.header = record["collection"]
            elif "m" in record:
                number, at = record["m"], tuple(record["at"])
                mask = self._open.setdefault(number, SpooledMask("", 0, "bool", None))
                self._next = max(self._next, number)
                if not n_bytes:
                    mask.chunks.pop(at, None)
                    continue
                box, n_picked = tuple((a, b) for a, b in record["box"]), record["picked"]
                mask.chunks[at] = SpooledChunk(
                    offset, n_bytes - n_picked, record["n"], box, n_picked
                )
            elif "done" in record:
                mask = self._open.pop(record["done"], SpooledMask("", 0, "bool", None))
                self._next = max(self._next, record["done"])
                mask.name, mask.label = record["name"], record["label"]
                mask.dtype, mask.group = record["dtype"], record["group"]
                mask.color = None if record["color"] is None else tuple(record["color"])
                mask.codec = record["codec"] and ChunkCodec(*record["codec"])
                if record["replaces"]:
                    self.deleted.add(mask.name)
                self.masks[mask.name] = mask
            elif "delete" in record:
                self.masks.pop(record["delete"], None)
                self.deleted.add(record["delete"])
            elif "published" in record:
                self.published = record["published"]
        self._open.clear()
        return end

    def _records(self) -> Iterator[tuple[dict[str, Any], int, int]]:
        self._file.seek(0)
        at, n_bytes = 0, os.fstat(self._file.fileno()).st_size
        while True:
            head = self._file.read(_HEAD.size) or b""
            if len(head) < _HEAD.size:
                return
            magic, n_json, n_blob, crc = _HEAD.unpack(head)
            if magic != _MAGIC:
                if at == 0:
                    raise MaskError(f"{self.path} is no file that qpmask was writing.")
                return
            if at + _HEAD.size + n_json + n_blob > n_bytes:
                return
            body = self._file.read(n_json) or b""
            blob = self._file.read(n_blob) or b""
            if len(body) + len(blob) != n_json + n_blob:
                return
            if int.from_bytes(checksum(body + blob), "little") != crc:
                return
            at += _HEAD.size + n_json
            yield json.loads(body), at, n_blob
            at += n_blob


def left_spool(path: Path, collection: Path | None) -> Spool | None:
    """What a killed writer left of a collection; None if that is nothing, or all there already.

    Parameters
    ----------
    path : Path
        Of the spool.
    collection : Path, optional
        The collection that it is for, if that is there.
    """
    if not path.exists():
        return None
    spool = Spool(path)
    is_needed = spool.header is not None  # else it was killed before it began
    if is_needed and collection is not None and spool.published is not None:
        with contextlib.closing(open_container(collection)) as found:
            is_needed = found.mark() != spool.published
    if is_needed:
        return spool
    spool.remove()
    return None
