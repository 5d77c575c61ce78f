"""The native renderer: the pixels of QuPath's ``LabeledImageServer`` without Java.

Objects -> shapes (:mod:`.selection`, :mod:`.shapes`) -> sorted by tile row (:mod:`.tilerows`) ->
tiles of a plane (:mod:`.plane`), and which objects left a pixel (:mod:`.seenobjects`). The kernels:
:mod:`.stripdraw` goes through the shapes of a few tiles, :mod:`.polygonfill` and :mod:`.ellipses`
through their edges, :mod:`.thinrule` and :mod:`.widerule` turn edges into crossings by QuPath's two
rules, :mod:`.crossings` turns crossings into pixels. :mod:`.library` names them all.
"""
