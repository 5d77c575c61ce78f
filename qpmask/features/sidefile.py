"""Features as they come, beside the patch file: a crash loses at most the batch it falls into.

A line of JSON says of what the features are; behind it each batch has a head (rows, columns, CRC-32
of the bytes) and its rows. What was cut off or damaged is found by that, and left out: the next run
goes on behind the last whole batch. The patch file is not touched before all of it is there.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from qpmask.errors import OutputError

_HEAD = struct.Struct("<III")


class SideFile:
    """An open side file.

    Parameters
    ----------
    path : Path
        Where. What is there and is of the same features is gone on with.
    made_from : mapping
        Of what the features are, as plain data.
    dtype : str
        ``float32`` or ``float16``.
    """

    def __init__(self, path: Path, made_from: Mapping[str, Any], dtype: str) -> None:
        self.path = path
        self.dtype = np.dtype(dtype).newbyteorder("<")
        self.n_rows = 0
        self.n_columns: int | None = None
        line = json.dumps(dict(made_from), sort_keys=True).encode() + b"\n"
        self._start = len(line)
        path.parent.mkdir(parents=True, exist_ok=True)
        file: IO[bytes] = path.open("r+b" if path.exists() else "w+b")
        self._file = file
        try:
            end = self._take_up(line)
            if end == 0:
                file.seek(0)
                file.write(line)
                end = len(line)
            file.truncate(end)
            file.seek(end)
        except BaseException:
            file.close()
            raise

    def _take_up(self, line: bytes) -> int:
        """Find the whole batches of these features; where the last one ends."""
        if self._file.read(len(line)) != line:
            return 0
        end = len(line)
        for batch in self._batches():
            self.n_rows += len(batch)
            self.n_columns = batch.shape[1]
            end = self._file.tell()
        return end

    def _batches(self) -> Iterator[NDArray[Any]]:
        """Whole batches from where the file stands; ends before one that is not."""
        columns: int | None = None
        while len(head := self._file.read(_HEAD.size)) == _HEAD.size:
            n_rows, n_columns, crc = _HEAD.unpack(head)
            if columns not in (None, n_columns) or n_rows * n_columns > 1 << 31:
                return
            columns = n_columns
            data = self._file.read(n_rows * n_columns * self.dtype.itemsize)
            if len(data) < n_rows * n_columns * self.dtype.itemsize or zlib.crc32(data) != crc:
                return
            yield np.frombuffer(data, self.dtype).reshape(n_rows, n_columns)

    def append(self, features: NDArray[Any]) -> None:
        """Add rows; they are in the file's hands when it returns.

        Raises
        ------
        OutputError
            They cannot be written, or are of another length than those before.
        """
        if self.n_columns not in (None, features.shape[1]):
            raise OutputError(
                f"The extractor gave features of {features.shape[1]} numbers after some of "
                f"{self.n_columns}."
            )
        data = np.ascontiguousarray(features, self.dtype).tobytes()
        try:
            self._file.write(_HEAD.pack(*features.shape, zlib.crc32(data)) + data)
            self._file.flush()
        except OSError as error:
            raise OutputError(
                f"{self.path} cannot be written: {error.strerror or error}.",
                hint="What is in it stays, and the next run goes on from there.",
            ) from error
        self.n_rows += len(features)
        self.n_columns = features.shape[1]

    def batches(self) -> Iterator[NDArray[Any]]:
        """All rows, batch by batch, checked against their sums.

        Raises
        ------
        OutputError
            They are not those that were written.
        """
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.seek(self._start)
        n = 0
        for batch in self._batches():
            n += len(batch)
            yield batch
        if n != self.n_rows:
            raise OutputError(
                f"{self.path} reads back {n:,} of {self.n_rows:,} features.",
                hint="Is the disk full or faulty? Run the same command again.",
            )

    def close(self) -> None:
        """Close it; it stays."""
        self._file.close()

    def __enter__(self) -> SideFile:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()
