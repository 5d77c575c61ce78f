"""The Groovy scripts that do the same inside QuPath: put together, and a class map filled in.

Goes in: a class map, or none. Comes out: the text of each script, or files in a folder.

``groovy/source`` holds what people read and change: each script (settings, and what it does) and in
``parts`` what it needs, one class a file. QuPath's Script editor takes a single file, so a script
names its parts between ``// <parts>`` and ``// </parts>`` and :func:`script_text` puts them there,
with all imports at the top. The wheel ships the source, as ``qpmask/groovy``; ``groovy/*.groovy``
are the same files put together, by ``qpmask groovy --force -o groovy``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from qpmask._version import __version__
from qpmask.classes import ClassMap
from qpmask.errors import ClassMapError, OutputError
from qpmask.outputs import writing

#: The scripts, in the order in which one needs them.
SCRIPTS = ("export_masks.groovy", "export_current_image.groovy", "import_mask.groovy")

_PARTS_BLOCK = re.compile(r"// <parts>\n(.*?)// </parts>\n", re.DOTALL)
_IMPORT = re.compile(r"^import .*\n", re.MULTILINE)
_MADE = "// Put together from groovy/source of qpmask: change it there.\n"
_RULE_WIDTH = 100
_MAP_BLOCK = re.compile(r"(?<=// <class map>\n).*?(?=// </class map>\n)", re.DOTALL)
_VERSION_LINE = re.compile(r"(?<=static final String VERSION = ')[^']*(?=')")
_MAX_LABEL = 65535  # of QuPath's label images
_LONGEST_LITERAL = 65535  # bytes: what a Java class file can hold


def script_text(name: str, class_map: ClassMap | None = None) -> str:
    """The text of a script, with a class map filled in where the script has one.

    Raises
    ------
    OutputError
        The scripts are not installed with qpmask.
    """
    folder = _source()
    text = _put_together(_read(folder / name), folder / "parts")
    text = _VERSION_LINE.sub(lambda _: __version__, text)
    if class_map is None:
        return text
    block = f"def classMap = {groovy_literal(class_map)}\n"
    return _MAP_BLOCK.sub(lambda _: block, text)


def _source() -> Path:
    """The folder of the scripts' source: in a wheel, or in a checkout."""
    here = Path(__file__).resolve().parents[1]  # the package
    for folder in (here / "groovy", here.parent / "groovy" / "source"):
        if folder.is_dir():
            return folder
    raise OutputError("The scripts did not come with this qpmask.", hint="Install qpmask again.")


def _read(path: Path) -> str:
    if not path.is_file():
        raise OutputError(
            f"{path.name} did not come with this qpmask.", hint="Install qpmask again."
        )
    return path.read_text("utf-8")


def _put_together(script: str, parts: Path) -> str:
    """A script with the parts that it names, and all imports between its head and its settings."""
    found = _PARTS_BLOCK.search(script)
    if found is None:
        return script
    sections = []
    for line in found[1].splitlines():
        title, _, names = line.removeprefix("// ").partition("  ")
        sections.append(f"// ---- {title} ".ljust(_RULE_WIDTH, "-") + "\n")
        sections += [_read(parts / f"{name.strip()}.groovy") for name in names.split(",")]
    whole = "\n".join([script[: found.start()].rstrip() + "\n", *sections])
    imports = "".join(sorted(set(_IMPORT.findall(whole))))
    head, end, rest = _IMPORT.sub("", whole).partition(" */\n")
    body = re.sub(r"\n{3,}", "\n\n", rest)
    return f"{head}{end}{_MADE}\n{imports}\n{body.lstrip()}"


def groovy_literal(class_map: ClassMap) -> str:
    """A class map as Groovy source, in ASCII.

    Raises
    ------
    ClassMapError
        A name is longer than Java takes, or a label greater than QuPath's label images do.
    """
    if class_map.max_label > _MAX_LABEL:
        raise ClassMapError(
            f"The class map has labels up to {class_map.max_label:,}; QuPath's label images end at "
            f"{_MAX_LABEL:,}, and so do the scripts.",
            hint="Use smaller labels, or 'qpmask export --engine native', which writes uint32.",
        )
    lines = [f"[origin: {_quoted(class_map.origin)}, classes: ["]
    data = class_map.as_dict()
    for row in data["classes"]:
        parts = [f"label: {row['label']}", f"name: {_quoted(row['name'])}"]
        if row.get("unclassified"):
            parts.append("unclassified: true")
        if "color" in row:
            parts.append(f"color: '{row['color']}'")
        if "aliases" in row:
            parts.append(f"aliases: [{', '.join(map(_quoted, row['aliases']))}]")
        lines.append(f"    [{', '.join(parts)}],")
    ending = f"], ignore: [{', '.join(map(_quoted, class_map.ignore))}]"
    if "unclassified" in data:
        value = data["unclassified"]
        ending += f", unclassified: {value if isinstance(value, int) else _quoted(value)}"
    if "order" in data:
        ending += f", order: '{data['order']}'"
    return "\n".join([*lines, ending + "]"])


def write_scripts(
    folder: str | os.PathLike[str], class_map: ClassMap | None = None, *, force: bool = False
) -> list[Path]:
    """Write all scripts to a folder, which is made if needed.

    Parameters
    ----------
    folder : path-like
        Where to.
    class_map : ClassMap, optional
        Filled in; without one the scripts follow the project's class list.
    force : bool
        Replace files that are there.

    Raises
    ------
    OutputError
        A file is there already, or the folder cannot be written to.
    """
    folder = Path(folder).expanduser()
    texts = {folder / name: script_text(name, class_map) for name in SCRIPTS}
    standing = [path for path in texts if path.exists()]
    if standing and not force:
        raise OutputError(f"{standing[0]} is there already.", hint="Use --force to replace it.")
    with writing(folder, "The folder"):
        folder.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        with writing(path, "The script"):
            part = path.with_name(f".{path.name}.part")
            part.write_text(text, encoding="utf-8", newline="\n")
            part.replace(path)
    return list(texts)


def _quoted(text: str) -> str:
    """Text in single quotes, in which Groovy sees no variables."""
    if len(text.encode("utf-8", "surrogatepass")) > _LONGEST_LITERAL:
        raise ClassMapError(f"The class name {text[:40]!r}... is too long for a script.")
    short = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    units = text.encode("utf-16-be", "surrogatepass")
    letters = []
    for i in range(0, len(units), 2):
        code = units[i] << 8 | units[i + 1]
        plain = 32 <= code < 127
        letters.append(short.get(chr(code)) or (chr(code) if plain else f"\\u{code:04x}"))
    return f"'{''.join(letters)}'"
