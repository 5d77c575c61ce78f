"""The journal: every write as one record, appended to one file, so that a crash loses none.

The file: a line that names the format, the length and the CRC of the plan, the plan as JSON; then
records. A record: a head, a table with one row a piece (:data:`PIECE`), the packed pieces, of each
first the bits of its ``where``, then its pixels, both LZ4. A CRC in the head covers head and table,
a CRC in each row covers the piece's bytes. All numbers are little-endian.

A record that a killed process did not finish lies at the end, and is recognised by its length or
its CRC. LZ4 because a block is packed while its writer waits: labels take next to no time.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from qpmask.errors import MaskError
from qpmask.maskwriter.blocks import RULES, Block, Piece, pieces_of
from qpmask.maskwriter.plan import WriterPlan
from qpmask.outputs import output_error

#: A label that all pixels have, or the pixels.
Pixels: TypeAlias = "int | NDArray[Any]"

_FORMAT = b"qpmask writes 1\n"
_LENGTHS = struct.Struct("<LL")  # of the plan: bytes, CRC
_MARK = b"\x89QW\n"
# Mark, CRC of what follows and of the table, number of pieces, bytes of all pieces, largest label,
# rule, bytes per pixel.
_HEAD = struct.Struct("<4sLLQHBB")
_CRC_FROM = 8
_MAX_PLAN_BYTES = 1 << 26

PIECE = np.dtype(
    [
        ("row", "<u4"), ("col", "<u4"),
        ("y_px", "<u2"), ("x_px", "<u2"), ("height_px", "<u2"), ("width_px", "<u2"),
        ("label", "<i4"),  # -1: has pixels
        ("where_bytes", "<u4"), ("pixel_bytes", "<u4"),
        ("crc", "<u4"),
    ]
)  # fmt: skip

#: A piece with what its record says, and where its bytes are.
PLACED = np.dtype([*PIECE.descr, ("offset", "<i8"), ("rule", "u1"), ("itemsize", "u1")])

# At this "level" (LZ4's acceleration) labels pack three times faster than at 1, to the same length.
_ACCELERATION = 10


@dataclass(frozen=True, eq=False)
class Contents:
    """What a journal holds.

    Parameters
    ----------
    plan : WriterPlan
        The mask to be made.
    pieces : ndarray of `PLACED`
        All pieces in the order in which they were written.
    n_writes : int
        Number of records.
    largest : int
        The greatest label written.
    end : int
        Where the last whole record ends.
    n_cut_bytes : int
        Bytes behind it: a write that was not finished.
    damaged : tuple of (int, int)
        Byte ranges in front of it that are no whole records.
    """

    plan: WriterPlan
    pieces: NDArray[Any]
    n_writes: int
    largest: int
    end: int
    n_cut_bytes: int
    damaged: tuple[tuple[int, int], ...]


def pack_block(block: Block, tile_px: int) -> bytes:
    """A block as a record; empty if none of its pieces can change anything."""
    rows: list[tuple[int, ...]] = []
    payload: list[bytes] = []
    for piece in pieces_of(block, tile_px):
        where = b"" if piece.where is None else _pack(np.packbits(piece.where))
        pixels = b"" if piece.pixels is None else _pack(piece.pixels)
        rows.append(_row(piece, where, pixels))
        payload += (where, pixels)
    if not rows:
        return b""
    table = np.array(rows, PIECE).tobytes()
    n_bytes = sum(map(len, payload))
    values = (len(rows), n_bytes, block.largest, RULES.index(block.rule))
    head = bytearray(_HEAD.pack(_MARK, 0, *values, block.pixels.dtype.itemsize))
    crc = zlib.crc32(table, zlib.crc32(memoryview(head)[_CRC_FROM:]))
    struct.pack_into("<L", head, 4, crc)
    return b"".join([head, table, *payload])


def _row(piece: Piece, where: bytes, pixels: bytes) -> tuple[int, ...]:
    return (
        piece.row, piece.col, piece.y_px, piece.x_px, piece.height_px, piece.width_px,
        -1 if piece.label is None else piece.label,
        len(where), len(pixels), zlib.crc32(pixels, zlib.crc32(where)),
    )  # fmt: skip


def _pack(array: NDArray[Any]) -> bytes:
    raw = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    return bytes(imagecodecs.lz4_encode(raw, level=_ACCELERATION))


class Journal:
    """A journal that is being written to, from any thread.

    Raises
    ------
    OutputError
        If it cannot be written.
    """

    def __init__(self, path: Path, file: IO[bytes], end: int) -> None:
        self.path = path
        self._file = file
        self._end = end
        self._lock = threading.Lock()

    @classmethod
    def create(cls, path: Path, plan: WriterPlan) -> Journal:
        """Start a journal. There must be no file of this name."""
        text = plan.to_json()
        try:
            file = path.open("xb", buffering=0)
        except OSError as error:
            raise output_error(error, path, "The file") from error
        journal = cls(path, file, 0)
        try:
            journal.append(_FORMAT + _LENGTHS.pack(len(text), zlib.crc32(text)) + text)
        except BaseException:
            journal.close()
            with contextlib.suppress(OSError):
                path.unlink()
            raise
        return journal

    @classmethod
    def reopen(cls, path: Path, contents: Contents) -> Journal:
        """Go on with a journal, behind its last whole record."""
        try:
            file = path.open("r+b", buffering=0)
            file.truncate(contents.end)
        except OSError as error:
            raise output_error(error, path, "The file") from error
        return cls(path, file, contents.end)

    def append(self, record: bytes) -> None:
        """Append a record. When this returns, it survives the end of this process."""
        with self._lock:
            try:
                self._file.seek(self._end)
                rest = memoryview(record)
                while rest:
                    rest = rest[self._file.write(rest) :]
            except BaseException as error:
                # Half a record would hide those behind it. If even this fails, the next record is
                # written over it: it starts where this one did.
                with contextlib.suppress(OSError, ValueError):
                    self._file.truncate(self._end)
                if isinstance(error, OSError):
                    raise output_error(error, self.path, "The file") from error
                raise
            self._end += len(record)

    def sync(self) -> None:
        """Wait until all records are on the disk."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise output_error(error, self.path, "The file") from error

    def close(self) -> None:
        """Close the file; the records stay."""
        self._file.close()


class JournalReader:
    """A journal that is being read; a context manager; pieces may be read from any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            self._file = path.open("rb")
            self._n_bytes = path.stat().st_size
        except OSError as error:
            raise MaskError(f"{path} cannot be opened: {error.strerror or error}.") from error

    def __enter__(self) -> JournalReader:
        return self

    def __exit__(self, *args: object) -> None:
        self._file.close()

    def contents(self, *, verify: bool) -> Contents:
        """Find all records.

        Parameters
        ----------
        verify : bool
            Whether to read the bytes of all pieces now and leave out records with damaged ones,
            as after a crash. Else a damaged piece is an error when it is read.

        Raises
        ------
        MaskError
            If the file is no journal.
        """
        plan, start = self._plan()
        tables: list[NDArray[Any]] = []
        damaged: list[tuple[int, int]] = []
        place, largest = start, 0
        while place < self._n_bytes:
            found = self._record(plan, place, verify=verify)
            if found is None:
                following = self._next_mark(plan, place + 1)
                if following is None:
                    break
                if damaged and damaged[-1][1] == place:
                    place = damaged.pop()[0]
                damaged.append((place, following))
                place = following
                continue
            table, label, place = found
            largest = max(largest, label)
            tables.append(table)
        # Damage that only damage follows is a tail.
        end = damaged.pop()[0] if damaged and damaged[-1][1] == place < self._n_bytes else place
        return Contents(
            plan=plan,
            pieces=np.concatenate(tables) if tables else np.empty(0, PLACED),
            n_writes=len(tables),
            largest=largest,
            end=end,
            n_cut_bytes=self._n_bytes - end,
            damaged=tuple(damaged),
        )

    def arrays(self, piece: Any) -> tuple[Pixels, NDArray[np.bool_] | None]:
        """Label or pixels of a piece, and which of them are written.

        Raises
        ------
        MaskError
            If its bytes are damaged.
        """
        n_where, n_pixels = int(piece["where_bytes"]), int(piece["pixel_bytes"])
        data = self._read(int(piece["offset"]), n_where + n_pixels)
        if zlib.crc32(data) != int(piece["crc"]):
            raise MaskError(
                f"{self.path} is damaged at byte {int(piece['offset']):,}.",
                hint="qpmask finalize --skip-damaged makes a mask of the writes that are whole.",
            )
        shape = (int(piece["height_px"]), int(piece["width_px"]))
        where = None
        try:
            if n_where:
                n_bytes = -(-shape[0] * shape[1] // 8)
                bits = _unpack(data[:n_where], n_bytes, np.dtype(np.uint8))
                where = np.unpackbits(bits, count=shape[0] * shape[1]).reshape(shape).view(bool)
            if piece["label"] >= 0:
                return int(piece["label"]), where
            dtype = np.dtype("<u1" if piece["itemsize"] == 1 else "<u2")
            pixels = _unpack(data[n_where:], shape[0] * shape[1] * dtype.itemsize, dtype)
            return pixels.reshape(shape), where
        except (ValueError, RuntimeError) as error:
            raise MaskError(f"{self.path} is damaged: {error}.") from error

    def _plan(self) -> tuple[WriterPlan, int]:
        head = self._read(0, len(_FORMAT) + _LENGTHS.size)
        if not head.startswith(_FORMAT):
            if head.startswith(_FORMAT[:-2]):
                raise MaskError(
                    f"{self.path} was written by another version of qpmask.",
                    hint="Finalize it with that version.",
                )
            raise MaskError(f"{self.path} holds no writes of a MaskWriter.")
        if len(head) == len(_FORMAT) + _LENGTHS.size:
            n_bytes, crc = _LENGTHS.unpack_from(head, len(_FORMAT))
            text = self._read(len(head), min(n_bytes, _MAX_PLAN_BYTES))
            if len(text) == n_bytes and zlib.crc32(text) == crc:
                try:
                    return WriterPlan.from_json(text), len(head) + n_bytes
                except MaskError as error:
                    raise MaskError(f"{self.path} cannot be read. {error.message}") from error
        raise MaskError(f"{self.path} is damaged at its beginning, where it says what mask it is.")

    def _record(
        self, plan: WriterPlan, place: int, *, verify: bool
    ) -> tuple[NDArray[Any], int, int] | None:
        """Pieces of a record, its largest label, and where it ends; None if it is not whole."""
        head = self._read(place, _HEAD.size)
        if len(head) < _HEAD.size or not head.startswith(_MARK):
            return None
        _, crc, n_pieces, n_bytes, largest, rule, itemsize = _HEAD.unpack(head)
        start = place + _HEAD.size + n_pieces * PIECE.itemsize
        end = start + n_bytes
        if end > self._n_bytes:
            return None
        data = self._read(place + _HEAD.size, n_pieces * PIECE.itemsize)
        if zlib.crc32(data, zlib.crc32(head[_CRC_FROM:])) != crc:
            return None
        table = np.zeros(n_pieces, PLACED)
        for name in PIECE.names or ():
            table[name] = np.frombuffer(data, PIECE)[name]
        table["rule"], table["itemsize"] = rule, itemsize
        lengths = table["where_bytes"].astype(np.int64) + table["pixel_bytes"]
        table["offset"] = start + np.cumsum(lengths) - lengths
        if not _makes_sense(plan, table, n_bytes, largest):
            return None
        if verify and not all(
            zlib.crc32(self._read(int(offset), int(n))) == crc
            for offset, n, crc in zip(table["offset"], lengths, table["crc"], strict=True)
        ):
            return None
        return table, largest, end

    def _next_mark(self, plan: WriterPlan, place: int) -> int | None:
        """Place of the next record whose head and table are whole, or None."""
        step = 1 << 20
        while place < self._n_bytes:
            data = self._read(place, step + len(_MARK) - 1)
            at = data.find(_MARK)
            while at >= 0:
                if self._record(plan, place + at, verify=False) is not None:
                    return place + at
                at = data.find(_MARK, at + 1)
            place += step
        return None

    def _read(self, offset: int, n_bytes: int) -> bytes:
        try:
            with self._lock:
                self._file.seek(offset)
                return self._file.read(n_bytes)
        except OSError as error:
            raise MaskError(f"{self.path} cannot be read: {error.strerror or error}.") from error


def _unpack(data: bytes, n_bytes: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    raw = imagecodecs.lz4_decode(data, out=n_bytes)
    if len(raw) != n_bytes:
        raise ValueError(f"a piece holds {len(raw):,} bytes and should hold {n_bytes:,}")
    return np.frombuffer(raw, dtype)


def _makes_sense(plan: WriterPlan, table: NDArray[Any], n_bytes: int, largest: int) -> bool:
    """Whether a record that is whole says nothing impossible: the journal may be anybody's file."""
    grid, size = plan.grid, plan.size
    if not table.size or int(table["itemsize"][0]) not in (1, 2):
        return False
    top = table["row"].astype(np.int64) * plan.tile_px + table["y_px"]
    left = table["col"].astype(np.int64) * plan.tile_px + table["x_px"]
    checks: Sequence[Any] = (
        table["offset"][-1] + table["where_bytes"][-1] + table["pixel_bytes"][-1]
        == table["offset"][0] + n_bytes,
        int(table["rule"][0]) < len(RULES),
        largest <= plan.max_label,
        (table["row"] < grid.n_rows).all() and (table["col"] < grid.n_cols).all(),
        (table["height_px"] > 0).all() and (table["width_px"] > 0).all(),
        (table["y_px"].astype(int) + table["height_px"] <= plan.tile_px).all(),
        (table["x_px"].astype(int) + table["width_px"] <= plan.tile_px).all(),
        (top + table["height_px"] <= size.height_px).all(),
        (left + table["width_px"] <= size.width_px).all(),
        (table["label"] <= largest).all() and (table["label"] >= -1).all(),
    )
    return all(bool(check) for check in checks)


def by_tile(pieces: NDArray[Any], n_cols: int) -> Iterator[tuple[int, NDArray[Any]]]:
    """The pieces of each tile that has any, in the order in which they were written.

    Yields
    ------
    index : int
        ``row * n_cols + col``, rising.
    pieces : ndarray of `PLACED`
        Those of this tile.
    """
    index = pieces["row"].astype(np.int64) * n_cols + pieces["col"]
    order = np.argsort(index, kind="stable")
    index = index[order]
    starts = np.flatnonzero(np.diff(index, prepend=-1)).tolist()
    for start, stop in itertools.pairwise([*starts, len(index)]):
        yield int(index[start]), pieces[order[start:stop]]
