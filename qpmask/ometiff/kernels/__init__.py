"""What is done with the tiles of a strip, compiled by Numba.

:mod:`qpmask.ometiff.plain` does the same without Numba, and says what each function does; tests
run both. :mod:`.pixels` turns pixels to runs and back, :mod:`.levels` works on the runs of tiles,
:mod:`.lzw` packs and unpacks them; :mod:`.calls` calls them.
"""

from qpmask.ometiff.kernels.calls import (
    assemble,
    compare,
    count,
    crop,
    decode_lzw,
    decode_lzw_runs,
    encode_lzw,
    halve,
    paint,
    runs_of,
)

__all__ = [
    "assemble",
    "compare",
    "count",
    "crop",
    "decode_lzw",
    "decode_lzw_runs",
    "encode_lzw",
    "halve",
    "paint",
    "runs_of",
]
