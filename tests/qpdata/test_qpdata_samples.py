"""Files that QuPath wrote: what is in them, and what becomes of damaged ones."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from qpdata.qpdata_builder import Obj, Roi, data_file
from qpdata.qpdata_samples import (
    EMPTY,
    SAMPLES,
    VARIED,
    by_hand,
    checked,
    columns,
    parsed,
    parsed_in_pieces,
    told,
)

from qpmask.errors import CorruptDataError, TruncatedDataError, UnsupportedDataError
from qpmask.imageobjects import ImageObjects, ObjectKind, RoiKind
from qpmask.qpdata import read_qpdata, read_qpdata_bytes
from qpmask.qpdata.parser import TooFarBackError

SELDOM = 8  # how seldom damage is read by what is slow
Readers = tuple[Callable[..., ImageObjects], ...]
DAMAGE = (TruncatedDataError, CorruptDataError, UnsupportedDataError)

every_sample = pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)


def test_there_are_samples() -> None:
    assert len(SAMPLES) >= 4
    assert len(EMPTY) >= 1
    assert len(VARIED) >= 1
    assert sum(path.stat().st_size for path in (*SAMPLES, *EMPTY, *VARIED)) < 150_000


@pytest.mark.parametrize("path", EMPTY, ids=lambda path: path.stem)
def test_image_without_objects(path: Path) -> None:
    assert len(read_qpdata(path)) == 0


@every_sample
def test_objects(path: Path) -> None:
    objects = read_qpdata(path)
    kinds = [ObjectKind(kind).name for kind in objects.kind]
    assert len(objects) == 28
    assert kinds[:16] == ["ANNOTATION"] * 16
    assert objects.version == 3
    assert f'"qupathVersion":"{path.stem.removeprefix("objects-")}"' in objects.server
    assert objects.image_type == "BRIGHTFIELD_H_E"
    assert objects.parent[:6].tolist() == [-1, 0, 1, 2, 3, -1]
    assert objects.names[:3] == ("Rectangle", "Level 0 \0 ü 𝄞", "Level 1 \0 ü 𝄞")
    assert objects.locked[:2].tolist() == [True, False]
    names = [item.name for item in objects.classes]
    assert sorted(names) == ["Größe 𝄞", "Tumor", "Tumor: Positive"]
    assert [names[number] for number in objects.class_index[:2]] == ["Tumor", "Größe 𝄞"]
    cells = np.flatnonzero(objects.kind == ObjectKind.CELL)
    assert (objects.nucleus_roi[cells] >= 0).tolist() == [True, True, False]
    cores = np.flatnonzero(objects.kind == ObjectKind.TMA_CORE)
    assert objects.missing[cores].tolist() == [False, False, True, False]
    assert [objects.names[i] for i in cores] == ["A-1", "A-2", "B-1", "B-2"]
    assert objects.parent[cores[1] + 1] == cores[1]
    ids = [objects.id_of(i) for i in range(len(objects))]
    assert all(item is not None and item.startswith("12345678-0000-4000-9") for item in ids)
    assert len(set(ids)) == 28


@every_sample
def test_rois(path: Path) -> None:
    objects = read_qpdata(path)
    rois = objects.rois
    assert set(rois.kind.tolist()) == set(RoiKind)
    rectangle = objects.roi[0]
    assert rois.box_px0[rectangle].tolist() == [10.1, 20.2, 10.1 + 300.3, 20.2 + 200.7]
    line = objects.roi[5]
    assert rois.box_px0[line].tolist() == [9.5, 8.5, 1.25, 90.0]
    assert (rois.c[line], rois.z[line], rois.t[line]) == (2, 3, 4)
    (polygon,) = rois.rings(objects.roi[6])
    expected = np.array([[0.1, 0.2], [100.7, 0.9], [100.3, 80.4], [-3.5, 81.3]], np.float32)
    assert polygon.dtype == np.float32
    assert polygon.tolist() == expected.tolist()
    geometries = np.flatnonzero(rois.kind == RoiKind.GEOMETRY)
    assert rois.geometry_type[geometries].tolist() == [3, 6, 2, 5, 1, 4, 7, 3]
    multi = geometries[1]
    rings = slice(rois.ring_offsets[multi], rois.ring_offsets[multi + 1])
    assert rois.ring_part[rings].tolist() == [0, 1, 1]
    assert rois.ring_is_hole[rings].tolist() == [False, False, True]
    assert np.isnan(rois.bounds_px0[geometries[-1]]).all()  # it is empty
    assert rois.bounds_px0[geometries[0]].tolist() == [0, 0, 100.25, 100]


def check_truncations(data: bytes, step: int = 1) -> None:
    lengths = (*range(0, len(data), step), *range(max(0, len(data) - 200), len(data)))
    for i, n in enumerate(lengths):
        with pytest.raises(TruncatedDataError):
            read_qpdata_bytes(data[:n])
        if i % (8 * SELDOM) == 0:
            with pytest.raises(TruncatedDataError):
                checked(data[:n])


def test_every_truncation_of_small_files() -> None:
    check_truncations(EMPTY[0].read_bytes())
    check_truncations(alike_file(2))


@pytest.mark.parametrize("path", (*SAMPLES, *VARIED), ids=lambda path: path.stem)
def test_truncations(path: Path) -> None:
    check_truncations(path.read_bytes(), step=397)


@pytest.mark.slow
def test_every_truncation() -> None:
    check_truncations(SAMPLES[-1].read_bytes())


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Damage a file as disks, programs and people do."""
    out = bytearray(data)
    at = rng.randrange(len(out))
    choice = rng.randrange(6)
    if choice < 2:
        for _ in range(rng.choice((1, 1, 2, 5, 20))):
            codes = (rng.randrange(256), 0, 255, 127, 128, *range(0x70, 0x7F))
            out[rng.randrange(len(out))] = rng.choice(codes)
    elif choice == 2:
        del out[at : at + rng.randrange(1, 60)]
    elif choice == 3:
        start = rng.randrange(len(out))
        out[at:at] = out[start : start + rng.randrange(1, 200)]
    elif choice == 4:
        numbers = (b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\0\xff\xff\xff", bytes(4))
        out[at : at + 4] = rng.choice(numbers)
    else:
        at = out.find(b"q\0~\0", at)
        if at >= 0:
            out[at + 3 : at + 5] = rng.randrange(500).to_bytes(2, "big")
    return bytes(out)


def alike_file(n: int) -> bytes:
    items = [
        Obj(
            "PathCellObject",
            metadata={"Object ID": f"01234567-89ab-cdef-0123-4567890000{i:02d}"},
            path_class=(None, ("A",))[i % 2],
            roi=Roi("PolygonROI", (range(i, i + 4), range(4))),
            nucleus=Roi("EllipseROI", (i, i, i + 2, i + 3)),
        )
        for i in range(n)
    ]
    return data_file(items)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["sample", "alike", "varied"])
def test_mutations(name: str, seed: int) -> None:
    """A value or an error of the family, however it is read: that of the tests' simple reader."""
    samples = {"sample": SAMPLES, "varied": VARIED}.get(name)
    data = samples[seed % len(samples)].read_bytes() if samples else alike_file(25)
    rng = random.Random(seed)
    n_good = 0
    n_mutations = 60 if name == "varied" else 180
    for i in range(n_mutations):
        damaged = mutated(data, rng)
        found = None
        with suppress(*DAMAGE):
            found = parsed(damaged, details=True)
        n_good += found is not None
        assert (None if found is None else told(found)) == by_hand(damaged)
        readers: Readers = (parsed_in_pieces, *(() if i % SELDOM else (checked,)))
        for read in readers:
            with suppress(TooFarBackError, *DAMAGE):
                again = read(damaged, details=True)
                assert found is not None
                assert columns(again) == columns(found)
            if found is not None:
                with suppress(TooFarBackError):
                    read(damaged)
    assert 0.04 * n_mutations < n_good < 0.96 * n_mutations


def test_damage_does_not_fill_the_memory() -> None:
    data = SAMPLES[-1].read_bytes()
    rng = random.Random(7)
    tracemalloc.start()
    try:
        for _ in range(60):
            with suppress(*DAMAGE):
                read_qpdata_bytes(mutated(data, rng))
        assert tracemalloc.get_traced_memory()[1] < 100 * len(data) + 2**22
    finally:
        tracemalloc.stop()
