"""The bytes of single objects, before and behind those of their children."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from qpmask.geojson.text import without_gc
from qpmask.imageobjects import NO_COLOR, ObjectKind, ObjectTable
from qpmask.intoqupath.javarois import side_by_side
from qpmask.intoqupath.objectforms import KINDS, MEASUREMENT_LIST, OBJECTS
from qpmask.intoqupath.sharedparts import INT_BLOCK, SharedParts
from qpmask.javastream.writing import END, NULL, reference, string

_ID_END: Final = END


@without_gc()
def halves(
    table: ObjectTable, ids: NDArray[np.bytes_], chosen: NDArray[np.int64], shared: SharedParts
) -> tuple[list[bytes], list[bytes]]:
    """The bytes of each object before its children, and from its ROI on."""
    kind = table.kind[chosen]
    is_cell = kind == ObjectKind.CELL
    rois, roi_handles = shared.rois.write(table.geometries, table.geometry[chosen])
    nuclei, nucleus_handles = shared.rois.write(
        table.geometries, np.where(is_cell, table.nucleus[chosen], -1)
    )
    shared.tail_handles = roi_handles + nucleus_handles
    children = np.bincount(table.parent[table.parent >= 0], minlength=len(table))[chosen]
    starts = {
        k: b"s" + shared.preamble.class_reference(OBJECTS + KINDS[ObjectKind(k)])
        for k in np.unique(kind).tolist()
    }
    one = shared.integer_head
    measured_lists = _measurements(table, chosen, shared)
    shared.first_measured = measured_lists[0] if measured_lists else NULL
    heads = [
        b"".join((starts[k], NULL if name is None else string(name),
                  NULL if color == NO_COLOR else one + color.to_bytes(4, "big", signed=True),
                  shared.metadata(entries), own_id, _ID_END, measured, INT_BLOCK,
                  n.to_bytes(4, "big")))
        for k, name, color, entries, own_id, measured, n in zip(
            kind.tolist(),
            [table.names[i] for i in chosen.tolist()],
            table.color_argb[chosen].tolist(),
            [table.metadata.get(i) for i in chosen.tolist()],
            ids[chosen].tolist(),
            measured_lists,
            children.tolist(),
            strict=True,
        )
    ]  # fmt: skip
    nan = struct.pack(">d", float("nan"))  # the probability of the class
    plain = b"w\x08" + nan
    core = (b"w\x09" + nan + b"\0", b"w\x09" + nan + b"\1")
    tails = [
        b"".join((roi,
                  core[missing] if k == ObjectKind.TMA_CORE else plain,
                  nucleus if k == ObjectKind.CELL else b"", END))
        for k, roi, missing, nucleus in zip(
            kind.tolist(), rois, table.missing[chosen].tolist(), nuclei, strict=True
        )
    ]  # fmt: skip
    return heads, tails


def referring(
    table: ObjectTable, chosen: NDArray[np.int64], shared: SharedParts, tails: list[bytes]
) -> list[bytes]:
    """What comes after the children: whether it is locked, and the class, shared by all."""
    return [
        shared.booleans[locked] + shared.classes[number] + tail
        for locked, number, tail in zip(
            table.locked[chosen].tolist(), table.class_index[chosen].tolist(), tails, strict=True
        )
    ]


def _measurements(
    table: ObjectTable, chosen: NDArray[np.int64], shared: SharedParts
) -> list[bytes]:
    """A list of measurements for each object: of floats where these are exact."""
    m = table.measurements
    if not len(m.value):
        return [NULL] * len(chosen)
    p = shared.preamble
    with np.errstate(over="ignore"):
        single = m.value.astype(np.float32)
    inexact = (single.astype(np.float64) != m.value) & ~np.isnan(m.value)
    n_inexact = np.concatenate([[0], np.cumsum(inexact)])
    raw_single, raw_double = single.astype(">f4").tobytes(), m.value.astype(">f8").tobytes()
    heads = {
        size: (
            b"s" + p.class_reference(MEASUREMENT_LIST + name) + b"\0",
            NULL + b"u" + p.class_reference(code),
        )
        for size, name, code in ((4, "FloatList", "[F"), (8, "DoubleList", "[D"))
    }
    counts = np.diff(m.offsets)[chosen]
    k = int(counts[0])
    if k and (counts == k).all():
        which = m.offsets[chosen][:, None] + np.arange(k)
        names_of = m.name[which]
        if (names_of == names_of[0]).all():  # the same of all objects
            texts = [m.names[i] for i in names_of[0].tolist()]
            names = reference(p.add_list(texts))
            return _same_measurements(m.value[which], inexact[which].any(1), heads, names)
    lists: dict[bytes, bytes] = {}
    found = []
    for start, end in zip(m.offsets[chosen].tolist(), m.offsets[chosen + 1].tolist(), strict=True):
        if start == end:
            found.append(NULL)
            continue
        key = m.name[start:end].tobytes()
        known = lists.get(key)
        if known is None:
            texts = [m.names[i] for i in m.name[start:end].tolist()]
            known = lists[key] = reference(p.add_list(texts))
        size = 8 if n_inexact[end] > n_inexact[start] else 4
        raw = raw_double if size == 8 else raw_single
        before, behind = heads[size]
        count = (end - start).to_bytes(4, "big")
        found.append(before + known + behind + count + raw[start * size : end * size])
    return found


def _same_measurements(
    values: NDArray[np.float64],
    inexact: NDArray[np.bool_],
    heads: Mapping[int, tuple[bytes, bytes]],
    names: bytes,
) -> list[bytes]:
    """Lists of objects that have the same measurements, shape (n, k)."""
    found = [b""] * len(values)
    count = struct.pack(">i", values.shape[1])
    for size, dtype, rows in (
        (4, ">f4", np.flatnonzero(~inexact)),
        (8, ">f8", np.flatnonzero(inexact)),
    ):
        before, behind = heads[size]
        with np.errstate(over="ignore"):
            numbers = values[rows].astype(dtype)
        parts = (before + names + behind + count, numbers)
        for row, one in zip(rows.tolist(), side_by_side(parts, len(rows)), strict=True):
            found[row] = one
    return found
