"""A Java Object Serialization stream in plain Python: bytes in, plain values out.

It knows the stream format (Java Object Serialization Specification, chapter 6,
https://docs.oracle.com/en/java/javase/21/docs/specs/serialization/protocol.html) and nothing of
QuPath. No class is looked up and no code is run: an object becomes its class descriptor and its
fields.

The input is not trusted. Nothing recurses on the nesting of the data, every length is compared
with the bytes that remain before anything is allocated, and a reference must point at something
that was read before. Whatever goes wrong is a ``TruncatedDataError``, a ``CorruptDataError`` or
an ``UnsupportedDataError``.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.plain.bytereader import I4, I8, U2, ByteReader
from qpmask.qpdata.plain.values import (
    FLAG_BLOCK_DATA,
    FLAG_EXTERNALIZABLE,
    FLAG_WRITE_METHOD,
    ITEM_SIZES,
    PRIMITIVES,
    Block,
    ClassDesc,
    ClassValue,
    EnumConstant,
    JavaObject,
    Mark,
    ObjectArray,
    PrimitiveArray,
)

STREAM_HEADER: Final = b"\xac\xed\x00\x05"

_Items = Generator[None, object, None]
"""Asks for the values of an object or an array one by one."""


class JavaStream(ByteReader):
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
        #: What the stream can refer to.
        self.handles: list[object] = []
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

    def new_handle(self, value: object) -> int:
        """Give the next handle to a value."""
        self.handles.append(value)
        return len(self.handles) - 1

    def reference(self) -> object:
        """Read a reference, after its code; give the value."""
        self.need(4, "a reference")
        handle: int = I4.unpack_from(self.data, self.pos)[0] - k.FIRST_REFERENCE
        if not 0 <= handle < len(self.handles):
            raise self.corrupt("a reference points at nothing")
        self.pos += 4
        return self.handles[handle]

    # ------------------------------------------------------------------ texts

    def _string(self, code: int) -> str:
        if code == k.TC_STRING:
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
        if code in (k.TC_STRING, k.TC_LONGSTRING):
            return self._string(code)
        value = self.reference() if code == k.TC_REFERENCE else None
        if not isinstance(value, str):
            raise self.corrupt(missing)
        return value

    # ------------------------------------------------------------------ classes

    def read_class_desc(self) -> ClassDesc | None:
        """Read a class descriptor, a reference to one, or null."""
        pending: list[ClassDesc] = []
        parent: ClassDesc | None = None
        while (code := self.byte("a class")) == k.TC_CLASSDESC:
            pending.append(self._new_class_desc())
            if len(pending) > k.MAX_SUPER_CLASSES:
                raise self.corrupt("a class has too many super classes")
        if code == k.TC_REFERENCE:
            found = self.reference()
            if not isinstance(found, ClassDesc) or not found.levels:
                raise self.corrupt("a class refers to something that is no class")
            parent = found
        elif code == k.TC_PROXYCLASSDESC:
            raise self.unsupported("it holds a dynamic proxy class")
        elif code != k.TC_NULL:
            self.pos -= 1
            raise self.corrupt("a class description was expected")
        for desc in reversed(pending):
            desc.chain = (desc.name, *(parent.chain if parent else ()))
            desc.levels = (*(parent.levels if parent else ()), desc)
            if len(desc.levels) > k.MAX_SUPER_CLASSES:
                raise self.corrupt("a class has too many super classes")
            parent = desc
        return parent

    def _new_class_desc(self) -> ClassDesc:
        name = self.text("the name of a class")
        self.need(8, "the version of a class")
        self.pos += 8
        # The handle is taken before the fields are read; the descriptor is put there after.
        handle = self.new_handle(Mark.PENDING)
        flags = self.byte("the flags of a class")
        primitive_names: list[str] = []
        codes: list[str] = []
        object_fields: list[str] = []
        for _ in range(self.length(U2, 3, "the fields of a class")):
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
        if self.peek() != k.TC_ENDBLOCKDATA:
            raise self.unsupported(f"the class {name} has annotations")
        self.pos += 1
        fields = tuple(primitive_names), "".join(codes), tuple(object_fields)
        desc = ClassDesc(name, flags, *fields)
        self.handles[handle] = desc
        return desc

    def check_externalizable(self, desc: ClassDesc) -> None:
        """Check that the contents of an object that writes itself can be told apart."""
        if not desc.flags & FLAG_BLOCK_DATA:
            raise self.unsupported(f"the class {desc.name} is stored in an old way")

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
        value, items = self._begin_value()
        return self._finish(value, items) if items else value

    def finish_object(self, value: JavaObject) -> None:
        """Read the rest of an object whose head was read by :meth:`begin_object`."""
        self._finish(value, self._object_items(value))

    def _finish(self, value: object, items: _Items) -> object:
        """Read what is inside a value; nesting is a list here, not calls of calls."""
        stack = [(value, items)]
        sent: object = None
        while True:
            try:
                stack[-1][1].send(sent)
            except StopIteration:
                value, _ = stack.pop()
                if not stack:
                    return value
                sent = value
                continue
            if len(stack) > k.MAX_DEPTH:
                raise self.corrupt(f"it holds objects inside objects, {k.MAX_DEPTH} deep")
            sent, inside = self._begin_value()
            if inside:
                stack.append((sent, inside))
                sent = None

    def _object_items(self, value: JavaObject) -> _Items:
        """Fields class after class, the topmost first, each with what its write method added."""
        if value.desc.flags & FLAG_EXTERNALIZABLE:
            # One list of contents for the class and all its super classes.
            self.check_externalizable(value.desc)
            yield from self._contents(value)
            return
        for level in value.desc.levels:
            self.read_primitives(value, level)
            for name in level.object_fields:
                value.fields[name] = self._whole((yield), "a field of an object is missing")
            if level.flags & FLAG_WRITE_METHOD:
                yield from self._contents(value)

    def _contents(self, value: JavaObject) -> _Items:
        while (item := (yield)) is not Mark.END:
            value.contents.append(item)

    def _array_items(self, value: ObjectArray, length: int) -> _Items:
        for _ in range(length):
            value.items.append(self._whole((yield), "an item of an array is missing"))

    def _whole(self, value: object, missing: str) -> object:
        if value is Mark.END or isinstance(value, Block):
            raise self.corrupt(missing)
        return value

    def read_primitives(self, value: JavaObject, level: ClassDesc) -> None:
        """Read the primitive fields of one class of an object."""
        form = level.primitives
        self.need(form.size, f"an object of the class {level.name}")
        values = form.unpack_from(self.data, self.pos)
        value.fields.update(zip(level.primitive_names, values, strict=True))
        self.pos += form.size

    def _begin_value(self) -> tuple[object, _Items | None]:
        """Read a value, or begin one: then with what asks for all that it holds."""
        if self.block_left:
            raise self.corrupt("raw data was found where an object was expected")
        code = self.byte("a value")
        if code == k.TC_NULL:
            return None, None
        if code == k.TC_REFERENCE:
            value = self.reference()
            if value is Mark.PENDING:
                raise self.corrupt("a reference points at something incomplete")
            return value, None
        if code in (k.TC_STRING, k.TC_LONGSTRING):
            return self._string(code), None
        if code == k.TC_OBJECT:
            begun = self.begin_object()
            return begun, self._object_items(begun)
        if code == k.TC_ARRAY:
            return self._begin_array()
        if code == k.TC_ENDBLOCKDATA:
            return Mark.END, None
        if code in (k.TC_BLOCKDATA, k.TC_BLOCKDATALONG):
            self.pos -= 1
            self.open_block()
            start = self.pos
            self.pos += self.block_left
            self.block_left = 0
            return Block(start, self.pos), None
        if code == k.TC_ENUM:
            desc = self._class_of("an enum")
            handle = self.new_handle(Mark.PENDING)
            constant = EnumConstant(desc, self._read_string("an enum has no name"))
            self.handles[handle] = constant
            return constant, None
        if code == k.TC_CLASS:
            class_value = ClassValue(self._class_of("a class value"))
            self.new_handle(class_value)
            return class_value, None
        self.pos -= 1
        if code == k.TC_CLASSDESC:
            return self.read_class_desc(), None
        if code == k.TC_EXCEPTION:
            raise self.corrupt("the program that wrote it failed while doing so")
        if code == k.TC_RESET:
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

    def _begin_array(self) -> tuple[object, _Items | None]:
        desc = self._class_of("an array")
        code = desc.name[1:2]
        if not desc.name.startswith("["):
            raise self.corrupt("an array has a class that is no array")
        item_size = ITEM_SIZES.get(code, 0)
        length = self.length(I4, item_size or 1, "an array")
        if item_size:
            start = self.pos
            self.pos += length * item_size
            array = PrimitiveArray(code, start, length, self.pos)
            self.new_handle(array)
            return array, None
        value = ObjectArray(desc, [])
        self.new_handle(value)
        return value, self._array_items(value, length)

    # ------------------------------------------------------------------- blocks

    def open_block(self) -> None:
        """Read the head of a block of raw data."""
        code = self.byte("a block")
        if code == k.TC_BLOCKDATA:
            length = self.byte("a block")
        elif code == k.TC_BLOCKDATALONG:
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
