"""Objects as Java serializes them, read back by the reader of data files."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from intoqupath.import_samples import (
    HOLE,
    ID,
    SQUARE,
    TRIANGLE,
    feature,
    geometry,
    table_of,
    varied,
)

import qpmask.intoqupath.javaobjects as javaobjects
from qpmask.imageobjects import ImageObjects, ObjectKind, ObjectTable, RoiKind
from qpmask.intoqupath.javaobjects import object_streams
from qpmask.intoqupath.objectids import with_ids
from qpmask.javastream.texts import utf
from qpmask.qpdata import read_qpdata_bytes


def written(table: ObjectTable) -> list[ImageObjects]:
    streams = list(object_streams(table, with_ids(table)))
    found = [read_qpdata_bytes(stream.data) for stream in streams]
    assert [len(objects) for objects in found] == [stream.n_objects for stream in streams]
    return found


def test_all_that_is_in_the_columns_is_in_the_stream() -> None:
    table = varied()
    (found,) = written(table)
    assert list(found.names) == list(table.names)
    np.testing.assert_array_equal(found.kind, table.kind)
    np.testing.assert_array_equal(found.locked, table.locked)
    np.testing.assert_array_equal(found.missing, table.missing)
    np.testing.assert_array_equal(found.parent, table.parent)
    assert [c and (c.name, c.color_argb) for c in map(found.class_of, range(2))] == [
        ("Tumor", -65536),
        ("Tumor: Positive", None),
    ]
    assert found.class_of(2) is None
    assert found.id_of(0) == ID
    assert len(set(found.ids.tolist())) == len(table)


def test_each_geometry_is_the_roi_that_qupath_makes_of_it() -> None:
    (found,) = written(varied())
    kinds = [RoiKind(found.rois.kind[i]).name for i in found.roi[:14]]
    assert kinds == [
        *("RECTANGLE", "POLYGON", "RECTANGLE", "POLYGON", "ELLIPSE", "RECTANGLE"),
        *("POINTS", "POINTS", "LINE", "POLYLINE", "GEOMETRY", "GEOMETRY", "GEOMETRY"),
        "GEOMETRY",  # float32 would move it by more than QuPath's grid
    ]

    def rings(index: int) -> list[list[list[float]]]:
        return [ring.tolist() for ring in found.rois.rings(int(found.roi[index]))]

    assert rings(1) == [TRIANGLE[:-1]]
    assert rings(7) == [[[1, 2], [3.5, 4]]]
    assert rings(9) == [[[1, 2], [3, 4], [9, 9.5]]]
    assert rings(11) == [SQUARE, HOLE]
    assert len(rings(12)) == 3
    assert rings(13)[0][1] == [2e5 + 0.1, 9]
    assert found.rois.box_px0[found.roi[4]].tolist() == [0, 0, 5.25, 7.5]
    assert found.rois.box_px0[found.roi[8]].tolist() == [1, 2, 3, 4]
    cell = int(found.roi[1])
    assert [int(a[cell]) for a in (found.rois.c, found.rois.z, found.rois.t)] == [2, 3, 4]
    assert found.kind[1] == ObjectKind.CELL
    assert found.nucleus_roi[1] >= 0 > found.nucleus_roi[2]


def test_a_rectangle_written_from_another_corner_stays_a_polygon() -> None:
    turned = [*SQUARE[1:], SQUARE[1]]
    (found,) = written(table_of(feature(geometry("Polygon", [turned]))))
    assert [ring.tolist() for ring in found.rois.rings(0)] == [turned[:-1]]


def test_ids_that_are_taken_are_made_anew() -> None:
    table = varied()
    ids = with_ids(table, {ID.encode()})
    assert ID.encode() not in ids.tolist()
    assert with_ids(table).tolist()[0] == ID.encode()


@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_streams_keep_trees_together(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(javaobjects, "CHUNK", chunk)
    table = varied()
    found = written(table)
    assert [name for objects in found for name in objects.names] == list(table.names)
    offset, parents = 0, []
    for objects in found:
        parents += [p + offset if p >= 0 else -1 for p in objects.parent.tolist()]
        offset += len(objects)
    assert parents == table.parent.tolist()


@given(st.lists(st.integers(-1, 30), max_size=30))
def test_any_tree_comes_through(wanted: list[int]) -> None:
    parents = [-1 if not i else min(p, i - 1) for i, p in enumerate(wanted)]
    shape = geometry("Polygon", [TRIANGLE])
    features = [feature(shape, name=str(i), childObjects=[]) for i in range(len(parents))]
    for i in range(len(parents) - 1, -1, -1):
        if parents[i] >= 0:
            features[parents[i]]["properties"]["childObjects"].insert(0, features[i])
    tops = [f for f, p in zip(features, parents, strict=True) if p < 0]
    if not tops:
        return
    (found,) = written(table_of(*tops))
    names = [int(name or "") for name in found.names]
    found_parents = [names[p] if p >= 0 else -1 for p in found.parent]
    assert dict(zip(names, found_parents, strict=True)) == dict(enumerate(parents))


def test_texts_as_java_writes_them() -> None:
    assert utf("aé") == "aé".encode()
    assert utf("\0") == b"\xc0\x80"
    assert utf("😀") == b"\xed\xa0\xbd\xed\xb8\x80"
