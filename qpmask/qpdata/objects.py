"""QuPath's hierarchy of objects, from the stream into columns.

What an object writes of itself, from the outside in (``writeExternal`` in ``qupath.lib.objects``,
QuPath 0.2 to 0.7)::

    PathObject      name, colour, [metadata], measurements, int number of children, the children
    PathROIObject   [locked], class, ROI, double probability of the class
    PathCellObject  ROI of the nucleus
    TMACoreObject   boolean missing

The children are inside their parent, so the nesting of the data is that of the objects: it is
followed with a stack, not with calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from qpmask.qpdata.alike import AlikeReader, ObjectLayout
from qpmask.qpdata.columns import NO_ID, ObjectColumns, stored_id
from qpmask.qpdata.javacodes import (
    FLAG_EXTERNALIZABLE,
    TC_BLOCKDATA,
    TC_BLOCKDATALONG,
    TC_NULL,
    TC_OBJECT,
    TC_REFERENCE,
)
from qpmask.qpdata.javastream import JavaStream
from qpmask.qpdata.javavalues import ClassDesc, JavaObject, Mark, ObjectArray, Span, SpanKind
from qpmask.qpdata.model import ObjectKind
from qpmask.qpdata.rois import RoiLayout

#: Levels of objects inside objects; QuPath itself gives up long before.
MAX_LEVELS: Final = 10_000

_PACKAGE: Final = "qupath.lib.objects."
_ROOT: Final = _PACKAGE + "PathRootObject"
_OBJECT: Final = _PACKAGE + "PathObject"
_ROI_OBJECT: Final = _PACKAGE + "PathROIObject"
_CELL: Final = _PACKAGE + "PathCellObject"
_TMA_CORE: Final = _PACKAGE + "TMACoreObject"
# The first one in an object's chain of classes counts: a cell is a detection too.
_KINDS: Final = {
    _PACKAGE + "PathAnnotationObject": ObjectKind.ANNOTATION,
    _CELL: ObjectKind.CELL,
    _PACKAGE + "PathTileObject": ObjectKind.TILE,
    _PACKAGE + "PathDetectionObject": ObjectKind.DETECTION,
    _TMA_CORE: ObjectKind.TMA_CORE,
}
_METADATA: Final = _PACKAGE + "MetadataMap"
_ID_KEY: Final = "Object ID"


@dataclass(slots=True, eq=False)
class _Open:
    """An object whose children are being read."""

    desc: ClassDesc
    number: int
    start: int
    first_handle: int
    has_children: bool
    children_left: int
    kind: int
    name: str | None
    name_inline: bool
    id_bytes: bytes
    id_text: str | None


class HierarchyReader:
    """Reads the objects of a hierarchy.

    Parameters
    ----------
    stream : JavaStream
        Where to read.
    """

    def __init__(self, stream: JavaStream) -> None:
        self._stream = stream
        self.columns = ObjectColumns(stream)
        self._alike = AlikeReader(stream, self.columns)

    def read_tree(self) -> None:
        """Read the root object and all that is below it."""
        stack = [self._open(None)]
        while stack:
            top = stack[-1]
            if top.children_left:
                top.children_left = self._alike.read(top.number, top.children_left)
            if top.children_left:
                if len(stack) > MAX_LEVELS:
                    raise self._stream.unsupported(f"objects are nested {MAX_LEVELS} levels deep")
                top.children_left -= 1
                stack.append(self._open(top.number))
            else:
                stack.pop()
                self._close(top)

    # ------------------------------------------------- an object read in full

    def _open(self, parent: int | None) -> _Open:
        """Read an object up to its children; the root is the one that has no parent."""
        stream = self._stream
        start, first_handle = stream.pos, stream.next_handle
        stream.start_spans()
        code = stream.byte("an object")
        if code == TC_REFERENCE:
            raise stream.corrupt("the same object is in the hierarchy twice")
        if code != TC_OBJECT:
            raise stream.corrupt("an object of the hierarchy is missing")
        desc = stream.begin_object().desc
        if _OBJECT not in desc.chain or not desc.flags & FLAG_EXTERNALIZABLE:
            raise stream.unsupported(f"the hierarchy holds something else: {desc.name}")
        stream.check_externalizable(desc)

        name_inline = stream.peek() not in (TC_NULL, TC_REFERENCE)
        name = self._value()
        if name is not None and not isinstance(name, str):
            raise stream.corrupt("the name of an object is no text")
        self._value()  # the colour
        id_bytes, id_text = self._read_fields()
        n_children = stream.read_raw_int()
        if n_children < 0:
            raise stream.corrupt("an object has a negative number of children")
        if n_children:
            stream.need(n_children, "the children of an object")
            stream.spans = None
        kind = next((_KINDS[link] for link in desc.chain if link in _KINDS), ObjectKind.OTHER)
        if (desc.name == _ROOT) != (parent is None):
            raise stream.corrupt("the hierarchy has no root, or a second one")
        number = -1 if parent is None else self.columns.add(kind, parent, name, id_bytes)
        return _Open(
            desc=desc,
            number=number,
            start=start,
            first_handle=first_handle,
            has_children=n_children > 0,
            children_left=n_children,
            kind=kind,
            name=name,
            name_inline=name_inline,
            id_bytes=id_bytes,
            id_text=id_text,
        )

    def _value(self) -> object:
        """Read a value of an object's own; the end of the object is none."""
        value = self._stream.read_value()
        if value is Mark.END:
            raise self._stream.corrupt("an object ends too early")
        return value

    def _read_fields(self) -> tuple[bytes, str | None]:
        """Read metadata and measurements; give the id, and its text as it was read."""
        stream = self._stream
        value = self._value()
        if isinstance(value, JavaObject) and value.desc.name == "java.util.UUID":
            # Version 4: the id, a number of fields, and as many fields.
            high, low = value.get("mostSigBits"), value.get("leastSigBits")
            if not isinstance(high, int) or not isinstance(low, int):
                raise stream.corrupt("an id has no value")
            digits = f"{high & (2**64 - 1):016x}{low & (2**64 - 1):016x}"
            cuts = (0, 8, 12, 16, 20, 32)
            text = "-".join(digits[a:b] for a, b in pairwise(cuts))
            stream.spans = None
            for _ in range(stream.read_raw_int()):
                if stream.peek() in (TC_BLOCKDATA, TC_BLOCKDATALONG):
                    break  # QuPath counts an empty map that it does not write
                self._value()
            return text.encode("ascii"), None
        id_text = None
        if isinstance(value, JavaObject) and value.desc.name == _METADATA:
            id_text = self._id_in(value)
            value = self._value()
        return (NO_ID if id_text is None else stored_id(id_text)), id_text

    def _id_in(self, metadata: JavaObject) -> str | None:
        """Find the id in an object's metadata: a version, the keys, the values."""
        stream = self._stream
        arrays = [item for item in metadata.contents or () if isinstance(item, ObjectArray)]
        if len(arrays) != 2 or len(arrays[0].items) != len(arrays[1].items):
            raise stream.corrupt("the metadata of an object make no sense")
        keys, values = (array.items for array in arrays)
        if stream.spans is not None and any(
            span.value is key for span in stream.spans for key in keys if isinstance(key, str)
        ):
            stream.spans = None  # the next object may have another key at this place
        found = None
        for key, value in zip(keys, values, strict=True):
            if key == _ID_KEY and isinstance(value, str):
                found = value
        return found

    def _close(self, item: _Open) -> None:
        """Read what comes after an object's children."""
        stream, columns = self._stream, self.columns
        chain = item.desc.chain
        if item.has_children:
            stream.spans = None
        if _ROI_OBJECT not in chain:
            stream.skip_contents()
            stream.spans = None
            return
        number = item.number
        value = self._value()
        if isinstance(value, JavaObject) and value.desc.name == "java.lang.Boolean":
            columns.locked[number] = bool(value.get("value"))
            class_at = stream.pos
            value = self._value()
        else:
            class_at = -1
        columns.class_index[number] = columns.classes.add_value(value)
        roi_at = stream.pos
        roi = self._value()
        columns.roi[number] = columns.rois.add_value(roi)
        self._skip_probability()
        nucleus_at, nucleus = -1, None
        if _CELL in chain:
            nucleus_at = stream.pos
            nucleus = self._value()
            columns.nucleus_roi[number] = columns.rois.add_value(nucleus)
        elif _TMA_CORE in chain:
            columns.missing[number] = stream.read_raw(1) != b"\0"
        stream.skip_contents()
        spans = stream.spans
        if spans is None:
            return
        stream.spans = None
        inline_class = class_at < 0 or stream.data[class_at] not in (TC_NULL, TC_REFERENCE)
        layout = (
            None if inline_class else self._layout(item, spans, roi, roi_at, nucleus, nucleus_at)
        )
        if layout is not None:
            self._alike.layouts.learn(stream.data, item.start, stream.pos, spans, layout)
        for value, at in ((roi, roi_at), (nucleus, nucleus_at)):
            if at >= 0 and stream.data[at] == TC_OBJECT:
                columns.rois.forget_value(value)
        stream.forget_handles(item.start, item.first_handle)

    def _skip_probability(self) -> None:
        stream = self._stream
        if not stream.block_left:
            stream.open_block()
        start = stream.pos
        if stream.block_left < 8:
            stream.spans = None
        stream.read_raw(8)
        stream.add_span(SpanKind.FIXED, start)

    def _layout(
        self,
        item: _Open,
        spans: list[Span],
        roi: object,
        roi_at: int,
        nucleus: object,
        nucleus_at: int,
    ) -> ObjectLayout | None:
        """Tell what objects alike mean, or None where this one does not tell."""
        columns, number = self.columns, item.number
        rois: list[int | RoiLayout] = [columns.roi[number], columns.nucleus_roi[number]]
        for index, (value, at) in enumerate(((roi, roi_at), (nucleus, nucleus_at))):
            if isinstance(value, JavaObject) and self._stream.data[at] == TC_OBJECT:
                found = columns.rois.layout_of(value, spans)
                if found is None:
                    return None
                rois[index] = found
        id_slot = -1
        if item.id_text is not None:
            slots = [i for i, span in enumerate(spans) if span.value is item.id_text]
            if len(slots) > 1:
                return None
            id_slot = slots[0] if slots else -1
        return ObjectLayout(
            n_handles=self._stream.next_handle - item.first_handle,
            kind=item.kind,
            class_index=columns.class_index[number],
            locked=bool(columns.locked[number]),
            missing=bool(columns.missing[number]),
            name=columns.names[number],
            name_slot=0 if item.name_inline else -1,
            id_bytes=item.id_bytes,
            id_slot=id_slot,
            roi=rois[0],
            nucleus_roi=rois[1],
        )
