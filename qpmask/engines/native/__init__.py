"""The native renderer: the pixels of QuPath's ``LabeledImageServer`` without Java.

Shapes (:mod:`.shapes`) -> a scene sorted by tile row (:mod:`.scene`) -> tiles (:mod:`.tiles`).
The kernels: :mod:`.draw` goes through the shapes of a few tiles, :mod:`.thin`, :mod:`.wide` and
:mod:`.curves` turn edges into crossings by QuPath's two rules, :mod:`.raster` turns crossings into
pixels.
"""
