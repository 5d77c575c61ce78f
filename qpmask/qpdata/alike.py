"""Reads QuPath's objects that are laid out like an earlier one, singly and in runs."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from qpmask.qpdata.columns import ID_BYTES, ObjectColumns, stored_id
from qpmask.qpdata.javahandles import HandleReader
from qpmask.qpdata.layouts import Layouts
from qpmask.qpdata.rois import RoiLayout
from qpmask.qpdata.runs import Run, RunFinder

#: After how many alike objects in a row to look for a run of them, which takes as long as reading
#: some 150 of them singly, and how far to look, in bytes.
ROW_FOR_RUN: Final = 60
FIRST_WINDOW: Final = 2**18
LAST_WINDOW: Final = 2**23


class ObjectLayout(NamedTuple):
    """What an object of known layout is, and which of its differing parts hold the rest.

    A slot is the number of a differing part, or -1. A ROI is a number (-1 for none) where it is
    the same for all.
    """

    n_handles: int
    kind: int
    class_index: int
    locked: bool
    missing: bool
    name: str | None
    name_slot: int
    id_bytes: bytes
    id_slot: int
    roi: int | RoiLayout
    nucleus_roi: int | RoiLayout


class AlikeReader:
    """Reads objects of known layout into columns.

    Parameters
    ----------
    stream : HandleReader
        Where to read.
    columns : ObjectColumns
        Where to put them.
    """

    def __init__(self, stream: HandleReader, columns: ObjectColumns) -> None:
        self._stream = stream
        self.columns = columns
        self.layouts: Layouts[ObjectLayout] = Layouts()
        self._runs = RunFinder(stream.data, self.layouts)

    def read(self, parent: int, n_objects: int) -> int:
        """Read objects as long as their layout is known; give how many are left."""
        stream, columns = self._stream, self.columns
        data, match, add_roi = stream.data, self.layouts.match, columns.rois.add_layout
        in_a_row, row_start = 0, stream.pos
        while n_objects:
            if in_a_row == ROW_FOR_RUN:
                if n_objects >= 3 * ROW_FOR_RUN:
                    n_bytes = (stream.pos - row_start) * n_objects // ROW_FOR_RUN
                    n_objects = self._read_runs(parent, n_objects, n_bytes + n_bytes // 4)
                in_a_row, row_start = 0, stream.pos
                continue
            in_a_row += 1
            starts: list[int] = []
            found = match(data, stream.pos, starts)
            if found is None:
                return n_objects
            end, layout = found
            name = layout.name
            if layout.name_slot >= 0:
                name = self._name_at(starts[layout.name_slot])
            id_bytes = layout.id_bytes
            if layout.id_slot >= 0:
                id_bytes = self._id_at(starts[layout.id_slot])
            roi, nucleus = layout.roi, layout.nucleus_roi
            columns.kind.append(layout.kind)
            columns.parent.append(parent)
            columns.class_index.append(layout.class_index)
            columns.locked.append(layout.locked)
            columns.missing.append(layout.missing)
            columns.roi.append(roi if isinstance(roi, int) else add_roi(roi, starts))
            columns.nucleus_roi.append(
                nucleus if isinstance(nucleus, int) else add_roi(nucleus, starts)
            )
            columns.names.append(name)
            columns.ids += id_bytes
            stream.skip_handles(stream.pos, layout.n_handles)
            stream.pos = end
            n_objects -= 1
        return 0

    def _name_at(self, at: int) -> str:
        stream = self._stream
        start = at + 2
        end = start + int.from_bytes(stream.data[at:start], "big")
        return self.columns.shared_name(stream.decode_text(start, end))

    def _id_at(self, at: int) -> bytes:
        start = at + 2
        text = self._stream.data[start : start + int.from_bytes(self._stream.data[at:start], "big")]
        return text if len(text) == ID_BYTES else stored_id(text.decode("latin-1"))

    def _read_runs(self, parent: int, n_objects: int, n_bytes: int) -> int:
        """Read runs of objects as long as they are long; give how many are left.

        ``n_bytes`` is about how many bytes they all have.
        """
        window = min(n_bytes, FIRST_WINDOW)
        while n_objects:
            run = self._runs.find(self._stream.pos, window, n_objects)
            if run is None:
                break
            self._add_run(parent, run)
            n_objects -= len(run.starts)
            if run.end - int(run.starts[0]) < window // 2:
                break
            window = min(2 * window, LAST_WINDOW)
        return n_objects

    def _add_run(self, parent: int, run: Run[ObjectLayout]) -> None:
        stream, columns = self._stream, self.columns
        n_objects = len(run.starts)
        kind = np.empty(n_objects, np.uint8)
        class_index = np.empty(n_objects, np.int32)
        flags = np.empty((n_objects, 2), np.uint8)
        rois = np.empty((n_objects, 2), np.int32)
        n_handles = np.empty(n_objects, np.int64)
        names: list[str | None] = [None] * n_objects
        ids = np.empty((n_objects, ID_BYTES), np.uint8)
        for group in run.groups:
            layout, numbers, starts, sizes = group.meaning, group.numbers, group.starts, group.sizes
            kind[numbers] = layout.kind
            class_index[numbers] = layout.class_index
            flags[numbers] = layout.locked, layout.missing
            n_handles[numbers] = layout.n_handles
            for column, roi in enumerate((layout.roi, layout.nucleus_roi)):
                rois[numbers, column] = (
                    roi if isinstance(roi, int) else columns.rois.add_many(roi, starts, sizes)
                )
            if layout.name_slot >= 0:
                for number, at in zip(numbers, starts[layout.name_slot].tolist(), strict=True):
                    names[number] = self._name_at(at)
            elif layout.name is not None:
                for number in numbers:
                    names[number] = layout.name
            if layout.id_slot < 0:
                ids[numbers] = np.frombuffer(layout.id_bytes, np.uint8)
            elif (sizes[layout.id_slot] == ID_BYTES).all():
                ids[numbers] = self._runs.take(starts[layout.id_slot] + 2, ID_BYTES)
            else:
                for number, at in zip(numbers, starts[layout.id_slot].tolist(), strict=True):
                    ids[number] = np.frombuffer(self._id_at(at), np.uint8)
        columns.add_run(parent, kind, class_index, flags, rois, names, ids)
        stream.skip_many_handles(run.starts, n_handles)
        stream.pos = run.end
