"""``qpmask.toml`` in the working folder: the options of the command line, for good."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import Any

import click

from qpmask.errors import OptionsError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CONFIG_FILE = "qpmask.toml"


def load_config(command: click.Command, folder: Path | None = None) -> dict[str, Any]:
    """Defaults for a command from ``qpmask.toml``, by parameter name.

    Keys are the long options without the dashes in front (``tile-size`` or ``tile_size``), at the
    top of the file or in a table ``[export]``.

    Raises
    ------
    OptionsError
        The file cannot be read, or holds a key that is no option.
    """
    path = (folder or Path.cwd()) / CONFIG_FILE
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise OptionsError(f"{path} cannot be read: {error}.") from error
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise OptionsError(f"{path} is not valid TOML: {error}.") from error
    table = data.pop("export", {})
    if not isinstance(table, dict):
        raise OptionsError(f"{path}: 'export' must be a table, written [export].")
    names = _option_names(command)
    values: dict[str, Any] = {}
    for key, value in {**data, **table}.items():
        name = names.get(key.replace("_", "-"))
        if name is None:
            near = difflib.get_close_matches(key.replace("_", "-"), names, n=1)
            raise OptionsError(
                f"{path}: there is no option {key!r}.",
                hint=f"Did you mean {near[0]!r}?" if near else "See 'qpmask export --help'.",
            )
        values[name] = value
    return values


def _option_names(command: click.Command) -> dict[str, str]:
    """Long option name without dashes -> parameter name."""
    names = {}
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.name is not None:
            for option in (*parameter.opts, *parameter.secondary_opts):
                if option.startswith("--") and not option.startswith("--no-"):
                    names[option[2:]] = parameter.name
    return names
