"""The parser, compiled: one pass over the stream, which fills columns (see :mod:`..parser`).

From the bottom up: ``library`` (codes and arrays), ``stream`` (values of any kind, handles),
``texts`` (kept), ``wkb`` and ``rois`` (vertices), ``metadata`` (ids), ``pathclass``, ``objects``
(heads and tails), ``datafile`` (what follows what).
"""
