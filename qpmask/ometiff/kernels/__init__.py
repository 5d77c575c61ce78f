"""What is done with the tiles of a strip: kernels (see :mod:`qpmask.jit`).

:mod:`.pixels` turns pixels to runs and back, :mod:`.levels` works on the runs of tiles,
:mod:`.lzwencoder` packs them, :mod:`.lzwdecoder` unpacks them; :mod:`.calls` calls them and says
what each does.
"""

from qpmask.ometiff.kernels.calls import (
    assemble,
    compare,
    count,
    crop,
    pack_runs,
    paint,
    runs_of,
    unpack_pixels,
    unpack_runs,
)

__all__ = [
    "assemble",
    "compare",
    "count",
    "crop",
    "pack_runs",
    "paint",
    "runs_of",
    "unpack_pixels",
    "unpack_runs",
]
