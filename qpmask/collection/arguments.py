"""What a caller gave to a collection, checked: shape, size of a pixel, names, colour."""

from __future__ import annotations

import functools
import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from qpmask.collection.records import About, MaskRow
from qpmask.common.arguments import number, whole_number
from qpmask.errors import OptionsError, WrongTypeError
from qpmask.ometiff.omexml import Color
from qpmask.options import MAX_LABEL


def shape_of(shape: Sequence[int]) -> tuple[int, ...]:
    """The shape of all masks."""
    try:
        lengths = tuple(whole_number(n, "A length of shape") for n in shape)
    except TypeError as error:
        raise WrongTypeError(f"shape is {shape!r}; it must be two or three numbers.") from error
    if len(lengths) not in (2, 3) or min(lengths) < 1 or max(lengths) > 2**31:
        raise OptionsError(f"shape is {lengths}; it must be two or three lengths of at least 1.")
    return lengths


def spacing_of(
    shape: Sequence[int],
    mpp: float | tuple[float, float] | None,
    spacing: Sequence[float] | None,
) -> tuple[tuple[float, ...] | None, str]:
    """Length of a pixel along each axis, and its unit."""
    lengths: tuple[float, ...]
    if mpp is not None and spacing is not None:
        raise OptionsError("Give mpp or spacing, not both.")
    if mpp is not None:
        if len(shape) != 2:
            raise OptionsError("mpp is of planes.", hint="Give the spacing of a volume in mm.")
        x_um, y_um = mpp if isinstance(mpp, tuple | list) else (mpp, mpp)
        lengths, unit = (number(y_um, "mpp"), number(x_um, "mpp")), "micrometer"
    elif spacing is not None:
        lengths, unit = tuple(number(n, "spacing") for n in spacing), "millimeter"
    else:
        return None, "micrometer"
    if len(lengths) != len(shape) or not all(0 < n < math.inf for n in lengths):
        raise OptionsError(f"The size of a pixel is {lengths}; it must be positive numbers.")
    return lengths, unit


OddNames = Literal["error", "keep"]


def check_name(
    name: str, others: Iterable[str], where: Path, odd: OddNames, what: str = "mask"
) -> None:
    """Whether a mask, or a group of masks, may have a name.

    Parameters
    ----------
    name : str
        Its name.
    others : iterable of str
        Names that there are.
    where : Path
        The collection, for messages.
    odd : {"error", "keep"}
        Whether any name will do.
    what : str
        "mask" or "group".

    Raises
    ------
    OptionsError
        `odd` is "error", and it holds a slash or differs from another in case alone: other programs
        find a mask in a folder of its name, and such names are not told apart there.
    """
    if odd == "keep":
        return
    hint = "Give it another name, or keep it by odd_names='keep' (--odd-names keep)."
    if "/" in name or "\\" in name:
        raise OptionsError(
            f"The {what} {name!r} of {where} has a slash in its name, which other programs take "
            "for a folder.",
            hint=hint,
        )
    folded = folded_name(name)
    for other in others:
        if other != name and folded_name(other) == folded:
            raise OptionsError(
                f"The {what} {name!r} of {where} differs in case alone from {other!r}.",
                hint=hint,
            )


def group_name(group: Any, name: str) -> str | None:
    """The name of the group of a mask; None of a mask that has none."""
    if group is not None and (not isinstance(group, str) or not group):
        raise WrongTypeError(f"The group of the mask {name!r} is {group!r}; it must be text.")
    return group


@functools.lru_cache(maxsize=1 << 16)
def folded_name(name: str) -> str:
    """What two names have in common that some file systems take for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def label_of(label: int | None, name: str, rows: Sequence[MaskRow], where: Path) -> int:
    """The label of a mask that is added.

    Where none is given, it is that of the mask of this name that it replaces, or the next one.

    Parameters
    ----------
    label : int or None
        As it was given.
    name : str
        Of the mask.
    rows : sequence of MaskRow
        All masks that there are.
    where : Path
        The collection, for messages.

    Raises
    ------
    OptionsError
        No mask may have it, or another one has it.
    """
    others = {row.label for row in rows if row.name != name}
    if label is None:
        own = [row.label for row in rows if row.name == name]
        label = own[0] if own else max(others, default=0) + 1
    label = whole_number(label, "label")
    if not 1 <= label <= MAX_LABEL:
        raise OptionsError(f"The label of {name!r} is {label}; it must be 1 to {MAX_LABEL:,}.")
    if label in others:
        raise OptionsError(f"Another mask of {where} has the label {label}.")
    return label


def color_of(color: Any) -> Color | None:
    """A colour."""
    if color is None:
        return None
    parts = tuple(whole_number(n, "A part of a colour") for n in color)
    if len(parts) != 3 or any(not 0 <= n <= 255 for n in parts):
        raise OptionsError(f"The colour is {parts}; it must be three numbers from 0 to 255.")
    return parts


def about_json(about: About) -> dict[str, Any]:
    """What a collection is, as JSON."""
    return {
        "shape": about.shape, "spacing": about.spacing, "unit": about.unit, "name": about.name,
        "extra": dict(about.extra),
    }  # fmt: skip


def about_from(data: Mapping[str, Any]) -> About:
    """What a collection is, from :func:`about_json`."""
    spacing = None if data["spacing"] is None else tuple(data["spacing"])
    return About(tuple(data["shape"]), spacing, data["unit"], data["name"], data["extra"])
