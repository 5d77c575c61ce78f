"""Decoding TIFF's LZW, made safe: a damaged segment is an error and not the end of the process."""

from __future__ import annotations

import imagecodecs
import numpy as np

# Widths of the codes since the table was cleared, the first bit of each, and the greatest code that
# may stand there: the entry that it makes itself. The first code must be a byte.
_WIDTHS = np.repeat(np.array([9, 10, 11, 12]), [254, 512, 1024, 2400])
_FIRST_BITS = np.cumsum(_WIDTHS) - _WIDTHS
_GREATEST = np.append(257, 257 + np.arange(1, len(_WIDTHS)))
_CLEAR, _END = 256, 257


def decode_lzw(data: bytes, out: int) -> bytes:
    """Decode a segment of TIFF's LZW that should hold ``out`` bytes.

    Raises
    ------
    ValueError
        If a code stands for a phrase that there is not: ``imagecodecs`` (2026.3) takes down the
        whole process when such a code follows one that clears the table.
    """
    _check_codes(data)
    return bytes(imagecodecs.lzw_decode(data, out=out))


def _check_codes(data: bytes) -> None:
    """Raise ValueError if a code is greater than it can be."""
    if len(data) > 1 and data[0] == 0 and data[1] & 1:
        raise ValueError("it is LZW with the low bits first, as before TIFF 5.0")
    padded = np.frombuffer(data + bytes(4), np.uint8).astype(np.uint32)
    words = padded[:-3] << 24 | padded[1:-2] << 16 | padded[2:-1] << 8 | padded[3:]
    n_bits = 8 * len(data)
    start = 0
    while start < n_bits:
        n_codes = int(np.searchsorted(_FIRST_BITS + _WIDTHS, n_bits - start, side="right"))
        first, widths = start + _FIRST_BITS[:n_codes], _WIDTHS[:n_codes]
        codes = words[first >> 3] >> (32 - (first & 7) - widths) & ((1 << widths) - 1)
        stops = np.flatnonzero((codes == _CLEAR) | (codes == _END))
        n_codes = int(stops[0]) if len(stops) else n_codes
        if (codes[:n_codes] > _GREATEST[:n_codes]).any():
            raise ValueError("a code stands for a phrase that was never made")
        if not len(stops) or codes[n_codes] == _END:
            return
        start = int(first[n_codes] + widths[n_codes])
