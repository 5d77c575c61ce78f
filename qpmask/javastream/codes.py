"""Codes of a Java stream, and flags of the classes in it."""

from __future__ import annotations

from typing import Final

STREAM_HEAD: Final = b"\xac\xed\x00\x05"

TC_NULL, TC_REFERENCE, TC_CLASSDESC, TC_OBJECT, TC_STRING, TC_ARRAY = range(0x70, 0x76)
TC_CLASS, TC_BLOCKDATA, TC_ENDBLOCKDATA, TC_RESET, TC_BLOCKDATALONG = range(0x76, 0x7B)
TC_EXCEPTION, TC_LONGSTRING, TC_PROXYCLASSDESC, TC_ENUM = range(0x7B, 0x7F)
FIRST_HANDLE: Final = 0x7E0000

SC_WRITE_METHOD, SC_SERIALIZABLE, SC_EXTERNALIZABLE, SC_BLOCK_DATA = 1, 2, 4, 8
"""Flags: objects write more than their fields; these are written; they write all there is
themselves; as blocks, with an end."""

NUMBER_BYTES: Final = {"B": 1, "C": 2, "D": 8, "F": 4, "I": 4, "J": 8, "S": 2, "Z": 1}
"""Types of fields and of items of arrays that are numbers; the others are L and [, objects."""
