"""Kernel: the text of a number of JSON -> the double next to it, as Python's ``float`` reads it.

Up to 15 digits and a small power of ten: one multiplication or division of numbers that are exact.
Else the digits as a whole number of 64 bits times the first 128 bits of the power of ten, which
tells the double unless the product lies too close to the middle between two (D. Lemire, Number
parsing at a gigabyte per second, Software: Practice and Experience 51, 2021,
https://arxiv.org/abs/2101.11408). What is not told so is left to Python.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from qpmask.geojson.scanrecord import MOST_TEN, Scan
from qpmask.jit import kernel

_MINUS, _PLUS, _POINT, _ZERO, _NINE = 45, 43, 46, 48, 57
_E, _E_SMALL = 69, 101
_MOST_DIGITS: Final = 19
_EXACT: Final = 1 << 53
_LOW: Final = np.uint64(0xFFFFFFFF)
_0, _1, _3, _9 = np.uint64(0), np.uint64(1), np.uint64(3), np.uint64(9)
_10: Final = np.uint64(10)
_32, _63, _64 = np.uint64(32), np.uint64(63), np.uint64(64)
_LAST_NINE: Final = np.uint64(0x1FF)
_ALL: Final = np.uint64(0xFFFFFFFFFFFFFFFF)
_TOP: Final = np.uint64(1 << 63)


@kernel
def decimal(data: np.ndarray, pos: int, stop: int, scan: Scan) -> tuple[int, float, bool]:
    """Read a number that begins at ``pos``.

    Returns
    -------
    end : int
        Where it ends; -1 where there is no number as JSON writes them.
    value : float
        The double.
    is_told : bool
        Whether it is; if not, Python has to read it.
    """
    is_negative = pos < stop and data[pos] == _MINUS
    if is_negative:
        pos += 1
    digits = _0
    n = 0  # digits without leading zeros
    start = pos
    while pos < stop and _ZERO <= data[pos] <= _NINE:
        if n or data[pos] != _ZERO:
            n += 1
        digits = digits * _10 + np.uint64(np.int64(data[pos]) - _ZERO)
        pos += 1
    if pos == start or (data[start] == _ZERO and pos - start > 1):
        return -1, 0.0, False
    power = 0
    is_whole = True
    if pos < stop and data[pos] == _POINT:
        is_whole = False
        pos += 1
        start = pos
        while pos < stop and _ZERO <= data[pos] <= _NINE:
            if n or data[pos] != _ZERO:
                n += 1
            digits = digits * _10 + np.uint64(np.int64(data[pos]) - _ZERO)
            pos += 1
        if pos == start:
            return -1, 0.0, False
        power = start - pos
    if pos < stop and (data[pos] == _E or data[pos] == _E_SMALL):
        is_whole = False
        pos += 1
        is_small = pos < stop and data[pos] == _MINUS
        if pos < stop and (data[pos] == _MINUS or data[pos] == _PLUS):
            pos += 1
        start = pos
        exponent = 0
        while pos < stop and _ZERO <= data[pos] <= _NINE:
            exponent = min(exponent * 10 + np.int64(data[pos]) - _ZERO, 100_000)
            pos += 1
        if pos == start:
            return -1, 0.0, False
        power += -exponent if is_small else exponent
    if n > _MOST_DIGITS:
        return pos, 0.0, False
    value, is_told = 0.0, True
    if digits <= np.uint64(_EXACT) and -22 <= power <= 22:
        value = float(np.int64(digits))
        if power < 0:
            value /= scan.tens[-power]
        elif power > 0:
            value *= scan.tens[power]
    else:
        value, is_told = _next_to(digits, power, scan)
    if is_negative and (value != 0.0 or not is_whole):
        value = -value
    return pos, value, is_told


@kernel
def _next_to(digits: np.uint64, power: int, scan: Scan) -> tuple[float, bool]:
    """The double next to ``digits * 10**power``, and whether it is."""
    if digits == _0:
        return 0.0, True
    if power < -MOST_TEN or power > MOST_TEN:
        return 0.0, False
    shift = 0
    while digits < _TOP:
        digits <<= _1
        shift += 1
    high, low = _product(digits, scan.powers[power + MOST_TEN, 0])
    if high & _LAST_NINE == _LAST_NINE:
        more, _ = _product(digits, scan.powers[power + MOST_TEN, 1])
        low = low + more
        if low < more:
            high = high + _1
        if low == _ALL and (power < -27 or power > 55):
            return 0.0, False
    upper = high >> _63
    cut = upper + _9
    bits = high >> cut  # 54 of them
    if low <= _1 and -4 <= power <= 23 and bits & _3 == _1 and bits << cut == high:
        bits &= ~_1  # in the middle: to the even one
    bits = (bits + (bits & _1)) >> _1
    # The first bit of the product stands for 2 to this; bits has 53 behind it.
    first = ((217706 * power) >> 16) + 63 + np.int64(upper) - shift
    place = first - 52 + 400
    if place < 0 or place > 800:
        return 0.0, False
    return float(np.int64(bits)) * scan.twos[place], True


@kernel
def _product(a: np.uint64, b: np.uint64) -> tuple[np.uint64, np.uint64]:
    """All 128 bits of a product."""
    a_low, a_high = a & _LOW, a >> _32
    b_low, b_high = b & _LOW, b >> _32
    low = a_low * b_low
    middle = a_high * b_low + (low >> _32)
    other = a_low * b_high + (middle & _LOW)
    return a_high * b_high + (middle >> _32) + (other >> _32), (other << _32) | (low & _LOW)
