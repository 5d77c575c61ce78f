"""Reads QuPath's ``data.qpdata`` files without Java.

In: the path or the bytes of a data file written by QuPath 0.2 to 0.7. Out: its objects and their
ROIs as columns of numbers. Read from the bottom up::

    bytereader   numbers and texts from bytes that are not trusted
    javacodes, javavalues, javaframes, javahandles, javastream
                 a Java Object Serialization stream as plain values
    gather       many stretches of bytes as one
    wkb, wkbmany the vertices of a geometry, of many polygons at once
    rois         QuPath's ROIs -> columns
    kinds        the names of QuPath's classes
    columns      QuPath's objects and classes -> columns
    objects      reads objects one by one, and the hierarchy that they make up
    many         reads them by the thousand instead, where that is possible, with
      lanedata, lanes    a stream read at many places at the same time
      pieces, roilanes   the heads and the tails of objects there, and their ROIs
      windows            how these follow one another
      meaning            what they refer to
    reader       the whole file, from its first line to its last
    model        the columns
"""

from __future__ import annotations

from qpmask.qpdata.model import (
    ImageObjects,
    ObjectKind,
    PathClassName,
    RingKind,
    RoiKind,
    Rois,
)
from qpmask.qpdata.reader import read_qpdata, read_qpdata_bytes

__all__ = [
    "ImageObjects",
    "ObjectKind",
    "PathClassName",
    "RingKind",
    "RoiKind",
    "Rois",
    "read_qpdata",
    "read_qpdata_bytes",
]
