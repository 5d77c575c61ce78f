"""Reads GeoJSON in all its dialects: a file -> an :class:`ObjectTable`, and what was wrong with it.

Read are the forms of QuPath 0.2 to 0.7 and those that others write for it: the type of an object
as the feature's id (0.2), ``object_type`` (0.3) or ``objectType``, also outside ``properties``
(TIAToolbox); a class as a text, as ``name``, ``names`` or with ``colorRGB``, with a colour or
without (dlup), or as JSON within a text (GeoPandas); measurements as a list or a mapping; a plane
in the geometry or in the properties. A feature that cannot be read is left out and named; it
never costs the others.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from qpmask.classes.names import class_name
from qpmask.common.arguments import path_of
from qpmask.errors import ObjectFileError
from qpmask.geojson.objects import (
    NO_COLOR,
    Measurements,
    ObjectClass,
    ObjectTable,
)
from qpmask.geojson.problems import FeatureProblem, told
from qpmask.geojson.shapes import NoGeometryError, ShapeColumns, offsets
from qpmask.geojson.text import feature_pieces, no_collection, read_text
from qpmask.geojson.validity import mend_geometries
from qpmask.qpdata import ObjectKind
from qpmask.qpdata.names import stored_id

_KINDS: Final = {
    "annotation": ObjectKind.ANNOTATION,
    "detection": ObjectKind.DETECTION,
    "cell": ObjectKind.CELL,
    "tile": ObjectKind.TILE,
    "tmaCore": ObjectKind.TMA_CORE,
    "tma_core": ObjectKind.TMA_CORE,
    # QuPath 0.2 wrote these for an id
    "PathAnnotationObject": ObjectKind.ANNOTATION,
    "PathDetectionObject": ObjectKind.DETECTION,
    "PathCellObject": ObjectKind.CELL,
    "PathTileObject": ObjectKind.TILE,
    "TMACoreObject": ObjectKind.TMA_CORE,
}
_SKIPPED: Final = frozenset({"root", "PathRootObject"})
_NUMBER_WORDS: Final = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf,
                        "infinity": math.inf, "-infinity": -math.inf}  # fmt: skip
_MAX_DEPTH: Final = 200


@dataclass(frozen=True, eq=False)
class ObjectsRead:
    """What a file holds.

    Attributes
    ----------
    table : ObjectTable
        Its objects, in the frame that the file has.
    problems : tuple of FeatureProblem
        What was wrong with single features: mended, or left out.
    n_features : int
        Features in the file, children included.
    """

    table: ObjectTable
    problems: tuple[FeatureProblem, ...]
    n_features: int

    @property
    def n_lost(self) -> int:
        """Features that were left out."""
        return len({p.where for p in self.problems if p.is_lost})


def read_objects(
    path: str | os.PathLike[str], *, class_key: str | None = None, strict: bool = False
) -> ObjectsRead:
    """Read a GeoJSON file.

    Parameters
    ----------
    path : path-like
        The file; gzip and a ZIP of one file are unpacked.
    class_key : str, optional
        The property that names an object's class, where it is not QuPath's ``classification``.
    strict : bool
        Refuse the file if anything in it has to be mended or left out.

    Raises
    ------
    ObjectFileError
        It is no GeoJSON, or `strict` and something is wrong.
    """
    file = path_of(path, "path")
    read = read_objects_bytes(read_text(file), file, class_key=class_key)
    if strict and read.problems:
        lines = told(read.problems)
        more = f" And {len(lines) - 5} more kinds of problems." if len(lines) > 5 else ""
        raise ObjectFileError(f"{file} is not all valid. {' '.join(lines[:5])}{more}")
    return read


@no_collection()
def read_objects_bytes(
    data: bytes, path: Path = Path("GeoJSON"), *, class_key: str | None = None
) -> ObjectsRead:
    """Read GeoJSON from bytes; see :func:`read_objects`."""
    columns = _Columns(class_key)
    number = 0
    for piece in feature_pieces(data, path):
        for feature in piece:
            number += 1
            columns.add(feature, f"feature {number}")
        columns.shapes.settle()
        del piece
    table = columns.build()
    return ObjectsRead(table, tuple(columns.problems), columns.n_features)


class _Columns:
    """Collects objects."""

    def __init__(self, class_key: str | None) -> None:
        self._class_key = class_key
        self.shapes = ShapeColumns()
        self.problems: list[FeatureProblem] = []
        self.n_features = 0
        self._where: list[str] = []
        self._kind: list[int] = []
        self._geometry: list[int] = []
        self._nucleus: list[int] = []
        self._parent: list[int] = []
        self._class: list[int] = []
        self._ids: list[bytes] = []
        self._seen_ids: set[bytes] = set()
        self._names: list[str | None] = []
        self._colors: list[int] = []
        self._locked: list[bool] = []
        self._missing: list[bool] = []
        self._metadata: dict[int, dict[str, str]] = {}
        self._classes: dict[str, int] = {}
        self._class_colors: list[int | None] = []
        self._known_classes: dict[Any, int] = {}
        self._n_values: list[int] = []
        self._measured: dict[str, int] = {}
        self._value_names: list[int] = []
        self._values: list[float] = []

    def add(self, feature: Any, where: str, parent: int = -1, depth: int = 0) -> None:
        """Add a feature and its children."""
        self.n_features += 1
        if not isinstance(feature, dict):
            self._lose(where, "it is no feature")
            return
        properties = feature.get("properties")
        if not isinstance(properties, dict):
            # A bare geometry, or a feature that has none of them (QuPath refuses null).
            is_bare = "geometry" not in feature and feature.get("type") != "Feature"
            feature = {"geometry": feature} if is_bare else feature
            properties = {}
        number = self._add_object(feature, properties, where, parent)
        children = properties.get("childObjects", properties.get("children"))
        if isinstance(children, list):
            if depth >= _MAX_DEPTH:
                self._lose(where, f"its children are nested {_MAX_DEPTH} levels deep")
                return
            for i, child in enumerate(children):
                at = f"{where}, child {i + 1}"
                self.add(child, at, parent if number is None else number, depth + 1)

    def _add_object(
        self, feature: dict[str, Any], properties: dict[str, Any], where: str, parent: int
    ) -> int | None:
        kind, is_known = self._kind_of(feature, properties)
        if kind is None:
            return None
        try:
            geometry = self.shapes.add(feature.get("geometry"), properties.get("plane"))
        except NoGeometryError as error:
            self._lose(where, str(error))
            return None
        number = len(self._kind)
        if not is_known:
            self._mend(where, "its type of object is unknown", "taken for an annotation")
        nucleus = -1
        if kind == ObjectKind.CELL and feature.get("nucleusGeometry") is not None:
            try:
                nucleus = self.shapes.add(feature["nucleusGeometry"], properties.get("plane"))
            except NoGeometryError as error:
                self._mend(where, f"of its nucleus, {error}", "taken without a nucleus")
        self._where.append(where)
        self._kind.append(kind)
        self._geometry.append(geometry)
        self._nucleus.append(nucleus)
        self._parent.append(parent)
        self._class.append(self._class_of(properties, where))
        self._ids.append(self._id_of(feature.get("id"), where))
        name = properties.get("name", feature.get("name"))
        self._names.append(name if isinstance(name, str) else None)
        color = _color(properties.get("color"))
        self._colors.append(NO_COLOR if color is None else color)
        self._locked.append(properties.get("isLocked") is True)
        self._missing.append(properties.get("isMissing") is True)
        metadata = properties.get("metadata")
        if isinstance(metadata, dict) and metadata:
            self._metadata[number] = {
                k: v if isinstance(v, str) else json.dumps(v)
                for k, v in metadata.items()
                if not isinstance(v, dict | list) and v is not None
            }
        self._n_values.append(self._add_values(properties.get("measurements"), where))
        return number

    def _kind_of(
        self, feature: dict[str, Any], properties: dict[str, Any]
    ) -> tuple[ObjectKind | None, bool]:
        """What an object is (None: the root, which is none), and whether that was a known word."""
        for place in (properties, feature):
            for key in ("objectType", "object_type"):
                word = place.get(key)
                if word is not None:
                    if word in _SKIPPED:
                        return None, True
                    known = _KINDS.get(word) if isinstance(word, str) else None
                    return known or ObjectKind.ANNOTATION, known is not None
        for word in (feature.get("id"), properties.get("type")):
            if isinstance(word, str) and word in _SKIPPED:
                return None, True
            if isinstance(word, str) and word in _KINDS:
                return _KINDS[word], True
        return ObjectKind.ANNOTATION, True

    def _class_of(self, properties: dict[str, Any], where: str) -> int:
        """Number of the class; -1 for none."""
        key = self._class_key
        value = properties.get("classification" if key is None else key)
        if value is None:
            return -1
        try:
            return self._known_classes[value]  # a text
        except (KeyError, TypeError):
            pass
        raw = value
        if isinstance(value, dict) and len(value) == 2:  # a name and a colour, of many objects
            raw = str(value)
            if raw in self._known_classes:
                return self._known_classes[raw]
        if isinstance(value, str) and value[:1] == "{":
            try:
                value = json.loads(value)
            except ValueError:
                value = raw
        text, color = _class_parts(value)
        if text is None and key is not None and isinstance(value, int | float):
            text = str(value)
        if text is None:
            if value not in ({}, "") and not (isinstance(value, dict) and _is_nameless(value)):
                self._mend(where, "its class has no name", "taken without a class")
            return -1
        name = class_name(text)
        number = -1
        if name is not None:
            number = self._classes.setdefault(name, len(self._classes))
            if number == len(self._class_colors):
                self._class_colors.append(color)
            elif self._class_colors[number] is None:
                self._class_colors[number] = color
        if isinstance(raw, str):
            self._known_classes[raw] = number
        return number

    def _id_of(self, value: Any, where: str) -> bytes:
        """A UUID in lower case; nothing for another id, or one that was there before."""
        found = stored_id(value) if isinstance(value, str) and "-" in value else b""
        if not found:
            return b""
        if found in self._seen_ids:
            self._mend(where, "another feature has its id", "gets a new id")
            return b""
        self._seen_ids.add(found)
        return found

    def _add_values(self, measurements: Any, where: str) -> int:
        """Add the measurements of an object; give their number."""
        if not measurements:
            return 0
        if isinstance(measurements, str) and measurements[:1] in "{[":
            try:
                measurements = json.loads(measurements)
            except ValueError:
                measurements = None
        if isinstance(measurements, list):
            pairs = {
                m["name"]: m.get("value")
                for m in measurements
                if isinstance(m, dict) and isinstance(m.get("name"), str)
            }
        elif isinstance(measurements, dict):
            pairs = measurements
        else:
            self._mend(where, "its measurements are none", "taken without them")
            return 0
        names, known = [], self._measured
        values: list[float] = []
        for name, value in pairs.items():
            if type(value) is not float:
                number = _number(value)
                if number is None:
                    self._mend(where, "a measurement of it is no number", "taken without that")
                    continue
                value = number
            names.append(known.setdefault(name, len(known)))
            values.append(value)
        self._value_names += names
        self._values += values
        return len(values)

    def _lose(self, where: str, what: str) -> None:
        self.problems.append(FeatureProblem(where, what))

    def _mend(self, where: str, what: str, mend: str) -> None:
        self.problems.append(FeatureProblem(where, what, mend))

    def build(self) -> ObjectTable:
        """All of them, with valid geometries."""
        shapes = self.shapes.build()
        owner = {}
        for i, (geometry, nucleus) in enumerate(zip(self._geometry, self._nucleus, strict=True)):
            owner[geometry] = i, ""
            if nucleus >= 0:
                owner[nucleus] = i, "of its nucleus, "
        for number in sorted(self.shapes.with_height):
            i, of = owner[number]
            self._mend(self._where[i], f"{of}its points have a third coordinate", "taken without")
        mended = mend_geometries(shapes, self.shapes.broken)
        lost: set[int] = set()
        new_geometry, new_nucleus = (
            np.array(self._geometry, np.int32),
            np.array(self._nucleus, np.int32),
        )
        for fault in mended.faults:
            i, of = owner[fault.geometry]
            what = of + fault.what
            if fault.mend:
                self._mend(self._where[i], what, fault.mend)
            elif of:
                self._mend(self._where[i], what, "taken without a nucleus")
                new_nucleus[i] = -1
            else:
                self._lose(self._where[i], what)
                lost.add(i)
        for old, new in mended.replaced.items():
            i, of = owner[old]
            (new_nucleus if of else new_geometry)[i] = new
        n = len(self._kind)
        table = ObjectTable(
            kind=np.array(self._kind, np.uint8),
            geometry=new_geometry,
            nucleus=new_nucleus,
            parent=np.array(self._parent, np.int32),
            class_index=np.array(self._class, np.int32),
            classes=tuple(
                ObjectClass(name, self._class_colors[i]) for name, i in self._classes.items()
            ),
            ids=np.array(self._ids, "S36") if n else np.zeros(0, "S36"),
            names=self._names,
            color_argb=np.array(self._colors, np.int64),
            locked=np.array(self._locked, np.bool_),
            missing=np.array(self._missing, np.bool_),
            measurements=Measurements(
                tuple(self._measured),
                offsets(self._n_values),
                np.array(self._value_names, np.int32),
                np.array(self._values, np.float64),
            ),
            metadata=self._metadata,
            geometries=mended.geometries,
        )
        if lost:
            keep = np.array([i for i in range(n) if i not in lost], np.int64)
            table = table.take(keep)
        return table


# -- values of JSON -----------------------------------------------------------------------------


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    if isinstance(value, str):
        word = _NUMBER_WORDS.get(value.strip().lower())
        if word is not None:
            return word
        try:
            return float(value)
        except ValueError:
            return None
    return None


def _class_parts(value: Any) -> tuple[str | None, int | None]:
    """Name and packed colour of a class, however it is written."""
    if isinstance(value, str):
        return value, None
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        return ": ".join(value), None
    if not isinstance(value, dict):
        return None, None
    name = value.get("name")
    if not isinstance(name, str):
        names = value.get("names")
        name = None
        if isinstance(names, list) and names and all(isinstance(p, str) for p in names):
            name = ": ".join(names)
    else:
        # QuPath 0.2 and 0.3 wrote a derived class with the class that it is derived from.
        parent = value.get("parentClass")
        for _ in range(32):
            if not isinstance(parent, dict) or not isinstance(parent.get("name"), str):
                break
            name = f"{parent['name']}: {name}"
            parent = parent.get("parentClass")
    color = _color(value.get("color"))
    return name, _color(value.get("colorRGB")) if color is None else color


def _is_nameless(value: dict[str, Any]) -> bool:
    """Whether a class says on purpose that it has no name."""
    return value.get("name", "") in (None, "") and "names" not in value


def _color(value: Any) -> int | None:
    """Packed colour as Java's signed int, opaque unless it says otherwise."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        packed = value if not 0 <= value < 1 << 24 else value | 0xFF << 24
        return _signed(packed)
    if isinstance(value, str) and len(value) == 7 and value[0] == "#":
        try:
            return _signed(int(value[1:], 16) | 0xFF << 24)
        except ValueError:
            return None
    if not isinstance(value, list) or len(value) not in (3, 4):
        return None
    numbers = [v for v in value if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) != len(value) or not all(0 <= v <= 255 for v in numbers):
        return None
    red, green, blue, *alpha = (int(v) for v in numbers)
    return _signed((alpha[0] if alpha else 255) << 24 | red << 16 | green << 8 | blue)


def _signed(packed: int) -> int:
    packed &= 0xFFFFFFFF
    return packed - (1 << 32) if packed >= 1 << 31 else packed
