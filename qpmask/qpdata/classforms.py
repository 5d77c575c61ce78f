"""From a class descriptor to the numbers that tell the parser how to read an object of the class.

A file describes some thirty classes, and millions of objects: the parser asks for a class when it
is met first, and what was found out serves for the files that are read later as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import numpy as np
import numpy.typing as npt

from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.model import RoiKind
from qpmask.qpdata.names import (
    BOOLEAN,
    BOX_FIELDS,
    BOXES,
    CELL,
    HIERARCHY,
    IMAGE_TYPE,
    INTEGER,
    LISTS,
    MEASUREMENT,
    MEASUREMENT_LIST,
    METADATA,
    OBJECT,
    PATH_CLASS,
    ROI_KINDS,
    ROI_OBJECT,
    ROOT,
    TMA_CORE,
    UUID,
    WRAPPED_LISTS,
    kind_of,
)
from qpmask.qpdata.plain.javastream import JavaStream
from qpmask.qpdata.plain.values import (
    FLAG_BLOCK_DATA,
    FLAG_EXTERNALIZABLE,
    FLAG_WRITE_METHOD,
    ITEM_SIZES,
    ClassDesc,
)

_MAX_FIELDS: Final = 15  # hexadecimal digits in a number


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
        DataFileError
            The descriptor makes no sense.
        """
        stream = _Key(key + b"xp", source="")  # and the end, no super class
        desc = stream.read_class_desc()
        if desc is None or stream.pos != stream.size:
            raise stream.corrupt("a class description was expected")
        if parent >= 0:
            desc.chain += self.descs[parent].chain
            desc.levels = (*self.descs[parent].levels, desc)
        if len(desc.levels) > k.MAX_SUPER_CLASSES:
            raise stream.corrupt("a class has too many super classes")
        steps = steps_of(desc)
        row = np.zeros((1, k.N_CLASS_COLUMNS), np.int64)
        row[0, [k.KEY_AT, k.KEY_SIZE, k.PARENT]] = len(self.keys), len(key), parent
        row[0, k.FIRST_STEP] = len(self.steps) if steps else -1
        form = form_of(desc)
        row[0, list(form)] = list(form.values())
        return KnownClasses(
            np.concatenate([self.classes, row]),
            np.concatenate([self.keys, np.frombuffer(key, np.uint8)]),
            np.concatenate([self.steps, np.array(steps, np.int64).reshape(-1, 2)]),
            (*self.descs, desc),
        )


class _Key(JavaStream):
    """Reads a class descriptor without the types of fields of objects."""

    def _read_string(self, missing: str) -> str:
        return ""


#: Steps 0 and 1 are those of arrays.
NO_CLASSES: Final = KnownClasses(
    np.zeros((0, k.N_CLASS_COLUMNS), np.int64), np.zeros(0, np.uint8), np.zeros((2, 2), np.int64)
)


def steps_of(desc: ClassDesc) -> list[tuple[int, int]]:
    """What follows the head of an object, see :class:`~.kernel.library.Stream`; [] if unknown."""
    if desc.flags & FLAG_EXTERNALIZABLE:
        return [(0, k.UNTIL_END), (0, 0)] if desc.flags & FLAG_BLOCK_DATA else []
    steps = []
    skip = 0
    for level in desc.levels:
        skip += level.primitives.size
        if level.object_fields:
            steps.append((skip, len(level.object_fields)))
            skip = 0
        if level.flags & FLAG_WRITE_METHOD:
            steps.append((skip, k.UNTIL_END))
            skip = 0
    return [*steps, (skip, 0)]


def form_of(desc: ClassDesc) -> dict[int, int]:
    """The numbers of a class by their columns, see :mod:`.kernel.library`."""
    name = desc.name
    form = {k.FORM: k.PLAIN, k.ITEM_BYTES: -1, k.ITEM_CODE: -1}
    if name.startswith("["):
        code = name[1:2]
        form[k.ITEM_BYTES] = ITEM_SIZES.get(code, 0)
        form[k.ITEM_CODE] = ord(code) if code in ITEM_SIZES else 0
    elif OBJECT in desc.chain:
        form |= _path_object(desc)
    elif name in _KNOWN or name in ROI_KINDS:
        form |= _known(desc) or {k.FORM: k.ODD}
    else:
        form |= _measured(desc)
    return form


def _measured(desc: ClassDesc) -> dict[int, int]:
    """Numbers of what measurements are stored in, see :mod:`.kernel.measured`."""
    levels = [level for level in desc.levels if level.primitive_names or level.object_fields]
    fields = [field for level in levels for field in level.object_fields]
    n_bytes = sum(level.primitives.size for level in levels)
    form = {k.N_BYTES: n_bytes, k.N_FIELDS: len(fields)}
    flags = [level.flags & (FLAG_EXTERNALIZABLE | FLAG_WRITE_METHOD) for level in desc.levels]
    if desc.name in LISTS and not fields and flags[-1] == FLAG_WRITE_METHOD and not any(flags[:-1]):
        return form | {k.FORM: k.A_LIST}
    is_list = MEASUREMENT_LIST in desc.name
    is_plain = len(fields) <= _MAX_FIELDS and not any(flags)
    if is_plain and not any(level.primitive_names for level in levels[1:]):
        if desc.name in WRAPPED_LISTS and fields == ["c", "list"]:
            return form | {k.FORM: k.A_WRAPPED_LIST}
        if MEASUREMENT in desc.name and fields == ["name"] and levels[0].primitive_codes == "D":
            return form | {k.FORM: k.A_MEASUREMENT}
        roles = [_MEASURED.get(field, k.SKIP) for field in fields]
        if is_list and [role for role in roles if role] in _MEASURED_FORMS:
            digits = sum(role << 4 * i for i, role in enumerate(roles))
            return form | {k.FORM: k.MEASURED, k.FIELDS: digits}
    return {k.FORM: k.ODD_MEASURED if is_list else k.PLAIN}


_MEASURED: Final = {"names": k.FIELD_NAMES, "values": k.FIELD_VALUES, "list": k.FIELD_PAIRS}
_MEASURED_FORMS: Final = ([k.FIELD_NAMES, k.FIELD_VALUES], [k.FIELD_PAIRS])


def _path_object(desc: ClassDesc) -> dict[int, int]:
    if not desc.flags & FLAG_EXTERNALIZABLE or not desc.flags & FLAG_BLOCK_DATA:
        return {k.FORM: k.ODD}
    flags = k.HAS_ROI * (ROI_OBJECT in desc.chain) | k.IS_ROOT * (desc.name == ROOT)
    flags |= k.IS_CELL * (CELL in desc.chain) | k.IS_CORE * (TMA_CORE in desc.chain)
    return {k.FORM: k.A_PATH_OBJECT, k.KIND: kind_of(desc.chain), k.FLAGS: flags}


_KNOWN: Final = {
    HIERARCHY: k.A_HIERARCHY,
    PATH_CLASS: k.A_PATH_CLASS,
    METADATA: k.A_METADATA,
    BOOLEAN: k.A_BOOLEAN,
    INTEGER: k.AN_INTEGER,
    UUID: k.A_UUID,
    IMAGE_TYPE: k.AN_IMAGE_TYPE,
}


def _known(desc: ClassDesc) -> dict[int, int] | None:
    """Numbers of a class that the parser knows by name; None if it has other fields."""
    form = {k.FORM: _KNOWN.get(desc.name, k.A_ROI)}
    if form[k.FORM] == k.AN_IMAGE_TYPE:
        return form
    if form[k.FORM] == k.A_METADATA:
        return form if steps_of(desc) == [(0, k.UNTIL_END), (0, 0)] else None
    own = [level for level in desc.levels if level.primitive_names or level.object_fields]
    if len(own) != 1 or any(
        level.flags & (FLAG_EXTERNALIZABLE | FLAG_WRITE_METHOD) for level in desc.levels
    ):
        return None
    (level,) = own
    codes, names, fields = level.primitive_codes, level.primitive_names, level.object_fields
    every = (*names, *fields)
    if len(set(every)) != len(every) or len(fields) > _MAX_FIELDS:
        return None
    offsets = dict(zip(names, accumulate((ITEM_SIZES[c] for c in codes), initial=0), strict=False))
    types = dict(zip(names, codes, strict=True))
    form |= {k.N_BYTES: level.primitives.size, k.N_FIELDS: len(fields)}

    def digits(**roles: int) -> dict[int, int] | None:
        """What each of the other fields is; these must be there, in this order."""
        if [field for field in fields if field in roles] != list(roles):
            return None
        all_roles = (roles.get(field, k.SKIP) << 4 * i for i, field in enumerate(fields))
        return form | {k.FIELDS: sum(all_roles)}

    match form[k.FORM]:
        case k.A_BOOLEAN | k.AN_INTEGER:
            code = "Z" if form[k.FORM] == k.A_BOOLEAN else "I"
            return form if (names, codes, fields) == (("value",), code, ()) else None
        case k.A_UUID:
            halves = ("mostSigBits", "leastSigBits")
            if fields or any(types.get(half) != "J" for half in halves):
                return None
            return form | {k.PLACES + i: offsets[half] for i, half in enumerate(halves)}
        case k.A_HIERARCHY:
            return digits(rootObject=k.FIELD_ROOT)
        case k.A_PATH_CLASS:
            if names or fields[-1:] != ("parentClass",):
                return None
            return digits(colorRGB=k.FIELD_COLOR, name=k.FIELD_NAME, parentClass=k.FIELD_PARENT)
    kind = ROI_KINDS[desc.name]
    if any(types.get(name) != "I" for name in "czt"):
        return None
    form |= {k.KIND: kind} | {k.PLACES + i: offsets[name] for i, name in enumerate("czt")}
    if kind is RoiKind.GEOMETRY:
        return digits(wkb=k.FIELD_WKB)
    if kind not in BOXES:
        return digits(x=k.FIELD_X, y=k.FIELD_Y)
    at = names.index("x") if "x" in names else -1
    if at < 0 or names[at : at + 4] != BOX_FIELDS or codes[at : at + 4] != "DDDD":
        return None
    return digits() and form | {k.PLACES + 3: offsets["x"], k.FIELDS: 0}
