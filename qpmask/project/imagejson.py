"""What QuPath's JSON says of an image: sizes, pixel sizes, URIs; pure functions of plain data.

Where the rules come from: QuPath's ``DefaultProject``, ``ImageServerBuilder`` and ``PathIO``, 0.2
to 0.7. Nothing here raises for odd data: what makes no sense is None.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from qpmask.geometry import PixelSize, Size

DATA_FILE = "data.qpdata"

#: How QuPath writes micrometres; a pixel size in any other unit is not a pixel size.
_MICROMETRE = frozenset({"µm", "μm", "um", "micron", "micrometer", "micrometre"})


def unpack_color(value: object) -> tuple[int, int, int] | None:
    """QuPath's packed ARGB integer (signed 32 bit) as (red, green, blue)."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return (value >> 16) & 255, (value >> 8) & 255, value & 255


def path_from_uri(uri: str) -> Path | None:
    """A local path from a ``file:`` URI as QuPath writes it, or None for any other URI.

    ``file:/a%20b``, ``file:///a`` and ``file:/C:/a`` are understood, and network shares
    (``file://server/share``) become ``//server/share``.
    """
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    if parts.scheme != "file":
        return None
    text = unquote(parts.path)
    if "\0" in text:
        return None
    if parts.netloc and parts.netloc != "localhost":
        text = f"//{parts.netloc}{text}"
    elif re.match(r"^/[A-Za-z]:", parts.path):  # "%3A" is a folder's own colon
        text = text[1:]
    return Path(text)


def image_metadata(
    builder: Mapping[str, Any], data_dir: Path
) -> tuple[Mapping[str, Any], str | None]:
    """The metadata of the outermost server, from the first place that has it, and what is wrong.

    Only the outermost counts: a rotated or cropped server has other sizes than what it wraps.
    """
    found = builder.get("metadata")
    if isinstance(found, dict) and found:
        return found, None
    for read in (_server_json, _data_file_json, _summary_json):
        found = read(data_dir)
        if found is not None:
            return found, None
    return {}, "neither the project nor its data folder says how large it is"


def _server_json(data_dir: Path) -> Mapping[str, Any] | None:
    raw = load_json_quietly(data_dir / "server.json")
    if raw is None:
        return None
    return metadata_in(raw)


def metadata_in(raw: object, depth: int = 0) -> Mapping[str, Any] | None:
    """Metadata of the outermost server in what QuPath wraps around it in its versions."""
    if not isinstance(raw, dict) or depth > 2:
        return None
    found = raw.get("metadata")
    if isinstance(found, dict):
        return found
    return metadata_in(raw.get("server") or raw.get("builder"), depth + 1)


def _data_file_json(data_dir: Path) -> Mapping[str, Any] | None:
    """The server JSON that the data file holds near its start."""
    from qpmask.qpdata.datahead import read_server

    text = read_server(data_dir / DATA_FILE)
    if text is None or not text.startswith("{"):
        return None
    try:
        return metadata_in(json.loads(text))
    except (ValueError, RecursionError):
        return None


def _summary_json(data_dir: Path) -> Mapping[str, Any] | None:
    raw = load_json_quietly(data_dir / "summary.json")
    found = raw.get("server") if raw else None
    return found if isinstance(found, dict) else None


def uris_of(builder: Mapping[str, Any], depth: int = 0) -> Iterator[str]:
    """Yield the URIs of all slides that a server is made of."""
    uri = builder.get("uri")
    if isinstance(uri, str):
        yield uri
    if depth > 32:
        return
    for value in builder.values():
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, dict) and (
                "builderType" in inner or "builder" in inner or "serverBuilder" in inner
            ):
                yield from uris_of(inner, depth + 1)


def innermost(builder: Mapping[str, Any]) -> Mapping[str, Any]:
    """Builder of the slide itself, within those that rotate or crop it."""
    for _ in range(32):
        inner = builder.get("builder")
        if not isinstance(inner, dict):
            break
        builder = inner
    return builder


def size_of(metadata: Mapping[str, Any]) -> Size | None:
    """Full size in pixels, or None if it is none that QuPath could hold."""
    width, height = number_of(metadata.get("width")), number_of(metadata.get("height"))
    if width is None or height is None or width != int(width) or height != int(height):
        return None
    # Java's int is the widest that QuPath can hold.
    if not (1 <= width < 2**31 and 1 <= height < 2**31):
        return None
    return Size(int(width), int(height))


def pixel_size_of(raw: object) -> PixelSize | None:
    """Pixel size, or None unless both sides are given in micrometres."""
    if not isinstance(raw, dict):
        return None
    values = []
    for key in ("pixelWidth", "pixelHeight"):
        part = raw.get(key)
        value = number_of(part.get("value")) if isinstance(part, dict) else None
        unit = part.get("unit") if isinstance(part, dict) else None
        if value is None or value <= 0 or not isinstance(unit, str):
            return None
        if unit.strip().casefold() not in _MICROMETRE:
            return None
        values.append(value)
    return PixelSize(*values)


def number_of(value: object) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # a whole number with hundreds of digits
        return None
    return number if math.isfinite(number) else None


def count_of(value: object) -> int:
    """A number of slices or time points; 1 if it makes no sense."""
    number = number_of(value)
    return int(number) if number is not None and 1 <= number < 2**31 else 1


def load_json_quietly(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file, or None."""
    try:
        raw = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return None
    return raw if isinstance(raw, dict) else None
