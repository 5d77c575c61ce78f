"""Masks from Python: blocks of labels in, in any order, a checked pyramidal OME-TIFF out.

::

    write(x, y, block) -> blocks: checked, clipped, cut along tiles
                       -> records: packed as one record a write
                       -> journal: appended to PATH.writing; survives a crash from here on
    close()            -> replay: the writes of each tile, in their order
                       -> finish: write_mask, check_mask, rename to PATH

A write changes nothing that was written before: it only appends. That is why it needs no memory for
the mask, why it is safe from several threads, and why a killed process loses nothing.
"""

from qpmask.maskwriter.finish import finalize
from qpmask.maskwriter.writer import MaskWriter

__all__ = ["MaskWriter", "finalize"]
