"""Objects of a data file -> a table, as QuPath exports them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from qpmask.annotations.exact import exact_geometries_of, what_differs
from qpmask.annotations.rings import geometries_of
from qpmask.imageobjects import ImageObjects, ObjectClass, ObjectTable
from qpmask.polygons.labelmeaning import packed
from qpmask.qpdata import read_qpdata

Color = tuple[int, int, int]


def read_objects(
    path: Path, colors: Mapping[str, Color | None] | None = None, *, exact: bool = False
) -> tuple[ObjectTable, tuple[str, ...]]:
    """All objects of a data file.

    Parameters
    ----------
    path : Path
        The file.
    colors : mapping of str to (int, int, int) or None
        Colours of the project's class list, which go before those of the file.
    exact : bool
        Geometries as they are stored, from which an import makes the same ROIs; or as QuPath
        exports them, on a grid of 0.01 pixels.

    Returns
    -------
    table : ObjectTable
        In the order in which QuPath's ``getDescendantObjects`` visits.
    warnings : tuple of str
        What people should know.

    Raises
    ------
    DataFileError
        The file cannot be trusted.
    """
    return table_of(read_qpdata(path, details=True), colors or {}, exact=exact)


def table_of(
    objects: ImageObjects, colors: Mapping[str, Color | None], *, exact: bool = False
) -> tuple[ObjectTable, tuple[str, ...]]:
    """Objects, read with their details, as a table; see :func:`read_objects`."""
    details = objects.details
    assert details is not None
    shapes, number, n_mended = (exact_geometries_of if exact else geometries_of)(objects.rois)
    number = np.append(number, -1)  # for no ROI
    classes = tuple(
        ObjectClass(c.name, _color(c.color_argb, colors.get(c.name))) for c in objects.classes
    )
    warnings = [*what_differs(objects.rois)] if exact else []
    if n_mended:
        how = "which masks may show in a pixel" if exact else "as QuPath does"
        warnings.append(
            f"{n_mended:,} outlines cross themselves; they are written as the areas inside them, "
            f"{how}."
        )
    n_unknown = int((shapes.type == 0).sum())
    if n_unknown:
        warnings.append(
            f"{n_unknown:,} shapes are collections of several kinds and are left out: GeoJSON has "
            "no form for them that QuPath reads."
        )
    return (
        ObjectTable(
            kind=objects.kind,
            geometry=number[objects.roi].astype(np.int32),
            nucleus=number[objects.nucleus_roi].astype(np.int32),
            parent=objects.parent,
            class_index=objects.class_index,
            classes=classes,
            ids=objects.ids,
            names=objects.names,
            color_argb=details.color_argb,
            locked=objects.locked,
            missing=objects.missing,
            measurements=details.measurements,
            geometries=shapes,
            metadata=details.metadata,
        ),
        tuple(warnings),
    )


def _color(stored: int | None, listed: Color | None) -> int | None:
    return packed(listed) if listed is not None else stored
