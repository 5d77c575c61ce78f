from __future__ import annotations

import asyncio
import json
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_files import Layout, blobs, layouts, write, write_foreign
from ometiff.mask_samples import AWKWARD_NAME

from qpmask.errors import MaskError, MissingExtraError
from qpmask.mask import open_mask

BASE = blobs(150, 210, "uint16") * np.uint16(200)


@pytest.fixture
def zarr() -> Any:
    return pytest.importorskip("zarr", minversion="3", reason="zarr 3 needs Python 3.11")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("zarr") / "m.ome.tif"
    write(path, BASE, tile_px=64)
    return path


@settings(max_examples=30)
@given(layout=layouts(), data=st.data())
def test_any_index_of_any_level(
    zarr: Any, tmp_path: Path, layout: Layout, data: st.DataObject
) -> None:
    base = layout.write(tmp_path / "x.tif")
    with open_mask(tmp_path / "x.tif") as mask:
        group = zarr.open_group(mask.aszarr(), mode="r")
        for number, level in enumerate(mask.levels):
            array = group[str(number)]
            assert array.shape == (level.size.height_px, level.size.width_px)
            assert array.chunks == (level.tile.height_px, level.tile.width_px)
            assert array.dtype == base.dtype
            assert np.array_equal(array[:], mask._file.read(number))
        for _ in range(3):
            # Zarr knows no negative steps.
            key = tuple(data.draw(st.slices(n).filter(_forward)) for n in base.shape)
            assert np.array_equal(group["0"][key], base[key])


def _forward(part: slice) -> bool:
    return part.step is None or part.step > 0


def test_what_the_group_says(zarr: Any, path: Path) -> None:
    with open_mask(path) as mask:
        store = mask.aszarr()
        group = zarr.open_group(store, mode="r")
        assert set(group.array_keys()) == {"0", "1", "2"}
        ome = group.attrs["ome"]
        assert ome["version"] == "0.5"
        (scales,) = ome["multiscales"]
        assert scales["axes"] == [
            {"name": axis, "type": "space", "unit": "micrometer"} for axis in "yx"
        ]
        assert [d["coordinateTransformations"][0]["scale"] for d in scales["datasets"]] == [
            [0.25, 0.2527], [0.5, 0.5054], [1.0, 1.0108]
        ]  # fmt: skip
        label = ome["image-label"]
        assert label["properties"][0] == {"label-value": 1, "name": AWKWARD_NAME}
        assert label["colors"][1] == {"label-value": 2, "rgba": [0, 255, 7, 255]}
        assert [row["label-value"] for row in label["colors"]] == [1, 2, 200]
        assert group["1"].metadata.dimension_names == ("y", "x")
        assert "MaskStore" in repr(store)


def test_a_mask_without_classes(zarr: Any, tmp_path: Path) -> None:
    write_foreign(tmp_path / "x.tif", BASE)
    with open_mask(tmp_path / "x.tif") as mask:
        group = zarr.open_group(mask.aszarr(), mode="r")
        assert group.attrs["ome"]["image-label"] == {}
        assert "unit" not in group.attrs["ome"]["multiscales"][0]["axes"][0]


def test_the_store_as_zarr_uses_it(zarr: Any, path: Path) -> None:
    from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
    from zarr.core.buffer import default_buffer_prototype

    buffers = default_buffer_prototype()

    async def collect(names: Any) -> set[str]:
        return {name async for name in names}

    async def use(store: Any) -> None:
        keys = await collect(store.list())
        n_chunks = 3 * 4 + 2 * 2 + 1
        assert len(keys) == n_chunks + 4
        for key in keys:
            assert await store.exists(key)
            assert len((await store.get(key, buffers)).to_bytes()) == await store.getsize(key)
        for key in (
            "0/c/3/0", "0/c/0/4", "3/zarr.json", "0/c/0", "0/c/00/0", "0/c/-1/0", "x", "",
            "0/c/0/0/0", "0/d/0/0", "0/c/²/0", "01/c/0/0", ".zgroup", "c/0/0",
        ):  # fmt: skip
            assert key not in keys and not await store.exists(key)
            assert await store.get(key, buffers) is None
        assert await collect(store.list_dir("")) == {"zarr.json", "0", "1", "2"}
        assert await collect(store.list_dir("0")) == {"zarr.json", "c"}
        assert await collect(store.list_dir("0/")) == {"zarr.json", "c"}
        assert await collect(store.list_dir("0/c")) == {"0", "1", "2"}
        assert await collect(store.list_dir("0/c/2")) == {"0", "1", "2", "3"}
        for nothing in ("0/c/2/0", "0/c/3", "3", "x", "0/zarr.json", "0/d"):
            assert await collect(store.list_dir(nothing)) == set()
        assert await collect(store.list_prefix("2/")) == {"2/zarr.json", "2/c/0/0"}

        tile = np.zeros((64, 64), "<u2")
        tile[:22, :18] = BASE[128:, 192:]
        whole = tile.tobytes()
        requests = [None, RangeByteRequest(5, 900), OffsetByteRequest(8000), SuffixByteRequest(9)]
        parts = await store.get_partial_values(buffers, [("0/c/2/3", r) for r in requests])
        expected = [whole, whole[5:900], whole[8000:], whole[-9:]]
        assert [part.to_bytes() for part in parts] == expected
        with pytest.raises(ValueError, match="read-only"):
            await store.set("0/c/0/0", buffers.buffer.from_bytes(b""))
        with pytest.raises(ValueError, match="read-only"):
            await store.delete("0/c/0/0")

    with open_mask(path) as mask, open_mask(path) as other:
        store = mask.aszarr()
        assert store.read_only
        assert not (store.supports_writes or store.supports_deletes)
        assert store == other.aszarr() and hash(store) == hash(other.aszarr())
        assert store == store.with_read_only(True) == pickle.loads(pickle.dumps(store))
        assert store != mask
        with pytest.raises(ValueError, match="cannot be written"):
            store.with_read_only(False)
        asyncio.run(use(store))
        with pytest.raises(ValueError, match=r"read-only|read only"):
            zarr.open_group(store, mode="r+")["0"][0, 0] = 1


def test_damage_is_an_error_and_never_background(zarr: Any, tmp_path: Path, path: Path) -> None:
    with open_mask(path) as mask:
        offsets, bytecounts = mask._file.segments()
    at = int(np.argmax(bytecounts))
    content = bytearray(path.read_bytes())
    content[offsets[at] : offsets[at] + bytecounts[at]] = b"\xff" * int(bytecounts[at])
    (tmp_path / "x.tif").write_bytes(content)
    with open_mask(tmp_path / "x.tif") as mask:
        array = zarr.open_group(mask.aszarr(), mode="r")["0"]
        with pytest.raises(MaskError, match=f"row {at // 4}, column {at % 4}"):
            array[:]


def test_without_zarr(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.partition(".")[0] == "zarr"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "qpmask.mask.zarrstore", raising=False)
    monkeypatch.setitem(sys.modules, "zarr", None)
    with open_mask(path) as mask, pytest.raises(MissingExtraError, match=r"qpmask\[zarr\]"):
        mask.aszarr()


def test_documents_are_json(zarr: Any, path: Path) -> None:
    with open_mask(path) as mask:
        for document in mask.aszarr()._documents.values():
            assert json.loads(document)["zarr_format"] == 3
