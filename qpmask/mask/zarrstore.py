"""A mask as a Zarr 3 group: an array a level, a chunk a tile, decoded when it is asked for.

The group follows OME-Zarr 0.5, so that what reads multiscale label images finds levels, pixel
sizes, and the classes' names and colours. Needs zarr, which the extra ``zarr`` installs.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest

if TYPE_CHECKING:
    from qpmask.mask.mask import Mask
    from qpmask.ometiff.directories import Level

_META = "zarr.json"


class MaskStore(Store):  # type: ignore[misc]  # zarr is optional, so unknown to mypy
    """Keys and values of a Zarr group that is really a mask. Made by ``mask.aszarr()``.

    ``zarr.json``, and for each level n ``n/zarr.json`` and ``n/c/<row>/<column>``: a full tile,
    padded at the edges of the mask, little-endian, not compressed.

    Parameters
    ----------
    mask : Mask
        The mask, which must stay open.
    """

    supports_writes = False
    supports_deletes = False
    supports_partial_writes = False
    supports_listing = True

    def __init__(self, mask: Mask) -> None:
        super().__init__(read_only=True)
        self._mask = mask
        self._documents = {_META: _json(_group(mask))}
        for number, level in enumerate(mask.levels):
            self._documents[f"{number}/{_META}"] = _json(_array(mask, level))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MaskStore) and other._identity == self._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def __repr__(self) -> str:
        return f"MaskStore({self._mask!r})"

    @property
    def _identity(self) -> tuple[object, ...]:
        return self._mask.path.absolute(), self._mask.plane_number

    def with_read_only(self, read_only: bool = True) -> MaskStore:
        """Another store of the same mask; there are none but read-only ones."""
        if not read_only:
            raise ValueError("a mask cannot be written through Zarr; use qpmask to write masks")
        return MaskStore(self._mask)

    # --- reading ------------------------------------------------------------------------------

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
        """Bytes of one key, or None where there is no such key."""
        await self._ensure_open()
        if prototype is None:
            from zarr.core.buffer import default_buffer_prototype

            prototype = default_buffer_prototype()
        value = self._documents.get(key)
        if value is None:
            place = self._place(key)
            if place is None:
                return None
            # Off the event loop: decoding lets other threads run.
            value = await asyncio.to_thread(self._chunk, *place)
        return prototype.buffer.from_bytes(_part(value, byte_range))

    async def get_partial_values(
        self, prototype: Any, key_ranges: Iterable[tuple[str, Any]]
    ) -> list[Any]:
        """Bytes of several keys, or parts of them."""
        return list(
            await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges))
        )

    async def exists(self, key: str) -> bool:
        """Whether there is such a key."""
        return key in self._documents or self._place(key) is not None

    async def list(self) -> AsyncIterator[str]:
        """All keys."""
        for number, level in enumerate(self._mask.levels):
            for row in range(level.n_rows):
                for col in range(level.n_cols):
                    yield f"{number}/c/{row}/{col}"
        for key in self._documents:
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """All keys that begin like this."""
        async for key in self.list():
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Names directly below a prefix."""
        parts = tuple(prefix.rstrip("/").split("/")) if prefix else ()
        levels = self._mask.levels
        names: Iterable[str] = ()
        if not parts:
            names = (_META, *map(str, range(len(levels))))
        else:
            number = _number(parts[0], len(levels))
            below = parts[1:]
            if number is not None and not below:
                names = (_META, "c")
            elif number is not None and below == ("c",):
                names = map(str, range(levels[number].n_rows))
            elif self._place(f"{prefix.rstrip('/')}/0") is not None:
                names = map(str, range(levels[number or 0].n_cols))
        for name in names:
            yield name

    # --- writing: never -----------------------------------------------------------------------

    async def set(self, key: str, value: Any) -> None:
        """Refused: a mask is read-only."""
        self._check_writable()

    async def delete(self, key: str) -> None:
        """Refused: a mask is read-only."""
        self._check_writable()

    async def set_partial_values(self, key_start_values: Any) -> None:
        """Refused: a mask is read-only. Zarr 3.0 asks for this method, later ones do not."""
        self._check_writable()

    # --- behind the scenes --------------------------------------------------------------------

    def _place(self, key: str) -> tuple[int, int, int] | None:
        """Level, row and column of a chunk's key."""
        parts = key.split("/")
        if len(parts) != 4 or parts[1] != "c":
            return None
        number = _number(parts[0], len(self._mask.levels))
        if number is None:
            return None
        level = self._mask.levels[number]
        row, col = _number(parts[2], level.n_rows), _number(parts[3], level.n_cols)
        return None if row is None or col is None else (number, row, col)

    def _chunk(self, number: int, row: int, col: int) -> bytes:
        tile = self._mask.levels[number].tile
        pixels = self._mask.tile(number, row, col)
        full = np.zeros((tile.height_px, tile.width_px), pixels.dtype.newbyteorder("<"))
        full[: pixels.shape[0], : pixels.shape[1]] = pixels
        return full.tobytes()


def _number(text: str, limit: int) -> int | None:
    """The number below a limit that a part of a key spells, in its one spelling."""
    if not (text.isascii() and text.isdigit() and text == str(int(text))):
        return None
    return int(text) if int(text) < limit else None


def _part(value: bytes, request: Any) -> bytes:
    if request is None:
        return value
    if isinstance(request, RangeByteRequest):
        return value[request.start : request.end]
    if isinstance(request, OffsetByteRequest):
        return value[request.offset :]
    if isinstance(request, SuffixByteRequest):
        return value[max(0, len(value) - request.suffix) :]
    raise ValueError(f"unexpected byte range {request!r}")


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode("utf-8")


def _array(mask: Mask, level: Level) -> dict[str, Any]:
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [level.size.height_px, level.size.width_px],
        "data_type": mask.dtype.name,
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": [level.tile.height_px, level.tile.width_px]},
        },
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "dimension_names": ["y", "x"],
        "attributes": {},
    }


def _group(mask: Mask) -> dict[str, Any]:
    um_x, um_y = mask.mpp or (1.0, 1.0)
    unit = {"unit": "micrometer"} if mask.mpp else {}
    datasets = [
        {
            "path": str(number),
            "coordinateTransformations": [
                {"type": "scale", "scale": [um_y * scale_y, um_x * scale_x]}
            ],
        }
        for number, (scale_x, scale_y) in enumerate(mask.level_scales)
    ]
    rows = mask.classes.values()
    label = {
        "colors": [
            {"label-value": row.label, "rgba": [*row.color, 255]} for row in rows if row.color
        ],
        "properties": [{"label-value": row.label, "name": row.name} for row in rows],
    }
    return {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": {
            "ome": {
                "version": "0.5",
                "multiscales": [
                    {
                        "name": mask.metadata.name if mask.metadata else mask.path.name,
                        "axes": [{"name": axis, "type": "space", **unit} for axis in "yx"],
                        "datasets": datasets,
                    }
                ],
                "image-label": {key: value for key, value in label.items() if value},
            }
        },
    }
