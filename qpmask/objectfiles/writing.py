"""Objects into a file, whole or not at all: GeoJSON, packed or not."""

from __future__ import annotations

import contextlib
import gzip
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, cast

from qpmask.common.arguments import check_kind, path_of
from qpmask.errors import OptionsError
from qpmask.geojson.write import Dialect, WriteOptions, geojson_of
from qpmask.imageobjects import ObjectTable
from qpmask.outputs import sync_folder, writing

#: Endings of the files that can be written.
SUFFIXES: Final = (".geojson", ".geojson.gz", ".json", ".json.gz")


def write_geojson(
    path: str | os.PathLike[str],
    objects: ObjectTable,
    *,
    collection: bool = True,
    nested: bool = False,
    measurements: bool = True,
    dialect: Dialect = "qupath",
    exact: bool = False,
) -> Path:
    """Write objects as GeoJSON, which QuPath opens by dragging the file onto the image.

    Parameters
    ----------
    path : path-like
        A file that ends in ``.geojson`` or ``.json``, or in either and ``.gz``. It appears whole or
        not at all; an older one is replaced.
    objects : ObjectTable
        What :func:`qpmask.trace` made.
    collection : bool
        A FeatureCollection, or an array of features.
    nested : bool
        Children inside their parents.
    measurements : bool
        Whether measurements are written.
    dialect : {"qupath", "portable"}
        As QuPath 0.4 and later write it, or so that QuPath 0.3 reads it too.
    exact : bool
        Coordinates with all their digits, or with two decimals at most, as QuPath writes them.

    Raises
    ------
    OptionsError
        The file is to end in something else, or a coordinate is no number.
    OutputError
        It cannot be written.
    """
    target = path_of(path, "path").expanduser()
    check_suffix(target)
    check_kind(objects, ObjectTable, "objects", "an ObjectTable, as qpmask.trace makes")
    options = WriteOptions(collection, dialect, nested, measurements, exact)
    return write_objects(target, objects, options)


def check_suffix(path: Path) -> None:
    """Raise OptionsError if no file of this name is written."""
    if not path.name.lower().endswith(SUFFIXES):
        raise OptionsError(
            f"{path} does not say what it shall be.",
            hint=f"Give a name that ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}.",
        )


def write_objects(path: Path, objects: ObjectTable, options: WriteOptions) -> Path:
    """Write objects to a file of the format that its name says, whole or not at all."""
    with new_file(path) as file:
        for part in geojson_of(objects, options):
            file.write(part)
    return path


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that gets its name when the block ends well; packed if the name ends in ``.gz``.

    The same content gives the same bytes.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with writing(path, "The file"):
        try:
            with part.open("wb") as file:
                if path.name.lower().endswith(".gz"):
                    # Fast: what takes longest is packing, and level 6 packs 8 % better.
                    with gzip.GzipFile("", "wb", 4, file, mtime=0) as packed:
                        yield cast(BinaryIO, packed)
                else:
                    yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            sync_folder(path.parent)
        finally:
            part.unlink(missing_ok=True)
