"""``qpmask.toml`` in the working folder: the options of the command line, for good."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from qpmask.cli.paramtypes import UNCLASSIFIED
from qpmask.errors import OptionsError

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
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return {}  # as mostly: the libraries are imported where there is one
    except (OSError, UnicodeDecodeError) as error:
        raise OptionsError(f"{path} cannot be read: {error}.") from error
    import difflib

    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise OptionsError(f"{path} is not valid TOML: {error}.") from error
    table = data.pop("export", {})
    if not isinstance(table, dict):
        raise OptionsError(f"{path}: 'export' must be a table, written [export].")
    names = _options(command)
    values: dict[str, Any] = {}
    for key, value in {**data, **table}.items():
        name = names.get(key.replace("_", "-"))
        if name is None:
            near = difflib.get_close_matches(key.replace("_", "-"), names, n=1)
            raise OptionsError(
                f"{path}: there is no option {key!r}.",
                hint=f"Did you mean {near[0]!r}?" if near else "See 'qpmask export --help'.",
            )
        assert name.name is not None
        values[name.name] = _checked(name, value, f"{path}: {key}")
    return values


def say_what_the_file_gives(ctx: click.Context, values: Mapping[str, Any]) -> None:
    """Name the file on stderr, and the options that it decides; nothing where it decides none.

    ``values`` are the options as they count: what the command line overruled is None or False.
    """
    from rich.text import Text

    from qpmask.cli.console import error_console

    from_file = click.core.ParameterSource.DEFAULT_MAP
    names = [
        max(parameter.opts, key=len).removeprefix("--")
        for parameter in ctx.command.params
        if parameter.name is not None
        and ctx.get_parameter_source(parameter.name) is from_file
        and values.get(parameter.name, True) is not None
    ]
    if names:
        text = f"Options from {Path.cwd() / CONFIG_FILE}: {', '.join(names)}"
        error_console().print(Text(text), soft_wrap=True)


def _checked(option: click.Option, value: Any, where: str) -> Any:
    """A value of the right type; the command line would take any text for a number."""
    if option.multiple:
        value = value if isinstance(value, list) else [value]
        return [_checked_one(option, v, where) for v in value]
    return _checked_one(option, value, where)


def _checked_one(option: click.Option, value: Any, where: str) -> Any:
    kind: tuple[type, ...] = (str,)
    words = "text"
    if option.is_flag:
        kind, words = (bool,), "true or false"
    elif option.count or option.type is click.INT:
        kind, words = (int,), "a whole number"
    elif option.type is click.FLOAT:
        kind, words = (int, float), "a number"
    elif option.type is UNCLASSIFIED:
        kind, words = (str, int), "'ignore', 'error' or a label"
    if not isinstance(value, kind) or (isinstance(value, bool) and not option.is_flag):
        raise OptionsError(f"{where} is {value!r}; it must be {words}.")
    if isinstance(option.type, click.Choice) and value not in option.type.choices:
        raise OptionsError(f"{where} is {value!r}; it is one of {', '.join(option.type.choices)}.")
    return value


def _options(command: click.Command) -> dict[str, click.Option]:
    """Options by their long name without dashes."""
    names: dict[str, click.Option] = {}
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.name is not None:
            for option in (*parameter.opts, *parameter.secondary_opts):
                if option.startswith("--") and not option.startswith("--no-"):
                    names[option[2:]] = parameter
    return names
