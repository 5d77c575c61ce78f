"""The kernels that trace masks, compiled together, and what they work in."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qpmask import jit

LIBRARY = jit.Library(
    "polygons",
    [f"{__package__}.{name}" for name in ("library", "sweep", "rings")] + ["qpmask.ometiff.runs"],
)


I64 = NDArray[np.int64]
I32 = NDArray[np.int32]

# What the entries of Sweep.counts are.
Y: Final = 0  # row of the image that comes next
ROW: Final = 1  # the same within the strip
SIDE: Final = 2  # which half of the row arrays is the row above
N_ABOVE: Final = 3  # runs of the row above
NODES_USED: Final = 4  # nodes in chains that are open
NODES_MADE: Final = 5  # nodes that were ever used
NODE_FREE: Final = 6  # first node that is free again, -1 for none
ENDS_MADE: Final = 7
END_FREE: Final = 8
COMPONENTS: Final = 9
CORNERS: Final = 10  # corners in open chains where the region touches itself across
VERTICES: Final = 11  # vertices given out
RINGS: Final = 12  # rings given out
ROOM_FOR: Final = 13  # nodes, in and out of chains, that the next row may take
N_COUNTS: Final = 14


class Sweep(NamedTuple):
    """All that a sweep over the rows of a mask knows; see :mod:`.sweep`.

    Attributes
    ----------
    counts : ndarray of int64
        Numbers, at the places named above.
    cursor : ndarray of int64, shape (2, n_tiles)
        The run that each tile has come to; and after the row that is being read.
    x_end, label, left, right, component, partner, across : ndarray of int64, shape (2, width + 1)
        Runs of two rows: where they end, their label, the ends of the chains at their left and
        right side, their component, the last run of the other row that they touch, and whether
        the region touches itself across their left (1) and right (2) corner.
    node_x, node_y, node_next : ndarray of int32
        Vertices in chains. ``~x`` where the region touches itself across the vertex.
    end_node, end_other : ndarray of int32
        Ends of chains: their vertex, and the other end of the same chain.
    parent : ndarray of int32
        Components: each leads to another one that it is a part of, or to itself.
    of_label : ndarray of int64
        Their labels.
    xy : ndarray of int32
        Vertices that were given out: x, y, x, y and so on.
    ring_end, ring_component, ring_area2 : ndarray of int64
        Rings that were given out: where they end in ``xy`` (in vertices), their component, and
        twice their area: negative if they are holes.
    stack : ndarray of int32
        Vertices of a ring that is being cut.
    seen : ndarray of int64, shape (2, power of two)
        A table of vertices (as one number, plus 1; 0 where nothing is), and where they are on the
        stack.
    """

    counts: jit.I64_1D
    cursor: jit.I64_2D
    x_end: jit.I64_2D
    label: jit.I64_2D
    left: jit.I64_2D
    right: jit.I64_2D
    component: jit.I64_2D
    partner: jit.I64_2D
    across: jit.I64_2D
    node_x: jit.I32_1D
    node_y: jit.I32_1D
    node_next: jit.I32_1D
    end_node: jit.I32_1D
    end_other: jit.I32_1D
    parent: jit.I32_1D
    of_label: jit.I64_1D
    xy: jit.I32_1D
    ring_end: jit.I64_1D
    ring_component: jit.I64_1D
    ring_area2: jit.I64_1D
    stack: jit.I32_1D
    seen: jit.I64_2D
