"""The journal: every write as one record, appended to one file, so that a crash loses none.

The file: a line that names the format, the length and the CRC of the plan, the plan as JSON, then
the records (:mod:`qpmask.maskwriter.packedwrites`). A record that a killed process did not finish
lies at the end, and is recognised by its length or its CRC.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from qpmask.errors import MaskError
from qpmask.maskwriter.packedwrites import (
    HEAD,
    MARK,
    PIECE,
    PLACED,
    Pixels,
    makes_sense,
    packed_bytes,
    placed_pieces,
    unpack_piece,
)
from qpmask.maskwriter.writerplan import WriterPlan
from qpmask.outputs import output_error

_FORMAT = b"qpmask writes 2\n"
_LENGTHS = struct.Struct("<LL")  # of the plan: bytes, CRC
_MAX_PLAN_BYTES = 1 << 26


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
            try:
                file.truncate(contents.end)
            except BaseException:
                file.close()
                raise
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
            self._n_bytes = path.stat().st_size
            self._file = path.open("rb")
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
        n_bytes = int(piece["where_bytes"]) + int(piece["pixel_bytes"])
        try:
            return unpack_piece(piece, self._read(int(piece["offset"]), n_bytes))
        except ValueError as error:
            raise MaskError(
                f"{self.path} is damaged at byte {int(piece['offset']):,}: {error}.",
                hint="qpmask finalize --skip-damaged makes a mask of the writes that are whole.",
            ) from error

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
        head = self._read(place, HEAD.size)
        if len(head) < HEAD.size or not head.startswith(MARK):
            return None
        _, _, n_pieces, n_bytes, largest, _, _ = HEAD.unpack(head)
        table_bytes = n_pieces * PIECE.itemsize
        start = place + HEAD.size + table_bytes
        if start + n_bytes > self._n_bytes:
            return None
        pieces = placed_pieces(head, self._read(place + HEAD.size, table_bytes), start)
        if pieces is None or not makes_sense(plan, pieces, n_bytes, largest):
            return None
        if verify and not all(
            zlib.crc32(self._read(int(offset), int(n))) == crc
            for offset, n, crc in zip(
                pieces["offset"], packed_bytes(pieces), pieces["crc"], strict=True
            )
        ):
            return None
        return pieces, largest, start + n_bytes

    def _next_mark(self, plan: WriterPlan, place: int) -> int | None:
        """Place of the next record whose head and table are whole, or None."""
        step = 1 << 20
        while place < self._n_bytes:
            data = self._read(place, step + len(MARK) - 1)
            at = data.find(MARK)
            while at >= 0:
                if self._record(plan, place + at, verify=False) is not None:
                    return place + at
                at = data.find(MARK, at + 1)
            place += step
        return None

    def _read(self, offset: int, n_bytes: int) -> bytes:
        try:
            if hasattr(os, "pread"):
                return os.pread(self._file.fileno(), n_bytes, offset)
            with self._lock:
                self._file.seek(offset)
                return self._file.read(n_bytes)
        except OSError as error:
            raise MaskError(f"{self.path} cannot be read: {error.strerror or error}.") from error


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
