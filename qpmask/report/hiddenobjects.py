"""Objects that are drawn and leave no pixel: from what an engine saw to records and words.

In: a :class:`~qpmask.engines.base.Sight`, or the pixels of each label where there is none. Out:
:class:`Hidden`, for the sidecar, the reports and the terminal.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from qpmask.common.words import objects_text
from qpmask.engines.base import RenderJob, Sight
from qpmask.errors import HiddenObjectsError
from qpmask.project.inventory import Inventory

Why = Literal["covered", "outside", "thin", "empty", "plane", "unknown"]

UNCLASSIFIED = "Unclassified"
BOUNDARIES = "the boundary lines"

_WORDS: Mapping[str, str] = {
    "outside": "outside the image",
    "thin": "thinner than a pixel",
    "empty": "without a shape (no ROI, or an empty one)",
    "plane": "on a slice or time point that the image does not have",
    "unknown": "covered by others, outside the image, or thinner than a pixel",
}
_LISTED_IDS = 1000
_LISTED_NAMES = 3
_LISTED_LINES = 12

WAYS_OUT = (
    "Ways out: --order area draws larger objects first, whatever their class; the order of the "
    "classes in classes.yaml (later ones on top) can be changed; --multichannel gives each class a "
    "plane of its own."
)
WAYS_OUT_OF_LINES = (
    "Boundary lines lie upon all that is drawn: without --boundary, or with a smaller "
    "--downsample, more is left."
)


class HiddenGroup(NamedTuple):
    """Objects of one class that leave no pixel for one reason.

    Attributes
    ----------
    class_name : str
        ``Unclassified`` for objects without a class.
    objects, of : int
        How many they are, of how many drawn objects of the class.
    why : str
        ``covered``, ``outside`` (the image), ``thin`` (no pixel at this resolution), ``empty`` (no
        ROI, or one without a point), ``plane`` (a slice or time point that the image does not
        have), or ``unknown``: only the pixels of the class were counted.
    by : tuple of str
        What covers them, the commonest first.
    ids : tuple of str
        Their ids in QuPath, a thousand at most; the number in the data file where QuPath gave
        none.
    """

    class_name: str
    objects: int
    of: int
    why: Why
    by: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """Why, in words."""
        if self.why != "covered":
            return _WORDS[self.why]
        return f"covered by {_coverers(self.by)}"

    def __str__(self) -> str:
        return f"{self.class_name}: {objects_text(self.objects)}, no pixel left: {self.reason}"


class CoveredClass(NamedTuple):
    """A class of which more than half is covered.

    ``drawn_px`` are the pixels that it would have alone; ``by`` says what covers it, the commonest
    first. In an instance mask ``label`` is that of one of its objects.
    """

    class_name: str
    label: int
    drawn_px: int
    left_px: int
    by: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """How much of it is covered, 0 to 1."""
        return 1 - self.left_px / self.drawn_px if self.drawn_px else 0.0

    def __str__(self) -> str:
        percent = min(99, round(100 * self.share)) if self.left_px else 100
        return f"{self.class_name}: {percent} % of its pixels are covered by {_coverers(self.by)}"


class Hidden(NamedTuple):
    """What of an image is drawn and not seen in its mask.

    Attributes
    ----------
    groups : tuple of HiddenGroup
        Objects without a pixel.
    covered : tuple of CoveredClass
        Classes that are covered for more than half.
    all_background : bool
        Nothing is seen at all, though there are objects.
    counted : str
        By what it is known: ``objects``, each looked for on its own, or ``labels``, of which only
        the pixels were counted.
    """

    groups: tuple[HiddenGroup, ...] = ()
    covered: tuple[CoveredClass, ...] = ()
    all_background: bool = False
    counted: Literal["objects", "labels"] = "objects"

    @property
    def n_objects(self) -> int:
        """How many objects leave no pixel."""
        return sum(group.objects for group in self.groups)

    def lines(self) -> list[str]:
        """What people should know, a line each."""
        lines = [str(group) for group in self.groups]
        lines += [str(row) for row in self.covered if row.left_px]
        if self.all_background:
            lines.insert(0, "The mask is all background, though there are objects to draw")
        return lines

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON; :func:`hidden_from_dict` reads it back."""
        return self._asdict() | {
            "groups": tuple(group._asdict() for group in self.groups),
            "covered": tuple(row._asdict() for row in self.covered),
            "objects": self.n_objects,
        }


def hidden_from_dict(data: object) -> Hidden | None:
    """What a sidecar says about hidden objects; None if it does not."""
    try:
        assert isinstance(data, dict)
        groups = [_group_from_dict(row) for row in data["groups"]]
        covered = [_covered_from_dict(row) for row in data["covered"]]
        return Hidden(tuple(groups), tuple(covered), bool(data["all_background"]), data["counted"])
    except (AssertionError, KeyError, TypeError, ValueError):
        return None


def _covered_from_dict(row: Mapping[str, Any]) -> CoveredClass:
    label, drawn_px, left_px = (int(row[key]) for key in ("label", "drawn_px", "left_px"))
    by = tuple(str(one) for one in row.get("by", ()))  # older ones do not say
    return CoveredClass(str(row["class_name"]), label, drawn_px, left_px, by)


def _group_from_dict(row: Mapping[str, Any]) -> HiddenGroup:
    if row["why"] not in get_args(Why):
        raise ValueError(f"why is {row['why']!r}")
    by, ids = (tuple(str(one) for one in row.get(key, ())) for key in ("by", "ids"))
    return HiddenGroup(
        str(row["class_name"]), int(row["objects"]), int(row["of"]), row["why"], by, ids
    )


def find_hidden(
    job: RenderJob,
    inventory: Inventory,
    names: Mapping[int, str],
    pixels: Mapping[int, int],
    sight: Sight | None,
) -> Hidden:
    """Find what of an image is not seen.

    Parameters
    ----------
    job : RenderJob
        What was drawn.
    inventory : Inventory
        The objects of the image.
    names : mapping
        Class of each label of the mask; of an instance mask it is not looked at.
    pixels : mapping
        Pixels of the mask by label, all planes together.
    sight : Sight, optional
        What an engine saw; without it, labels without a pixel are all that is known.
    """
    kind = job.render.objects
    lost = [
        HiddenGroup(name or UNCLASSIFIED, n, n, "plane")
        for name, n in inventory.counts_off_planes(kind).items()
        if _takes(job, name)
    ]
    labelled = sum(pixels.values()) > pixels.get(0, 0)
    empty = inventory.empty_rows(kind, job.instance_rows if job.render.instances else None)
    lost += _empty(job, inventory, empty)
    if sight is None:
        groups = _by_labels(job, inventory, names, pixels, set(empty))
        n_drawn = sum(_drawn_counts(job, inventory).values())
        return Hidden((*groups, *lost), (), bool(n_drawn) and not labelled, "labels")
    groups = _by_sight(job, inventory, names, sight)
    covered = [
        CoveredClass(
            _names_upon(job, inventory, names, [share.label])[0],
            share.label,
            share.drawn_px,
            share.left_px,
            _names_upon(job, inventory, names, share.covered_by),
        )
        for share in sight.shares
    ]
    some = bool(lost) or bool((~inventory.off_planes(sight.rows)).any())
    return Hidden((*groups, *lost), tuple(covered), some and not labelled, "objects")


def check_hidden(hidden: Hidden, label: str) -> None:
    """Raise :class:`HiddenObjectsError` if an object of the image leaves no pixel."""
    if hidden.n_objects:
        raise HiddenObjectsError(
            f"{objects_text(hidden.n_objects)} of {label} "
            f"{'leaves' if hidden.n_objects == 1 else 'leave'} no pixel: "
            f"{'; '.join(map(str, hidden.groups[:_LISTED_LINES]))}.",
            hint=" ".join([*_ways_out([(label, hidden)]), "--hidden warn goes on."]),
        )


def run_lines(images: Sequence[tuple[str, Hidden]]) -> list[str]:
    """What to say at the end of a run, of (image, what is hidden): alike things once."""
    alike: dict[tuple[str, str], list[tuple[str, HiddenGroup]]] = defaultdict(list)
    shares: dict[str, list[tuple[str, CoveredClass]]] = defaultdict(list)
    blank = [name for name, hidden in images if hidden.all_background]
    for image, hidden in images:
        for group in hidden.groups:
            if group.why != "plane":  # the plan said so
                alike[group.class_name, group.reason].append((image, group))
        for row in hidden.covered:
            if row.left_px:  # else its objects are named
                shares[row.class_name].append((image, row))
    lines = []
    if blank:
        where = f"{blank[0]}: the mask is" if len(blank) == 1 else f"{len(blank):,} masks are"
        lines.append(f"{where} all background, though there are objects to draw.")
    for (name, reason), found in sorted(alike.items(), key=_most_objects):
        if len(found) == 1:
            lines.append(f"{found[0][0]}: {found[0][1]}.")
        else:
            n = sum(group.objects for _, group in found)
            lines.append(
                f"{name}: {objects_text(n)} in {len(found):,} images, no pixel left: {reason}."
            )
    for name, rows in shares.items():
        if len(rows) == 1:
            lines.append(f"{rows[0][0]}: {rows[0][1]}.")
        else:
            by = Counter(one for _, row in rows for one in row.by)
            lines.append(
                f"{name}: in {len(rows):,} images more than half of its pixels are covered by "
                f"{_coverers([one for one, _ in by.most_common()])}."
            )
    if len(lines) > _LISTED_LINES:
        more = len(lines) - _LISTED_LINES
        lines[_LISTED_LINES:] = [f"{more:,} more of this kind; report.json has them all."]
    return lines + _ways_out(images)


def _ways_out(images: Iterable[tuple[str, Hidden]]) -> list[str]:
    """What to do about objects that are covered."""
    upon = [g.by for _, hidden in images for g in hidden.groups if g.why in ("covered", "unknown")]
    upon += [row.by for _, hidden in images for row in hidden.covered if row.left_px]
    ways = [WAYS_OUT] if any(by != (BOUNDARIES,) for by in upon) else []
    return ways + ([WAYS_OUT_OF_LINES] if any(BOUNDARIES in by for by in upon) else [])


def _most_objects(item: tuple[Any, list[tuple[str, HiddenGroup]]]) -> int:
    return -sum(group.objects for _, group in item[1])


def _coverers(by: Sequence[str]) -> str:
    """What covers something, in words."""
    names = list(by[:_LISTED_NAMES])
    if len(by) > _LISTED_NAMES:
        names.append(f"{len(by) - _LISTED_NAMES} more")
    if not names:
        return "what is drawn later"
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return listed if names == [BOUNDARIES] else f"{listed}, drawn later"


def _takes(job: RenderJob, name: str | None) -> bool:
    """Whether objects of a class are among those that are drawn."""
    return job.render.instances or any(rule.class_name == name for rule in job.rules)


def _empty(job: RenderJob, inventory: Inventory, rows: Sequence[int]) -> list[HiddenGroup]:
    """Objects that have no shape at all."""
    of = _drawn_counts(job, inventory)
    by_class: dict[str | None, list[int]] = defaultdict(list)
    for row, name in zip(rows, inventory.class_names(rows), strict=True):
        if _takes(job, name):
            by_class[name].append(row)
    return [
        HiddenGroup(name or UNCLASSIFIED, len(at), of[name], "empty", (), _ids(inventory, at))
        for name, at in by_class.items()
    ]


def _drawn_counts(job: RenderJob, inventory: Inventory) -> dict[str | None, int]:
    """Objects that are drawn, by class."""
    if job.render.instances:
        return dict(Counter(inventory.class_names(job.instance_rows)))
    drawn = {rule.class_name for rule in job.rules}
    return {k: n for k, n in inventory.counts(job.render.objects).items() if k in drawn}


def _by_labels(
    job: RenderJob,
    inventory: Inventory,
    names: Mapping[int, str],
    pixels: Mapping[int, int],
    empty: Collection[int],
) -> list[HiddenGroup]:
    """Labels without a pixel: of classes, or of objects."""
    if job.render.multichannel:
        return []
    if job.render.instances:
        names_of_all = inventory.class_names(job.instance_rows)
        of = Counter(names_of_all)
        rows: dict[str | None, list[int]] = defaultdict(list)
        for label, (row, name) in enumerate(zip(job.instance_rows, names_of_all, strict=True), 1):
            if not pixels.get(label) and row not in empty:
                rows[name].append(row)
        return [
            HiddenGroup(name or UNCLASSIFIED, len(at), of[name], "unknown", (), _ids(inventory, at))
            for name, at in rows.items()
        ]
    counts = Counter(_drawn_counts(job, inventory))
    counts.subtract(inventory.class_names(list(empty)))
    n_objects: Counter[int] = Counter()
    for rule in job.rules:
        n_objects[rule.label] += counts.get(rule.class_name, 0)
    return [
        HiddenGroup(names[label], n, n, "unknown")
        for label, n in n_objects.items()
        if n > 0 and not pixels.get(label)
    ]


def _by_sight(
    job: RenderJob, inventory: Inventory, names: Mapping[int, str], sight: Sight
) -> list[HiddenGroup]:
    off = inventory.off_planes(sight.rows) | inventory.is_empty(job.render.objects)[sight.rows]
    hidden = np.flatnonzero(~sight.left & ~off)
    if not len(hidden):
        return []
    classes = inventory.class_names(sight.rows.tolist())
    of = Counter(classes)
    alike: dict[tuple[str | None, Why, tuple[str, ...]], list[int]] = defaultdict(list)
    for at in hidden.tolist():
        row = int(sight.rows[at])
        why: Why = "outside" if sight.outside[at] else "thin"
        if sight.has_pixel[at]:
            why = "covered"
        by = _names_upon(job, inventory, names, sight.covered_by.get(row, ()))
        alike[classes[at], why, by].append(row)
    return [
        HiddenGroup(name or UNCLASSIFIED, len(rows), of[name], why, by, _ids(inventory, rows))
        for (name, why, by), rows in alike.items()
    ]


def _names_upon(
    job: RenderJob, inventory: Inventory, names: Mapping[int, str], labels: Iterable[int]
) -> tuple[str, ...]:
    """Names of the classes that labels stand for, each once."""
    boundary = job.render.boundary_label
    listed = list(labels)
    if job.render.instances:
        rows = [job.instance_rows[label - 1] for label in listed if label != boundary]
        classes = iter(inventory.class_names(rows))
        found = [
            BOUNDARIES if label == boundary else next(classes) or UNCLASSIFIED for label in listed
        ]
    else:
        found = [
            BOUNDARIES if label == boundary else names.get(label, f"label {label}")
            for label in listed
        ]
    return tuple(dict.fromkeys(found))


def _ids(inventory: Inventory, rows: Sequence[int]) -> tuple[str, ...]:
    listed = tuple(rows[:_LISTED_IDS])
    found = inventory.ids(listed)
    return tuple(i or f"number {row + 1}" for i, row in zip(found, listed, strict=True))
