"""Outlines that nobody asks for are let go; all else is as without that."""

from __future__ import annotations

from dataclasses import fields
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from qpdata.qpdata_builder import Obj, Roi, data_file
from qpdata.qpdata_samples import SAMPLES, VARIED, parsed

from qpmask.engines.base import takes_part
from qpmask.engines.draworder import drawn_outlines, drawn_rois
from qpmask.options import OBJECTS
from qpmask.qpdata import ImageObjects, Rois, Wanted, no_outlines, outlines, parser, read_qpdata
from qpmask.qpdata.parser import Parser, TooFarBackError

OF_RINGS = ("ring_offsets", "ring_first", "ring_size", "ring_kind", "ring_part", "ring_is_hole")


def sifted(data: bytes, wanted: Wanted) -> ImageObjects:
    """Read in small pieces, and look through what was read after each of them."""
    file: Any = BytesIO(data)
    with patch.object(parser, "WINDOW_BYTES", 400), patch.object(outlines, "_STEP_VERTICES", 1):
        return Parser(file, len(data), outlines=wanted).read()


def assert_same_but_outlines(some: ImageObjects, everything: ImageObjects) -> None:
    for name in ("kind", "parent", "class_index", "roi", "nucleus_roi", "missing", "ids"):
        np.testing.assert_array_equal(getattr(some, name), getattr(everything, name))
    for name in {field.name for field in fields(Rois)} - {*OF_RINGS, "no_points"}:
        if not name.startswith("vertices"):
            found, expected = getattr(some.rois, name), getattr(everything.rois, name)
            np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(some.rois.is_empty, everything.rois.is_empty)
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


@pytest.mark.parametrize("path", [*SAMPLES, *VARIED], ids=lambda path: path.stem)
def test_outlines_of_other_objects_are_left_out(path: Path) -> None:
    data = path.read_bytes()
    everything = parsed(data)
    for kind in OBJECTS:
        some = sifted(data, drawn_outlines(kind))
        assert_same_but_outlines(some, everything)
        keep = np.zeros(len(everything.rois), bool)
        rows = np.flatnonzero(takes_part(kind, everything.kind, everything.missing))
        drawn = drawn_rois(everything, rows, kind)
        keep[drawn[drawn >= 0]] = True
        assert_rois_have_rings(some.rois, everything.rois, keep)
    none = sifted(data, no_outlines)
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
        sifted(data, drawn_outlines("cells"))
    with patch.object(parser, "WINDOW_BYTES", 400), patch.object(outlines, "_STEP_VERTICES", 1):
        objects = read_qpdata(path, outlines=drawn_outlines("cells"))
    np.testing.assert_array_equal(next(objects.rois.rings(objects.roi[-1])), np.array(square).T)
