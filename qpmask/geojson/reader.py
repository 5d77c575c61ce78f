"""Reads GeoJSON in all its dialects: a file -> an :class:`ObjectTable`, and what was wrong with it.

Read are the forms of QuPath 0.2 to 0.7 and those that others write for it: the type of an object
as the feature's id (0.2), ``object_type`` (0.3) or ``objectType``, also outside ``properties``
(TIAToolbox); a class as a text, as ``name``, ``names`` or with ``colorRGB``, with a colour or
without (dlup), or as JSON within a text (GeoPandas); measurements as a list or a mapping; a plane
in the geometry or in the properties. A feature that cannot be read is left out and named; it
never costs the others.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from qpmask.common.arguments import path_of
from qpmask.errors import ObjectFileError
from qpmask.geojson.columns import Columns
from qpmask.geojson.problems import FeatureProblem, told
from qpmask.geojson.skeletons import scanned
from qpmask.geojson.text import feature_pieces, read_text, without_gc
from qpmask.imageobjects import ObjectTable

#: Smaller files are read by Python alone, without machine code.
SCANNED_BYTES: Final = 1 << 17


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


@without_gc()
def read_objects_bytes(
    data: bytes, path: Path = Path("GeoJSON"), *, class_key: str | None = None
) -> ObjectsRead:
    """Read GeoJSON from bytes; see :func:`read_objects`."""
    columns = None
    if len(data) >= SCANNED_BYTES:
        columns = scanned(data, path, class_key)
    if columns is None:
        columns = Columns(class_key)
        number = 0
        for piece in feature_pieces(data, path):
            for feature in piece:
                number += 1
                columns.add(feature, number)
            columns.shapes.settle()
            del piece
    table = columns.build()
    return ObjectsRead(table, tuple(columns.problems), columns.n_features)
