"""Objects of an image and GeoJSON as QuPath writes and reads it.

:mod:`.objects` is what both ways have in common: objects in columns, whatever they come from and
go to.
"""

from qpmask.geojson.objects import (
    NO_COLOR,
    Geometries,
    GeometryType,
    Measurements,
    ObjectClass,
    ObjectTable,
    geometries,
    no_measurements,
    plain_objects,
)

__all__ = [
    "NO_COLOR",
    "Geometries",
    "GeometryType",
    "Measurements",
    "ObjectClass",
    "ObjectTable",
    "geometries",
    "no_measurements",
    "plain_objects",
]
