"""What mask will be made of the writes: one record, kept at the head of the journal as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.classes import ClassEntry, ClassMap
from qpmask.classes.names import class_name
from qpmask.common.arguments import check_kind, flag, whole_number
from qpmask.errors import MaskError, OptionsError
from qpmask.geometry import PixelSize, Size, TileGrid, useful_tile_px
from qpmask.ometiff.layout import MaskLayout
from qpmask.ometiff.omexml import ClassRow, MaskMetadata
from qpmask.options import MAX_LABEL, pixel_type

Classes = ClassMap | Mapping[int, str] | Mapping[str, int] | Iterable[ClassRow | ClassEntry]

_MAX_TILE_PX = 8192  # places within a tile are kept in 16 bits


@dataclass(frozen=True)
class WriterPlan:
    """The mask to be made.

    Parameters
    ----------
    size : Size
        Size of level 0.
    name : str
        Name of the image in the file.
    tile_px : int
        Edge of a tile.
    dtype : {"uint8", "uint16", "uint32"}, optional
        Pixel type. None: the smallest that holds all labels, of the classes and of the pixels.
    compression : str
        As in :class:`~qpmask.ometiff.layout.MaskLayout`.
    pyramid, one_bit : bool
        As in :class:`~qpmask.ometiff.layout.MaskLayout`.
    pixel_size : PixelSize, optional
        Size of a pixel of level 0.
    classes : tuple of ClassRow, optional
        The labels that may be written, besides 0. None: any that the pixel type holds.
    extra : mapping of str to str
        Further metadata.
    """

    size: Size
    name: str
    tile_px: int = 512
    dtype: str | None = None
    compression: str = "lzw"
    pyramid: bool = True
    one_bit: bool = False
    pixel_size: PixelSize | None = None
    classes: tuple[ClassRow, ...] | None = None
    extra: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.dtype is not None:
            object.__setattr__(self, "dtype", self.layout().dtype)
        # Both say what is wrong with their part.
        self.metadata()
        if self.tile_px > _MAX_TILE_PX:
            raise OptionsError(
                f"The tile size is {self.tile_px}; at most {_MAX_TILE_PX} is useful."
            )
        if self.classes is not None:
            for row in self.classes:
                if row.label > self.max_label:
                    kind = "1 bit" if self.one_bit else self.dtype or "uint32"
                    raise OptionsError(
                        f"The class {row.name!r} has the label {row.label:,}; "
                        f"a mask of {kind} holds labels up to {self.max_label:,}."
                    )

    @property
    def grid(self) -> TileGrid:
        """Tiles of level 0."""
        return TileGrid(self.size, self.tile_px)

    @cached_property
    def max_label(self) -> int:
        """The greatest label that the pixel type holds."""
        return 1 if self.one_bit else min(MAX_LABEL, np.iinfo(self.dtype or "uint32").max)

    @cached_property
    def labels(self) -> NDArray[np.int64] | None:
        """The labels that may be written, sorted; None if any may."""
        if self.classes is None:
            return None
        return np.unique([0, *(row.label for row in self.classes)])

    @cached_property
    def all_labels_up_to(self) -> int:
        """A label up to which all may be written, 0 at least: one comparison then says enough."""
        if self.labels is None:
            return self.max_label
        gaps = np.flatnonzero(self.labels != np.arange(self.labels.size))
        return int(gaps[0] if gaps.size else self.labels.size) - 1

    def final_dtype(self, largest_written: int) -> str:
        """Pixel type of the mask, given the greatest label that was written."""
        if self.dtype is not None:
            return self.dtype
        in_table = max((row.label for row in self.classes or ()), default=0)
        return pixel_type(max(largest_written, in_table))

    def layout(self, largest_written: int = 0) -> MaskLayout:
        """How the mask will lie in its file."""
        return MaskLayout(
            self.size,
            self.tile_px,
            self.final_dtype(largest_written),
            compression=self.compression,
            pyramid=self.pyramid,
            one_bit=self.one_bit,
        )

    def metadata(self, largest_written: int = 0) -> MaskMetadata:
        """What the mask will say about itself."""
        return MaskMetadata(
            self.name,
            self.size,
            dtype=self.layout(largest_written).dtype,
            pixel_size=self.pixel_size,
            classes=self.classes or (),
            extra=dict(self.extra),
        )

    def to_json(self) -> bytes:
        """The record as ASCII; :meth:`from_json` reads it back."""
        pixel_um = self.pixel_size and [self.pixel_size.width_um, self.pixel_size.height_um]
        classes = self.classes
        data = {
            "width_px": self.size.width_px,
            "height_px": self.size.height_px,
            "name": self.name,
            "tile_px": self.tile_px,
            "dtype": self.dtype,
            "compression": self.compression,
            "pyramid": self.pyramid,
            "one_bit": self.one_bit,
            "pixel_um": pixel_um,
            "classes": None if classes is None else [[r.label, r.name, r.color] for r in classes],
            "extra": dict(self.extra),
        }
        return json.dumps(data).encode("ascii")

    @classmethod
    def from_json(cls, text: bytes) -> WriterPlan:
        """The record from its JSON.

        Raises
        ------
        MaskError
            If it is none.
        """
        try:
            data = json.loads(text)
            classes = data["classes"]
            pixel_um = data["pixel_um"]
            return cls(
                size=Size(int(data["width_px"]), int(data["height_px"])),
                name=str(data["name"]),
                tile_px=int(data["tile_px"]),
                dtype=data["dtype"],
                compression=data["compression"],
                pyramid=bool(data["pyramid"]),
                one_bit=bool(data["one_bit"]),
                pixel_size=None if pixel_um is None else PixelSize(*map(float, pixel_um)),
                classes=None if classes is None else tuple(map(_row_from_json, classes)),
                extra={str(key): str(value) for key, value in data["extra"].items()},
            )
        except (
            ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError,
        ) as error:  # fmt: skip
            raise MaskError(f"Its head makes no sense: {error}.") from error


def _row_from_json(row: Any) -> ClassRow:
    label, name, color = row
    if color is None:
        return ClassRow(int(label), str(name))
    red, green, blue = map(int, color)
    return ClassRow(int(label), str(name), (red, green, blue))


@dataclass(frozen=True)
class MaskOptions:
    """What a user asks of a mask, as it is given; :class:`qpmask.MaskWriter` says what it means."""

    classes: Classes | None
    mpp: float | tuple[float, float] | PixelSize | None
    tile_size: int
    dtype: str | None
    compression: str
    pyramid: bool
    bits: bool
    name: str | None
    extra: Mapping[str, str] | None

    def plan(self, path: Path, width: int, height: int) -> WriterPlan:
        """The plan of a mask of so many pixels.

        Raises
        ------
        OptionsError
            If the options make no sense.
        """
        size = Size(whole_number(width, "width"), whole_number(height, "height"))
        tile_px = whole_number(self.tile_size, "tile_size")
        check_kind(self.compression, str, "compression", "text")
        check_kind(self.name, str | None, "name", "text")
        check_kind(self.extra, Mapping | None, "extra", "a mapping of names to texts")
        if min(size.width_px, size.height_px) > 0 and tile_px <= _MAX_TILE_PX:
            tile_px = useful_tile_px(size, tile_px)
        return WriterPlan(
            size=size,
            name=_name_of(path) if self.name is None else self.name,
            tile_px=tile_px,
            dtype=self.dtype,
            compression=self.compression,
            pyramid=flag(self.pyramid, "pyramid"),
            one_bit=flag(self.bits, "bits"),
            pixel_size=pixel_size_of(self.mpp),
            classes=class_rows(self.classes),
            extra={str(key): str(value) for key, value in (self.extra or {}).items()},
        )


def class_rows(classes: Classes | None) -> tuple[ClassRow, ...] | None:
    """The class table in any of its forms.

    Parameters
    ----------
    classes : ClassMap, mapping of labels to names or of names to labels, or list of rows
        None for no table.

    Raises
    ------
    OptionsError
        If it is none of these, or empty.
    """
    if classes is None:
        return None
    if isinstance(classes, ClassMap):
        classes = [ClassRow(row.label, row.name, row.color) for row in classes.rows]
    rows: list[ClassRow] = []
    if isinstance(classes, Mapping):
        for key, value in classes.items():
            label, name = (value, key) if isinstance(key, str) else (key, value)
            if not isinstance(name, str) or not isinstance(label, int | np.integer):
                raise OptionsError(
                    f"The class table has {key!r}: {value!r}.",
                    hint='Give labels and names, as in {1: "Tumor"} or {"Tumor": 1}.',
                )
            rows.append(ClassRow(int(label), name))
    else:
        if not isinstance(classes, Iterable):
            classes = (classes,)
        for row in classes:
            if not isinstance(row, ClassRow | ClassEntry):
                raise OptionsError(
                    f"The class table has a row {row!r}.",
                    hint="Give a class map, a mapping of labels to names, or a list of ClassRow.",
                )
            rows.append(ClassRow(row.label, row.name, row.color))
    rows = _in_form(rows)
    if not rows:
        raise OptionsError(
            "The class table is empty, so nothing could be written.",
            hint="Leave it out (classes=None) to allow any label.",
        )
    return tuple(rows)


def _in_form(rows: list[ClassRow]) -> list[ClassRow]:
    """The rows with QuPath's form of their names; two that become one are refused."""
    spellings: dict[str, str] = {}
    for row in rows:
        first = spellings.setdefault(class_name(row.name) or row.name, row.name)
        if first != row.name:
            raise OptionsError(
                f"{first!r} and {row.name!r} of the class table are one class to QuPath.",
                hint="Give them one label, or names that differ in more than white space.",
            )
    return [replace(row, name=class_name(row.name) or row.name) for row in rows]


def pixel_size_of(mpp: float | tuple[float, float] | PixelSize | None) -> PixelSize | None:
    """Size of a pixel, from micrometres per pixel: one number, or one for x and one for y.

    Raises
    ------
    OptionsError
        If it is neither.
    """
    if mpp is None or isinstance(mpp, PixelSize):
        return mpp
    try:
        lengths_um = (mpp, mpp) if isinstance(mpp, int | float | np.number) else tuple(mpp)
    except TypeError:
        lengths_um = ()
    if len(lengths_um) != 2 or not all(
        isinstance(um, int | float | np.number) and math.isfinite(um) and um > 0
        for um in lengths_um
    ):
        raise OptionsError(
            f"mpp is {mpp!r}; it must be one positive number, or two, for x and y.",
            hint="It counts micrometres per pixel, such as 0.25.",
        )
    return PixelSize(float(lengths_um[0]), float(lengths_um[1]))


def check_threads(threads: int | None) -> None:
    """Raise :class:`OptionsError` unless it is a number of threads, or None."""
    if threads is not None and whole_number(threads, "threads") < 1:
        raise OptionsError(f"threads is {threads!r}; it must be a whole number from 1.")


def _name_of(path: Path) -> str:
    name = path.name
    for suffix in (".ome.tif", ".ome.tiff", ".tif", ".tiff"):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return name
