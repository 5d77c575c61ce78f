"""The kernels of GeoJSON, compiled together."""

from __future__ import annotations

from qpmask.jit import Library

_MODULES = (
    "library", "numbers", "coordinates", "features", "outlines", "scanrecord", "decimals",
    "scantext", "scan", "ringcheck",
)  # fmt: skip
LIBRARY = Library("geojson", [f"{__package__}.{name}" for name in _MODULES])
