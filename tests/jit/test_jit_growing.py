"""Columns that grow: what is in them stays, and each byte is taken ahead once."""

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


def taken(columns: GrowingColumns, *shares: float) -> list[tuple[int, int]]:
    calls: list[tuple[int, int]] = []
    for share in shares:
        columns.take(share, lambda address, n_bytes: calls.append((address, n_bytes)))
    return calls


def test_each_byte_is_taken_once_and_none_beyond_the_end() -> None:
    _, columns = columns_of(1 << 20)  # 32 MB and 1 MB
    boxes = columns["boxes"]
    calls = taken(columns, 0.1, 0.1, 0.5, 0.3, 1.0, 1.02)
    at = boxes.ctypes.data
    for address, n_bytes in calls:
        assert address == at
        assert n_bytes > 0
        at += n_bytes
    assert at == boxes.ctypes.data + boxes.nbytes


def test_small_columns_are_left_alone() -> None:
    _, columns = columns_of(1000)
    assert taken(columns, 1.0) == []


def test_a_column_that_grew_is_taken_from_its_beginning() -> None:
    n, columns = columns_of(1 << 18)
    columns["boxes"][:] = np.arange(4 << 18)
    columns["kind"][:] = 7
    assert taken(columns, 1.0)
    n[ROWS] = n[WANTED] = 1 << 18
    n[FULL] = ROWS
    columns.grow(0.5)
    assert (columns["boxes"][: 4 << 18] == np.arange(4 << 18)).all()
    assert (columns["kind"][: 1 << 18] == 7).all()
    ((address, _),) = taken(columns, 0.9)
    assert address == columns["boxes"].ctypes.data


@pytest.mark.parametrize("n_rows", [0, 5, 1 << 18])
def test_cut_columns_have_the_rows_that_were_filled(n_rows: int) -> None:
    n, columns = columns_of(1 << 19)
    columns["boxes"][: 4 * n_rows] = np.arange(4 * n_rows)
    n[ROWS] = n_rows
    found = columns.cut(Columns)
    assert found["boxes"].tolist() == list(range(4 * n_rows))
    assert len(found["kind"]) == n_rows
    assert taken(columns, 1.0) == []
