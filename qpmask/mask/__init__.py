"""Masks from Python: opened lazily, indexed like an array, a tile at a time."""

from qpmask.mask.binarymask import BinaryMask
from qpmask.mask.mask import Mask, open_mask
from qpmask.mask.tilescan import ClassArea, MaskTile

__all__ = ["BinaryMask", "ClassArea", "Mask", "MaskTile", "open_mask"]
