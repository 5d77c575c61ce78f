"""Reads many objects at once: pieces that follow one another become rows of the columns.

What :mod:`qpmask.qpdata.pieces` leaves open is decided here: which pieces count, what their
references mean, and who is whose child. Where the pieces do not make sense the objects are left
to :class:`~qpmask.qpdata.objects.HierarchyReader`, which reads them one by one.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from qpmask.qpdata.columns import ObjectColumns
from qpmask.qpdata.javastream import JavaStream
from qpmask.qpdata.javavalues import ClassDesc
from qpmask.qpdata.kinds import CELL, ROI_OBJECT, TMA_CORE
from qpmask.qpdata.lanedata import MARGIN, Ints, LaneData
from qpmask.qpdata.meaning import Meaning
from qpmask.qpdata.pieces import ObjectForms
from qpmask.qpdata.windows import LEAF, TAIL, Opening, Window

#: How many objects to read singly before many are tried, and how many in a row are many.
OBJECTS_BEFORE: Final = 24
MANY: Final = 12
#: How far to look for objects, in bytes.
FIRST_WINDOW: Final = 2**18
LAST_WINDOW: Final = 2**23
#: How many objects to read singly, at most, after many could not be read.
LONGEST_PAUSE: Final = 2**14

#: Levels of objects inside objects; QuPath itself gives up long before.
MAX_LEVELS: Final = 10_000


class OpenObject:
    """An object whose children are being read.

    Parameters
    ----------
    desc : ClassDesc
        Its class.
    number : int
        Its number, -1 for the root.
    children_left : int
        How many children were not read yet.
    """

    __slots__ = ("children_left", "desc", "number")

    def __init__(self, desc: ClassDesc, number: int, children_left: int) -> None:
        self.desc = desc
        self.number = number
        self.children_left = children_left


class ManyReader:
    """Reads objects in windows as long as there are many that can be read so.

    Parameters
    ----------
    stream : JavaStream
        Where to read.
    columns : ObjectColumns
        Where to put the objects.
    """

    def __init__(self, stream: JavaStream, columns: ObjectColumns) -> None:
        self._stream = stream
        self._columns = columns
        self._source = LaneData(stream.data) if stream.size > 2 * MARGIN else None
        self._window: Window | None = None
        self._window_end = 0
        self._n_classes = 0
        self._n_read = 0
        self._n_bytes = FIRST_WINDOW
        self._pause = self._next_pause = OBJECTS_BEFORE

    def read(self, stack: list[OpenObject]) -> bool:
        """Read on as far as possible; tell whether anything was read.

        Parameters
        ----------
        stack : list of OpenObject
            The objects whose children are being read, the root first. Objects are added and
            taken off as they begin and end.
        """
        if self._pause:
            self._pause -= 1
            return False
        if self._stream.block_left:
            return False
        window = self._present_window()
        if window is None:
            return False
        chain = window.chain(self._stream.pos)
        n_pieces = self._add(window, chain, stack) if len(chain) >= MANY else 0
        self._n_read += n_pieces
        return n_pieces > 0

    def _present_window(self) -> Window | None:
        """Give the window that the stream is in."""
        stream = self._stream
        if self._source is None:
            return None
        if self._window is not None:
            if stream.pos < self._window_end and self._n_classes == len(stream.classes):
                return self._window
            self._leave_window()
            if self._pause:
                return None
        end = min(stream.pos + self._n_bytes, stream.size)
        self._n_classes = len(stream.classes)
        self._n_read = 0
        self._window = Window(self._source, ObjectForms(stream.classes), stream.pos, end)
        # The last of many heads may be far from the end.
        self._window_end = end if len(self._window) < MANY else int(self._window.start[-1]) + 1
        return self._window

    def _leave_window(self) -> None:
        """Drop the window; look further, or less often, as it was worth it or not."""
        window, self._window = self._window, None
        if window is None or self._n_classes != len(self._stream.classes):
            self._n_bytes = FIRST_WINDOW
            self._pause = self._next_pause = OBJECTS_BEFORE
        elif 2 * self._n_read >= len(window) >= MANY:
            self._n_bytes = min(4 * self._n_bytes, LAST_WINDOW)
            self._next_pause = OBJECTS_BEFORE
        else:
            self._n_bytes = FIRST_WINDOW
            self._pause = self._next_pause
            self._next_pause = min(2 * self._next_pause, LONGEST_PAUSE)

    # ----------------------------------------------------------- into columns

    def _add(self, window: Window, pieces: Ints, stack: list[OpenObject]) -> int:
        """Add as many of the pieces as make sense; give how many."""
        stream = self._stream
        n_handles = window.n_handles[pieces]
        first_handle = stream.next_handle + np.cumsum(n_handles) - n_handles
        owners, (handles, before) = window.references.of(pieces)
        wrong = owners[(handles < 0) | (handles >= first_handle[owners] + before)]
        if len(wrong):
            window.exclude(pieces[np.unique(wrong)])
            pieces = pieces[: wrong.min()]
        if not len(pieces):
            return 0
        # What they refer to is looked up, which can be inside of them.
        stream.skip_handles(
            window.start[pieces], n_handles[: len(pieces)], window.form[pieces] != TAIL
        )
        stream.read_skipped(handles[(owners < len(pieces)) & (handles < first_handle[owners])])
        found = Meaning(stream, window, pieces, first_handle)
        bad = np.flatnonzero(found.bad)
        good = pieces[: bad[0]] if len(bad) else pieces
        n_pieces, parents, closed = _walk(window, good, stack, len(self._columns))
        # What does not fit is not looked at again and again.
        window.exclude(pieces[np.append(bad, n_pieces)[: len(bad) + (n_pieces < len(good))]])
        if n_pieces < len(pieces):
            stream.forget_skipped(int(first_handle[n_pieces]))
        if n_pieces:
            stream.pos = int(window.end[pieces[n_pieces - 1]])
            found.fill(self._columns, n_pieces, parents, closed)
        return n_pieces


def _walk(
    window: Window, pieces: Ints, stack: list[OpenObject], number: int
) -> tuple[int, Ints, Ints]:
    """Follow pieces through the tree, as far as they fit into it.

    Parameters
    ----------
    window : Window
        Where the pieces are.
    pieces : ndarray of int64, shape (n,)
        The pieces.
    stack : list of OpenObject
        The objects that are open, the root first; it is changed.
    number : int
        Number of the first object that begins.

    Returns
    -------
    tuple of int, ndarray of int64 and ndarray of int64
        How many pieces fit; the number of the parent of each object that begins; the number of
        each object that ends at a tail of its own.
    """
    marked = np.flatnonzero(window.form[pieces] != LEAF)
    of_marked = window.marked(pieces[marked])
    parents: list[int] = []
    counts: list[int] = []
    closed: list[int] = []
    at = 0
    for stop, mark in zip([*marked.tolist(), len(pieces)], [*of_marked, None], strict=True):
        top = stack[-1]
        if stop > at:
            n_leaves = min(stop - at, top.children_left) if len(stack) <= MAX_LEVELS else 0
            top.children_left -= n_leaves
            parents.append(top.number)
            counts.append(n_leaves)
            number += n_leaves
            at += n_leaves
        if at < stop or mark is None:
            break
        if isinstance(mark, Opening):
            if not top.children_left or len(stack) > MAX_LEVELS:
                break
            top.children_left -= 1
            parents.append(top.number)
            counts.append(1)
            stack.append(OpenObject(mark.desc, number, mark.n_children))
            number += 1
        else:
            if top.children_left or not _ends_with(top.desc, mark):
                break
            closed.append(top.number)
            stack.pop()
        at += 1
    return at, np.repeat(np.array(parents, np.int64), counts), np.array(closed, np.int64)


def _ends_with(desc: ClassDesc, has_nucleus: bool) -> bool:
    """Tell whether an object of a class can have a tail, with a nucleus or without one."""
    if ROI_OBJECT not in desc.chain or TMA_CORE in desc.chain:
        return False
    return (CELL in desc.chain) == has_nucleus
