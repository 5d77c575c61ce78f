"""ROIs in columns, compiled: one is added after the other; :class:`~.rois.Rois` when all are there.

A kernel gives a number, or a negative one: :data:`~qpmask.jit.growing.ROOM`.
"""

from __future__ import annotations

from typing import Annotated, Final, NamedTuple

from qpmask import jit
from qpmask.imageobjects.kinds import RoiKind
from qpmask.jit import kernel
from qpmask.jit.growing import Row, full

ROIS, BOXES, RINGS, VERTICES32, VERTICES64 = range(2, 7)
"""Places in ``n``, of the numbers of rows."""
N_COUNTS: Final = 7
_BOTH_AXES: Final = 3


class RoiColumns(NamedTuple):
    """What :class:`~.rois.Rois` holds; ``vertices`` as bits, in the order of their bytes here."""

    n: jit.I64_1D
    roi_kind: Annotated[jit.U8_1D, Row(ROIS)]
    c: Annotated[jit.I32_1D, Row(ROIS)]
    z: Annotated[jit.I32_1D, Row(ROIS)]
    t: Annotated[jit.I32_1D, Row(ROIS)]
    boxes: Annotated[jit.I64_1D, Row(BOXES, 4)]
    geometry_type: Annotated[jit.U8_1D, Row(ROIS)]
    is_empty: Annotated[jit.U8_1D, Row(ROIS)]
    ring_offsets: Annotated[jit.I64_1D, Row(ROIS)]
    ring_first: Annotated[jit.I64_1D, Row(RINGS)]
    ring_size: Annotated[jit.I64_1D, Row(RINGS)]
    ring_kind: Annotated[jit.U8_1D, Row(RINGS)]
    ring_part: Annotated[jit.I32_1D, Row(RINGS)]
    ring_is_hole: Annotated[jit.U8_1D, Row(RINGS)]
    vertices32: Annotated[jit.U32_1D, Row(VERTICES32, 2)]
    vertices64: Annotated[jit.I64_1D, Row(VERTICES64, 2)]


@kernel
def begin_roi(to: RoiColumns, kind: int, c: int, z: int, t: int) -> int:
    """Begin a ROI without rings; give its number. One that is a box has the last of ``boxes``."""
    n = to.n
    roi: int = n[ROIS]
    if roi + 2 > len(to.ring_offsets):
        return full(n, ROIS, 2)
    if RoiKind.RECTANGLE <= kind <= RoiKind.LINE:
        if 4 * n[BOXES] >= len(to.boxes):
            return full(n, BOXES, 1)
        n[BOXES] += 1
    to.roi_kind[roi] = kind
    to.c[roi], to.z[roi], to.t[roi] = c, z, t
    to.geometry_type[roi] = 0
    to.ring_offsets[roi] = to.ring_offsets[roi + 1] = n[RINGS]
    n[ROIS] = roi + 1
    return roi


@kernel
def new_ring(to: RoiColumns, pool: int, kind: int, part: int, n_points: int) -> int:
    """Begin a ring of so many vertices, in the pool of this count; give its number."""
    n = to.n
    ring: int = n[RINGS]
    if ring >= len(to.ring_first):
        return full(n, RINGS, 1)
    out = len(to.vertices64) if pool == VERTICES64 else len(to.vertices32)
    if 2 * (n[pool] + n_points) > out:
        return full(n, pool, n_points)
    to.ring_first[ring] = n[pool]
    to.ring_size[ring] = n_points
    to.ring_kind[ring] = kind
    to.ring_part[ring] = part
    to.ring_is_hole[ring] = 0
    n[RINGS] = ring + 1
    return ring


@kernel
def finish_roi(to: RoiColumns, roi: int) -> None:
    """Tell whether the last ROI is empty: no x is a number, or no y."""
    n = to.n
    to.ring_offsets[roi + 1] = n[RINGS]
    seen = 0
    for ring in range(to.ring_offsets[roi], n[RINGS]):
        first = 2 * to.ring_first[ring]
        for i in range(first, first + 2 * to.ring_size[ring]):
            if to.roi_kind[roi] == RoiKind.GEOMETRY:
                is_nan = to.vertices64[i] & 0x7FFFFFFFFFFFFFFF > 0x7FF0000000000000
            else:
                is_nan = to.vertices32[i] & 0x7FFFFFFF > 0x7F800000
            seen |= 0 if is_nan else 1 + (i & 1)
            if seen == _BOTH_AXES:
                break
        if seen == _BOTH_AXES:
            break
    to.is_empty[roi] = 0 if seen == _BOTH_AXES else 1


@kernel
def was_dropped(to: RoiColumns, roi: int) -> bool:
    """Whether the rings of a ROI were let go of."""
    if to.is_empty[roi] or RoiKind.RECTANGLE <= to.roi_kind[roi] <= RoiKind.LINE:
        return False
    return bool(to.ring_offsets[roi + 1] == to.ring_offsets[roi])


@kernel
def drop_last_outline(to: RoiColumns) -> None:
    """Let go of the rings of the ROI that was read last."""
    n = to.n
    roi = n[ROIS] - 1
    ring = to.ring_offsets[roi]
    if ring < n[RINGS]:
        in_64 = to.roi_kind[roi] == RoiKind.GEOMETRY
        n[VERTICES64 if in_64 else VERTICES32] = to.ring_first[ring]
        n[RINGS] = to.ring_offsets[roi + 1] = ring
