"""Scanning GeoJSON: the same objects, and the same complaints, as reading it as JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import qpmask.geojson.reader as reader_module
import qpmask.geojson.skeletons as skeletons_module
from qpmask.errors import ObjectFileError
from qpmask.geojson import scanrecord as k
from qpmask.geojson.reader import ObjectsRead, read_objects_bytes
from qpmask.geojson.scan import scan_features
from qpmask.geojson.skeletons import scanned

SQUARE = [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]
ID = "ABCDEF01-0000-4000-8000-00000000000"


def plain(read: ObjectsRead) -> list[dict[str, Any]]:
    """All that was read, in plain words, in the order of the file."""
    table, shapes = read.table, read.table.geometries
    found = []
    for i in range(len(table)):
        c = int(table.class_index[i])
        found.append(
            {
                "kind": int(table.kind[i]),
                "class": None if c < 0 else (table.classes[c].name, table.classes[c].color_argb),
                "id": table.ids[i],
                "name": table.names[i],
                "color": int(table.color_argb[i]),
                "flags": (bool(table.locked[i]), bool(table.missing[i])),
                "parent": int(table.parent[i]),
                "measured": {n: repr(v) for n, v in table.measurements.of(i).items()},
                "metadata": table.metadata.get(i),
                "shapes": [
                    (
                        int(shapes.type[g]), bool(shapes.is_ellipse[g]),
                        int(shapes.c[g]), int(shapes.z[g]), int(shapes.t[g]),
                        [[ring.tolist() for ring in part] for part in shapes.rings(g)],
                    )
                    for g in (int(table.geometry[i]), int(table.nucleus[i]))
                    if g >= 0
                ],
            }
        )  # fmt: skip
    return found


def outcome(
    data: bytes, monkeypatch: pytest.MonkeyPatch, class_key: str | None = None
) -> ObjectsRead | str:
    """Read a text in both ways, which must agree; what was read, or why it was refused."""
    results, read = [], None
    for smallest in (0, 1 << 60):
        monkeypatch.setattr(reader_module, "SCANNED_BYTES", smallest)
        try:
            read = read_objects_bytes(data, class_key=class_key)
        except ObjectFileError as error:
            read = str(error)
            results.append(read)
            continue
        problems = sorted((p.where, p.what, p.mend) for p in read.problems)
        results.append((plain(read), problems, read.n_features))
    assert results[0] == results[1]
    assert read is not None
    return read


def both(data: bytes, monkeypatch: pytest.MonkeyPatch, class_key: str | None = None) -> ObjectsRead:
    """What was read, in both ways."""
    read = outcome(data, monkeypatch, class_key)
    assert isinstance(read, ObjectsRead), read
    return read


def feature(geometry: Any = None, *, outside: dict | None = None, **properties: Any) -> dict:
    shape = {"type": "Polygon", "coordinates": [SQUARE]} if geometry is None else geometry
    return {"type": "Feature", "geometry": shape, "properties": properties, **(outside or {})}


def scan_of(data: bytes) -> Any:
    """What the scan makes of a text; fails where it leaves all of it to Python."""
    columns = scanned(data, reader_module.Path("a.geojson"), None)
    assert columns is not None
    return columns


class TestSameAsJson:
    FEATURES = (
        feature(),
        feature(objectType="detection", classification={"name": "Tumor", "color": [200, 0, 0]}),
        feature(objectType="detection", classification={"name": "Tumor", "color": [200, 0, 0]}),
        feature(outside={"id": ID + "1"}, name="cell 1", measurements={"a": 0.1, "b": 2}),
        feature(outside={"id": ID + "2"}, name="cell 2", measurements={"a": 1e300, "b": -0.0}),
        feature(outside={"id": ID + "2"}, name="zwölf", measurements=[{"name": "a", "value": 5}]),
        feature(outside={"id": "17", "bbox": [1, 2, 3, 4]}, area=12.5, note="of no use"),
        feature(outside={"id": 17}, measurements={"a": "NaN", "b": None, "c": True, "d": "x"}),
        feature(id=ID + "1", isLocked=1.0, isMissing=0.0),
        feature(id=ID + "2", isLocked=None, outside={"id": ID + "3"}),
        feature(id="17", isLocked="yes", outside={"id": None}),
        feature(id=[ID + "4"], isLocked=[1.0]),
        feature(outside={"id": "PathCellObject"}, measurements=5),
        feature(outside={"id": "1-2-3-4-5"}),
        feature(outside={"id": None, "objectType": "tile"}, color=[1, 2, 3], isLocked=True),
        feature({"type": "Point", "coordinates": [1.25, 2]}, objectType="point"),
        feature({"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]}),
        feature({"type": "LineString", "coordinates": [[1, 2], [3, 4]]}),
        feature({"type": "LineString", "coordinates": [[1, 2]]}),
        feature({"type": "MultiLineString", "coordinates": [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]}),
        feature({"type": "MultiPolygon", "coordinates": [[SQUARE], [[[20, 0], [30, 0], [30, 9],
                                                                     [20, 0]]]]}),
        feature({"type": "Polygon", "coordinates": [SQUARE, [[1, 1], [1, 2], [2, 2], [1, 1]]],
                 "plane": {"c": 1, "z": 2, "t": 3}, "isEllipse": True}),
        feature({"type": "Polygon", "coordinates": [[[0, 0], [9, 9], [9, 0], [0, 9], [0, 0]]]}),
        feature({"type": "Polygon", "coordinates": [SQUARE[:-1]]}),
        feature({"type": "Polygon", "coordinates": [[[0, 0, 1], [9, 0, 1], [9, 9, 1], [0, 0, 1]]]}),
        feature({"type": "Polygon", "coordinates": []}),
        feature({"type": "Polygon", "coordinates": SQUARE}),
        feature({"type": "Polygon", "coordinates": [[["a", "b"]]]}),
        feature({"type": "GeometryCollection", "geometries": [{"type": "Polygon",
                                                               "coordinates": [SQUARE]}]}),
        feature({"type": "Polygon", "coordinates": [[[0, 0], [math.nan, 1], [2, 2], [0, 0]]]}),
        feature({"type": "Polygon", "coordinates": [[[0, 0], [1e19, 1], [2, 2], [0, 0]]]}),
        feature(objectType="cell", outside={"nucleusGeometry": {
            "type": "Polygon", "coordinates": [[[2, 2], [4, 2], [4, 4], [2, 2]]]}}),
        feature(objectType="annotation", outside={"nucleusGeometry": {
            "type": "Polygon", "coordinates": [[[2, 2], [4, 2]]]}}),
        feature(objectType="cell", outside={"nucleusGeometry": {"type": "Polygon",
                                                                "coordinates": [[[2, 2]]]}}),
        feature(objectType="annotation", childObjects=[feature(name="inner")]),
        feature(objectType="root"),
        feature(classification="Tumor: Positive"),
        feature(classification={"names": ["Tumor", "Negative"], "colorRGB": -1}),
        feature(classification=5, metadata={"ANNOTATION_DESCRIPTION": "x", "n": 1}),
        feature(plane={"z": 1}),
        feature(measurements='{"a": 5, "b": 2.5}'),  # as GeoPandas writes them
        feature(measurements='[{"name": "a", "value": 7}]'),
        feature(outside={"name": [0]}),
        feature(outside={"name": []}),
        feature(outside={"name": "of the feature"}),
        feature({"type": ["Polygon"], "coordinates": [SQUARE]}),
        feature({"type": {}, "coordinates": [SQUARE]}),
        feature(classification={"name": "Tumor", "color": [0, 200, 0]}, childObjects=[]),
        feature(classification={"name": "Stroma", "color": [0, 0, 200]}, childObjects=[]),
        feature(classification={"name": "Stroma", "color": [9, 9, 200]}),
        {"type": "Polygon", "coordinates": [SQUARE]},
        {"type": "Feature", "geometry": None, "properties": None},
        {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [SQUARE]}},
        {},
        None,
        "text",
        [1, {"a": 2}],
    )  # fmt: skip

    @pytest.mark.parametrize("form", ["array", "collection", "indented"])
    def test_every_dialect(self, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
        features = [*self.FEATURES, *self.FEATURES[:5]]
        whole = features if form == "array" else {"type": "FeatureCollection", "crs": None,
                                                  "features": features, "more": [{}]}  # fmt: skip
        data = json.dumps(whole, indent=2 if form == "indented" else None).encode()
        scan_of(data)
        read = both(data, monkeypatch)
        assert len(read.table) > 30

    @settings(max_examples=40)
    @given(
        chosen=st.lists(st.sampled_from(range(len(FEATURES))), max_size=12),
        window=st.integers(8, 3000),
        ascii_only=st.booleans(),
    )
    def test_in_windows_of_any_size(self, chosen: list[int], window: int, ascii_only: bool) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(skeletons_module, "_WINDOW_BYTES", window)
            patch.setattr(skeletons_module, "_MOST_SKELETONS", 2)
            data = json.dumps([self.FEATURES[i] for i in chosen], ensure_ascii=ascii_only).encode()
            both(data, patch)

    @settings(max_examples=150)
    @given(data=st.data())
    def test_damaged_text(self, data: st.DataObject) -> None:
        """A byte is another one, or is gone: both ways read the same or refuse the same."""
        features = [self.FEATURES[i] for i in (1, 3, 4, 16, 27)]
        text = bytearray(json.dumps({"features": features}).encode())
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.one_of(st.binary(max_size=2), st.sampled_from([b" ", b",", b"]", b"1", b'"', b"\1"]))
        )
        with pytest.MonkeyPatch.context() as patch:
            outcome(bytes(text), patch)

    @pytest.mark.parametrize("key", ["kind", "name", "id", "area", "measurements"])
    def test_another_property_for_the_class(
        self, key: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        features = [feature(**{key: value}) for value in ("a", "b", 5, 2.5, ["a", "b"], "a")]
        read = both(json.dumps(features).encode(), monkeypatch, key)
        assert [c.name for c in read.table.classes][:2] == ["a", "b"]

    def test_a_list_of_that_name_elsewhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        text = {"made by": {"features": [1, 2]}, "features": [feature()]}
        assert len(both(json.dumps(text).encode(), monkeypatch).table) == 1

    @pytest.mark.parametrize("other", ["[]", "null", "[1]"])
    def test_two_lists(self, other: str, monkeypatch: pytest.MonkeyPatch) -> None:
        text = f'{{"features":[{json.dumps(feature())}],"features":{other}}}'
        outcome(text.encode(), monkeypatch)

    def test_a_control_character_is_no_space(self, monkeypatch: pytest.MonkeyPatch) -> None:
        text = json.dumps([feature(measurements={"a": 1})]).replace('"a"', '\f"a"')
        assert isinstance(outcome(text.encode(), monkeypatch), str)

    def test_keys_that_come_twice(self, monkeypatch: pytest.MonkeyPatch) -> None:
        one, other = ([[[0, 0], [n, 0], [n, n], [0, 0]]] for n in (5, 6))
        text = (
            f'[{{"type":"Feature","geometry":{{"type":"Polygon","coordinates":{one},'
            f'"coordinates":{other}}},"id":"{ID}1","id":"{ID}2","properties":'
            '{"measurements":{"a":1,"a":2},"name":"x","name":"y"}}]'
        )
        (found,) = plain(both(text.encode(), monkeypatch))
        assert found["shapes"][0][-1] == [list(map(list, other))]
        assert (found["name"], found["measured"]) == ("y", {"a": "2.0"})


class TestNumbers:
    """Each is the double next to the text, as Python reads it."""

    def values(self, texts: list[str]) -> list[float]:
        point = '{"type":"Feature","geometry":{"type":"Point","coordinates":[X,0]},"properties":{}}'
        features = ",".join(point.replace("X", text) for text in texts)
        columns = scan_of(f"[{features}]".encode())
        assert not columns._kind  # none was left to Python
        return columns.build().geometries.xy_px0[:, 0].tolist()

    @given(
        st.lists(
            st.one_of(
                st.floats(-(2.0**30), 2.0**30).map(repr),
                st.decimals(-1000, 1000, places=20).map(lambda d: f"{d:f}"),
                st.integers(-(2**30), 2**30).map(str),
                st.builds("{}e{}".format, st.integers(0, 10**19 - 1), st.integers(-70, -11)),
                st.builds("{}.{:017d}".format, st.integers(0, 9), st.integers(0, 10**17 - 1)),
            ),
            min_size=1,
        )
    )
    def test_doubles(self, texts: list[str]) -> None:
        assert self.values(texts) == [float(text) for text in texts]

    @given(st.floats(1.0, 1e6), st.integers(-1, 1))
    def test_next_to_the_middle_between_two(self, value: float, off: int) -> None:
        from fractions import Fraction

        middle = (Fraction(value) + Fraction(math.nextafter(value, math.inf))) / 2
        scale = 10**25
        digits = str(int(middle * scale) + off)
        text = f"{digits[:-25]}.{digits[-25:]}"
        short = text[:20].rstrip(".")
        assert self.values([text, short]) == [float(text), float(short)]

    @pytest.mark.parametrize("text", ["01", "+1", ".5", "1.", "1e", "0x1", "--1", "1e+", "- 1"])
    def test_what_is_no_number(self, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
        data = f'[{{"type":"Feature","geometry":{{"type":"Point","coordinates":[{text},0]}}}}]'
        monkeypatch.setattr(reader_module, "SCANNED_BYTES", 0)
        with pytest.raises(ObjectFileError, match="is no JSON"):
            read_objects_bytes(data.encode())


class TestRoom:
    """As plain Python the kernel has NumPy's index checks: there is room for all of a window."""

    @pytest.mark.parametrize(
        "text",
        [
            b"[" + b"{}," * 30 + b"{}]",
            b"[" + b"1," * 30 + b"1]",
            b'[{"measurements":1,"properties":{"measurements":[' + b"1," * 40 + b"1]}}]",
            b'[{"geometry":{"coordinates":[' + b"[[[1,2]]]," * 20 + b"[[[1,2]]]]}}]",
            b'[{"geometry":{"coordinates":[' + b"[1e99,2e88]," * 20 + b"[1e99,2e88]]}}]",
            b"[" + b'{"geometry":{"coordinates":[1,2]}},' * 9 + b"{}]",
            b'[{"properties":{' + b'"name":"",' * 20 + b'"name":""}}]',
        ],
    )
    def test_dense_text(self, text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(skeletons_module, "_ARENA_BYTES", 64)
        scanner = skeletons_module._Scanner(
            text, reader_module.Path("a"), reader_module.Columns(None), b""
        )
        scan = scanner._room(len(text))
        scan.counts[:] = 0
        with np.errstate(over="ignore"):
            end = scan_features.function(np.frombuffer(text, np.uint8), 1, len(text), scan)
        assert (end, scan.counts[k.STATUS]) == (len(text), k.END)
