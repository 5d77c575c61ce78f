"""The kernels of the native engine, compiled together."""

from __future__ import annotations

from qpmask.jit import Library

_MODULES = (
    "crossings", "ellipses", "polygonfill", "shapedraw", "shapes", "stripdraw", "thinrule",
    "tilecanvas", "tilerows", "widerule",
)  # fmt: skip

_STRIPS = ("kernels.library", "kernels.pixels", "runs", "strips")  # what is used of these

LIBRARY = Library(
    "draw",
    [f"{__package__}.{name}" for name in _MODULES] + [f"qpmask.ometiff.{name}" for name in _STRIPS],
)
