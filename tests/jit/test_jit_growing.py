"""Columns that grow: what is in them stays, and memory is taken ahead of what is filled."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np
import pytest

from qpmask.jit import F64_1D, U8_1D
from qpmask.jit.growing import FULL, WANTED, GrowingColumns, Row

ROWS = 3


class Columns(NamedTuple):
    """One that is large and one that is not."""

    boxes: Annotated[F64_1D, Row(ROWS, 4)]
    kind: Annotated[U8_1D, Row(ROWS)]


def columns_of(n_rows: int) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], GrowingColumns]:
    n = np.zeros(4, np.int64)
    return n, GrowingColumns(Columns, n=n, rows=lambda counter: n_rows)


def taken(columns: GrowingColumns) -> list[tuple[int, int]]:
    calls: list[tuple[int, int]] = []
    columns.take_ahead(lambda address, n_bytes: calls.append((address, n_bytes)))
    return calls


def test_memory_is_taken_ahead_of_the_rows_and_no_byte_twice() -> None:
    n, columns = columns_of((1 << 20) + 1000)  # 32 MB, no whole number of steps, and 1 MB
    boxes = columns["boxes"]
    start, row_bytes = boxes.ctypes.data, 4 * 8
    at = start
    for n_rows in (0, 10, 1000, 200_000, 200_000, 600_000, 1_000_000, (1 << 20) + 900):
        n[ROWS] = n_rows
        filled = start + n_rows * row_bytes
        for address, n_bytes in taken(columns):
            assert n_bytes > 0
            assert address >= max(at, filled)
            assert address + n_bytes <= start + boxes.nbytes
            at = address + n_bytes
        assert at >= min(filled + boxes.nbytes // 50, start + boxes.nbytes)
        assert at <= filled + (4 << 20)  # what is not needed is not taken


def test_a_fiftieth_of_a_column_is_taken() -> None:
    n, columns = columns_of(1 << 23)  # 256 MB that nobody touches
    boxes = columns["boxes"]
    n[ROWS] = 1 << 20
    (address, n_bytes), *_ = taken(columns)
    assert address == boxes.ctypes.data + (32 << 20)
    assert 0 <= n_bytes - boxes.nbytes // 50 <= 4 << 20


def test_small_columns_are_left_alone() -> None:
    _, columns = columns_of(1000)
    assert taken(columns) == []


def test_a_column_that_grew_keeps_its_rows_and_is_taken_behind_them() -> None:
    n, columns = columns_of(1 << 18)
    columns["boxes"][:] = np.arange(4 << 18)
    columns["kind"][:] = 7
    assert taken(columns)
    n[ROWS] = n[WANTED] = 1 << 18
    n[FULL] = ROWS
    columns.grow(0.5)
    boxes = columns["boxes"]
    assert (boxes[: 4 << 18] == np.arange(4 << 18)).all()
    assert (columns["kind"][: 1 << 18] == 7).all()
    ((address, n_bytes),) = taken(columns)
    assert address == boxes.ctypes.data + (32 << 18)
    assert address + n_bytes <= boxes.ctypes.data + boxes.nbytes


@pytest.mark.parametrize("n_rows", [0, 5, 1 << 18])
def test_cut_columns_have_the_rows_that_were_filled(n_rows: int) -> None:
    n, columns = columns_of(1 << 19)
    columns["boxes"][: 4 * n_rows] = np.arange(4 * n_rows)
    n[ROWS] = n_rows
    found = columns.cut(Columns)
    assert found["boxes"].tolist() == list(range(4 * n_rows))
    assert len(found["kind"]) == n_rows
    assert taken(columns) == []
