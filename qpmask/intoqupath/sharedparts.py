"""What the objects of a stream share and refer to: classes, metadata, names, numbers."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from qpmask.imageobjects import ID_KEY, ObjectKind, ObjectTable
from qpmask.intoqupath.javarois import RoiWriter
from qpmask.intoqupath.objectforms import (
    FORMS,
    KINDS,
    MEASUREMENT_LIST,
    METADATA,
    OBJECT_ARRAY,
    OBJECTS,
    PATH_CLASS,
)
from qpmask.javastream.writing import END, NULL, Preamble, reference

INT_BLOCK: Final = b"w\x04"
#: A text of 36 bytes begins; it, the values and the metadata end.
_ID_START: Final = b"t" + struct.pack(">H", 36)


class SharedParts:
    """What the objects of a stream refer to."""

    def __init__(
        self,
        table: ObjectTable,
        chosen: NDArray[np.int64],
        marks: Mapping[str, str],
        first: int = 0,
        *,
        has_classes: bool = True,
    ) -> None:
        p = self.preamble = Preamble(FORMS, first)
        self._one = reference(p.add_integer(1))
        self.integer_head = b"s" + p.class_reference("java.lang.Integer")
        self.booleans = [reference(p.add_object("java.lang.Boolean", bytes([b]))) for b in (0, 1)]
        self.boolean_head = b"s" + p.class_reference("java.lang.Boolean")
        #: Measurements of the first object, and handles that each takes after its children.
        self.first_measured = NULL
        self.tail_handles = np.zeros(0, np.int64)
        for name in ("[F", "[D", "[B"):
            p.add_array(name)
        none = b"u" + p.class_reference(OBJECT_ARRAY) + bytes(4)
        p.add_object(METADATA, self._one + none + none + END)
        p.skip_handles(2)
        if len(table.measurements.value):
            names = reference(p.add_list(()))
            for name, code in (("FloatList", "[F"), ("DoubleList", "[D")):
                values = b"u" + p.class_reference(code) + bytes(4)
                p.add_object(MEASUREMENT_LIST + name, b"\0" + names + NULL + values)
                p.skip_handles(1)
        head = NULL * 3 + INT_BLOCK + bytes(4)  # name, colour, measurements; children
        for number in np.unique(table.kind[chosen]).tolist():
            kind = ObjectKind(number)
            core = kind == ObjectKind.TMA_CORE
            tail = self.booleans[0] + NULL * 2 + b"w" + bytes([8 + core]) + bytes(8 + core)
            tail += NULL if kind == ObjectKind.CELL else b""
            p.add_object(OBJECTS + KINDS[kind], head + tail + END)
        self.rois = RoiWriter(p)
        self.classes = {-1: NULL}
        parts: dict[str, bytes] = {}
        for i in np.unique(table.class_index[chosen]).tolist():
            if i >= 0 and has_classes:
                entry = table.classes[i]
                self.classes[i] = self._class(entry.name, entry.color_argb, parts)
        self._marks = dict(marks)
        self._metadata: dict[tuple[tuple[str, str], ...], bytes] = {}

    def _class(self, name: str, argb: int | None, parts: dict[str, bytes]) -> bytes:
        """A class, behind those that it is derived from."""
        known = parts.get(name)
        if known is not None:
            return known
        above, colon, own = name.rpartition(": ")
        parent = self._class(above, None, parts) if colon else NULL
        color = NULL if argb is None else reference(self.preamble.add_integer(argb))
        text = reference(self.preamble.add_string(own))
        found = reference(self.preamble.add_object(PATH_CLASS, color + text + parent))
        parts[name] = found
        return found

    def metadata_alone(self, entries: Mapping[str, str] | None) -> bytes:
        """Metadata without an id; nothing where there are none."""
        entries = {**entries, **self._marks} if entries else self._marks
        if not entries:
            return b""
        p = self.preamble
        array = b"u" + p.class_reference(OBJECT_ARRAY) + struct.pack(">i", len(entries))
        texts = [[reference(p.add_string(t)) for t in some] for some in (entries, entries.values())]
        head = b"s" + p.class_reference(METADATA) + self._one
        return b"".join((head, array, *texts[0], array, *texts[1], END))

    def metadata(self, entries: Mapping[str, str] | None) -> bytes:
        """Metadata, in which QuPath keeps the id too, up to the id's text."""
        entries = {**entries, **self._marks} if entries else self._marks
        key = tuple(entries.items())
        found = self._metadata.get(key)
        if found is None:
            p = self.preamble
            array = b"u" + p.class_reference(OBJECT_ARRAY)
            size = struct.pack(">i", len(entries) + 1)
            keys = [reference(p.add_string(name)) for name in (*entries, ID_KEY)]
            values = [reference(p.add_string(value)) for value in entries.values()]
            found = self._metadata[key] = b"".join(
                (b"s", p.class_reference(METADATA), self._one, array, size, *keys, array, size,
                 *values, _ID_START)
            )  # fmt: skip
        return found
