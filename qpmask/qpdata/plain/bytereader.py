"""Reads numbers and texts from bytes that are not trusted, and says what is wrong with them.

Every length is compared with the bytes that remain before anything is read or allocated. What
goes wrong is a ``TruncatedDataError``, a ``CorruptDataError`` or an ``UnsupportedDataError`` with
the name of the source and the offset.
"""

from __future__ import annotations

import struct
from typing import Final

from qpmask.errors import CorruptDataError, TruncatedDataError, UnsupportedDataError

U2: Final = struct.Struct(">H")
I4: Final = struct.Struct(">i")
I8: Final = struct.Struct(">q")


class ByteReader:
    """Reads big-endian numbers and Java's texts.

    Parameters
    ----------
    data : bytes
        All the bytes.
    source : str
        What to call them in messages.
    hint : str, optional
        What to do about data that cannot be read; the end of every message.
    """

    def __init__(self, data: bytes, *, source: str, hint: str | None = None) -> None:
        self.data = data
        self.size = len(data)
        self.source = source
        self.hint = hint
        self.pos = 0

    def truncated(self, what: str) -> TruncatedDataError:
        """Make the error for data that ends inside something."""
        return TruncatedDataError(
            f"{self.source} ends too early: it has {self.size:,} bytes and stops inside {what} "
            f"that starts at or after byte {min(self.pos, self.size):,}.",
            hint=self.hint,
        )

    def corrupt(self, what: str) -> CorruptDataError:
        """Make the error for data that contradicts its format."""
        return CorruptDataError(
            f"{self.source} is damaged: {what} (near byte {self.pos:,} of {self.size:,}).",
            hint=self.hint,
        )

    def unsupported(self, what: str) -> UnsupportedDataError:
        """Make the error for data of a kind that is not read."""
        return UnsupportedDataError(
            f"{self.source} cannot be read: {what} (near byte {self.pos:,} of {self.size:,}).",
            hint=self.hint,
        )

    def need(self, n_bytes: int, what: str) -> None:
        """Check that so many bytes remain."""
        if n_bytes > self.size - self.pos:
            raise self.truncated(what)

    def peek(self) -> int:
        """Give the next byte without moving on."""
        if self.pos >= self.size:
            raise self.truncated("a value")
        return self.data[self.pos]

    def byte(self, what: str) -> int:
        """Read one byte."""
        self.need(1, what)
        value = self.data[self.pos]
        self.pos += 1
        return value

    def unpack(self, form: struct.Struct, what: str) -> int:
        """Read one number."""
        self.need(form.size, what)
        value: int = form.unpack_from(self.data, self.pos)[0]
        self.pos += form.size
        return value

    def length(self, form: struct.Struct, item_size: int, what: str) -> int:
        """Read a number of items that follow, and check that so many can follow."""
        at = self.pos
        length = self.unpack(form, what)
        if length < 0:
            self.pos = at
            raise self.corrupt(f"{what} has a negative length")
        self.need(length * item_size, what)
        return length

    def decode_text(self, start: int, end: int) -> str:
        """Decode modified UTF-8 (NUL as two bytes, surrogate pairs as two threes)."""
        raw = self.data[start:end]
        if raw.isascii():
            return raw.decode("ascii")
        try:
            if max(raw) >= 0xF0:
                raise ValueError("four-byte sequences do not occur")
            text = raw.replace(b"\xc0\x80", b"\x00").decode("utf-8", "surrogatepass")
        except ValueError:
            raise self.corrupt("a text is not valid (modified UTF-8)") from None
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def text(self, what: str) -> str:
        """Read a length of two bytes and a text."""
        length = self.length(U2, 1, what)
        self.pos += length
        return self.decode_text(self.pos - length, self.pos)
