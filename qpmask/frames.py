"""Where an image of a project lies in its file: the chain that QuPath wraps around a slide.

Goes in: the ``serverBuilder`` of an image, as QuPath writes it. Comes out: a :class:`Frame`, the
matrix from the image's pixels to those of the file, and which file and series it is; or why that
is not known. Nothing is guessed: a builder that this module does not know gives no matrix.

QuPath rotates, flips, crops and transforms images without a new file, reads one series of a file,
and cuts what OpenSlide opens to its scanned part (``openslide.bounds-*``) unless told otherwise
(https://github.com/qupath/qupath/issues/820). Where the rules come from: ``ImageServers`` and the
servers that its builders make, QuPath 0.2 to 0.7.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import unquote

from qpmask.errors import FrameError
from qpmask.geometry import Affine, Bounds, Size
from qpmask.projectjson import number_of, size_of

#: Whether QuPath cut the image to what the slide says was scanned. ``unclear`` where the project
#: does not name the reader.
Cut = Literal["no", "yes", "unclear"]

_OPENSLIDE, _BIOFORMATS, _IMAGEJ = "OpenSlide", "Bio-Formats", "ImageJ"
_PROVIDERS = {
    "OpenslideServerBuilder": _OPENSLIDE,
    "BioFormatsServerBuilder": _BIOFORMATS,
    "ImageJServerBuilder": _IMAGEJ,
}
_MAX_DEPTH = 64

#: Builders whose pixels lie where those of what they wrap do, and what to say of them.
_IN_PLACE = {
    "pyramidize": None,
    "color": None,
    "swapRedBlue": None,
    "color_deconvolved": None,
    "normalized": None,
    "typeConvert": None,
    "channels": None,
    "z_projected": "Its pixels are a projection of the file's slices.",
}


@dataclass(frozen=True)
class SlideFile:
    """The file that an image is read from.

    Attributes
    ----------
    uri : str
        As the project has it; :meth:`qpmask.project.Project.find_slide` looks for it.
    provider : str or None
        "OpenSlide", "Bio-Formats", "ImageJ"; None where QuPath chooses.
    series : int or None
        Number of the series as Bio-Formats counts them; None for the main image.
    series_name : str or None
        Its name, where the project chooses it by name (QuPath 0.2).
    size : Size or None
        What QuPath read from it: of level 0, or of the part that it was cut to.
    cut : str
        Whether that was cut to the scanned part ("yes", "no", "unclear").
    """

    uri: str
    provider: str | None = None
    series: int | None = None
    series_name: str | None = None
    size: Size | None = None
    cut: Cut = "no"

    @property
    def name(self) -> str:
        """File name."""
        return unquote(self.uri.rpartition("/")[2])


@dataclass(frozen=True)
class Frame:
    """Where an image, or a mask of it, lies in the file.

    Attributes
    ----------
    matrix : Affine or None
        From pixels of the image (``px0``; of a mask: ``px``) to the file's, counted from the
        corner of what QuPath read of it: level 0, or the scanned part. None where not known.
    file : SlideFile or None
        The file.
    steps : tuple of str
        What QuPath does to the file, outermost first, in words: "rotated by 90 degrees".
    unknown : str or None
        Why there is no matrix, for people.
    notes : tuple of str
        What else differs from the file: slices, channels.

    Notes
    -----
    For tools that read the slide::

        frame = entry.frame                          # of an ImageEntry
        path = project.find_slide(entry)
        to_file = frame.to_file(slide_size, bounds)  # both from the opened slide
        x_file_px0, y_file_px0 = to_file(x_px0, y_px0)

    `to_file` raises :class:`~qpmask.errors.FrameError` where the frame is not known or the slide
    is not the one that the project means; its message says why. ``to_file.is_upright`` tells
    whether tiles of the image are tiles of the file (crop, bounds, scale); ``keeps_axes`` whether
    turning them by 90 degrees or mirroring them is enough. ``frame.file.series`` is the series to
    open.
    """

    matrix: Affine | None
    file: SlideFile | None = None
    steps: tuple[str, ...] = ()
    unknown: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether the image is the file's main image as it is, as far as the project says."""
        return (
            self.matrix is not None
            and not self.steps
            and self.file is not None
            and not self.file.series
            and self.file.series_name is None
        )

    def scaled(self, downsample: float) -> Frame:
        """The frame of a mask of the image, drawn at a downsample."""
        if self.matrix is None:
            return self
        return replace(self, matrix=self.matrix @ Affine.scale(downsample))

    def to_file(self, size: Size, bounds: Bounds | None = None) -> Affine:
        """Matrix from the image's (or mask's) pixels to those of the file's level 0.

        Parameters
        ----------
        size : Size
            Level 0 of the file (of the series that `file` names), as it is opened.
        bounds : Bounds, optional
            What the file says was scanned (``openslide.bounds-*``).

        Raises
        ------
        FrameError
            It is not known, or a file of this size is not the one that the project means.
        """
        if self.matrix is None or self.file is None:
            raise FrameError(
                f"Where the image lies in its file is not known: {self.unknown or 'no file'}."
            )
        read, cut = self.file.size, self.file.cut
        places = []  # what QuPath may have read: (its size, its corner)
        if bounds is None or cut != "yes" or read == size != bounds.size:
            places.append((size, Affine()))
        if bounds is not None and cut != "no":
            places.append((bounds.size, Affine.shift(bounds.x_px0, bounds.y_px0)))
        if read is not None:
            places = [place for place in places if place[0] == read]
            if not places:
                scanned = "" if bounds is None else f" (scanned: {bounds.size})"
                raise FrameError(
                    f"The slide has {size} pixels{scanned}, but QuPath read {read} pixels of "
                    f"{self.file.name}{_series_words(self.file)}.",
                    hint="Is it the slide that the project means?",
                )
        corners = {corner for _, corner in places}
        if len(corners) > 1:
            raise FrameError(
                f"Whether QuPath cut {self.file.name} to its scanned part is not known: the "
                "project does not say what read it.",
                hint="Open and save the image in QuPath once.",
            )
        return corners.pop() @ self.matrix

    def words(self) -> str:
        """All that QuPath did to the file, outermost first; empty where that is nothing."""
        steps = list(self.steps)
        if self.file is not None and (series := _series_words(self.file)):
            steps.append(series.strip(" ,"))
        return ", ".join(steps)


def _series_words(file: SlideFile) -> str:
    if file.series_name is not None:
        return f", series {file.series_name!r}"
    return f", series {file.series}" if file.series else ""


# -- from QuPath's JSON -------------------------------------------------------------------------


#: Of an entry of which nothing is known.
NO_FRAME = Frame(None, unknown="the project does not say how it is made")


class _NotKnownError(Exception):
    """Ends the reading of a chain; its text says why."""


def read_frame(builder: Mapping[str, Any], size: Size | None = None) -> Frame:
    """Read the chain from an image to its file.

    Parameters
    ----------
    builder : mapping
        ``serverBuilder`` of an image of a project.
    size : Size, optional
        Size of the image, where the builder does not say it.
    """
    steps: list[str] = []
    notes: list[str] = []
    matrix = Affine()
    file = None
    try:
        for _ in range(_MAX_DEPTH):
            size = _agreed(size, _size_in(builder))
            kind = builder.get("builderType")
            if kind == "uri":
                file, turned = _read_file(builder, size)
                if turned is not None:
                    matrix = turned @ matrix
                    steps.append("rotated by its arguments")
                break
            step, words, size = _read_step(kind, builder, size)
            matrix = step @ matrix
            steps += words
            notes += _notes_of(kind, builder)
            inner = builder.get("builder")
            if not isinstance(inner, dict):
                raise _NotKnownError(f"the project has no image below its {kind!r} builder")
            builder = inner
        else:
            raise _NotKnownError("it is wrapped more than 64 times")
    except _NotKnownError as error:
        return Frame(None, file, tuple(steps), str(error), tuple(notes))
    return Frame(matrix, file, tuple(steps), None, tuple(notes))


def _read_step(
    kind: object, builder: Mapping[str, Any], size: Size | None
) -> tuple[Affine, list[str], Size | None]:
    """Matrix from a wrapper's pixels to those of what it wraps, in words, and the inner size."""
    if kind in _IN_PLACE:
        return Affine(), [], size
    if kind == "sliced":
        return Affine(), [], size
    if kind == "cropped":
        return _cropped(builder, size)
    if kind == "affine":
        return _transformed(builder)
    if kind == "rotated":
        return _rotated(builder.get("rotation"), size)
    if kind == "flipped":
        return _flipped(builder.get("flip"), size)
    if kind in ("sparse", "z_concatenated"):
        raise _NotKnownError("QuPath composes it of several images")
    if kind is None:
        raise _NotKnownError("the project does not say how it is made")
    raise _NotKnownError(f"QuPath makes it by {kind!r}, which this version of qpmask does not know")


def _cropped(
    builder: Mapping[str, Any], size: Size | None
) -> tuple[Affine, list[str], Size | None]:
    region = builder.get("region")
    region = region if isinstance(region, dict) else {}
    x, y = (number_of(region.get(key)) for key in ("x", "y"))
    part = size_of(region)
    if x is None or y is None or part is None:
        raise _NotKnownError("its crop has no region")
    _agreed(size, part)
    return Affine.shift(x, y), [f"cropped to {part} pixels at x {x:,.0f}, y {y:,.0f}"], None


def _transformed(builder: Mapping[str, Any]) -> tuple[Affine, list[str], Size | None]:
    raw = builder.get("transform")
    raw = raw if isinstance(raw, dict) else {}
    values = [number_of(raw.get(key)) for key in ("m00", "m01", "m02", "m10", "m11", "m12")]
    numbers = [value for value in values if value is not None]
    if len(numbers) < 6:
        raise _NotKnownError("its transform has no six numbers")
    # QuPath's transform leads from the inner image to the outer one.
    outwards = Affine(*numbers)
    try:
        matrix = outwards.inverse()
    except ValueError:
        raise _NotKnownError("its transform cannot be inverted") from None
    if outwards == Affine():
        return matrix, [], None
    return matrix, [f"transformed ({', '.join(f'{n:.6g}' for n in numbers)})"], None


def _rotated(rotation: object, size: Size | None) -> tuple[Affine, list[str], Size | None]:
    """QuPath turns clockwise; the inner image is turned back."""
    if rotation == "ROTATE_NONE":
        return Affine(), [], size
    if rotation not in ("ROTATE_90", "ROTATE_180", "ROTATE_270"):
        raise _NotKnownError(f"its rotation is {rotation!r}")
    if size is None:
        raise _NotKnownError("the project does not say how large what it rotates is")
    width, height = size.width_px, size.height_px
    words = [f"rotated by {str(rotation).removeprefix('ROTATE_')} degrees"]
    if rotation == "ROTATE_90":
        return Affine(0, 1, 0, -1, 0, width), words, Size(height, width)
    if rotation == "ROTATE_180":
        return Affine(-1, 0, width, 0, -1, height), words, size
    return Affine(0, -1, height, 1, 0, 0), words, Size(height, width)


def _flipped(flip: object, size: Size | None) -> tuple[Affine, list[str], Size | None]:
    if flip == "NONE":
        return Affine(), [], size
    if flip not in ("HORIZONTAL", "VERTICAL", "BOTH"):
        raise _NotKnownError(f"its flip is {flip!r}")
    if size is None:
        raise _NotKnownError("the project does not say how large what it flips is")
    matrix = Affine()
    if flip in ("HORIZONTAL", "BOTH"):
        matrix = Affine(a=-1, c=size.width_px) @ matrix
    if flip in ("VERTICAL", "BOTH"):
        matrix = Affine(e=-1, f=size.height_px) @ matrix
    return matrix, [f"flipped ({str(flip).lower()})"], size


def _notes_of(kind: object, builder: Mapping[str, Any]) -> Iterator[str]:
    if kind == "sliced":
        yield "Its slices and time points are some of the file's."
    if kind == "channels":
        yield "Further images give it channels."
    note = _IN_PLACE.get(str(kind))
    if note:
        yield note


def _read_file(builder: Mapping[str, Any], size: Size | None) -> tuple[SlideFile, Affine | None]:
    """Read the innermost builder: the file, and a rotation that its arguments may ask for."""
    uri = builder.get("uri")
    if not isinstance(uri, str) or not uri:
        raise _NotKnownError("the project does not name its file")
    class_name = builder.get("providerClassName")
    provider = None
    if class_name is not None:
        provider = _PROVIDERS.get(str(class_name).rpartition(".")[2])
        if provider is None:
            raise _NotKnownError(f"{class_name} reads it, which qpmask does not know")
    raw = builder.get("args")
    args = [str(arg) for arg in raw] if isinstance(raw, list) else []
    cut: Cut = "no"
    if provider in (_OPENSLIDE, None) and "--no-crop" not in args:
        cut = "yes" if provider else "unclear"
    series = name = None
    if provider in (_BIOFORMATS, None):
        series, name = _series(args)
        dims = _option(args, "--dims")
        if dims and not dims.upper().startswith("XY"):
            raise _NotKnownError(f"its arguments swap its dimensions ({dims})")
    turned = None
    if provider is None and (rotation := _option(args, "--rotate")) is not None:
        turned, _, size = _rotated(rotation, size)
    return SlideFile(uri, provider, series, name, size, cut), turned


def _series(args: Sequence[str]) -> tuple[int | None, str | None]:
    text = _option(args, "--series", "-s")
    if text is not None and not re.fullmatch(r"-?\d{1,9}", text):
        raise _NotKnownError(f"its series is {text!r}")
    if text is not None and int(text) >= 0:
        return int(text), None
    return None, _option(args, "--name", "-n") or None


def _option(args: Sequence[str], *names: str) -> str | None:
    """Value of an option as picocli takes it: ``--series 1``, ``--series=1``."""
    for position, arg in enumerate(args):
        name, equals, value = arg.partition("=")
        if name in names:
            if equals:
                return value
            return args[position + 1] if position + 1 < len(args) else ""
    return None


def _size_in(builder: Mapping[str, Any]) -> Size | None:
    metadata = builder.get("metadata")
    return size_of(metadata) if isinstance(metadata, dict) else None


def _agreed(one: Size | None, other: Size | None) -> Size | None:
    """The size that both give."""
    if one is not None and other is not None and one != other:
        raise _NotKnownError(f"the project contradicts itself: {one} pixels or {other}")
    return one if one is not None else other
