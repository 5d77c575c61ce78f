"""Directories of zips: read in one pass where they are plain, and as zipfile reads them."""

from __future__ import annotations

import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from qpmask import MaskCollection
from qpmask.collection import zipdirectory
from qpmask.collection.check import check_collection
from qpmask.collection.zipdirectory import Entry, entry_of, read_directory
from qpmask.errors import MaskError

SHAPE = (40, 60)


def mask_of(number: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[number : 20 + number, 5 : 25 + number] = True
    return mask


def collection(path: Path) -> Path:
    with MaskCollection(path, "w", shape=SHAPE) as masks:
        for number in range(3):
            masks.add(f"Größe {number}", mask_of(number))
    return path


def reads(data: bytes) -> Callable[[int, int], bytes]:
    return lambda offset, n_bytes: data[offset : offset + n_bytes]


def plain(data: bytes) -> tuple[list[Entry], bytes] | None:
    return zipdirectory._of_ours(len(data), reads(data))


def by_zipfile(path: Path) -> tuple[list[Entry], bytes]:
    with zipfile.ZipFile(path) as archive:
        return [entry_of(info) for info in archive.infolist()], archive.comment


def test_one_pass_finds_what_zipfile_finds(tmp_path: Path) -> None:
    path = collection(tmp_path / "c.ozx")
    found = plain(path.read_bytes())
    assert found is not None
    assert found == by_zipfile(path)
    many = tmp_path / "many.zip"  # its directory does not fit into what is read first
    with zipfile.ZipFile(many, "w") as archive:
        for number in range(600):
            archive.writestr(f"ä/{number}" if number % 2 else f"plain/{number}", b"x" * number)
        archive.comment = b"a PK\x05\x06 b"
    with zipfile.ZipFile(many, "a") as archive:
        archive.comment = b"nothing odd"
    assert plain(many.read_bytes()) == by_zipfile(many)


def test_a_damaged_directory_is_left_to_zipfile_or_found_the_same(tmp_path: Path) -> None:
    path = collection(tmp_path / "c.ozx")
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        directory = archive.start_dir
    rng = random.Random(0)
    n_same = n_left = 0
    for at in range(directory, len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << rng.randrange(8)
        found = plain(bytes(damaged))
        if found is None:
            n_left += 1
            continue
        path.write_bytes(damaged)
        assert found == by_zipfile(path)
        n_same += 1
    for n in range(directory, len(whole)):
        assert plain(whole[:n]) is None
    assert n_same and n_left


def rewritten(path: Path, change: Callable[[zipfile.ZipInfo], None]) -> None:
    with zipfile.ZipFile(path) as archive:
        entries = [(info, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w") as archive:
        for info, data in entries:
            change(info)
            archive.writestr(info, data)


def more_said(info: zipfile.ZipInfo) -> None:
    info.comment, info.extra = b"of an entry", b"\x99\x99\x02\x00ab"


@pytest.mark.parametrize("kind", ["added to", "behind other bytes", "no comment"])
def test_other_zips_are_read_as_well(kind: str, tmp_path: Path) -> None:
    path = collection(tmp_path / "c.ozx")
    if kind == "added to":
        rewritten(path, more_said)
    elif kind == "behind other bytes":
        path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())
    else:
        rewritten(path, lambda info: None)
    assert (plain(path.read_bytes()) is None) == (kind != "no comment")
    with MaskCollection(path) as masks:
        for number in range(3):
            assert np.array_equal(masks[f"Größe {number}"][:], mask_of(number))
    assert check_collection(path).ok


def test_a_directory_that_says_more_than_there_is(tmp_path: Path) -> None:
    path = collection(tmp_path / "c.ozx")
    data = bytearray(path.read_bytes())
    at = data.rfind(b"PK\x05\x06")
    for where in (at + 12, at + 16):  # its length, its offset
        damaged = bytearray(data)
        damaged[where : where + 4] = b"\xf0\xff\xff\xff"
        path.write_bytes(damaged)
        assert plain(bytes(damaged)) is None
        with pytest.raises(MaskError, match=r"c\.ozx"):
            MaskCollection(path)
    entries, comment = read_directory(path, len(data), reads(bytes(data)))
    assert len(entries) > 5 and comment.startswith(b'{"ome"')
