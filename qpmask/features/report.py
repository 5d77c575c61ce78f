"""What was done, as records that JSON and CSV can hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

CSV_COLUMNS = (
    "name", "extractor", "status", "file", "patches", "resumed", "dimension", "not_finite",
    "seconds", "patches_per_second", "error", "warnings",
)  # fmt: skip


@dataclass(frozen=True)
class FeatureRecord:
    """What became of the features of one slide by one extractor.

    Attributes
    ----------
    status : str
        ``done``, ``skipped`` (they were there and still hold), ``failed`` or ``interrupted``.
    file : str
        The patch file.
    patches, dimension : int or None
        Rows and columns.
    resumed : int
        Rows that an earlier run had made.
    not_finite : int
        Rows that hold a NaN or an infinite value.
    """

    key: str
    name: str
    extractor: str
    status: str
    file: str
    patches: int | None = None
    dimension: int | None = None
    resumed: int = 0
    not_finite: int = 0
    seconds: float = 0.0
    error: str | None = None
    error_type: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the features are there and hold."""
        return self.status in ("done", "skipped") and not self.not_finite

    @property
    def patches_per_second(self) -> float | None:
        """Of this run."""
        if self.status != "done" or not self.patches or self.seconds <= 0:
            return None
        return (self.patches - self.resumed) / self.seconds

    @property
    def summary(self) -> str:
        """In a few words."""
        if self.error is not None:
            return self.error
        if self.status == "skipped":
            return "holds already"
        rate = self.patches_per_second
        speed = "" if rate is None else f", {rate:,.0f} patches/s"
        return f"{self.patches or 0:,} x {self.dimension}{speed}"

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        rate = self.patches_per_second
        data = asdict(self)
        data["warnings"] = list(self.warnings)
        data["patches_per_second"] = None if rate is None else round(rate, 1)
        return data

    def as_row(self) -> list[object]:
        """One line of the CSV."""
        data = self.as_dict()
        data["warnings"] = " | ".join(self.warnings)
        data["seconds"] = f"{self.seconds:.2f}"
        return ["" if data[c] is None else data[c] for c in CSV_COLUMNS]


@dataclass(frozen=True)
class FeatureReport:
    """What a run did. Iterates over its records, one a slide and extractor."""

    output: Path
    started: str
    seconds: float
    options: Mapping[str, Any]
    records: tuple[FeatureRecord, ...]
    interrupted: bool = False

    def __iter__(self) -> Iterator[FeatureRecord]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        n = sum(record.ok for record in self.records)
        return f"<FeatureReport {self.output}: {n} of {len(self.records)} hold>"

    @property
    def ok(self) -> bool:
        """Whether all features are there, and finite."""
        return not self.interrupted and all(record.ok for record in self.records)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        from qpmask._version import __version__

        return {
            "qpmask": __version__,
            "output": str(self.output),
            "started": self.started,
            "seconds": round(self.seconds, 2),
            "ok": self.ok,
            "interrupted": self.interrupted,
            "options": dict(self.options),
            "features": [record.as_dict() for record in self.records],
        }
