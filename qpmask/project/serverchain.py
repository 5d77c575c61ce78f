"""The chain of servers that QuPath wraps around a slide becomes a :class:`.frames.Frame`.

Goes in: the ``serverBuilder`` of an image, as QuPath writes it. Comes out: the matrix from the
image's pixels to those of the file, and which file and series it is; or why that is not known. A
builder that this module does not know gives no matrix. Where the rules come from: ``ImageServers``
and the servers that its builders make, QuPath 0.2 to 0.7.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from qpmask.geometry import Affine, Size
from qpmask.geometry.frames import Cut, Frame, SlideFile
from qpmask.project.imagejson import number_of, size_of

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
                if turned != Affine():
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
    return matrix, ["transformed"], None


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


def _read_file(builder: Mapping[str, Any], size: Size | None) -> tuple[SlideFile, Affine]:
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
    turned = Affine()
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
