"""One bit of a data file is wrong: an error, or as many objects as there are. Never fewer."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import DEMO, TINY

from qpmask.errors import DataFileError
from qpmask.qpdata import read_qpdata_bytes


@pytest.mark.parametrize(
    "start", [0, 1, *(pytest.param(start, marks=pytest.mark.slow) for start in (2, 3))]
)
@pytest.mark.parametrize(
    "path", [DEMO / "data" / "1", TINY / "data" / "1", TINY / "data" / "2"], ids=str
)
def test_no_object_is_lost_to_a_wrong_bit(path: Path, start: int) -> None:
    data = (path / "data.qpdata").read_bytes()
    n_objects = len(read_qpdata_bytes(data))
    n_errors = 0
    for bit in range(start, 8 * len(data), 43):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            assert len(read_qpdata_bytes(bytes(changed))) == n_objects, f"bit {bit}"
        except DataFileError:
            n_errors += 1
    assert n_errors > 100


@pytest.mark.parametrize("count", [0, 1, 5])
def test_children_that_the_count_leaves_out_are_not_passed_over(count: int) -> None:
    data = (DEMO / "data" / "1" / "data.qpdata").read_bytes()
    n_objects = len(read_qpdata_bytes(data))
    found = []
    at = -1
    while (at := data.find(n_objects.to_bytes(4, "big"), at + 1)) >= 0:
        changed = data[:at] + count.to_bytes(4, "big") + data[at + 4 :]
        try:
            assert len(read_qpdata_bytes(changed)) == n_objects
        except DataFileError as error:
            found.append(error.message)
    assert any("holds more than it says" in message for message in found)
