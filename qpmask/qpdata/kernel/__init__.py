"""The parser, compiled: one pass over the stream, which fills columns (see :mod:`..parser`).

From the bottom up: ``library`` (codes and arrays), ``stream`` (numbers, handles, texts), ``values``
(of any kind, class descriptors), ``texts`` (kept), ``wkb`` and ``rois`` (vertices), ``measured``,
``metadata`` (ids), ``pathclass``, ``objects`` (heads and tails), ``datafile`` (what follows what).
"""
