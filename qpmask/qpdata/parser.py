"""Drives the compiled parser: gives it the file in pieces, room for what it finds, and classes.

The kernel (:mod:`.kernel.datafile`) reads value after value and stops where something is missing;
what is missing is brought, and it goes on there. What is wrong becomes an error with its place.
"""

from __future__ import annotations

from io import RawIOBase
from typing import Any, Final, NamedTuple, get_type_hints

import numpy as np
import numpy.typing as npt

from qpmask.errors import CorruptDataError, DataFileError, UnsupportedDataError
from qpmask.imageobjects import ImageObjects, Outlines
from qpmask.jit import packed
from qpmask.qpdata.classforms import NO_CLASSES, ClassDescError, text_at
from qpmask.qpdata.columns import image_objects
from qpmask.qpdata.datafileerrors import DataFileErrors
from qpmask.qpdata.datahead import LINE_BYTES, HeadError, read_first_line
from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.kernel.datafile import parse
from qpmask.qpdata.texts import decode_texts

WINDOW_BYTES: Final = 2 << 20
"""How much of a file is looked at at a time, unless something in it is longer."""
MAX_CLASSES: Final = 10_000  # each is looked for among all
_MAX_SHARED: Final = 200
_FIRST_ROOM: Final = 512
_MAX_REFERENCES: Final = 4096


class _Column(NamedTuple):
    name: str
    dtype: Any
    width: int


def _columns_by_counter() -> dict[int, list[_Column]]:
    """Columns that grow together, by what counts their rows."""
    found: dict[int, list[_Column]] = {}
    for record in (k.Columns, k.Stream):
        for name, hint in get_type_hints(record, include_extras=True).items():
            array, *rows = hint.__metadata__
            for row in rows:
                found.setdefault(row.counter, []).append(_Column(name, array.dtypes[0], row.width))
    return found


_COLUMNS: Final = _columns_by_counter()


class TooFarBackError(Exception):
    """Something refers to what is no longer in the window: read all of the file at once."""


class RootChildren(NamedTuple):
    """Offsets of the number of the root's children, of their end, of the references behind it.

    ``n_handles`` were given until their end.
    """

    count_at: int
    end: int
    n_handles: int
    references: list[int]


class Parser:
    """Reads one data file.

    Parameters
    ----------
    file : RawIOBase or None
        The file, at its beginning; None if ``data`` is all of it.
    size : int
        Its bytes.
    data : bytes-like
        All of it, where there is no file.
    details : bool
        Whether colours, measurements and metadata are read.
    outlines : Outlines, optional
        Which outlines are; all by default.
    source, hint : str
        What to call the file in messages, and what to do about it.
    """

    _shared = NO_CLASSES  # those of files that were read, for those that follow

    def __init__(
        self,
        file: RawIOBase | None,
        size: int,
        data: bytes = b"",
        *,
        details: bool = False,
        outlines: Outlines | None = None,
        source: str = "the data file",
        hint: str | None = None,
    ) -> None:
        self._file = file
        self._window = np.frombuffer(data, np.uint8)
        self._buffer = np.zeros(0, np.uint8)
        self._n_read = len(data)
        self._n = np.zeros(k.N_NUMBERS, np.int64)
        self._n[k.SIZE] = size
        self._n[k.DETAILS] = details
        self._n[k.DEPTH] = 1
        self._n[[k.SERVER, k.IMAGE_TYPE, k.OUTLINES]] = -1
        if outlines is not None:
            self._n[k.OUTLINES] = k.OF_NUCLEI * outlines.of_nuclei
            self._n[k.OUTLINES] += sum(1 << kind for kind in outlines.kinds)
        self._errors = DataFileErrors(source, hint, self._n)
        self._arrays: dict[str, npt.NDArray[Any]] = {}
        for counter, columns in _COLUMNS.items():
            room = _FIRST_ROOM + min(size, WINDOW_BYTES) // k.BYTES_A_ROW[counter]
            if k.DETAILED <= counter <= k.LIST_NAMES and not details:
                room = 0
            for name, dtype, width in columns:
                self._arrays[name] = np.empty(room * width, dtype)
        self._arrays["ring_offsets"][0] = 0
        self._frames = np.empty((k.N_FRAMES, k.N_FRAME_COLUMNS), np.int64)
        self._frames[0] = 0
        self._frames[0, [k.ROLE, k.STEP, k.IN_FORM, k.OUT]] = k.SERVER_TEXT, 1, k.A_FILE, -1
        self._key = np.empty(k.KEY_BYTES, np.uint8)
        self._references = np.empty(_MAX_REFERENCES, np.int64)
        self._known = Parser._shared
        self._columns: k.Columns | None = None  # as they are now, put together for many calls

    def read(self) -> ImageObjects:
        """Read it.

        Raises
        ------
        TooFarBackError
            It must be given as a whole.
        TruncatedDataError, CorruptDataError, UnsupportedDataError
            As :func:`qpmask.qpdata.read_qpdata`.
        """
        while len(self._window) < min(LINE_BYTES, self._n[k.SIZE]):
            self._read_more()
        try:
            version, self._n[k.POS] = read_first_line(self._window[:LINE_BYTES].tobytes())
        except HeadError as error:
            self._n[k.POS] = error.at
            raise self._errors.error(error.kind, str(error)) from None
        steps = {k.MORE: self._read_more, k.ROOM: self._make_room, k.CLASS: self._describe}
        while (status := self._parse()) != k.END:
            if status == k.BACK:
                raise TooFarBackError
            if status not in steps:
                raise self._fault(status)
            steps[status]()
        self._window = self._buffer = np.zeros(0, np.uint8)
        self._columns = None
        if len(Parser._shared) < len(self._known) <= _MAX_SHARED:
            Parser._shared = self._known
        return self._finished(version)

    def children(self) -> RootChildren | None:
        """Where the root's children are, once it was read; None if that cannot be told."""
        n = self._n
        if n[k.WAS_RESET] or n[k.REFERENCES] > _MAX_REFERENCES:
            return None
        references = sorted(set(self._references[: n[k.REFERENCES]].tolist()))
        places = n[[k.COUNT_AT, k.CHILDREN_END, k.CHILDREN_HANDLES]].tolist()
        return RootChildren(places[0], places[1], places[2], references)

    def _parse(self) -> int:
        arrays = self._arrays
        if self._columns is None:
            self._columns = packed(k.Columns(**{name: arrays[name] for name in k.Columns._fields}))
        known = self._known
        stream = k.Stream(
            self._window, self._n, arrays["handles"], known.classes, known.keys, self._key,
            known.steps, self._frames, self._references,
        )  # fmt: skip
        return parse(stream, self._columns)

    def _read_more(self) -> None:
        """Move the window on, or let it grow if it holds nothing but what is being read."""
        n, file = self._n, self._file
        left = int(n[k.SIZE]) - self._n_read
        n_gone = min(int(n[k.POS]), len(self._window)) if self._n_read else 0
        if file is None or left < 0:
            raise self._fault(k.SHORT)
        kept = self._window[n_gone:]
        wanted = min(max(WINDOW_BYTES, 2 * len(kept)), len(kept) + left)
        if wanted > len(self._buffer):
            self._buffer = np.empty(wanted, np.uint8)
        window = self._buffer[:wanted]
        window[: len(kept)] = kept  # in the same buffer, most often
        at = len(kept)
        while at < len(window):
            n_bytes = file.readinto(window[at:].data)
            if not n_bytes:
                raise self._fault(k.SHORT)  # the file was cut meanwhile
            at += n_bytes
        n[k.BASE] += n_gone
        n[k.POS] -= n_gone
        self._n_read += len(window) - len(kept)
        self._window = window

    def _make_room(self) -> None:
        """Let columns grow: as the file goes on, if it goes on as it began."""
        n = self._n
        count = int(n[k.FULL])
        columns = _COLUMNS[count]
        present = len(self._arrays[columns[0].name]) // columns[0].width
        progress = (n[k.BASE] + n[k.POS]) / n[k.SIZE]
        expected = int(1.02 * n[count] / progress) if n[count] > 4096 else 0
        room = max(int(n[k.WANTED]), expected, present + present // 2)
        for name, dtype, width in columns:
            old = self._arrays[name]
            self._arrays[name] = np.empty(room * width, dtype)
            self._arrays[name][: len(old)] = old
        self._columns = None

    def _describe(self) -> None:
        """Take up the class that the parser has met."""
        n = self._n
        start, end, parent = n[[k.KEY_START, k.KEY_END, k.ROW]].tolist()
        if len(self._known) >= MAX_CLASSES:
            what = f"it describes more than {MAX_CLASSES:,} classes"
            raise self._errors.error(UnsupportedDataError, what)
        try:
            self._known = self._known.with_class(self._key[start:end].tobytes(), parent)
        except ClassDescError as error:
            raise self._errors.error(CorruptDataError, str(error)) from None

    def _fault(self, status: int) -> DataFileError:
        """The error for what the parser stopped for."""
        about, start = self._n[[k.ABOUT, k.KEY_START]].tolist()
        if 0 <= about < len(self._known):
            return self._errors.of_status(status, self._known.descs[about].name)
        return self._errors.of_status(status, text_at(self._key.tobytes(), start + 1)[0])

    def _finished(self, version: int) -> ImageObjects:
        arrays = self._arrays
        arrays["handles"] = np.zeros(0, np.int64)
        for counter, columns in _COLUMNS.items():
            for name, _, width in columns:
                if name != "handles":
                    n_rows = int(self._n[counter]) + (name == "ring_offsets")
                    arrays[name].resize(n_rows * width, refcheck=False)
        texts = decode_texts(arrays["text_bytes"].tobytes(), arrays["text_ends"].tolist())
        try:
            return image_objects(arrays, self._n, texts, version)
        except ValueError as error:
            raise self._errors.error(CorruptDataError, str(error)) from None
