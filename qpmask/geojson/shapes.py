"""Geometries of GeoJSON -> columns: nested lists of coordinates become one array of vertices."""

from __future__ import annotations

from itertools import chain
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from qpmask.common.ragged import offsets_of
from qpmask.imageobjects import Geometries, GeometryType

#: GeoJSON's name -> type, and how deep its coordinates are nested above a ring.
TYPES: Final = {
    "Point": (GeometryType.POINT, 0),
    "MultiPoint": (GeometryType.MULTI_POINT, 1),
    "LineString": (GeometryType.LINE, 1),
    "MultiLineString": (GeometryType.MULTI_LINE, 2),
    "Polygon": (GeometryType.POLYGON, 2),
    "MultiPolygon": (GeometryType.MULTI_POLYGON, 3),
}
_FAMILIES: Final = (
    (frozenset({"Polygon", "MultiPolygon"}), "MultiPolygon"),
    (frozenset({"LineString", "MultiLineString"}), "MultiLineString"),
    (frozenset({"Point", "MultiPoint"}), "MultiPoint"),
)
_Parts = list[list[Any]]


class NoGeometryError(ValueError):
    """What is wrong with a geometry; private to this package."""


class ShapeColumns:
    """Collects geometries."""

    def __init__(self) -> None:
        self._types: list[int] = []
        self._ellipses: list[bool] = []
        self._planes: list[tuple[int, int, int]] = []
        self._n_parts: list[int] = []
        self._n_rings: list[int] = []
        self._rings: list[Any] = []  # of which the vertices are no columns yet
        self._sizes: list[NDArray[np.int64]] = []
        self._xy: list[NDArray[np.float64]] = []
        #: Geometries whose coordinates are no numbers: what is wrong, by number.
        self.broken: dict[int, str] = {}
        #: Geometries with a third coordinate, which QuPath drops.
        self.with_height: set[int] = set()

    def __len__(self) -> int:
        return len(self._types)

    def add(self, geometry: Any, plane: Any = None) -> int:
        """Add a geometry of GeoJSON; give its number.

        Parameters
        ----------
        geometry : object
            What stands in the file.
        plane : object, optional
            The plane that stands elsewhere in the feature.

        Raises
        ------
        NoGeometryError
            It is none; nothing was added.
        """
        name, coordinates = _named(geometry)
        kind, depth = TYPES[name]
        if not isinstance(coordinates, list) or not coordinates:
            raise NoGeometryError("its geometry is empty")
        parts: _Parts
        if depth == 3:
            parts = [part for part in coordinates if part]
        elif kind == GeometryType.MULTI_LINE:
            parts = [[line] for line in coordinates]
        elif depth == 2:
            parts = [coordinates]
        else:
            parts = [[coordinates if depth else [coordinates]]]
        rings = list(chain.from_iterable(parts)) if _are_lists(parts) else [None]
        if not rings or not _are_lists(rings):
            raise NoGeometryError("its coordinates are not nested as those of its type")
        if not rings[0]:
            raise NoGeometryError("its geometry is empty")
        at = plane_of(geometry.get("plane", plane))
        self._types.append(kind)
        self._ellipses.append(geometry.get("isEllipse") is True)
        self._planes.append(at)
        self._n_parts.append(len(parts))
        self._n_rings.extend(map(len, parts))
        self._rings.extend(rings)
        return len(self._types) - 1

    def settle(self) -> None:
        """Make numbers of the coordinates that were added since this was called last."""
        rings, self._rings = self._rings, []
        if not rings:
            return
        sizes = np.fromiter(map(len, rings), np.int64, len(rings))
        xy = _vertices(rings, int(sizes.sum()))
        if xy is None:
            owners = self._owners(len(rings))
            pieces = []
            for i, ring in enumerate(rings):
                piece = self._one_ring(ring, owners[i])
                sizes[i] = len(piece)
                pieces.append(piece)
            xy = np.concatenate(pieces)
        self._sizes.append(sizes)
        self._xy.append(xy)

    def _owners(self, n_last: int) -> list[int]:
        """Numbers of the geometries of the last so many rings."""
        counts = np.add.reduceat(self._n_rings, np.cumsum([0, *self._n_parts[:-1]]))
        numbers: list[int] = np.repeat(np.arange(len(self)), counts)[-n_last:].tolist()
        return numbers

    def _one_ring(self, ring: Any, owner: int) -> NDArray[np.float64]:
        try:
            if any(len(point) < 2 for point in ring):
                raise ValueError
            found = np.array([point[:2] for point in ring], np.float64)
        except (TypeError, ValueError, OverflowError):
            self.broken[owner] = "its coordinates are not pairs of numbers"
            return np.zeros((0, 2))
        if any(isinstance(value, str | bool) for point in ring for value in point):
            self.broken[owner] = "its coordinates are not pairs of numbers"
        if any(len(point) > 2 for point in ring):
            self.with_height.add(owner)
        return found.reshape(-1, 2)

    def build(self) -> Geometries:
        """All of them."""
        self.settle()
        planes = np.array(self._planes, np.int32).reshape(-1, 3)
        none = [np.zeros(0, np.int64)]
        return Geometries(
            type=np.array(self._types, np.uint8),
            is_ellipse=np.array(self._ellipses, np.bool_),
            c=planes[:, 0].copy(),
            z=planes[:, 1].copy(),
            t=planes[:, 2].copy(),
            part_offsets=offsets_of(self._n_parts),
            ring_offsets=offsets_of(self._n_rings),
            vertex_offsets=offsets_of(np.concatenate([*none, *self._sizes])),
            xy_px0=np.concatenate([np.zeros((0, 2)), *self._xy]),
        )


def _are_lists(items: list[Any]) -> bool:
    return set(map(type, items)) <= {list}


def _vertices(rings: list[Any], n: int) -> NDArray[np.float64] | None:
    """All vertices at once, if each is a pair of numbers."""
    try:
        points = list(chain.from_iterable(rings))
        if set(map(type, points)) != {list} or set(map(len, points)) != {2}:
            return None
        values = list(chain.from_iterable(points))
        if not set(map(type, values)) <= {int, float}:
            return None
        return np.fromiter(values, np.float64, 2 * n).reshape(n, 2)
    except (TypeError, ValueError, OverflowError):
        return None


def _named(geometry: Any) -> tuple[str, Any]:
    """Type and coordinates of a geometry; a collection of one sort is the Multi- of that sort."""
    if geometry is None:
        raise NoGeometryError("it has no geometry")
    if not isinstance(geometry, dict):
        raise NoGeometryError("its geometry is none")
    name = geometry.get("type")
    if isinstance(name, str) and name in TYPES:
        return name, geometry.get("coordinates")
    if name != "GeometryCollection":
        raise NoGeometryError(f"its geometry has the unknown type {name!r}")
    members = geometry.get("geometries")
    if not isinstance(members, list) or not members:
        raise NoGeometryError("its geometry is empty")
    found = [_named(member) for member in members]
    names = {one for one, _ in found}
    for family, multi in _FAMILIES:
        if names <= family:
            coordinates: list[Any] = []
            for one, inner in found:
                if isinstance(inner, list):
                    coordinates.extend(inner if one == multi else [inner])
            return multi, coordinates
    raise NoGeometryError("its geometry mixes areas, lines and points")


def plane_of(plane: Any) -> tuple[int, int, int]:
    """Channel, slice and time point, as QuPath writes them: what is not there is the default.

    Raises
    ------
    NoGeometryError
        It is no plane.
    """
    if plane is None:
        return -1, 0, 0
    try:
        c, z, t = (int(plane.get(key, default)) for key, default in (("c", -1), ("z", 0), ("t", 0)))
    except (AttributeError, TypeError, ValueError, OverflowError):
        raise NoGeometryError("its plane is none") from None
    if z < 0 or t < 0 or not all(abs(number) < 1 << 31 for number in (c, z, t)):
        raise NoGeometryError("its plane is none")
    return c, z, t
