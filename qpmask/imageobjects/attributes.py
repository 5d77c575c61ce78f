"""What objects carry beside a shape: classes, colours, measurements, ids."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qpmask.common.frozen import dataclass

ID_KEY: Final = "Object ID"
"""The key of an object's id in its metadata."""

_UUID_PARTS: Final = re.compile("-".join(["([0-9a-fA-F]+)"] * 5))


class ObjectClass(NamedTuple):
    """A classification.

    Attributes
    ----------
    name : str
        Full name in QuPath's form; the parts of a derived class as in ``Tumor: Positive``.
    color_argb : int or None
        Packed colour as Java's signed int, or None.
    """

    name: str
    color_argb: int | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Measurements:
    """Numbers that objects carry.

    Attributes
    ----------
    names : tuple of str
        What is measured.
    offsets : ndarray of int64, shape (n_objects + 1,)
        First measurement of each object.
    name : ndarray of int32, shape (n_measurements,)
        Number in ``names``.
    value : ndarray of float64, shape (n_measurements,)
        The number; may be NaN or infinite.
    """

    names: tuple[str, ...]
    offsets: NDArray[np.int64]
    name: NDArray[np.int32]
    value: NDArray[np.float64]

    def __repr__(self) -> str:
        return f"<Measurements: {len(self.value):,} of {len(self.names):,} names>"

    def of(self, index: int) -> dict[str, float]:
        """Those of an object, by name."""
        part = slice(*self.offsets[index : index + 2])
        names = [self.names[i] for i in self.name[part].tolist()]
        return dict(zip(names, self.value[part].tolist(), strict=True))


def no_measurements(n_objects: int) -> Measurements:
    """Of objects without any."""
    none = np.zeros(0, np.int32), np.zeros(0, np.float64)
    return Measurements((), np.zeros(n_objects + 1, np.int64), *none)


def stored_id(text: str) -> bytes:
    """Give an id as QuPath reads it: a UUID in lower case, or nothing.

    QuPath asks for a hyphen and 36 characters at most, then for Java's ``UUID.fromString``, which
    fills short parts with zeros.
    """
    match = _UUID_PARTS.fullmatch(text) if len(text) <= 36 else None
    if match is None or any(int(part, 16) >= 2**63 for part in match.groups()):
        return b""
    parts = [
        f"{int(part, 16):0{digits}x}"[-digits:]
        for part, digits in zip(match.groups(), (8, 4, 4, 4, 12), strict=True)
    ]
    return "-".join(parts).encode("ascii")
