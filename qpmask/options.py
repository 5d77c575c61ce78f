"""What to draw and how to write it: frozen records, each default with its reason."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, get_args

from qpmask.common.arguments import check_fields, check_kind, named, path_of, shown
from qpmask.common.frozen import dataclass
from qpmask.errors import OptionsError, WrongTypeError

Objects = Literal["annotations", "detections", "cells", "nuclei", "cores", "all-cores"]
Compression = Literal["lzw", "zlib", "zstd", "none"]
UnknownPolicy = Literal["error", "ignore"]
Unclassified = Literal["ignore", "error"] | int
MadeFor = Literal["simpleitk"]
Format = Literal["ome-tiff", "ome-zarr", "ozx"]
Order = Literal["classes", "area"]
HiddenPolicy = Literal["warn", "error"]
EngineName = Literal["auto", "qupath", "native", "both"]

OBJECTS: tuple[Objects, ...] = get_args(Objects)
COMPRESSIONS: tuple[Compression, ...] = ("lzw", "zlib", "zstd", "none")
FORMATS: tuple[Format, ...] = ("ome-tiff", "ome-zarr", "ozx")
PROGRAMS_WITH_MASKS: tuple[MadeFor, ...] = ("simpleitk",)
ENGINES: tuple[EngineName, ...] = ("auto", "qupath", "native", "both")
ORDERS: tuple[Order, ...] = ("classes", "area")
HIDDEN_POLICIES: tuple[HiddenPolicy, ...] = ("warn", "error")
UNKNOWN_POLICIES: tuple[UnknownPolicy, ...] = ("error", "ignore")

#: The greatest label: what an int of 32 bits with a sign holds, as of Java, Pillow and PyTorch.
MAX_LABEL = 2**31 - 1

PIXEL_TYPES = ("uint8", "uint16", "uint32")


def pixel_type(max_label: int) -> str:
    """The smallest pixel type of a mask that holds a label: one of `PIXEL_TYPES`."""
    return "uint8" if max_label < 1 << 8 else "uint16" if max_label < 1 << 16 else "uint32"


@dataclass(frozen=True)
class RenderOptions:
    """What decides the pixels of a mask.

    Attributes
    ----------
    objects : str
        ``annotations`` (what pathologists draw), ``detections`` (cells and tiles included),
        ``cells`` (their outer boundary), ``nuclei`` (of cells; a cell without one is drawn
        whole, as QuPath does), ``cores`` (of a tissue microarray, but for those that are marked
        as missing) or ``all-cores`` (those too).
    downsample : float or None
        Full-resolution pixels per mask pixel, 1 or more. Default 1: nothing is lost.
    mpp : float or None
        Micrometres per mask pixel instead; each image gets the downsample that reaches it.
    tile_px : int
        Side of a tile, a multiple of 16 as TIFF demands. Default 512: QuPath's own default for
        label images. The tile grid decides a few pixels at tile borders, see
        CONTRIBUTING.md, "Pixel rules".
    line_thickness : float
        Width of lines and boundaries in mask pixels. Default 1, as QuPath.
    boundary_label : int or None
        Draw the outline of every area with this label, over everything else. Default: none.
    instances : bool
        A label of its own for each object instead of its class's.
    multichannel : bool
        One plane (0 or 255) for each class, so that overlapping classes keep all their pixels.
    order : str or None
        What covers what: ``classes`` draws in the order of the class map, ``area`` draws larger
        objects first whatever their class, so that small ones stay on top; of equal areas the
        order of the classes decides. Default: what the class map says, else ``classes``.
    """

    objects: Objects = "annotations"
    downsample: float | None = None
    mpp: float | None = None
    tile_px: int = 512
    line_thickness: float = 1.0
    boundary_label: int | None = None
    instances: bool = False
    multichannel: bool = False
    order: Order | None = None

    def __post_init__(self) -> None:
        check_fields(self, numbers=("downsample", "mpp"), whole=("boundary_label",))
        if self.order is not None and self.order not in ORDERS:
            raise OptionsError(f"order is {self.order!r}; it must be one of {_names(ORDERS)}.")
        if self.objects not in OBJECTS:
            raise OptionsError(f"objects is {self.objects!r}; it must be one of {_names(OBJECTS)}.")
        if self.downsample is not None and self.mpp is not None:
            raise OptionsError("Give either a downsample or a pixel size (mpp), not both.")
        for name in ("downsample", "mpp", "line_thickness"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise OptionsError(f"{name} is {value!r}; it must be a positive number.")
        if self.downsample is not None and self.downsample < 1:
            raise OptionsError(
                f"downsample is {self.downsample:g}; a mask cannot be finer than its image.",
                hint="Use 1 for full resolution, 4 for a quarter of the width.",
            )
        if self.tile_px < 16 or self.tile_px % 16 or self.tile_px > 8192:
            raise OptionsError(
                f"tile_px is {self.tile_px}; TIFF tiles must be a multiple of 16, up to 8192."
            )
        if self.boundary_label is not None and not 0 <= self.boundary_label <= MAX_LABEL:
            raise OptionsError(
                f"boundary_label is {self.boundary_label}; it must be 0 to {MAX_LABEL:,}."
            )
        if self.instances and self.multichannel:
            raise OptionsError(
                "instances and multichannel exclude each other: an instance mask has one plane."
            )
        if self.multichannel and self.boundary_label is not None:
            raise OptionsError(
                "multichannel and a boundary label exclude each other: "
                "a boundary has no plane of its own."
            )


@dataclass(frozen=True)
class FileOptions:
    """How a mask is stored; none of this changes a label.

    Attributes
    ----------
    compression : str
        ``lzw`` (every reader knows it), ``zlib`` (smaller), ``zstd`` (smallest and fastest, but
        not every program reads it: a warning says so) or ``none``.
    pyramid : bool
        Smaller levels for viewers. They are subsampled, so that none holds a label that
        level 0 lacks there.
    made_for : str or None
        ``simpleitk``: one level in strips, which SimpleITK, ITK and ImageJ read and slide readers
        do not. Default: tiles and levels, which all others read.
    format : str
        ``ome-tiff``; or a collection of masks by name (:class:`qpmask.MaskCollection`) an image:
        ``ozx`` (OME-Zarr in one file) or ``ome-zarr`` (a folder). Compression and levels are then
        the collection's own.
    """

    compression: Compression = "lzw"
    pyramid: bool = True
    made_for: MadeFor | None = None
    format: Format = "ome-tiff"

    def __post_init__(self) -> None:
        check_fields(self)
        if self.format not in FORMATS:
            raise OptionsError(f"format is {self.format!r}; it must be one of {_names(FORMATS)}.")
        if self.format != "ome-tiff" and self.made_for is not None:
            raise OptionsError(f"{self.made_for} reads TIFFs; leave the format {self.format} out.")
        if self.compression not in COMPRESSIONS:
            raise OptionsError(
                f"compression is {self.compression!r}; it must be one of {_names(COMPRESSIONS)}."
            )
        if self.made_for not in (None, *PROGRAMS_WITH_MASKS):
            raise OptionsError(
                f"made_for is {self.made_for!r}; it must be one of {_names(PROGRAMS_WITH_MASKS)}."
            )
        if self.made_for is not None and self.compression == "zstd":
            raise OptionsError(
                f"{self.made_for} does not read zstd, so masks made for it cannot have it.",
                hint="Leave the compression out, or use zlib.",
            )


@dataclass(frozen=True)
class ExportOptions:
    """Everything that :func:`qpmask.export_masks` can be told beyond project, folder and classes.

    Attributes
    ----------
    images : tuple of str
        Names, entry ids or patterns; empty means all.
    unknown : str
        ``error`` stops before any pixel is written when a class in use is not in the class map
        that was given; ``ignore`` goes on without those objects and reports them.
    unclassified : str, int or None
        ``ignore``, ``error``, or the label for objects without a class. None takes what the
        class map says, which is ``ignore`` with a warning where it says nothing.
    hidden : str
        Objects that leave no pixel in their mask: ``warn`` says which, ``error`` makes it a failure
        of their image.
    slides : tuple of Path
        Folders in which to look for slides that moved.
    engine : str
        ``qupath``, ``native`` (the same pixels without Java), ``auto`` (QuPath where one is found,
        native where none is) or ``both`` (QuPath draws, native verifies every pixel). The
        environment variable ``QPMASK_ENGINE`` and ``qpmask.toml`` are the command line's alone.
    use_backup : bool
        Read QuPath's backup (``data.qpdata.bkp``) of an image whose data file is damaged or gone.
        Never done unasked: a backup is older than what was lost.
    force : bool
        Redo masks that are already there and still hold.
    workers : int
        Processes, each with a JVM of its own. Default 1: one JVM already uses all cores.
    jvm_memory : str or None
        Java heap of each process as Java writes it (``4g``, ``800m``). Default: paquo's setting.
    previews : bool
        A picture of each mask in ``previews/``, upon its slide where that is there, and all of them
        in ``contact_sheet.png``. Of a mask of several planes, the first. Needs the extra ``view``.
    """

    render: RenderOptions = RenderOptions()
    file: FileOptions = FileOptions()
    images: tuple[str, ...] = ()
    unknown: UnknownPolicy = "error"
    unclassified: Unclassified | None = None
    hidden: HiddenPolicy = "warn"
    slides: tuple[Path, ...] = ()
    engine: EngineName = "auto"
    use_backup: bool = False
    force: bool = False
    workers: int = 1
    jvm_memory: str | None = None
    previews: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        check_kind(self.render, RenderOptions, "render", "RenderOptions")
        check_kind(self.file, FileOptions, "file", "FileOptions")
        for name in ("images", "slides"):
            object.__setattr__(self, name, _listed(getattr(self, name), name))
        if self.unknown not in UNKNOWN_POLICIES:
            raise OptionsError(
                f"unknown is {self.unknown!r}; it must be one of {_names(UNKNOWN_POLICIES)}."
            )
        if self.hidden not in HIDDEN_POLICIES:
            raise OptionsError(
                f"hidden is {self.hidden!r}; it must be one of {_names(HIDDEN_POLICIES)}."
            )
        if self.engine not in ENGINES:
            raise OptionsError(f"engine is {self.engine!r}; it must be one of {_names(ENGINES)}.")
        check_unclassified(self.unclassified)
        if not 1 <= self.workers <= 256:
            raise OptionsError(f"workers is {self.workers}; it must be 1 to 256.")
        if self.jvm_memory is not None:
            check_kind(self.jvm_memory, str, "jvm_memory", "text such as 4g")
            parse_memory(self.jvm_memory)


def _listed(value: object, name: str) -> tuple[Any, ...]:
    """The patterns of ``images`` or the folders of ``slides``, as a tuple."""
    if isinstance(value, str | Path):  # a single one, not a list of letters
        value = (value,)
    if isinstance(value, bytes) or not isinstance(value, Iterable):
        raise WrongTypeError(f"{name} is {shown(value)}; it must be a list.")
    if name == "slides":
        return tuple(path_of(one, "A folder of slides") for one in value)
    patterns = tuple(value)
    for pattern in patterns:
        check_kind(pattern, str | int, "A pattern of images", "text or a number")
    return tuple(map(str, patterns))


def check_unclassified(value: object) -> None:
    """Raise OptionsError unless ``value`` says what to do with objects without a class."""
    if value is None or value in ("ignore", "error"):
        return
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_LABEL:
        return
    raise OptionsError(
        f"unclassified is {value!r}; it must be 'ignore', 'error' or a label from 1 to "
        f"{MAX_LABEL:,}."
    )


def parse_memory(text: str) -> int:
    """Bytes of a Java memory size such as ``4g`` or ``800m``.

    Raises
    ------
    OptionsError
        Not such a size, or less than the 64 MB that a JVM with QuPath needs to start.
    """
    units = {"k": 10, "m": 20, "g": 30, "t": 40}
    body, unit = text[:-1], text[-1:].lower()
    if unit not in units or not body.isascii() or not body.isdigit():
        raise OptionsError(
            f"The JVM memory {text!r} is not a size that Java knows.",
            hint="Write it like 4g or 800m.",
        )
    size = int(body) << units[unit]
    if size < 64 << 20:
        raise OptionsError(f"The JVM memory {text!r} is too small for QuPath; give at least 64m.")
    return size


@named
def export_options(
    *,
    objects: Objects = "annotations",
    downsample: float | None = None,
    mpp: float | None = None,
    tile_px: int = 512,
    line_thickness: float = 1.0,
    boundary_label: int | None = None,
    instances: bool = False,
    multichannel: bool = False,
    order: Order | None = None,
    compression: Compression = "lzw",
    pyramid: bool = True,
    made_for: MadeFor | None = None,
    format: Format = "ome-tiff",
    images: str | Iterable[str] = (),
    unknown: UnknownPolicy = "error",
    unclassified: Unclassified | None = None,
    hidden: HiddenPolicy = "warn",
    slides: str | Path | Iterable[str | Path] = (),
    engine: EngineName = "auto",
    use_backup: bool = False,
    force: bool = False,
    workers: int = 1,
    jvm_memory: str | None = None,
    previews: bool = False,
) -> ExportOptions:
    """Build :class:`ExportOptions` from plain names, wherever each option has its home.

    What they mean is told by :class:`RenderOptions`, :class:`FileOptions` and
    :class:`ExportOptions`.

    >>> export_options(downsample=4, compression="zlib", images="A*").render.downsample
    4

    Raises
    ------
    OptionsError
        A value makes no sense; the message names the option.
    """
    given: dict[str, Any] = dict(locals())  # all of the above, by name
    render, file = (
        {f.name: given.pop(f.name) for f in fields(part)} for part in (RenderOptions, FileOptions)
    )
    return ExportOptions(render=RenderOptions(**render), file=FileOptions(**file), **given)


def _names(values: tuple[str, ...]) -> str:
    return ", ".join(values)
