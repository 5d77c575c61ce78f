"""Reads QuPath's ``data.qpdata`` files without Java.

In: the path or the bytes of a data file written by QuPath 0.2 to 0.7. Out: its objects and their
ROIs as columns of numbers. Read from the bottom up::

    bytereader   numbers and texts from bytes that are not trusted
    javacodes, javavalues, javaframes, javahandles, javastream
                 a Java Object Serialization stream as plain values
    layouts      recognises an object that is laid out like an earlier one
    runs         recognises many such objects at once
    wkb          the vertices of a geometry
    rois         QuPath's ROIs -> columns
    columns      QuPath's objects and classes -> columns
    alike        reads objects of known layout
    objects      reads all others, and the hierarchy that they make up
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
