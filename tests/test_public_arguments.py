"""Arguments that public calls do not have are named, with the nearest that they have."""

from __future__ import annotations

import inspect

import pytest

import qpmask
from qpmask.errors import WrongTypeError
from qpmask.patches import Patches


@pytest.mark.parametrize(
    ("name", "wrong", "right"),
    [
        ("export_options", "downsampel", "downsample"),
        ("patch_options", "patchsize", "patch_size"),
        ("export_masks", "option", "options"),
        ("plan_export", "clases", "classes"),
        ("compare_masks", "bye", "by"),
        ("save_picture", "opacty", "opacity"),
    ],
)
def test_an_argument_that_is_misspelt(name: str, wrong: str, right: str) -> None:
    function = getattr(qpmask, name)
    with pytest.raises(WrongTypeError, match=f"{name} has no argument '{wrong}'.*'{right}'"):
        function(**{wrong: 1})
    assert right in inspect.signature(function).parameters


def test_one_that_is_like_none() -> None:
    with pytest.raises(WrongTypeError, match="It has objects"):
        qpmask.export_options(zzz=1)  # type: ignore[call-arg]


def test_a_patch_that_is_no_number() -> None:
    class Some(Patches):
        def __init__(self) -> None:
            pass

    with pytest.raises(WrongTypeError, match="index is 'a'"):
        Some().read("a")  # type: ignore[arg-type]
