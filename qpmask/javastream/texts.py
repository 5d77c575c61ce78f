"""Texts as Java writes them: modified UTF-8."""

from __future__ import annotations

import struct
from collections.abc import Sequence


def utf(text: str) -> bytes:
    """Java's modified UTF-8, without its length."""
    raw = text.encode("utf-16-be", "surrogatepass")
    units = struct.unpack(f">{len(raw) // 2}H", raw)
    if all(0 < unit < 0xD800 or unit >= 0xE000 for unit in units):
        return text.encode("utf-8")
    return b"".join(
        b"\xc0\x80" if unit == 0 else chr(unit).encode("utf-8", "surrogatepass") for unit in units
    )


def decode_text(raw: bytes) -> str:
    """Decode modified UTF-8 (NUL as two bytes, surrogate pairs as two threes) that was checked."""
    if raw.isascii():
        return raw.decode("ascii")
    text = raw.replace(b"\xc0\x80", b"\x00").decode("utf-8", "surrogatepass")
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def decode_texts(data: bytes, ends: Sequence[int]) -> list[str]:
    """Decode texts that stand one behind the other; equal ones are one and the same."""
    found: dict[str, str] = {}
    texts = (decode_text(data[start:end]) for start, end in zip((0, *ends), ends, strict=False))
    return [found.setdefault(text, text) for text in texts]
