"""Reads one geometry in well-known binary; see :mod:`qpmask.qpdata.kernel.wkb`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.kernel.wkb import MAX_DEPTH, WRONG, Rings, read_geometry


class WkbError(ValueError):
    """The bytes are no geometry; private to this package."""


@dataclass(frozen=True, eq=False)
class WkbRings:
    """The rings of a geometry, as in :class:`~qpmask.qpdata.model.Rois`.

    ``geometry_type`` is the type of the whole, 1 (Point) to 7 (GeometryCollection);
    ``vertices_px0`` is float64 (n, 2).
    """

    geometry_type: int
    sizes: npt.NDArray[np.int64]
    types: npt.NDArray[np.uint8]
    parts: npt.NDArray[np.int32]
    holes: npt.NDArray[np.uint8]
    vertices_px0: npt.NDArray[np.float64]


def read_wkb(data: bytes) -> WkbRings:
    """Read a geometry.

    Raises
    ------
    WkbError
        The bytes are no geometry of a known type.
    """
    n_rings, n_vertices = len(data) // 4 + 1, len(data) // 16 + 1
    rings = Rings(
        np.zeros(k.N_NUMBERS, np.int64),
        np.zeros(n_rings, np.int64),
        np.zeros(n_rings, np.int64),
        np.zeros(n_rings, np.uint8),
        np.zeros(n_rings, np.int32),
        np.zeros(n_rings, np.uint8),
        np.zeros(2 * n_vertices, np.int64),
        np.zeros((MAX_DEPTH + 1, 3), np.int64),
    )
    found = read_geometry(np.frombuffer(data, np.uint8), rings)
    if found < 0:
        raise WkbError(WRONG[found])
    ring = slice(rings.n[k.RINGS])
    vertices = rings.vertices64[: 2 * rings.n[k.VERTICES64]].view(np.float64).reshape(-1, 2)
    return WkbRings(found, rings.ring_size[ring], rings.ring_kind[ring], rings.ring_part[ring],
                    rings.ring_is_hole[ring], vertices)  # fmt: skip
