"""Values of GeoJSON in all the ways they are written: numbers, classes, colours, measurements."""

from __future__ import annotations

import json
import math
from typing import Any, Final

_NUMBER_WORDS: Final = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf,
                        "infinity": math.inf, "-infinity": -math.inf}  # fmt: skip


def number(value: Any) -> float | None:
    """A measurement as a number; None where it is none."""
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


def class_parts(value: Any) -> tuple[str | None, int | None]:
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
    found = color(value.get("color"))
    return name, color(value.get("colorRGB")) if found is None else found


def is_nameless(value: dict[str, Any]) -> bool:
    """Whether a class says on purpose that it has no name."""
    return value.get("name", "") in (None, "") and "names" not in value


def color(value: Any) -> int | None:
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


def measurement_pairs(measurements: Any) -> dict[str, Any] | None:
    """Measurements by name, whether a list or a mapping; None where they are neither."""
    if isinstance(measurements, str) and measurements[:1] in "{[":
        try:
            measurements = json.loads(measurements)
        except ValueError:
            return None
    if isinstance(measurements, list):
        return {
            m["name"]: m.get("value")
            for m in measurements
            if isinstance(m, dict) and isinstance(m.get("name"), str)
        }
    return measurements if isinstance(measurements, dict) else None


def metadata_of(value: Any) -> dict[str, str] | None:
    """Metadata as texts; None where there are none."""
    if not isinstance(value, dict) or not value:
        return None
    return {
        k: v if isinstance(v, str) else json.dumps(v)
        for k, v in value.items()
        if not isinstance(v, dict | list) and v is not None
    }
