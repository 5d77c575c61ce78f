"""Stage 7: what was done, as records that JSON and CSV can hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, field, fields
from pathlib import Path
from typing import Any, Literal

from qpmask.common.frozen import dataclass
from qpmask.engines.base import EngineInfo
from qpmask.report.hiddenobjects import Hidden, hidden_from_dict, run_lines

Status = Literal["done", "skipped", "failed", "interrupted"]
STATUSES: tuple[Status, ...] = ("done", "skipped", "failed", "interrupted")

CSV_COLUMNS = (
    "entry_id", "image", "status", "mask", "width_px", "height_px", "downsample", "pixel_width_um",
    "pixel_height_um", "dtype", "planes", "objects", "hidden", "seconds", "bytes", "made_again",
    "slide", "error", "warnings",
)  # fmt: skip


@dataclass(frozen=True)
class ImageRecord:
    """What became of one image.

    Attributes
    ----------
    status : str
        ``done``, ``skipped`` (a mask was there and still holds), ``failed`` or ``interrupted``.
    mask : str or None
        File name of the mask in the output folder; None where there is none from this run.
    pixels : dict
        Pixels of each label, all planes together, background included. Of an instance mask the
        background alone: it may have a million labels, and its table and sidecar have each.
    labelled : float or None
        Share of the pixels that have a label, 0 to 1; of a multichannel mask in any channel.
    objects : int or None
        How many objects were drawn.
    engine : str or None
        What drew the mask, which may have been an earlier run; with its version.
    verified_by : str or None
        The engine that drew it a second time, for comparison.
    made_again : str or None
        Why a mask that was there was made anew: what changed.
    slide : str
        Where the slide is on this machine, or ``missing``.
    hidden : Hidden or None
        Objects that leave no pixel, and classes of which more than half is covered; None where
        there is no mask, or where one of an earlier version does not say.
    warnings : tuple of str
        What the user should know about this mask.
    """

    entry_id: str
    image: str
    status: Status
    mask: str | None = None
    width_px: int | None = None
    height_px: int | None = None
    downsample: float | None = None
    pixel_width_um: float | None = None
    pixel_height_um: float | None = None
    dtype: str | None = None
    planes: int | None = None
    pixels: Mapping[int, int] = field(default_factory=dict)
    labelled: float | None = None
    objects: int | None = None
    seconds: float = 0.0
    bytes: int | None = None
    engine: str | None = None
    verified_by: str | None = None
    made_again: str | None = None
    slide: str = ""
    error: str | None = None
    error_type: str | None = None
    hidden: Hidden | None = None
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether a mask that holds is there."""
        return self.status in ("done", "skipped")

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON; labels become text, as JSON demands."""
        data = dict(vars(self))
        data["pixels"] = {str(k): v for k, v in self.pixels.items()}
        data["warnings"] = list(self.warnings)
        if self.hidden is not None:
            data["hidden"] = self.hidden.as_dict()
            for group in data["hidden"]["groups"]:
                del group["ids"]  # the sidecar has them
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ImageRecord:
        """What :meth:`as_dict` made plain.

        Raises
        ------
        TypeError, ValueError
            It is something else.
        """
        known = {f.name for f in fields(cls)}
        values = {name: value for name, value in data.items() if name in known}
        values["pixels"] = {int(k): int(v) for k, v in (data.get("pixels") or {}).items()}
        values["warnings"] = tuple(data.get("warnings") or ())
        values["hidden"] = hidden_from_dict(data.get("hidden"))
        return cls(**values)

    def as_row(self) -> list[object]:
        """One line of the CSV, in the order of ``CSV_COLUMNS``."""
        data = self.as_dict()
        lines = [] if self.hidden is None else self.hidden.lines()
        data["warnings"] = " | ".join([*lines, *self.warnings])
        data["hidden"] = None if self.hidden is None else self.hidden.n_objects
        data["seconds"] = f"{self.seconds:.2f}"
        return ["" if data[c] is None else data[c] for c in CSV_COLUMNS]


@dataclass(frozen=True)
class Report:
    """What a run did. Iterates over its records, one an image, in the project's order.

    ``nothing_drawn`` says that no image has an object that was drawn, though there are objects;
    ``warnings`` say which, and what draws them.
    """

    project: Path
    output: Path
    engine: EngineInfo | None
    engine_reason: str
    started: str
    seconds: float
    options: Mapping[str, Any]
    classes: Mapping[str, Any]
    records: tuple[ImageRecord, ...]
    warnings: tuple[str, ...] = ()
    interrupted: bool = False
    nothing_drawn: bool = False

    def __repr__(self) -> str:
        counts = ", ".join(f"{self.count(s)} {s}" for s in STATUSES if self.count(s))
        return f"<Report of {self.project}: {counts or 'no images'}; masks in {self.output}>"

    def __iter__(self) -> Iterator[ImageRecord]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    @property
    def ok(self) -> bool:
        """Whether every image has a mask that holds, and objects were drawn if there are any."""
        done = not self.interrupted and not self.nothing_drawn
        return done and all(r.ok for r in self.records)

    def hidden_lines(self) -> list[str]:
        """What to know about objects that leave no pixel, alike things once, and ways out."""
        return run_lines([(r.image, r.hidden) for r in self.records if r.hidden is not None])

    def count(self, status: Status) -> int:
        """Number of images with this status."""
        return sum(r.status == status for r in self.records)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        from qpmask._version import __version__

        return {
            "qpmask": __version__,
            "project": str(self.project),
            "output": str(self.output),
            "engine": None if self.engine is None else asdict(self.engine),
            "engine_reason": self.engine_reason,
            "started": self.started,
            "seconds": round(self.seconds, 2),
            "ok": self.ok,
            "interrupted": self.interrupted,
            "nothing_drawn": self.nothing_drawn,
            "options": dict(self.options),
            "classes": dict(self.classes),
            "warnings": list(self.warnings),
            "images": [r.as_dict() for r in self.records],
        }
