"""The parser, compiled: one pass over the stream, which fills columns (see :mod:`..parser`).

From the bottom up: ``library`` (codes and arrays), ``stream`` (values of any kind, handles),
``wkb`` and ``rois`` (vertices), ``objects`` (the hierarchy, and the whole file).
"""
