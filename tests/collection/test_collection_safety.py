"""Nothing is lost when a writer dies, and nothing damaged is believed."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
import struct
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qpmask import MaskCollection
from qpmask.collection.check import check_collection
from qpmask.errors import MaskError, QpmaskError

SHAPE = (90, 120)
GROUPS = (None, "ribs", "organs")  # of a mask by its seed


def mask_of(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y, x = rng.integers(0, 80, 2)
    mask = np.zeros(SHAPE, bool)
    mask[y : y + 30, x : x + 30] = rng.random((30, 30))[: 90 - y, : 120 - x] > 0.3
    return mask


def fresh(path: Path) -> dict[str, int]:
    """A collection of four masks; the seed of each."""
    with MaskCollection(path, "w", shape=SHAPE, mpp=0.5) as masks:
        for seed in range(4):
            masks.add(f"m{seed}", mask_of(seed), group=GROUPS[seed % 3])
    return {f"m{seed}": seed for seed in range(4)}


def holds(path: Path, want: dict[str, int]) -> None:
    with MaskCollection(path) as masks:
        assert set(masks.names()) == set(want)
        for name, seed in want.items():
            assert np.array_equal(masks[name][:], mask_of(seed)), name
            assert masks.row(name).group == GROUPS[seed % 3], name
    report = check_collection(path)
    assert report.ok, report.problems


# --- writers that die -----------------------------------------------------------------------------


def write_forever(path: Path, journal: int, seed: int) -> None:
    """Add, replace, delete, in groups, close; before and after each a line in the journal."""

    def say(*what: object) -> None:
        os.write(journal, (json.dumps(what) + "\n").encode())

    rng = random.Random(seed)
    for number in range(1000):
        with MaskCollection(path, "a", shape=SHAPE) as masks:
            for step in range(rng.randrange(1, 5)):
                value = 1000 * seed + 10 * number + step
                names = masks.names()
                if rng.random() < 0.3 and len(names) > 1:
                    name = rng.choice(names)
                    say("delete", name)
                    masks.delete(name)
                    say("done", name, None)
                else:
                    name, group = f"m{rng.randrange(8)}", GROUPS[value % 3]
                    say("add", name, value)
                    masks.add(name, mask_of(value), group=group, replace=name in names)
                    say("done", name, value)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked writers")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("suffix", [".ozx", ".zarr"])
def test_a_killed_writer_loses_nothing(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"c{suffix}"
    want: dict[str, Any] = dict(fresh(path))
    for kill in range(25):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            try:
                write_forever(path, writing, kill + 1)
            finally:
                os._exit(1)
        os.close(writing)
        time.sleep(random.Random(kill).uniform(0.01, 0.15))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with os.fdopen(reading) as journal:
            lines = [json.loads(line) for line in journal.read().splitlines() if line[-1] == "]"]
        pending: tuple[str, Any] | None = None
        for what, name, *value in lines:
            if what == "done":
                want[name] = value[0]
                pending = None
            else:
                pending = name, (value[0] if value else None)
        if path.exists():  # what stands there is whole, whatever has happened
            assert check_collection(path).ok
        with MaskCollection(path, "a", shape=SHAPE):
            pass  # takes up what was added
        if pending is not None:  # it may have been done, and not said any more
            name, seed = pending
            with MaskCollection(path) as masks:
                is_there = name in masks
                if seed is None and not is_there:
                    want[name] = None
                if seed is not None and is_there and np.array_equal(masks[name][:], mask_of(seed)):
                    want[name] = seed
        want = {name: seed for name, seed in want.items() if seed is not None}
        holds(path, want)
    left = {p.name for p in tmp_path.iterdir()} - {path.name, f".{path.name}.lock"}
    assert not left


def test_an_error_keeps_what_was_added(tmp_path: Path) -> None:
    path = tmp_path / "c.ozx"
    want = fresh(path)
    with pytest.raises(ZeroDivisionError), MaskCollection(path, "a") as masks:
        masks.add("new", mask_of(9))
        with masks.writer("half") as writer:
            writer.write((0, 0), np.ones((5, 5), bool))
            1 / 0  # noqa: B018
    holds(path, want)
    with MaskCollection(path, "a") as masks:
        assert "new" in masks and "half" not in masks
    holds(path, {**want, "new": 9})


def test_what_was_added_upon_another_file_is_not_mixed_in(tmp_path: Path) -> None:
    path = tmp_path / "c.ozx"
    fresh(path)
    masks = MaskCollection(path, "a")
    masks.add("new", mask_of(9))
    masks.abandon()
    with MaskCollection(tmp_path / "other.ozx", "w", shape=SHAPE) as other:
        other.add("x", mask_of(1))
    (tmp_path / "other.ozx").replace(path)
    with pytest.raises(MaskError, match="another file"):
        MaskCollection(path, "a")


# --- files that are damaged -----------------------------------------------------------------------


def test_every_flipped_byte_is_an_error_or_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "c.ozx"
    want = fresh(path)
    whole = path.read_bytes()
    rng = random.Random(0)
    damaged = 0
    for at in rng.sample(range(len(whole)), 120):
        path.write_bytes(
            whole[:at] + bytes([whole[at] ^ (1 << rng.randrange(8))]) + whole[at + 1 :]
        )
        try:
            with MaskCollection(path) as masks:
                for name, seed in want.items():
                    if name in masks:
                        assert np.array_equal(masks[name][:], mask_of(seed))
        except QpmaskError as error:
            damaged += 1
            assert "c.ozx" in str(error)
        report = check_collection(path)  # finds more, such as names that are others
        assert report.ok or report.problems
    assert damaged


def test_a_flipped_bit_in_the_pixels_names_the_mask(tmp_path: Path) -> None:
    for suffix in (".ozx", ".zarr"):
        path = tmp_path / f"c{suffix}"
        with MaskCollection(path, "w", shape=SHAPE) as masks:
            masks.add("Tumor", mask_of(1))
            masks.add("Stroma", ~mask_of(1))
            masks.add("Tissue", np.ones(SHAPE, bool))
        with MaskCollection(path) as masks:
            layer = masks.row("Tumor").layer
        entry = f"{layer}/0/c/0/0"
        flip(path, entry, 5)
        with MaskCollection(path) as masks:
            with pytest.raises(MaskError, match=r"'Tumor'.*checksum"):
                masks["Tumor"][:]
            if masks.row("Tissue").layer != layer:
                assert masks["Tissue"][:].all()
        report = check_collection(path)
        assert any("Tumor" in problem for problem in report.problems)


def flip(path: Path, entry: str, at: int) -> None:
    if path.is_dir():
        data = bytearray((path / entry).read_bytes())
        data[at] ^= 4
        (path / entry).write_bytes(data)
        return
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(entry)
    data = bytearray(path.read_bytes())
    n_name, n_extra = struct.unpack_from("<HH", data, info.header_offset + 26)
    data[info.header_offset + 30 + n_name + n_extra + at] ^= 4
    path.write_bytes(data)


def test_truncations(tmp_path: Path) -> None:
    path = tmp_path / "c.ozx"
    fresh(path)
    whole = path.read_bytes()
    for n in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:n])
        with pytest.raises(MaskError, match=r"c\.ozx"):
            MaskCollection(path)
        assert not check_collection(path).ok


def rezipped(path: Path, change: Any, **how: Any) -> None:
    with zipfile.ZipFile(path) as archive:
        entries = [(e.filename, archive.read(e)) for e in archive.infolist()]
    with zipfile.ZipFile(path, "w", **how) as archive:
        for name, data in change(entries):
            archive.writestr(name, data)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_zips_that_are_not_to_be_believed(tmp_path: Path) -> None:
    path = tmp_path / "c.ozx"

    def refused(why: str, change: Any, **how: Any) -> None:
        fresh(path)
        rezipped(path, change, **how)
        with pytest.raises(MaskError, match=why):
            MaskCollection(path)

    refused(
        "two entries 'labels",
        lambda e: [*e, next(x for x in e if "/c/" in x[0] and "labels" in x[0])],
    )
    refused("differ in case", lambda e: [*e, (e[-1][0].upper(), b"x")])
    refused("leads out", lambda e: [*e, ("../x", b"x")])
    refused("leads out", lambda e: [*e, ("/x", b"x")])
    refused("compressed by the zip", lambda e: e, compression=zipfile.ZIP_DEFLATED)
    refused("no zarr.json", lambda e: e[1:])
    refused("cannot be read", lambda e: [("zarr.json", b"{" * 5000), *e[1:]])


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "change",
    [
        lambda entries, name: [*entries, next(e for e in entries if e[0] == name)],
        lambda entries, name: [*entries, (name.upper(), b"x")],
        lambda entries, name: [*entries, (f"{name}/../x", b"x")],
        lambda entries, name: [*entries, (name.replace("/0/", "/0\\"), b"x")],
    ],
)
def test_an_entry_that_is_not_to_be_believed_names_its_masks(change: Any, tmp_path: Path) -> None:
    path = tmp_path / "c.ozx"
    with MaskCollection(path, "w", shape=SHAPE, odd_names="keep") as masks:
        masks.add("Immune/CD8", mask_of(1))  # in an array of its own, named in another way
        masks.add("Tissue", np.ones(SHAPE, bool))
    with MaskCollection(path) as masks:
        entry = masks.row("Immune/CD8").layer + "/0/c/0/0"
        assert "Immune/CD8" not in entry
    rezipped(path, lambda entries: change(entries, entry))
    with pytest.raises(MaskError, match=r"c\.ozx.*'Immune/CD8'"):
        MaskCollection(path)
    report = check_collection(path)
    assert any("'Immune/CD8'" in problem for problem in report.problems)


def changed(path: Path, change: Any) -> None:
    document = json.loads((path / "zarr.json").read_text())
    change(document["attributes"])
    (path / "zarr.json").write_text(json.dumps(document))


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a["qpmask"].__setitem__("n", 9),
        lambda a: a["qpmask"]["boxes"].__setitem__(0, 10**9),
        lambda a: a["qpmask"]["boxes"].__setitem__(0, -1),
        lambda a: a["qpmask"]["pixels"].__setitem__(0, "x"),
        lambda a: a["qpmask"]["layers"].__setitem__(0, "labels/../../x"),
        lambda a: a["qpmask"]["layers"].__setitem__(0, "labels/a/b"),
        lambda a: a["qpmask"]["layers"].__setitem__(0, a["qpmask"]["layers"][1].upper()),
        lambda a: a["qpmask"].__setitem__("shape", [2**40]),
        lambda a: a["qpmask"].__setitem__("format", 9),
        lambda a: a["ome"].pop("multiscales"),
        lambda a: a["ome"]["image-label"].pop("properties"),
        lambda a: a.pop("qpmask"),
        lambda a: a["qpmask"]["pixels"].__setitem__(0, True),
        lambda a: a["qpmask"]["boxes"].pop(),
        lambda a: a["qpmask"]["layer"].__setitem__(0, 99),
        lambda a: a["qpmask"].__setitem__("groups", [["x"]] * a["qpmask"]["n"]),
        lambda a: a["qpmask"].__setitem__("extra", [1]),
        lambda a: a["ome"].__setitem__("image-label", ["x"]),
        lambda a: a["ome"]["image-label"]["properties"][0].__setitem__("name", None),
    ],
)
def test_what_it_says_of_itself_must_make_sense(change: Any, tmp_path: Path) -> None:
    path = tmp_path / "c.zarr"
    fresh(path)
    changed(path, change)
    with pytest.raises(MaskError, match=r"c\.zarr"):
        MaskCollection(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.__setitem__("shape", [2**40, 2**40]),
        lambda a: a["chunk_grid"]["configuration"].__setitem__("chunk_shape", [2**61, 2**61]),
        lambda a: a["codecs"][0]["configuration"].__setitem__("chunk_shape", [2**20, 2**20]),
        lambda a: a["codecs"][0]["configuration"].__setitem__("codecs", ["x"]),
        lambda a: a["codecs"][0]["configuration"]["codecs"].insert(1, {"name": "vlen"}),
        lambda a: a.__setitem__("chunk_key_encoding", {"name": "default", "configuration": [1]}),
        lambda a: a.__setitem__("data_type", "float32"),
    ],
)
def test_what_an_array_says_of_itself_must_make_sense(change: Any, tmp_path: Path) -> None:
    path = tmp_path / "c.zarr"
    fresh(path)
    files = sorted(path.glob("labels/*/0/zarr.json")) or [path / "0" / "zarr.json"]
    for file in files:
        document = json.loads(file.read_text())
        change(document)
        file.write_text(json.dumps(document))
    with pytest.raises(MaskError), MaskCollection(path) as masks:
        masks["m1"][:]
    assert not check_collection(path).ok


@pytest.mark.parametrize("change", [("data_type", "uint16"), ("shape", [3, 3])])
def test_levels_must_be_those_of_the_masks(change: tuple[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "c.zarr"
    with MaskCollection(path, "w", shape=(2100, 40)) as masks:
        masks.add("a", np.ones((2100, 40), bool))
        masks.add("b", np.ones((2100, 40), bool))
    files = list(path.glob("labels/*/1/zarr.json"))
    assert len(files) == 2
    for file in files:
        document = json.loads(file.read_text())
        document[change[0]] = change[1]
        file.write_text(json.dumps(document))
    with pytest.raises(MaskError, match="other levels"), MaskCollection(path) as masks:
        masks["a"].region(0, 0, 16, 64, downsample=16)
    assert not check_collection(path).ok


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda file: file.unlink(), "is missing"),
        (lambda file: file.write_text(file.read_text()[:40]), "cannot be read"),
        (
            lambda file: file.write_text(file.read_text().replace('"path":"0"', '"path":"7"')),
            "other levels than there are",
        ),
        (lambda file: file.write_text('{"attributes":{}}'), "no multiscale image"),
    ],
)
def test_what_an_image_tells_other_programs_is_checked_and_not_needed_here(
    change: Any, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "c.zarr"
    with MaskCollection(path, "w", shape=SHAPE) as masks:
        masks.add("Tumor", mask_of(1))
        masks.add("Tissue", np.ones(SHAPE, bool))
    with MaskCollection(path) as masks:
        layer = masks.row("Tumor").layer
    change(path / layer / "zarr.json")
    with MaskCollection(path) as masks:
        assert np.array_equal(masks["Tumor"][:], mask_of(1))
    assert any("'Tumor'" in p and said in p for p in check_collection(path).problems)


def test_a_record_that_says_it_is_huge_is_where_the_writer_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "c.ozx"
    masks = MaskCollection(path, "w", shape=SHAPE)
    masks.add("m", mask_of(1), group=GROUPS[1])
    masks.abandon()
    spool = path.with_name("c.ozx.writing")
    whole = spool.read_bytes()
    spool.write_bytes(whole + b"qpm3" + b"\xff" * 16)
    with MaskCollection(path, "a") as masks:
        assert masks.names() == ("m",)
    holds(path, {"m": 1})


def test_a_check_finds_what_lies(tmp_path: Path) -> None:
    path = tmp_path / "c.zarr"
    fresh(path)
    changed(path, lambda a: a["qpmask"]["pixels"].__setitem__(2, 7))
    assert any("'m2' has" in p and "7" in p for p in check_collection(path).problems)
    fresh(path)
    changed(path, lambda a: a["qpmask"]["boxes"].__setitem__(4, 0))
    assert any("'m1'" in p for p in check_collection(path).problems)
    fresh(path)
    shutil.rmtree(path / "0")
    assert not check_collection(path).ok


@pytest.mark.parametrize("suffix", [".ozx", ".zarr"])
def test_every_kind_of_entry_flipped_or_cut_is_an_error_or_changes_nothing(
    suffix: str, tmp_path: Path
) -> None:
    """Each entry, at its beginning, middle and end: never other pixels, and the mask is named."""
    path = tmp_path / f"c{suffix}"
    want = fresh(path)
    with MaskCollection(path) as masks:
        entries = {name: masks.container.n_bytes(name) for name in masks.container.names()}
        named = {path: [row.name for row in rows] for path, rows in masks.by_layer().items()}
    keep = tmp_path / f"keep{suffix}"
    path.rename(keep)
    found = 0
    for entry, length in entries.items():
        assert length
        layer = entry.rsplit("/c/")[0].rpartition("/")[0] if "/c/" in entry else None
        of = named.get(layer) if layer is not None else None
        for at in {0, length // 2, length - 1}:
            for cut in (False, True):
                if cut and suffix == ".ozx":
                    continue  # an entry of a zip cannot be cut by itself
                if keep.is_dir():
                    shutil.copytree(keep, path)
                else:
                    shutil.copy(keep, path)
                if cut:
                    (path / entry).write_bytes((path / entry).read_bytes()[:at])
                else:
                    flip(path, entry, at)
                said = ""
                try:
                    with MaskCollection(path) as masks:
                        for name, seed in want.items():
                            assert np.array_equal(masks[name][:], mask_of(seed)), (entry, at, cut)
                except QpmaskError as error:
                    said = str(error)
                    found += 1
                    assert f"c{suffix}" in said
                assert not of or said == "" or any(repr(name) in said for name in of)
                report = check_collection(path)
                assert report.ok or report.problems
                if suffix == ".ozx":
                    assert not report.ok  # every byte of an entry is under a checksum
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert found


def test_cuts_at_every_region_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.ozx"
    fresh(path)
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        starts = [info.header_offset for info in archive.infolist()]
        directory = archive.start_dir
    regions = [*starts, directory, len(whole)]
    for begin, end in itertools.pairwise(regions):
        for n in {begin, begin + 7, (begin + end) // 2, end - 1}:
            path.write_bytes(whole[:n])
            with pytest.raises(MaskError, match=r"c\.ozx"):
                MaskCollection(path)
            assert not check_collection(path).ok
