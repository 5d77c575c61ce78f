"""The compiled parser: it gives what the simple reader of the tests gives, in any pieces."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qpdata.qpdata_builder import EXTERNAL, SERIALIZABLE, STRING, Obj, QuPathWriter, Roi, data_file
from qpdata.qpdata_samples import (
    EMPTY,
    SAMPLES,
    VARIED,
    by_hand,
    check_agreement,
    checked,
    columns,
    parsed,
    parsed_in_pieces,
    told,
)

from qpmask.common import filewindow
from qpmask.errors import CorruptDataError, UnsupportedDataError
from qpmask.jit import growing
from qpmask.qpdata import parser, read_qpdata, read_qpdata_bytes
from qpmask.qpdata.parser import Parser, TooFarBackError

ID = "01234567-89ab-cdef-0123-456789abcdef"
SQUARE_WKB = struct.pack(">BIII8d", 0, 3, 1, 4, 0, 0, 5, 0, 5, 5, 0, 0)

# ----------------------------------------------------------------- any objects

rois = st.one_of(
    st.none(),
    st.builds(
        lambda kind, xy, plane: Roi(kind, tuple(zip(*xy, strict=True)) or ((), ()), plane),
        st.sampled_from(["PolygonROI", "PolylineROI", "PointsROI"]),
        st.lists(st.tuples(*[st.floats(width=32)] * 2), max_size=9),
        st.tuples(*[st.integers(-1, 3)] * 3),
    ),
    st.builds(
        lambda kind, box: Roi(kind, box),
        st.sampled_from(["RectangleROI", "EllipseROI", "LineROI"]),
        st.tuples(*[st.floats()] * 4),
    ),
    st.just(Roi("GeometryROI", SQUARE_WKB)),
    st.just(Roi("AreaROI", [([1, 2, 3], [1, 5, 3])])),
)
keys = st.sampled_from(["Object ID", "other", "", "Object IE", "ü"])
values = st.one_of(st.uuids().map(str), st.sampled_from(["", "1-2-3-4-5", ID.upper(), "x" * 36]))
kinds = st.sampled_from(["Annotation", "Detection", "Cell", "Tile", "TMACore"]).map(
    lambda kind: kind + "Object" if kind == "TMACore" else f"Path{kind}Object"
)
objects = st.recursive(
    st.builds(
        Obj,
        kind=kinds,
        name=st.none() | st.text(max_size=5),
        color=st.none() | st.integers(-(2**31), 2**31 - 1),
        metadata=st.none() | st.dictionaries(keys, values, max_size=4),
        locked=st.sampled_from([None, True, False, False]),
        path_class=st.sampled_from([None, (), ("A",), ("A", "B"), ("C",)]),
        roi=rois,
        nucleus=rois,
        probability=st.floats(),
    ),
    lambda children: st.builds(
        lambda item, inside: item.with_(children=inside), children, st.lists(children, max_size=4)
    ),
    max_leaves=30,
)


def count(items: list[Obj]) -> int:
    return sum(1 + count(list(item.children)) for item in items)


@settings(max_examples=60)
@given(st.lists(objects, max_size=12))
def test_any_objects(items: list[Obj]) -> None:
    check_agreement(data_file(items), count(items))


# ------------------------------------------------------------- many objects


def varied(n: int) -> list[Obj]:
    """Objects of which hardly two have the same layout."""
    rng = np.random.default_rng(3)
    items: list[Obj] = []
    for i in range(n):
        n_vertices = int(rng.integers(3, 40))
        children = items[-3:] if i % 50 == 49 else []
        del items[len(items) - len(children) :]
        items.append(
            Obj(
                ("PathAnnotationObject", "PathDetectionObject", "PathCellObject")[i % 3],
                name=None if i % 3 else f"name {i}"[: i % 9],
                color=i if i % 7 == 0 else None,
                metadata={f"key {j}": f"{i}" for j in range(i % 4)} | {"Object ID": ID},
                children=children,
                path_class=(None, ("A",), ("A", "B"))[i % 3],
                locked=i % 5 == 0,
                roi=Roi("PolygonROI", rng.random((2, n_vertices)).tolist(), (-1, i % 3, 0)),
                nucleus=Roi("EllipseROI", (1, 2, 3, i)) if i % 4 else None,
            )
        )
    return items


def test_varied_objects() -> None:
    items = varied(3000)
    data = data_file(items)
    assert count(items) == 3000
    assert told(parsed(data, details=True)) == by_hand(data)
    assert columns(parsed(data)) == columns(parsed_in_pieces(data, 5000))


@pytest.mark.parametrize("path", (*SAMPLES, *EMPTY, *VARIED), ids=lambda path: path.stem)
def test_files_of_qupath_are_known(path: Path) -> None:
    check_agreement(path.read_bytes())
    assert columns(parsed(path.read_bytes())) == columns(read_qpdata(path))


@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize("window", [5, 64, 1000, 1 << 20])
def test_pieces_of_any_size(window: int, ahead: bool) -> None:
    for details in (False, True):
        found = columns(parsed(VARIED[0].read_bytes(), details=details))
        with (
            patch.multiple(parser, WINDOW_BYTES=window, _FIRST_ROOM=1),
            patch.object(filewindow, "AHEAD_BYTES", 0 if ahead else 1 << 40),
            patch.object(filewindow, "n_cores", return_value=2),
        ):
            assert columns(read_qpdata(VARIED[0], details=details)) == found


def test_memory_is_taken_ahead_while_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "data.qpdata"
    path.write_bytes(data_file(varied(3000)))
    found = columns(read_qpdata(path))
    taken: list[int] = []

    def take(address: int, n_bytes: int) -> None:
        taken.append(n_bytes)
        assert (np.ctypeslib.as_array((ctypes.c_uint8 * n_bytes).from_address(address)) >= 0).all()

    with (
        patch.object(parser, "WINDOW_BYTES", 5000),
        patch.object(filewindow, "AHEAD_BYTES", 0),
        patch.object(filewindow, "n_cores", return_value=2),
        patch.object(growing, "_STEP_BYTES", 1 << 10),
        patch.object(parser, "take_memory", take),
    ):
        assert columns(read_qpdata(path)) == found
    assert sum(taken) > 100_000


# ------------------------------------------------------- any content of objects


def written(n: int, write: Callable[[QuPathWriter, int], None], after: Sequence[Obj] = ()) -> bytes:
    """A file of ``n`` annotations whose measurements ``write`` writes, and other objects."""
    writer = QuPathWriter()
    writer.head()
    writer.open_hierarchy()
    writer.open_object(Obj("PathRootObject", children=[Obj()] * (n + len(after))))
    for i in range(n):
        writer.object("qupath.lib.objects.PathAnnotationObject", EXTERNAL, (), _ROI_BASE)
        writer.null()
        writer.null()
        write(writer, i)
        writer.block(bytes(4))
        writer.close_object(Obj(roi=Roi("PolylineROI", ([i, 2], [3, 4]))))
    for item in after:
        writer.tree(item)
    writer.end()
    writer.null()
    writer.tail()
    return bytes(writer.data)


_BASE = ("qupath.lib.objects.PathObject", EXTERNAL)
_ROI_BASE = ("qupath.lib.objects.PathROIObject", EXTERNAL, (), _BASE)


def measurements(writer: QuPathWriter, i: int) -> None:
    """Lists as QuPath writes them: shared names, names of their own, none; new and old."""
    if i % 4 == 0:
        writer.null()
        return
    list_class = ("java.util.ArrayList", SERIALIZABLE | 1, [("I", "size")])
    if i % 4 == 1:
        writer.object("DefaultMeasurementList", SERIALIZABLE, [("Ljava/util/List;", "list")])
        writer.object(*list_class)
        writer.raw(struct.pack(">i", i % 5))
        writer.block(bytes(4))
        for j in range(i % 5):
            writer.object("DoubleMeasurement", SERIALIZABLE, [("D", "value"), (STRING, "name")])
            writer.raw(struct.pack(">d", j))
            writer.string(f"name {j * i % 7}", share=True)
        writer.end()
        return
    fields = [("Z", "isClosed"), ("Ljava/util/Map;", "map"), ("Ljava/util/List;", "names")]
    base = ("AbstractNumericMeasurementList", SERIALIZABLE, fields)
    code = "DF"[i % 3 == 0]
    name = f"NumericMeasurementList${'Double' if code == 'D' else 'Float'}List"
    writer.object(name, SERIALIZABLE, [(f"[{code}", "values")], base)
    writer.raw(b"\1")
    # The map, of which nothing is taken, may name things first.
    writer.string("name 1", share=True) if i % 8 == 3 else writer.null()
    if i % 4 == 2:
        writer.object("java.util.Collections$UnmodifiableList", SERIALIZABLE,
                      [("Ljava/util/List;", "list")],
                      ("java.util.Collections$UnmodifiableCollection", SERIALIZABLE,
                       [("Ljava/util/Collection;", "c")]))  # fmt: skip
    key = ("names", i % 9) if i % 4 == 3 else ("own names", i)
    if not writer.refer(key):
        writer.object(*list_class, key=key)
        writer.raw(struct.pack(">i", i % 9))
        writer.block(bytes(4))
        for j in range(i % 9):
            writer.string(f"own {i}" if j == 3 else f"name {j}", share=j != 2)
        writer.end()
    if i % 4 == 2:
        writer.refer(key)
    values = [j / 7 for j in range(i % 9 + i % 2)] if i % 5 else [float("nan")] * 9
    writer.array(f"[{code}", code.lower(), values)


def test_measurements() -> None:
    data = written(400, measurements)
    check_agreement(data, 400)
    details = parsed(data, details=True).details
    assert details is not None
    measured = details.measurements
    assert np.diff(measured.offsets)[:8].tolist() == [0, 1, 2, 3, 0, 0, 6, 7]
    assert [measured.names[i] for i in measured.name[:6]] == [
        "name 0", "name 0", "name 1", "name 0", "name 1", "name 2"
    ]  # fmt: skip


def test_names_that_were_in_something_else_before() -> None:
    """Such as in the values that qpmask writes first, to describe classes."""
    lists = ("java.util.ArrayList", SERIALIZABLE | 1, [("I", "size")])

    def names(writer: QuPathWriter, key: object) -> None:
        if not writer.refer(key):
            writer.object(*lists, key=key)
            writer.raw(struct.pack(">i", 2))
            writer.block(bytes(4))
            writer.string("a")
            writer.string("b", share=True)
            writer.end()

    def measured(writer: QuPathWriter, i: int) -> None:
        if i == 0:
            writer.object_array("[Ljava.lang.Object;", 1)
            names(writer, "names")
            return
        base = ("AbstractNumericMeasurementList", SERIALIZABLE, [("Ljava/util/List;", "names")])
        name = "NumericMeasurementList$DoubleList"
        writer.object(name, SERIALIZABLE, [("[D", "values")], base)
        names(writer, "names")
        writer.array("[D", "d", [i, 0.5])

    data = written(3, measured)
    check_agreement(data, 3)
    details = parsed(data, details=True).details
    assert details is not None
    measured = details.measurements
    assert (measured.names, measured.value.tolist()) == (("a", "b"), [1, 0.5, 2, 0.5])


def test_metadata_and_measurements_behind_an_id() -> None:
    """As version 4 has them: the id, a number of fields, and as many."""

    def behind_an_id(writer: QuPathWriter, i: int) -> None:
        halves = [("J", "leastSigBits"), ("J", "mostSigBits")]
        writer.object("java.util.UUID", SERIALIZABLE, halves)
        writer.raw(struct.pack(">QQ", i, 16 + i))
        writer.block(struct.pack(">i", 2))
        writer.object("qupath.lib.objects.MetadataMap", EXTERNAL)
        writer.string("java.lang.String", share=True)
        for text in ("key", f"value {i}"):
            writer.object_array("[Ljava.lang.Object;", 1)
            writer.string(text, share=True)
        writer.end()
        measurements(writer, i)

    data = written(12, behind_an_id)
    check_agreement(data, 12)
    found = parsed(data, details=True)
    assert found.details is not None
    assert found.details.metadata == {i: {"key": f"value {i}"} for i in range(12)}
    assert found.id_of(3) == "00000000-0000-0013-0000-000000000003"


def test_lists_of_measurements_of_other_forms() -> None:
    """Names in an array, not in a list."""

    def in_an_array(writer: QuPathWriter, i: int) -> None:
        base = ("AbstractNumericMeasurementList", SERIALIZABLE, [("[Ljava/lang/String;", "names")])
        name = "NumericMeasurementList$DoubleList"
        writer.object(name, SERIALIZABLE, [("[D", "values")], base)
        writer.object_array("[Ljava.lang.String;", 2)
        writer.string("a", share=True)
        writer.string("b", share=True)
        writer.array("[D", "d", [i, 0.5])

    data = written(3, in_an_array)
    check_agreement(data, 3)
    details = parsed(data, details=True).details
    assert details is not None
    measured = details.measurements
    assert (measured.names, measured.value.tolist()) == (("a", "b"), [0, 0.5, 1, 0.5, 2, 0.5])


def nested(writer: QuPathWriter, i: int) -> None:
    for _ in range(900 if i == 7 else 12):
        writer.object_array("[Ljava.lang.Object;", 1)
    writer.null()


def long(writer: QuPathWriter, i: int) -> None:
    n = 5000 if i == 60 else i
    writer.object_array("[Ljava.lang.Object;", n)
    for _ in range(n):
        writer.null()


def enum(writer: QuPathWriter, i: int) -> None:
    writer.raw(b"~")
    writer.class_desc("Colour", 18, (), ("java.lang.Enum", 18))
    writer.handle()
    writer.string("RED")


def new_class(writer: QuPathWriter, i: int) -> None:
    writer.object(f"Class {i}", SERIALIZABLE)


def long_text(writer: QuPathWriter, i: int) -> None:
    if i % 10:
        writer.string("short")
        return
    writer.raw(b"|" + struct.pack(">q", 4) + b"long")
    writer.handle()


def long_block(writer: QuPathWriter, i: int) -> None:
    writer.object("Writes", EXTERNAL)
    writer.raw(b"z\0\0\1\0" + bytes(256) if i % 9 == 0 else b"w\1\0")
    writer.end()


@pytest.mark.parametrize("write", [nested, long, enum, new_class, long_text, long_block])
def test_unusual_forms(write: Callable[[QuPathWriter, int], None]) -> None:
    check_agreement(written(120, write), 120)


@pytest.mark.parametrize("code", [0, 1, 2, 0x6F, 0x79, 0x7B, 0x7F, 0xFF])
@pytest.mark.parametrize("inside", [False, True])
def test_unknown_codes(code: int, inside: bool) -> None:
    """They are an error however objects are read, inside a value too."""

    def unknown(writer: QuPathWriter, i: int) -> None:
        if inside:
            writer.object_array("[Ljava.lang.Object;", 2)
        writer.raw(bytes([code]) if i == 50 else b"p")
        writer.null()

    data = written(60, unknown)
    with pytest.raises(CorruptDataError):
        read_qpdata_bytes(data)
    for read in (parsed_in_pieces, checked):
        with pytest.raises(CorruptDataError):
            read(data)


def test_many_entries() -> None:
    items = [
        Obj(metadata={f"{j}": "x" for j in range(i % 32)} | {"Object ID": ID}) for i in range(100)
    ]
    check_agreement(data_file(items), 100)


def test_numbers_that_look_like_objects() -> None:
    """The bytes of a head in the coordinates, more than there are heads."""
    start = data_file([Obj()])
    at = start.index(b"PathAnnotationObject")
    fakes = []
    for handle in range(16):
        fakes.append(b"sq\0~\0" + bytes([handle]) + b"pppw\0\0\0\4\0\0\0\0pq\0~\0\1ppw\x08")
    raw = b"".join(fakes)
    raw = raw[: len(raw) // 4 * 4]
    floats = struct.unpack(f">{len(raw) // 4}f", raw)
    assert at > 0
    items = [Obj(roi=Roi("PolylineROI", (floats, floats)), name=f"{i}") for i in range(200)]
    data = data_file(items)
    assert data.count(b"sq\0~\0\5pppw") >= 200
    check_agreement(data, 200)


def test_class_with_a_high_handle() -> None:
    """Handles of more than 16 bits."""

    def names(writer: QuPathWriter, i: int) -> None:
        n = 70_000 if i == 0 else 0
        writer.object_array("[Ljava.lang.Object;", n)
        writer.raw(b"t\0\0" * n)
        writer.n_handles += n

    first = Obj("PathCellObject", roi=Roi("LineROI", (1, 2, 3, 4)))
    data = written(200, names, after=[first.with_(locked=i % 2 == 0) for i in range(200)])
    check_agreement(data, 400)


def test_nucleus_that_is_the_cell() -> None:
    rois = [Roi("LineROI", (1, 2, 3, i)) for i in range(100)]
    items = [
        Obj("PathCellObject", roi=roi, nucleus=roi if i % 20 == 7 else None)
        for i, roi in enumerate(rois)
    ]
    check_agreement(data_file(items), 100)


# ------------------------------------------------------- what is far away, or of many kinds


def test_name_that_refers_far_back(tmp_path: Path) -> None:
    """It is read again with all of it in memory."""

    writer = QuPathWriter()
    writer.head()
    writer.open_hierarchy()
    writer.open_object(Obj("PathRootObject", children=[Obj()] * 50))
    for i in range(50):
        writer.object("qupath.lib.objects.PathAnnotationObject", EXTERNAL, (), _ROI_BASE)
        writer.null() if i < 49 else writer.string("a text", share=True)
        writer.null()
        writer.string("a text", share=i > 0)  # the measurements
        writer.block(bytes(4))
        writer.close_object(Obj())
    writer.end()
    writer.null()
    writer.tail()
    data = bytes(writer.data)
    assert told(parsed(data, details=True)) == by_hand(data)
    path = tmp_path / "data.qpdata"
    path.write_bytes(data)
    with patch.object(parser, "WINDOW_BYTES", 100):
        with pytest.raises(TooFarBackError):
            Parser(BytesIO(data), len(data)).read()  # type: ignore[arg-type]
        assert columns(read_qpdata(path)) == columns(parsed(data))


def test_classes_without_end() -> None:
    def classes(writer: QuPathWriter, i: int) -> None:
        writer.object_array("[Ljava.lang.Object;", 1200 if i == 0 else 0)
        for j in range(1200 if i == 0 else 0):
            writer.object(f"Class {j}", SERIALIZABLE)

    data = written(3, classes)
    assert len(read_qpdata_bytes(data)) == 3
    with (
        patch.object(parser, "MAX_CLASSES", 1000),
        pytest.raises(UnsupportedDataError, match="more than 1,000 classes"),
    ):
        parsed(data)


@pytest.mark.parametrize("text", ["1-2-3-4-5", "no id", ""])
def test_ids_of_others(text: str) -> None:
    items = [Obj(metadata={"a": "b", "Object ID": text, "c": "d"}), Obj(metadata={"Object ID": ID})]
    check_agreement(data_file(items), 2)
