"""The parser, compiled: one pass over the stream, which fills columns (see :mod:`..parser`).

From the bottom up: ``library`` (codes and arrays), ``faults`` (what may be wrong), ``stream``
(numbers, handles, texts), ``classes`` (descriptors), ``wkb`` and ``rois`` (vertices), ``metadata``
(ids), ``measured``, ``objects`` (their sequence), ``values`` (one at a time), ``datafile`` (each
taken by its role).
"""
