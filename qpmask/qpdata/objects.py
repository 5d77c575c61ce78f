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

from itertools import pairwise

from qpmask.qpdata.columns import NO_ID, ObjectColumns, stored_id
from qpmask.qpdata.javacodes import (
    FLAG_EXTERNALIZABLE,
    TC_BLOCKDATA,
    TC_BLOCKDATALONG,
    TC_OBJECT,
    TC_REFERENCE,
)
from qpmask.qpdata.javastream import JavaStream
from qpmask.qpdata.javavalues import JavaObject, Mark, ObjectArray
from qpmask.qpdata.kinds import (
    BOOLEAN,
    CELL,
    ID_KEY,
    METADATA,
    OBJECT,
    ROI_OBJECT,
    ROOT,
    TMA_CORE,
    UUID,
    kind_of,
)
from qpmask.qpdata.many import MAX_LEVELS, ManyReader, OpenObject


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
        self._many = ManyReader(stream, self.columns)

    def read_tree(self) -> None:
        """Read the root object and all that is below it."""
        stack = [self._open(None)]
        while stack:
            if self._many.read(stack):
                continue
            top = stack[-1]
            if top.children_left:
                if len(stack) > MAX_LEVELS:
                    raise self._stream.unsupported(f"objects are nested {MAX_LEVELS} levels deep")
                top.children_left -= 1
                opened = self._open(top.number)
                if opened.children_left:
                    stack.append(opened)
                else:
                    self._close(opened)
            else:
                stack.pop()
                self._close(top)

    # ------------------------------------------------- an object read in full

    def _open(self, parent: int | None) -> OpenObject:
        """Read an object up to its children; the root is the one that has no parent."""
        stream = self._stream
        code = stream.byte("an object")
        if code == TC_REFERENCE:
            raise stream.corrupt("the same object is in the hierarchy twice")
        if code != TC_OBJECT:
            raise stream.corrupt("an object of the hierarchy is missing")
        desc = stream.begin_object().desc
        if OBJECT not in desc.chain or not desc.flags & FLAG_EXTERNALIZABLE:
            raise stream.unsupported(f"the hierarchy holds something else: {desc.name}")
        stream.check_externalizable(desc)

        name = self._value()
        if name is not None and not isinstance(name, str):
            raise stream.corrupt("the name of an object is no text")
        self._value()  # the colour
        id_bytes = self._read_fields()
        n_children = stream.read_raw_int()
        if n_children < 0:
            raise stream.corrupt("an object has a negative number of children")
        if n_children:
            stream.need(n_children, "the children of an object")
        if (desc.name == ROOT) != (parent is None):
            raise stream.corrupt("the hierarchy has no root, or a second one")
        number = -1
        if parent is not None:
            number = self.columns.add(kind_of(desc), parent, name, id_bytes)
        return OpenObject(desc, number, n_children)

    def _value(self) -> object:
        """Read a value of an object's own; the end of the object is none."""
        value = self._stream.read_value()
        if value is Mark.END:
            raise self._stream.corrupt("an object ends too early")
        return value

    def _read_fields(self) -> bytes:
        """Read metadata and measurements; give the id."""
        stream = self._stream
        value = self._value()
        if isinstance(value, JavaObject) and value.desc.name == UUID:
            # Version 4: the id, a number of fields, and as many fields.
            high, low = value.get("mostSigBits"), value.get("leastSigBits")
            if not isinstance(high, int) or not isinstance(low, int):
                raise stream.corrupt("an id has no value")
            digits = f"{high & (2**64 - 1):016x}{low & (2**64 - 1):016x}"
            cuts = (0, 8, 12, 16, 20, 32)
            text = "-".join(digits[a:b] for a, b in pairwise(cuts))
            for _ in range(stream.read_raw_int()):
                if stream.peek() in (TC_BLOCKDATA, TC_BLOCKDATALONG):
                    break  # QuPath counts an empty map that it does not write
                self._value()
            return text.encode("ascii")
        id_text = None
        if isinstance(value, JavaObject) and value.desc.name == METADATA:
            id_text = self._id_in(value)
            self._value()
        return NO_ID if id_text is None else stored_id(id_text)

    def _id_in(self, metadata: JavaObject) -> str | None:
        """Find the id in an object's metadata: a version, the keys, the values."""
        arrays = [item for item in metadata.contents or () if isinstance(item, ObjectArray)]
        if len(arrays) != 2 or len(arrays[0].items) != len(arrays[1].items):
            raise self._stream.corrupt("the metadata of an object make no sense")
        found = None
        for key, value in zip(arrays[0].items, arrays[1].items, strict=True):
            if key == ID_KEY and isinstance(value, str):
                found = value
        return found

    def _close(self, item: OpenObject) -> None:
        """Read what comes after an object's children."""
        stream, columns = self._stream, self.columns
        chain = item.desc.chain
        if ROI_OBJECT not in chain:
            stream.end_contents("the root of the objects")
            return
        number = item.number
        value = self._value()
        if isinstance(value, JavaObject) and value.desc.name == BOOLEAN:
            columns.locked[number] = bool(value.get("value"))
            value = self._value()
        columns.class_index[number] = columns.classes.add_value(value)
        columns.roi[number] = self._read_roi()
        stream.read_raw(8)  # the probability of the class
        if CELL in chain:
            columns.nucleus_roi[number] = self._read_roi()
        elif TMA_CORE in chain:
            columns.missing[number] = stream.read_raw(1) != b"\0"
        stream.end_contents("an object")

    def _read_roi(self) -> int:
        """Read a ROI; give its number."""
        return self.columns.rois.add_value(self._value())
