"""Objects of one image in columns: what readers fill, and what engines and writers are handed.

There is no Python object per object or vertex. Coordinates are (x, y) in px0, the pixels of the
image at full resolution. Two forms, for two sorts of ROIs:

- :class:`ImageObjects` (:mod:`.storedobjects`) with :class:`Rois` (:mod:`.rois`), as QuPath's data
  files store them: what is drawn;
- :class:`ObjectTable` (:mod:`.objecttable`) with :class:`Geometries` (:mod:`.geometries`), as
  GeoJSON says them: what is written, traced and imported. ``annotations`` makes it of the former.

Both use the numbers of :mod:`.kinds`, and the classes and measurements of :mod:`.attributes`.
"""

from qpmask.imageobjects.attributes import (
    ID_KEY,
    Measurements,
    ObjectClass,
    no_measurements,
    stored_id,
)
from qpmask.imageobjects.geometries import Geometries, geometries, joined_geometries
from qpmask.imageobjects.kinds import BOXES, NO_COLOR, GeometryType, ObjectKind, RingKind, RoiKind
from qpmask.imageobjects.objecttable import ObjectTable, joined_tables, plain_objects
from qpmask.imageobjects.rois import NO_OUTLINES, Outlines, Rois
from qpmask.imageobjects.storedobjects import ImageObjects, ObjectDetails

__all__ = [
    "BOXES",
    "ID_KEY",
    "NO_COLOR",
    "NO_OUTLINES",
    "Geometries",
    "GeometryType",
    "ImageObjects",
    "Measurements",
    "ObjectClass",
    "ObjectDetails",
    "ObjectKind",
    "ObjectTable",
    "Outlines",
    "RingKind",
    "RoiKind",
    "Rois",
    "geometries",
    "joined_geometries",
    "joined_tables",
    "no_measurements",
    "plain_objects",
    "stored_id",
]
