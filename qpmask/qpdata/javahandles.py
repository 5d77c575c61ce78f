"""Handles: how a Java Object Serialization stream refers to what it held before.

Objects, texts, arrays and classes are numbered as they are read. An object that was recognised as
a whole (see :mod:`qpmask.qpdata.layouts`) leaves its numbers without values; it is read after all
if something refers to one of them.
"""

from __future__ import annotations

from abc import abstractmethod
from array import array
from bisect import bisect_right
from typing import Final

import numpy as np
import numpy.typing as npt

from qpmask.qpdata.bytereader import I4, ByteReader
from qpmask.qpdata.javacodes import FIRST_HANDLE
from qpmask.qpdata.javavalues import Mark, Span, SpanKind

_handle: Final = I4.unpack_from


class HandleReader(ByteReader):
    """Keeps the values that a stream can refer to, and notes the parts that differ.

    Parameters
    ----------
    data, source, hint
        As :class:`~qpmask.qpdata.bytereader.ByteReader`.
    """

    def __init__(self, data: bytes, *, source: str, hint: str | None = None) -> None:
        super().__init__(data, source=source, hint=hint)
        self.handles: list[object] = []
        self.next_handle = 0
        #: While a list, the changing parts of what is read are added to it.
        self.spans: list[Span] | None = None
        self._spans_first_handle = 0
        self._skipped_first_handle = array("q")
        self._skipped_start = array("q")

    @abstractmethod
    def read_value(self) -> object:
        """Read the next value."""

    def new_handle(self, value: object) -> int:
        """Give the next handle to a value."""
        handle = self.next_handle
        if handle == len(self.handles):
            self.handles.append(value)
        else:  # while a skipped part is read after all
            self.handles[handle] = value
        self.next_handle = handle + 1
        return handle

    def skip_handles(self, start: int, n_handles: int) -> None:
        """Count the handles of a leaf object that was passed over.

        Parameters
        ----------
        start : int
            Where the object starts in the data: should anything refer into it, it is read then.
        n_handles : int
            How many handles the object takes.
        """
        self._skipped_first_handle.append(self.next_handle)
        self._skipped_start.append(start)
        self.handles.extend([Mark.SKIPPED] * n_handles)
        self.next_handle += n_handles

    def skip_many_handles(
        self, starts: npt.NDArray[np.int64], n_handles: npt.NDArray[np.int64]
    ) -> None:
        """Count the handles of many leaf objects, as :meth:`skip_handles`."""
        last = np.cumsum(n_handles)
        self._skipped_first_handle.frombytes((self.next_handle + last - n_handles).tobytes())
        self._skipped_start.frombytes(starts.tobytes())
        self.handles.extend([Mark.SKIPPED] * int(last[-1]))
        self.next_handle += int(last[-1])

    def forget_handles(self, start: int, first_handle: int) -> None:
        """Let go of the values of a leaf object that was read; they can be read again."""
        n_handles = self.next_handle - first_handle
        del self.handles[first_handle:]
        self.next_handle = first_handle
        self.skip_handles(start, n_handles)

    def _read_skipped(self, handle: int) -> object:
        # Objects are only passed over when all that they refer to has been read, so that this
        # does not lead to itself again.
        index = bisect_right(self._skipped_first_handle, handle) - 1
        kept = self.pos, self.next_handle, self.spans
        self.pos, self.next_handle = self._skipped_start[index], self._skipped_first_handle[index]
        self.spans = None
        self.read_value()
        self.pos, self.next_handle, self.spans = kept
        return self.handles[handle]

    def reference(self) -> object:
        """Read a reference, after its code; give the value."""
        at = self.pos
        self.need(4, "a reference")
        handle: int = _handle(self.data, at)[0] - FIRST_HANDLE
        if not 0 <= handle < self.next_handle:
            raise self.corrupt("a reference points at nothing")
        self.pos = at + 4
        if self.spans is not None and handle >= self._spans_first_handle:
            self.spans = None
        value = self.handles[handle]
        return self._read_skipped(handle) if value is Mark.SKIPPED else value

    def close(self) -> None:
        """Let go of the data and of all values."""
        super().close()
        self.reset_handles()

    def reset_handles(self) -> None:
        """Forget all handles, as the stream asks for."""
        self.handles = []
        self.next_handle = 0
        self._skipped_first_handle = array("q")
        self._skipped_start = array("q")

    def start_spans(self) -> None:
        """Note from now on which parts of the bytes differ from object to object.

        ``spans`` becomes a list; it is None again if something is read that belongs to one
        object alone: a new class, a reference to itself.
        """
        self.spans = []
        self._spans_first_handle = self.next_handle

    def add_span(
        self, kind: SpanKind, start: int, *, item_size: int = 1, value: object = None
    ) -> None:
        """Note that the bytes from ``start`` to the present position may differ."""
        if self.spans is not None:
            self.spans.append(Span(kind, start, self.pos, item_size, value))
