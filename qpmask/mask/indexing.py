"""What an index expression such as ``mask[100:200, ::-2]`` selects, by NumPy's rules.

Basic indexing only: integers, slices, ``...`` and ``None``. An expression goes in; the pixels it
selects along each axis, as ranges, and the shape of the result come out. No pixel is touched.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import numpy as np

from qpmask.errors import OptionsError, OutsideMaskError

_AXES = ("slice", "row", "column")  # of a volume; of a plane the last two


@dataclass(frozen=True)
class Selection:
    """What an index expression selects.

    Parameters
    ----------
    ranges : tuple of range
        The pixels along each axis, none of them negative; a range may run backwards.
    shape : tuple of int
        Shape of the result. Axes picked by an integer are gone, those of ``None`` are added.
    is_scalar : bool
        Whether NumPy gives a scalar rather than an array.
    """

    ranges: tuple[range, ...]
    shape: tuple[int, ...]
    is_scalar: bool


def select(key: Any, shape: tuple[int, ...]) -> Selection:
    """Understand an index expression.

    Parameters
    ----------
    key : object
        What stands between the brackets.
    shape : tuple of int
        Of the array that is indexed: (rows, columns) or (slices, rows, columns).

    Raises
    ------
    OutsideMaskError
        If an integer lies outside, or there are more indices than axes. Slices are cropped instead,
        as NumPy does.
    OptionsError
        If it is no basic index.
    """
    keys = key if isinstance(key, tuple) else (key,)
    if sum(part is Ellipsis for part in keys) > 1:
        raise OutsideMaskError("An index can have one '...' only.")
    n_given = sum(part is not None and part is not Ellipsis for part in keys)
    names = _AXES[-len(shape) :]
    if n_given > len(shape):
        axes = ", ".join(f"{name}s" for name in names)
        count = "two" if len(shape) == 2 else "three"
        raise OutsideMaskError(f"A mask has {count} axes ({axes}), the index {n_given}.")
    whole = [slice(None)] * (len(shape) - n_given)
    has_ellipsis = any(part is Ellipsis for part in keys)
    at = next((i for i, part in enumerate(keys) if part is Ellipsis), len(keys))
    ranges: list[range] = []
    out_shape: list[int] = []
    for part in (*keys[:at], *whole, *keys[at + 1 :]):
        if part is None:
            out_shape.append(1)
            continue
        axis = len(ranges)
        if isinstance(part, slice):
            picked = _slice(part, names[axis], shape[axis])
            out_shape.append(len(picked))
        else:
            picked = _integer(part, names[axis], shape[axis])
        ranges.append(picked)
    is_scalar = not out_shape and not has_ellipsis
    return Selection(tuple(ranges), tuple(out_shape), is_scalar)


def _slice(part: slice, axis: str, length: int) -> range:
    try:
        return range(*part.indices(length))
    except (TypeError, ValueError) as error:
        raise OptionsError(f"The slice of {axis}s cannot be used: {error}.") from error


def _integer(part: Any, axis: str, length: int) -> range:
    try:
        if isinstance(part, bool | np.bool_) or np.ndim(part):
            raise TypeError
        index = operator.index(part)
    except (TypeError, ValueError) as error:
        raise OptionsError(
            f"A mask cannot be indexed by a {type(part).__name__}.",
            hint="Use integers and slices, and index the array that they give for anything else.",
        ) from error
    if not -length <= index < length:
        raise OutsideMaskError(
            f"The {axis} {index} lies outside the mask, which has {length:,} {axis}s."
        )
    return range(index % length, index % length + 1)
