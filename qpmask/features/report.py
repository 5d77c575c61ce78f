"""What was done, as records that JSON and CSV can hold."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from qpmask.batch.report import BatchReport, csv_row
from qpmask.common.frozen import dataclass

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
        return csv_row(self.as_dict(), CSV_COLUMNS)


@dataclass(frozen=True, repr=False)
class FeatureReport(BatchReport[FeatureRecord]):
    """What a run did. Iterates over its records, one a slide and extractor."""

    _word = "features"
