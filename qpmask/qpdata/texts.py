"""Texts as Java writes them."""

from __future__ import annotations

from collections.abc import Sequence


def decode_text(raw: bytes) -> str:
    """Decode modified UTF-8 (NUL as two bytes, surrogate pairs as two threes) that was checked."""
    if raw.isascii():
        return raw.decode("ascii")
    text = raw.replace(b"\xc0\x80", b"\x00").decode("utf-8", "surrogatepass")
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class Texts:
    """The texts that were kept, each decoded once."""

    def __init__(self, data: bytes, ends: Sequence[int]) -> None:
        self._data = data
        self._ends = (0, *ends)
        self._found: dict[int, str] = {}
        self._one: dict[str, str] = {}

    def __getitem__(self, number: int) -> str:
        if number not in self._found:
            text = decode_text(self._data[self._ends[number] : self._ends[number + 1]])
            self._found[number] = self._one.setdefault(text, text)
        return self._found[number]
