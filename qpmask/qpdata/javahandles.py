"""Handles: how a Java Object Serialization stream refers to what it held before.

Objects, texts, arrays and classes are numbered as they are read. What was read in a way that keeps
no values (see :mod:`qpmask.qpdata.many`) leaves its numbers without them; it is read after all if
something refers to one of them.
"""

from __future__ import annotations

from abc import abstractmethod
from array import array
from bisect import bisect_left, bisect_right
from typing import Final

import numpy as np
import numpy.typing as npt

from qpmask.qpdata.bytereader import I4, ByteReader
from qpmask.qpdata.javacodes import FIRST_HANDLE
from qpmask.qpdata.javavalues import ClassDesc, JavaObject, Mark

_handle: Final = I4.unpack_from
_FEW_HANDLES: Final = 4096


class HandleReader(ByteReader):
    """Keeps the values that a stream can refer to.

    Parameters
    ----------
    data, source, hint
        As :class:`~qpmask.qpdata.bytereader.ByteReader`.
    """

    def __init__(self, data: bytes, *, source: str, hint: str | None = None) -> None:
        super().__init__(data, source=source, hint=hint)
        self.handles: list[object] = []
        self.next_handle = 0
        #: All classes that were described, by their handles.
        self.classes: dict[int, ClassDesc] = {}
        self._skipped_first_handle = array("q")
        self._skipped_last_handle = array("q")
        self._skipped_start = array("q")

    @abstractmethod
    def read_value(self) -> object:
        """Read the next value."""

    @abstractmethod
    def begin_object(self) -> JavaObject:
        """Read the head of an object, after its code."""

    def new_handle(self, value: object) -> int:
        """Give the next handle to a value."""
        handle = self.next_handle
        if handle == len(self.handles):
            self.handles.append(value)
        else:  # while a skipped part is read after all
            self.handles[handle] = value
        self.next_handle = handle + 1
        return handle

    def skip_handles(
        self,
        starts: npt.NDArray[np.int64],
        n_handles: npt.NDArray[np.int64],
        from_head: npt.NDArray[np.bool_],
    ) -> None:
        """Count the handles of objects, or of parts of objects, that were passed over.

        Parameters
        ----------
        starts : ndarray of int64, shape (n,)
            Where each starts in the data: should anything refer into it, it is read then.
        n_handles : ndarray of int64, shape (n,)
            How many handles each takes.
        from_head : ndarray of bool, shape (n,)
            Whether it is an object from its beginning, not values of what one wrote itself.
        """
        last = self.next_handle + np.cumsum(n_handles)
        some = n_handles > 0
        self._skipped_first_handle.frombytes((last - n_handles)[some].tobytes())
        self._skipped_last_handle.frombytes(last[some].tobytes())
        self._skipped_start.frombytes(np.where(from_head, starts, ~starts)[some].tobytes())
        n_all = int(n_handles.sum())
        self.handles.extend([Mark.SKIPPED] * n_all)
        self.next_handle += n_all

    def forget_skipped(self, first_handle: int) -> None:
        """Take back what was skipped from a handle on."""
        del self.handles[first_handle:]
        self.next_handle = first_handle
        index = bisect_left(self._skipped_first_handle, first_handle)
        del self._skipped_first_handle[index:]
        del self._skipped_last_handle[index:]
        del self._skipped_start[index:]

    def read_skipped(self, handles: npt.NDArray[np.int64]) -> None:
        """Read after all what handles stand for.

        What is skipped may refer to what was skipped before it; whoever skips it calls this, so
        that reading it never leads on to something else that has to be read first.
        """
        if len(handles) < _FEW_HANDLES:
            distinct = np.array(sorted(set(handles.tolist())), np.int64)
        else:  # faster than to sort them
            wanted = np.zeros(int(handles.max()) + 1, np.bool_)
            wanted[handles] = True
            distinct = np.flatnonzero(wanted)
        values = self.handles
        for handle in distinct.tolist():
            if values[handle] is Mark.SKIPPED:
                self._read_part(handle)

    def _read_part(self, handle: int) -> None:
        index = bisect_right(self._skipped_first_handle, handle) - 1
        kept = self.pos, self.next_handle
        start = self._skipped_start[index]
        self.next_handle = self._skipped_first_handle[index]
        if start < 0:
            self.pos = ~start
        else:
            self.pos = start + 1
            self.begin_object()
        while self.next_handle < self._skipped_last_handle[index]:
            self.read_value()
        self.pos, self.next_handle = kept

    def reference(self) -> object:
        """Read a reference, after its code; give the value."""
        at = self.pos
        self.need(4, "a reference")
        handle: int = _handle(self.data, at)[0] - FIRST_HANDLE
        if not 0 <= handle < self.next_handle:
            raise self.corrupt("a reference points at nothing")
        self.pos = at + 4
        value = self.handles[handle]
        if value is Mark.SKIPPED:
            self._read_part(handle)
            value = self.handles[handle]
        return value

    def close(self) -> None:
        """Let go of the data and of all values."""
        super().close()
        self.reset_handles()

    def reset_handles(self) -> None:
        """Forget all handles, as the stream asks for."""
        self.handles = []
        self.next_handle = 0
        self.classes = {}
        self._skipped_first_handle = array("q")
        self._skipped_last_handle = array("q")
        self._skipped_start = array("q")
