"""Kernels: the text of JSON piece by piece - white space, texts, keys, whole values.

What they read may end before the text does: each takes where it stops, and says ``SLOW`` where
the text has to be read as JSON. What is kept goes to the skeleton (:mod:`qpmask.geojson.scan`).
"""

from __future__ import annotations

from typing import Final

from qpmask.geojson import scanrecord as k
from qpmask.geojson.scanrecord import U8, Scan
from qpmask.jit import kernel

OPEN, CLOSE, BRACE, END_BRACE = 91, 93, 123, 125  # [ ] { }
COMMA, COLON, QUOTE, BACKSLASH, MINUS, DASH = 44, 58, 34, 92, 45, 45
SPACE, TAB, NEWLINE, RETURN = 32, 9, 10, 13
ZERO, NINE, UPPER_A, UPPER_F, SMALL_A, SMALL_F, SMALL_Z = 48, 57, 65, 70, 97, 102, 122
#: No place in the text: the feature must be read as JSON.
SLOW: Final = -1


@kernel
def skip(data: U8, pos: int, stop: int) -> int:
    """The next place that is no white space."""
    while pos < stop and (
        data[pos] == SPACE or data[pos] == NEWLINE or data[pos] == RETURN or data[pos] == TAB
    ):
        pos += 1
    return pos


@kernel
def put(scan: Scan, byte: int) -> None:
    """Write a byte of a skeleton; where there is no room, only count it."""
    at = scan.counts[k.ARENA]
    if at < len(scan.arena):
        scan.arena[at] = byte
    scan.counts[k.ARENA] = at + 1


@kernel
def copy(data: U8, pos: int, end: int, scan: Scan) -> None:
    """Write a piece of the text to the skeleton."""
    for i in range(pos, end):
        put(scan, data[i])


@kernel
def text_end(data: U8, pos: int, stop: int) -> tuple[int, bool]:
    """Where a text that begins with a quote ends, and whether it is plain: ASCII without escapes.

    -1 where that cannot be told.
    """
    is_plain = True
    pos += 1
    while pos < stop:
        byte = data[pos]
        if byte == QUOTE:
            return pos + 1, is_plain
        if byte < SPACE:
            return SLOW, False
        if byte == BACKSLASH:
            is_plain = False
            pos += 1
        elif byte >= 127:
            is_plain = False
        pos += 1
    return SLOW, False


@kernel
def value_end(data: U8, pos: int, stop: int) -> int:
    """Where a value ends, whatever it is; -1 if that is not before ``stop``."""
    depth = 0
    while pos < stop:
        byte = data[pos]
        if byte == QUOTE:
            pos, _ = text_end(data, pos, stop)
            if pos < 0:
                return SLOW
            if depth == 0:
                return pos
            continue
        if byte in (BRACE, OPEN):
            depth += 1
        elif byte in (END_BRACE, CLOSE):
            if depth == 0:
                return pos  # a number or a word ended
            depth -= 1
            if depth == 0:
                return pos + 1
        elif depth == 0 and (byte == COMMA or byte <= SPACE):
            return pos
        elif byte < TAB:
            return SLOW
        pos += 1
    return SLOW


@kernel
def verbatim(data: U8, pos: int, stop: int, scan: Scan) -> int:
    """Keep a value as it stands."""
    end = value_end(data, pos, stop)
    if end > pos:
        copy(data, pos, end, scan)
        return end
    return SLOW


@kernel
def word_of(data: U8, pos: int, end: int, scan: Scan) -> int:
    """Which of the known words a text between quotes is; -1 for none."""
    size = end - pos
    start = 0
    for i in range(len(scan.word_ends)):
        stop = scan.word_ends[i]
        if stop - start == size:
            same = 0
            while same < size and scan.words[start + same] == data[pos + same]:
                same += 1
            if same == size:
                return i
        start = stop
    return -1


@kernel
def key(data: U8, pos: int, stop: int, scan: Scan) -> tuple[int, int]:
    """Keep a key and its colon; where the value begins (-1 if that cannot be told) and its word."""
    at = skip(data, pos, stop)
    if at >= stop or data[at] != QUOTE:
        return SLOW, -1
    end, is_plain = text_end(data, at, stop)
    if end < 0 or not is_plain:
        return SLOW, -1
    copy(data, at, end, scan)
    put(scan, COLON)
    word = word_of(data, at + 1, end - 1, scan)
    at = skip(data, end, stop)
    if at >= stop or data[at] != COLON:
        return SLOW, -1
    at = skip(data, at + 1, stop)
    return (at, word) if at < stop else (SLOW, -1)


@kernel
def behind_value(data: U8, pos: int, stop: int, scan: Scan) -> tuple[int, bool]:
    """Behind a value of an object: where it goes on, and whether it has ended."""
    at = skip(data, pos, stop) if pos >= 0 else stop
    if at >= stop or (data[at] != COMMA and data[at] != END_BRACE):
        return SLOW, True
    put(scan, data[at])
    return at + 1, data[at] == END_BRACE


@kernel
def ends_number(byte: int) -> bool:
    """Whether a number may end before this byte."""
    return byte in (COMMA, CLOSE, END_BRACE, SPACE, NEWLINE, RETURN, TAB)
