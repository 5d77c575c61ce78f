"""Which objects a job draws, with which label, and in which order; the same for every engine.

In: the columns of a data file (:mod:`qpmask.qpdata`) and a :class:`~.base.RenderJob`. Out:
:class:`Drawn`. What covers what is decided here alone:

``classes``
    The order of the job's rules.
``area``
    Larger objects first, whatever their class, so that small ones stay on top. QuPath's viewer
    does so with the annotations of one level of the hierarchy (``HierarchyOverlay``, 0.4 to 0.7;
    it leaves equal areas to chance, and paints objects inside others before these). Of equal areas
    the order of the rules decides, then that of the data file. Lines and points have no area: they
    come last.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qpmask.engines.base import RenderJob, takes_part
from qpmask.geometry import Size
from qpmask.imageobjects import ImageObjects, ObjectKind, Outlines, RingKind, RoiKind, Rois

CHANNEL_LABEL = 255
"""Value of the pixels of a class in its plane of a multichannel mask."""

_STEPS_PX0 = 0.01  # the grid on which areas are compared: QuPath's own for geometries
_VERTICES = 1 << 20  # that are looked at in one go
_CELLS = 1024  # side of the raster in which objects are taken to overlap, in cells


class Drawn(NamedTuple):
    """The objects that a job draws, before they are sorted into planes.

    Attributes
    ----------
    row : ndarray of int64, shape (n,)
        Position of each object in the data file.
    roi : ndarray of int32, shape (n,)
        The ROI that is drawn: the object's, or its nucleus.
    label, order, channel : ndarray of int32, shape (n,)
        Value, place in the draw order, and plane of a multichannel mask.
    """

    row: NDArray[np.int64]
    roi: NDArray[np.int32]
    label: NDArray[np.int32]
    order: NDArray[np.int32]
    channel: NDArray[np.int32]


def select(objects: ImageObjects, job: RenderJob) -> Drawn:
    """Choose what a job draws.

    Labels follow the rules of the job; of an instance mask, the position in its list of rows.
    A cell without a nucleus is drawn whole where nuclei are asked for, as QuPath does.
    """
    if job.render.instances:
        rows = np.asarray(job.instance_rows, np.int64)
        label = np.arange(1, len(rows) + 1, dtype=np.int32)
        order, channel = label, np.zeros(len(rows), np.int32)
    else:
        names: dict[str | None, int] = {c.name: i for i, c in enumerate(objects.classes)}
        names[None] = -1
        # One entry more at the end: index -1, objects without a class.
        by_class = np.full((len(objects.classes) + 1, 3), -1, np.int32)
        for place, rule in enumerate(job.rules):
            if rule.class_name in names:
                label_drawn = CHANNEL_LABEL if job.render.multichannel else rule.label
                by_class[names[rule.class_name]] = label_drawn, place, rule.channel
        wanted = takes_part(job.render.objects, objects.kind, objects.missing)
        wanted &= by_class[objects.class_index, 0] >= 0
        rows = np.flatnonzero(wanted)
        index = objects.class_index[rows]
        label, order, channel = (column[index] for column in by_class.T)
    roi = drawn_rois(objects, rows, job.render.objects)
    keep = roi >= 0
    drawn = Drawn(rows[keep], roi[keep], label[keep], order[keep], channel[keep])
    if job.order == "area" and not job.render.instances:
        order = np.empty(len(drawn.row), np.int32)
        order[by_area(objects.rois, drawn.roi, drawn.order)] = np.arange(len(order))
        return Drawn(drawn.row, drawn.roi, drawn.label, order, drawn.channel)
    return drawn


def drawn_rois(objects: ImageObjects, rows: NDArray[np.int64], kind: str) -> NDArray[np.int32]:
    """The ROI that is drawn of each object, -1 for none; ``kind`` as in the options."""
    roi, nucleus_roi = objects.roi[rows], objects.nucleus_roi[rows]
    return np.where(nucleus_roi >= 0, nucleus_roi, roi) if kind == "nuclei" else roi


def drawn_outlines(kind: str) -> Outlines:
    """The outlines that may be drawn, for who reads a data file; ``kind`` as in the options."""
    kinds = np.arange(len(ObjectKind), dtype=np.uint8)
    taken = kinds[takes_part(kind, kinds, np.zeros(len(kinds), np.bool_))]
    return Outlines(frozenset(taken.tolist()), of_nuclei=kind == "nuclei")


def drawn_alone(rois: Rois, drawn: Drawn) -> tuple[Rois, Drawn]:
    """The ROIs that are drawn and no others, and what is drawn of them: no more memory than that.

    Columns that say the same of all ROIs are one number each.
    """
    keep = np.zeros(len(rois), np.bool_)
    keep[drawn.roi] = True
    number = np.cumsum(keep, dtype=np.int32) - 1
    rois = rois.only(keep)
    same = ("c", "z", "t", "geometry_type", "ring_kind", "ring_part", "ring_is_hole")
    rois = replace(rois, **{name: _said_once(getattr(rois, name)) for name in same})
    return rois, drawn._replace(roi=number[drawn.roi], channel=_said_once(drawn.channel))


def _said_once(column: NDArray[Any]) -> NDArray[Any]:
    """The column of whole numbers or of yes and no, of one row in memory if all are alike."""
    if not len(column) or (column != column[0]).any():
        return column
    return np.broadcast_to(column[:1].copy(), column.shape)


def by_area(rois: Rois, roi: NDArray[np.int32], order: NDArray[Any]) -> NDArray[np.int64]:
    """Positions in ``roi`` in the order of drawing by area: the largest first.

    ``order`` decides between equal areas, then the position does.
    """
    return np.lexsort((np.arange(len(roi)), order, -areas(rois)[roi])).astype(np.int64)


def areas(rois: Rois) -> NDArray[np.int64]:
    """Twice the area of each ROI, in steps of (1/100 px0)²; 0 for lines, points and empty ROIs.

    Whole numbers, so that every engine and the Groovy scripts come to the same order: vertices are
    taken to the grid on which QuPath keeps geometries, and the areas on it are exact. A ring that
    crosses itself counts by its winding, as in QuPath's ``ROI.getArea``.
    """
    out = np.zeros(len(rois), np.int64)
    for kind, factor in ((RoiKind.RECTANGLE, 2e4), (RoiKind.ELLIPSE, math.pi * 5e3)):
        at = np.flatnonzero(rois.kind == kind)
        x, y, x2, y2 = rois.boxes_of(at).T
        out[at] = np.floor((x2 - x) * (y2 - y) * factor + 0.5).astype(np.int64)
    owner = np.repeat(np.arange(len(rois)), np.diff(rois.ring_offsets))
    in_64 = rois.ring_in_64
    signed = np.zeros(len(owner), np.int64)
    for rings, pool in (
        (np.flatnonzero(~in_64 & (rois.ring_size > 0)), rois.vertices32_px0),
        (np.flatnonzero(in_64 & (rois.ring_size > 0)), rois.vertices64_px0),
    ):
        for some in _some_at_a_time(rings, rois.ring_size):
            signed[some] = _twice_areas(pool, rois.ring_first[some], rois.ring_size[some])
    signed[rois.ring_kind != RingKind.POLYGON] = 0
    # Rings of a geometry say whether they are holes; those of an old AreaROI by their direction.
    signed[in_64] = np.abs(signed[in_64]) * np.where(rois.ring_is_hole[in_64], -1, 1)
    np.add.at(out, owner, signed)
    return np.abs(out)


def centroids_px0(rois: Rois) -> NDArray[np.float64]:
    """Centroid (x, y) of each ROI, shape (n_rois, 2), px0; the middle of the box of other kinds.

    Of areas made of rings it is the centroid of the area, holes left out.
    """
    bounds = rois.bounds_px0
    out = (bounds[:, :2] + bounds[:, 2:]) / 2
    owner = np.repeat(np.arange(len(rois)), np.diff(rois.ring_offsets))
    in_64 = rois.ring_in_64
    moments = np.zeros((len(rois), 3))
    is_polygon = (rois.ring_kind == RingKind.POLYGON) & (rois.ring_size > 0)
    for pool, in_pool in ((rois.vertices32_px0, ~in_64), (rois.vertices64_px0, in_64)):
        for rings in _some_at_a_time(
            np.flatnonzero(in_pool & (rois.ring_size > 0)), rois.ring_size
        ):
            first, size = rois.ring_first[rings], rois.ring_size[rings]
            ring = np.repeat(np.arange(len(rings)), size)
            # From the middle of its box, which keeps the numbers small.
            xy = pool[first[0] : first[-1] + size[-1]].astype(np.float64) - out[owner[rings]][ring]
            starts = first - first[0]
            after = np.arange(1, len(xy) + 1)
            after[starts + size - 1] = starts
            cross = xy[:, 0] * xy[after, 1] - xy[after, 0] * xy[:, 1]
            sums = np.stack([cross, *((xy + xy[after]) * cross[:, None]).T], axis=1)
            found = np.add.reduceat(sums, starts, axis=0)
            turn = np.where(in_64[rings], np.where(found[:, 0] < 0, -1, 1), 1)
            turn = np.where(rois.ring_is_hole[rings], -turn, turn) * is_polygon[rings]
            np.add.at(moments, owner[rings], found * turn[:, None])
    some = np.abs(moments[:, 0]) > 1e-9
    out[some] += moments[some, 1:] / (3 * moments[some, :1])
    return out


def _some_at_a_time(
    rings: NDArray[np.int64], ring_size: NDArray[np.int64]
) -> Iterator[NDArray[np.int64]]:
    """Rings in groups of about a million vertices, which is memory enough."""
    before = np.cumsum(ring_size[rings]) - ring_size[rings]
    starts = np.flatnonzero(np.diff(before // _VERTICES, prepend=-1))
    yield from np.split(rings, starts[1:]) if len(rings) else ()


def _twice_areas(
    pool: NDArray[Any], first: NDArray[np.int64], size: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Twice the signed area of rings that follow one another in a pool of vertices."""
    scaled = np.nan_to_num(pool[first[0] : first[-1] + size[-1]].astype(np.float64)) / _STEPS_PX0
    steps = np.floor(scaled)
    steps += scaled - steps >= 0.5  # Java's Math.round
    x, y = np.ascontiguousarray(steps.astype(np.int64).T)
    starts = first - first[0]
    after = np.arange(1, len(x) + 1)
    after[starts + size - 1] = starts
    # Numbers that leave 64 bits come back in, since the sum is within them.
    return np.add.reduceat(x * y[after] - x[after] * y, starts)


def layers(
    bounds_px0: NDArray[np.float64], label: NDArray[np.int32], image: Size, margin_px0: float
) -> NDArray[np.int64]:
    """Layers to which objects can be sorted without changing what covers what.

    Objects of one layer do not overlap, or have one label: drawn layer by layer they give the
    pixels of the order that the rows are in.

    Parameters
    ----------
    bounds_px0 : float64 array (n, 4)
        x, y, x2, y2 of each object, in the order of drawing.
    label : int32 array (n,)
    image : Size
        At full resolution.
    margin_px0 : float
        How far from its bounds an object may have pixels.
    """
    cell = max(1.0, max(image.width_px, image.height_px) / _CELLS)
    n_cols = int(image.width_px // cell) + 1
    n_rows = int(image.height_px // cell) + 1
    low = np.floor((bounds_px0[:, :2] - margin_px0) / cell)
    high = np.floor((bounds_px0[:, 2:] + margin_px0) / cell) + 1
    most = np.array([n_cols, n_rows])
    first = np.clip(np.nan_to_num(low), 0, most - 1).astype(np.int64)
    end = np.clip(np.nan_to_num(high), 1, most).astype(np.int64)
    top = np.full((n_rows, n_cols), -1, np.int64)
    label_on_top = np.full((n_rows, n_cols), -1, np.int64)
    out = np.zeros(len(label), np.int64)
    for i, (x, y, x2, y2) in enumerate(np.hstack([first, end]).tolist()):
        below = top[y:y2, x:x2]
        labels = label_on_top[y:y2, x:x2]
        out[i] = layer = int((below + (labels != label[i])).max())
        below[...] = layer
        labels[...] = label[i]
    return out
