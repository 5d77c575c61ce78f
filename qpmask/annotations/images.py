"""Images of a project as what a run of ``qpmask annotations`` works on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from qpmask.annotations.convert import Color, read_objects
from qpmask.batch import Reporter
from qpmask.errors import DataFileMissingError, OptionsError
from qpmask.imageobjects import ObjectKind, ObjectTable, geometries, plain_objects
from qpmask.objectfiles.work import Made
from qpmask.outputs import file_sha256
from qpmask.project.project import BACKUP_FILE, ImageEntry, open_project

#: What ``objects`` may name, and the kinds that it stands for.
KINDS: Final = {
    "annotations": (ObjectKind.ANNOTATION,),
    "detections": (ObjectKind.DETECTION, ObjectKind.CELL, ObjectKind.TILE),
    "cells": (ObjectKind.CELL,),
    "tiles": (ObjectKind.TILE,),
    "cores": (ObjectKind.TMA_CORE,),
    "all": tuple(ObjectKind),
}


@dataclass(frozen=True)
class ImageSource:
    """One image of a project."""

    entry: ImageEntry

    @property
    def key(self) -> str:
        """Its entry id."""
        return self.entry.id

    @property
    def name(self) -> str:
        """Its name."""
        return self.entry.name


@dataclass(frozen=True)
class ObjectReader:
    """Reads the objects of images; see :class:`~qpmask.objectfiles.work.Maker`.

    Attributes
    ----------
    kinds : tuple of str
        What is taken: keys of :data:`KINDS`.
    colors : dict of str to (int, int, int) or None
        Colours of the project's class list.
    exact : bool
        Geometries as they are stored, or as QuPath exports them.
    """

    kinds: tuple[str, ...] = ("annotations",)
    colors: tuple[tuple[str, Color | None], ...] = ()
    exact: bool = False

    def __post_init__(self) -> None:
        for name in self.kinds:
            if name not in KINDS:
                raise OptionsError(f"objects is {name!r}; it is {', '.join(KINDS)}.")

    def made_from(self, source: ImageSource) -> dict[str, Any]:
        """The data file, the colours, what is taken of it."""
        path = source.entry.data_path
        return {
            "data": file_sha256(path) if path.is_file() else None,
            "objects": list(self.kinds),
            "colors": self.colors,
            "exact": self.exact,
        }

    def make(self, source: ImageSource, reporter: Reporter) -> Made:
        """Read the objects of one image, and say so."""
        reporter.phase("reading")
        return self.read(source)

    def read(self, source: ImageSource) -> Made:
        """Read the objects of one image."""
        entry = source.entry
        about = {"image": entry.name, "entry_id": entry.id}
        if not entry.data_path.is_file():
            if not entry.data_dir.is_dir():
                raise DataFileMissingError(f"{entry.label} has no folder {entry.data_dir}.")
            return Made(_no_objects(), about, ("It was never saved in QuPath: it has no objects.",))
        table, warnings = read_objects(entry.data_path, dict(self.colors), exact=self.exact)
        wanted = [kind for name in self.kinds for kind in KINDS[name]]
        if len(set(wanted)) < len(ObjectKind):
            table = table.take(np.flatnonzero(np.isin(table.kind, wanted)))
        if not len(table):
            warnings = (*warnings, f"It has no objects of the kind {', '.join(self.kinds)}.")
        return Made(table, about, warnings)


def images_of(
    project: Path, *, patterns: Sequence[str] = (), kinds: Sequence[str] = ("annotations",),
    use_backup: bool = False, exact: bool = False,
) -> tuple[ObjectReader, tuple[ImageSource, ...]]:  # fmt: skip
    """The images of a project, and what reads their objects. Nothing in it is ever changed.

    Raises
    ------
    ProjectError, NoSuchImageError
        It is no project, or a pattern matches no image.
    """
    opened = open_project(project)
    entries = opened.select(patterns)
    if use_backup:
        entries = tuple(replace(entry, data_name=BACKUP_FILE) for entry in entries)
    colors = tuple((c.name, c.color) for c in opened.classes)
    return ObjectReader(tuple(kinds), colors, exact), tuple(ImageSource(entry) for entry in entries)


def _no_objects() -> ObjectTable:
    zero = np.zeros(1, np.int64)
    return plain_objects(geometries(np.zeros(0, np.uint8), zero, zero, zero, np.zeros((0, 2))))
