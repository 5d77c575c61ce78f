"""Stage 2: which class gets which label: :class:`ClassMap`, its files and presets.

A class map is a list in draw order: a later class is drawn over an earlier one. Class names are
QuPath's full names in QuPath's form (:mod:`qpmask.classnames`), matched exactly (``Tumor:
Positive`` is not ``Tumor``), as QuPath itself does. Label 0 is the background and belongs to no
class.
"""

from __future__ import annotations

import csv
import difflib
import hashlib
import io
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from importlib import resources
from typing import Any

from qpmask.arguments import check_kind, path_of, whole_number
from qpmask.classnames import UNCLASSIFIED, class_name, class_pattern, why_refused
from qpmask.errors import ClassMapError, WrongTypeError
from qpmask.options import MAX_LABEL, ORDERS, Order, Unclassified, check_unclassified
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


@dataclass(frozen=True)
class UnclassifiedRow:
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
        folded = {n.casefold(): n for n in self._by_name}
        hits = difflib.get_close_matches(name.casefold(), folded, n=count, cutoff=0.6)
        return [folded[h] for h in hits]

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


def preset_names() -> tuple[str, ...]:
    """Names of the class maps that come with qpmask."""
    folder = resources.files("qpmask") / "presets"
    return tuple(sorted(p.name[:-5] for p in folder.iterdir() if p.name.endswith(".yaml")))


def load_preset(name: str) -> ClassMap:
    """A class map that comes with qpmask.

    Raises
    ------
    ClassMapError
        There is none of that name.
    """
    check_kind(name, str, "name", "text")
    if name not in preset_names():
        raise ClassMapError(
            f"There is no preset {name!r}.", hint=f"There are: {', '.join(preset_names())}."
        )
    text = (resources.files("qpmask") / "presets" / f"{name}.yaml").read_text("utf-8")
    return replace(_parse_yaml(text, f"preset {name}"), origin=f"preset {name}")


def load_class_map(path: str | os.PathLike[str]) -> ClassMap:
    """Read a class map from a YAML, JSON or CSV file, told apart by the ending.

    YAML and JSON hold ``classes``: a list of ``label``, ``name``, ``color`` (``#rrggbb`` or three
    numbers) and ``aliases``, or a plain mapping of names to labels; and optionally ``ignore``
    (patterns), ``unclassified`` and ``order``. CSV has a header with ``label`` and ``name``, and
    optionally ``color``, ``aliases`` (separated by ``|``) and ``unclassified``; it has no place for
    ``ignore`` and ``order`` (``--order area`` gives one, and ``classes.yaml`` of the output folder
    then keeps it). A row with ``unclassified: true`` is that of objects without a class, and needs
    no name.

    Raises
    ------
    ClassMapError
        The file cannot be read or makes no sense; the message names the file and the place.
    """
    file = path_of(path, "path").expanduser()
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ClassMapError(
            f"The class map {file} cannot be read: {error.strerror or error}."
        ) from error
    except UnicodeDecodeError as error:
        raise ClassMapError(
            f"The class map {file} is not UTF-8 text.", hint="Save it as UTF-8."
        ) from error
    kind = file.suffix.lower()
    if kind in (".yaml", ".yml"):
        return _parse_yaml(text, str(file))
    if kind == ".json":
        try:
            raw = json.loads(text, object_pairs_hook=lambda pairs: _unique(pairs, str(file)))
        except (ValueError, RecursionError) as error:
            if isinstance(error, ClassMapError):
                raise
            raise ClassMapError(f"The class map {file} is not valid JSON: {error}.") from error
        return class_map_from_dict(raw, str(file))
    if kind in (".csv", ".tsv"):
        return _parse_csv(text, str(file))
    raise ClassMapError(
        f"The class map {file} ends in {kind or 'nothing'!r}.",
        hint="It must be a .yaml, .json or .csv file.",
    )


def class_map_from_dict(raw: object, source: str) -> ClassMap:
    """A class map from plain data; ``source`` names it in messages.

    Raises
    ------
    ClassMapError
        The data makes no sense.
    """
    if not isinstance(raw, Mapping):
        raise ClassMapError(f"{source} holds no class map.", hint="It needs a list 'classes'.")
    if "classes" not in raw and raw and all(_is_label(v) for v in raw.values()):
        raw = {"classes": raw}
    unknown = set(raw) - {"classes", "ignore", "unclassified", "origin", "order"}
    if unknown:
        raise ClassMapError(
            f"{source} has the unknown key {sorted(map(str, unknown))[0]!r}.",
            hint="It may have classes, ignore, unclassified, order and origin.",
        )
    rows = raw.get("classes")
    if isinstance(rows, Mapping):
        rows = [{"label": label, "name": name} for name, label in rows.items()]
    if not isinstance(rows, list):
        raise ClassMapError(f"{source} has no list of classes.", hint="It needs a list 'classes'.")
    entries, lowest = _rows([(row, f"{source}, class {i}") for i, row in enumerate(rows, 1)])
    ignore = raw.get("ignore", [QUPATH_IGNORED])
    if isinstance(ignore, str):
        ignore = [ignore]
    if not isinstance(ignore, list) or not all(isinstance(p, str) for p in ignore):
        raise ClassMapError(f"{source}: 'ignore' must be a list of patterns.")
    unclassified: Any = raw.get("unclassified")
    order: Any = raw.get("order", "classes")
    try:
        check_unclassified(unclassified)
        return ClassMap(
            entries,
            tuple(ignore),
            unclassified,
            str(raw.get("origin", source)),
            lowest,
            order,
        )
    except ClassMapError as error:
        raise ClassMapError(f"{source}: {error.message}", hint=error.hint) from None
    except ValueError as error:
        raise ClassMapError(f"{source}: {error}") from None


def parse_color(value: object, where: str) -> Color | None:
    """(red, green, blue) from ``#rrggbb``, ``r,g,b`` or three numbers; None from nothing."""
    if value is None or value == "":
        return None
    parts: list[int] | None = None
    if isinstance(value, str):
        text = value.strip()
        if re.fullmatch(r"#?[0-9A-Fa-f]{6}", text):
            parts = [int(text[-6:][i : i + 2], 16) for i in (0, 2, 4)]
        elif re.fullmatch(r"\d{1,3}(\s*[,;\s]\s*\d{1,3}){2}", text):
            parts = [int(p) for p in re.findall(r"\d+", text)]
    elif isinstance(value, list | tuple) and all(_is_label(v) for v in value):
        parts = list(value)
    if parts is None or len(parts) != 3 or not all(0 <= p <= 255 for p in parts):
        raise ClassMapError(
            f"{where}: {value!r} is not a color.", hint='Write "#c80000" (in quotes) or 200,0,0.'
        )
    return parts[0], parts[1], parts[2]


def format_color(color: Color) -> str:
    """``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def _rows(rows: list[tuple[object, str]]) -> tuple[tuple[ClassEntry, ...], UnclassifiedRow | None]:
    """Classes from rows and where each stands, and the row of objects without a class."""
    entries: list[ClassEntry] = []
    lowest: UnclassifiedRow | None = None
    for row, where in rows:
        mark = row.get("unclassified", False) if isinstance(row, Mapping) else False
        if not isinstance(mark, bool):
            raise ClassMapError(f"{where}: 'unclassified' is {mark!r}; it must be true or false.")
        if not mark:
            entries.append(_entry(row, where))
            continue
        if lowest is not None:
            raise ClassMapError(f"{where}: a second row for objects without a class.")
        assert isinstance(row, Mapping)
        if row.get("aliases"):
            raise ClassMapError(f"{where}: objects without a class have no aliases.")
        name = row.get("name") or UnclassifiedRow.name
        entry = _entry({**row, "name": name}, where)
        lowest = UnclassifiedRow(entry.label, len(entries), entry.name, entry.color)
    return tuple(entries), lowest


def _entry(row: object, where: str) -> ClassEntry:
    if not isinstance(row, Mapping):
        raise ClassMapError(f"{where}: expected label and name, found {row!r}.")
    unknown = set(row) - {"label", "name", "color", "aliases", "unclassified"}
    if unknown:
        raise ClassMapError(
            f"{where}: unknown key {sorted(map(str, unknown))[0]!r}.",
            hint="A class may have label, name, color, aliases and unclassified.",
        )
    label, name = row.get("label"), row.get("name")
    if not _is_label(label):
        raise ClassMapError(f"{where}: the label {label!r} is not a whole number.")
    if not isinstance(name, str) or not name:
        raise ClassMapError(
            f"{where}: the name {name!r} is not text.", hint='Put it in quotes, as in "No".'
        )
    aliases = row.get("aliases") or []
    if isinstance(aliases, str):
        aliases = [aliases]
    if not isinstance(aliases, list) or not all(isinstance(a, str) and a for a in aliases):
        raise ClassMapError(f"{where}: 'aliases' must be a list of names.")
    assert isinstance(label, int)
    return ClassEntry(label, name, parse_color(row.get("color"), where), tuple(aliases))


def _is_label(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _parse_yaml(text: str, source: str) -> ClassMap:
    import yaml

    class Loader(yaml.SafeLoader):
        """A loader that refuses a key that stands twice."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            keys = [(self.construct_object(key, deep=True), None) for key, _ in node.value]
            _unique(keys, source)
            return super().construct_mapping(node, deep)

    try:
        raw = yaml.load(text, Loader)
    except ClassMapError:
        raise
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        raise ClassMapError(f"{source} is not valid YAML: {error}") from error
    return class_map_from_dict(raw, source)


def _parse_csv(text: str, source: str) -> ClassMap:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter)
    try:
        entries, lowest = _rows(_csv_rows(reader, source))
        return ClassMap(entries, origin=source, unclassified_row=lowest)
    except csv.Error as error:
        raise ClassMapError(f"{source}, line {reader.line_num}: {error}.") from error
    except ClassMapError as error:
        where = "" if error.message.startswith(source) else f"{source}: "
        raise ClassMapError(f"{where}{error.message}", hint=error.hint) from None


#: What a cell of the column ``unclassified`` may say; a spreadsheet writes TRUE or 1.
_CSV_MARKS = {"": False, "false": False, "no": False, "0": False,
              "true": True, "yes": True, "1": True, "x": True}  # fmt: skip


def _csv_rows(reader: csv.DictReader[str], source: str) -> list[tuple[object, str]]:
    columns = [(c or "").strip().casefold() for c in reader.fieldnames or ()]
    if "label" not in columns or "name" not in columns:
        raise ClassMapError(
            f"{source} has no columns 'label' and 'name'.",
            hint="Its first line must be a header: label,name,color,aliases.",
        )
    unknown = set(columns) - {"label", "name", "color", "aliases", "unclassified"}
    if unknown:
        raise ClassMapError(
            f"{source} has the unknown column {sorted(unknown)[0]!r}.",
            hint="Its columns may be label, name, color, aliases and unclassified.",
        )
    reader.fieldnames = columns
    rows: list[tuple[object, str]] = []
    for row in reader:
        where = f"{source}, line {reader.line_num}"
        label = (row["label"] or "").strip()
        name = (row["name"] or "").strip()
        if not label and not name:
            continue
        if not re.fullmatch(r"[+-]?\d+", label):
            raise ClassMapError(f"{where}: the label {label!r} is not a whole number.")
        aliases = [a.strip() for a in (row.get("aliases") or "").split("|")]
        mark = (row.get("unclassified") or "").strip().casefold()
        found = {
            "label": int(label),
            "name": name,
            "color": (row.get("color") or "").strip(),
            "aliases": [a for a in aliases if a],
            "unclassified": _CSV_MARKS.get(mark, mark),
        }
        rows.append((found, where))
    return rows


def _unique(pairs: list[tuple[Any, Any]], source: str) -> dict[Any, Any]:
    """A mapping from pairs; a key that stands twice is an error."""
    found: dict[Any, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ClassMapError(
                f"{source}: {key!r} stands twice.", hint="Each name gets one label."
            )
        found[key] = value
    return found


def _quoted(text: str) -> str:
    """Text in double quotes, as both YAML and JSON read it."""
    return re.sub(
        "[\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]",
        lambda m: f"\\u{ord(m[0]):04x}",
        json.dumps(text, ensure_ascii=False),
    )
