"""What was done, as records that JSON and CSV can hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, field
from typing import Any

from qpmask.batch.report import BatchReport, csv_row
from qpmask.common.frozen import dataclass
from qpmask.common.words import count_text

CSV_COLUMNS = (
    "slide", "name", "status", "file", "patches", "cells", "patch_size", "patch_size_level0",
    "step_level0", "level", "mpp", "patch_mpp", "tissue_mm2", "images", "made_again", "seconds",
    "bytes", "error", "warnings",
)  # fmt: skip


@dataclass(frozen=True)
class PatchRecord:
    """What became of one slide.

    Attributes
    ----------
    status : str
        ``done``, ``skipped`` (a file was there and still holds), ``failed``, ``interrupted``, or
        ``planned`` in a dry run.
    file : str or None
        The patch file, below the output folder.
    patches, cells : int or None
        Patches that were kept, of so many places.
    mpp, patch_mpp : float or None
        Micrometres per pixel of level 0, and of the patches.
    tissue_mm2 : float or None
        Area of tissue in the patches that were kept; where they overlap it counts twice.
    majority : mapping of str to int
        Patches by the class that covers most of them.
    images : int or None
        Patch images that were saved.
    made_again : str or None
        Why a file that was there is (in a dry run: would be) made again; None for a new one.
    """

    key: str
    name: str
    status: str
    slide: str = ""
    mask: str | None = None
    file: str | None = None
    patches: int | None = None
    cells: int | None = None
    patch_size: int | None = None
    patch_size_level0: int | None = None
    step_level0: int | None = None
    level: int | None = None
    mpp: float | None = None
    patch_mpp: float | None = None
    tissue_mm2: float | None = None
    majority: Mapping[str, int] = field(default_factory=dict)
    pictures: tuple[str, ...] = ()
    images: int | None = None
    made_again: str | None = None
    seconds: float = 0.0
    bytes: int | None = None
    error: str | None = None
    error_type: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether a patch file that holds is there, or would be."""
        return self.status in ("done", "skipped", "planned")

    @property
    def summary(self) -> str:
        """In a few words."""
        if self.error is not None:
            return self.error
        if self.status == "skipped":
            return f"holds already ({self.file})"
        again = "" if self.made_again is None else f"; made again: {self.made_again}"
        return (
            f"{self.file}, {count_text(self.patches or 0, 'patch')} in {self.seconds:.1f} s{again}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        data = asdict(self)
        data["majority"] = dict(self.majority)
        data["pictures"], data["warnings"] = list(self.pictures), list(self.warnings)
        return data

    def as_row(self) -> list[object]:
        """One line of the CSV."""
        return csv_row(self.as_dict(), CSV_COLUMNS)


@dataclass(frozen=True, repr=False)
class PatchReport(BatchReport[PatchRecord]):
    """What a run did. Iterates over its records, one a slide."""

    _word = "slides"
