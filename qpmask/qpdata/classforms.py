"""From a class descriptor to the numbers that tell the parser how to read an object of the class.

A file describes some thirty classes, and millions of objects: the parser asks for a class when it
is met first, and what was found out serves for the files that are read later as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from qpmask.imageobjects import BOXES, RoiKind
from qpmask.qpdata import names as q
from qpmask.qpdata.kernel import library as k

FLAG_WRITE_METHOD: Final = 1
FLAG_EXTERNALIZABLE: Final = 4
FLAG_BLOCK_DATA: Final = 8
ITEM_SIZES: Final = {"B": 1, "C": 2, "D": 8, "F": 4, "I": 4, "J": 8, "S": 2, "Z": 1}
_ITEM_KINDS: Final = {"F": k.FLOATS_AT, "D": k.DOUBLES_AT, "B": k.BYTES_AT}


class ClassDescError(ValueError):
    """A class descriptor makes no sense; private to this package."""


@dataclass(frozen=True)
class ClassDesc:
    """A class as the stream describes it.

    ``fields`` are their types and names, ``parents`` its super classes, topmost first.
    """

    name: str
    flags: int
    fields: tuple[tuple[str, str], ...]
    parents: tuple[ClassDesc, ...]

    @property
    def levels(self) -> tuple[ClassDesc, ...]:
        """Its super classes and itself, topmost first."""
        return (*self.parents, self)

    @property
    def chain(self) -> tuple[str, ...]:
        """Names of the class and its super classes, this one first."""
        return tuple(level.name for level in reversed(self.levels))


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
        form = form_of(desc)
        steps = steps_of(desc, form.get(k.FORM, k.PLAIN), form.get(k.KIND, -1))
        form[k.KEY_AT], form[k.KEY_SIZE], form[k.PARENT] = len(self.keys), len(key), parent
        form[k.FIRST_STEP] = len(self.steps) if steps else -1
        row = np.zeros((1, k.N_CLASS_COLUMNS), np.int64)
        row[0, list(form)] = list(form.values())
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
    fields: list[tuple[str, str]] = []
    at += 11
    while at < len(key):
        code = chr(key[at])
        if code in ITEM_SIZES and fields and fields[-1][0] in "L[":
            raise ClassDescError(f"the fields of the class {name} are out of order")
        field, at = text_at(key, at + 1)
        fields.append((code, field))
    if len(parents) >= k.MAX_SUPER_CLASSES:
        raise ClassDescError("a class has too many super classes")
    return ClassDesc(name, flags, tuple(fields), parents)


def steps_of(desc: ClassDesc, form: int, kind: int) -> list[tuple[int, int]]:
    """What follows the head of an object, see :class:`~.kernel.library.Stream`; [] if unknown."""
    if desc.flags & FLAG_EXTERNALIZABLE:
        return [(0, k.CONTENTS), (0, k.FINISHED)] if desc.flags & FLAG_BLOCK_DATA else []
    roles = _ROLES.get(form, _LIST_ROLES)
    if form == k.A_ROI:
        roles = {"wkb": k.WKB} if kind == RoiKind.GEOMETRY else {"x": k.X, "y": k.Y}
    steps = []
    skip = 0
    for level in desc.levels:
        for code, name in level.fields:
            if code in ITEM_SIZES:
                skip += ITEM_SIZES[code]
                continue
            steps.append((skip, roles.get(name, k.SKIP)))
            skip = 0
        if level.flags & FLAG_WRITE_METHOD:
            steps.append((skip, k.CONTENTS))
            skip = 0
    return [*steps, (skip, k.FINISHED)]


_ROLES: Final = {
    k.A_HIERARCHY: {"rootObject": k.ROOT},
    k.A_PATH_CLASS: {
        "colorRGB": k.CLASS_COLOR, "name": k.CLASS_NAME, "parentClass": k.CLASS_PARENT,
    },
    k.A_MEASUREMENT: {"name": k.PAIR_NAME},
}  # fmt: skip
#: Of any other class: fields of measurements, and those in which Java's lists hold what they wrap.
_LIST_ROLES: Final = {
    "names": k.NAMES, "values": k.NUMBERS, "list": k.LIST, "a": k.WRAPPED, "c": k.WRAPPED,
    "coll": k.WRAPPED,
}  # fmt: skip


def form_of(desc: ClassDesc) -> dict[int, int]:
    """The numbers of a class by their columns, see :mod:`.kernel.library`."""
    name = desc.name
    code = name[1:2] if name.startswith("[") else ""
    form = {k.FORM: _FORMS.get(name, k.PLAIN), k.ITEM_BYTES: -1}
    if code or name == "[":
        form[k.ITEM_BYTES] = ITEM_SIZES.get(code, 0)
        form[k.ITEM_KIND] = _ITEM_KINDS.get(code, k.OTHER)
    elif q.OBJECT in desc.chain:
        form[k.FORM] = k.PLAIN if desc.flags & FLAG_EXTERNALIZABLE == 0 else k.A_PATH_OBJECT
        form[k.KIND] = q.kind_of(desc.chain)
        flags = {k.HAS_ROI: q.ROI_OBJECT, k.IS_CELL: q.CELL, k.IS_CORE: q.TMA_CORE}
        form[k.FLAGS] = sum(flag for flag, base in flags.items() if base in desc.chain)
        if name == q.ROOT:
            form[k.FLAGS] = k.IS_ROOT
    elif name in q.ROI_KINDS:
        form |= {k.FORM: k.A_ROI, k.KIND: q.ROI_KINDS[name]}
        form |= _places(desc, "III", "c", "z", "t")
        if q.ROI_KINDS[name] in BOXES:
            box = [_places(desc, "D", field)[k.PLACES] for field in q.BOX_FIELDS]
            is_whole = min(box) >= 0 and box == list(range(box[0], box[0] + 32, 8))
            form[k.PLACES + 3] = box[0] if is_whole else -1
    elif name in _PLACED:
        form |= _places(desc, *_PLACED[name])
        if form[k.PLACES] < 0 and name != q.UUID:
            form[k.FORM] = k.PLAIN
    elif name.startswith(q.LISTS):
        form[k.FORM] = k.A_LIST
    elif q.MEASUREMENT_LIST in name:
        form[k.FORM] = k.A_MEASURED
    elif q.MEASUREMENT in name:
        form |= _places(desc, "D", "value")
        form[k.FORM] = k.A_MEASUREMENT if form[k.PLACES] >= 0 else k.PLAIN
    elif name == q.METADATA and not desc.flags & FLAG_EXTERNALIZABLE:
        form[k.FORM] = k.PLAIN
    return form


_FORMS: Final = {
    q.HIERARCHY: k.A_HIERARCHY, q.PATH_CLASS: k.A_PATH_CLASS, q.METADATA: k.A_METADATA,
    q.BOOLEAN: k.A_BOOLEAN, q.INTEGER: k.AN_INTEGER, q.UUID: k.A_UUID,
    q.IMAGE_TYPE: k.AN_IMAGE_TYPE,
}  # fmt: skip
_PLACED: Final = {
    q.BOOLEAN: ("Z", "value"), q.INTEGER: ("I", "value"),
    q.UUID: ("JJ", "mostSigBits", "leastSigBits"),
}  # fmt: skip


def _places(desc: ClassDesc, codes: str, *names: str) -> dict[int, int]:
    """Where numbers are among those before the first object; all -1 if one is not there."""
    found: dict[tuple[str, str], int] = {}
    at = 0
    for level in () if desc.flags & FLAG_EXTERNALIZABLE else desc.levels:
        for code, name in level.fields:
            if code not in ITEM_SIZES:
                break
            found[code, name] = at
            at += ITEM_SIZES[code]
        if level.flags & FLAG_WRITE_METHOD or any(code in "L[" for code, _ in level.fields):
            break
    places = [found.get(field, -1) for field in zip(codes, names, strict=True)]
    return {k.PLACES + i: -1 if -1 in places else place for i, place in enumerate(places)}
