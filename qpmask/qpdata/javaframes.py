"""Objects and arrays of which only a part has been read: what to read next, and where to put it.

With these the reader keeps its own stack, so that the nesting of the data never becomes nesting
of calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qpmask.qpdata.javacodes import FLAG_EXTERNALIZABLE, FLAG_WRITE_METHOD
from qpmask.qpdata.javavalues import Block, JavaObject, Mark, ObjectArray

if TYPE_CHECKING:
    from qpmask.qpdata.javastream import JavaStream


class ObjectFrame:
    """An object of which more has to be read: field after field, class after class."""

    __slots__ = ("contents_open", "field", "level", "value")

    def __init__(self, value: JavaObject) -> None:
        self.value = value
        self.level = -1  # the class whose fields are being read, the topmost first
        self.field = 0
        self.contents_open = False

    def wants_more(self, stream: JavaStream) -> bool:
        """Read on until another value is needed; False when the object is complete."""
        desc = self.value.desc
        if self.contents_open:
            return True
        if desc.flags & FLAG_EXTERNALIZABLE:
            # One list of contents for the class and all its super classes.
            if self.level >= 0:
                return False
            stream.check_externalizable(desc)
            self.level = 0
            self.contents_open = True
            return True
        while self.level < 0 or self.field >= len(desc.levels[self.level].object_fields):
            self.level += 1
            self.field = 0
            if self.level == len(desc.levels):
                return False
            stream.read_primitives(self.value, desc.levels[self.level])
            if self._opens_contents():
                return True
        return True

    def _opens_contents(self) -> bool:
        """Go on to what the class's own write method added, if all fields are read."""
        level = self.value.desc.levels[self.level]
        if self.field == len(level.object_fields) and level.flags & FLAG_WRITE_METHOD:
            self.contents_open = True
        return self.contents_open

    def take(self, stream: JavaStream, value: object) -> None:
        """Take the value that was asked for."""
        if self.contents_open:
            if value is Mark.END:
                self.contents_open = False
            elif self.value.contents is None:
                self.value.contents = [value]
            else:
                self.value.contents.append(value)
            return
        if value is Mark.END or isinstance(value, Block):
            raise stream.corrupt("a field of an object is missing")
        if self.value.fields is None:
            self.value.fields = {}
        self.value.fields[self.value.desc.levels[self.level].object_fields[self.field]] = value
        self.field += 1
        self._opens_contents()


class ArrayFrame:
    """An array of objects of which more has to be read."""

    __slots__ = ("left", "value")

    def __init__(self, value: ObjectArray, length: int) -> None:
        self.value = value
        self.left = length

    def wants_more(self, stream: JavaStream) -> bool:
        """Tell whether another item is missing."""
        return self.left > 0

    def take(self, stream: JavaStream, value: object) -> None:
        """Take the next item."""
        if value is Mark.END or isinstance(value, Block):
            raise stream.corrupt("an item of an array is missing")
        self.value.items.append(value)
        self.left -= 1
