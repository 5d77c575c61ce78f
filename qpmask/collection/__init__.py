"""Many masks of one image by name, in one OME-Zarr file or folder: ``qpmask.MaskCollection``.

Writing, from the bottom up: ``grid`` (levels, chunks, shards as numbers), ``runkernels`` and
``bitkernels`` (what is compiled), ``chunkbits`` (a mask's share of a chunk), ``blosc`` and
``codecs`` (chunks as bytes), ``adding`` (a mask, cut into chunks) -> ``spool`` (what was added,
safe from a crash) -> ``sources`` -> ``layers`` (which masks share an array) -> ``chunkpainter``
(their chunks, put together) -> ``build`` (arrays, each shard once; ``smallerlevels``) ->
``output`` (zip or folder, beside the target, renamed). ``metadata`` is what all of it says of
itself (in ``records``; ``metadatareader`` reads it), ``arguments`` checks what callers say.

Reading: ``zipdirectory`` -> ``container`` (entries of a zip or a folder) -> ``arrays`` (chunks ->
any box of any level) -> ``pixels`` (of a mask, of several, of all) -> ``views`` (as lazy arrays)
-> ``stored`` (all masks of a file, by name). ``collection`` joins both; ``check`` reads all of it
back.

As what else: ``opening`` and ``flatmask`` (the one mask of ``qpmask.open_mask``), ``fromtiff`` (an
export), ``packing`` (files of other kinds, by ``packsources``, and back: ``niftifiles``,
``medmaskfiles``, ``ngff04``).
"""

from qpmask.collection.collection import MaskCollection

__all__ = ["MaskCollection"]
