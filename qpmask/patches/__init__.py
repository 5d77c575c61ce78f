"""Patches: a slide, its tissue and its mask become the places to train on, in one HDF5 a slide.

From the bottom up: ``options`` (what is asked for), ``lattice`` (sizes and places, rounded once),
``table`` (the columns of a patch file), ``h5file`` (the file; nothing else writes HDF5),
``classfractions`` (classes of the cells, from the runs of a mask; ``chunkruns`` of collections),
``sources`` (inputs become slides),
``tissuefile`` (a mask or GeoJSON of tissue), ``precheck`` (what is wrong for all slides alike),
``skipping`` (what holds, and what changed, in words), ``patchrecords`` (what is written down),
``optionaloutputs`` (pictures, images, views: ``otherprograms``), ``job`` (one slide), ``run`` (all:
:func:`make_patches`); ``reading`` (:func:`open_patches`).
"""

from qpmask.patches.options import PatchOptions, patch_options
from qpmask.patches.reading import Patch, Patches, open_patches

__all__ = ["Patch", "PatchOptions", "Patches", "open_patches", "patch_options"]
