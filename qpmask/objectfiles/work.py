"""One file of objects after the other: skip what stands, make, write, record.

A FeatureCollection begins with a member ``qpmask`` (which GeoJSON allows, and other programs skip):
what made it, and what decides its content, so that the next run knows whether it still holds.
"""

from __future__ import annotations

import gzip
import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeVar

import numpy as np

from qpmask._version import __version__
from qpmask.batch import Reporter
from qpmask.batch.batch import Item
from qpmask.errors import OutputError, QpmaskError
from qpmask.geojson.write import WriteOptions
from qpmask.imageobjects import ObjectTable
from qpmask.objectfiles.record import ObjectFileRecord
from qpmask.objectfiles.writing import write_objects

_HEAD_BYTES: Final = 1 << 16
_MEMBER: Final = "qpmask"

SourceT = TypeVar("SourceT", bound=Item)
_In = TypeVar("_In", contravariant=True)


@dataclass(frozen=True)
class FileItem:
    """A file, as what a batch works on."""

    path: Path

    @property
    def key(self) -> str:
        """Its path."""
        return str(self.path)

    @property
    def name(self) -> str:
        """Its name."""
        return self.path.name


@dataclass(frozen=True, eq=False)
class Made:
    """Objects that are to be written.

    Attributes
    ----------
    table : ObjectTable
        The objects.
    about : mapping
        What the file says of its image.
    warnings : tuple of str
        What people should know.
    """

    table: ObjectTable
    about: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class Maker(Protocol[_In]):
    """Makes objects of something; it may be pickled."""

    def made_from(self, source: _In) -> dict[str, Any]:
        """All that decides the objects, as plain data."""

    def make(self, source: _In, reporter: Reporter) -> Made:
        """Make them."""


@dataclass(frozen=True)
class ObjectFileWork(Generic[SourceT]):
    """The work of a :class:`~qpmask.batch.Batch`.

    Attributes
    ----------
    maker : Maker
        Makes the objects.
    targets : mapping of str to Path
        The files, by the key of the source.
    options : WriteOptions
        How they are written.
    force : bool
        Whether files are replaced that still hold, or that are not of qpmask.
    """

    maker: Maker[SourceT]
    targets: Mapping[str, Path]
    options: WriteOptions
    force: bool = False

    def standing(self, source: SourceT) -> ObjectFileRecord | None:
        """The record of a source whose file still holds, or must not be replaced."""
        target = self.targets[source.key]
        if self.force or not target.exists():
            return None
        said = read_member(target)
        if said is None:
            strange = OutputError(
                f"{target} is there, and does not say that qpmask made it.",
                hint="Use --force to replace it, or another name.",
            )
            return self.record(source, "failed", strange)
        if said.get("made_from") != self._made_from(source):
            return None
        return self._described(ObjectFileRecord(source.key, source.name, "skipped"), target, said)

    def do(self, source: SourceT, reporter: Reporter) -> ObjectFileRecord:
        """Make one file."""
        began = time.monotonic()
        target = self.targets[source.key]
        made_from = self._made_from(source)  # what is changed while it is read is made again
        made = self.maker.make(source, reporter)
        member = {
            "version": __version__,
            **made.about,
            "objects": len(made.table),
            "vertices": len(made.table.geometries.xy_px0),
            "classes": count_classes(made.table),
            "made_from": made_from,
        }
        reporter.phase("writing")
        target.parent.mkdir(parents=True, exist_ok=True)
        write_objects(target, made.table, replace(self.options, members={_MEMBER: member}))
        record = ObjectFileRecord(source.key, source.name, "done", warnings=made.warnings)
        seconds = round(time.monotonic() - began, 3)
        return replace(self._described(record, target, member), seconds=seconds)

    def record(self, source: SourceT, status: str, error: QpmaskError | str) -> ObjectFileRecord:
        """Record of a source that came to nothing."""
        return ObjectFileRecord(
            source.key, source.name, status, error=str(error),
            error_type=type(error).__name__ if isinstance(error, QpmaskError) else None,
        )  # fmt: skip

    def plan(self, source: SourceT) -> ObjectFileRecord:
        """What a run would do with it. Writes nothing."""
        target = self.targets[source.key]
        try:
            self._made_from(source)  # says if it cannot be read
            standing = self.standing(source)
        except QpmaskError as error:
            return self.record(source, "failed", error)
        return standing or ObjectFileRecord(source.key, source.name, "planned", str(target))

    def _made_from(self, source: SourceT) -> dict[str, Any]:
        options = self.options
        made_from = {
            **self.maker.made_from(source),
            "written": [options.dialect, options.nested, options.measurements, options.exact],
        }
        plain: dict[str, Any] = json.loads(json.dumps(made_from))
        return plain

    @staticmethod
    def _described(
        record: ObjectFileRecord, target: Path, said: Mapping[str, Any]
    ) -> ObjectFileRecord:
        return replace(
            record,
            file=str(target),
            objects=said.get("objects"),
            vertices=said.get("vertices"),
            classes=said.get("classes") or {},
            bytes=target.stat().st_size,
        )


def count_classes(table: ObjectTable) -> dict[str, int]:
    """Objects by class, an empty name for those without one; the most frequent class first."""
    numbers = Counter(np.asarray(table.class_index).tolist())
    return {
        "" if number < 0 else table.classes[number].name: n for number, n in numbers.most_common()
    }


def read_member(path: Path) -> dict[str, Any] | None:
    """What a file of ours says of itself; None if it is none. Reads its beginning alone."""
    try:
        with path.open("rb") as file:
            head = file.read(2)
            file.seek(0)
            if head == b"\x1f\x8b":
                with gzip.GzipFile(fileobj=file) as unpacked:
                    text = unpacked.read(_HEAD_BYTES)
            else:
                text = file.read(_HEAD_BYTES)
        decoded = text.decode("utf-8", errors="ignore")
        start = decoded.index(f'"{_MEMBER}":') + len(_MEMBER) + 3
        found, _ = json.JSONDecoder().raw_decode(decoded, start)
    except (OSError, EOFError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
