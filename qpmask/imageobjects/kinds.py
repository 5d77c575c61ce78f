"""What objects, ROIs, rings and geometries are: the numbers in their columns."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

NO_COLOR: Final = 1 << 40
"""In a column of packed colours: none."""


class ObjectKind(IntEnum):
    """What an object is."""

    ANNOTATION = 0
    DETECTION = 1
    CELL = 2
    TILE = 3
    TMA_CORE = 4
    OTHER = 5


class RoiKind(IntEnum):
    """What a ROI is; each draws by a rule of its own."""

    POLYGON = 0
    RECTANGLE = 1
    ELLIPSE = 2
    LINE = 3
    POLYLINE = 4
    POINTS = 5
    GEOMETRY = 6
    AREA = 7


BOXES: Final = (RoiKind.RECTANGLE, RoiKind.ELLIPSE, RoiKind.LINE)
"""What has a box and no ring."""


class GeometryType(IntEnum):
    """What a geometry is; the numbers are those of well-known binary, 0 is no geometry."""

    NONE = 0
    POINT = 1
    LINE = 2
    POLYGON = 3
    MULTI_POINT = 4
    MULTI_LINE = 5
    MULTI_POLYGON = 6
    COLLECTION = 7


class RingKind(IntEnum):
    """What a ring is part of."""

    POINT = GeometryType.POINT
    LINE = GeometryType.LINE
    POLYGON = GeometryType.POLYGON
