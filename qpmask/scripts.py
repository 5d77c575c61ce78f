"""The Groovy scripts that do the same inside QuPath: where they are, and a class map filled in.

Goes in: a class map, or none. Comes out: the text of each script, or files in a folder. The scripts
ship in the wheel as ``qpmask/groovy``; in a checkout they lie in ``groovy`` beside the package.
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
    here = Path(__file__).resolve().parent
    for folder in (here / "groovy", here.parent / "groovy"):
        if (folder / name).is_file():
            text = (folder / name).read_text("utf-8")
            break
    else:
        raise OutputError(f"{name} did not come with this qpmask.", hint="Install qpmask again.")
    text = _VERSION_LINE.sub(lambda _: __version__, text)
    if class_map is None:
        return text
    block = f"def classMap = {groovy_literal(class_map)}\n"
    return _MAP_BLOCK.sub(lambda _: block, text)


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
