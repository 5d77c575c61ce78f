"""Objects put into data files without Java: what was there stays, what comes is all there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import DEMO, ROOT
from hypothesis import given
from hypothesis import strategies as st
from intoqupath.import_samples import varied

from qpmask.imageobjects import NO_COLOR, ImageObjects, ObjectTable
from qpmask.intoqupath.objectids import with_ids
from qpmask.intoqupath.splice import new_data_file, splice
from qpmask.qpdata import read_qpdata_bytes

SAMPLES = sorted((ROOT / "tests" / "qpdata" / "data").glob("*.qpdata")) + sorted(
    DEMO.glob("data/*/data.qpdata")
)


def put(data: bytes, table: ObjectTable) -> ImageObjects:
    found = splice(data, table, with_ids(table), {"mark": "x"})
    assert found is not None
    return read_qpdata_bytes(found)


def rings(objects: ImageObjects, index: int) -> list[list[list[float]]]:
    roi = int(objects.roi[index])
    return [] if roi < 0 else [ring.tolist() for ring in objects.rois.rings(roi)]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_is_there_stays_and_what_comes_is_there(path: Path) -> None:
    data, table = path.read_bytes(), varied()
    before, after = read_qpdata_bytes(data), put(data, table)
    n = len(before)
    assert len(after) == n + len(table)
    assert list(after.names) == [*before.names, *table.names]
    np.testing.assert_array_equal(after.ids[:n], before.ids)
    np.testing.assert_array_equal(after.kind, [*before.kind, *table.kind])
    np.testing.assert_array_equal(after.locked, [*before.locked, *table.locked])
    parents = [p + n if p >= 0 else -1 for p in table.parent.tolist()]
    np.testing.assert_array_equal(after.parent, [*before.parent.tolist(), *parents])
    assert after.server == before.server
    assert after.image_type == before.image_type
    for i in range(n):
        assert after.class_of(i) == before.class_of(i)
        assert str(rings(after, i)) == str(rings(before, i))
    again = put(splice(data, table, with_ids(table), {}) or b"", table)
    assert len(again) == n + 2 * len(table)


@given(first=st.integers(0, 15), named=st.booleans(), colored=st.booleans())
def test_any_object_can_be_the_first(first: int, named: bool, colored: bool) -> None:
    table = varied().take(np.arange(first, 16))
    names = list(table.names)
    names[0] = "é" if named else None
    colors = table.color_argb.copy()
    colors[0] = -1 if colored else NO_COLOR
    table = replace(table, names=names, color_argb=colors)
    found = put(new_data_file({}, "0.6.0", "x"), table)
    assert list(found.names) == names
    assert found.class_of(0) == put(SAMPLES[0].read_bytes(), table).class_of(
        len(read_qpdata_bytes(SAMPLES[0].read_bytes()))
    )


def test_a_new_file_has_no_objects() -> None:
    found = read_qpdata_bytes(new_data_file({"builderType": "uri"}, "0.6.0", "here"))
    assert len(found) == 0
    assert found.server == (
        '{"dataVersion":3,"qupathVersion":"0.6.0","server":{"builderType":"uri"},"id":"here"}'
    )


def test_what_is_not_as_expected_is_left_to_qupath() -> None:
    data, table = SAMPLES[-1].read_bytes(), varied()
    for odd in (b"", data[:-20], data.replace(b"version 3", b"version 2"), data[:200]):
        assert splice(odd, table, with_ids(table), {}) is None
