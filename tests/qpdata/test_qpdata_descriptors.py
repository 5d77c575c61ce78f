"""Class descriptors are read once for all files, where what they refer to is the same."""

from __future__ import annotations

import struct

import pytest

from qpmask.errors import CorruptDataError, DataFileError
from qpmask.qpdata.descriptors import described
from qpmask.qpdata.plain.values import ClassDesc

FIRST = 7
REFERRED = 3
REFERENCE = b"\x71" + struct.pack(">I", 0x7E0000 + REFERRED)


def text(value: str) -> bytes:
    return struct.pack(">H", len(value)) + value.encode()


def descriptor(name: str, fields: bytes = b"\0\0", parent: bytes = b"\x70") -> bytes:
    return b"\x72" + text(name) + bytes(8) + b"\x02" + fields + b"\x78" + parent


def desc(name: str) -> ClassDesc:
    found = ClassDesc(name, 2, (), "", ())
    found.chain, found.levels = (name,), (found,)
    return found


def nothing(handle: int) -> object:
    raise AssertionError(handle)


def test_read_once() -> None:
    data = descriptor("test.ReadOnce")
    first = described(data + b"behind it", FIRST, nothing)
    assert described(data, FIRST, nothing) is first
    assert first.data == data
    (value,) = first.values
    assert isinstance(value, ClassDesc)
    assert value.chain == ("test.ReadOnce",)


def test_other_handles_are_read_anew() -> None:
    data = descriptor("test.Handles")
    assert described(data, FIRST, nothing) is not described(data, FIRST + 1, nothing)


def test_same_bytes_with_another_super_class() -> None:
    data = descriptor("test.Child", parent=REFERENCE)
    one, other = desc("test.One"), desc("test.Other")
    for parent in (one, other, one):
        (value,) = described(data, FIRST, lambda _, parent=parent: parent).values  # type: ignore[misc]
        assert isinstance(value, ClassDesc)
        assert value.levels == (parent, value)
        assert value.chain == ("test.Child", parent.name)


def test_same_bytes_that_refer_to_no_class() -> None:
    data = descriptor("test.Orphan", parent=REFERENCE)
    described(data, FIRST, lambda _: desc("test.Parent"))
    with pytest.raises(CorruptDataError):
        described(data, FIRST, lambda _: "")


def test_same_name_with_other_fields() -> None:
    fields = b"\0\1" + b"I" + text("x")
    assert described(descriptor("test.Fields"), FIRST, nothing).values[0].object_fields == ()  # type: ignore[attr-defined]
    found = described(descriptor("test.Fields", fields), FIRST, nothing).values[0]
    assert found.primitive_names == ("x",)  # type: ignore[attr-defined]


def test_cut_short_after_it_was_read_whole() -> None:
    data = descriptor("test.Cut")
    described(data, FIRST, nothing)
    with pytest.raises(DataFileError):
        described(data[:-1], FIRST, nothing)
