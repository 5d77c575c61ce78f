"""Mask files: pyramidal OME-TIFF of labels, written, read and checked."""

from qpmask.ometiff.check import CheckReport, Problem, check_mask
from qpmask.ometiff.layout import MaskLayout, PackedTile, Tile, WriteResult
from qpmask.ometiff.lzw import encode_lzw
from qpmask.ometiff.metadata import ClassRow, MaskMetadata, from_ome_xml, to_ome_xml
from qpmask.ometiff.reader import Level, MaskFile
from qpmask.ometiff.writer import write_mask

__all__ = [
    "CheckReport",
    "ClassRow",
    "Level",
    "MaskFile",
    "MaskLayout",
    "MaskMetadata",
    "PackedTile",
    "Problem",
    "Tile",
    "WriteResult",
    "check_mask",
    "encode_lzw",
    "from_ome_xml",
    "to_ome_xml",
    "write_mask",
]
