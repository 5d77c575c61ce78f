"""Reads QuPath's objects in lanes: what comes before their children, and what comes after.

The children of an object are inside it (see :mod:`qpmask.qpdata.objects`), so an object is read
in two pieces: the head, from its class to the number of its children, and the tail. Where heads
start is searched for; a tail starts where a head without children ends, or where a tail ends
and no head starts: that was the last child, and the tail is its parent's. Bytes that look like a
start and are none give pieces that nothing leads to.

References are kept as handles; what they mean is looked up when it is known which pieces count.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from qpmask.qpdata.javacodes import (
    FLAG_BLOCK_DATA,
    FLAG_EXTERNALIZABLE,
    TC_ARRAY,
    TC_BLOCKDATA,
    TC_ENDBLOCKDATA,
    TC_NULL,
    TC_OBJECT,
    TC_REFERENCE,
    TC_STRING,
)
from qpmask.qpdata.javavalues import ClassDesc
from qpmask.qpdata.kinds import ID_KEY, METADATA, OBJECT, ROI_OBJECT, UUID, kind_of
from qpmask.qpdata.lanedata import ClassForms, Ints, LaneData
from qpmask.qpdata.lanes import OBJECT_BYTES, OBJECT_OF, Lanes
from qpmask.qpdata.model import ObjectKind
from qpmask.qpdata.roilanes import RoiColumns, RoiForms

#: In place of a handle: nothing there, or null.
ABSENT: Final = -1

#: In place of the handle of a key: the key of the id, another one.
ID_KEY_INSIDE: Final = -1
OTHER_KEY: Final = -2

#: Entries of an object's metadata that are followed in lanes.
MAX_ENTRIES: Final = 16

# How many bytes to search at once: they fit into a processor's cache.
_BLOCK: Final = 2**18
_CHILDREN: Final = TC_BLOCKDATA << 8 | 4
_PROBABILITY: Final = TC_BLOCKDATA << 8 | 8

_ID_BYTES: Final = np.frombuffer(ID_KEY.encode("ascii"), np.uint8)


class ObjectForms:
    """What the classes of a stream mean for objects.

    Parameters
    ----------
    classes : mapping of int to ClassDesc
        The classes by their handles.
    """

    def __init__(self, classes: dict[int, ClassDesc]) -> None:
        self.forms = ClassForms(classes)
        self.rois = RoiForms(self.forms)
        names = [desc.name for desc in self.forms.descs]
        #: :class:`ObjectKind` of each class, -1 for those that are not read in lanes.
        self.kind = np.array([*(_kind_in_lanes(desc) for desc in self.forms.descs), -1], np.int8)
        self.is_metadata = np.array([*(name == METADATA for name in names), False])
        self.is_uuid = np.array([*(name == UUID for name in names), False])

    def find_heads(self, source: LaneData, start: int, end: int, n_most: int) -> Ints:
        """Find places where heads may start, ``n_most`` at most."""
        parts = [np.zeros(0, np.int64)]
        n_found = 0
        for block_start in range(start, end, _BLOCK):
            block = source.u1[block_start : min(block_start + _BLOCK + 1, end)]
            possible = block[:-1] == TC_OBJECT
            possible &= block[1:] == TC_REFERENCE
            places = np.flatnonzero(possible) + block_start
            places = places[places < source.end]
            names = source.u1[places + OBJECT_BYTES]
            places = places[(names == TC_NULL) | (names == TC_REFERENCE) | (names == TC_STRING)]
            places = places[self.kind[self.forms.numbers(source.i4_at(places + 2))] >= 0]
            parts.append(places)
            n_found += len(places)
            if n_found >= n_most:
                break
        return np.concatenate(parts)[:n_most]


def _kind_in_lanes(desc: ClassDesc) -> int:
    if ROI_OBJECT not in desc.chain or OBJECT not in desc.chain:
        return -1
    if not desc.flags & FLAG_EXTERNALIZABLE or not desc.flags & FLAG_BLOCK_DATA:
        return -1
    kind = kind_of(desc)
    return -1 if kind is ObjectKind.TMA_CORE else kind


class Heads:
    """Heads of objects, one for each lane.

    Parameters
    ----------
    source : LaneData
        The data.
    forms : ObjectForms
        The classes.
    starts : ndarray of int64, shape (n,)
        Where heads may start.

    Attributes
    ----------
    lanes : Lanes
        Where the heads end, and which of them are heads.
    forms : ObjectForms
        The classes.
    class_number : ndarray of int64, shape (n,)
        Number of the class.
    kind : ndarray of int8, shape (n,)
        :class:`ObjectKind`.
    name_ref, name_at : ndarray of int64, shape (n,)
        Handle of the name, or where the length of its text is, or ``ABSENT``.
    version_ref : ndarray of int64, shape (n,)
        Handle of the version of the metadata, or ``ABSENT``.
    n_children : ndarray of int64, shape (n,)
        How many children there are.
    keys : list of tuple
        Of each metadata entry that may be the id, in order: lanes, handles of the keys (or
        ``ID_KEY_INSIDE``), handles of the values or ``ABSENT``, where the lengths of
        their texts are or ``ABSENT``.
    """

    def __init__(self, source: LaneData, forms: ObjectForms, starts: Ints) -> None:
        self.lanes = lanes = Lanes(source, forms.forms, starts)
        self._source = source
        self.forms = forms
        n_lanes = len(starts)
        self.name_ref, self.name_at, self.version_ref = (
            np.full(n_lanes, ABSENT, np.int64) for _ in range(3)
        )
        self.n_children = np.zeros(n_lanes, np.int64)
        self.keys: list[tuple[Ints, Ints, Ints, Ints]] = []
        self.kind = np.full(n_lanes, -1, np.int8)
        self.class_number = np.zeros(n_lanes, np.int64)

        numbers, classes = lanes.expect_object(lanes.all())
        self.class_number[numbers] = classes
        self.kind[numbers] = forms.kind[classes]
        numbers = lanes.keep(numbers, self.kind[numbers] >= 0)
        numbers = self._names(numbers)
        numbers = lanes.skip_values(numbers)  # the colour
        numbers = self._fields(numbers)
        numbers = lanes.skip_values(numbers)  # the measurements
        numbers = lanes.keep(numbers, source.u2[lanes.pos[numbers]] == _CHILDREN)
        self.n_children[numbers] = source.i4[lanes.pos[numbers] + 2]
        numbers = lanes.move(numbers, lanes.pos[numbers] + 6)
        n_children = self.n_children[numbers]
        room = len(source.data) - lanes.pos[numbers]
        lanes.keep(numbers, (n_children >= 0) & (n_children <= room))

    def _names(self, numbers: Ints) -> Ints:
        lanes = self.lanes
        codes = lanes.codes(numbers)
        null, shared, inside = (codes == code for code in (TC_NULL, TC_REFERENCE, TC_STRING))
        lanes.keep(numbers, null | shared | inside)
        lanes.move(numbers[null], lanes.pos[numbers[null]] + 1)
        found, handles = lanes.take_references(numbers[shared])
        self.name_ref[found] = handles
        found, places = lanes.take_texts(numbers[inside])
        self.name_at[found] = places
        return numbers[lanes.good[numbers]]

    def _fields(self, numbers: Ints) -> Ints:
        """Read the metadata if there are any."""
        lanes, forms = self.lanes, self.forms
        pos = lanes.pos[numbers]
        inside = self._source.u2[pos] == OBJECT_OF
        classes = np.full(len(numbers), len(forms.forms.descs), np.int64)
        classes[inside] = forms.forms.numbers(self._source.i4_at(pos[inside] + 2))
        metadata = forms.is_metadata[classes]
        # A reference could be to metadata; ids of version 4 are not followed.
        good = (lanes.codes(numbers) != TC_REFERENCE) & ~forms.is_uuid[classes]
        lanes.keep(numbers, good)
        if metadata.any():
            self._metadata(numbers[metadata & good])
        return numbers[lanes.good[numbers]]

    def _metadata(self, numbers: Ints) -> None:
        """Read a version, an array of keys, an array of values, and the end."""
        lanes = self.lanes
        numbers, _ = lanes.expect_object(numbers)
        codes = lanes.codes(numbers)
        shared = codes == TC_REFERENCE
        found, handles = lanes.take_references(numbers[shared])
        self.version_ref[found] = handles
        own = numbers[~shared]
        lanes.skip_values(lanes.keep(own, codes[~shared] != TC_ARRAY))
        numbers = numbers[lanes.good[numbers]]

        numbers, _, n_keys = lanes.expect_array(numbers, 0)
        lanes.keep(numbers, n_keys <= MAX_ENTRIES)
        n_entries = np.zeros(len(lanes.pos), np.int64)
        n_entries[numbers] = n_keys
        keys = []
        for left in self._entries(numbers, n_entries):
            key, places = self._texts(left, null=False)
            key[key == ABSENT] = OTHER_KEY
            key[self._are_id_keys(places)] = ID_KEY_INSIDE
            keys.append(key)

        numbers = numbers[lanes.good[numbers]]
        numbers, _, n_values = lanes.expect_array(numbers, 0)
        numbers = lanes.keep(numbers, n_values == n_entries[numbers])
        values = [self._texts(left, null=True) for left in self._entries(numbers, n_entries)]
        lanes.expect(numbers[lanes.good[numbers]], TC_ENDBLOCKDATA)
        for key, (value_ref, value_at) in zip(keys, values, strict=False):
            wanted = np.flatnonzero((key != OTHER_KEY) & ((value_ref >= 0) | (value_at >= 0)))
            self.keys.append((wanted, key[wanted], value_ref[wanted], value_at[wanted]))

    def _entries(self, numbers: Ints, n_entries: Ints) -> Iterator[Ints]:
        """Yield the lanes that have a first, a second ... entry."""
        for entry in range(MAX_ENTRIES):
            numbers = numbers[self.lanes.good[numbers] & (n_entries[numbers] > entry)]
            if not len(numbers):
                return
            yield numbers

    def _texts(self, numbers: Ints, *, null: bool) -> tuple[Ints, Ints]:
        """Read a text or a reference in each lane; give handles and places, or ``ABSENT``."""
        lanes = self.lanes
        refs, places = (np.full(len(lanes.pos), ABSENT, np.int64) for _ in range(2))
        codes = lanes.codes(numbers)
        shared, inside, empty = (codes == code for code in (TC_REFERENCE, TC_STRING, TC_NULL))
        lanes.keep(numbers, shared | inside | (empty if null else False))
        found, handles = lanes.take_references(numbers[shared])
        refs[found] = handles
        found, at = lanes.take_texts(numbers[inside])
        places[found] = at
        if null:
            lanes.move(numbers[empty], lanes.pos[numbers[empty]] + 1)
        return refs, places

    def _are_id_keys(self, places: Ints) -> Ints:
        """Give the lanes whose text at a place is the key of the id."""
        source = self._source
        found = np.flatnonzero(places >= 0)
        found = found[source.u2[places[found]] == len(_ID_BYTES)]
        texts = source.taken(places[found] + 2, len(_ID_BYTES))
        same: Ints = found[(texts == _ID_BYTES).all(axis=1)]
        return same


class Tails:
    """Tails of objects, one for each lane.

    Parameters
    ----------
    source : LaneData
        The data.
    forms : ObjectForms
        The classes.
    starts : ndarray of int64, shape (n,)
        Where tails may start.

    Attributes
    ----------
    lanes : Lanes
        Where the tails end, and which of them are tails.
    starts : ndarray of int64, shape (n,)
        Where they start.
    locked_ref, class_ref : ndarray of int64, shape (n,)
        Handles of the lock and of the class, or ``ABSENT``.
    roi, nucleus : RoiColumns
        The ROIs.
    has_nucleus : ndarray of bool, shape (n,)
        Whether there is a value where that of a cell's nucleus is.
    """

    def __init__(self, source: LaneData, forms: ObjectForms, starts: Ints) -> None:
        self.lanes = lanes = Lanes(source, forms.forms, starts)
        self.starts = starts
        n_lanes = len(starts)
        self.locked_ref, self.class_ref = (np.full(n_lanes, ABSENT, np.int64) for _ in range(2))
        self.roi, self.nucleus = RoiColumns(n_lanes), RoiColumns(n_lanes)
        self.has_nucleus = np.zeros(n_lanes, np.bool_)

        numbers = self._lock_and_class(lanes.all())
        self.roi.read(lanes, numbers, forms.rois)
        numbers = numbers[lanes.good[numbers]]
        numbers = lanes.keep(numbers, source.u2[lanes.pos[numbers]] == _PROBABILITY)
        numbers = lanes.move(numbers, lanes.pos[numbers] + 10)
        more = numbers[lanes.codes(numbers) != TC_ENDBLOCKDATA]
        self.has_nucleus[more] = True
        self.nucleus.read(lanes, more, forms.rois)
        lanes.expect(numbers[lanes.good[numbers]], TC_ENDBLOCKDATA)

    def append(self, other: Tails) -> None:
        """Add other tails after these."""
        self.lanes.append(other.lanes)
        self.starts = np.concatenate([self.starts, other.starts])
        self.locked_ref = np.concatenate([self.locked_ref, other.locked_ref])
        self.class_ref = np.concatenate([self.class_ref, other.class_ref])
        self.has_nucleus = np.concatenate([self.has_nucleus, other.has_nucleus])
        self.roi.append(other.roi)
        self.nucleus.append(other.nucleus)

    def _lock_and_class(self, numbers: Ints) -> Ints:
        """Read the lock, which may be absent, and the class: references or nulls."""
        lanes = self.lanes
        numbers, first = self._reference_or_null(numbers)
        # Three values before the probability if there is a lock, else two.
        codes = lanes.codes(numbers)
        after = lanes.pos[numbers] + np.where(codes == TC_REFERENCE, 5, 1)
        follow = lanes.source.u1[after]
        no_lock = (codes == TC_OBJECT) | (follow == TC_BLOCKDATA)
        self.class_ref[numbers[no_lock]] = first[no_lock]
        with_lock, first = numbers[~no_lock], first[~no_lock]
        self.locked_ref[with_lock] = first
        with_lock = lanes.keep(with_lock, first != ABSENT)
        with_lock, second = self._reference_or_null(with_lock)
        self.class_ref[with_lock] = second
        return numbers[lanes.good[numbers]]

    def _reference_or_null(self, numbers: Ints) -> tuple[Ints, Ints]:
        lanes = self.lanes
        codes = lanes.codes(numbers)
        null, shared = codes == TC_NULL, codes == TC_REFERENCE
        lanes.keep(numbers, null | shared)
        lanes.move(numbers[null], lanes.pos[numbers[null]] + 1)
        handles = np.full(len(lanes.pos), ABSENT, np.int64)
        found, found_handles = lanes.take_references(numbers[shared])
        handles[found] = found_handles
        kept = numbers[lanes.good[numbers]]
        return kept, handles[kept]
