"""A reader of Java Object Serialization streams: bytes in, plain values out.

It knows the stream format (Java Object Serialization Specification, chapter 6,
https://docs.oracle.com/en/java/javase/21/docs/specs/serialization/protocol.html) and nothing of
QuPath. No class is looked up and no code is run: an object becomes its class description and its
fields.

The input is not trusted. Nothing recurses on the nesting of the data, every length is compared
with the bytes that remain before anything is allocated, and a reference must point at something
that was read before. Whatever goes wrong is a ``TruncatedDataError``, a ``CorruptDataError`` or
an ``UnsupportedDataError``.
"""

from __future__ import annotations

import struct
from typing import Final

from qpmask.qpdata.bytereader import I4, I8, U2
from qpmask.qpdata.javacodes import (
    FLAG_BLOCK_DATA,
    ITEM_SIZES,
    PRIMITIVES,
    STREAM_HEADER,
    TC_ARRAY,
    TC_BLOCKDATA,
    TC_BLOCKDATALONG,
    TC_CLASS,
    TC_CLASSDESC,
    TC_ENDBLOCKDATA,
    TC_ENUM,
    TC_EXCEPTION,
    TC_LONGSTRING,
    TC_NULL,
    TC_OBJECT,
    TC_PROXYCLASSDESC,
    TC_REFERENCE,
    TC_RESET,
    TC_STRING,
)
from qpmask.qpdata.javaframes import ArrayFrame, ObjectFrame
from qpmask.qpdata.javahandles import HandleReader
from qpmask.qpdata.javavalues import (
    Block,
    ClassDesc,
    ClassValue,
    EnumConstant,
    JavaObject,
    Mark,
    ObjectArray,
    PrimitiveArray,
)

#: Levels of objects inside objects. Java's own writer recurses and does not get this far.
MAX_DEPTH: Final = 1000
#: Levels of super classes.
MAX_SUPER_CLASSES: Final = 64


class JavaStream(HandleReader):
    """Reads values from a Java Object Serialization stream.

    Parameters
    ----------
    data : bytes
        The whole stream.
    source : str
        What to call it in messages.
    hint : str, optional
        What to do about a stream that cannot be read; the end of every message.
    """

    def __init__(self, data: bytes, *, source: str, hint: str | None = None) -> None:
        super().__init__(data, source=source, hint=hint)
        #: Bytes of the present block of raw data that were not read yet.
        self.block_left = 0

    def read_header(self) -> None:
        """Read the four bytes with which every stream begins."""
        head = self.data[:4]
        if head != STREAM_HEADER:
            if STREAM_HEADER.startswith(head):
                raise self.truncated("its first four bytes")
            raise self.corrupt("it does not begin like a QuPath data file")
        self.pos = 4

    # ------------------------------------------------------------------ strings

    def _string(self, code: int) -> str:
        if code == TC_STRING:
            text = self.text("a text")
        else:
            length = self.length(I8, 1, "a text")
            self.pos += length
            text = self.decode_text(self.pos - length, self.pos)
        self.new_handle(text)
        return text

    def _read_string(self, missing: str) -> str:
        """Read a text or a reference to one, and nothing else."""
        code = self.byte("a text")
        if code in (TC_STRING, TC_LONGSTRING):
            return self._string(code)
        value = self.reference() if code == TC_REFERENCE else None
        if not isinstance(value, str):
            raise self.corrupt(missing)
        return value

    # ------------------------------------------------------------------ classes

    def read_class_desc(self) -> ClassDesc | None:
        """Read a class description, a reference to one, or null."""
        if self.peek() == TC_REFERENCE:
            self.pos += 1
            return self._known_class()
        pending: list[ClassDesc] = []
        parent: ClassDesc | None = None
        while True:
            code = self.byte("a class")
            if code == TC_CLASSDESC:
                pending.append(self._new_class_desc())
                if len(pending) > MAX_SUPER_CLASSES:
                    raise self.corrupt("a class has too many super classes")
                continue
            if code == TC_REFERENCE:
                parent = self._known_class()
            elif code == TC_PROXYCLASSDESC:
                raise self.unsupported("it holds a dynamic proxy class")
            elif code != TC_NULL:
                self.pos -= 1
                raise self.corrupt("a class description was expected")
            break
        for desc in reversed(pending):
            desc.chain = (desc.name, *(parent.chain if parent else ()))
            desc.levels = (*(parent.levels if parent else ()), desc)
            if len(desc.levels) > MAX_SUPER_CLASSES:
                raise self.corrupt("a class has too many super classes")
            parent = desc
        return parent

    def _known_class(self) -> ClassDesc:
        desc = self.reference()
        if not isinstance(desc, ClassDesc) or not desc.levels:
            raise self.corrupt("a class refers to something that is no class")
        return desc

    def _new_class_desc(self) -> ClassDesc:
        name = self.text("the name of a class")
        self.need(8, "the version of a class")
        self.pos += 8
        # The handle is taken before the fields are read; the description is put there after.
        handle = self.new_handle(Mark.PENDING)
        flags = self.byte("the flags of a class")
        n_fields = self.length(U2, 3, "the fields of a class")
        primitive_names: list[str] = []
        codes: list[str] = []
        object_fields: list[str] = []
        for _ in range(n_fields):
            code = chr(self.byte("a field of a class"))
            field = self.text("the name of a field")
            if code in PRIMITIVES:
                if object_fields:
                    raise self.corrupt(f"the fields of the class {name} are out of order")
                primitive_names.append(field)
                codes.append(code)
            elif code in "L[":
                self._read_string(f"a field of the class {name} has no type")
                object_fields.append(field)
            else:
                raise self.corrupt(f"a field of the class {name} is of no known type")
        if self.peek() != TC_ENDBLOCKDATA:
            raise self.unsupported(f"the class {name} has annotations")
        self.pos += 1
        desc = ClassDesc(
            name=name,
            flags=flags,
            primitive_names=tuple(primitive_names),
            primitive_codes="".join(codes),
            primitives=struct.Struct(">" + "".join(PRIMITIVES[code] for code in codes)),
            object_fields=tuple(object_fields),
        )
        self.handles[handle] = desc
        self.classes[handle] = desc
        return desc

    def check_externalizable(self, desc: ClassDesc) -> None:
        """Check that the contents of an object that writes itself can be told apart."""
        if not desc.flags & FLAG_BLOCK_DATA:
            raise self.unsupported(f"the class {desc.name} is stored in an old way")

    def read_primitives(self, value: JavaObject, level: ClassDesc) -> None:
        """Read the primitive fields of one class of an object."""
        form = level.primitives
        if not form.size:
            return
        self.need(form.size, f"an object of the class {level.name}")
        values = form.unpack_from(self.data, self.pos)
        if value.fields is None:
            value.fields = {}
        value.fields.update(zip(level.primitive_names, values, strict=True))
        self.pos += form.size

    # ------------------------------------------------------------------- values

    def read_value(self) -> object:
        """Read the next value, whatever it is, with all that it holds.

        Returns
        -------
        object
            None, str, :class:`JavaObject`, :class:`ObjectArray`, :class:`PrimitiveArray`,
            :class:`EnumConstant`, :class:`ClassValue`, :class:`ClassDesc`, :class:`Block`, or
            ``Mark.END`` for the end of a block.
        """
        frames: list[ObjectFrame | ArrayFrame] = []
        value = self._begin_value(frames)
        return self._finish_frames(frames, value) if frames else value

    def finish_object(self, value: JavaObject) -> None:
        """Read the rest of an object whose head was read by :meth:`begin_object`."""
        self._finish_frames([ObjectFrame(value)], Mark.PENDING)

    def _finish_frames(self, frames: list[ObjectFrame | ArrayFrame], value: object) -> object:
        while frames:
            frame = frames[-1]
            if value is not Mark.PENDING:
                frame.take(self, value)
            if frame.wants_more(self):
                if len(frames) > MAX_DEPTH:
                    raise self.corrupt(f"it holds objects inside objects, {MAX_DEPTH} deep")
                value = self._begin_value(frames)
            else:
                frames.pop()
                value = frame.value
        return value

    def _begin_value(self, frames: list[ObjectFrame | ArrayFrame]) -> object:
        """Read a value, or begin one: then it is the last of ``frames``."""
        if self.block_left:
            raise self.corrupt("raw data was found where an object was expected")
        pos = self.pos
        if pos >= self.size:
            raise self.truncated("a value")
        code = self.data[pos]
        self.pos = pos + 1
        if code == TC_NULL:
            return None
        if code == TC_REFERENCE:
            value = self.reference()
            if value is Mark.PENDING:
                raise self.corrupt("a reference points at something incomplete")
            return value
        if code in (TC_STRING, TC_LONGSTRING):
            return self._string(code)
        if code == TC_OBJECT:
            value = self.begin_object()
            frames.append(ObjectFrame(value))
            return Mark.PENDING
        if code == TC_ARRAY:
            return self._begin_array(frames)
        if code == TC_ENDBLOCKDATA:
            return Mark.END
        if code in (TC_BLOCKDATA, TC_BLOCKDATALONG):
            self.pos -= 1
            self.open_block()
            start = self.pos
            self.pos += self.block_left
            self.block_left = 0
            return Block(start, self.pos)
        if code == TC_ENUM:
            desc = self._class_of("an enum")
            handle = self.new_handle(Mark.PENDING)
            constant = EnumConstant(desc, self._read_string("an enum has no name"))
            self.handles[handle] = constant
            return constant
        if code == TC_CLASS:
            class_value = ClassValue(self._class_of("a class value"))
            self.new_handle(class_value)
            return class_value
        self.pos -= 1
        if code == TC_CLASSDESC:
            return self.read_class_desc()
        if code == TC_EXCEPTION:
            raise self.corrupt("the program that wrote it failed while doing so")
        if code == TC_RESET:
            raise self.corrupt("a reset was found inside an object")
        raise self.corrupt(f"an unknown code (0x{code:02X}) was found")

    def _class_of(self, what: str) -> ClassDesc:
        desc = self.read_class_desc()
        if desc is None:
            raise self.corrupt(f"{what} has no class")
        return desc

    def begin_object(self) -> JavaObject:
        """Read the head of an object, after its code: its class; and give it its handle."""
        value = JavaObject(self._class_of("an object"))
        self.new_handle(value)
        return value

    def _begin_array(self, frames: list[ObjectFrame | ArrayFrame]) -> object:
        desc = self._class_of("an array")
        code = desc.name[1:2]
        if not desc.name.startswith("["):
            raise self.corrupt("an array has a class that is no array")
        start = self.pos
        if code in ITEM_SIZES:
            item_size = ITEM_SIZES[code]
            length = self.length(I4, item_size, "an array")
            self.pos += length * item_size
            value = PrimitiveArray(code, start + 4, length, self.pos)
            self.new_handle(value)
            return value
        length = self.length(I4, 1, "an array")
        array_value = ObjectArray(desc, [])
        self.new_handle(array_value)
        frames.append(ArrayFrame(array_value, length))
        return Mark.PENDING

    # ------------------------------------------------------------------- blocks

    def open_block(self) -> None:
        """Read the head of a block of raw data."""
        code = self.byte("a block")
        if code == TC_BLOCKDATA:
            length = self.byte("a block")
        elif code == TC_BLOCKDATALONG:
            length = self.length(I4, 1, "a block")
        else:
            self.pos -= 1
            raise self.corrupt("a number is missing: an object was found instead")
        self.need(length, "a block")
        self.block_left = length

    def read_raw(self, n_bytes: int) -> bytes:
        """Read raw data, from more than one block if need be."""
        parts = b""
        while True:
            take = min(n_bytes - len(parts), self.block_left)
            parts += self.data[self.pos : self.pos + take]
            self.pos += take
            self.block_left -= take
            if len(parts) == n_bytes:
                return parts
            self.open_block()

    def read_raw_int(self) -> int:
        """Read an int of raw data."""
        value: int = I4.unpack(self.read_raw(4))[0]
        return value

    def end_contents(self, what: str) -> None:
        """Read the end of an object that writes itself, of which everything has been read.

        Raises
        ------
        CorruptDataError
            If something else is left: then a number before it was not what was written, and what
            would be passed over may be objects that somebody drew.
        """
        if self.block_left or self.read_value() is not Mark.END:
            raise self.corrupt(f"{what} holds more than it says")

    def skip_contents(self) -> None:
        """Pass over what is left of an object that writes itself, its end included."""
        while True:
            self.pos += self.block_left
            self.block_left = 0
            if self.read_value() is Mark.END:
                return
