import numpy as np

from qpmask.imageobjects import (
    GeometryType,
    Measurements,
    ObjectClass,
    ObjectKind,
    ObjectTable,
    geometries,
    plain_objects,
)


def squares(n: int) -> ObjectTable:
    """Squares of one pixel side by side."""
    ring = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]], np.int32)
    shapes = geometries(
        np.full(n, GeometryType.POLYGON, np.uint8),
        np.arange(n + 1),
        np.arange(n + 1),
        5 * np.arange(n + 1),
        (ring + np.arange(n, dtype=np.int32)[:, None, None] * (2, 0)).reshape(-1, 2).astype("i4"),
    )
    return plain_objects(shapes, [ObjectClass("Tumor")], np.zeros(n, np.int32))


def test_rings_of_a_geometry_are_its_own_vertices():
    table = squares(3)

    ((ring,),) = table.geometries.rings(2)

    assert ring.tolist() == [[4, 0], [5, 0], [5, 1], [4, 1], [4, 0]]
    assert table.geometries.first_vertex.tolist() == [0, 5, 10, 15]
    assert set(table.kind.tolist()) == {ObjectKind.ANNOTATION}


def test_children_of_what_is_left_out_go_to_the_next_one_above():
    table = squares(4)
    table.parent[:] = [-1, 0, 1, 1]

    assert table.take(np.array([0, 2, 3])).parent.tolist() == [-1, 0, 0]
    assert table.take(np.array([2])).parent.tolist() == [-1]


def test_what_was_measured_stays_with_its_object():
    from dataclasses import replace

    table = squares(3)
    measured = Measurements(
        ("area", "mean"),
        np.array([0, 2, 2, 3]),
        np.array([0, 1, 1], np.int32),
        np.array([1.0, 2.0, 3.0]),
    )
    table = replace(table, measurements=measured, metadata={2: {"key": "value"}})

    chosen = table.take(np.array([0, 2]))

    assert chosen.measurements.of(0) == {"area": 1.0, "mean": 2.0}
    assert chosen.measurements.of(1) == {"mean": 3.0}
    assert chosen.metadata == {1: {"key": "value"}}
    assert table.take(np.array([1, 2])).measurements.of(0) == {}
