"""What is done with the tiles of a strip: kernels (see :mod:`qpmask.jit`).

:mod:`.pixels` turns pixels to runs and back, :mod:`.levels` works on the runs of tiles,
:mod:`.lzw` packs and unpacks them; :mod:`.calls` calls them and says what each does.
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
