"""What an import did, as records that JSON can hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from qpmask.common.words import images_text, objects_text


@dataclass(frozen=True)
class ImportRecord:
    """What became of one image.

    Attributes
    ----------
    key, name : str
        Entry id and name of the image.
    status : str
        ``done``, ``planned`` (of a dry run), ``failed`` or ``interrupted``.
    inputs : tuple of str
        What was imported.
    added, removed, before, after : int or None
        Objects that came, that went, that were there and that are there now.
    lost, mended : int
        Features of the inputs that were left out, and that were mended.
    classes : dict of str to int
        Objects that came, by class; "" for those without one.
    new_classes : tuple of str
        Those that the project's class list lacked.
    """

    key: str
    name: str
    status: str
    inputs: tuple[str, ...] = ()
    added: int | None = None
    removed: int | None = None
    before: int | None = None
    after: int | None = None
    lost: int = 0
    mended: int = 0
    classes: dict[str, int] = field(default_factory=dict)
    new_classes: tuple[str, ...] = ()
    seconds: float = 0.0
    error: str | None = None
    error_type: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether all of its inputs are in the image."""
        return self.status in ("done", "planned") and not self.lost

    @property
    def summary(self) -> str:
        """In a few words."""
        if self.error is not None:
            return self.error
        parts = [f"{self.added or 0:,} added"]
        if self.removed:
            parts.append(f"{self.removed:,} removed")
        if self.lost:
            parts.append(f"{self.lost:,} left out")
        return ", ".join(parts)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        data = asdict(self)
        for name in ("inputs", "new_classes", "warnings"):
            data[name] = list(data[name])
        data["seconds"] = round(self.seconds, 2)
        return data


@dataclass(frozen=True)
class ImportReport:
    """What a run did. Iterates over its records, one an image.

    Attributes
    ----------
    project : Path
        The project.
    backup : Path or None
        Where what was replaced is kept.
    unmatched : tuple of (str, str)
        Inputs that belong to no image, and why.
    dry_run : bool
        Whether nothing was written.
    """

    project: Path
    records: tuple[ImportRecord, ...]
    backup: Path | None = None
    unmatched: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    dry_run: bool = False
    interrupted: bool = False

    def __iter__(self) -> Iterator[ImportRecord]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        n = sum(record.added or 0 for record in self.records)
        into = images_text(len(self.records))
        return f"<ImportReport {self.project}: {objects_text(n)} into {into}>"

    @property
    def ok(self) -> bool:
        """Whether all inputs are in their images, whole."""
        return not self.interrupted and not self.unmatched and all(r.ok for r in self.records)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        from qpmask._version import __version__

        return {
            "qpmask": __version__,
            "project": str(self.project),
            "ok": self.ok,
            "dry_run": self.dry_run,
            "interrupted": self.interrupted,
            "backup": None if self.backup is None else str(self.backup),
            "unmatched": [{"input": name, "why": why} for name, why in self.unmatched],
            "warnings": list(self.warnings),
            "seconds": round(self.seconds, 2),
            "images": [record.as_dict() for record in self.records],
        }
