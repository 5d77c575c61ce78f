"""Classes are described once for all files, and told apart by all that a descriptor says."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from unittest.mock import patch

import pytest
from qpdata.qpdata_builder import SERIALIZABLE, QuPathWriter
from qpdata.qpdata_samples import SAMPLES, check_agreement, columns, parsed
from qpdata.test_qpdata_parser import written

from qpmask.errors import CorruptDataError
from qpmask.qpdata import parser
from qpmask.qpdata.classforms import NO_CLASSES, KnownClasses
from qpmask.qpdata.parser import Parser

STRING = "Ljava/lang/String;"


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    with patch.object(Parser, "_shared", NO_CLASSES):
        yield


def test_a_second_file_asks_for_no_class() -> None:
    data = SAMPLES[0].read_bytes()
    first = columns(parsed(data))
    with patch.object(KnownClasses, "with_class", side_effect=AssertionError):
        assert columns(parsed(data)) == first


def test_one_name_with_other_fields() -> None:
    """In one file after the other, in one process."""
    for fields in ([("I", "x")], [("J", "x")], [("I", "y")], [("I", "x"), (STRING, "name")]):

        def measured(writer: QuPathWriter, i: int, fields: list = fields) -> None:  # type: ignore[type-arg]
            writer.object("test.Measured", SERIALIZABLE, fields)
            writer.raw(bytes(8 if fields[0][0] == "J" else 4))
            if len(fields) > 1:
                writer.string("a name")

        check_agreement(written(3, measured), 3)


def test_one_name_with_other_super_classes() -> None:
    for base in ("test.One", "test.Other", "test.One"):
        for field in ("I", "D"):

            def measured(writer: QuPathWriter, i: int, base: str = base, code: str = field) -> None:
                writer.object("test.Child", SERIALIZABLE, (), (base, SERIALIZABLE, [(code, "x")]))
                writer.raw(bytes(8 if code == "D" else 4))

            check_agreement(written(3, measured), 3)


def test_a_file_of_many_classes_leaves_the_next_ones_alone() -> None:
    def many(writer: QuPathWriter, i: int) -> None:
        writer.object(f"test.Class{i}", SERIALIZABLE)

    check_agreement(written(300, many), 300)
    assert not len(Parser._shared)
    with patch.object(parser, "_MAX_SHARED", 1000):
        parsed(written(300, many))
    assert len(Parser._shared) > 300
    check_agreement(SAMPLES[0].read_bytes())


def test_a_list_that_is_called_like_one_measurement() -> None:
    """It is told by what it holds: no number, so it is none."""

    def measured(writer: QuPathWriter, i: int) -> None:
        writer.object("test.Measurements", SERIALIZABLE, [("Ljava/util/List;", "list")])
        writer.object("java.util.ArrayList", SERIALIZABLE | 1, [("I", "size")])
        writer.raw(bytes(4))
        writer.block(bytes(4))
        writer.object("test.Measurement", SERIALIZABLE, [("D", "value"), (STRING, "name")])
        writer.raw(struct.pack(">d", i))
        writer.string("Area")
        writer.end()

    data = written(3, measured)
    check_agreement(data, 3)
    details = parsed(data, details=True).details
    assert details is not None
    assert details.measurements.value.tolist() == [0, 1, 2]


def test_names_without_numbers() -> None:
    """Those of the next object would be taken for them."""

    def measured(writer: QuPathWriter, i: int) -> None:
        fields = [("Ljava/util/List;", "names"), ("[D", "values" if i else "other")]
        name = "test.MeasurementList" if i else "test.MeasurementListOfOther"
        writer.object(name, SERIALIZABLE, fields)
        writer.object("java.util.ArrayList", SERIALIZABLE | 1, [("I", "size")])
        writer.raw(bytes(4))
        writer.block(bytes(4))
        writer.string("Area")
        writer.end()
        writer.array("[D", "d", [i])

    with pytest.raises(CorruptDataError, match="measurements"):
        parsed(written(3, measured), details=True)
    assert len(parsed(written(3, measured))) == 3
