"""What becomes of what is imported, and of what is there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, get_args

from qpmask.common.arguments import check_fields, check_kind
from qpmask.errors import OptionsError
from qpmask.imageobjects import ObjectKind
from qpmask.options import parse_memory

Replace = Literal["none", "class", "all", "imported"]
Kind = Literal["annotations", "detections", "cells", "tiles"]
CoordinateFrame = Literal["image", "slide"]
Writer = Literal["auto", "native", "qupath"]
WRITERS: Final[tuple[str, ...]] = get_args(Writer)
REPLACE: Final[tuple[str, ...]] = get_args(Replace)
KINDS: Final = {
    "annotations": ObjectKind.ANNOTATION,
    "detections": ObjectKind.DETECTION,
    "cells": ObjectKind.CELL,
    "tiles": ObjectKind.TILE,
}
FRAMES: Final[tuple[str, ...]] = get_args(CoordinateFrame)

#: The metadata of an object that say where it was imported from.
MARK: Final = "qpmask import"


@dataclass(frozen=True)
class ImportOptions:
    """What becomes of what is imported.

    Attributes
    ----------
    as_kind : {"annotations", "detections", "cells", "tiles"}, optional
        What objects become. By default what the file says; areas of a mask become annotations,
        instances detections.
    replace : {"none", "class", "all", "imported"}
        What goes: nothing; objects of the classes that come, of the same sort (annotations, or
        detections with cells and tiles); all but cores of a tissue microarray; what was imported
        from the same source before. With "none", an image that holds objects of the same source
        is refused unless `again`.
    again : bool
        Import a source once more beside what came of it before.
    source : str, optional
        What objects are said to come from, by default the name of their file; "" marks nothing.
    class_name : str, optional
        Class of objects that have none.
    class_key : str, optional
        Property of GeoJSON that names the class, where that is not ``classification``.
    add_classes : bool
        Add classes that the project's list lacks.
    split : {"component", "class"}
        Of a mask: one object a connected region, or one a class.
    downsample : float, optional
        Pixels of the image in one of the coordinates' or the mask's.
    frame : {"image", "slide"}
        Whether coordinates count in the image as QuPath shows it, or in level 0 of the slide's
        file, which it may crop or rotate.
    strict : bool
        Refuse files in which anything has to be mended or left out.
    force : bool
        Write though QuPath runs.
    engine : {"auto", "native", "qupath"}
        Who writes. "auto": qpmask itself where objects are only added, which leaves all else of a
        data file byte for byte; QuPath where some are taken out, and for large data files.
    memory : str, optional
        Java heap, such as ``4g``.
    """

    as_kind: Kind | None = None
    replace: Replace = "none"
    again: bool = False
    source: str | None = None
    class_name: str | None = None
    class_key: str | None = None
    add_classes: bool = False
    split: Literal["component", "class"] = "component"
    downsample: float | None = None
    frame: CoordinateFrame = "image"
    strict: bool = False
    force: bool = False
    engine: Writer = "auto"
    memory: str | None = None

    def __post_init__(self) -> None:
        check_fields(self, numbers=("downsample",))
        for name, known in (
            ("as_kind", (None, *KINDS)),
            ("replace", REPLACE),
            ("split", ("component", "class")),
            ("frame", FRAMES),
            ("engine", WRITERS),
        ):
            if getattr(self, name) not in known:
                words = " or ".join(repr(word) for word in known)
                raise OptionsError(f"{name} is {getattr(self, name)!r}; it is {words}.")
        for name in ("source", "class_name", "class_key", "memory"):
            check_kind(getattr(self, name), str | None, name, "text")
        if self.downsample is not None and not (
            math.isfinite(self.downsample) and self.downsample > 0
        ):
            raise OptionsError(f"downsample is {self.downsample}; it must be above 0.")
        if self.memory is not None:
            parse_memory(self.memory)
