"""Frozen dataclasses as Python's, defined in a third of the time.

For each frozen class Python compiles the text of six functions, which takes up to a
millisecond, and a start defines thirty. Here all classes share those that compare, hash, show and
refuse, and ``__init__`` alone is compiled. Whatever else :mod:`dataclasses` has (``field``,
``fields``, ``replace``, ``asdict``, ``__post_init__``) is Python's.
"""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

T = TypeVar("T")


def _set(self: Any, name: str, value: object) -> None:
    """Let ``__init__`` set each field, once, and nobody else anything."""
    if name in self.__dict__ or name not in self.__dataclass_fields__:
        raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
    self.__dict__[name] = value


def _delete(self: object, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _equal(self: object, other: object) -> bool:
    return _compared(self) == _compared(other) if type(self) is type(other) else NotImplemented


def _compared(record: Any) -> tuple[Any, ...]:
    return tuple(getattr(record, f.name) for f in dataclasses.fields(record) if f.compare)


def _hash(self: Any) -> int:
    hashed = (f for f in dataclasses.fields(self) if (f.compare if f.hash is None else f.hash))
    return hash(tuple(getattr(self, f.name) for f in hashed))


@reprlib.recursive_repr()
def _show(self: Any) -> str:
    shown = (f"{f.name}={getattr(self, f.name)!r}" for f in dataclasses.fields(self) if f.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(
        *, frozen: bool, eq: bool = True, repr: bool = True
    ) -> Callable[[type[T]], type[T]]:
        """As :func:`dataclasses.dataclass`, for frozen classes alone."""
        assert frozen
        shared: dict[str, Any] = {"__setattr__": _set, "__delattr__": _delete}
        shared |= {"__eq__": _equal, "__hash__": _hash} if eq else {}
        shared |= {"__repr__": _show} if repr else {}

        def made(cls: type[T]) -> type[T]:
            own = set(vars(cls))
            dataclasses.dataclass(eq=False, repr=False)(cls)
            for name in shared.keys() - own:
                setattr(cls, name, shared[name])
            return cls

        return made
