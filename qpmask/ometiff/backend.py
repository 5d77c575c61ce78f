"""Which functions work on the pixels of strips: compiled ones where there is Numba."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from qpmask.jit import KernelsUnavailableError
from qpmask.ometiff.runs import RunStrip


class Backend(Protocol):
    """The functions of :mod:`qpmask.ometiff.plain`, where they are described."""

    runs_of: Callable[..., RunStrip]
    paint: Callable[..., None]
    count: Callable[..., None]
    halve: Callable[..., RunStrip]
    assemble: Callable[..., RunStrip]
    compare: Callable[..., None]
    encode_lzw: Callable[..., tuple[NDArray[np.uint8], NDArray[np.int64]]]
    decode_lzw_runs: Callable[..., RunStrip]
    decode_lzw: Callable[..., None]
    crop: Callable[..., None]


@functools.cache
def is_compiled() -> bool:
    """Whether there are compiled functions, so that LZW and all else is fast.

    They are compiled or loaded by the first call; there are none where Numba is not installed or
    does not work with this Python or NumPy.
    """
    if sys.byteorder != "little":
        return False
    from qpmask.ometiff.kernels.library import LIBRARY

    try:
        LIBRARY.load()
    except KernelsUnavailableError:
        return False
    return True


def must_compile() -> bool:
    """Whether the first use compiles them, which takes some seconds."""
    from qpmask.ometiff.kernels.library import LIBRARY

    return LIBRARY.must_compile


def best_backend() -> Backend:
    """The compiled functions, or the plain ones where there are none."""
    name = "kernels" if is_compiled() else "plain"
    return cast(Backend, importlib.import_module(f"qpmask.ometiff.{name}"))


def as_words(pixels: NDArray[Any]) -> NDArray[np.uint64]:
    """The same bytes as 64-bit numbers, as ``runs_of`` takes them."""
    return pixels.view(np.uint64)
