"""Data files written by hand: what each version of QuPath writes, and what none does."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from qpdata.qpdata_builder import EXTERNAL, SERIALIZABLE, Obj, QuPathWriter, Roi, data_file
from qpdata.qpdata_samples import check_agreement

from qpmask.errors import (
    CorruptDataError,
    DataFileError,
    DataFileMissingError,
    TruncatedDataError,
    UnsupportedDataError,
)
from qpmask.imageobjects import ObjectKind, RingKind, RoiKind
from qpmask.qpdata import read_qpdata, read_qpdata_bytes
from qpmask.qpdata.kernel.library import MAX_LEVELS

ID = "01234567-89ab-cdef-0123-456789abcdef"
TRIANGLE = Roi("PolygonROI", ([0.1, 10.5, 3], [1, 2, 30]))
POLYGON_WKB = struct.pack(">BIIId6d", 0, 3, 1, 4, 0.123456, 0, 5, 0, 5, 5, 0) + struct.pack(">d", 0)


class TestVersions:
    def test_version_2(self) -> None:
        objects = read_qpdata_bytes(data_file([Obj(roi=TRIANGLE)]))
        assert (objects.version, objects.server) == (2, "Image path: /images/one.tif")
        assert objects.image_type == "FLUORESCENCE"
        assert objects.id_of(0) is None
        assert objects.names == (None,)
        assert repr(objects) == "<ImageObjects: 1 of 0 classes>"

    def test_version_3_has_ids_in_the_metadata(self) -> None:
        item = Obj(roi=TRIANGLE, metadata={"other": "x", "Object ID": ID.upper()})
        file = data_file([item], first_line="Data file version 3", server='{"dataVersion":3}')
        objects = read_qpdata_bytes(file)
        assert (objects.version, objects.server) == (3, '{"dataVersion":3}')
        assert objects.id_of(0) == ID

    def test_version_4_has_ids_of_their_own(self) -> None:
        item = Obj(roi=TRIANGLE, uuid=int(ID.replace("-", ""), 16))
        file = data_file([item, item], first_line="Data file version 4")
        assert [read_qpdata_bytes(file).id_of(i) for i in (0, 1)] == [ID, ID]

    @pytest.mark.parametrize(
        ("line", "error"),
        [
            ("Data file version 1.0", UnsupportedDataError),
            ("Data file version 5", UnsupportedDataError),
            ("Data file version", CorruptDataError),
            ("Something else", CorruptDataError),
        ],
    )
    def test_other_versions(self, line: str, error: type[DataFileError]) -> None:
        with pytest.raises(error):
            read_qpdata_bytes(data_file([Obj()], first_line=line))

    def test_lock_may_be_absent(self) -> None:
        items = [Obj(roi=TRIANGLE, locked=None, path_class=("A",)), Obj(locked=True), Obj()]
        objects = read_qpdata_bytes(data_file(items))
        assert objects.locked.tolist() == [False, True, False]
        assert objects.class_index.tolist() == [0, -1, -1]

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("1-2-3-4-5", "00000001-0002-0003-0004-000000000005"),
            ("no id", None),
            ("", None),
            ("-", None),
            ("x" * 36, None),
            (ID + "0", None),
            (ID[:-1] + "g", None),
        ],
    )
    def test_ids_as_java_reads_them(self, text: str, expected: str | None) -> None:
        items = [Obj(metadata={"Object ID": text}), *[Obj(metadata={"Object ID": ID})] * 6]
        items += [Obj(metadata={"Object ID": text})] * 6
        objects = read_qpdata_bytes(data_file(items))
        ids = [objects.id_of(i) for i in range(13)]
        assert ids == [expected] + [ID] * 6 + [expected] * 6


class TestHierarchy:
    def test_order_is_that_of_the_tree(self) -> None:
        grandchild = Obj("PathCellObject", name="aa", roi=TRIANGLE)
        children = [Obj(name="a", children=[grandchild]), Obj("PathTileObject", name="b")]
        items = [Obj("TMACoreObject", name="1", children=children, missing=True), Obj(name="2")]
        items.append(Obj("PathDetectionObject", name="3"))
        objects = read_qpdata_bytes(data_file(items))
        assert objects.names == ("1", "a", "aa", "b", "2", "3")
        assert objects.parent.tolist() == [-1, 0, 1, 0, -1, -1]
        assert [ObjectKind(kind).name for kind in objects.kind] == [
            *("TMA_CORE", "ANNOTATION", "CELL", "TILE", "ANNOTATION", "DETECTION")
        ]
        assert objects.missing.tolist() == [True] + [False] * 5

    def test_no_objects(self) -> None:
        objects = read_qpdata_bytes(data_file([]))
        assert len(objects) == len(objects.rois) == 0
        assert objects.ids.shape == (0,)
        assert objects.rois.bounds_px0.shape == (0, 4)
        assert objects.rois.vertices32_px0.shape == objects.rois.vertices64_px0.shape == (0, 2)

    def test_deep_nesting(self) -> None:
        item = Obj(roi=TRIANGLE)
        for _ in range(MAX_LEVELS - 2):
            item = Obj(children=[item])
        objects = read_qpdata_bytes(data_file([item]))
        assert objects.parent.tolist() == list(range(-1, MAX_LEVELS - 2))
        with pytest.raises(UnsupportedDataError, match="levels deep"):
            read_qpdata_bytes(data_file([Obj(children=[Obj(children=[item])])]))

    def test_unknown_kind_of_object(self) -> None:
        writer = QuPathWriter()
        writer.head()
        writer.open_hierarchy()
        writer.open_object(Obj("PathRootObject", children=[Obj(), Obj()]))
        for _ in range(2):
            base = ("qupath.lib.objects.PathObject", EXTERNAL)
            writer.object("some.other.Thing", EXTERNAL, (), base)
            for _ in range(3):
                writer.null()
            writer.block(bytes(4))
            writer.end()
        writer.end()
        writer.null()
        writer.tail()
        objects = read_qpdata_bytes(bytes(writer.data))
        assert objects.kind.tolist() == [ObjectKind.OTHER] * 2
        assert objects.roi.tolist() == [-1, -1]

    def test_classes(self) -> None:
        items = [
            Obj(path_class=("Tumor", "Positive"), class_color=7),
            Obj(path_class=()),
            Obj(path_class=("Tumor",)),
            Obj(path_class=(" Tumor\t",), class_color=9),
            Obj(path_class=("tumor",), class_color=None),
            Obj(path_class=("Größe 𝄞",)),
        ]
        objects = read_qpdata_bytes(data_file(items))
        assert objects.class_index.tolist() == [0, -1, 1, 1, 2, 3]
        names = ["Tumor: Positive", "Tumor", "tumor", "Größe 𝄞"]
        assert [item.name for item in objects.classes] == names
        assert objects.classes[0].color_argb == 7
        assert objects.classes[2].color_argb is None
        assert objects.class_of(1) is None


class TestRois:
    def test_every_kind(self) -> None:
        rois = [
            TRIANGLE,
            Roi("RectangleROI", (0.1, 5, 0.7, 1), (0, 1, 2)),
            Roi("EllipseROI", (1, 2, 3, 4)),
            Roi("LineROI", (9, 8, 1, 2)),
            Roi("PolylineROI", ([1, 2], [3, 4])),
            Roi("PointsROI", ([5, float("nan")], [6, 7])),
            Roi("GeometryROI", POLYGON_WKB),
            Roi("AreaROI", [([0, 1, 1], [0, 0, 1]), ([5, 6], [7, 8])]),
        ]
        found = read_qpdata_bytes(data_file([Obj(roi=roi) for roi in rois])).rois
        assert repr(found) == "<Rois: 8>"
        assert found.kind.tolist() == list(RoiKind)
        assert (found.c[1], found.z[1], found.t[1]) == (0, 1, 2)
        # As QuPath reads a box: the end is the start plus the width, and corners are sorted.
        assert found.box_px0[1].tolist() == [0.1, 1.0, 0.1 + (0.7 - 0.1), 5.0]
        assert found.box_px0[3].tolist() == [9.0, 8.0, 1.0, 2.0]
        assert np.isnan(found.box_px0[[0, 4, 5, 6, 7]]).all()
        assert found.bounds_px0[3].tolist() == [1, 2, 9, 8]
        assert found.bounds_px0[5].tolist() == [5, 6, 5, 7]
        assert found.bounds_px0[7].tolist() == [0, 0, 6, 8]
        assert found.bounds_px0[6].tolist() == [0, 0, 5, 5]
        (ring,) = found.rings(6)
        assert ring.dtype == np.float64
        assert ring[0, 0] == 0.123456
        assert [ring.tolist() for ring in found.rings(7)] == [
            [[0, 0], [1, 0], [1, 1]],
            [[5, 7], [6, 8]],
        ]
        assert found.is_line.tolist() == [False] * 3 + [True] * 2 + [False] * 3
        assert found.is_point.tolist() == [False] * 5 + [True] + [False] * 2
        assert found.ring_kind.tolist() == [
            *(RingKind.POLYGON, RingKind.LINE, RingKind.POINT),
            *(RingKind.POLYGON, RingKind.POLYGON, RingKind.POLYGON),
        ]
        assert found.ring_part.tolist() == [0, 0, 0, 0, 0, 1]

    def test_shared_roi_is_kept_once(self) -> None:
        items = [Obj(children=[Obj()], roi=TRIANGLE), Obj(roi=TRIANGLE), Obj(roi=TRIANGLE)]
        objects = read_qpdata_bytes(data_file(items))
        assert objects.roi.tolist() == [1 - 1, -1, 0, 0]

    def test_alike_objects(self) -> None:
        items = []
        for i in range(60):
            n = 3 + i % 5
            outline = Roi("PolygonROI", (range(i, i + n), range(n)), (-1, i % 2, 0))
            nucleus = None if i % 3 == 0 else Roi("EllipseROI", (i, i, i + 2, i + 3))
            items.append(
                Obj(
                    ("PathCellObject", "PathDetectionObject")[i % 7 == 0],
                    name=None if i % 4 else f"name {i % 8} ü",
                    metadata={"Object ID": f"{ID[:-2]}{i:02d}"} if i % 11 else None,
                    path_class=(None, ("A",), ("A", "B"))[i % 3],
                    locked=i % 5 == 0,
                    probability=i / 10,
                    roi=Roi("GeometryROI", POLYGON_WKB) if i % 13 == 5 else outline,
                    nucleus=nucleus,
                )
            )
        # Something in between that no layout fits, and a reference into a skipped object.
        items.insert(30, Obj(name="parent", children=[items[7].with_(), *items[:20]]))
        items.append(items[17].with_(kind="PathTileObject"))
        check_agreement(data_file(items), 83)

    def test_many_references_to_the_same_coordinates(self) -> None:
        writer = QuPathWriter()
        writer.head()
        writer.open_hierarchy()
        items = [Obj(roi=Roi("PolylineROI", ([0.0] * 10_000, [0.0] * 10_000)))] * 500
        writer.open_object(Obj("PathRootObject", children=items))
        for i, item in enumerate(items):
            writer.open_object(item)
            writer.boolean(False)
            writer.null()
            if i == 0:
                writer.roi(item.roi)
                last = writer.n_handles - 1
            else:
                writer.object("qupath.lib.roi.PolylineROI$SerializationProxy")
                writer.raw(struct.pack(">iii", -1, 0, 0))
                writer.reference(last - 1)
                writer.reference(last)
            writer.block(bytes(8))
            writer.end()
        writer.end()
        writer.null()
        writer.tail()
        with pytest.raises(CorruptDataError, match="same coordinates"):
            read_qpdata_bytes(bytes(writer.data))


def changed(change: Callable[[QuPathWriter], None]) -> bytes:
    """A file whose hierarchy is written by ``change``."""
    writer = QuPathWriter()
    writer.head()
    writer.open_hierarchy()
    change(writer)
    writer.null()
    writer.tail()
    return bytes(writer.data)


def same_child_twice(writer: QuPathWriter) -> None:
    writer.open_object(Obj("PathRootObject", children=[Obj(), Obj()]))
    first = writer.n_handles
    writer.tree(Obj())
    writer.reference(first + 1)
    writer.end()


def parent_as_child(writer: QuPathWriter) -> None:
    writer.open_object(Obj("PathRootObject", children=[Obj()]))
    writer.reference(writer.known[("class", "qupath.lib.objects.PathRootObject")] + 2)
    writer.end()


def too_many_children(writer: QuPathWriter) -> None:
    writer.open_object(Obj("PathRootObject"))
    writer.data[-4:] = struct.pack(">i", 2**31 - 1)
    writer.end()


def negative_children(writer: QuPathWriter) -> None:
    writer.open_object(Obj("PathRootObject"))
    writer.data[-4:] = struct.pack(">i", -1)
    writer.end()


def class_of_its_own(writer: QuPathWriter) -> None:
    writer.open_object(Obj("PathRootObject", children=[Obj()]))
    writer.open_object(Obj())
    writer.boolean(False)
    start = writer.n_handles
    writer.path_class(("A",), None)
    writer.data[-1:] = b""
    writer.reference(writer.known[("path class", ("A",))])
    assert writer.n_handles > start
    writer.roi(None)
    writer.block(bytes(8))
    writer.end()
    writer.end()


def tree_of(*items: Obj) -> Callable[[QuPathWriter], None]:
    return lambda writer: writer.tree(Obj("PathRootObject", children=items))


def unknown_roi(writer: QuPathWriter) -> None:
    writer.tree(Obj("PathRootObject", children=[Obj(roi=Roi("SpiralROI", ([], [])))]))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda w: w.null(), CorruptDataError, "missing"),
        (lambda w: w.reference(0), CorruptDataError, "refers to a root"),
        (lambda w: w.string("x"), CorruptDataError, "missing"),
        (lambda w: w.tree(Obj()), CorruptDataError, "no root"),
        (lambda w: w.object("Other"), UnsupportedDataError, "something else: Other"),
        (tree_of(Obj("PathRootObject")), CorruptDataError, "a second one"),
        (same_child_twice, CorruptDataError, "twice"),
        (parent_as_child, CorruptDataError, "twice"),
        (too_many_children, TruncatedDataError, "children"),
        (negative_children, CorruptDataError, "negative number of children"),
        (class_of_its_own, CorruptDataError, "derived from itself"),
        (unknown_roi, UnsupportedDataError, "SpiralROI"),
        (tree_of(Obj(roi=Roi("PolygonROI", ([1], [1, 2])))), CorruptDataError, "as many x"),
        (tree_of(Obj(roi=Roi("AreaROI", [([1], [])]))), CorruptDataError, "as many x"),
        (tree_of(Obj(roi=Roi("GeometryROI", b"\0\0"))), CorruptDataError, "geometry makes no"),
        (tree_of(Obj(path_class=("A" * 3,) * 101)), CorruptDataError, "derived from itself"),
    ],
)
def test_hierarchies_that_make_no_sense(
    change: Callable[[QuPathWriter], None], error: type[DataFileError], message: str
) -> None:
    with pytest.raises(error, match=message):
        read_qpdata_bytes(changed(change))


class TestEnd:
    def test_no_end(self) -> None:
        file = data_file([Obj(roi=TRIANGLE)])
        for n in range(1, 7):
            with pytest.raises(TruncatedDataError):
                read_qpdata_bytes(file[:-n])

    def test_more_after_the_end(self) -> None:
        with pytest.raises(CorruptDataError, match="1 bytes follow"):
            read_qpdata_bytes(data_file([]) + b"\0")

    def test_no_hierarchy(self) -> None:
        writer = QuPathWriter()
        writer.head()
        writer.tail()
        with pytest.raises(CorruptDataError, match="without a hierarchy"):
            read_qpdata_bytes(bytes(writer.data))

    def test_two_hierarchies(self) -> None:
        writer = QuPathWriter()
        writer.head()
        for _ in range(2):
            writer.open_hierarchy()
            writer.tree(Obj("PathRootObject"))
            writer.null()
        with pytest.raises(CorruptDataError, match="two hierarchies"):
            read_qpdata_bytes(bytes(writer.data))

    def test_other_entries_do_not_matter(self) -> None:
        writer = QuPathWriter()
        writer.head()
        writer.raw(b"y")
        writer.known.clear()
        writer.n_handles = 0
        writer.open_hierarchy()
        writer.tree(Obj("PathRootObject", children=[Obj(roi=TRIANGLE)]))
        writer.null()
        writer.string("some text")
        writer.object("Other", SERIALIZABLE, [("I", "i")])
        writer.raw(bytes(4))
        writer.tail()
        assert len(read_qpdata_bytes(bytes(writer.data))) == 1

    @pytest.mark.parametrize("data", [b"", b"\xac", b"\xac\xed\0\5"])
    def test_hardly_anything(self, data: bytes) -> None:
        with pytest.raises(TruncatedDataError):
            read_qpdata_bytes(data)

    @pytest.mark.parametrize("data", [b"PK\3\4", bytes(100), b"\xac\xed\0\5p", b"{}"])
    def test_something_else(self, data: bytes) -> None:
        with pytest.raises(CorruptDataError):
            read_qpdata_bytes(data)


class TestFiles:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(DataFileMissingError, match=r"data\.qpdata does not exist") as caught:
            read_qpdata(tmp_path / "data.qpdata")
        assert "backup" in str(caught.value)

    def test_folder(self, tmp_path: Path) -> None:
        with pytest.raises(DataFileMissingError, match="cannot be opened"):
            read_qpdata(tmp_path)

    def test_impossible_name(self) -> None:
        with pytest.raises(DataFileMissingError, match="cannot be opened"):
            read_qpdata("a\0b")

    def test_path_as_text(self, tmp_path: Path) -> None:
        path = tmp_path / "data.qpdata"
        path.write_bytes(data_file([Obj(roi=TRIANGLE)]))
        assert len(read_qpdata(str(path))) == 1

    @pytest.mark.parametrize("content", [None, b"", b"\0", data_file([])[:-1]])
    def test_backup_is_named(self, tmp_path: Path, content: bytes | None) -> None:
        path = tmp_path / "data.qpdata"
        if content is not None:
            path.write_bytes(content)
        backup = tmp_path / "data.qpdata.bkp"
        backup.write_bytes(data_file([Obj()]))
        with pytest.raises(DataFileError) as caught:
            read_qpdata(path)
        assert str(path) in caught.value.message
        assert caught.value.hint is not None
        assert str(backup) in caught.value.hint
