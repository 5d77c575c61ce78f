"""Masks by name: what goes in comes out, whatever its type, order, overlap and place."""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from collection import pool_calls
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from qpmask import MaskCollection
from qpmask.collection.check import check_collection
from qpmask.errors import (
    MaskError,
    NoSuchClassError,
    OptionsError,
    OutputError,
    QpmaskError,
    WrongTypeError,
)

SHAPE = (2100, 1500)  # chunks that are whole and some that are not, and a smaller level
VOLUME = (70, 130, 90)


def rectangle(shape: tuple[int, ...], *box: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[tuple(slice(*b) for b in box)] = True
    return mask


@pytest.fixture(scope="module", params=[".ozx", ".zarr"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("c") / f"slide{request.param}"
    with MaskCollection(path, "w", shape=SHAPE, mpp=0.5) as masks:
        for name, mask in overlapping().items():
            masks.add(name, mask, color=(1, 2, 3), group="g" if name != "cells" else None)
    return path


def overlapping() -> dict[str, np.ndarray]:
    cells = np.zeros(SHAPE, np.uint16)
    cells[1020:1030, 5:9] = 40_000
    return {
        "Tissue": rectangle(SHAPE, (0, 2000), (100, 1400)),
        "Tumor": rectangle(SHAPE, (1000, 1100), (1000, 1100)),
        "cells": cells,
    }


def test_masks_come_back_as_they_were(path: Path) -> None:
    with MaskCollection(path) as masks:
        assert masks.names() == ("Tissue", "Tumor", "cells")
        for name, mask in overlapping().items():
            assert masks[name].dtype == mask.dtype
            assert np.array_equal(masks[name][:], mask)


def test_a_slice_a_region_and_every_sixteenth_pixel(path: Path) -> None:
    tumor = overlapping()["Tumor"]
    with MaskCollection(path) as masks:
        assert np.array_equal(masks["Tumor"][1099:900:-7, 3:1200:5], tumor[1099:900:-7, 3:1200:5])
        assert masks["Tumor"][1000, 1000] and not masks["Tumor"][-1, -1]
        got = masks["Tumor"].region(990, 995, 64, 80, downsample=16)
        assert np.array_equal(got, tumor[992:1072:16, 976:1040:16])  # whole pixels of the level
        for step in (1, 2, 8, 64):
            assert np.array_equal(
                masks["Tumor"].region(0, 0, SHAPE[1], SHAPE[0], step), tumor[::step, ::step]
            )


@pytest.mark.parametrize("shape", [(4200, 300), (130, 90, 110)])
def test_any_slices_meet_a_mask_or_miss_it(shape: tuple[int, ...], tmp_path: Path) -> None:
    """Only what lies within a mask's box is read: its edges, and steps over them."""
    rng = np.random.default_rng(len(shape))
    given = {
        name: rectangle(shape, *((int(f * n), int(t * n)) for n in shape))
        & (rng.random(shape) > 0.2)
        for name, f, t in (("a", 0.3, 0.6), ("b", 0.31, 0.9), ("c", 0.0, 0.2))
    }
    for name in given:  # labels of its own
        given[name] = given[name] if name != "c" else given[name] * rng.integers(1, 9, shape)
    with MaskCollection(tmp_path / "c.ozx", "w", shape=shape) as out:
        for name, mask in given.items():
            out.add(name, mask)
    flat = np.zeros(shape, np.uint8)
    for label, mask in enumerate(given.values(), 1):
        flat[mask != 0] = label
    with MaskCollection(tmp_path / "c.ozx") as masks:
        for _ in range(60):
            ends = [sorted(rng.integers(-3, n + 3, 2).tolist()) for n in shape]
            steps = rng.choice([1, 1, 1, 2, 7, 65, -1, -3], len(shape)).tolist()
            key = tuple(
                slice(max(0, a), max(0, b), s) if s > 0 else slice(max(0, b), max(0, a), s)
                for (a, b), s in zip(ends, steps, strict=True)
            )
            for name, mask in given.items():
                assert np.array_equal(masks[name][key], mask[key]), (name, key)
            assert np.array_equal(masks.binary(["a", "c"])[key], (given["a"] | given["c"] > 0)[key])
            assert np.array_equal(masks.flat[key], flat[key]), key


def test_the_flattened_mask_has_the_last_one_on_top(path: Path) -> None:
    flat = np.zeros(SHAPE, np.uint8)
    for label, mask in enumerate(overlapping().values(), 1):
        flat[mask != 0] = label
    with MaskCollection(path) as masks:
        assert np.array_equal(masks.flat[:], flat)
        assert np.array_equal(masks.flat.region(0, 0, 1500, 2100, 8), flat[::8, ::8])


def test_several_as_one_and_what_is_at_a_pixel(path: Path) -> None:
    parts = overlapping()
    with MaskCollection(path) as masks:
        both = masks.binary(["Tumor", "cells"])[:]
        assert np.array_equal(both, parts["Tumor"] | (parts["cells"] != 0))
        assert np.array_equal(masks.binary("g")[:], parts["Tissue"])
        assert masks.labels_at(1050, 1050) == {"Tissue": 1, "Tumor": 1}
        assert masks.labels_at(5, 1020) == {"cells": 40_000}
        assert masks.labels_at(0, 0) == {}


def test_areas_and_boxes_need_no_pixels(path: Path) -> None:
    with MaskCollection(path) as masks:
        masks._layer = None  # type: ignore[assignment]  # whatever reads pixels fails
        assert masks.areas()["Tumor"].n_pixels == 10_000
        assert masks.areas()["Tumor"].area_mm2 == pytest.approx(10_000 * 0.25e-6)
        assert masks.box("Tumor") == (slice(1000, 1100), slice(1000, 1100))
        assert masks.row("Tumor").color == (1, 2, 3)


def test_threads_processes_pickles_and_dask(path: Path) -> None:
    tumor = overlapping()["Tumor"]
    with MaskCollection(path) as masks:
        again = pickle.loads(pickle.dumps(masks))
        assert np.array_equal(again["Tumor"][:], tumor)
        with ThreadPoolExecutor(8) as pool:
            parts = list(pool.map(lambda y: masks["Tumor"][y : y + 70], range(0, 2100, 70)))
        assert np.array_equal(np.concatenate(parts), tumor)
        with ProcessPoolExecutor(
            1, mp_context=get_context("spawn"), initializer=pool_calls.end_if_stuck
        ) as processes:
            assert processes.submit(pool_calls.count, masks, "Tumor").result() == 10_000
        da = pytest.importorskip("dask.array")
        lazy = da.from_array(masks["Tumor"], chunks=500)
        assert int(lazy.sum().compute()) == 10_000


def test_a_folder_that_was_replaced_is_not_read_as_the_one_before(tmp_path: Path) -> None:
    for suffix in (".zarr", ".ozx"):
        path = tmp_path / f"c{suffix}"
        first, second = rectangle((90, 90), (0, 40), (0, 40)), rectangle((90, 90), (50, 90), (5, 9))
        with MaskCollection(path, "w", shape=(90, 90)) as masks:
            masks.add("a", first)
            masks.add("b", first)
        before = MaskCollection(path)
        with MaskCollection(path, "w", shape=(90, 90)) as masks:
            masks.add("b", second)
            masks.add("a", second)
        if suffix == ".ozx":  # the open file is the one before
            assert np.array_equal(before["a"][:], first)
        else:
            with pytest.raises(MaskError, match="written again"):
                before["a"][:]
        before.close()


@pytest.mark.parametrize("suffix", [".ozx", ".zarr"])
def test_threads_and_processes_read_while_another_adds(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"c{suffix}"
    shape = (300, 200)

    def add(n: int) -> None:
        with MaskCollection(path, "a", shape=shape) as masks:
            masks.add(f"m{n}", rectangle(shape, (n, 100 + n), (0, 150)))
            if n > 3:
                masks.delete(f"m{n - 3}")
                masks.add(f"m{n - 1}", rectangle(shape, (0, n), (n, 90)), replace=True)

    add(0)
    with ProcessPoolExecutor(
        1, mp_context=get_context("spawn"), initializer=pool_calls.end_if_stuck
    ) as processes, ThreadPoolExecutor(2) as threads:  # fmt: skip
        ways = [processes.submit(pool_calls.read_while_written, path, 40)]
        ways += [threads.submit(pool_calls.read_while_written, path, 40) for _ in range(2)]
        for n in range(1, 12):
            add(n)
        assert all(way.result() >= 1 for way in ways)
    assert check_collection(path).ok
    with MaskCollection(path) as masks:
        assert set(masks.names()) == {"m0", "m9", "m10", "m11"}


def test_a_volume(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    organs = {f"organ {i}": rng.random(VOLUME) > 0.7 for i in range(3)}
    path = tmp_path / "v.ozx"
    with MaskCollection(path, "w", shape=VOLUME, spacing=(2.0, 1.0, 0.5)) as masks:
        for name, organ in organs.items():
            masks.add(name, organ)
    with MaskCollection(path) as masks:
        for name, organ in organs.items():
            assert np.array_equal(masks[name][:], organ)
            assert np.array_equal(masks[name][60:3:-9, 5, ::7], organ[60:3:-9, 5, ::7])
            got = masks[name].region((4, 60, 3), (60, 50, 80))
            assert np.array_equal(got, organ[4:64, 60:110, 3:83])
            assert np.array_equal(masks[name].region((0, 0, 0), VOLUME, 4), organ[::4, ::4, ::4])
            assert masks.volumes()[name] == pytest.approx(organ.sum() * 1.0)
        z, y, x = np.argwhere(organs["organ 1"] & ~organs["organ 0"] & ~organs["organ 2"])[0]
        assert masks.labels_at(int(x), int(y), int(z)) == {"organ 1": 1}


def test_masks_that_do_not_overlap_are_the_root(tmp_path: Path) -> None:
    path = tmp_path / "c.ozx"
    with MaskCollection(path, "w", shape=(40, 50)) as masks:
        masks.add("left", rectangle((40, 50), (0, 40), (0, 10)))
        masks.add("right", rectangle((40, 50), (0, 40), (20, 30)), label=7)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        assert names[:2] == ["zarr.json", "0/zarr.json"]
        assert not any(name.startswith("labels") for name in names)
        assert all(e.compress_type == zipfile.ZIP_STORED for e in archive.infolist())
        assert json.loads(archive.comment)["ome"]["zipFile"] == {
            "centralDirectory": {"jsonFirst": True}
        }
        ome = json.loads(archive.read("zarr.json"))["attributes"]["ome"]
    assert ome["image-label"]["properties"] == [
        {"label-value": 1, "name": "left"},
        {"label-value": 7, "name": "right"},
    ]


def test_masks_share_arrays_where_that_is_fewer(tmp_path: Path) -> None:
    path = tmp_path / "c.ozx"
    with MaskCollection(path, "w", shape=(60, 60)) as masks:
        for i in range(10):  # neighbours overlap, others do not
            masks.add(f"m{i}", rectangle((60, 60), (i * 5, i * 5 + 7), (0, 60)))
    with MaskCollection(path) as masks:
        assert len({row.layer for row in masks.rows()}) == 2


def test_a_mask_changes_its_array_and_its_value_there(tmp_path: Path) -> None:
    path, shape = tmp_path / "c.ozx", (3000, 2500)
    a, b = (rectangle(shape, (n, 2000 + n), (n, 2000)) for n in (0, 300))
    with MaskCollection(path, "w", shape=shape) as masks:
        masks.add("a", a, label=5)
    for step in ("alone", "two", "alone again", "shared"):
        with MaskCollection(path, "a") as masks:
            if step == "two":
                masks.add("b", b, label=7)
            elif step == "alone again":
                masks.delete("b")
            elif step == "shared":
                masks.add("c", ~a, label=300)
        with MaskCollection(path) as masks:
            found = {name: masks[name][:] for name in masks}
            assert np.array_equal(found["a"], a)
            if step == "two":
                assert np.array_equal(found["b"], b)
                assert masks.labels_at(350, 350) == {"a": 1, "b": 1}
                assert masks.flat[350, 350] == 7 and masks.flat[10, 10] == 5
            if step == "shared":
                assert np.array_equal(found["c"], ~a)
                assert masks.flat[10, 10] == 5 and masks.flat[2500, 2400] == 300
            assert (
                masks["a"].region(0, 0, 2400, 2400, downsample=16).sum()
                == a[:2400:16, :2400:16].sum()
            )
        assert check_collection(path).ok, (step, check_collection(path).problems)


def test_blocks_in_any_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    whole = np.zeros(SHAPE, np.int16)
    path = tmp_path / "c.ozx"
    with (
        MaskCollection(path, "w", shape=SHAPE) as masks,
        masks.writer("cells", dtype="int16") as writer,
    ):
        writer._most = 2  # so that chunks leave memory before they are complete
        for _ in range(12):
            y, x = (int(rng.integers(0, n - 100)) for n in SHAPE)
            block = rng.integers(-5, 5, (100, 100)).astype(np.int16)
            writer.write((y, x), block)
            whole[y : y + 100, x : x + 100] = block
    with MaskCollection(path) as masks:
        assert np.array_equal(masks["cells"][:], whole)
        assert masks.row("cells").n_pixels == np.count_nonzero(whole)


def test_replace_delete_and_add_to_what_is_there(path: Path, tmp_path: Path) -> None:
    path = tmp_path / f"c{path.suffix}"
    shape = (50, 60)
    want = {}
    for i in range(6):
        want[f"m{i}"] = rectangle(shape, (i * 3, i * 3 + 3), (0, 60))
    with MaskCollection(path, "w", shape=shape) as masks:
        for name, mask in want.items():
            masks.add(name, mask)
    with MaskCollection(path, "a") as masks:
        masks.delete("m1")
        want.pop("m1")
        want["m2"] = rectangle(shape, (0, 50), (0, 9))  # overlaps all
        masks.add("m2", want["m2"], replace=True)
        want["new"] = rectangle(shape, (30, 33), (0, 60))
        masks.add("new", want["new"])
    with MaskCollection(path) as masks:
        assert set(masks.names()) == set(want)
        for name, mask in want.items():
            assert np.array_equal(masks[name][:], mask)
        assert masks.names()[-2:] == ("m2", "new")  # what is added last lies on top
        flat = masks.flat[:]
    for i, name in enumerate(want):
        assert i < 0 or name in want
    expected = np.zeros(shape, np.uint8)
    with MaskCollection(path) as masks:
        for row in masks.rows():
            expected[want[row.name]] = row.label
    assert np.array_equal(flat, expected)


types = st.sampled_from(["bool", "uint8", "int8", "uint16", "int16", "uint32", "int64", "uint64"])


@settings(max_examples=25)
@given(data=st.data())
def test_any_masks_in_any_order(data: st.DataObject, tmp_path: Path) -> None:
    shape = data.draw(
        st.one_of(
            st.tuples(st.integers(1, 40), st.integers(1, 40)),
            st.tuples(st.integers(1, 12), st.integers(1, 70), st.integers(1, 12)),
        )
    )
    want: dict[str, np.ndarray] = {}
    path = tmp_path / data.draw(st.sampled_from(["p.ozx", "p.zarr"]))
    names = st.text(min_size=1, max_size=6).filter(_can_be_written)
    for mode in ("w", "a"):
        with MaskCollection(
            path,
            mode,
            shape=shape,
            odd_names="keep",
            flat=data.draw(st.sampled_from(["auto", "full", "overview"])),
        ) as masks:  # type: ignore[arg-type]
            for _ in range(data.draw(st.integers(0, 4))):
                name = data.draw(names)
                dtype: Any = np.dtype(data.draw(types))
                mask = data.draw(hnp.arrays(dtype, shape, fill=st.just(dtype.type(0))))
                masks.add(name, mask, replace=name in want)
                want[name] = mask
            if want and data.draw(st.booleans()):
                gone = data.draw(st.sampled_from(sorted(want)))
                masks.delete(gone)
                del want[gone]
        with MaskCollection(path) as masks:
            assert set(masks.names()) == set(want)
            flat = np.zeros(shape, np.uint8)
            for row in masks.rows():
                got = masks[row.name][...]
                assert got.dtype == want[row.name].dtype
                assert np.array_equal(got, want[row.name])
                flat[got != 0] = row.label
            if want:
                assert np.array_equal(masks.flat[...], flat)


def _can_be_written(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


ALIKE = [
    ("Tumor", "tumor"), ("a/b", "a_b"), ("..", "/x"), ("ä", "a\u0308"), ("CON", "nul.1"),
    ("x", "x."), ("zarr.json", "ZARR.JSON"), ("a\\b", "a:b"), ("ﬁ", "fi"), ("n" * 90, "n" * 91),
]  # fmt: skip


@pytest.mark.parametrize("suffix", [".ozx", ".zarr"])
@pytest.mark.parametrize("names", ALIKE)
def test_names_that_no_file_system_tells_apart(
    names: tuple[str, str], suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"c{suffix}"
    masks_of = {name: rectangle((9, 9), (0, 5 + i), (0, 5)) for i, name in enumerate(names)}
    with MaskCollection(path, "w", shape=(9, 9), odd_names="keep") as masks:
        for name, mask in masks_of.items():
            masks.add(name, mask)
    with MaskCollection(path) as masks:
        for name, mask in masks_of.items():
            assert np.array_equal(masks[name][:], mask)
        entries = list(masks.container.names())
    assert {p.name for p in tmp_path.iterdir() if not p.name.startswith(".")} == {path.name}
    # Wherever it is unpacked, each entry is a file of its own that may have its name.
    assert len({entry.casefold() for entry in entries}) == len(entries)
    for part in {part for entry in entries for part in entry.split("/")}:
        assert re.fullmatch(r"[A-Za-z0-9_.-]+", part) and part.strip(".") == part
        assert part.split(".")[0].casefold() not in ("con", "nul")


@pytest.mark.parametrize(
    "first, second, why",
    [
        ("Tumor", "tumor", "case alone from 'Tumor'"),
        ("ä", "A\u0308", "case alone from 'ä'"),
        ("x", "Immune/CD8", "a slash"),
        ("x", "Immune\\CD8", "a slash"),
    ],
)
def test_names_that_others_would_mix_up_are_refused_unless_they_are_to_be_kept(
    first: str, second: str, why: str, tmp_path: Path
) -> None:
    path = tmp_path / "c.ozx"
    mask = rectangle((9, 9), (0, 5), (0, 5))
    with MaskCollection(path, "w", shape=(9, 9)) as masks:
        masks.add(first, mask)
        with pytest.raises(OptionsError, match=re.escape(repr(second)) + f".*{why}"):
            masks.add(second, ~mask)
        assert masks.names() == (first,)
    with MaskCollection(path, "a", odd_names="keep") as masks:
        masks.add(second, ~mask)
    with MaskCollection(path, "a") as masks:  # what is there is read, replaced, and goes on
        masks.add(second, mask, replace=True)
        masks.add("Stroma", mask)
    with MaskCollection(path) as masks:
        assert masks.names() == (first, second, "Stroma")
        assert np.array_equal(masks[second][:], mask)
        assert np.array_equal(masks.binary([second])[:], mask)


@pytest.mark.parametrize(
    "first, second, why",
    [("Ribs", "ribs", "case alone from 'Ribs'"), ("x", "a/b", "a slash"), ("x", "a\\b", "a slash")],
)
def test_groups_have_names_as_masks_have(first: str, second: str, why: str, tmp_path: Path) -> None:
    path, mask = tmp_path / "c.ozx", rectangle((9, 9), (0, 5), (0, 5))
    with MaskCollection(path, "w", shape=(9, 9)) as masks:
        masks.add("one", mask, group=first)
        masks.add("two", mask, group=first)
        with pytest.raises(OptionsError, match=f"group {re.escape(repr(second))}.*{why}"):
            masks.add("three", mask, group=second)
        with pytest.raises(WrongTypeError, match="group of the mask 'three'"):
            masks.add("three", mask, group=3)  # type: ignore[arg-type]
        assert masks.groups() == {first: ("one", "two")}
    with MaskCollection(path, "a", odd_names="keep") as masks:
        masks.add("three", mask, group=second)
    with MaskCollection(path, "a") as masks:  # a group that is there may have more masks
        masks.add("four", ~mask, group=second)
    with MaskCollection(path) as masks:
        assert masks.groups() == {first: ("one", "two"), second: ("three", "four")}
        assert masks.binary(second)[:].all()
    with MaskCollection(path, "w", shape=(9, 9)) as masks:
        masks.add("one", mask, group=first)
        if "/" not in second and "\\" not in second:  # it goes with its only mask
            masks.add("one", mask, group=second, replace=True)
            assert masks.groups() == {second: ("one",)}


def test_what_makes_no_sense_is_said(tmp_path: Path) -> None:
    path = tmp_path / "c.ozx"
    mask = rectangle((9, 9), (0, 5), (0, 5))
    with MaskCollection(path, "w", shape=(9, 9)) as masks:
        masks.add("Tumor", mask, label=3)
        with pytest.raises(OptionsError, match="already"):
            masks.add("Tumor", mask)
        with pytest.raises(OptionsError, match="the label 3"):
            masks.add("Other", mask, label=3)
        with pytest.raises(OptionsError, match="shape"):
            masks.add("Other", mask[:5])
        with pytest.raises(OptionsError, match="float64"):
            masks.add("Other", mask * 0.5)
        with pytest.raises(OutputError, match="Another process"):
            MaskCollection(path, "a")
    with MaskCollection(path) as masks:
        with pytest.raises(NoSuchClassError, match="Tumor"):
            masks["Tumour"]
        with pytest.raises(OptionsError, match="mode 'a'"):
            masks.add("x", mask)
    with pytest.raises(QpmaskError, match="closed"):
        masks["Tumor"]
    with pytest.raises(OptionsError, match="ozx"):
        MaskCollection(tmp_path / "c.tif", "w", shape=(9, 9))
    with pytest.raises(OptionsError, match="shape"):
        MaskCollection(tmp_path / "d.ozx", "w")


@pytest.mark.parametrize("shape", [(600, 70, 50), (530, 9, 200), (200, 140, 68), (5000, 1100)])
def test_levels_of_odd_shapes(shape: tuple[int, ...], tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    want = {}
    for number in range(2):
        mask = np.zeros(shape, bool)
        for _ in range(40):
            at = [int(rng.integers(0, n)) for n in shape]
            mask[tuple(slice(a, a + 9) for a in at)] = True
        want[f"m{number}"] = mask
    path = tmp_path / "c.ozx"
    with MaskCollection(path, "w", shape=shape) as masks:
        for name, mask in want.items():
            masks.add(name, mask)
    assert check_collection(path).ok
    with MaskCollection(path, "a") as masks:  # arrays go over as they are, the root is made anew
        masks.add("m2", want["m0"] & want["m1"])
    report = check_collection(path)
    assert report.ok, report.problems
    with MaskCollection(path) as masks:
        assert all(np.array_equal(masks[name][...], mask) for name, mask in want.items())
