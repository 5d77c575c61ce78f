"""From a class descriptor to the numbers that tell the parser how to read an object of the class.

What was found out serves for the files that are read later as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from qpmask.javastream.codes import (
    NUMBER_BYTES,
    SC_BLOCK_DATA,
    SC_EXTERNALIZABLE,
    SC_WRITE_METHOD,
)
from qpmask.javastream.descriptors import MAX_SUPER_CLASSES, ClassDesc, DescriptorError
from qpmask.javastream.reading import OTHER
from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.qupathclasses import Form, form_of

_ITEM_KINDS: Final = {"F": k.FLOATS_AT, "D": k.DOUBLES_AT, "B": k.BYTES_AT}


@dataclass(frozen=True, eq=False)
class KnownClasses:
    """Classes that were described, as the parser takes them (:class:`~.kernel.library.Stream`)."""

    classes: npt.NDArray[np.int64]
    steps: npt.NDArray[np.int64]
    levels: tuple[tuple[ClassDesc, ...], ...] = ()  # of each class: those above it first, then it
    rows: dict[tuple[ClassDesc, int], int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.levels)

    def with_class(self, desc: ClassDesc, parent: int) -> KnownClasses:
        """Add a class, by the row of the one above it (-1: none).

        Raises
        ------
        DescriptorError
            There are too many above it.
        """
        levels = (*(self.levels[parent] if parent >= 0 else ()), desc)
        if len(levels) > MAX_SUPER_CLASSES:
            raise DescriptorError("a class has too many super classes")
        chain = tuple(level.name for level in reversed(levels))
        form = form_of(chain, bool(desc.flags & SC_EXTERNALIZABLE))
        places, steps = _steps_of(levels, form)
        if -1 in places and form.form not in (k.A_ROI, k.A_UUID):
            form = Form()  # another class, of a name like that
            places, steps = _steps_of(levels, form)
        row = np.full((1, k.N_CLASS_COLUMNS), -1, np.int64)
        row[0, [k.FORM, k.KIND, k.FLAGS]] = form.form, form.kind, form.flags
        row[0, k.PLACES : k.PLACES + len(places)] = places
        if steps:
            row[0, k.FIRST_STEP] = len(self.steps)
        if desc.name.startswith("["):
            item = desc.name[1:2]
            row[0, k.ITEM_BYTES] = NUMBER_BYTES.get(item, 0)
            row[0, k.ITEM_KIND] = _ITEM_KINDS.get(item, OTHER)
        return KnownClasses(
            np.concatenate([self.classes, row]),
            np.concatenate([self.steps, np.array(steps, np.int64).reshape(-1, 2)]),
            (*self.levels, levels),
            {**self.rows, (desc, parent): len(self)},
        )


NO_CLASSES: Final = KnownClasses(
    np.zeros((0, k.N_CLASS_COLUMNS), np.int64),
    np.array([[0, k.ITEM], [0, k.CONTENTS]], np.int64),
)


def _steps_of(levels: tuple[ClassDesc, ...], form: Form) -> tuple[list[int], list[tuple[int, int]]]:
    """Where the numbers of an object are behind its head, and what to do with the rest.

    Returns
    -------
    places : list of int
        Of ``form.numbers``, -1 of one that is not among those before the first object.
    steps : list of (int, int)
        See :class:`~.kernel.library.Stream`; none if the object cannot be read.
    """
    flags = levels[-1].flags
    if flags & SC_EXTERNALIZABLE:
        steps = [(0, k.CONTENTS), (0, k.FINISHED)] if flags & SC_BLOCK_DATA else []
        return [-1] * len(form.numbers), steps
    places: dict[str, int] = {}
    steps = []
    n_bytes = 0
    for level in levels:
        for code, name in ((f[0], f[1:]) for f in level.fields):
            if code in NUMBER_BYTES:
                if not steps:
                    places[code + name] = n_bytes
                n_bytes += NUMBER_BYTES[code]
            else:
                steps.append((n_bytes, form.roles.get(name, k.SKIP)))
                n_bytes = 0
        if level.flags & SC_WRITE_METHOD:
            steps.append((n_bytes, k.CONTENTS))
            n_bytes = 0
    return [places.get(number, -1) for number in form.numbers], [*steps, (n_bytes, k.FINISHED)]
