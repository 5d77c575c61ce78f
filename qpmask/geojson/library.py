"""The kernels of GeoJSON, compiled together."""

from __future__ import annotations

from qpmask.jit import Library

LIBRARY = Library(
    "geojson",
    [
        f"{__package__}.{name}"
        for name in ("library", "coordinates", "scanrecord", "decimals", "scan", "ringcheck")
    ],
)
