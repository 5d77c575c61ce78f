"""The codes of the Java Object Serialization format.

From the specification's chapter 6,
https://docs.oracle.com/en/java/javase/21/docs/specs/serialization/protocol.html
"""

from __future__ import annotations

import struct
from typing import Final

TC_NULL: Final = 0x70
TC_REFERENCE: Final = 0x71
TC_CLASSDESC: Final = 0x72
TC_OBJECT: Final = 0x73
TC_STRING: Final = 0x74
TC_ARRAY: Final = 0x75
TC_CLASS: Final = 0x76
TC_BLOCKDATA: Final = 0x77
TC_ENDBLOCKDATA: Final = 0x78
TC_RESET: Final = 0x79
TC_BLOCKDATALONG: Final = 0x7A
TC_EXCEPTION: Final = 0x7B
TC_LONGSTRING: Final = 0x7C
TC_PROXYCLASSDESC: Final = 0x7D
TC_ENUM: Final = 0x7E

FLAG_WRITE_METHOD: Final = 1
FLAG_SERIALIZABLE: Final = 2
FLAG_EXTERNALIZABLE: Final = 4
FLAG_BLOCK_DATA: Final = 8
FLAG_ENUM: Final = 16

FIRST_HANDLE: Final = 0x7E0000
STREAM_HEADER: Final = b"\xac\xed\x00\x05"

#: Java's type codes of primitive fields as codes of :mod:`struct`.
PRIMITIVES: Final = {
    "B": "b",
    "C": "H",
    "D": "d",
    "F": "f",
    "I": "i",
    "J": "q",
    "S": "h",
    "Z": "?",
}
ITEM_SIZES: Final = {code: struct.calcsize(">" + form) for code, form in PRIMITIVES.items()}
