"""What a batch did, as records that JSON and CSV can hold: what all reports of batches share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from qpmask.common.frozen import dataclass


class _Record(Protocol):
    @property
    def ok(self) -> bool: ...

    def as_dict(self) -> dict[str, Any]: ...


RecordT = TypeVar("RecordT", bound=_Record)
DataT = TypeVar("DataT")


def csv_row(data: Mapping[str, Any], columns: tuple[str, ...]) -> list[object]:
    """One line of a CSV: the columns of a record's plain data."""
    row = {**data, "warnings": " | ".join(data["warnings"]), "seconds": f"{data['seconds']:.2f}"}
    return ["" if row[column] is None else row[column] for column in columns]


@dataclass(frozen=True, repr=False)
class BatchReport(Generic[RecordT]):
    """What a run did. Iterates over its records."""

    output: Path
    started: str
    seconds: float
    options: Mapping[str, Any]
    records: tuple[RecordT, ...]
    warnings: tuple[str, ...] = ()
    interrupted: bool = False

    _word: ClassVar[str]  # what JSON calls the records

    def __iter__(self) -> Iterator[RecordT]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        n = sum(record.ok for record in self.records)
        return f"<{type(self).__name__} {self.output}: {n} of {len(self.records)} hold>"

    @property
    def ok(self) -> bool:
        """Whether all that was asked for is there and holds."""
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
            "warnings": list(self.warnings),
            self._word: [record.as_dict() for record in self.records],
        }


def record_from(kind: type[DataT], data: Mapping[str, Any]) -> DataT:
    """A record of what its ``as_dict`` made plain."""
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    values = {name: value for name, value in data.items() if name in known}
    return kind(**{n: tuple(v) if isinstance(v, list) else v for n, v in values.items()})
