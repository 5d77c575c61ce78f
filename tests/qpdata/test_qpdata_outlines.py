"""Outlines that nobody asks for are let go; all else is as without that."""

from __future__ import annotations

import struct
from dataclasses import fields, replace
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from qpdata.qpdata_builder import Obj, Roi, data_file
from qpdata.qpdata_samples import SAMPLES, VARIED, checked, columns, parsed

from qpmask.engines.base import takes_part
from qpmask.engines.draworder import drawn_outlines, drawn_rois
from qpmask.imageobjects import NO_OUTLINES, ImageObjects, Outlines, Rois
from qpmask.options import OBJECTS
from qpmask.qpdata import parser, read_qpdata
from qpmask.qpdata.parser import Parser, TooFarBackError

OF_RINGS = ("ring_offsets", "ring_first", "ring_size", "ring_kind", "ring_part", "ring_is_hole")


def read_some(data: bytes, wanted: Outlines) -> ImageObjects:
    """Read in small pieces."""
    file: Any = BytesIO(data)
    with patch.object(parser, "WINDOW_BYTES", 400):
        return Parser(file, len(data), outlines=wanted).read()


def assert_same_but_outlines(some: ImageObjects, everything: ImageObjects) -> None:
    for name in ("kind", "parent", "class_index", "roi", "nucleus_roi", "missing", "ids"):
        np.testing.assert_array_equal(getattr(some, name), getattr(everything, name))
    for name in {field.name for field in fields(Rois)} - set(OF_RINGS):
        if not name.startswith("vertices"):
            found, expected = getattr(some.rois, name), getattr(everything.rois, name)
            np.testing.assert_array_equal(found, expected)
    nowhere = np.isnan(everything.rois.bounds_px0).any(axis=1)
    np.testing.assert_array_equal(everything.rois.is_empty, nowhere)


def assert_rois_have_rings(rois: Rois, everything: Rois, keep: np.ndarray) -> None:
    """Those to keep have all their rings, the others none."""
    assert len(rois.vertices32_px0) + len(rois.vertices64_px0) == rois.ring_size.sum()
    for roi, kept in enumerate(keep.tolist()):
        expected = list(everything.rings(roi)) if kept else []
        found = list(rois.rings(roi))
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("bits", [0x7FC00000, 0x7F800001], ids=["quiet", "signalling"])
def test_vertices_that_are_no_numbers_do_not_count_in_a_box(bits: int) -> None:
    roi = Roi("PolygonROI", ([0.0, 9.0, 9.0, 1.0], [0.0, 1.0, 9.0, 8.0]))
    rois = parsed(data_file([Obj(roi=roi)])).rois
    assert rois.bounds_px0.tolist() == [[0, 0, 9, 9]]
    vertices = np.array(rois.vertices32_px0)
    vertices.view(np.uint32)[0] = bits
    assert replace(rois, vertices32_px0=vertices).bounds_px0.tolist() == [[1, 1, 9, 9]]


@pytest.mark.parametrize("path", [*SAMPLES, *VARIED], ids=lambda path: path.stem)
def test_outlines_of_other_objects_are_left_out(path: Path) -> None:
    data = path.read_bytes()
    everything = parsed(data)
    for kind in OBJECTS:
        some = read_some(data, drawn_outlines(kind))
        assert_same_but_outlines(some, everything)
        keep = np.zeros(len(everything.rois), bool)
        # Those of missing cores are kept beside the others'.
        rows = np.flatnonzero(takes_part(kind, everything.kind, np.zeros(len(everything), bool)))
        drawn = drawn_rois(everything, rows, kind)
        keep[drawn[drawn >= 0]] = True
        assert_rois_have_rings(some.rois, everything.rois, keep)
    none = read_some(data, NO_OUTLINES)
    assert_same_but_outlines(none, everything)
    assert not len(none.rois.ring_first)


def test_an_object_that_refers_to_an_outline_of_before_gets_it(tmp_path: Path) -> None:
    square = ([0.0, 9.0, 9.0, 0.0], [0.0, 0.0, 9.0, 9.0])
    nucleus = Roi("PolygonROI", square)
    first = Obj("PathCellObject", roi=Roi("PolygonROI", square), nucleus=nucleus)
    others = [
        Obj("PathCellObject", roi=Roi("PolygonROI", ([x + i for x in square[0]], square[1])))
        for i in range(200)
    ]
    data = data_file([first, *others, Obj("PathCellObject", roi=nucleus)])
    path = tmp_path / "data.qpdata"
    path.write_bytes(data)
    everything = parsed(data)
    assert everything.roi[-1] == everything.nucleus_roi[0]
    with pytest.raises(TooFarBackError):
        read_some(data, drawn_outlines("cells"))
    with patch.object(parser, "WINDOW_BYTES", 400):
        objects = read_qpdata(path, outlines=drawn_outlines("cells"))
    np.testing.assert_array_equal(next(objects.rois.rings(objects.roi[-1])), np.array(square).T)


def test_nuclei_move_up_where_the_outlines_before_them_were() -> None:
    """Of every kind of pool, in the compiled parser and in the same as plain Python."""

    def polygon(i: int) -> Roi:
        return Roi("PolygonROI", ([i + 0.5, i + 9, i + 5], [1.0, 2.0, i]))

    def geometry(i: int) -> Roi:
        ring = struct.pack(">I8d", 4, i, 0, i + 9, 0, i, 9, i, 0)
        return Roi("GeometryROI", struct.pack(">BII", 0, 3, 2) + ring + ring)

    makers = (polygon, geometry, lambda i: Roi("RectangleROI", (i, i + 3, 0, 4)))
    pairs = [(one(i), other(2 * i)) for one in makers for other in makers for i in (1, 2)]
    cells = [Obj("PathCellObject", roi=one, nucleus=other) for one, other in pairs]
    data = data_file([*cells, Obj("PathCellObject", roi=polygon(7))])
    everything = parsed(data)
    for kind in ("cells", "nuclei", "annotations"):
        wanted = drawn_outlines(kind)
        some = read_some(data, wanted)
        assert columns(some) == columns(checked(data, outlines=wanted))
        drawn = drawn_rois(
            everything, np.arange(0 if kind == "annotations" else len(cells) + 1), kind
        )
        keep = np.zeros(len(everything.rois), bool)
        keep[drawn] = kind != "annotations"
        assert_rois_have_rings(some.rois, everything.rois, keep)
