"""The text of a GeoJSON file -> its features, a few thousand at a time.

All of a file is never held as Python objects: it is cut where one feature ends and the next one
begins, and each piece is parsed by itself. Python's garbage collector rests meanwhile: it would
look at every number again and again, which takes more than twice the time of parsing (measured:
33 MB in 2.4 s with it, 0.7 s without; ``orjson`` takes 0.5 s).
"""

from __future__ import annotations

import gc
import gzip
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from qpmask.errors import ObjectFileError

_PIECE_BYTES: Final = 8 << 20
_BETWEEN_FEATURES: Final = re.compile(
    rb'\}\s*,\s*(?=\{\s*"(?:type|id|geometry|properties|bbox)"\s*:)'
)
_FEATURES: Final = re.compile(rb'"features"\s*:\s*\[')


def read_text(path: Path) -> bytes:
    """The text of a file: plain, gzip or the one member of a ZIP, whatever its name says.

    Raises
    ------
    ObjectFileError
        It cannot be read.
    """
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        elif data[:4] == b"PK\x03\x04":
            with zipfile.ZipFile(path) as archive:
                names = [n for n in archive.namelist() if n.endswith((".geojson", ".json"))]
                if len(names) != 1:
                    raise ObjectFileError(f"{path} holds {len(names)} GeoJSON files, not one.")
                data = archive.read(names[0])
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError) as error:
        raise ObjectFileError(f"{path} cannot be read: {error}.") from error
    return data.removeprefix(b"\xef\xbb\xbf")


def feature_pieces(data: bytes, path: Path) -> Iterator[list[Any]]:
    """Yield the features of a text, some at a time; a bare geometry is one.

    Parameters
    ----------
    data : bytes
        A FeatureCollection, an array of features, one feature, or a geometry.
    path : Path
        Where it comes from, for messages.

    Raises
    ------
    ObjectFileError
        It is no JSON, or no GeoJSON. What was yielded before is then not all.
    """
    if len(data) <= 2 * _PIECE_BYTES or (start := first_feature(data)) < 0:
        yield features_of(parse(data, path), path)
        return
    while True:
        end = start + _PIECE_BYTES
        while True:
            between = _BETWEEN_FEATURES.search(data, min(end, len(data)))
            if between is None:
                # The end: whatever comes after the last feature must close the file.
                whole = data[: first_feature(data)] + data[start:]
                yield features_of(parse(whole, path), path)
                return
            try:
                # Only what is balanced parses, so this is no place within a feature.
                found = parse(b"[" + data[start : between.start() + 1] + b"]", path)
            except ObjectFileError:
                end = between.end()
                continue
            break
        yield found
        start = between.end()


def first_feature(data: bytes) -> int:
    """Where the list of features begins, behind its bracket; -1 if that cannot be told."""
    head = data[:4096].lstrip()
    if head.startswith(b"["):
        return data.index(b"[") + 1
    found = _FEATURES.search(data, 0, 1 << 16)
    return -1 if found is None else found.end()


def features_of(parsed: Any, path: Path) -> list[Any]:
    """The features of what was parsed."""
    if isinstance(parsed, list):
        return parsed
    if isinstance(parsed, dict):
        features = parsed.get("features")
        if isinstance(features, list):
            return features
        if isinstance(parsed.get("type"), str):
            return [parsed]
    raise ObjectFileError(
        f"{path} is no GeoJSON: it holds no features and no geometry.",
        hint="A FeatureCollection, a list of features, a feature or a geometry is read.",
    )


def parse(data: bytes, path: Path) -> Any:
    """What a JSON text says; NaN and Infinity are taken, as QuPath 0.4 writes them.

    Raises
    ------
    ObjectFileError
        It is no JSON.
    """
    try:
        with without_gc():
            return json.loads(data.decode("utf-8"))
    except RecursionError as error:
        raise ObjectFileError(f"{path} is nested too deeply.") from error
    except ValueError as error:
        raise ObjectFileError(
            f"{path} is no JSON, or damaged: {error}.",
            hint="Was it written to the end? Nothing of it is taken.",
        ) from error


@contextmanager
def without_gc() -> Iterator[None]:
    """Let the garbage collector rest: what is made here has no cycles."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
