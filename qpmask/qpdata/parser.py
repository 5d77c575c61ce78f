"""Drives the compiled parser: gives it the file in pieces, room for what it finds, and classes.

The kernel (:mod:`.kernel.datafile`) reads value after value and stops where something is missing;
what is missing is brought, and it goes on there. What is wrong becomes an error with its place.
"""

from __future__ import annotations

from io import RawIOBase
from typing import Final, NamedTuple

import numpy as np

from qpmask.common.filewindow import FileWindow
from qpmask.common.machine import take_memory
from qpmask.errors import CorruptDataError, DataFileError, UnsupportedDataError
from qpmask.imageobjects import ImageObjects, Outlines
from qpmask.javastream import descriptors
from qpmask.javastream import reading as s
from qpmask.javastream.texts import decode_texts
from qpmask.jit import bound
from qpmask.jit.growing import FULL, ROOM, WANTED, GrowingColumns
from qpmask.qpdata.classforms import NO_CLASSES
from qpmask.qpdata.columns import image_objects
from qpmask.qpdata.datafileerrors import DataFileErrors
from qpmask.qpdata.datahead import LINE_BYTES, HeadError, read_first_line
from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.kernel.datafile import parse

WINDOW_BYTES: Final = 2 << 20
"""How much of a file is looked at at a time, unless something in it is longer."""
MAX_CLASSES: Final = 10_000  # all are copied for each that is new
_MAX_SHARED: Final = 200
_FIRST_ROOM: Final = 512
_MAX_REFERENCES: Final = 4096


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
        self._n = np.zeros(k.N_NUMBERS, np.int64)
        self._n[s.SIZE] = size
        self._n[k.DETAILS] = details
        self._n[k.DEPTH] = 1
        self._n[[k.SERVER, k.IMAGE_TYPE, k.OUTLINES, s.REFERENCES, s.CLASS_AT]] = -1
        if outlines is not None:
            self._n[k.OUTLINES] = k.OF_NUCLEI * outlines.of_nuclei
            self._n[k.OUTLINES] += sum(1 << kind for kind in outlines.kinds)
        self._errors = DataFileErrors(source, hint, self._n)
        self._columns = GrowingColumns(k.Stream, k.Columns, n=self._n, rows=self._first_room)
        self._columns["ring_offsets"][0] = 0
        self._references = np.empty(_MAX_REFERENCES, np.int64)
        frames = np.empty((k.N_FRAMES, k.N_FRAME_COLUMNS), np.int64)
        frames[0] = 0
        frames[0, [k.ROLE, k.STEP, k.IN_FORM, k.OUT]] = k.SERVER_TEXT, 1, k.A_FILE, -1
        self._columns.put(k.Stream, frames=frames, references=self._references)
        self._known = Parser._shared
        columns = self._columns  # by itself: a parser in a circle would keep its memory

        def take_ahead() -> None:
            columns.take_ahead(take_memory)

        self._window = FileWindow(file, size, WINDOW_BYTES, data, take_ahead)

    def _first_room(self, counter: int) -> int:
        if k.DETAILED <= counter <= k.LIST_NAMES and not self._n[k.DETAILS]:
            return 0
        return int(_FIRST_ROOM + min(self._n[s.SIZE], WINDOW_BYTES) // k.BYTES_A_ROW[counter])

    def read(self) -> ImageObjects:
        """Read it.

        Raises
        ------
        TooFarBackError
            It must be given as a whole.
        TruncatedDataError, CorruptDataError, UnsupportedDataError
            As :func:`qpmask.qpdata.read_qpdata`.
        """
        try:
            return self._finished(self._read())
        finally:
            self._window.close()

    def _read(self) -> int:
        """Fill the columns; the version of the file."""
        while len(self._window.view) < min(LINE_BYTES, self._n[s.SIZE]):
            self._read_more()
        try:
            version, self._n[s.POS] = read_first_line(self._window.view[:LINE_BYTES].tobytes())
        except HeadError as error:
            self._n[s.POS] = error.at
            raise self._errors.error(error.kind, str(error)) from None
        steps = {s.MORE: self._read_more, ROOM: self._make_room, s.CLASS: self._describe}
        self._take_up()
        while (status := self._parse()) != k.END:
            if status == s.BACK:
                raise TooFarBackError
            if status not in steps:
                raise self._fault(status)
            steps[status]()
        self._window.close()
        del self._parse  # and with it the window and what handles stand for
        if len(Parser._shared) < len(self._known) <= _MAX_SHARED:
            Parser._shared = self._known
        return version

    def children(self) -> RootChildren | None:
        """Where the root's children are, once it was read; None if that cannot be told."""
        n = self._n
        if n[k.WAS_RESET] or n[s.REFERENCES] > _MAX_REFERENCES:
            return None
        references = sorted(set(self._references[: n[s.REFERENCES]].tolist()))
        places = n[[k.COUNT_AT, k.CHILDREN_END, k.CHILDREN_HANDLES]].tolist()
        return RootChildren(places[0], places[1], places[2], references)

    def _take_up(self) -> None:
        """Tell the kernel of another window, or of more classes."""
        known = self._known
        self._columns.put(
            k.Stream, data=self._window.view, classes=known.classes, steps=known.steps
        )
        self._parse = bound(parse, *map(self._columns.packed, (k.Stream, k.Columns)))

    def _read_more(self) -> None:
        n = self._n
        n_gone = min(int(n[s.POS]), len(self._window.view))
        try:
            self._window.move(n_gone)
        except EOFError:
            raise self._fault(s.SHORT) from None
        n[s.BASE] += n_gone
        n[s.POS] -= n_gone
        self._take_up()

    def _make_room(self) -> None:
        n = self._n
        self._columns.grow((n[s.BASE] + n[s.POS]) / n[s.SIZE])
        self._take_up()

    def _describe(self) -> None:
        """Take up the class that is described where the parser stands, and those above it."""
        n, first = self._n, int(self._n[s.HANDLES])
        try:
            desc = self._descriptor()
            n_handles = first + len(desc.handles)
            if n_handles > len(self._columns["handles"]):
                n[FULL], n[WANTED] = s.HANDLES, n_handles
                self._make_room()
            stream = self._columns.packed(k.Stream).value
            row = descriptors.give_handles(desc, stream)
            for level, index in desc.classes:
                row = self._row_of(level, row)
                stream.handles[first + index] = s.CLASS_ROW | row << 4
        except descriptors.DescriptorError as error:
            kind = UnsupportedDataError if error.is_sound else CorruptDataError
            raise self._errors.error(kind, str(error)) from None
        n[s.CLASS_END], n[s.CLASS_ROW_THERE] = n[s.CLASS_AT] + len(desc.raw), row

    def _descriptor(self) -> descriptors.Descriptor:
        n = self._n
        while True:
            at = int(n[s.CLASS_AT] - n[s.BASE])
            raw = self._window.view[at : at + descriptors.MAX_BYTES].tobytes()
            try:
                return descriptors.read_descriptor(raw)
            except descriptors.EndError:
                if len(raw) == descriptors.MAX_BYTES:
                    raise descriptors.DescriptorError("a class description is too long") from None
                n[s.WHAT] = s.A_CLASS
                self._read_more()

    def _row_of(self, level: descriptors.ClassDesc, above: int) -> int:
        """Row of a class, by the row of the one above it."""
        row = self._known.rows.get((level, above))
        if row is None:
            row = len(self._known)
            if row >= MAX_CLASSES:
                what = f"it describes more than {MAX_CLASSES:,} classes"
                raise descriptors.DescriptorError(what, is_sound=True)
            self._known = self._known.with_class(level, above)
            self._take_up()
        return row

    def _fault(self, status: int) -> DataFileError:
        """The error for what the parser stopped for."""
        about = int(self._n[k.ABOUT])
        is_class = 0 <= about < len(self._known)
        return self._errors.of_status(
            status, self._known.levels[about][-1].name if is_class else ""
        )

    def _finished(self, version: int) -> ImageObjects:
        arrays = self._columns.cut(k.Columns, longer=("ring_offsets",))
        texts = decode_texts(arrays["text_bytes"].tobytes(), arrays["text_ends"].tolist())
        try:
            return image_objects(arrays, self._n, texts, version)
        except ValueError as error:
            raise self._errors.error(CorruptDataError, str(error)) from None
