"""Our frozen dataclasses against Python's own, of the same class."""

from __future__ import annotations

import copy
import dataclasses
import functools
import pickle
from dataclasses import field
from typing import Any

import pytest

from qpmask.common import frozen
from qpmask.options import RenderOptions


def made(dataclass: Any, **how: bool) -> Any:
    """A class of all that records of ours have."""

    class Slide:
        name: str
        size: tuple[int, int] = (1, 2)
        tags: dict[str, str] = field(default_factory=dict, hash=False)
        source: object = field(default=None, compare=False, repr=False)

        def __post_init__(self) -> None:
            if not self.name:
                raise ValueError("no name")
            object.__setattr__(self, "name", self.name.strip())

        @functools.cached_property
        def letters(self) -> int:
            return len(self.name)

    return dataclass(frozen=True, **how)(Slide)


PYTHONS, OURS = made(dataclasses.dataclass), made(frozen.dataclass)


def test_records_are_shown_compared_and_hashed_as_pythons() -> None:
    for cls in (PYTHONS, OURS):
        one = cls(" a ", tags={"x": "y"}, source=1)
        assert one == cls("a", (1, 2), {"x": "y"}, source=2)
        assert one != cls("a", (1, 3), {"x": "y"})
        assert one != cls("a", (1, 2), {})
        assert one != ("a", (1, 2), {"x": "y"})
        assert one.letters == one.letters == 1
    ours, pythons = OURS("a", tags={"x": "y"}), PYTHONS("a", tags={"x": "y"})
    assert ours != pythons
    assert hash(ours) == hash(pythons)
    assert repr(ours) == repr(pythons)
    assert dataclasses.asdict(ours) == dataclasses.asdict(pythons)
    assert dataclasses.replace(ours, name="b") == OURS("b", tags={"x": "y"})


@pytest.mark.parametrize("cls", [PYTHONS, OURS])
def test_nobody_changes_a_record(cls: Any) -> None:
    record = cls("a")
    for name in ("name", "tags", "nothing_of_it"):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(record, name, 1)
        with pytest.raises(dataclasses.FrozenInstanceError):
            delattr(record, name)
    assert record == cls("a")
    with pytest.raises(ValueError, match="no name"):
        cls("")
    with pytest.raises(TypeError):
        cls()


def test_records_without_eq_are_compared_by_identity() -> None:
    for dataclass in (dataclasses.dataclass, frozen.dataclass):
        cls = made(dataclass, eq=False, repr=False)
        one = cls("a")
        assert one == one != cls("a")
        assert len({one, cls("a")}) == 2
        assert repr(one).startswith("<")


def test_a_record_has_its_own_functions_and_those_of_its_base() -> None:
    @frozen.dataclass(frozen=True)
    class Base:
        x: int

        def __repr__(self) -> str:
            return "base"

    @frozen.dataclass(frozen=True)
    class Derived(Base):
        y: int = 2

    assert repr(Base(1)) == "base"
    assert repr(Derived(1)).endswith("Derived(x=1, y=2)")
    assert Base(1) != Derived(1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Derived(1).x = 3  # type: ignore[misc]


def test_records_are_copied_and_pickled() -> None:
    options = RenderOptions(tile_px=256)
    assert pickle.loads(pickle.dumps(options)) == copy.deepcopy(options) == options
