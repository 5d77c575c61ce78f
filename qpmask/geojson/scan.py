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
from qpmask.geojson.scantext import (
    BRACE,
    CLOSE,
    COMMA,
    DASH,
    END_BRACE,
    MINUS,
    NEWLINE,
    NINE,
    OPEN,
    QUOTE,
    RETURN,
    SLOW,
    SMALL_A,
    SMALL_F,
    SMALL_Z,
    SPACE,
    TAB,
    UPPER_A,
    UPPER_F,
    ZERO,
    behind_value,
    copy,
    ends_number,
    key,
    put,
    skip,
    text_end,
    value_end,
    verbatim,
)  # fmt: skip
from qpmask.jit import U8_1D, kernel

_ID_SIZE: Final = 36


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
        at = skip(data, pos, stop)
        if at >= stop:
            n[k.STATUS] = k.MORE
            return pos
        if data[at] == CLOSE:
            # An empty list; after a comma the list would have to go on.
            n[k.STATUS] = k.END
            return at + 1
        first = at
        f = n[k.FEATURES]
        before = (n[k.GEOMETRIES], n[k.PARTS], n[k.RINGS], n[k.VERTICES], n[k.VALUES], n[k.IDS],
                  n[k.NAMES], n[k.HARD])  # fmt: skip
        end = _feature(data, at, stop, scan)
        skeleton = -1
        if end != SLOW:
            skeleton = _number_of_skeleton(scan)
        if skeleton < 0:
            (n[k.GEOMETRIES], n[k.PARTS], n[k.RINGS], n[k.VERTICES], n[k.VALUES], n[k.IDS],
             n[k.NAMES], n[k.HARD]) = before  # fmt: skip
            n[k.ARENA] = 0 if n[k.SKELETONS] == 0 else scan.skeletons[n[k.SKELETONS] - 1]
            end = value_end(data, first, stop)
        at = skip(data, end, stop) if end != SLOW else stop
        if at >= stop:
            _take_back(n, before)
            n[k.STATUS] = k.MORE
            return pos
        if data[at] != COMMA and data[at] != CLOSE:
            _take_back(n, before)
            n[k.STATUS] = k.DAMAGED
            return first
        row = scan.features[f]
        row[0], row[1], row[2] = first, end, skeleton
        row[3], row[4], row[5], row[6] = before[0], before[4], before[5], before[6]
        n[k.FEATURES] = f + 1
        if data[at] == CLOSE:
            n[k.STATUS] = k.END
            return at + 1
        pos = at + 1
        at = skip(data, pos, stop)
        if at < stop and data[at] == CLOSE:
            n[k.STATUS] = k.DAMAGED
            return at


@kernel
def _take_back(n: np.ndarray, before: tuple[int, ...]) -> None:
    """Forget what was read of a feature."""
    (n[k.GEOMETRIES], n[k.PARTS], n[k.RINGS], n[k.VERTICES], n[k.VALUES], n[k.IDS],
     n[k.NAMES], n[k.HARD]) = before  # fmt: skip


@kernel
def _feature(data: U8, pos: int, stop: int, scan: Scan) -> int:
    """Read a feature; where it ends."""
    if data[pos] != BRACE:
        return SLOW
    put(scan, BRACE)
    pos += 1
    is_done = False
    while not is_done:
        pos, word = key(data, pos, stop, scan)
        if pos < 0 or word == k.W_COORDINATES or word == k.W_GEOMETRIES:
            return SLOW
        if (word == k.W_GEOMETRY or word == k.W_NUCLEUS) and data[pos] == BRACE:
            pos = _geometry(data, pos, stop, scan)
        elif word == k.W_ID:
            pos = _id(data, pos, stop, scan)
        elif word == k.W_PROPERTIES and data[pos] == BRACE:
            pos = _properties(data, pos, stop, scan)
        elif word < 0:
            pos = _ignored(data, pos, stop, scan)
        else:
            pos = verbatim(data, pos, stop, scan)
        if pos < 0:
            return SLOW
        pos, is_done = behind_value(data, pos, stop, scan)
    return pos


@kernel
def _properties(data: U8, pos: int, stop: int, scan: Scan) -> int:
    """Read the properties of a feature."""
    put(scan, BRACE)
    at = skip(data, pos + 1, stop)
    if at < stop and data[at] == END_BRACE:
        put(scan, END_BRACE)
        return at + 1
    pos += 1
    is_done = False
    while not is_done:
        pos, word = key(data, pos, stop, scan)
        if pos < 0 or word == k.W_CHILD_OBJECTS or word == k.W_CHILDREN:
            return SLOW
        if word == k.W_MEASUREMENTS:
            pos = _measurements(data, pos, stop, scan)
        elif word == k.W_NAME:
            pos = _name(data, pos, stop, scan)
        elif word == k.W_ID:
            pos = _id(data, pos, stop, scan)
        elif word < 0:
            pos = _ignored(data, pos, stop, scan)
        else:
            pos = verbatim(data, pos, stop, scan)
        if pos < 0:
            return SLOW
        pos, is_done = behind_value(data, pos, stop, scan)
    return pos


@kernel
def _id(data: U8, pos: int, stop: int, scan: Scan) -> int:
    """Read an id: cut out a UUID, drop a number, keep what else there is."""
    if data[pos] == OPEN or data[pos] == BRACE:
        return SLOW
    if data[pos] != QUOTE:
        return _ignored(data, pos, stop, scan)
    end, is_plain = text_end(data, pos, stop)
    if end < 0:
        return SLOW
    if is_plain and end - pos == _ID_SIZE + 2 and _is_uuid(data, pos + 1):
        n = scan.counts[k.IDS]
        for i in range(_ID_SIZE):
            byte = data[pos + 1 + i]
            scan.ids[n, i] = byte + 32 if UPPER_A <= byte <= UPPER_F else byte
        scan.counts[k.IDS] = n + 1
        put(scan, k.CUT_ID)
        return end
    is_number = end - pos > 2
    for i in range(pos + 1, end - 1):
        is_number &= ZERO <= data[i] <= NINE
    if is_number:
        put(scan, ZERO)
    else:
        copy(data, pos, end, scan)
    return end


@kernel
def _is_uuid(data: U8, pos: int) -> bool:
    for i in range(_ID_SIZE):
        byte = data[pos + i]
        if i == 8 or i == 13 or i == 18 or i == 23:
            if byte != DASH:
                return False
        elif not (ZERO <= byte <= NINE or UPPER_A <= byte <= UPPER_F or SMALL_A <= byte <= SMALL_F):
            return False
    return True


@kernel
def _name(data: U8, pos: int, stop: int, scan: Scan) -> int:
    """Read a name: cut it out if it is plain."""
    if data[pos] == OPEN or data[pos] == BRACE:
        return SLOW
    if data[pos] != QUOTE:
        return verbatim(data, pos, stop, scan)
    end, is_plain = text_end(data, pos, stop)
    if end < 0:
        return SLOW
    if not is_plain:
        copy(data, pos, end, scan)
        return end
    n = scan.counts[k.NAMES]
    scan.names[n, 0], scan.names[n, 1] = pos + 1, end - 1
    scan.counts[k.NAMES] = n + 1
    put(scan, k.CUT_NAME)
    return end


@kernel
def _ignored(data: U8, pos: int, stop: int, scan: Scan) -> int:
    """Drop what no one asks for: a plain text, a number, a list of numbers; keep what else is."""
    byte = data[pos]
    end = SLOW
    if byte == QUOTE:
        end, is_plain = text_end(data, pos, stop)
        if not is_plain:
            end = SLOW
    elif byte == OPEN:
        at = pos + 1
        while True:
            at, _, _ = decimal(data, skip(data, at, stop), stop, scan)
            if at < 0:
                break
            at = skip(data, at, stop)
            if at < stop and data[at] == CLOSE:
                end = at + 1
                break
            if at >= stop or data[at] != COMMA:
                break
            at += 1
    elif byte == MINUS or ZERO <= byte <= NINE:
        end, _, _ = decimal(data, pos, stop, scan)
    if end < 0:
        return verbatim(data, pos, stop, scan)
    put(scan, ZERO)
    return end


@kernel
def _measurements(data: U8, pos: int, stop: int, scan: Scan) -> int:
    """Cut all numbers out of a value."""
    depth = 0
    n = scan.counts
    while pos < stop:
        byte = data[pos]
        if byte == QUOTE:
            end, _ = text_end(data, pos, stop)
            if end < 0:
                return SLOW
            copy(data, pos, end, scan)
            pos = end
        elif byte == MINUS or ZERO <= byte <= NINE:
            end, value, is_told = decimal(data, pos, stop, scan)
            # A number has to be one for JSON: followed by what may follow one.
            if end < 0 or end >= stop or end - pos > 300 or not ends_number(data[end]):
                return SLOW
            at = n[k.VALUES]
            if not is_told:
                _note_hard(scan, ~at, pos, end)
            scan.values[at] = value
            n[k.VALUES] = at + 1
            put(scan, k.CUT_VALUE)
            pos = end
        elif byte > SPACE:
            if byte in (BRACE, OPEN):
                depth += 1
            elif byte in (END_BRACE, CLOSE):
                depth -= 1
                if depth < 0:
                    return SLOW
            elif SMALL_A <= byte <= SMALL_Z or UPPER_A <= byte <= UPPER_A + 25:
                # null, true, false; NaN and Infinity, which Python takes
                while pos + 1 < stop and not ends_number(data[pos + 1]):
                    put(scan, data[pos])
                    pos += 1
                put(scan, data[pos])
                pos += 1
                put(scan, SPACE)
                if depth == 0:
                    return pos
                continue
            put(scan, data[pos])
            pos += 1
        elif byte in (SPACE, NEWLINE, RETURN, TAB):
            pos += 1
            continue
        else:
            return SLOW
        if depth == 0:
            return pos
    return SLOW


@kernel
def _note_hard(scan: Scan, place: int, pos: int, end: int) -> None:
    row = scan.hard[scan.counts[k.HARD]]
    row[0], row[1], row[2] = place, pos, end
    scan.counts[k.HARD] += 1


@kernel
def _geometry(data: U8, pos: int, stop: int, scan: Scan) -> int:
    """Read a geometry."""
    put(scan, BRACE)
    pos += 1
    is_done = False
    while not is_done:
        pos, word = key(data, pos, stop, scan)
        if pos < 0 or word == k.W_GEOMETRIES:
            return SLOW
        if word == k.W_COORDINATES:
            pos = _coordinates(data, pos, stop, scan)
        elif word < 0:
            pos = _ignored(data, pos, stop, scan)
        else:
            pos = verbatim(data, pos, stop, scan)
        if pos < 0:
            return SLOW
        pos, is_done = behind_value(data, pos, stop, scan)
    return pos


@kernel
def _coordinates(data: U8, pos: int, stop: int, scan: Scan) -> int:
    """Cut coordinates out: lists of pairs of numbers, all nested as deep."""
    n = scan.counts
    n_vertices, n_rings, n_parts = n[k.VERTICES], n[k.RINGS], n[k.PARTS]
    depth = 0
    while pos < stop and data[pos] == OPEN:
        depth += 1
        pos = skip(data, pos + 1, stop)
    if depth < 1 or depth > 4:
        return SLOW
    while True:
        for axis in range(2):
            end, value, is_told = decimal(data, pos, stop, scan)
            if end < 0 or end - pos > 300:
                return SLOW
            if not is_told:
                _note_hard(scan, 2 * n_vertices + axis, pos, end)
            scan.xy[2 * n_vertices + axis] = value
            pos = skip(data, end, stop)
            if pos >= stop or data[pos] != (CLOSE if axis else COMMA):
                return SLOW
            pos += 1
            if axis == 0:
                pos = skip(data, pos, stop)
        n_vertices += 1
        level = depth - 1
        # Brackets that close, then those that open again.
        while level > 0:
            pos = skip(data, pos, stop)
            if pos >= stop or data[pos] != CLOSE:
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
        if pos >= stop or data[pos] != COMMA:
            return SLOW
        pos = skip(data, pos + 1, stop)
        while level < depth:
            if pos >= stop or data[pos] != OPEN:
                return SLOW
            level += 1
            pos = skip(data, pos + 1, stop)
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
    put(scan, k.CUT_GEOMETRY)
    put(scan, ZERO + depth)
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
