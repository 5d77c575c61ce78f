"""What is wrong with single features of a file: named one by one, told in groups."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_NAMED = 5


@dataclass(frozen=True)
class FeatureProblem:
    """Something that is wrong with one feature.

    Attributes
    ----------
    where : str
        The feature: "feature 17", counted from 1, or "feature 17, child 2".
    what : str
        What is wrong with it: "it crosses itself".
    mend : str
        What was done about it; empty if the feature is left out.
    """

    where: str
    what: str
    mend: str = ""

    @property
    def is_lost(self) -> bool:
        """Whether the feature is left out."""
        return not self.mend


def told(problems: Iterable[FeatureProblem]) -> list[str]:
    """One sentence for all features with the same problem, what is lost first."""
    groups: dict[tuple[str, str], list[str]] = {}
    for problem in sorted(problems, key=lambda p: not p.is_lost):
        groups.setdefault((problem.what, problem.mend), []).append(problem.where)
    lines = []
    for (what, mend), places in groups.items():
        named = ", ".join(places[:_NAMED])
        more = f" and {len(places) - _NAMED:,} more" if len(places) > _NAMED else ""
        lines.append(f"{named}{more}: {what} ({mend or 'left out'}).")
    return lines
