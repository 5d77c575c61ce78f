"""Objects that are read together: the same as one by one, and really together."""

from __future__ import annotations

import gc
import struct
import weakref
from collections.abc import Callable, Sequence
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qpdata.qpdata_builder import EXTERNAL, SERIALIZABLE, STRING, Obj, QuPathWriter, Roi, data_file
from qpdata.qpdata_samples import VARIED, records, together

from qpmask.errors import CorruptDataError
from qpmask.qpdata import many, read_qpdata_bytes, windows
from qpmask.qpdata.columns import ObjectColumns
from qpmask.qpdata.gather import Growing, gather
from qpmask.qpdata.lanedata import LaneData
from qpmask.qpdata.lanes import MAX_LEVELS, MAX_STEPS
from qpmask.qpdata.objects import HierarchyReader
from qpmask.qpdata.pieces import MAX_ENTRIES

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


def check_agreement(data: bytes, n_objects: int) -> None:
    with together(None):
        expected = records(read_qpdata_bytes(data))
    assert len(expected) == n_objects
    for before in (0, 1, 2, 24):
        with together(before):
            assert records(read_qpdata_bytes(data)) == expected


def count(items: list[Obj]) -> int:
    return sum(1 + count(list(item.children)) for item in items)


@settings(max_examples=60)
@given(st.lists(objects, max_size=12))
def test_any_objects(items: list[Obj]) -> None:
    check_agreement(data_file(items), count(items))


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 300)), max_size=40))
def test_gather(stretches: list[tuple[int, int]]) -> None:
    data = np.random.default_rng(0).bytes(6000)
    starts, sizes = np.array(stretches, np.int64).reshape(-1, 2).T
    expected = b"".join(data[start : start + size] for start, size in stretches)
    assert gather(data, starts, sizes).tobytes() == expected
    room = np.full(4000, 7, np.uint8)
    assert gather(data, starts, sizes, room).tobytes() == expected
    assert (room[len(expected) :] == 7).all()


@given(st.lists(st.integers(0, 50), max_size=30))
def test_an_array_grows_and_keeps_what_is_in_it(counts: list[int]) -> None:
    growing = Growing(np.int64, 2)
    expected = []
    for i, n in enumerate(counts):
        growing.add(n)[:] = i
        expected += n * [[i, i]]
    assert growing.take().tolist() == expected
    assert growing.take().shape == (0, 2)


# ------------------------------------------------------------- really together


def n_read_singly(data: bytes) -> int:
    """How many objects are not read together with others."""
    n_calls = 0
    read = HierarchyReader._open

    def counted(self: HierarchyReader, parent: int | None) -> many.OpenObject:
        nonlocal n_calls
        n_calls += 1
        return read(self, parent)

    with patch.object(HierarchyReader, "_open", counted):
        read_qpdata_bytes(data)
    return n_calls - 1


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


def test_hardly_any_object_is_read_singly() -> None:
    items = varied(3000)
    data = data_file(items)
    assert count(items) == 3000
    assert n_read_singly(data) < 100
    check_agreement(data, 3000)


def test_file_of_qupath_is_read_together() -> None:
    data = VARIED[0].read_bytes()
    with together(1):
        assert n_read_singly(data) < 50


@pytest.mark.parametrize("depth", [windows.MAX_TAILS // 2, 40])
def test_last_children_of_last_children(depth: int) -> None:
    """Parents end where their last child ends, and that one's last child."""
    items = []
    for i in range(150):
        item = Obj(roi=Roi("LineROI", (1, 2, 3, i)))
        for _ in range(depth if i % 10 == 5 else 0):
            item = Obj(children=[Obj("PathTileObject"), item])
        items.append(item)
    data = data_file(items)
    check_agreement(data, count(items))
    if depth < windows.MAX_TAILS:
        assert n_read_singly(data) < 40


# ------------------------------------------------------- what is left to others


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
    if i % 4 == 1:
        list_class = ("java.util.ArrayList", SERIALIZABLE | 1, [("I", "size")])
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
    fields = [("Z", "isClosed"), ("Ljava/util/List;", "names")]
    base = ("NumericMeasurementList", SERIALIZABLE, fields)
    writer.object("DoubleList", SERIALIZABLE, [("[D", "values")], base)
    writer.raw(b"\1")
    writer.object_array("[Ljava.lang.String;", i % 9)
    for j in range(i % 9):
        writer.string(f"own {i}" if j == 3 else f"name {j}", share=j != 2)
    writer.array("[D", "d", range(i % 9))


def test_measurements() -> None:
    data = written(400, measurements)
    check_agreement(data, 400)
    assert n_read_singly(data) < 60


def nested(writer: QuPathWriter, i: int) -> None:
    for _ in range(MAX_LEVELS + 3 if i % 20 == 7 else MAX_LEVELS - 2):
        writer.object_array("[Ljava.lang.Object;", 1)
    writer.null()


def long(writer: QuPathWriter, i: int) -> None:
    n = MAX_STEPS + 10 if i == 60 else i
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


@pytest.mark.parametrize(
    ("write", "n_singly"),
    [
        (nested, 24 + 6),
        (long, 24 + 1),
        (enum, 120),
        (new_class, 120),
        (long_text, 24 + 10),
        (long_block, 24 + 11),
    ],
)
def test_unusual_forms(write: Callable[[QuPathWriter, int], None], n_singly: int) -> None:
    """What is not followed is read singly, and the rest is not."""
    data = written(120, write)
    check_agreement(data, 120)
    with patch.object(many, "MANY", 1):
        assert n_read_singly(data) <= n_singly


@pytest.mark.parametrize("code", [0, 1, 2, 0x6F, 0x79, 0x7B, 0x7F, 0xFF])
@pytest.mark.parametrize("inside", [False, True])
def test_unknown_codes(code: int, inside: bool) -> None:
    """They are an error however objects are read, inside a value too."""

    def unknown(writer: QuPathWriter, i: int) -> None:
        if inside:
            writer.object_array("[Ljava.lang.Object;", 2)
        writer.raw(bytes([code]) if i == 50 else b"p")
        writer.null()

    for before in (None, 0, 24):
        with together(before), pytest.raises(CorruptDataError):
            read_qpdata_bytes(written(60, unknown))


def test_many_entries() -> None:
    items = [
        Obj(metadata={f"{j}": "x" for j in range(i % (2 * MAX_ENTRIES))} | {"Object ID": ID})
        for i in range(100)
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
    assert n_read_singly(data) < 100


def test_objects_that_refer_to_themselves() -> None:
    """Read singly, without a second look at those that follow them."""
    rois = [Roi("LineROI", (1, 2, 3, i)) for i in range(600)]
    items = [
        Obj("PathCellObject", roi=roi, nucleus=roi if i % 20 == 7 else None)
        for i, roi in enumerate(rois)
    ]
    data = data_file(items)
    check_agreement(data, 600)
    n_looked_at = 0
    add = many.ManyReader._add

    def counted(self: many.ManyReader, window: object, pieces: np.ndarray, stack: object) -> int:
        nonlocal n_looked_at
        n_looked_at += len(pieces)
        return add(self, window, pieces, stack)

    with patch.object(many.ManyReader, "_add", counted):
        assert n_read_singly(data) < 24 + 40
    assert n_looked_at < 3 * 600


def test_data_is_freed_before_the_columns_are_made() -> None:
    """Nothing that was used to read it may hold it until garbage is collected."""
    seen: list[weakref.ref[LaneData]] = []
    alive: list[bool] = []
    finish = ObjectColumns.finish

    class Source(LaneData):
        def __init__(self, data: bytes) -> None:
            super().__init__(data)
            seen.append(weakref.ref(self))

    def finished(self: ObjectColumns, **about: object) -> object:
        alive.append(seen[0]() is not None)
        return finish(self, **about)

    gc.disable()
    try:
        with (
            patch.object(many, "LaneData", Source),
            patch.object(ObjectColumns, "finish", finished),
        ):
            read_qpdata_bytes(written(400, measurements))
    finally:
        gc.enable()
    assert alive == [False]
