"""Mask files: pyramidal OME-TIFF of labels, written, read and checked.

Each name below is loaded when it is first used: reading a mask loads nothing that writes one.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qpmask.ometiff.check import CheckReport, Problem, check_mask
    from qpmask.ometiff.layout import MaskLayout, Tile, WriteResult
    from qpmask.ometiff.lzw import encode_lzw
    from qpmask.ometiff.omexml import ClassRow, MaskMetadata, from_ome_xml, to_ome_xml
    from qpmask.ometiff.reader import Level, MaskFile
    from qpmask.ometiff.writer import write_mask

_HOMES = {
    "CheckReport": "check",
    "ClassRow": "omexml",
    "Level": "reader",
    "MaskFile": "reader",
    "MaskLayout": "layout",
    "MaskMetadata": "omexml",
    "Problem": "check",
    "Tile": "layout",
    "WriteResult": "layout",
    "check_mask": "check",
    "encode_lzw": "lzw",
    "from_ome_xml": "omexml",
    "to_ome_xml": "omexml",
    "write_mask": "writer",
}

__all__ = [
    "CheckReport",
    "ClassRow",
    "Level",
    "MaskFile",
    "MaskLayout",
    "MaskMetadata",
    "Problem",
    "Tile",
    "WriteResult",
    "check_mask",
    "encode_lzw",
    "from_ome_xml",
    "to_ome_xml",
    "write_mask",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'qpmask.ometiff' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"qpmask.ometiff.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
