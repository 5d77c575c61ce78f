"""Tissue as polygons of a GeoJSON file, as QuPath and most annotation programs write it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.classes.names import same_class
from qpmask.errors import OptionsError
from qpmask.geometry import Affine


@dataclass(frozen=True, eq=False)
class TissuePolygons:
    """Areas in pixels of level 0, united.

    Parameters
    ----------
    area : shapely.geometry.base.BaseGeometry
        Their union.
    """

    area: Any

    def moved(self, to_file: Affine) -> TissuePolygons:
        """The same areas where a matrix puts them."""
        if to_file == Affine():
            return self
        from shapely.affinity import affine_transform

        m = to_file
        return TissuePolygons(affine_transform(self.area, [m.a, m.b, m.d, m.e, m.c, m.f]))

    def shares(
        self, x_px0: NDArray[np.int64], y_px0: NDArray[np.int64], size_px0: int
    ) -> NDArray[np.float64]:
        """Share of the area in squares, as :meth:`qpmask.tissue.TissueArea.shares`."""
        import shapely

        shares = np.zeros((len(y_px0), len(x_px0)))
        if self.area.is_empty or not shares.size:
            return shares
        left, top, right, bottom = self.area.bounds
        for j, y in enumerate(y_px0.tolist()):
            if y >= bottom or y + size_px0 <= top:
                continue
            row = shapely.clip_by_rect(self.area, left - 1, y, right + 1, y + size_px0)
            if row.is_empty:
                continue
            low, _, high, _ = row.bounds
            near = np.nonzero((x_px0 < high) & (x_px0 + size_px0 > low))[0]
            boxes = shapely.box(x_px0[near], y, x_px0[near] + size_px0, y + size_px0)
            shares[j, near] = shapely.area(shapely.intersection(row, boxes))
        return np.clip(shares / (size_px0 * size_px0), 0.0, 1.0)


def read_geojson(path: Path, classes: tuple[str, ...] = ()) -> TissuePolygons:
    """The areas of a GeoJSON file, in its pixels.

    Parameters
    ----------
    path : Path
        A geometry, a feature, a collection of them, or a list of features (as QuPath writes them).
    classes : tuple of str
        Only features of these QuPath classes; all by default.

    Raises
    ------
    OptionsError
        It is no GeoJSON, or holds no area.
    """
    import shapely
    from shapely.geometry import shape

    try:
        data = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise OptionsError(f"{path} cannot be read as GeoJSON: {error}.") from error
    areas = []
    for feature in _features(data):
        if classes and not any(same_class(_class_of(feature) or "", name) for name in classes):
            continue
        try:
            geometry = shape(feature.get("geometry") or feature)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            raise OptionsError(f"{path} holds a geometry that is none: {error}.") from error
        if geometry.area > 0:
            areas.append(geometry if geometry.is_valid else shapely.make_valid(geometry))
    if not areas:
        of_class = f" of the class {' or '.join(classes)}" if classes else ""
        raise OptionsError(
            f"{path} holds no areas{of_class}.", hint="Points and lines are no tissue."
        )
    return TissuePolygons(shapely.union_all(areas))


def _features(data: Any) -> list[dict[str, Any]]:
    if isinstance(data, dict):
        inner = data.get("features")
        return _features(inner) if isinstance(inner, list) else [data]
    if isinstance(data, list):
        return [item for item in data if isinstance(item, dict)]
    return []


def _class_of(feature: dict[str, Any]) -> str | None:
    """Name of the class: ``name`` or ``names`` (of a derived one), as QuPath writes, or a text."""
    properties = feature.get("properties")
    found = properties.get("classification") if isinstance(properties, dict) else None
    name = found.get("name", found.get("names")) if isinstance(found, dict) else found
    if isinstance(name, list):
        name = ":".join(map(str, name))
    return name if isinstance(name, str) else None
