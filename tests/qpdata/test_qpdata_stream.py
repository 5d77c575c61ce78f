"""The reader of Java's streams, on bytes written by hand."""

from __future__ import annotations

import struct
import tracemalloc

import pytest
from qpdata.qpdata_builder import (
    BLOCK_DATA,
    EXTERNALIZABLE,
    SERIALIZABLE,
    STRING,
    WRITE_METHOD,
    JavaWriter,
    modified_utf8,
)

from qpmask.errors import (
    CorruptDataError,
    DataFileError,
    TruncatedDataError,
    UnsupportedDataError,
)
from qpmask.qpdata.kernel.library import MAX_DEPTH, MAX_SUPER_CLASSES
from qpmask.qpdata.plain.javastream import JavaStream
from qpmask.qpdata.plain.values import (
    Block,
    ClassDesc,
    ClassValue,
    EnumConstant,
    JavaObject,
    Mark,
    ObjectArray,
    PrimitiveArray,
)


def stream_of(writer: JavaWriter) -> JavaStream:
    stream = JavaStream(bytes(writer.data), source="test")
    stream.read_header()
    return stream


@pytest.mark.parametrize("text", ["", "plain", "ü", "a\0b", "𝄞 and 漢字", "\uffff"])
def test_texts(text: str) -> None:
    writer = JavaWriter()
    writer.string(text)
    raw = modified_utf8(text)
    writer.raw(b"|" + struct.pack(">q", len(raw)) + raw)
    writer.reference(0)
    writer.reference(1)
    stream = stream_of(writer)
    assert [stream.read_value() for _ in range(4)] == [text] * 4
    assert stream.pos == stream.size


def test_half_a_surrogate_pair_is_replaced() -> None:
    writer = JavaWriter()
    writer.raw(b"t\0\3\xed\xa0\xbd")
    assert stream_of(writer).read_value() == "\ufffd"


@pytest.mark.parametrize("raw", [b"\xff", b"\xf0\x9d\x84\x9e", b"\x80", b"a\xc3"])
def test_texts_that_are_none(raw: bytes) -> None:
    writer = JavaWriter()
    writer.raw(b"t" + struct.pack(">H", len(raw)) + raw)
    with pytest.raises(CorruptDataError, match="a text is not valid"):
        stream_of(writer).read_value()


@pytest.mark.parametrize(
    ("name", "form", "values"),
    [
        ("[B", "b", [-1, 2]),
        ("[C", "H", [1, 65535]),
        ("[D", "d", [1.5, -2.5]),
        ("[F", "f", []),
        ("[I", "i", [-(2**31), 2**31 - 1]),
        ("[J", "q", [-(2**63)]),
        ("[S", "h", [-5, 5]),
        ("[Z", "?", [True, False]),
    ],
)
def test_arrays_stay_where_they_are(name: str, form: str, values: list[float]) -> None:
    writer = JavaWriter()
    writer.array(name, form, values)
    stream = stream_of(writer)
    array = stream.read_value()
    assert isinstance(array, PrimitiveArray)
    assert (array.type_code, array.length, array.end) == (name[1], len(values), stream.size)
    assert list(struct.unpack_from(f">{len(values)}{form}", stream.data, array.start)) == values


def test_array_of_objects() -> None:
    writer = JavaWriter()
    writer.object_array("[Ljava.lang.Object;", 3)
    writer.string("one")
    writer.null()
    writer.reference(1)  # the array itself
    array = stream_of(writer).read_value()
    assert isinstance(array, ObjectArray)
    assert array.items == ["one", None, array]


def test_object_with_super_class_and_contents() -> None:
    writer = JavaWriter()
    parent = ("Base", SERIALIZABLE | WRITE_METHOD, [("I", "same"), (STRING, "text")])
    handle = writer.object(
        "Child", SERIALIZABLE, [("D", "d"), ("I", "same"), (STRING, "t")], parent
    )
    writer.raw(struct.pack(">i", 1))
    writer.string("base")
    writer.block(b"abc")
    writer.string("more")
    writer.end()
    writer.raw(struct.pack(">di", 2.5, 3))
    writer.reference(handle)
    stream = stream_of(writer)
    value = stream.read_value()
    assert isinstance(value, JavaObject)
    assert value.desc.chain == ("Child", "Base")
    assert value.fields == {"same": 3, "text": "base", "d": 2.5, "t": value}
    block, text = value.contents
    assert isinstance(block, Block)
    assert stream.data[block.start : block.end] == b"abc"
    assert text == "more"
    assert stream.pos == stream.size


def test_object_that_writes_itself_has_one_list_of_contents() -> None:
    writer = JavaWriter()
    flags = EXTERNALIZABLE | BLOCK_DATA
    writer.object("Child", flags, (), ("Base", flags))
    writer.string("a")
    writer.block(b"")
    writer.end()
    value = stream_of(writer).read_value()
    assert isinstance(value, JavaObject)
    assert len(value.contents) == 2


def test_enum_class_and_description() -> None:
    writer = JavaWriter()
    writer.raw(b"~")
    writer.class_desc("Colour", 18, (), ("java.lang.Enum", 18))
    writer.handle()
    writer.string("RED")
    writer.raw(b"v")
    writer.class_desc("Thing")
    writer.handle()
    writer.class_desc("Other")
    stream = stream_of(writer)
    constant, class_value, desc = (stream.read_value() for _ in range(3))
    assert isinstance(constant, EnumConstant)
    assert constant.name == "RED"
    assert isinstance(class_value, ClassValue)
    assert class_value.desc.name == "Thing"
    assert isinstance(desc, ClassDesc)


def test_raw_data_from_several_blocks() -> None:
    writer = JavaWriter()
    for part in (b"\0", b"", b"\0\1"):
        writer.block(part)
    writer.raw(b"z\0\0\0\2\2x")
    writer.end()
    stream = stream_of(writer)
    assert stream.read_raw_int() == 0x102
    with pytest.raises(CorruptDataError, match="raw data"):
        stream.read_value()
    stream.skip_contents()
    assert stream.pos == stream.size


def nested_arrays(depth: int) -> JavaStream:
    writer = JavaWriter()
    for _ in range(depth):
        writer.object_array("[Ljava.lang.Object;", 1)
    writer.null()
    return stream_of(writer)


def test_nesting_is_limited_without_recursion() -> None:
    assert isinstance(nested_arrays(MAX_DEPTH).read_value(), ObjectArray)
    for depth in (MAX_DEPTH + 1, 100_000):
        with pytest.raises(CorruptDataError, match="inside objects"):
            nested_arrays(depth).read_value()


def test_enums_cannot_nest() -> None:
    writer = JavaWriter()
    for _ in range(50_000):
        writer.raw(b"~")
        writer.class_desc("E", 18)
        writer.handle()
    with pytest.raises(CorruptDataError, match="no name"):
        stream_of(writer).read_value()


def test_number_of_super_classes_is_limited() -> None:
    writer = JavaWriter()
    writer.raw(b"s")
    for i in range(MAX_SUPER_CLASSES + 1):
        writer.raw(b"r" + writer.utf(f"C{i}") + bytes(8) + b"\2\0\0x")
    writer.null()
    with pytest.raises(CorruptDataError, match="super classes"):
        stream_of(writer).read_value()


def test_class_is_not_its_own_super_class() -> None:
    writer = JavaWriter()
    writer.raw(b"sr" + writer.utf("C") + bytes(8) + b"\2\0\0x")
    writer.reference(0)
    with pytest.raises(CorruptDataError, match="no class"):
        stream_of(writer).read_value()


def one(raw: bytes) -> JavaStream:
    writer = JavaWriter()
    writer.raw(raw)
    return stream_of(writer)


CLASS = b"r\0\1C" + bytes(8)


@pytest.mark.parametrize(
    ("raw", "error", "message"),
    [
        (b"q\0\x7e\0\0", CorruptDataError, "points at nothing"),
        (b"q\0\0\0\0", CorruptDataError, "points at nothing"),
        (b"q\xff\xff\xff\xff", CorruptDataError, "points at nothing"),
        (b"q\x7f\xff\xff\xff", CorruptDataError, "points at nothing"),
        (b"\x00", CorruptDataError, "unknown code"),
        (b"\xff", CorruptDataError, "unknown code"),
        (b"y", CorruptDataError, "reset"),
        (b"{", CorruptDataError, "failed"),
        (b"s}", UnsupportedDataError, "proxy"),
        (b"sp", CorruptDataError, "no class"),
        (b"st\0\0", CorruptDataError, "class description"),
        (b"s" + CLASS + b"\2\0\0p", UnsupportedDataError, "annotations"),
        (b"s" + CLASS + b"\2\0\1Q\0\1f", CorruptDataError, "no known type"),
        (b"s" + CLASS + b"\2\0\1L\0\1fp", CorruptDataError, "no type"),
        (b"s" + CLASS + b"\2\0\2L\0\1ft\0\0I\0\1g", CorruptDataError, "out of order"),
        (b"s" + CLASS + b"\4\0\0xp", UnsupportedDataError, "old way"),
        (b"s" + CLASS + b"\2\0\1L\0\1ft\0\0xpx", CorruptDataError, "field of an object is missing"),
        (b"u" + CLASS + b"\2\0\0xp", CorruptDataError, "no array"),
        (b"ur\0\2[F" + bytes(8) + b"\2\0\0xp\xff\xff\xff\xff", CorruptDataError, "negative"),
        (b"ur\0\2[F" + bytes(8) + b"\2\0\0xp\x7f\xff\xff\xff", TruncatedDataError, "an array"),
        (b"ur\0\2[L" + bytes(8) + b"\2\0\0xp\x7f\xff\xff\xff", TruncatedDataError, "an array"),
        (b"ur\0\2[L" + bytes(8) + b"\2\0\0xp\0\0\0\1x", CorruptDataError, "item"),
        (b"|\x7f\xff\xff\xff\xff\xff\xff\xff", TruncatedDataError, "a text"),
        (b"|\xff\xff\xff\xff\xff\xff\xff\xff", CorruptDataError, "negative"),
        (b"z\x7f\xff\xff\xff", TruncatedDataError, "a block"),
        (b"z\xff\xff\xff\xff", CorruptDataError, "negative"),
        (b"", TruncatedDataError, "a value"),
    ],
)
def test_nonsense(raw: bytes, error: type[DataFileError], message: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(error, match=message) as caught:
            one(raw).read_value()
        assert tracemalloc.get_traced_memory()[1] < 2**21
    finally:
        tracemalloc.stop()
    assert caught.type is error
    assert "test" in str(caught.value)
    assert "byte" in str(caught.value)


def test_end_is_a_mark() -> None:
    assert one(b"x").read_value() is Mark.END
