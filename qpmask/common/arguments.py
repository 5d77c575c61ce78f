"""What a caller gave, checked: the value as the type that is wanted, or an error that names it."""

from __future__ import annotations

import functools
import inspect
import operator
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from types import UnionType
from typing import Any, ParamSpec, TypeVar

from qpmask.errors import OptionsError, WrongTypeError

P = ParamSpec("P")
T = TypeVar("T")


def path_of(value: object, name: str) -> Path:
    """A path from text or a path-like object.

    Raises
    ------
    WrongTypeError
        It is neither.
    OptionsError
        It is empty, which would mean the working folder.
    """
    if not isinstance(value, str | os.PathLike) or isinstance(os.fspath(value), bytes):
        raise WrongTypeError(f"{name} is {shown(value)}; it must be a path.")
    if not os.fspath(value):
        raise OptionsError(f"{name} is empty; it must be a path.")
    return Path(value)


def paths_of(value: object, name: str) -> list[Path]:
    """Paths from one path or from several; see :func:`path_of`."""
    if isinstance(value, str | os.PathLike):
        return [path_of(value, name)]
    check_kind(value, Iterable, name, "a path or a sequence of paths")
    assert isinstance(value, Iterable)
    return [path_of(one, f"{name}[{i}]") for i, one in enumerate(value)]


def whole_number(value: Any, name: str) -> int:
    """A whole number, NumPy's included; True and False are none.

    Raises
    ------
    WrongTypeError
        It is something else.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise WrongTypeError(f"{name} is {shown(value)}; it must be a whole number.") from None


def number(value: Any, name: str) -> float:
    """A number, NumPy's included; text, True and False are none.

    Raises
    ------
    WrongTypeError
        It is something else.
    """
    try:
        if isinstance(value, str | bytes | bool):
            raise TypeError
        return float(value)
    except (TypeError, ValueError):
        raise WrongTypeError(f"{name} is {shown(value)}; it must be a number.") from None


def flag(value: object, name: str) -> bool:
    """True or False, NumPy's included.

    Raises
    ------
    WrongTypeError
        It is something else, such as "no", which Python takes for true.
    """
    if isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"):
        return bool(value)
    raise WrongTypeError(f"{name} is {shown(value)}; it must be True or False.")


def named(function: Callable[P, T]) -> Callable[P, T]:
    """A function that names an argument that it does not have, and the nearest that it has.

    Python's own TypeError would do the first; types and signature stay as they are.
    """
    known = [
        name for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]  # fmt: skip

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        for name in kwargs:
            if name not in known:
                import difflib

                near = difflib.get_close_matches(name, known, n=1)
                raise WrongTypeError(
                    f"{function.__name__} has no argument {name!r}.",
                    hint=f"Did you mean {near[0]!r}?" if near else f"It has {', '.join(known)}.",
                )
        return function(*args, **kwargs)

    return checked


def check_kind(value: object, kinds: type[Any] | UnionType, name: str, what: str) -> None:
    """Raise :class:`WrongTypeError` unless a value is of one of these kinds.

    Parameters
    ----------
    what : str
        The kinds, for people: "it must be `what`".
    """
    if not isinstance(value, kinds):
        raise WrongTypeError(f"{name} is {shown(value)}; it must be {what}.")


def check_callable(value: object, name: str, what: str) -> None:
    """Raise :class:`WrongTypeError` unless a value is None or can be called."""
    if value is not None and not callable(value):
        raise WrongTypeError(f"{name} is {shown(value)}; it must be {what}.")


def check_fields(
    record: Any, *, numbers: tuple[str, ...] = (), whole: tuple[str, ...] = ()
) -> None:
    """Check the fields of a frozen dataclass by the types of their defaults.

    Parameters
    ----------
    record : dataclass
        A new record, in its ``__post_init__``.
    numbers, whole : tuple of str
        Fields that hold numbers or whole numbers, and None by default.

    Raises
    ------
    WrongTypeError
        A field holds something else.
    """
    for field in fields(record):
        value, default = getattr(record, field.name), field.default
        if value is None and default is None:
            continue
        if isinstance(default, bool):
            value = flag(value, field.name)
        elif isinstance(default, int) or field.name in whole:
            value = whole_number(value, field.name)
        elif isinstance(default, float) or field.name in numbers:
            as_float = number(value, field.name)
            value = value if isinstance(value, int | float) else as_float
        elif isinstance(default, str):
            check_kind(value, str, field.name, "text")
        object.__setattr__(record, field.name, value)


def shown(value: object) -> str:
    """A value as a message shows it: not much of it, with its type where that is not plain."""
    text = repr(value)
    if len(text) > 60:
        text = f"{text[:57]}..."
    if value is None or isinstance(value, str | int | float | Mapping | list | tuple):
        return text
    return f"{text} ({type(value).__name__})"
