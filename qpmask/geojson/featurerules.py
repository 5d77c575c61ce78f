"""What a feature of GeoJSON says of its object, but for where that lies: kind, class, colour.

The one place for these rules: what is read feature by feature and what is read by its skeleton
go through it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from qpmask.classes.names import class_name
from qpmask.geojson.values import class_parts, color, is_nameless, measurement_pairs, metadata_of
from qpmask.imageobjects import NO_COLOR, ObjectClass, ObjectKind

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
_TRUE: Final = (True, 1.0)  # GDAL writes a number where some features do not say it


@dataclass(eq=False)
class Described:
    """What a feature says of its object.

    Attributes
    ----------
    class_index : int
        Number of its class in :class:`FeatureRules`, -1 for none.
    name : object
        What stands there for its name.
    color_argb : int
        Packed, or NO_COLOR.
    locked, missing : bool
        As QuPath says it.
    metadata : dict or None
        Metadata.
    measured : dict
        What was measured, by name, as it stands there.
    mends : list of (str, str)
        What is wrong with it, and what was done about that.
    """

    class_index: int
    name: Any
    color_argb: int
    locked: bool
    missing: bool
    metadata: dict[str, str] | None
    measured: dict[str, Any]
    mends: list[tuple[str, str]] = field(default_factory=list)


def properties_of(feature: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A feature and its properties; a bare geometry becomes a feature."""
    properties = feature.get("properties")
    if isinstance(properties, dict):
        return feature, properties
    # A bare geometry, or a feature that has none of them (QuPath refuses null).
    is_bare = "geometry" not in feature and feature.get("type") != "Feature"
    return ({"geometry": feature} if is_bare else feature), {}


def kind_of(feature: dict[str, Any], properties: dict[str, Any]) -> tuple[ObjectKind | None, bool]:
    """What an object is (None: the root, which is none), and whether that was a known word."""
    for place in (properties, feature):
        for key in ("objectType", "object_type"):
            word = place.get(key)
            if word is not None:
                if not isinstance(word, str):
                    return ObjectKind.ANNOTATION, False
                if word in _SKIPPED:
                    return None, True
                known = _KINDS.get(word)
                return known or ObjectKind.ANNOTATION, known is not None
    for word in (feature.get("id"), properties.get("type")):
        if isinstance(word, str) and word in _SKIPPED:
            return None, True
        if isinstance(word, str) and word in _KINDS:
            return _KINDS[word], True
    return ObjectKind.ANNOTATION, True


def id_of(feature: dict[str, Any], properties: dict[str, Any]) -> Any:
    """What stands there for an object's id: GDAL puts that of the feature among its properties."""
    own = feature.get("id")
    return properties.get("id") if own is None else own


class FeatureRules:
    """Describes features, and numbers the classes of a file.

    Parameters
    ----------
    class_key : str, optional
        The property that names an object's class, where it is not ``classification``.
    """

    def __init__(self, class_key: str | None) -> None:
        self._class_key = class_key
        self._numbers: dict[str, int] = {}
        self._colors: list[int | None] = []
        self._known: dict[Any, int] = {}

    @property
    def classes(self) -> list[ObjectClass]:
        """The classes, by number."""
        return [ObjectClass(name, self._colors[i]) for name, i in self._numbers.items()]

    def describe(self, feature: dict[str, Any], properties: dict[str, Any]) -> Described:
        """What a feature says of its object."""
        own_color = color(properties.get("color"))
        found = Described(
            class_index=-1,
            name=properties.get("name", feature.get("name")),
            color_argb=NO_COLOR if own_color is None else own_color,
            locked=properties.get("isLocked") in _TRUE,
            missing=properties.get("isMissing") in _TRUE,
            metadata=metadata_of(properties.get("metadata")),
            measured={},
        )
        found.class_index = self._class_of(properties, found)
        measurements = properties.get("measurements")
        if measurements:
            pairs = measurement_pairs(measurements)
            if pairs is None:
                found.mends.append(("its measurements are none", "taken without them"))
            else:
                found.measured = pairs
        return found

    def _class_of(self, properties: dict[str, Any], described: Described) -> int:
        """Number of the class; -1 for none."""
        key = self._class_key
        value = properties.get("classification" if key is None else key)
        if value is None:
            return -1
        try:
            return self._known[value]  # a text
        except (KeyError, TypeError):
            pass
        raw = value
        if isinstance(value, dict) and len(value) == 2:  # a name and a colour, of many objects
            raw = str(value)
            if raw in self._known:
                return self._known[raw]
        if isinstance(value, str) and value[:1] == "{":
            try:
                value = json.loads(value)
            except ValueError:
                value = raw
        text, argb = class_parts(value)
        if text is None and key is not None and isinstance(value, int | float):
            text = str(value)
        if text is None:
            if value not in ({}, "") and not (isinstance(value, dict) and is_nameless(value)):
                described.mends.append(("its class has no name", "taken without a class"))
            return -1
        name = class_name(text)
        number = -1
        if name is not None:
            number = self._numbers.setdefault(name, len(self._numbers))
            if number == len(self._colors):
                self._colors.append(argb)
            elif self._colors[number] is None:
                self._colors[number] = argb
        if isinstance(raw, str):
            self._known[raw] = number
        return number
