"""What a mask says about itself, as OME-XML: a record in, bytes out, and back.

Pure functions; no file is touched. The XML is raw UTF-8 with no numeric character references,
because Bio-Formats mangles those and then silently drops all metadata. For the same reason the
unit of the pixel size is left out: the schema's default is the micrometre.

The class table is a ``MapAnnotation`` with the namespace ``qpmask/classes``: one ``<M K="label">``
per class whose text is a small JSON object, ``{"name": "Tumor", "color": "#c80000"}``. JSON writes
control characters and lone surrogates as ASCII escapes, so every name survives XML. The sizes of
the smaller levels are one more such map, under the name that Bio-Formats writes them by: fastslide
sees levels that are listed there only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from xml.etree import ElementTree

from qpmask._version import __version__
from qpmask.common.frozen import dataclass
from qpmask.errors import MaskError, OptionsError
from qpmask.geometry import PixelSize, Size
from qpmask.geometry.units import um_per_unit

OME_NAMESPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
CLASSES_NAMESPACE = "qpmask/classes"
MASK_NAMESPACE = "qpmask/mask"
LEVELS_NAMESPACE = "openmicroscopy.org/PyramidResolution"

Color = tuple[int, int, int]

# Those that XML has not; to name those that it has instead takes 5 ms of each start.
_NOT_XML = r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]"
# A line break or tab in an attribute would come back as a space anyway.
_BREAKS = re.compile("[\t\n\r]")
_HEX_COLOR = re.compile("#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class ClassRow:
    """One class of a mask: the label of its pixels, its name, its colour (red, green, blue)."""

    label: int
    name: str
    color: Color | None = None

    def __post_init__(self) -> None:
        if self.label < 0:
            raise OptionsError(
                f"Class {self.name!r} has the label {self.label}; labels start at 0."
            )
        if self.color is not None and not (
            len(self.color) == 3 and all(0 <= part <= 255 for part in self.color)
        ):
            raise OptionsError(
                f"Class {self.name!r} has the colour {self.color}; "
                "it must be three numbers from 0 to 255."
            )


# What the TIFF tags hold: pixels per centimetre, as a fraction of numbers of 32 bits.
_SMALLEST_UM, _LARGEST_UM = 1e-5, 1e9


@dataclass(frozen=True)
class MaskMetadata:
    """All that a mask file says about itself apart from its pixels.

    Parameters
    ----------
    name : str
        Name of the image that viewers show.
    size : Size
        Size of level 0.
    size_c, size_z, size_t : int
        Numbers of channels, slices and time points. A plain label mask has one of each.
    dtype : str
        Pixel type: "uint8", "uint16" or "uint32" in files of ours.
    pixel_size : PixelSize, optional
        Size of a pixel of level 0.
    classes : tuple of ClassRow
        The class table.
    channel_names : tuple of str
        One name a channel, or none at all.
    channel_colors : tuple of Color or None
        One a channel, or none at all: its colour, where it has one.
    extra : mapping of str to str
        Anything else worth keeping, such as the downsample or the entry's id. Keys and values come
        back as they were, except for characters that XML cannot hold (they become U+FFFD), tabs
        and line breaks in keys (spaces) and carriage returns in values (line feeds).
    """

    name: str
    size: Size
    size_c: int = 1
    size_z: int = 1
    size_t: int = 1
    dtype: str = "uint8"
    pixel_size: PixelSize | None = None
    classes: tuple[ClassRow, ...] = ()
    channel_names: tuple[str, ...] = ()
    channel_colors: tuple[Color | None, ...] = ()
    extra: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        labels = [row.label for row in self.classes]
        if len(set(labels)) != len(labels):
            twice = sorted({label for label in labels if labels.count(label) > 1})
            raise OptionsError(f"The class table of {self.name!r} has labels twice: {twice}.")
        if self.channel_names and len(self.channel_names) != self.size_c:
            raise OptionsError(
                f"{self.name!r} has {self.size_c} channels and {len(self.channel_names)} names."
            )
        if self.channel_colors and len(self.channel_colors) != self.size_c:
            raise OptionsError(
                f"{self.name!r} has {self.size_c} channels and {len(self.channel_colors)} colours."
            )
        if self.pixel_size is not None:
            for length_um in (self.pixel_size.width_um, self.pixel_size.height_um):
                if not _is_length(length_um):
                    raise OptionsError(
                        f"{self.name!r} has a pixel size of {length_um:g} µm; "
                        f"a mask can have {_SMALLEST_UM:g} to {_LARGEST_UM:g} µm.",
                        hint="It counts micrometres per pixel, such as 0.25. Give none if it is "
                        "not known.",
                    )

    @property
    def n_planes(self) -> int:
        """Number of planes: channels times slices times time points."""
        return self.size_c * self.size_z * self.size_t


def to_ome_xml(metadata: MaskMetadata, smaller: Sequence[Size] = ()) -> bytes:
    """Write the record as OME-XML for the first directory of the mask file.

    Parameters
    ----------
    metadata : MaskMetadata
        What to say.
    smaller : sequence of Size
        Sizes of the levels below level 0, the largest first.

    Returns
    -------
    bytes
        UTF-8, schema 2016-06. Plane ``c + size_c * (z + size_z * t)`` is directory number that
        of the file's main chain.
    """
    m = metadata
    pixel_size = ""
    if m.pixel_size is not None:
        pixel_size = (
            f' PhysicalSizeX="{float(m.pixel_size.width_um)!r}"'
            f' PhysicalSizeY="{float(m.pixel_size.height_um)!r}"'
        )
    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<OME xmlns="{OME_NAMESPACE}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        f'xsi:schemaLocation="{OME_NAMESPACE} {OME_NAMESPACE}/ome.xsd" '
        f"Creator={_attribute(f'qpmask {__version__}')}>",
        f'<Image ID="Image:0" Name={_attribute(m.name)}>',
        f'<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="{m.dtype}" '
        f'SizeX="{m.size.width_px}" SizeY="{m.size.height_px}" SizeC="{m.size_c}" '
        f'SizeZ="{m.size_z}" SizeT="{m.size_t}"{pixel_size}>',
    ]
    for c in range(m.size_c):
        attributes = f'ID="Channel:0:{c}" SamplesPerPixel="1"'
        if m.channel_names:
            attributes += f" Name={_attribute(m.channel_names[c])}"
        if m.channel_colors and (color := m.channel_colors[c]) is not None:
            attributes += f' Color="{_rgba(color)}"'
        parts.append(f"<Channel {attributes}/>")
    for plane in range(m.n_planes):
        z_and_t, c = divmod(plane, m.size_c)
        t, z = divmod(z_and_t, m.size_z)
        parts.append(
            f'<TiffData IFD="{plane}" FirstC="{c}" FirstZ="{z}" FirstT="{t}" PlaneCount="1"/>'
        )
    parts.append("</Pixels>")

    annotations: list[tuple[str, Iterable[tuple[str, str]]]] = []
    if m.classes:
        annotations.append(
            (CLASSES_NAMESPACE, [(str(row.label), _class_text(row)) for row in m.classes])
        )
    if m.extra:
        annotations.append((MASK_NAMESPACE, m.extra.items()))
    if smaller:
        levels = [(str(i), f"{s.width_px} {s.height_px}") for i, s in enumerate(smaller, 1)]
        annotations.append((LEVELS_NAMESPACE, levels))
    parts += [f'<AnnotationRef ID="Annotation:{i}"/>' for i in range(len(annotations))]
    parts.append("</Image>")
    if annotations:
        parts.append("<StructuredAnnotations>")
        for i, (namespace, rows) in enumerate(annotations):
            parts.append(f'<MapAnnotation ID="Annotation:{i}" Namespace="{namespace}"><Value>')
            parts += [f"<M K={_attribute(key)}>{_text(value)}</M>" for key, value in rows]
            parts.append("</Value></MapAnnotation>")
        parts.append("</StructuredAnnotations>")
    parts.append("</OME>")
    return "\n".join(parts).encode("utf-8")


def from_ome_xml(xml: bytes | str) -> MaskMetadata:
    """Read the record back from OME-XML, ours or another program's.

    Parameters
    ----------
    xml : bytes or str
        The description of a file's first directory.

    Returns
    -------
    MaskMetadata
        Of the first image. ``classes`` and ``extra`` are empty where the XML has none of ours.

    Raises
    ------
    MaskError
        If it is not OME-XML, or its numbers make no sense.
    """
    try:
        text = xml.decode("utf-8") if isinstance(xml, bytes) else xml
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise MaskError("The OME-XML declares entities, which OME-XML never needs.")
        # ElementTree refuses text that declares another encoding than it was given in.
        root = ElementTree.fromstring(text.rstrip("\x00 \r\n\t").encode("utf-8"))
        return _parse(root)
    except MaskError:
        raise
    except (ElementTree.ParseError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise MaskError(f"The OME-XML cannot be read: {error}.") from error


def _parse(root: ElementTree.Element) -> MaskMetadata:
    if _local(root.tag) != "OME":
        raise MaskError(f"The description is XML, but not OME-XML: its root is {root.tag!r}.")
    image = _child(root, "Image")
    pixels = _child(image, "Pixels") if image is not None else None
    if image is None or pixels is None:
        raise MaskError("The OME-XML describes no image.")
    size_c = int(pixels.get("SizeC", "1"))
    channels = [child for child in pixels if _local(child.tag) == "Channel"]
    names = [channel.get("Name") for channel in channels]
    colors = [_from_rgba(channel.get("Color")) for channel in channels]
    classes: list[ClassRow] = []
    extra: dict[str, str] = {}
    for part in root:
        if _local(part.tag) != "StructuredAnnotations":
            continue
        for annotation in part:
            namespace = annotation.get("Namespace")
            if namespace == CLASSES_NAMESPACE:
                classes += [_class_row(key, value) for key, value in _map_rows(annotation)]
            elif namespace == MASK_NAMESPACE:
                extra.update(_map_rows(annotation))
    return MaskMetadata(
        name=image.get("Name", ""),
        size=Size(int(pixels.attrib["SizeX"]), int(pixels.attrib["SizeY"])),
        size_c=size_c,
        size_z=int(pixels.get("SizeZ", "1")),
        size_t=int(pixels.get("SizeT", "1")),
        dtype=pixels.get("Type", ""),
        pixel_size=_pixel_size(pixels),
        classes=tuple(classes),
        channel_names=(
            tuple(name or "" for name in names) if len(names) == size_c and any(names) else ()
        ),
        channel_colors=tuple(colors) if len(colors) == size_c and any(colors) else (),
        extra=extra,
    )


def _is_length(length_um: float) -> bool:
    """Whether a pixel may have this size; NaN and infinity are none either."""
    return _SMALLEST_UM <= length_um <= _LARGEST_UM


def _pixel_size(pixels: ElementTree.Element) -> PixelSize | None:
    lengths_um = []
    for axis in "XY":
        value = pixels.get(f"PhysicalSize{axis}")
        factor = um_per_unit(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        if value is None or factor is None:
            return None
        lengths_um.append(float(value) * factor)
    if not all(map(_is_length, lengths_um)):
        return None
    return PixelSize(lengths_um[0], lengths_um[1])


def _map_rows(annotation: ElementTree.Element) -> list[tuple[str, str]]:
    value = _child(annotation, "Value")
    rows = [] if value is None else [child for child in value if _local(child.tag) == "M"]
    return [(row.get("K", ""), row.text or "") for row in rows]


def _class_text(row: ClassRow) -> str:
    record = {"name": row.name}
    if row.color is not None:
        record["color"] = "#{:02x}{:02x}{:02x}".format(*row.color)
    text = json.dumps(record, ensure_ascii=False)
    # Outside its strings JSON is ASCII, so what XML cannot hold can only be part of a name.
    return _replaced(text, lambda match: f"\\u{ord(match.group()):04x}")


def _class_row(key: str, text: str) -> ClassRow:
    record = json.loads(text)
    if not (isinstance(record, dict) and isinstance(record.get("name"), str)):
        raise MaskError(f"The class table's row for label {key!r} has no name: {text!r}.")
    color = record.get("color")
    if color is None:
        return ClassRow(int(key), record["name"])
    if not (isinstance(color, str) and _HEX_COLOR.fullmatch(color)):
        raise MaskError(f"The class table's row for label {key!r} has the colour {color!r}.")
    red, green, blue = bytes.fromhex(color[1:])
    return ClassRow(int(key), record["name"], (red, green, blue))


def _rgba(color: Color) -> int:
    """Colour as the signed 32-bit number that OME stores: red, green, blue, opaque."""
    red, green, blue = color
    return int.from_bytes(bytes((red, green, blue, 255)), "big", signed=True)


def _from_rgba(text: str | None) -> Color | None:
    """Colour of such a number; None for no number."""
    try:
        number = int(text or "") % 2**32
    except ValueError:
        return None
    red, green, blue, _ = number.to_bytes(4, "big")
    return red, green, blue


def _text(value: str) -> str:
    return _escaped(_replaced(value, "\ufffd").replace("\r\n", "\n").replace("\r", "\n"))


def _attribute(value: str) -> str:
    text = _BREAKS.sub(" ", _replaced(value, "\ufffd"))
    return '"' + _escaped(text).replace('"', "&quot;") + '"'


def _replaced(text: str, by: str | Callable[[re.Match[str]], str]) -> str:
    """A text with something else for the characters that XML has not."""
    # As mostly it has none of them: to compile the pattern takes half a millisecond of a start.
    return text if text.isprintable() else re.sub(_NOT_XML, by, text)


def _escaped(text: str) -> str:
    """As ``html.escape``, which takes 2 ms of a start, for the names of all HTML's characters."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _local(tag: object) -> str:
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def _child(element: ElementTree.Element, name: str) -> ElementTree.Element | None:
    return next((child for child in element if _local(child.tag) == name), None)
