"""Reads QuPath's ``data.qpdata`` files without Java.

A data file of QuPath 0.2 to 0.7 is one Java serialization stream. :mod:`.parser` reads it in one
pass, with compiled code that knows its grammar (:mod:`.kernel`: handles, values, ROIs, the
hierarchy of objects) and fills the columns of :mod:`.model`; each class descriptor that it meets is
turned into numbers by :mod:`.classforms`, by the names of QuPath's classes (:mod:`.names`). What
that grammar does not know, and what is damaged, is read again in plain Python (:mod:`.plain`),
slowly, by a reader that takes any content and says what is wrong; :mod:`.columns` is the last step
of both, and :mod:`.reader` chooses. Whatever the parser takes, the plain reader reads the same:
tests hold them to one another, on files of QuPath, made-up ones and damaged ones.
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
from qpmask.qpdata.outlines import Wanted, no_outlines
from qpmask.qpdata.reader import read_qpdata, read_qpdata_bytes

__all__ = [
    "ImageObjects",
    "ObjectKind",
    "PathClassName",
    "RingKind",
    "RoiKind",
    "Rois",
    "Wanted",
    "no_outlines",
    "read_qpdata",
    "read_qpdata_bytes",
]
