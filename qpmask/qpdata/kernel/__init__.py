"""The parser, compiled: one pass over the stream, which fills columns (see :mod:`..parser`).

From the bottom up, on :mod:`qpmask.javastream.reading` and :mod:`qpmask.imageobjects.roicolumns`:
``library`` (roles and arrays), ``faults`` (what may be wrong), ``texts``, ``rois``, ``metadata``
(ids), ``measured``, ``objects`` (their sequence), ``values`` (one at a time), ``datafile`` (each
taken by its role).
"""
