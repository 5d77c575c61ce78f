"""Class maps in files: YAML, JSON, CSV, and the presets that come with qpmask.

What a file says becomes a :class:`~qpmask.classes.classmap.ClassMap`; what it says wrongly an
error that names the file, the place in it and what to do.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qpmask.classes.classmap import QUPATH_IGNORED, ClassEntry, ClassMap, Color, UnclassifiedRow
from qpmask.classes.names import UNCLASSIFIED
from qpmask.common.arguments import check_kind, path_of
from qpmask.errors import ClassMapError
from qpmask.options import check_unclassified

if TYPE_CHECKING:
    from importlib.abc import Traversable


def preset_names() -> tuple[str, ...]:
    """Names of the class maps that come with qpmask."""
    folder = _presets()
    return tuple(sorted(p.name[:-5] for p in folder.iterdir() if p.name.endswith(".yaml")))


def _presets() -> Traversable:
    from importlib import resources

    return resources.files("qpmask.classes") / "presets"


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
    text = (_presets() / f"{name}.yaml").read_text("utf-8")
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
        name = row.get("name") or UNCLASSIFIED
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
