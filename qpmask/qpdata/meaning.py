"""What the references in pieces of objects mean; see :mod:`qpmask.qpdata.many`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from qpmask.qpdata.columns import ID_BYTES, ObjectColumns, stored_id
from qpmask.qpdata.javastream import JavaStream
from qpmask.qpdata.javavalues import JavaObject, ObjectArray
from qpmask.qpdata.kinds import BOOLEAN, ID_KEY, PATH_CLASS
from qpmask.qpdata.lanedata import Ints
from qpmask.qpdata.model import RoiKind
from qpmask.qpdata.pieces import ABSENT, ID_KEY_INSIDE
from qpmask.qpdata.roilanes import SHARED_ROI, RoiColumns
from qpmask.qpdata.windows import HEAD, TAIL, Window


class Meaning:
    """What pieces mean that follow one another.

    Parameters
    ----------
    stream : JavaStream
        What the pieces refer to: all of it has been read.
    window : Window
        Where they are.
    pieces : ndarray of int64, shape (n,)
        The pieces.
    first_handle : ndarray of int64, shape (n,)
        The first handle of each.

    Attributes
    ----------
    bad : ndarray of bool, shape (n,)
        Which of the pieces cannot be read so: they refer to themselves where a value matters, or
        to something that does not belong there.
    """

    def __init__(
        self, stream: JavaStream, window: Window, pieces: Ints, first_handle: Ints
    ) -> None:
        self._stream = stream
        self._window = window
        self._pieces = pieces
        self._first_handle = first_handle[: len(pieces)]
        self.bad = np.zeros(len(pieces), np.bool_)
        form = window.form[pieces]
        # Which of the pieces have a head, a tail; and the numbers of these.
        self._headed, self._tailed = np.flatnonzero(form != TAIL), np.flatnonzero(form != HEAD)
        self._heads = window.head[pieces[self._headed]]
        self._tails = window.tail[pieces[self._tailed]]
        heads, tails = window.heads, window.tails

        values, which = self._look_up(self._headed, heads.name_ref[self._heads])
        self._names = values
        self._which_name = which
        self._demand(self._headed, which, [isinstance(value, str) for value in values])
        values, which = self._look_up(self._headed, heads.version_ref[self._heads])
        self._demand(self._headed, which, [not isinstance(value, ObjectArray) for value in values])
        values, which = self._look_up(self._tailed, tails.locked_ref[self._tails])
        self._demand(self._tailed, which, [_is_a(value, BOOLEAN) for value in values])
        locks = [isinstance(value, JavaObject) and bool(value.get("value")) for value in values]
        self._locked = np.array([*locks, False])[which]
        values, which = self._look_up(self._tailed, tails.class_ref[self._tails])
        self._demand(self._tailed, which, [_is_a(value, PATH_CLASS) for value in values])
        self._classes, self._which_class = values, which
        for rois in (tails.roi, tails.nucleus):
            shared = np.where(rois.kind == SHARED_ROI, rois.places[:, 0], ABSENT)
            self._check_outside(self._tailed, shared[self._tails])
        owners, (keys, refs, _) = window.keys.of(pieces)
        self._check_outside(owners, keys)
        self._check_outside(owners, refs)

    def _check_outside(self, owners: Ints, handles: Ints) -> npt.NDArray[np.bool_]:
        """Find out which references lead to something before their piece."""
        outside = handles < self._first_handle[owners]
        self.bad[owners[~outside]] = True
        return outside

    def _look_up(self, owners: Ints, handles: Ints) -> tuple[list[object], Ints]:
        """Give the values of handles, and which of the values each handle means, or -1."""
        outside = self._check_outside(owners, handles)
        which = np.full(len(handles), -1, np.int64)
        wanted = np.flatnonzero(outside & (handles != ABSENT))
        distinct, which[wanted] = np.unique(handles[wanted], return_inverse=True)
        return [self._stream.handles[handle] for handle in distinct.tolist()], which

    def _demand(self, owners: Ints, which: Ints, good: list[bool]) -> None:
        """Check what the values of references are."""
        self.bad[owners[~np.array([*good, True])[which]]] = True

    # ----------------------------------------------------------- into columns

    def fill(self, columns: ObjectColumns, n_pieces: int, parents: Ints, closed: Ints) -> None:
        """Put the pieces into the columns.

        Parameters
        ----------
        columns : ObjectColumns
            Where to put them.
        n_pieces : int
            How many of them.
        parents : ndarray of int64, shape (n_objects,)
            Number of the parent of each object that begins in them.
        closed : ndarray of int64, shape (n_closed,)
            Number of the object of each tail that is a piece of its own.
        """
        window = self._window
        form = window.form[self._pieces[:n_pieces]]
        n_heads, n_tails = int((form != TAIL).sum()), int((form != HEAD).sum())
        heads, tails = self._heads[:n_heads], self._tails[:n_tails]
        numbers = len(columns) - 1 + np.cumsum(form != TAIL)
        numbers[form == TAIL] = closed
        columns.add_many(
            window.heads.kind[heads].astype(np.uint8),
            parents.astype(np.int32),
            self._all_names(columns, heads),
            self._ids(heads, n_pieces),
        )
        columns.set_tails(
            numbers[form != HEAD],
            self._locked[:n_tails],
            self._class_numbers(columns, n_tails),
            self._roi_numbers(columns, window.tails.roi, tails),
            self._roi_numbers(columns, window.tails.nucleus, tails),
        )

    def _all_names(self, columns: ObjectColumns, heads: Ints) -> list[str | None]:
        stream = self._stream
        names: list[str | None] = [None] * len(heads)
        which = self._which_name[: len(heads)]
        for index in np.flatnonzero(which >= 0).tolist():
            name = self._names[which[index]]
            names[index] = columns.shared_name(name) if isinstance(name, str) else None
        places = self._window.heads.name_at[heads]
        inside = np.flatnonzero(places != ABSENT)
        starts = places[inside] + 2
        ends = starts + self._window.source.u2[starts - 2]
        for index, start, end in zip(inside.tolist(), starts.tolist(), ends.tolist(), strict=True):
            names[index] = columns.shared_name(stream.decode_text(start, end))
        return names

    def _ids(self, heads: Ints, n_pieces: int) -> npt.NDArray[np.uint8]:
        """Give the ids as text, shape (n, 36)."""
        source, stream = self._window.source, self._stream
        owners, (keys, refs, places) = self._window.keys.of(self._pieces[:n_pieces])
        distinct, which = np.unique(keys, return_inverse=True)
        is_id = [key == ID_KEY_INSIDE or stream.handles[key] == ID_KEY for key in distinct.tolist()]
        is_id_row = np.array([*is_id, False])[which]
        for row in np.flatnonzero(is_id_row & (refs != ABSENT)).tolist():
            is_id_row[row] = isinstance(stream.handles[refs[row]], str)
        rows = np.flatnonzero(is_id_row)
        # If there is more than one in an object, the last one counts.
        row_of_piece = np.full(n_pieces, ABSENT, np.int64)
        row_of_piece[owners[rows]] = rows
        row_of_head = row_of_piece[self._headed[: len(heads)]]
        found = np.flatnonzero(row_of_head != ABSENT)
        rows = row_of_head[found]
        ids = np.zeros((len(heads), ID_BYTES), np.uint8)
        whole = places[rows] != ABSENT
        whole[whole] = source.u2[places[rows[whole]]] == ID_BYTES
        ids[found[whole]] = source.taken(places[rows[whole]] + 2, ID_BYTES)
        for index, row in zip(found[~whole].tolist(), rows[~whole].tolist(), strict=True):
            if refs[row] != ABSENT:
                text = str(stream.handles[refs[row]])
            else:
                start = int(places[row]) + 2
                text = stream.decode_text(start, start + int(source.u2[start - 2]))
            ids[index] = np.frombuffer(stored_id(text), np.uint8)
        return ids

    def _class_numbers(self, columns: ObjectColumns, n_tails: int) -> Ints:
        which = self._which_class[:n_tails]
        distinct, first = np.unique(which, return_index=True)
        numbers = np.full(len(self._classes) + 1, -1, np.int64)  # the last one is for no class
        for value in distinct[np.argsort(first)].tolist():
            if value >= 0:
                numbers[value] = columns.classes.add_value(self._classes[value])
        return numbers[which]

    def _roi_numbers(self, columns: ObjectColumns, rois: RoiColumns, tails: Ints) -> Ints:
        kinds = rois.kind[tails]
        numbers = np.full(len(tails), -1, np.int64)
        for index in np.flatnonzero(kinds == SHARED_ROI).tolist():
            handle = rois.places[tails[index], 0]
            numbers[index] = columns.rois.add_value(self._stream.handles[handle])
        for kind in RoiKind:
            same = np.flatnonzero(kinds == kind)
            if len(same):
                of_kind = tails[same]
                numbers[same] = columns.rois.add_many(
                    kind, rois.plane[of_kind], rois.places[of_kind], rois.size[of_kind]
                )
        return numbers


def _is_a(value: object, class_name: str) -> bool:
    return isinstance(value, JavaObject) and value.desc.name == class_name
