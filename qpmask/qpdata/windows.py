"""Finds the pieces of objects in a stretch of the data, and how they follow one another."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from qpmask.qpdata.javacodes import TC_OBJECT
from qpmask.qpdata.javavalues import ClassDesc
from qpmask.qpdata.lanedata import Ints, LaneData
from qpmask.qpdata.model import ObjectKind
from qpmask.qpdata.pieces import ABSENT, Heads, ObjectForms, Tails

#: What a piece is: an object without children, the head of one that has some, its tail.
LEAF: Final = 0
HEAD: Final = 1
TAIL: Final = 2

#: Heads in a window: there are at most three pieces for each of two heads, and the number of a
#: piece fits into 16 bits, by which numpy sorts fastest.
MAX_HEADS: Final = 10_000
#: Levels of last children whose parents' tails are looked for.
MAX_TAILS: Final = 8


class Opening(NamedTuple):
    """An object that has children: its class, and how many children."""

    desc: ClassDesc
    n_children: int


class Grouped:
    """Rows of several columns in the order of the pieces they belong to.

    Parameters
    ----------
    pieces : ndarray of int64, shape (n,)
        The piece of each row, ``ABSENT`` for rows that belong to none.
    n_pieces : int
        How many pieces there are.
    columns : ndarray, shape (n,)
        The columns.
    """

    def __init__(self, pieces: Ints, n_pieces: int, *columns: Ints) -> None:
        kept = np.flatnonzero(pieces != ABSENT)
        short = pieces[kept].astype(np.uint16)
        order = kept[np.argsort(short, kind="stable")]
        self._columns = [column[order] for column in columns]
        self._offsets = np.zeros(n_pieces + 1, np.int64)
        np.cumsum(np.bincount(short, minlength=n_pieces), out=self._offsets[1:])

    def of(self, pieces: Ints) -> tuple[Ints, list[Ints]]:
        """Give the rows of some pieces.

        Parameters
        ----------
        pieces : ndarray of int64, shape (n,)
            The pieces.

        Returns
        -------
        tuple of ndarray and list of ndarray
            Which of the ``pieces`` each row belongs to, counted from 0; and the columns.
        """
        first, last = self._offsets[pieces], self._offsets[pieces + 1]
        n_rows = last - first
        owners = np.repeat(np.arange(len(pieces)), n_rows)
        rows = np.arange(len(owners)) + np.repeat(first - (np.cumsum(n_rows) - n_rows), n_rows)
        return owners, [column[rows] for column in self._columns]


class Window:
    """The pieces in a stretch of the data.

    Parameters
    ----------
    source : LaneData
        The data.
    forms : ObjectForms
        The classes that are known.
    start, end : int
        Where heads are looked for.

    Attributes
    ----------
    heads, tails : Heads, Tails
        What was read.
    start, end : ndarray of int64, shape (n,)
        Where each piece starts and ends; sorted.
    form : ndarray of uint8, shape (n,)
        ``LEAF``, ``HEAD`` or ``TAIL``.
    head, tail : ndarray of int64, shape (n,)
        Number of its head and its tail, or ``ABSENT``.
    n_handles : ndarray of int64, shape (n,)
        How many handles it takes.
    references : Grouped
        Of each reference the handle, and how many handles the piece had taken before.
    keys : Grouped
        Of each metadata entry the handle of the key, that of the value, where its text is.
    """

    def __init__(self, source: LaneData, forms: ObjectForms, start: int, end: int) -> None:
        self.source = source
        starts = forms.find_heads(source, start, end, MAX_HEADS)
        self.heads = heads = Heads(source, forms, starts)
        read = heads.lanes.all()
        childless = read[heads.n_children[read] == 0]
        parents = read[heads.n_children[read] > 0]
        first_tails, own, n_heads = np.unique(
            heads.lanes.pos[childless], return_inverse=True, return_counts=True
        )
        self.tails = tails = _find_tails(source, forms, starts, first_tails)

        # Where two heads end, one of them is none.
        whole = tails.lanes.good[own] & (n_heads[own] == 1)
        whole &= (heads.kind[childless] == ObjectKind.CELL) == tails.has_nucleus[own]
        others = np.flatnonzero(tails.lanes.good[len(first_tails) :]) + len(first_tails)
        leaves = int(whole.sum())
        none = np.full(max(len(parents), len(others)), ABSENT, np.int64)
        head = np.concatenate([childless[whole], parents, none[: len(others)]])
        tail = np.concatenate([own[whole], none[: len(parents)], others])
        form = np.repeat(
            np.array([LEAF, HEAD, TAIL], np.uint8), (leaves, len(parents), len(others))
        )
        piece_start = np.concatenate(
            [starts[head[: len(head) - len(others)]], tails.starts[others]]
        )
        order = np.argsort(piece_start, kind="stable")
        self.start, self.form = piece_start[order], form[order]
        self.head, self.tail = head[order], tail[order]
        self._join()

    def __len__(self) -> int:
        return len(self.start)

    def _join(self) -> None:
        """Put together what heads and tails took."""
        heads, tails = self.heads.lanes, self.tails.lanes
        with_head, with_tail = (np.flatnonzero(self.form != form) for form in (TAIL, HEAD))
        of_head, of_tail = self.head[with_head], self.tail[with_tail]
        self.end = np.zeros(len(self), np.int64)
        self.end[with_head] = heads.pos[of_head]
        self.end[with_tail] = tails.pos[of_tail]
        head_handles = np.zeros(len(self), np.int64)
        head_handles[with_head] = heads.n_handles[of_head]
        self.n_handles = head_handles.copy()
        self.n_handles[with_tail] += tails.n_handles[of_tail]

        piece_of_head = np.full(len(heads.pos), ABSENT, np.int64)
        piece_of_head[of_head] = with_head
        piece_of_tail = np.full(len(tails.pos), ABSENT, np.int64)
        piece_of_tail[of_tail] = with_tail
        lanes, handles, before = heads.references()
        pieces = piece_of_head[lanes]
        tail_lanes, tail_handles, tail_before = tails.references()
        tail_pieces = piece_of_tail[tail_lanes]
        self.references = Grouped(
            np.concatenate([pieces, tail_pieces]),
            len(self),
            np.concatenate([handles, tail_handles]),
            np.concatenate([before, tail_before + np.append(head_handles, 0)[tail_pieces]]),
        )
        lanes, *columns = (
            np.concatenate(parts) for parts in zip(_NO_KEYS, *self.heads.keys, strict=True)
        )
        self.keys = Grouped(piece_of_head[lanes], len(self), *columns)
        # The pieces after which another one follows than the next.
        self._breaks = np.flatnonzero(self.end[:-1] != self.start[1:])
        self._excluded = np.zeros(0, np.int64)

    def exclude(self, pieces: Ints) -> None:
        """Take out pieces that turned out not to be readable together with others."""
        self._excluded = np.union1d(self._excluded, pieces)

    def chain(self, pos: int) -> Ints:
        """Give the pieces that follow one another from a place on, up to one that is out."""
        parts = []
        first = int(np.searchsorted(self.start, pos))
        at = int(np.searchsorted(self._excluded, first))
        stop = int(self._excluded[at]) if at < len(self._excluded) else len(self)
        while first < stop and self.start[first] == pos:
            at = int(np.searchsorted(self._breaks, first))
            last = int(self._breaks[at]) if at < len(self._breaks) else len(self) - 1
            parts.append(np.arange(first, min(last + 1, stop)))
            pos = self.end[last]
            first = int(np.searchsorted(self.start, pos))
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def marked(self, pieces: Ints) -> list[Opening | bool]:
        """Tell what pieces are that are no leaves.

        Returns
        -------
        list of (Opening or bool)
            Of a head what it opens; of a tail whether it has a nucleus.
        """
        is_head = self.form[pieces] == HEAD
        heads, tails = self.head[pieces[is_head]], self.tail[pieces[~is_head]]
        descs = self.heads.forms.forms.descs
        classes, n_children = self.heads.class_number[heads], self.heads.n_children[heads]
        openings = (
            Opening(descs[number], n)
            for number, n in zip(classes.tolist(), n_children.tolist(), strict=True)
        )
        closings = iter(self.tails.has_nucleus[tails].tolist())
        return [next(openings if head else closings) for head in is_head.tolist()]


_NO_KEYS: Final = (np.zeros(0, np.int64),) * 4


def _find_tails(source: LaneData, forms: ObjectForms, heads: Ints, starts: Ints) -> Tails:
    """Read tails at some places, and then those that start where a tail ends and no head starts.

    Parameters
    ----------
    source, forms
        As :class:`Window`.
    heads : ndarray of int64, shape (n,)
        Where heads start.
    starts : ndarray of int64, shape (m,)
        Where to begin; these are the first ``m`` of the tails.
    """
    tails = Tails(source, forms, starts)
    latest = tails
    for _ in range(MAX_TAILS):
        ends = latest.lanes.pos[latest.lanes.good]
        ends = ends[source.u1[ends] != TC_OBJECT]  # no tail begins so, but heads do
        for known in (heads, tails.starts):
            ends = ends[~_are_in(ends, np.sort(known))]
        if not len(ends):
            break
        latest = Tails(source, forms, np.unique(ends))
        tails.append(latest)
    return tails


def _are_in(values: Ints, known: Ints) -> npt.NDArray[np.bool_]:
    """Tell which values are among the known ones, which are sorted; faster than ``isin``."""
    found: npt.NDArray[np.bool_] = np.append(known, -1)[np.searchsorted(known, values)] == values
    return found
