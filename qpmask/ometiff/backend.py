"""Which functions work on the pixels of strips: compiled ones where there is Numba."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
import threading
from collections.abc import Callable
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from qpmask.ometiff.runs import RunStrip

_loading = threading.Lock()


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


def is_compiled() -> bool:
    """Whether Numba is there, so that LZW and all else is fast."""
    return importlib.util.find_spec("numba") is not None and sys.byteorder == "little"


@functools.cache
def _load(compiled: bool) -> Backend:
    name = "kernels" if compiled else "plain"
    return cast(Backend, importlib.import_module(f"qpmask.ometiff.{name}"))


def backend_for(dtype: np.dtype[Any]) -> Backend:
    """Functions for pixels of this type."""
    with _loading:
        if dtype.itemsize <= 2 and is_compiled():
            try:
                return _load(True)
            except ImportError:  # Numba is there and does not work with this Python or NumPy
                pass
        return _load(False)


def as_words(pixels: NDArray[Any]) -> NDArray[np.uint64]:
    """The same bytes as 64-bit numbers, as ``runs_of`` takes them."""
    return pixels.view(np.uint64)
