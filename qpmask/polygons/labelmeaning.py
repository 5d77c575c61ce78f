"""What labels of a mask mean as objects: classes, names, ids; and where its pixels lie."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.classes.names import class_name
from qpmask.errors import FrameError, OptionsError
from qpmask.geometry import Affine
from qpmask.imageobjects import ObjectClass
from qpmask.mask import Mask
from qpmask.ometiff.omexml import ClassRow, Color
from qpmask.outputs import INSTANCES_SUFFIX, read_sidecar
from qpmask.viewer.palette import palette_color


@dataclass(frozen=True)
class Instance:
    """What the table beside an instance mask says of a label."""

    class_name: str | None
    name: str | None
    id: str
    z: int = 0
    t: int = 0


@dataclass(frozen=True, eq=False)
class Meaning:
    """What the labels of one mask stand for.

    Attributes
    ----------
    rows : mapping of int to ClassRow
        The class table, by label.
    is_instances : bool
        Whether each label is an object.
    instances : mapping of int to Instance
        What is known of these.
    colors : mapping of str to (int, int, int) or None
        Colours of their classes.
    """

    rows: Mapping[int, ClassRow] = field(default_factory=dict)
    is_instances: bool = False
    instances: Mapping[int, Instance] = field(default_factory=dict)
    colors: Mapping[str, Color | None] = field(default_factory=dict)

    def classes_of(self, labels: NDArray[np.int64]) -> tuple[list[ObjectClass], NDArray[np.int32]]:
        """Classes of labels, and the number of each label's class or -1."""
        distinct, which = np.unique(labels, return_inverse=True)
        classes: dict[str, int] = {}
        found: list[ObjectClass] = []
        numbers = np.full(len(distinct), -1, np.int32)
        for i, label in enumerate(distinct.tolist()):
            name, color = self._class_of(label)
            if name is None:
                continue
            if name not in classes:
                classes[name] = len(found)
                found.append(ObjectClass(name, packed(color or palette_color(len(found) + 1))))
            numbers[i] = classes[name]
        return found, numbers[which]

    def _class_of(self, label: int) -> tuple[str | None, Color | None]:
        if self.is_instances:
            instance = self.instances.get(label)
            name = instance.class_name if instance is not None else None
            return name, None if name is None else self.colors.get(name)
        row = self.rows.get(label)
        if row is None:  # a class of no name: some that people can tell apart
            return f"Label {label}", palette_color(label)
        return class_name(row.name), row.color or palette_color(label)


def packed(color: Color) -> int:
    """A colour as QuPath packs it, opaque."""
    red, green, blue = color
    return (255 << 24 | red << 16 | green << 8 | blue) - (1 << 32)


def meaning_of(mask: Mask, *, instances: bool | None = None) -> Meaning:
    """What the labels of a mask file stand for, by its metadata and the files beside it.

    Parameters
    ----------
    mask : Mask
        The mask.
    instances : bool, optional
        Whether each label is an object; by default what the mask says of itself.
    """
    extra = mask.metadata.extra if mask.metadata is not None else {}
    if instances is None:
        instances = extra.get("kind") == "instances"
    if not instances:
        return Meaning(mask.classes)
    sidecar = read_sidecar(mask.path) or {}
    return Meaning(mask.classes, True, _instances(mask.path), _colors(sidecar, mask.classes))


def _instances(mask: Path) -> dict[int, Instance]:
    """The table beside an instance mask; empty where there is none."""
    try:
        with mask.with_name(mask.name + INSTANCES_SUFFIX).open(encoding="utf-8", newline="") as f:
            return {
                int(row["label"]): Instance(
                    class_name(row["class"] or ""), row["name"] or None, row["object_id"] or "",
                    int(row["z"] or 0), int(row["t"] or 0),
                )
                for row in csv.DictReader(f)
            }  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return {}


def _colors(sidecar: Mapping[str, Any], rows: Mapping[int, ClassRow]) -> dict[str, Color | None]:
    colors: dict[str, Color | None] = {row.name: row.color for row in rows.values()}
    for row in sidecar.get("classes", ()):
        if isinstance(row, dict) and isinstance(row.get("color"), str):
            text = row["color"].lstrip("#")
            try:
                colors[str(row.get("name"))] = (
                    int(text[:2], 16), int(text[2:4], 16), int(text[4:6], 16)
                )  # fmt: skip
            except ValueError:
                continue
    return colors


def to_image(mask: Mask | None, downsample: float | None) -> Affine:
    """From pixels of a mask to those of the image at full resolution.

    Parameters
    ----------
    mask : Mask or None
        A mask file, which may say its downsample.
    downsample : float, optional
        What the user says; goes before.
    """
    if downsample is None and mask is not None and mask.metadata is not None:
        try:
            downsample = float(mask.metadata.extra.get("downsample", "1"))
        except ValueError:
            downsample = None
    downsample = 1.0 if downsample is None else downsample
    if not (math.isfinite(downsample) and downsample > 0):
        raise OptionsError(f"A downsample of {downsample:g} makes no sense; it is above 0.")
    return Affine.scale(downsample)


def to_file(mask: Mask) -> Affine:
    """From pixels of a mask to those of the slide's file.

    Raises
    ------
    FrameError
        The mask does not say where it lies there, or needs the slide to know.
    """
    frame = mask.frame
    if frame is None or frame.matrix is None:
        why = "it does not say" if frame is None else frame.unknown
        raise FrameError(f"Where {mask.path} lies in the slide's file is not known: {why}.")
    if frame.file is not None and frame.file.cut != "no":
        raise FrameError(
            f"{mask.path} lies upon the scanned part of the slide, and where that begins stands in "
            "the slide alone.",
            hint="In Python: mask.frame.to_file(slide_size, slide_bounds).",
        )
    return frame.matrix
