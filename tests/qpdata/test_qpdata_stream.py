"""What a Java stream can hold, written by hand into a data file, where nothing is taken of it."""

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
    Obj,
    QuPathWriter,
    data_file,
    modified_utf8,
)
from qpdata.qpdata_samples import check_agreement, checked

from qpmask.errors import (
    CorruptDataError,
    DataFileError,
    TruncatedDataError,
    UnsupportedDataError,
)
from qpmask.javastream.descriptors import MAX_SUPER_CLASSES
from qpmask.qpdata import read_qpdata_bytes
from qpmask.qpdata.kernel.library import MAX_DEPTH


def started() -> QuPathWriter:
    """A data file up to the values that nothing is taken of."""
    writer = QuPathWriter()
    writer.head()
    return writer


def ended(writer: QuPathWriter) -> bytes:
    """The same with a hierarchy, whose object and the text before it must be found."""
    writer.string("behind", share=True)
    writer.open_hierarchy()
    writer.tree(Obj("PathRootObject", children=[Obj(name="found")]))
    writer.null()
    writer.tail()
    return bytes(writer.data)


def check(writer: QuPathWriter) -> None:
    check_agreement(ended(writer), 1)


@pytest.mark.parametrize("text", ["", "plain", "ü", "a\0b", "𝄞 and 漢字", "\uffff"])
def test_texts(text: str) -> None:
    assert read_qpdata_bytes(data_file([Obj(name=text)])).names == (text,)
    raw = modified_utf8(text)
    writer = started()
    writer.raw(b"|" + struct.pack(">q", len(raw)) + raw)
    writer.handle()
    writer.reference(writer.n_handles - 1)
    check(writer)


def test_half_a_surrogate_pair_is_replaced() -> None:
    data = data_file([Obj(name="???")]).replace(b"???", b"\xed\xa0\xbd")
    assert read_qpdata_bytes(data).names == ("\ufffd",)


@pytest.mark.parametrize("raw", [b"\xff", b"\xf0\x9d\x84\x9e", b"\x80", b"a\xc3"])
def test_texts_that_are_none(raw: bytes) -> None:
    data = data_file([Obj(name="?" * len(raw))]).replace(b"?" * len(raw), raw)
    with pytest.raises(CorruptDataError, match="a text is not valid"):
        read_qpdata_bytes(data)


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
def test_arrays_are_passed_over(name: str, form: str, values: list[float]) -> None:
    writer = started()
    writer.array(name, form, values)
    check(writer)


def test_array_of_objects() -> None:
    writer = started()
    writer.object_array("[Ljava.lang.Object;", 3)
    writer.string("one")
    writer.null()
    writer.reference(writer.n_handles - 2)  # the array itself
    check(writer)


def test_object_with_super_class_and_contents() -> None:
    writer = started()
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
    check(writer)


def test_object_that_writes_itself_has_one_list_of_contents() -> None:
    writer = started()
    flags = EXTERNALIZABLE | BLOCK_DATA
    writer.object("Child", flags, (), ("Base", flags))
    writer.string("a")
    writer.block(b"")
    writer.raw(b"z\0\0\0\2\2x")
    writer.end()
    check(writer)


def test_enum_class_and_description() -> None:
    writer = started()
    writer.raw(b"~")
    writer.class_desc("Colour", 18, (), ("java.lang.Enum", 18))
    writer.handle()
    writer.string("RED")
    writer.raw(b"v")
    writer.class_desc("Thing")
    writer.handle()
    writer.class_desc("Other", SERIALIZABLE, [(STRING, "text")])
    assert len(checked(ended(writer))) == 1


def nested_arrays(depth: int) -> bytes:
    writer = started()
    for _ in range(depth):
        writer.object_array("[Ljava.lang.Object;", 1)
    writer.null()
    return ended(writer)


def test_nesting_is_limited_without_recursion() -> None:
    assert len(read_qpdata_bytes(nested_arrays(MAX_DEPTH))) == 1
    for depth in (MAX_DEPTH + 1, 100_000):
        with pytest.raises(CorruptDataError, match="inside objects"):
            read_qpdata_bytes(nested_arrays(depth))


def test_enums_cannot_nest() -> None:
    writer = started()
    for _ in range(50_000):
        writer.raw(b"~")
        writer.class_desc("E", 18)
        writer.handle()
    with pytest.raises(CorruptDataError, match="no name"):
        read_qpdata_bytes(bytes(writer.data))


def test_number_of_super_classes_is_limited() -> None:
    writer = started()
    writer.raw(b"s")
    for i in range(MAX_SUPER_CLASSES + 1):
        writer.raw(b"r" + writer.utf(f"C{i}") + bytes(8) + b"\2\0\0x")
    writer.null()
    with pytest.raises(CorruptDataError, match="super classes"):
        read_qpdata_bytes(ended(writer))
    for half in range(2):
        writer = started()
        for i in range(MAX_SUPER_CLASSES // 2 + half):
            writer.object(f"D{i}", SERIALIZABLE, (), (f"D{i - 1}",) if i else None)
    for i in range(MAX_SUPER_CLASSES // 2, MAX_SUPER_CLASSES + 2):
        writer.object(f"D{i}", SERIALIZABLE, (), (f"D{i - 1}",))
    with pytest.raises(CorruptDataError, match="super classes"):
        read_qpdata_bytes(ended(writer))


def test_class_is_not_its_own_super_class() -> None:
    writer = started()
    writer.raw(b"sr" + writer.utf("C") + bytes(8) + b"\2\0\0x")
    writer.reference(writer.n_handles)
    with pytest.raises(CorruptDataError, match="no class"):
        read_qpdata_bytes(ended(writer))


CLASS = b"r\0\1C" + bytes(8)
OBJECTS = b"ur\0\2[L" + bytes(8) + b"\2\0\0xp"


@pytest.mark.parametrize(
    ("raw", "error", "message"),
    [
        (b"q\0\x7e\7\0", CorruptDataError, "points at nothing"),
        (b"q\0\0\0\0", CorruptDataError, "points at nothing"),
        (b"q\xff\xff\xff\xff", CorruptDataError, "points at nothing"),
        (b"q\x7f\xff\xff\xff", CorruptDataError, "points at nothing"),
        (b"\x00", CorruptDataError, r"unknown code \(0x00\)"),
        (b"\xff", CorruptDataError, r"unknown code \(0xFF\)"),
        (OBJECTS + b"\0\0\0\1y", CorruptDataError, "reset"),
        (b"{", CorruptDataError, "failed"),
        (b"x", CorruptDataError, "raw data was found"),
        (b"s}", UnsupportedDataError, "proxy"),
        (b"sp", CorruptDataError, "no class"),
        (b"st\0\0", CorruptDataError, "class description"),
        (b"sq\0\x7e\0\0", CorruptDataError, "something that is no class"),
        (b"s" + CLASS + b"\2\0\0p", UnsupportedDataError, "the class C has annotations"),
        (b"s" + CLASS + b"\2\0\1Q\0\1f", CorruptDataError, "class C is of no known type"),
        (b"s" + CLASS + b"\2\0\1L\0\1fp", CorruptDataError, "field of the class C has no type"),
        (b"s" + CLASS + b"\2\0\2L\0\1ft\0\0I\0\1gxp", CorruptDataError, "C are out of order"),
        (b"s" + CLASS + b"\2\0\1I\0\1\xffxp", CorruptDataError, "a text is not valid"),
        (b"s" + CLASS + b"\4\0\0xp", UnsupportedDataError, "the class C is stored in an old way"),
        (b"s" + CLASS + b"\2\0\1L\0\1ft\0\0xpx", CorruptDataError, "field of an object is missing"),
        (b"u" + CLASS + b"\2\0\0xp", CorruptDataError, "no array"),
        (b"ur\0\2[F" + bytes(8) + b"\2\0\0xp\xff\xff\xff\xff", CorruptDataError, "negative"),
        (b"ur\0\2[F" + bytes(8) + b"\2\0\0xp\x7f\xff\xff\xff", TruncatedDataError, "an array"),
        (OBJECTS + b"\x7f\xff\xff\xff", TruncatedDataError, "an array"),
        (OBJECTS + b"\0\0\0\1x", CorruptDataError, "item"),
        (b"|\x7f\xff\xff\xff\xff\xff\xff\xff", TruncatedDataError, "a text"),
        (b"|\xff\xff\xff\xff\xff\xff\xff\xff", CorruptDataError, "negative"),
        (b"s" + CLASS + b"\x0c\0\0xpz\x7f\xff\xff\xff", TruncatedDataError, "a block"),
        (b"s" + CLASS + b"\x0c\0\0xpz\xff\xff\xff\xff", CorruptDataError, "negative"),
        (b"", TruncatedDataError, "a value"),
    ],
)
def test_nonsense(raw: bytes, error: type[DataFileError], message: str) -> None:
    writer = started()
    writer.raw(raw)
    data = ended(writer) if raw else bytes(writer.data)
    tracemalloc.start()
    try:
        with pytest.raises(error, match=message) as caught:
            read_qpdata_bytes(data, source="test")
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()
    assert caught.type is error
    assert "test" in str(caught.value)
    assert "byte" in str(caught.value)
    with pytest.raises(error):
        checked(data)
