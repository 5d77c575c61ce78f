"""What became of each file of objects, and of all of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from qpmask._version import __version__
from qpmask.common.words import objects_text


@dataclass(frozen=True)
class ObjectFileRecord:
    """One file of objects.

    Attributes
    ----------
    key, name : str
        Of the mask or the image that it is made of.
    status : str
        ``done``, ``skipped``, ``failed``, ``interrupted``, or ``planned`` in a dry run.
    file : str or None
        The file.
    objects, vertices : int or None
        How many it holds.
    classes : mapping of str to int
        Objects by class; an empty name stands for those without one.
    bytes : int or None
        Its size.
    seconds : float
        How long it took.
    warnings : tuple of str
        What people should know.
    error, error_type : str or None
        What went wrong.
    """

    key: str
    name: str
    status: str
    file: str | None = None
    objects: int | None = None
    vertices: int | None = None
    classes: Mapping[str, int] = field(default_factory=dict)
    bytes: int | None = None
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    error: str | None = None
    error_type: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the file is there."""
        return self.status in ("done", "skipped", "planned")

    @property
    def summary(self) -> str:
        """With what, in a few words."""
        if self.error is not None:
            return self.error
        return "" if self.objects is None else objects_text(self.objects)

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "warnings": list(self.warnings)}


@dataclass(frozen=True)
class ObjectFileReport:
    """All files of a run.

    Attributes
    ----------
    output : Path
        The file, or the folder.
    started : str
        When it began, ISO 8601 (UTC).
    seconds : float
        How long it took.
    records : tuple of ObjectFileRecord
        One a mask or image.
    interrupted : bool
        Whether it ended early.
    """

    output: Path
    started: str
    seconds: float
    records: tuple[ObjectFileRecord, ...]
    interrupted: bool = False

    def __iter__(self) -> Iterator[ObjectFileRecord]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    @property
    def ok(self) -> bool:
        """Whether all files are there."""
        return not self.interrupted and all(record.ok for record in self.records)

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "qpmask": __version__,
            "output": str(self.output),
            "started": self.started,
            "seconds": round(self.seconds, 3),
            "interrupted": self.interrupted,
            "files": [record.as_dict() for record in self.records],
        }
