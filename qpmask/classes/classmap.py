"""Which class gets which label: :class:`ClassMap`.

A class map is a list in draw order: a later class is drawn over an earlier one. Class names are
QuPath's full names in QuPath's form (:mod:`qpmask.classes.names`), matched exactly (``Tumor:
Positive`` is not ``Tumor``), as QuPath itself does. Label 0 is the background and belongs to no
class.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from qpmask.classes.names import UNCLASSIFIED, class_name, class_pattern, nearest, why_refused
from qpmask.common.arguments import check_kind, shown, whole_number
from qpmask.common.frozen import dataclass
from qpmask.errors import ClassMapError, WrongTypeError
from qpmask.options import MAX_LABEL, ORDERS, Order, Unclassified

if TYPE_CHECKING:
    from qpmask.project import ProjectClass

Color = tuple[int, int, int]

#: QuPath ignores classes whose name ends in an asterisk (``Ignore*``, ``Region*``).
QUPATH_IGNORED = "*[*]"

BACKGROUND_LABEL = 0

#: What a saved map says of itself where labels follow a project's class list.
FOLLOWS = (
    "# The map follows the project: new classes come at the end, colours are QuPath's. Without the "
    "line\n# 'origin: project' it stays as it is, and a class that it lacks stops the run."
)


@dataclass(frozen=True)
class ClassEntry:
    """One class of a map.

    ``aliases`` are other names in the projects that get the same label. ``color`` is
    (red, green, blue) for viewers; it never reaches the pixels. A :class:`ClassMap` brings all
    names to QuPath's form.
    """

    label: int
    name: str
    color: Color | None = None
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", whole_number(self.label, "The label of a class"))
        check_kind(self.name, str, f"The name of class {self.label}", "text")
        check_kind(self.aliases, tuple | list, f"The aliases of class {self.label}", "names")
        if self.color is not None:
            object.__setattr__(self, "color", _color_of(self.color, self.label))


def _color_of(value: object, label: int) -> Color:
    what, rgb = f"The color of class {label}", "red, green and blue from 0 to 255"
    check_kind(value, tuple | list, what, rgb)
    numbers = [whole_number(part, what) for part in cast(Iterable[object], value)]
    if len(numbers) != 3 or not all(0 <= part <= 255 for part in numbers):
        raise ClassMapError(f"{what} is {shown(value)}; it must be {rgb}.")
    return numbers[0], numbers[1], numbers[2]


class UnclassifiedRow(NamedTuple):
    """The place of objects without a class among the classes: the row ``unclassified: true``.

    ``place`` counts the classes that are drawn before them; 0 is below all.
    """

    label: int
    place: int = 0
    name: str = UNCLASSIFIED
    color: Color | None = None


@dataclass(frozen=True)
class ClassMap:
    """Labels for class names.

    Attributes
    ----------
    entries : tuple of ClassEntry
        In draw order, the last on top.
    ignore : tuple of str
        Patterns of class names that are left out on purpose.
    unclassified : str or int or None
        What to do with objects without a class; None where the map does not say, or where a row
        does. A label draws them first, below all classes.
    unclassified_row : UnclassifiedRow or None
        Their label and place where a row of the map gives them.
    order : str
        ``classes``: drawn in the order of ``entries``; ``area``: larger objects first, whatever
        their class.
    origin : str
        ``project`` where the labels follow a project's class list (new classes may be added at
        the end), else what was given: a file or a preset.

    Raises
    ------
    ClassMapError
        A label or a name stands twice, or a label is out of range.
    """

    entries: tuple[ClassEntry, ...]
    ignore: tuple[str, ...] = (QUPATH_IGNORED,)
    unclassified: Unclassified | None = None
    origin: str = "given"
    unclassified_row: UnclassifiedRow | None = None
    order: Order = "classes"

    def __post_init__(self) -> None:
        check_kind(self.entries, Sequence, "entries", "a sequence of ClassEntry")
        check_kind(self.ignore, tuple | list, "ignore", "a sequence of patterns")
        if not all(isinstance(entry, ClassEntry) for entry in self.entries):
            raise WrongTypeError("The entries of a class map must be of the type ClassEntry.")
        if self.order not in ORDERS:
            raise ClassMapError(
                f"The order is {self.order!r}; it must be one of {', '.join(ORDERS)}."
            )
        entries: list[ClassEntry] = []
        names: dict[str, tuple[str, ClassEntry]] = {}
        labels: dict[int, ClassEntry] = {}
        for given in self.entries:
            entry = self._in_form(given)
            if not 1 <= entry.label <= MAX_LABEL:
                raise ClassMapError(
                    f"The class {entry.name!r} has the label {entry.label}; labels are 1 to "
                    f"{MAX_LABEL:,}, and 0 is the background."
                )
            for spelled in (given.name, *given.aliases):
                name = class_name(spelled)
                assert name is not None
                if name in names:
                    first, owner = names[name]
                    if owner is entry and first != spelled:
                        continue  # an alias that says the same
                    which = f"The class {name!r}"
                    if first != spelled:
                        which = f"{first!r} and {spelled!r} are one class, {name!r}, and it"
                    raise ClassMapError(f"{which} has two labels, {owner.label} and {entry.label}.")
                names[name] = spelled, entry
            if entry.label in labels:
                raise ClassMapError(
                    f"The label {entry.label} stands for {labels[entry.label].name!r} and for "
                    f"{entry.name!r}.",
                    hint="To give two classes one label, name the second one an alias of the "
                    "first.",
                )
            labels[entry.label] = entry
            entries.append(entry)
        object.__setattr__(self, "entries", tuple(entries))
        object.__setattr__(self, "ignore", tuple(map(class_pattern, self.ignore)))
        if self.unclassified_row is not None:
            self._check_row(self.unclassified_row, labels)

    def _check_row(self, row: UnclassifiedRow, labels: Mapping[int, ClassEntry]) -> None:
        if not 1 <= row.label <= MAX_LABEL:
            raise ClassMapError(
                f"Objects without a class have the label {row.label}; labels are 1 to "
                f"{MAX_LABEL}, and 0 is the background."
            )
        if row.label in labels:
            raise ClassMapError(
                f"The label {row.label} stands for {labels[row.label].name!r} and for objects "
                "without a class."
            )
        if self.unclassified not in (None, row.label):
            raise ClassMapError(
                f"'unclassified' is {self.unclassified!r}, and a row gives objects without a "
                f"class the label {row.label}.",
                hint="Leave one of the two out.",
            )

    @staticmethod
    def _in_form(given: ClassEntry) -> ClassEntry:
        """The entry with QuPath's form of its names, each once."""
        names = []
        for text in (given.name, *given.aliases):
            if why := why_refused(text):
                raise ClassMapError(f"QuPath has no class {text!r}: {why}.")
            name = class_name(text)
            if name is None:
                raise ClassMapError(
                    f"{text!r} is what QuPath calls objects without a class; no class has that "
                    "name.",
                    hint=f"Their row in a map says so: {{label: {given.label}, unclassified: "
                    f"true}}; or use the option --unclassified {given.label} (in Python "
                    f"unclassified={given.label}).",
                )
            names.append(name)
        aliases = tuple(n for n in dict.fromkeys(names[1:]) if n != names[0])
        return replace(given, name=names[0], aliases=aliases)

    def with_choices(
        self, unclassified: Unclassified | None, row: UnclassifiedRow | None, order: Order
    ) -> ClassMap:
        """The map with other choices; itself, which has been checked, where it has these."""
        if (unclassified, row, order) == (self.unclassified, self.unclassified_row, self.order):
            return self
        return replace(self, unclassified=unclassified, unclassified_row=row, order=order)

    @cached_property
    def _by_name(self) -> dict[str, ClassEntry]:
        return {n: e for e in self.entries for n in (e.name, *e.aliases)}

    @property
    def rows(self) -> tuple[ClassEntry | UnclassifiedRow, ...]:
        """Classes and the row of objects without a class, if there is one, in draw order."""
        row = self.unclassified_row
        if row is None:
            return self.entries
        return *self.entries[: row.place], row, *self.entries[row.place :]

    def find(self, name: str) -> ClassEntry | None:
        """The entry for a class name of a project, or None."""
        return self._by_name.get(class_name(name) or "")

    def ignores(self, name: str) -> bool:
        """Whether objects of this class are left out on purpose. A class with a label never is."""
        name = class_name(name) or name
        return name not in self._by_name and any(fnmatchcase(name, p) for p in self.ignore)

    def nearest(self, name: str, count: int = 3) -> list[str]:
        """Names of the map that look like ``name``, the likeliest first."""
        return nearest(name, self._by_name, count)

    @property
    def max_label(self) -> int:
        """The greatest label, that of objects without a class included; 0 for an empty map."""
        return max((row.label for row in self.rows), default=0)

    def extended(self, classes: Iterable[ProjectClass]) -> ClassMap:
        """The map with further classes at its end, each with the next free label."""
        entries = list(self.entries)
        label = self.max_label
        for new in classes:
            if new.name in self._by_name:
                continue
            label += 1
            entries.append(ClassEntry(label, new.name, new.color))
        return replace(self, entries=tuple(entries))

    def recolored(self, classes: Iterable[ProjectClass]) -> ClassMap:
        """The map with the colours of these classes, where they have one."""
        colors = {c.name: c.color for c in classes if c.color is not None}
        entries = (replace(e, color=colors.get(e.name, e.color)) for e in self.entries)
        return replace(self, entries=tuple(entries))

    # -- as data --------------------------------------------------------------------------------

    def as_dict(self) -> dict[str, Any]:
        """Plain data that JSON and YAML can hold; :func:`class_map_from_dict` reads it back."""
        rows: list[dict[str, Any]] = []
        for entry in self.rows:
            row: dict[str, Any] = {"label": entry.label, "name": entry.name}
            if isinstance(entry, UnclassifiedRow):
                row["unclassified"] = True
            if entry.color is not None:
                row["color"] = format_color(entry.color)
            if isinstance(entry, ClassEntry) and entry.aliases:
                row["aliases"] = list(entry.aliases)
            rows.append(row)
        data: dict[str, Any] = {
            "origin": self.origin,
            "classes": rows,
            "ignore": list(self.ignore),
        }
        if self.unclassified is not None and self.unclassified_row is None:
            data["unclassified"] = self.unclassified
        if self.order != "classes":
            data["order"] = self.order
        return data

    def fingerprint(self) -> str:
        """Hash over all that decides pixels and class table: the same map, the same hash."""
        data = self.as_dict()
        del data["origin"]
        text = json.dumps(data, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_yaml(self) -> str:
        """The map as a YAML file for people to edit."""
        data = self.as_dict()
        lines = [
            "# Class map of qpmask. Label 0 is the background.",
            "# Classes are drawn in this order: a later one covers an earlier one.",
            *([FOLLOWS] if self.origin == "project" else ()),
            f"origin: {_quoted(self.origin)}",
            "classes:" if data["classes"] else "classes: []",
        ]
        for row in data["classes"]:
            parts = [f"label: {row['label']}", f"name: {_quoted(row['name'])}"]
            if row.get("unclassified"):
                parts.append("unclassified: true")
            if "color" in row:
                parts.append(f'color: "{row["color"]}"')
            if "aliases" in row:
                parts.append(f"aliases: [{', '.join(map(_quoted, row['aliases']))}]")
            lines.append(f"  - {{{', '.join(parts)}}}")
        lines.append("# Classes to leave out; QuPath itself ignores names that end in an asterisk.")
        lines.append(f"ignore: [{', '.join(map(_quoted, self.ignore))}]")
        if self.unclassified_row is None:
            lines.append("# Objects without a class: ignore, error, or a label; a row")
            lines.append("# {label: LABEL, unclassified: true} gives them a place in the order.")
            policy = "# unclassified: ignore"
            lines.append(
                policy if self.unclassified is None else f"unclassified: {self.unclassified}"
            )
        lines.append("# Drawn first to last: classes (as above) or area (larger objects first).")
        lines.append("# order: area" if self.order == "classes" else f"order: {self.order}")
        return "\n".join(lines) + "\n"


def class_names(row: ClassEntry | UnclassifiedRow) -> tuple[str | None, ...]:
    """Names of the classes that a row of a map is about; None stands for no class."""
    return (None,) if isinstance(row, UnclassifiedRow) else (row.name, *row.aliases)


def class_map_from_classes(
    listed: Iterable[ProjectClass], used: Iterable[ProjectClass] = ()
) -> ClassMap:
    """Labels 1, 2, ... in the order of a project's class list, then classes in use by name.

    Classes that QuPath ignores (their names end in ``*``) get no label.
    """
    empty = ClassMap((), origin="project")
    ordered = [c for c in listed if not empty.ignores(c.name)]
    names = {c.name for c in ordered}
    rest = [c for c in used if c.name not in names and not empty.ignores(c.name)]
    return empty.extended([*ordered, *sorted(rest, key=lambda c: c.name)])


def format_color(color: Color) -> str:
    """``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def _quoted(text: str) -> str:
    """Text in double quotes, as both YAML and JSON read it."""
    quoted = json.dumps(text, ensure_ascii=False)
    if quoted.isprintable():  # as mostly: to compile the pattern takes half a millisecond
        return quoted
    pattern = "[\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]"
    return re.sub(pattern, lambda m: f"\\u{ord(m[0]):04x}", quoted)
