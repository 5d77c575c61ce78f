"""The names of QuPath's classes of objects and ROIs in a data file, and what they mean."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from qpmask.imageobjects import ObjectKind, RoiKind

_OBJECTS: Final = "qupath.lib.objects."
_ROIS: Final = "qupath.lib.roi."
HIERARCHY: Final = _OBJECTS + "hierarchy.PathObjectHierarchy"
ROOT: Final = _OBJECTS + "PathRootObject"
OBJECT: Final = _OBJECTS + "PathObject"
ROI_OBJECT: Final = _OBJECTS + "PathROIObject"
CELL: Final = _OBJECTS + "PathCellObject"
TMA_CORE: Final = _OBJECTS + "TMACoreObject"
PATH_CLASS: Final = _OBJECTS + "classes.PathClass"
METADATA: Final = _OBJECTS + "MetadataMap"
IMAGE_TYPE: Final = "qupath.lib.images.ImageData$ImageType"
BOOLEAN: Final = "java.lang.Boolean"
INTEGER: Final = "java.lang.Integer"
UUID: Final = "java.util.UUID"
#: In the names of all classes of lists of measurements, and of a measurement.
MEASUREMENT_LIST: Final = "MeasurementList"
MEASUREMENT: Final = "Measurement"
#: With what the names of Java's lists begin: those that hold items, and views of them.
LISTS: Final = (
    "java.util.ArrayList", "java.util.CollSer", "java.util.Collections$Unmodifiable",
    "java.util.Arrays$ArrayList",
)  # fmt: skip
#: Levels of derived classes.
MAX_CLASS_PARTS: Final = 100

# The first one in an object's chain of classes counts: a cell is a detection too.
_KINDS: Final = {
    _OBJECTS + "PathAnnotationObject": ObjectKind.ANNOTATION,
    CELL: ObjectKind.CELL,
    _OBJECTS + "PathTileObject": ObjectKind.TILE,
    _OBJECTS + "PathDetectionObject": ObjectKind.DETECTION,
    TMA_CORE: ObjectKind.TMA_CORE,
}
ROI_KINDS: Final = {
    _ROIS + "PolygonROI$SerializationProxy": RoiKind.POLYGON,
    _ROIS + "RectangleROI$SerializationProxy": RoiKind.RECTANGLE,
    _ROIS + "EllipseROI$SerializationProxy": RoiKind.ELLIPSE,
    _ROIS + "LineROI$SerializationProxy": RoiKind.LINE,
    _ROIS + "PolylineROI$SerializationProxy": RoiKind.POLYLINE,
    _ROIS + "PointsROI$SerializationProxy": RoiKind.POINTS,
    _ROIS + "GeometryROI$WKBSerializationProxy": RoiKind.GEOMETRY,
    _ROIS + "AreaROI$SerializationProxy": RoiKind.AREA,
}
#: Order of the fields of a box in the file.
BOX_FIELDS: Final = ("x", "x2", "y", "y2")

_FIRST_LINE: Final = re.compile(r"Data file version (\d{1,4})(?:\.0)?")
#: Versions of the data file: 2 by QuPath 0.2, 3 by 0.3 to 0.7, 4 prepared in the code of 0.4.
VERSIONS: Final = (2, 3, 4)


def kind_of(chain: Iterable[str]) -> ObjectKind:
    """Tell what an object is by the names of its class and its super classes."""
    return next((_KINDS[link] for link in chain if link in _KINDS), ObjectKind.OTHER)


def version_of(first_line: str) -> int | None:
    """Version of a data file, known or not; None if the line does not name one."""
    match = _FIRST_LINE.fullmatch(first_line.strip())
    return None if match is None else int(match[1])
