"""Kernel: numbers as the text of JSON.

A measurement gets as many digits as it takes to read the same double again: 15 or 16 where those
are enough, else 17, which always are.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from qpmask.jit import kernel

U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

_POINT, _MINUS, _ZERO = 46, 45, 48
LEAST: Final = 1e-5
"""Smaller numbers than this, and those from ``MOST`` on, :func:`put_double` does not write."""
MOST: Final = 1e15

POWERS_OF_5: Final = np.array([5**i for i in range(28)], np.int64)
POWERS_OF_10: Final = np.array([10.0**i for i in range(23)])
"""All are exact."""


@kernel
def put_hundredths(hundredths: int, out: U8, n: int) -> int:
    """Write a number of hundredths with as many decimals as it needs."""
    if hundredths < 0:
        out[n] = _MINUS
        n += 1
        hundredths = -hundredths
    whole, rest = hundredths // 100, hundredths % 100
    n = _put_digits(whole, _n_digits(whole), out, n)
    if rest:
        out[n] = _POINT
        out[n + 1] = _ZERO + rest // 10
        n += 2
        if rest % 10:
            out[n] = _ZERO + rest % 10
            n += 1
    return n


@kernel
def _n_digits(number: int) -> int:
    digits = 1
    least = np.int64(10)
    while number >= least and digits < 18:
        digits += 1
        least *= 10
    return digits


@kernel
def _put_digits(number: int, digits: int, out: U8, n: int) -> int:
    for i in range(digits):
        out[n + digits - 1 - i] = _ZERO + number % 10
        number //= 10
    return n + digits


@kernel
def _seventeen_digits(bits: int, k: int, powers_of_5: I64) -> int:
    """A positive double times 10**k as a whole number, rounded; below 2**60.

    The double is M * 2**E with M below 2**53: M * 5**k, of up to 116 bits, is made in two parts of
    59 bits and shifted.
    """
    mantissa = bits & 0xFFFFFFFFFFFFF | 0x10000000000000
    shift = 1075 - (bits >> 52) - k
    five = powers_of_5[k]
    m1, m0 = mantissa >> 27, mantissa & 0x7FFFFFF
    f1, f0 = five >> 32, five & 0xFFFFFFFF
    t1, t2 = m1 * f0, m0 * f1
    low = m0 * f0 + ((t1 & 0xFFFFFFFF) << 27) + ((t2 & 0x7FFFFFF) << 32)
    high = m1 * f1 + (t1 >> 32) + (t2 >> 27)
    if shift <= 59:
        low += np.int64(1) << (shift - 1)
    else:
        high += np.int64(1) << (shift - 60)
    high += low >> 59
    low &= 0x7FFFFFFFFFFFFFF
    number: int = high >> (shift - 59) if shift >= 59 else high << (59 - shift) | low >> shift
    return number


@kernel
def put_double(value: float, bits: int, fives: I64, tens: F64, out: U8, n: int) -> int:
    """Write a number from ``LEAST`` to below ``MOST``, or its negative, or 0.

    ``bits`` are those of the number.
    """
    if value == 0.0:
        out[n], out[n + 1], out[n + 2] = _ZERO, _POINT, _ZERO
        return n + 3
    if value < 0.0:
        out[n] = _MINUS
        n += 1
        value = -value
        bits &= 0x7FFFFFFFFFFFFFFF
    # 2**e <= value, so that it has about e * log10(2) digits before the point.
    k = 16 - (((bits >> 52) - 1023) * 1233 >> 12)
    number = _seventeen_digits(bits, k, fives)
    if number >= 100_000_000_000_000_000:
        k -= 1
        number = _seventeen_digits(bits, k, fives)
    shorter = (number + 50) // 100
    if np.float64(shorter) / tens[k - 2] == value:
        number = shorter
        k -= 2
    else:
        shorter = (number + 5) // 10
        if shorter < 0x20000000000000 and np.float64(shorter) / tens[k - 1] == value:
            number = shorter
            k -= 1
    while k > 1 and number % 10 == 0:
        number //= 10
        k -= 1
    if k == 0:
        number *= 10
        k = 1
    digits = _n_digits(number)
    if k >= digits:
        out[n], out[n + 1] = _ZERO, _POINT
        n += 2
        for _ in range(k - digits):
            out[n] = _ZERO
            n += 1
        return _put_digits(number, digits, out, n)
    _put_digits(number, digits, out, n + 1)
    for i in range(digits - k):
        out[n + i] = out[n + i + 1]
    out[n + digits - k] = _POINT
    return n + digits + 1
