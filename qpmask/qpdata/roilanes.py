"""Reads QuPath's ROIs in lanes; see :mod:`qpmask.qpdata.lanes` and :mod:`qpmask.qpdata.rois`."""

from __future__ import annotations

from itertools import accumulate
from typing import Final, NamedTuple

import numpy as np

from qpmask.qpdata.javacodes import (
    FLAG_EXTERNALIZABLE,
    FLAG_WRITE_METHOD,
    ITEM_SIZES,
    TC_NULL,
    TC_OBJECT,
    TC_REFERENCE,
)
from qpmask.qpdata.javavalues import ClassDesc
from qpmask.qpdata.lanedata import ClassForms, Ints
from qpmask.qpdata.lanes import Lanes
from qpmask.qpdata.model import RoiKind
from qpmask.qpdata.rois import BOX_FIELDS, BOXES, roi_kind

#: In place of a :class:`RoiKind`: no ROI, and a reference to one.
NO_ROI: Final = -1
SHARED_ROI: Final = -2


class _RoiForm(NamedTuple):
    """Where the numbers of a ROI are, and which of its fields are its coordinates."""

    kind: RoiKind
    n_bytes: int
    plane_offsets: tuple[int, ...]
    box_offset: int
    #: Of each field the bytes of an item if it holds coordinates, else 0.
    item_sizes: tuple[int, ...]


def _form_of(desc: ClassDesc) -> _RoiForm | None:
    kind = roi_kind(desc.name)
    if kind is None or kind is RoiKind.AREA or len(desc.levels) != 1:
        return None
    if desc.flags & (FLAG_EXTERNALIZABLE | FLAG_WRITE_METHOD):
        return None
    codes, names = desc.primitive_codes, desc.primitive_names
    ends = list(accumulate((ITEM_SIZES[code] for code in codes), initial=0))
    offsets = dict(zip(names, ends, strict=False))
    if len(offsets) != len(names):
        return None
    if any(name not in names or codes[names.index(name)] != "I" for name in "czt"):
        return None
    box_offset = -1
    coordinates = {"wkb": 1} if kind is RoiKind.GEOMETRY else {"x": 4, "y": 4}
    if kind in BOXES:
        coordinates = {}
        at = names.index("x") if "x" in names else -1
        if at < 0 or names[at : at + 4] != BOX_FIELDS or codes[at : at + 4] != "DDDD":
            return None
        box_offset = offsets["x"]
    if [field for field in desc.object_fields if field in coordinates] != list(coordinates):
        return None
    item_sizes = tuple(coordinates.get(field, 0) for field in desc.object_fields)
    # A field that has the name of a number would take its place.
    if offsets.keys() & set(desc.object_fields):
        return None
    plane_offsets = tuple(offsets[name] for name in "czt")
    return _RoiForm(kind, ends[-1], plane_offsets, box_offset, item_sizes)


class RoiForms:
    """The classes of ROIs that can be read in lanes.

    Parameters
    ----------
    forms : ClassForms
        The classes that are known.
    """

    def __init__(self, forms: ClassForms) -> None:
        found = {number: _form_of(desc) for number, desc in enumerate(forms.descs)}
        self.by_class = {number: form for number, form in found.items() if form is not None}
        # An array of float32, of bytes: told apart by the name, not the size of an item.
        self.array_codes = np.array(
            [ord(d.name[1]) if len(d.name) == 2 else 0 for d in forms.descs] + [0], np.uint8
        )


class RoiColumns:
    """One ROI for each lane, as it is in the data.

    Attributes
    ----------
    kind : ndarray of int8, shape (n,)
        :class:`RoiKind`, or ``NO_ROI``, or ``SHARED_ROI``.
    plane : ndarray of int32, shape (n, 3)
        c, z, t.
    places : ndarray of int64, shape (n, 2)
        Where x and y are; or the geometry, or the box; or the handle.
    size : ndarray of int64, shape (n,)
        How many items x and y have, or how many bytes the geometry.
    """

    def __init__(self, n_lanes: int) -> None:
        self.kind = np.full(n_lanes, NO_ROI, np.int8)
        self.plane = np.zeros((n_lanes, 3), np.int32)
        self.places = np.zeros((n_lanes, 2), np.int64)
        self.size = np.zeros(n_lanes, np.int64)

    def append(self, other: RoiColumns) -> None:
        """Add those of other lanes after these."""
        self.kind = np.concatenate([self.kind, other.kind])
        self.plane = np.concatenate([self.plane, other.plane])
        self.places = np.concatenate([self.places, other.places])
        self.size = np.concatenate([self.size, other.size])

    def read(self, lanes: Lanes, numbers: Ints, forms: RoiForms) -> None:
        """Read a ROI in each of some lanes."""
        codes = lanes.codes(numbers)
        null, shared, inside = (codes == code for code in (TC_NULL, TC_REFERENCE, TC_OBJECT))
        lanes.keep(numbers, null | shared | inside)
        lanes.move(numbers[null], lanes.pos[numbers[null]] + 1)
        if shared.any():
            found, handles = lanes.take_references(numbers[shared])
            self.kind[found] = SHARED_ROI
            self.places[found, 0] = handles
        if inside.any():
            found, classes = lanes.expect_object(numbers[inside])
            left = np.ones(len(found), np.bool_)
            for number, form in forms.by_class.items():
                same = classes == number
                if same.any():
                    self._read_form(lanes, found[same], form, forms)
                    left &= ~same
            lanes.keep(found, ~left)

    def _read_form(self, lanes: Lanes, numbers: Ints, form: _RoiForm, forms: RoiForms) -> None:
        source = lanes.source
        start = lanes.pos[numbers]
        kept = lanes.move(numbers, start + form.n_bytes)
        if len(kept) < len(numbers):
            numbers, start = kept, lanes.pos[kept] - form.n_bytes
        for column, offset in enumerate(form.plane_offsets):
            self.plane[numbers, column] = source.i4[start + offset]
        self.kind[numbers] = form.kind
        if form.box_offset >= 0:
            self.places[numbers, 0] = start + form.box_offset
        column = 0
        for item_size in form.item_sizes:
            if item_size == 0:
                numbers = lanes.skip_values(numbers)
                continue
            numbers = self._coordinates(lanes, numbers, item_size, column, forms)
            column += 1

    def _coordinates(
        self, lanes: Lanes, numbers: Ints, item_size: int, column: int, forms: RoiForms
    ) -> Ints:
        numbers, classes, n_items = lanes.expect_array(numbers, item_size)
        code = ord("B" if item_size == 1 else "F")
        good = forms.array_codes[classes] == code
        if column:
            good &= n_items == self.size[numbers]
        numbers, n_items = lanes.keep(numbers, good), n_items[good]
        self.places[numbers, column] = lanes.pos[numbers] - n_items * item_size
        self.size[numbers] = n_items
        return numbers
