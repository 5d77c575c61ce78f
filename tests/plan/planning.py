"""Plans of the small test projects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import projects

from qpmask import export_options, plan_export
from qpmask.errors import (
    QpmaskError,
)
from qpmask.plan import ImagePlan, Plan

SQUARES, STACK, CELLS, MANY = ("squares.ome.tif", "stack.ome.tif", "cells.ome.tif", "many.ome.tif")
THREE = (SQUARES, STACK, CELLS)
ALL = {"Alpha": 1, "Beta": 2, "Gamma": 3, "Alpha: Positive": 4}


def plan(project: Path, classes: Any = None, **options: Any) -> Plan:
    return plan_export(project, classes=classes, options=export_options(**options))


def one(project: Path, name: str, classes: Any = None, **options: Any) -> ImagePlan:
    """The plan of one image, which is fine."""
    (image,) = plan(project, classes, images=(name,), **options).images
    assert image.error is None, image.error
    return image


def failure(project: Path, name: str, **options: Any) -> QpmaskError:
    """Why one image cannot be drawn."""
    (image,) = plan(project, images=(name,), **options).images
    assert image.error is not None and image.job is None
    return image.error


def metadata_of(project: Path, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    projects.edit(project, lambda d: change(projects.entry(d, name)["serverBuilder"]["metadata"]))
