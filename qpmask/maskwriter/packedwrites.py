"""One write as bytes: a head, a table with one row a piece, the packed pieces.

A piece is packed as the bits of its ``where``, if it has one, and its pixels, if it has more than
one label, both LZ4: a block is packed while its writer waits, and labels take LZ4 next to no time.
A CRC in the head covers head and table, a CRC in each row covers the piece's bytes. All numbers are
little-endian.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Any, TypeAlias

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from qpmask.maskwriter.blocks import RULES, Block, Piece, pieces_of
from qpmask.maskwriter.writerplan import WriterPlan
from qpmask.options import pixel_type

#: A label that all pixels have, or the pixels.
Pixels: TypeAlias = "int | NDArray[Any]"

MARK = b"\x89QW\n"
# Mark, CRC of what follows and of the table, number of pieces, bytes of all pieces, largest label,
# rule, bytes per pixel.
HEAD = struct.Struct("<4sLLQLBB")
_CRC_FROM = 8

PIECE = np.dtype(
    [
        ("row", "<u4"), ("col", "<u4"),
        ("y_px", "<u2"), ("x_px", "<u2"), ("height_px", "<u2"), ("width_px", "<u2"),
        ("label", "<i4"),  # -1: has pixels
        ("where_bytes", "<u4"), ("pixel_bytes", "<u4"),
        ("crc", "<u4"),
    ]
)  # fmt: skip

#: A piece with what its record says, and where its bytes are.
PLACED = np.dtype([*PIECE.descr, ("offset", "<i8"), ("rule", "u1"), ("itemsize", "u1")])

# At this "level" (LZ4's acceleration) labels pack three times faster than at 1, to the same length.
_ACCELERATION = 10


def pack_block(block: Block, tile_px: int) -> bytes:
    """A block as a record; empty if none of its pieces can change anything."""
    rows: list[tuple[int, ...]] = []
    payload: list[bytes] = []
    for piece in pieces_of(block, tile_px):
        where = b"" if piece.where is None else _pack(np.packbits(piece.where))
        pixels = b"" if piece.pixels is None else _pack(piece.pixels)
        rows.append(_row(piece, where, pixels))
        payload += (where, pixels)
    if not rows:
        return b""
    table = np.array(rows, PIECE).tobytes()
    n_bytes = sum(map(len, payload))
    values = (len(rows), n_bytes, block.largest, RULES.index(block.rule))
    head = bytearray(HEAD.pack(MARK, 0, *values, block.pixels.dtype.itemsize))
    crc = zlib.crc32(table, zlib.crc32(memoryview(head)[_CRC_FROM:]))
    struct.pack_into("<L", head, 4, crc)
    return b"".join([head, table, *payload])


def _row(piece: Piece, where: bytes, pixels: bytes) -> tuple[int, ...]:
    return (
        piece.row, piece.col, piece.y_px, piece.x_px, piece.height_px, piece.width_px,
        -1 if piece.label is None else piece.label,
        len(where), len(pixels), zlib.crc32(pixels, zlib.crc32(where)),
    )  # fmt: skip


def _pack(array: NDArray[Any]) -> bytes:
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    raw = little.reshape(-1).view(np.uint8)
    return bytes(imagecodecs.lz4_encode(raw, level=_ACCELERATION))


def placed_pieces(head: bytes, table: bytes, start: int) -> NDArray[Any] | None:
    """The pieces of a record, or None if its head or table is damaged.

    Parameters
    ----------
    head, table : bytes
        Of the record.
    start : int
        Where the bytes of its pieces start in the file.

    Returns
    -------
    ndarray of `PLACED`, or None
    """
    _, crc, n_pieces, _, _, rule, itemsize = HEAD.unpack(head)
    if zlib.crc32(table, zlib.crc32(head[_CRC_FROM:])) != crc:
        return None
    pieces = np.zeros(n_pieces, PLACED)
    rows = np.frombuffer(table, PIECE)
    for name in PIECE.names or ():
        pieces[name] = rows[name]
    pieces["rule"], pieces["itemsize"] = rule, itemsize
    lengths = packed_bytes(pieces)
    pieces["offset"] = start + np.cumsum(lengths) - lengths
    return pieces


def packed_bytes(pieces: NDArray[Any]) -> NDArray[np.int64]:
    """How many bytes each piece takes."""
    lengths: NDArray[np.int64] = pieces["where_bytes"].astype(np.int64) + pieces["pixel_bytes"]
    return lengths


def unpack_piece(piece: Any, data: bytes) -> tuple[Pixels, NDArray[np.bool_] | None]:
    """Label or pixels of a piece, and which of them are written.

    Raises
    ------
    ValueError
        If its bytes are damaged.
    """
    if zlib.crc32(data) != int(piece["crc"]):
        raise ValueError("its bytes are not those that were written")
    n_where = int(piece["where_bytes"])
    shape = (int(piece["height_px"]), int(piece["width_px"]))
    area_px = shape[0] * shape[1]
    where = None
    try:
        if n_where:
            bits = _unpack(data[:n_where], -(-area_px // 8), np.dtype(np.uint8))
            where = np.unpackbits(bits, count=area_px).reshape(shape).view(bool)
        if piece["label"] >= 0:
            return int(piece["label"]), where
        dtype = np.dtype(f"<u{piece['itemsize']}")
        pixels = _unpack(data[n_where:], area_px * dtype.itemsize, dtype)
        return pixels.reshape(shape), where
    except RuntimeError as error:
        raise ValueError(str(error)) from error


def _unpack(data: bytes, n_bytes: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    raw = imagecodecs.lz4_decode(data, out=n_bytes)
    if len(raw) != n_bytes:
        raise ValueError(f"a piece holds {len(raw):,} bytes and should hold {n_bytes:,}")
    return np.frombuffer(raw, dtype)


def makes_sense(plan: WriterPlan, table: NDArray[Any], n_bytes: int, largest: int) -> bool:
    """Whether a record that is whole says nothing impossible: the journal may be anybody's file."""
    grid, size = plan.grid, plan.size
    if not table.size or int(table["itemsize"][0]) not in (1, 2, 4):
        return False
    top = table["row"].astype(np.int64) * plan.tile_px + table["y_px"]
    left = table["col"].astype(np.int64) * plan.tile_px + table["x_px"]
    checks: Sequence[Any] = (
        table["offset"][-1] + table["where_bytes"][-1] + table["pixel_bytes"][-1]
        == table["offset"][0] + n_bytes,
        int(table["rule"][0]) < len(RULES),
        int(table["itemsize"][0]) == np.dtype(pixel_type(largest)).itemsize,
        largest <= plan.max_label,
        (table["row"] < grid.n_rows).all() and (table["col"] < grid.n_cols).all(),
        (table["height_px"] > 0).all() and (table["width_px"] > 0).all(),
        (table["y_px"].astype(int) + table["height_px"] <= plan.tile_px).all(),
        (table["x_px"].astype(int) + table["width_px"] <= plan.tile_px).all(),
        (top + table["height_px"] <= size.height_px).all(),
        (left + table["width_px"] <= size.width_px).all(),
        (table["label"] <= largest).all() and (table["label"] >= -1).all(),
    )
    return all(bool(check) for check in checks)
