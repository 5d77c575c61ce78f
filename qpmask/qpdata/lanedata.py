"""What lanes read: the data as numbers, and the classes of its objects as tables.

See :mod:`qpmask.qpdata.lanes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from qpmask.qpdata.gather import rows_at
from qpmask.qpdata.javacodes import (
    FIRST_HANDLE,
    FLAG_BLOCK_DATA,
    FLAG_EXTERNALIZABLE,
    FLAG_WRITE_METHOD,
    ITEM_SIZES,
)
from qpmask.qpdata.javavalues import ClassDesc

#: No token has more bytes before its text or its items: lanes end so far before the data does.
MARGIN: Final = 16

#: What is left to read of a class's contents: values until their end.
UNTIL_END: Final = -1
#: The steps that belong to no class: the items of an array, and the end of them.
ITEMS: Final = 0

Ints = npt.NDArray[np.int64]


class ClassForms:
    """The classes of a stream as tables, by number.

    The number of a class that is not known is that of the last row of each table, which says
    that nothing can be read. What follows the head of an object is a list of steps: pass over so
    many bytes, then read so many values or all until their end; the last step reads nothing.

    Parameters
    ----------
    classes : mapping of int to ClassDesc
        The classes by their handles.
    """

    def __init__(self, classes: Mapping[int, ClassDesc]) -> None:
        handles = sorted(classes)
        self.descs = [classes[handle] for handle in handles]
        self._handles = np.array([*(FIRST_HANDLE + handle for handle in handles), 2**40], np.int64)
        skips, values = [0, 0], [0, 0]
        first_step = []
        item_size = []
        for desc in self.descs:
            steps = _steps_of(desc)
            first_step.append(len(skips) if steps else -1)
            skips += [skip for skip, _ in steps]
            values += [n_values for _, n_values in steps]
            is_array = desc.name.startswith("[")
            item_size.append(ITEM_SIZES.get(desc.name[1:2], 0) if is_array else -1)
        self.step_skip = np.array(skips, np.int64)
        self.step_values = np.array(values, np.int64)
        #: First step of an object, -1 if it cannot be read.
        self.first_step = np.array([*first_step, -1], np.int64)
        #: Bytes of an item of an array, 0 for objects, -1 if it is no array.
        self.item_size = np.array([*item_size, -1], np.int64)

    def numbers(self, references: Ints) -> Ints:
        """Give the numbers of the classes that are referred to."""
        numbers = np.searchsorted(self._handles, references)
        numbers[self._handles[numbers] != references] = len(self.descs)
        return numbers


def _steps_of(desc: ClassDesc) -> list[tuple[int, int]]:
    if desc.flags & FLAG_EXTERNALIZABLE:
        return [(0, UNTIL_END), (0, 0)] if desc.flags & FLAG_BLOCK_DATA else []
    steps = []
    skip = 0
    for level in desc.levels:
        skip += level.primitives.size
        if level.object_fields:
            steps.append((skip, len(level.object_fields)))
            skip = 0
        if level.flags & FLAG_WRITE_METHOD:
            steps.append((skip, UNTIL_END))
            skip = 0
    return [*steps, (skip, 0)]


class LaneData:
    """The bytes that lanes read, as numbers that begin at any of them.

    Parameters
    ----------
    data : bytes
        All of it; more than ``MARGIN`` bytes.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.u1 = np.frombuffer(data, np.uint8)
        self.u2 = np.ndarray((len(data) - 1,), ">u2", data, 0, (1,))
        self.i4 = np.ndarray((len(data) - 3,), ">i4", data, 0, (1,))
        #: Where lanes end at the latest.
        self.end = len(data) - MARGIN

    def i4_at(self, places: Ints) -> Ints:
        """Give the 32-bit numbers at places."""
        numbers: Ints = self.i4[places].astype(np.int64)
        return numbers

    def taken(self, places: Ints, n_bytes: int) -> npt.NDArray[np.uint8]:
        """Give ``n_bytes`` bytes from each place on, shape (n, n_bytes)."""
        rows = rows_at(self.data, n_bytes)[places]
        found: npt.NDArray[np.uint8] = rows.view(np.uint8).reshape(-1, n_bytes)
        return found
