"""The names of QuPath's classes of objects, and what they mean."""

from __future__ import annotations

from typing import Final

from qpmask.qpdata.javavalues import ClassDesc
from qpmask.qpdata.model import ObjectKind

_PACKAGE: Final = "qupath.lib.objects."
ROOT: Final = _PACKAGE + "PathRootObject"
OBJECT: Final = _PACKAGE + "PathObject"
ROI_OBJECT: Final = _PACKAGE + "PathROIObject"
CELL: Final = _PACKAGE + "PathCellObject"
TMA_CORE: Final = _PACKAGE + "TMACoreObject"
PATH_CLASS: Final = _PACKAGE + "classes.PathClass"
METADATA: Final = _PACKAGE + "MetadataMap"
BOOLEAN: Final = "java.lang.Boolean"
UUID: Final = "java.util.UUID"
#: The key of an object's id in its metadata.
ID_KEY: Final = "Object ID"

# The first one in an object's chain of classes counts: a cell is a detection too.
_KINDS: Final = {
    _PACKAGE + "PathAnnotationObject": ObjectKind.ANNOTATION,
    CELL: ObjectKind.CELL,
    _PACKAGE + "PathTileObject": ObjectKind.TILE,
    _PACKAGE + "PathDetectionObject": ObjectKind.DETECTION,
    TMA_CORE: ObjectKind.TMA_CORE,
}


def kind_of(desc: ClassDesc) -> ObjectKind:
    """Tell what an object of a class is."""
    return next((_KINDS[link] for link in desc.chain if link in _KINDS), ObjectKind.OTHER)
