"""The error tree: what its docstring draws is what there is."""

from __future__ import annotations

import builtins
import copy
import inspect
import pickle
import re

import pytest

from qpmask import errors
from qpmask.errors import QpmaskError

CLASSES = {
    name: cls
    for name, cls in vars(errors).items()
    if inspect.isclass(cls) and issubclass(cls, QpmaskError)
}
everyone = pytest.mark.parametrize("cls", CLASSES.values(), ids=CLASSES)


def drawn_tree() -> dict[str, list[str]]:
    """Class name -> names of its bases, as the docstring draws them."""
    assert errors.__doc__ is not None
    tree: dict[str, list[str]] = {}
    above: list[str] = []
    for line in errors.__doc__.splitlines():
        found = re.match(r"    ((?:│   |    )*(?:[├└]── )?)([A-Z]\w+)(?: \((\w+)\))?", line)
        if found is None:
            continue
        depth = len(found[1]) // 4
        del above[depth:]
        parents = above[-1:] or ["Exception"]
        tree[found[2]] = parents + ([found[3]] if found[3] else [])
        above.append(found[2])
    return tree


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    assert drawn_tree() == {
        name: [base.__name__ for base in cls.__bases__] for name, cls in CLASSES.items()
    }


@everyone
def test_every_error_can_be_caught_as_a_builtin(cls: type[QpmaskError]) -> None:
    if cls in (QpmaskError, errors.Interrupted):
        # An interruption is no failure of any kind that Python knows.
        return
    assert [
        base
        for base in cls.__mro__
        if vars(builtins).get(base.__name__) is base
        and base not in (Exception, BaseException, object)
    ]


@everyone
@pytest.mark.parametrize("hint", [None, "Do this."])
@pytest.mark.parametrize("how", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy])
def test_errors_survive_the_way_between_processes(
    cls: type[QpmaskError], hint: str | None, how: object
) -> None:
    assert callable(how)
    again = how(cls("It broke.", hint=hint))
    assert type(again) is cls
    assert (again.message, again.hint) == ("It broke.", hint)
    assert str(again) == ("It broke. Do this." if hint else "It broke.")


def test_what_is_wrong_with_a_tile_survives_it_too() -> None:
    error = errors.TileError("Tile 3 cannot be used: it is missing.", what="it is missing")
    assert pickle.loads(pickle.dumps(error)).what == "it is missing"


def test_file_errors_speak_for_themselves() -> None:
    """OSError has its own ideas about arguments and text."""
    error = errors.ProjectNotFoundError("There is no file x.", hint="Look elsewhere.")
    assert str(error) == "There is no file x. Look elsewhere."
    assert (error.errno, error.filename) == (None, None)
