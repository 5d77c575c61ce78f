"""Kernel: the text of a list of features -> coordinates, measurements, ids and names as columns.

What differs from one feature to the next is cut out while it is read. What is left of a feature,
its skeleton, is the same for all features of a class that one program wrote: Python parses each
skeleton once, however many features have it. Whatever is not of a common form is left to Python's
JSON reader, feature by feature: nothing is refused here, and nothing is guessed.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from qpmask.geojson import scanrecord as k
from qpmask.geojson.decimals import decimal
from qpmask.geojson.library import LIBRARY
from qpmask.geojson.scanrecord import U8, Scan
from qpmask.jit import U8_1D, kernel

_OPEN, _CLOSE, _BRACE, _END_BRACE = 91, 93, 123, 125  # [ ] { }
_COMMA, _COLON, _QUOTE, _BACKSLASH, _MINUS, _DASH = 44, 58, 34, 92, 45, 45
_SPACE, _TAB, _NEWLINE, _RETURN = 32, 9, 10, 13
_ZERO, _NINE, _UPPER_A, _UPPER_F, _SMALL_A, _SMALL_F, _SMALL_Z = 48, 57, 65, 70, 97, 102, 122
_ID_SIZE: Final = 36
#: No place in the text: the feature must be read as JSON.
_SLOW: Final = -1


@LIBRARY.entry
def scan_features(data: U8_1D, pos: int, stop: int, scan: Scan) -> int:
    """Read features until the list ends, or one reaches beyond ``stop``.

    Parameters
    ----------
    data : ndarray of uint8
        The file.
    pos : int
        Where a feature begins, or the list ends.
    stop : int
        The end of what is looked at.
    scan : Scan
        Has room for all that so many bytes can hold; but for skeletons, which are then left out.

    Returns
    -------
    int
        Where it ended; ``counts[STATUS]`` tells why.
    """
    n = scan.counts
    while True:
        at = _skip(data, pos, stop)
        if at >= stop:
            n[k.STATUS] = k.MORE
            return pos
        if data[at] == _CLOSE:
            # An empty list; after a comma the list would have to go on.
            n[k.STATUS] = k.END
            return at + 1
        first = at
        f = n[k.FEATURES]
        before = (n[k.GEOMETRIES], n[k.PARTS], n[k.RINGS], n[k.VERTICES], n[k.VALUES], n[k.IDS],
                  n[k.NAMES], n[k.HARD])  # fmt: skip
        end = _feature(data, at, stop, scan)
        skeleton = -1
        if end != _SLOW:
            skeleton = _number_of_skeleton(scan)
        if skeleton < 0:
            (n[k.GEOMETRIES], n[k.PARTS], n[k.RINGS], n[k.VERTICES], n[k.VALUES], n[k.IDS],
             n[k.NAMES], n[k.HARD]) = before  # fmt: skip
            n[k.ARENA] = 0 if n[k.SKELETONS] == 0 else scan.skeletons[n[k.SKELETONS] - 1]
            end = _whole(data, first, stop)
        at = _skip(data, end, stop) if end != _SLOW else stop
        if at >= stop:
            _take_back(n, before)
            n[k.STATUS] = k.MORE
            return pos
        if data[at] != _COMMA and data[at] != _CLOSE:
            _take_back(n, before)
            n[k.STATUS] = k.DAMAGED
            return first
        row = scan.features[f]
        row[0], row[1], row[2] = first, end, skeleton
        row[3], row[4], row[5], row[6] = before[0], before[4], before[5], before[6]
        n[k.FEATURES] = f + 1
        if data[at] == _CLOSE:
            n[k.STATUS] = k.END
            return at + 1
        pos = at + 1
        at = _skip(data, pos, stop)
        if at < stop and data[at] == _CLOSE:
            n[k.STATUS] = k.DAMAGED
            return at


@kernel
def _take_back(n: np.ndarray, before: tuple[int, ...]) -> None:
    """Forget what was read of a feature."""
    (n[k.GEOMETRIES], n[k.PARTS], n[k.RINGS], n[k.VERTICES], n[k.VALUES], n[k.IDS],
     n[k.NAMES], n[k.HARD]) = before  # fmt: skip


@kernel
def _skip(data: U8, pos: int, stop: int) -> int:
    """The next place that is no white space."""
    while pos < stop and (
        data[pos] == _SPACE or data[pos] == _NEWLINE or data[pos] == _RETURN or data[pos] == _TAB
    ):
        pos += 1
    return pos


@kernel
def _put(scan: Scan, byte: int) -> None:
    """Write a byte of a skeleton; where there is no room, only count it."""
    at = scan.counts[k.ARENA]
    if at < len(scan.arena):
        scan.arena[at] = byte
    scan.counts[k.ARENA] = at + 1


@kernel
def _copy(data: U8, pos: int, end: int, scan: Scan) -> None:
    for i in range(pos, end):
        _put(scan, data[i])


@kernel
def _text(data: U8, pos: int, stop: int) -> tuple[int, bool]:
    """Where a text that begins with a quote ends, and whether it is plain: ASCII without escapes.

    -1 where that cannot be told.
    """
    is_plain = True
    pos += 1
    while pos < stop:
        byte = data[pos]
        if byte == _QUOTE:
            return pos + 1, is_plain
        if byte < _SPACE:
            return _SLOW, False
        if byte == _BACKSLASH:
            is_plain = False
            pos += 1
        elif byte >= 127:
            is_plain = False
        pos += 1
    return _SLOW, False


@kernel
def _whole(data: U8, pos: int, stop: int) -> int:
    """Where a value ends, whatever it is; -1 if that is not before ``stop``."""
    depth = 0
    while pos < stop:
        byte = data[pos]
        if byte == _QUOTE:
            pos, _ = _text(data, pos, stop)
            if pos < 0:
                return _SLOW
            if depth == 0:
                return pos
            continue
        if byte in (_BRACE, _OPEN):
            depth += 1
        elif byte in (_END_BRACE, _CLOSE):
            if depth == 0:
                return pos  # a number or a word ended
            depth -= 1
            if depth == 0:
                return pos + 1
        elif depth == 0 and (byte == _COMMA or byte <= _SPACE):
            return pos
        elif byte < _TAB:
            return _SLOW
        pos += 1
    return _SLOW


@kernel
def _verbatim(data: U8, pos: int, stop: int, scan: Scan) -> int:
    """Keep a value as it stands."""
    end = _whole(data, pos, stop)
    if end > pos:
        _copy(data, pos, end, scan)
        return end
    return _SLOW


@kernel
def _word(data: U8, pos: int, end: int, scan: Scan) -> int:
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
def _key(data: U8, pos: int, stop: int, scan: Scan) -> tuple[int, int]:
    """Keep a key and its colon; where the value begins (-1 if that cannot be told) and its word."""
    at = _skip(data, pos, stop)
    if at >= stop or data[at] != _QUOTE:
        return _SLOW, -1
    end, is_plain = _text(data, at, stop)
    if end < 0 or not is_plain:
        return _SLOW, -1
    _copy(data, at, end, scan)
    _put(scan, _COLON)
    word = _word(data, at + 1, end - 1, scan)
    at = _skip(data, end, stop)
    if at >= stop or data[at] != _COLON:
        return _SLOW, -1
    at = _skip(data, at + 1, stop)
    return (at, word) if at < stop else (_SLOW, -1)


@kernel
def _next(data: U8, pos: int, stop: int, scan: Scan) -> tuple[int, bool]:
    """Behind a value of an object: where it goes on, and whether it has ended."""
    at = _skip(data, pos, stop) if pos >= 0 else stop
    if at >= stop or (data[at] != _COMMA and data[at] != _END_BRACE):
        return _SLOW, True
    _put(scan, data[at])
    return at + 1, data[at] == _END_BRACE


@kernel
def _feature(data: U8, pos: int, stop: int, scan: Scan) -> int:
    """Read a feature; where it ends."""
    if data[pos] != _BRACE:
        return _SLOW
    _put(scan, _BRACE)
    pos += 1
    is_done = False
    while not is_done:
        pos, word = _key(data, pos, stop, scan)
        if pos < 0 or word == k.W_COORDINATES or word == k.W_GEOMETRIES:
            return _SLOW
        if (word == k.W_GEOMETRY or word == k.W_NUCLEUS) and data[pos] == _BRACE:
            pos = _geometry(data, pos, stop, scan)
        elif word == k.W_ID:
            pos = _id(data, pos, stop, scan)
        elif word == k.W_PROPERTIES and data[pos] == _BRACE:
            pos = _properties(data, pos, stop, scan)
        elif word < 0:
            pos = _ignored(data, pos, stop, scan)
        else:
            pos = _verbatim(data, pos, stop, scan)
        if pos < 0:
            return _SLOW
        pos, is_done = _next(data, pos, stop, scan)
    return pos


@kernel
def _properties(data: U8, pos: int, stop: int, scan: Scan) -> int:
    """Read the properties of a feature."""
    _put(scan, _BRACE)
    at = _skip(data, pos + 1, stop)
    if at < stop and data[at] == _END_BRACE:
        _put(scan, _END_BRACE)
        return at + 1
    pos += 1
    is_done = False
    while not is_done:
        pos, word = _key(data, pos, stop, scan)
        if pos < 0 or word == k.W_CHILD_OBJECTS or word == k.W_CHILDREN:
            return _SLOW
        if word == k.W_MEASUREMENTS:
            pos = _measurements(data, pos, stop, scan)
        elif word == k.W_NAME:
            pos = _name(data, pos, stop, scan)
        elif word < 0 or word == k.W_ID:
            pos = _ignored(data, pos, stop, scan)
        else:
            pos = _verbatim(data, pos, stop, scan)
        if pos < 0:
            return _SLOW
        pos, is_done = _next(data, pos, stop, scan)
    return pos


@kernel
def _id(data: U8, pos: int, stop: int, scan: Scan) -> int:
    """Read an id: cut out a UUID, drop a number, keep what else there is."""
    if data[pos] == _OPEN or data[pos] == _BRACE:
        return _SLOW
    if data[pos] != _QUOTE:
        return _ignored(data, pos, stop, scan)
    end, is_plain = _text(data, pos, stop)
    if end < 0:
        return _SLOW
    if is_plain and end - pos == _ID_SIZE + 2 and _is_uuid(data, pos + 1):
        n = scan.counts[k.IDS]
        for i in range(_ID_SIZE):
            byte = data[pos + 1 + i]
            scan.ids[n, i] = byte + 32 if _UPPER_A <= byte <= _UPPER_F else byte
        scan.counts[k.IDS] = n + 1
        _put(scan, k.CUT_ID)
        return end
    is_number = end - pos > 2
    for i in range(pos + 1, end - 1):
        is_number &= _ZERO <= data[i] <= _NINE
    if is_number:
        _put(scan, _ZERO)
    else:
        _copy(data, pos, end, scan)
    return end


@kernel
def _is_uuid(data: U8, pos: int) -> bool:
    for i in range(_ID_SIZE):
        byte = data[pos + i]
        if i == 8 or i == 13 or i == 18 or i == 23:
            if byte != _DASH:
                return False
        elif not (
            _ZERO <= byte <= _NINE or _UPPER_A <= byte <= _UPPER_F or _SMALL_A <= byte <= _SMALL_F
        ):
            return False
    return True


@kernel
def _name(data: U8, pos: int, stop: int, scan: Scan) -> int:
    """Read a name: cut it out if it is plain."""
    if data[pos] == _OPEN or data[pos] == _BRACE:
        return _SLOW
    if data[pos] != _QUOTE:
        return _verbatim(data, pos, stop, scan)
    end, is_plain = _text(data, pos, stop)
    if end < 0:
        return _SLOW
    if not is_plain:
        _copy(data, pos, end, scan)
        return end
    n = scan.counts[k.NAMES]
    scan.names[n, 0], scan.names[n, 1] = pos + 1, end - 1
    scan.counts[k.NAMES] = n + 1
    _put(scan, k.CUT_NAME)
    return end


@kernel
def _ignored(data: U8, pos: int, stop: int, scan: Scan) -> int:
    """Drop what no one asks for: a plain text, a number, a list of numbers; keep what else is."""
    byte = data[pos]
    end = _SLOW
    if byte == _QUOTE:
        end, is_plain = _text(data, pos, stop)
        if not is_plain:
            end = _SLOW
    elif byte == _OPEN:
        at = pos + 1
        while True:
            at, _, _ = decimal(data, _skip(data, at, stop), stop, scan)
            if at < 0:
                break
            at = _skip(data, at, stop)
            if at < stop and data[at] == _CLOSE:
                end = at + 1
                break
            if at >= stop or data[at] != _COMMA:
                break
            at += 1
    elif byte == _MINUS or _ZERO <= byte <= _NINE:
        end, _, _ = decimal(data, pos, stop, scan)
    if end < 0:
        return _verbatim(data, pos, stop, scan)
    _put(scan, _ZERO)
    return end


@kernel
def _measurements(data: U8, pos: int, stop: int, scan: Scan) -> int:
    """Cut all numbers out of a value."""
    depth = 0
    n = scan.counts
    while pos < stop:
        byte = data[pos]
        if byte == _QUOTE:
            end, _ = _text(data, pos, stop)
            if end < 0:
                return _SLOW
            _copy(data, pos, end, scan)
            pos = end
        elif byte == _MINUS or _ZERO <= byte <= _NINE:
            end, value, is_told = decimal(data, pos, stop, scan)
            # A number has to be one for JSON: followed by what may follow one.
            if end < 0 or end >= stop or end - pos > 300 or not _ends_number(data[end]):
                return _SLOW
            at = n[k.VALUES]
            if not is_told:
                _note_hard(scan, ~at, pos, end)
            scan.values[at] = value
            n[k.VALUES] = at + 1
            _put(scan, k.CUT_VALUE)
            pos = end
        elif byte > _SPACE:
            if byte in (_BRACE, _OPEN):
                depth += 1
            elif byte in (_END_BRACE, _CLOSE):
                depth -= 1
                if depth < 0:
                    return _SLOW
            elif _SMALL_A <= byte <= _SMALL_Z or _UPPER_A <= byte <= _UPPER_A + 25:
                # null, true, false; NaN and Infinity, which Python takes
                while pos + 1 < stop and not _ends_number(data[pos + 1]):
                    _put(scan, data[pos])
                    pos += 1
                _put(scan, data[pos])
                pos += 1
                _put(scan, _SPACE)
                if depth == 0:
                    return pos
                continue
            _put(scan, data[pos])
            pos += 1
        elif byte in (_SPACE, _NEWLINE, _RETURN, _TAB):
            pos += 1
            continue
        else:
            return _SLOW
        if depth == 0:
            return pos
    return _SLOW


@kernel
def _ends_number(byte: int) -> bool:
    return byte in (_COMMA, _CLOSE, _END_BRACE, _SPACE, _NEWLINE, _RETURN, _TAB)


@kernel
def _note_hard(scan: Scan, place: int, pos: int, end: int) -> None:
    row = scan.hard[scan.counts[k.HARD]]
    row[0], row[1], row[2] = place, pos, end
    scan.counts[k.HARD] += 1


@kernel
def _geometry(data: U8, pos: int, stop: int, scan: Scan) -> int:
    """Read a geometry."""
    _put(scan, _BRACE)
    pos += 1
    is_done = False
    while not is_done:
        pos, word = _key(data, pos, stop, scan)
        if pos < 0 or word == k.W_GEOMETRIES:
            return _SLOW
        if word == k.W_COORDINATES:
            pos = _coordinates(data, pos, stop, scan)
        elif word < 0:
            pos = _ignored(data, pos, stop, scan)
        else:
            pos = _verbatim(data, pos, stop, scan)
        if pos < 0:
            return _SLOW
        pos, is_done = _next(data, pos, stop, scan)
    return pos


@kernel
def _coordinates(data: U8, pos: int, stop: int, scan: Scan) -> int:
    """Cut coordinates out: lists of pairs of numbers, all nested as deep."""
    n = scan.counts
    n_vertices, n_rings, n_parts = n[k.VERTICES], n[k.RINGS], n[k.PARTS]
    depth = 0
    while pos < stop and data[pos] == _OPEN:
        depth += 1
        pos = _skip(data, pos + 1, stop)
    if depth < 1 or depth > 4:
        return _SLOW
    while True:
        for axis in range(2):
            end, value, is_told = decimal(data, pos, stop, scan)
            if end < 0 or end - pos > 300:
                return _SLOW
            if not is_told:
                _note_hard(scan, 2 * n_vertices + axis, pos, end)
            scan.xy[2 * n_vertices + axis] = value
            pos = _skip(data, end, stop)
            if pos >= stop or data[pos] != (_CLOSE if axis else _COMMA):
                return _SLOW
            pos += 1
            if axis == 0:
                pos = _skip(data, pos, stop)
        n_vertices += 1
        level = depth - 1
        # Brackets that close, then those that open again.
        while level > 0:
            pos = _skip(data, pos, stop)
            if pos >= stop or data[pos] != _CLOSE:
                break
            pos += 1
            if level == depth - 1:
                scan.rings[n_rings] = n_vertices
                n_rings += 1
            elif level == depth - 2:
                scan.parts[n_parts] = n_rings
                n_parts += 1
            level -= 1
        if level == 0:
            break
        if pos >= stop or data[pos] != _COMMA:
            return _SLOW
        pos = _skip(data, pos + 1, stop)
        while level < depth:
            if pos >= stop or data[pos] != _OPEN:
                return _SLOW
            level += 1
            pos = _skip(data, pos + 1, stop)
    if depth == 1:
        scan.rings[n_rings] = n_vertices
        n_rings += 1
    if depth <= 2:
        scan.parts[n_parts] = n_rings
        n_parts += 1
    row = scan.geometries[n[k.GEOMETRIES]]
    row[0], row[1] = depth, n_parts
    n[k.GEOMETRIES] += 1
    n[k.VERTICES], n[k.RINGS], n[k.PARTS] = n_vertices, n_rings, n_parts
    _put(scan, k.CUT_GEOMETRY)
    _put(scan, _ZERO + depth)
    return pos


@kernel
def _number_of_skeleton(scan: Scan) -> int:
    """The number of the skeleton that was written last; -1 where there is no room for it."""
    n = scan.counts
    s = n[k.SKELETONS]
    start = 0 if s == 0 else scan.skeletons[s - 1]
    end = n[k.ARENA]
    if end > len(scan.arena):
        return -1
    code = np.uint64(14695981039346656037)
    for i in range(start, end):
        code = (code ^ np.uint64(scan.arena[i])) * np.uint64(1099511628211)
    signed = np.int64(code)
    mask = np.int64(len(scan.table) - 1)
    slot = (signed ^ (signed >> 29)) & mask
    while scan.table[slot, 1] != 0:
        if scan.table[slot, 0] == signed:
            other = scan.table[slot, 1] - 1
            at = 0 if other == 0 else scan.skeletons[other - 1]
            if scan.skeletons[other] - at == end - start:
                i = start
                while i < end and scan.arena[i] == scan.arena[at + i - start]:
                    i += 1
                if i == end:
                    n[k.ARENA] = start
                    return int(other)
        slot = (slot + 1) & mask
    if s >= len(scan.skeletons):
        return -1
    scan.table[slot, 0], scan.table[slot, 1] = signed, s + 1
    scan.skeletons[s] = end
    n[k.SKELETONS] = s + 1
    return int(s)
