"""MedMask's files read without MedMask: ``.msk`` (one label map) and ``.mska`` (many masks).

The layout was measured on files of version 0.1.3. All numbers are little-endian. Both begin with a
magic of four bytes, the version (1, 0), the codec (0 is zstd), and pairs of offset and length: of
the space (JSON; axes x, y, z), of the names (``.msk``: JSON of name to label; ``.mska``: JSON, a
list of name, offset, length and such a mapping), and of the data. An array is a flag (1 for packed
bits), its dtype and shape with their lengths, and a zstd frame of all of it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from qpmask.errors import MaskError

_ARCHIVE = struct.Struct("<4s2BB7Q27x")
_SINGLE = struct.Struct("<4s2BB6Q7x")
_MAX_BYTES = 2**36

Entry = tuple[str, NDArray[Any], dict[str, int]]


def read_medmask(path: Path) -> tuple[dict[str, Any], Iterator[Entry]]:
    """A file of MedMask's.

    Returns
    -------
    space : dict
        What it says of the image: ``spacing``, ``origin``, ``direction``, ``shape`` in the order
        x, y, z.
    entries : iterator of (str, ndarray, dict of str to int)
        Name, array and labels by name of each mask; a ``.msk`` has one, called like the file.

    Raises
    ------
    MaskError
        It is damaged, or another version.
    """
    text = b""
    try:
        data = path.read_bytes()
        if data[:4] == b"MSKA":
            magic, *version, codec, s_at, s_n, i_at, i_n, _, _, _ = _ARCHIVE.unpack_from(data)
        elif data[:4] == b"MSK1":
            magic, *version, codec, s_at, s_n, i_at, i_n, d_at, d_n = _SINGLE.unpack_from(data)
        else:
            raise ValueError("it does not begin as MedMask's files do")
        if version != [1, 0] or codec != 0:
            raise ValueError(f"version {version} and codec {codec} are not known")
        space = json.loads(_part(data, s_at, s_n))
        text = _part(data, i_at, i_n)
        index = json.loads(text.rstrip(b"\0") or b"[]")
        if magic == b"MSK1":
            index = [{"name": path.stem, "offset": d_at, "length": d_n, "mapping": index}]
        rows = [
            (str(row["name"]), int(row["offset"]), int(row["length"]),
             {str(k): int(v) for k, v in row["mapping"].items()})
            for row in index
        ]  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, struct.error, RecursionError) as error:
        hint = "Is it whole?"
        if isinstance(error, json.JSONDecodeError) and text and text[-1:] != b"\0":
            hint = (
                "Its index fills all of its room, beyond which MedMask 0.1.3 writes over the first "
                "masks where the names of labels are long or many. Save each mask as a .msk."
            )
        raise MaskError(f"{path} cannot be read: {error}.", hint=hint) from error
    return space if isinstance(space, dict) else {}, _arrays(path, data, rows)


def _arrays(
    path: Path, data: bytes, rows: list[tuple[str, int, int, dict[str, int]]]
) -> Iterator[Entry]:
    for name, offset, length, mapping in rows:
        try:
            yield name, _array(_part(data, offset, length)), mapping
        except Exception as error:  # whatever a decoder makes of damaged bytes
            raise MaskError(f"The mask {name!r} of {path} cannot be read: {error}.") from error


def _array(blob: bytes) -> NDArray[Any]:
    is_packed, n_dtype = blob[0], blob[1]
    dtype = np.dtype(blob[2 : 2 + n_dtype].decode())
    if dtype.kind not in "bui":
        raise ValueError(f"its type is {dtype}")
    at = 2 + n_dtype
    n_axes = blob[at]
    shape = tuple(np.frombuffer(blob, "<i8", n_axes, at + 1).tolist())
    if not shape or min(shape) < 1:
        raise ValueError(f"its shape is {shape}")
    size = int(np.prod([float(n) for n in shape]))
    n_bytes = -(-size // 8) if is_packed else size * dtype.itemsize
    if n_bytes > _MAX_BYTES:
        raise ValueError(f"its shape is {shape}")
    raw = np.frombuffer(imagecodecs.zstd_decode(blob[at + 1 + 8 * n_axes :], out=n_bytes), np.uint8)
    if len(raw) != n_bytes:
        raise ValueError(f"it holds {len(raw):,} bytes instead of {n_bytes:,}")
    if is_packed:
        return np.unpackbits(raw, count=size).reshape(shape).view(np.bool_)
    return raw.view(dtype).reshape(shape)


def _part(data: bytes, offset: int, length: int) -> bytes:
    if not 0 <= offset <= offset + length <= len(data):
        raise ValueError("it ends too early")
    return data[offset : offset + length]
