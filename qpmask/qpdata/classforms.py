"""From a class descriptor to the numbers that tell the parser how to read an object of the class.

A file describes some thirty classes, and millions of objects: the parser asks for a class when it
is met first, and what was found out serves for the files that are read later as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.qupathclasses import Form, form_of

FLAG_WRITE_METHOD: Final = 1
FLAG_EXTERNALIZABLE: Final = 4
FLAG_BLOCK_DATA: Final = 8
ITEM_SIZES: Final = {"B": 1, "C": 2, "D": 8, "F": 4, "I": 4, "J": 8, "S": 2, "Z": 1}
_ITEM_KINDS: Final = {"F": k.FLOATS_AT, "D": k.DOUBLES_AT, "B": k.BYTES_AT}


class ClassDescError(ValueError):
    """A class descriptor makes no sense; private to this package."""


class ClassDesc(NamedTuple):
    """A class as the stream describes it.

    ``fields`` are a letter for the type and the name of each, ``parents`` its super classes,
    topmost first.
    """

    name: str
    flags: int
    fields: tuple[str, ...]
    parents: tuple[ClassDesc, ...]

    @property
    def levels(self) -> tuple[ClassDesc, ...]:
        """Its super classes and itself, topmost first."""
        return (*self.parents, self)


@dataclass(frozen=True, eq=False)
class KnownClasses:
    """Classes that were described, as the parser takes them (:class:`~.kernel.library.Stream`)."""

    classes: npt.NDArray[np.int64]
    keys: npt.NDArray[np.uint8]
    steps: npt.NDArray[np.int64]
    descs: tuple[ClassDesc, ...] = ()

    def __len__(self) -> int:
        return len(self.descs)

    def with_class(self, key: bytes, parent: int) -> KnownClasses:
        """Add a class by its descriptor, as in ``keys``, and the number of its super class.

        Raises
        ------
        ClassDescError
            The descriptor makes no sense.
        """
        desc = read_desc(key, self.descs[parent].levels if parent >= 0 else ())
        chain = tuple(level.name for level in reversed(desc.levels))
        form = form_of(chain, bool(desc.flags & FLAG_EXTERNALIZABLE))
        places, steps = _steps_of(desc, form)
        if -1 in places and form.form not in (k.A_ROI, k.A_UUID):
            form = Form()  # another class, of a name like that
            places, steps = _steps_of(desc, form)
        row = np.full((1, k.N_CLASS_COLUMNS), -1, np.int64)
        row[0, [k.KEY_AT, k.KEY_SIZE, k.PARENT]] = len(self.keys), len(key), parent
        row[0, [k.FORM, k.KIND, k.FLAGS]] = form.form, form.kind, form.flags
        row[0, k.PLACES : k.PLACES + len(places)] = places
        if steps:
            row[0, k.FIRST_STEP] = len(self.steps)
        if desc.name.startswith("["):
            item = desc.name[1:2]
            row[0, k.ITEM_BYTES] = ITEM_SIZES.get(item, 0)
            row[0, k.ITEM_KIND] = _ITEM_KINDS.get(item, k.OTHER)
        return KnownClasses(
            np.concatenate([self.classes, row]),
            np.concatenate([self.keys, np.frombuffer(key, np.uint8)]),
            np.concatenate([self.steps, np.array(steps, np.int64).reshape(-1, 2)]),
            (*self.descs, desc),
        )


NO_CLASSES: Final = KnownClasses(
    np.zeros((0, k.N_CLASS_COLUMNS), np.int64),
    np.zeros(0, np.uint8),
    np.array([[0, k.ITEM], [0, k.CONTENTS]], np.int64),
)


def text_at(key: bytes, at: int) -> tuple[str, int]:
    """A text of a descriptor with its length before it, and where it ends."""
    end = at + 2 + int.from_bytes(key[at : at + 2], "big")
    return key[at + 2 : end].decode("utf-8", "replace"), end


def read_desc(key: bytes, parents: tuple[ClassDesc, ...]) -> ClassDesc:
    """Read a descriptor, in which the types of fields that hold objects are left out."""
    name, at = text_at(key, 1)
    flags = key[at + 8]
    fields: list[str] = []
    at += 11
    while at < len(key):
        code = chr(key[at])
        if code in ITEM_SIZES and fields and fields[-1][0] in "L[":
            raise ClassDescError(f"the fields of the class {name} are out of order")
        field, at = text_at(key, at + 1)
        fields.append(code + field)
    if len(parents) >= k.MAX_SUPER_CLASSES:
        raise ClassDescError("a class has too many super classes")
    return ClassDesc(name, flags, tuple(fields), parents)


def _steps_of(desc: ClassDesc, form: Form) -> tuple[list[int], list[tuple[int, int]]]:
    """Where the numbers of an object are behind its head, and what to do with the rest.

    Returns
    -------
    places : list of int
        Of ``form.numbers``, -1 of one that is not among those before the first object.
    steps : list of (int, int)
        See :class:`~.kernel.library.Stream`; none if the object cannot be read.
    """
    if desc.flags & FLAG_EXTERNALIZABLE:
        steps = [(0, k.CONTENTS), (0, k.FINISHED)] if desc.flags & FLAG_BLOCK_DATA else []
        return [-1] * len(form.numbers), steps
    places: dict[str, int] = {}
    steps = []
    n_bytes = 0
    for level in desc.levels:
        for field in level.fields:
            if field[0] in ITEM_SIZES:
                if not steps:
                    places[field] = n_bytes
                n_bytes += ITEM_SIZES[field[0]]
            else:
                steps.append((n_bytes, form.roles.get(field[1:], k.SKIP)))
                n_bytes = 0
        if level.flags & FLAG_WRITE_METHOD:
            steps.append((n_bytes, k.CONTENTS))
            n_bytes = 0
    return [places.get(field, -1) for field in form.numbers], [*steps, (n_bytes, k.FINISHED)]
