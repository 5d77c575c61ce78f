"""Columns that kernels fill and that grow: how a kernel says which is full, and how room is made.

One array of counts, ``n``, goes with them. Kernels of several rooms may share it; each room has
places of its own in it, behind :data:`FULL` and :data:`WANTED`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final, NamedTuple, get_type_hints

import numpy as np
import numpy.typing as npt

from qpmask.jit.arguments import I64_1D, packed
from qpmask.jit.library import kernel

ROOM: Final = -2
"""What a kernel gives where ``n[FULL]`` has room for fewer rows than ``n[WANTED]``; -1 is none."""
FULL, WANTED = range(2)
_STEP_BYTES: Final = 2 << 20  # a large page
_MANY: Final = 4096  # rows that show how a file goes on


class Row(NamedTuple):
    """Annotates a column that grows: what counts its rows, and how many items each is."""

    counter: int
    width: int = 1


class _Column(NamedTuple):
    name: str
    dtype: Any
    row: Row


class _Large:
    """A large column, and how many of its bytes were taken ahead."""

    def __init__(self, array: npt.NDArray[Any], row: Row) -> None:
        self.array = array
        self.row = row
        self.n_taken = 0


@kernel
def full(n: I64_1D, count: int, more: int) -> int:
    """What to give where there is no room for ``more`` of what ``n[count]`` counts."""
    n[FULL] = count
    n[WANTED] = n[count] + more
    return ROOM


class GrowingColumns:
    """The columns of named tuples, in which others may be nested: fields that have a :class:`Row`.

    Parameters
    ----------
    records : types
        The named tuples. Those of their fields that have no Row are given by :meth:`put`.
    n : ndarray of int64
        The counts; a field ``n`` is these.
    rows : callable
        How many rows there is room for at first, by what counts them.
    """

    def __init__(self, *records: Any, n: npt.NDArray[np.int64], rows: Callable[[int], int]) -> None:
        self._n = n
        self._arrays: dict[str, npt.NDArray[Any]] = {"n": n}
        self._columns: dict[int, list[_Column]] = {}
        self._packed: dict[Any, Any] = {}
        self._large: dict[str, _Large] = {}
        for column in (column for record in records for column in _columns_of(record)):
            self._columns.setdefault(column.row.counter, []).append(column)
            self._make(column, rows(column.row.counter))

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self._arrays[name]

    def put(self, record: Any, **arrays: npt.NDArray[Any]) -> None:
        """Set fields of a record that do not grow."""
        self._arrays |= arrays
        self._packed.pop(record, None)

    def grow(self, progress: float) -> None:
        """Make room for what is wanted; ``progress`` is how much of all was read, 0 to 1."""
        n = self._n
        count = int(n[FULL])
        first = self._columns[count][0]
        present = len(self._arrays[first.name]) // first.row.width
        expected = int(1.02 * n[count] / progress) if n[count] > _MANY else 0
        for column in self._columns[count]:
            old = self._arrays[column.name]
            self._make(column, max(int(n[WANTED]), expected, present + present // 2))
            self._arrays[column.name][: len(old)] = old
        self._packed.clear()

    def _make(self, column: _Column, rows: int) -> None:
        made = self._arrays[column.name] = np.empty(rows * column.row.width, column.dtype)
        if made.nbytes >= 2 * _STEP_BYTES:
            self._large[column.name] = _Large(made, column.row)

    def take_ahead(self, take: Callable[[int, int], None]) -> None:
        """Have ``take``, given an address and a number of bytes, take the memory filled next.

        Of each large column that is what lies behind its rows: a fiftieth of the column and up to
        two steps more, not all the rest, since it was made as large as was guessed. No byte of an
        array is taken twice. Any thread may call this, one at a time, while kernels fill columns
        and these grow, but not while they are cut.
        """
        for large in list(self._large.values()):
            array, row = large.array, large.row
            filled = int(self._n[row.counter]) * row.width * array.itemsize
            ahead = filled + array.nbytes // 50 + _STEP_BYTES
            first = max(large.n_taken, filled)
            end = min(ahead // _STEP_BYTES * _STEP_BYTES, array.nbytes)
            if end > first:
                take(array.ctypes.data + first, end - first)
                large.n_taken = end

    def packed(self, record: Any) -> Any:
        """A record, as it is now, for many calls."""
        if record not in self._packed:
            self._packed[record] = packed(self.record(record))
        return self._packed[record]

    def record(self, record: Any) -> Any:
        """A record, as it is now."""
        nested = _nested_in(record)
        return record(*(
            self.record(nested[name]) if name in nested else self._arrays[name]
            for name in record.__annotations__
        ))  # fmt: skip

    def cut(self, record: Any, longer: tuple[str, ...] = ()) -> dict[str, npt.NDArray[Any]]:
        """The columns of a record, as far as they were filled, ``longer`` ones a row more.

        All others are let go of.
        """
        self._packed.clear()
        self._large.clear()
        found = {}
        for name, _, row in _columns_of(record):
            found[name] = self._arrays.pop(name)
            n_rows = int(self._n[row.counter]) + (name in longer)
            found[name].resize(n_rows * row.width, refcheck=False)
        self._arrays.clear()
        return found


@functools.cache
def _nested_in(record: Any) -> dict[str, Any]:
    hints = get_type_hints(record)
    return {name: kind for name, kind in hints.items() if hasattr(kind, "_fields")}


@functools.cache
def _columns_of(record: Any) -> tuple[_Column, ...]:
    found: list[_Column] = []
    for name, hint in get_type_hints(record, include_extras=True).items():
        if name in _nested_in(record):
            found += _columns_of(hint)
            continue
        array, *rows = hint.__metadata__
        found += [_Column(name, array.dtypes[0], row) for row in rows]
    return tuple(found)
