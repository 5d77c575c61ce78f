"""Writers that stop before their end, and what they should have left."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from qpmask import MaskWriter, check_mask
from qpmask.maskwriter.packedwrites import HEAD, PIECE
from qpmask.ometiff import MaskFile

SIZE = (90, 70)  # width, height


def blocks(n: int) -> list[tuple[int, int, np.ndarray]]:
    """Overlapping blocks, each of which leaves a trace."""
    rng = np.random.default_rng(5)
    return [
        (
            int(rng.integers(0, 60)),
            int(rng.integers(0, 40)),
            np.kron(rng.integers(0, 250, (4, 4)), np.ones((7, 7), int)),
        )
        for _ in range(n)
    ]


def painted(done: list[tuple[int, int, np.ndarray]]) -> np.ndarray:
    array = np.zeros(SIZE[::-1], np.uint8)
    for x, y, block in done:
        array[y : y + block.shape[0], x : x + block.shape[1]] = block[: SIZE[1] - y, : SIZE[0] - x]
    return array


def read(path: Path) -> np.ndarray:
    assert check_mask(path).problems == ()
    with MaskFile(path) as mask:
        return mask.read()


def names(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()}


def leave(path: Path, done: list[tuple[int, int, np.ndarray]]) -> Path:
    """Write, and leave it unfinished."""
    writer = MaskWriter(path, *SIZE, tile_size=32)
    try:
        with writer:
            for x, y, block in done:
                writer.write(x, y, block)
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    return path.with_name(path.name + ".writing")


def record_ends(journal: Path) -> list[int]:
    """Where the plan ends, and each record."""
    data = journal.read_bytes()
    n_plan, _ = struct.unpack_from("<LL", data, 16)
    ends = [24 + n_plan]
    while ends[-1] < len(data):
        _, _, n_pieces, n_bytes, *_ = HEAD.unpack_from(data, ends[-1])
        ends.append(ends[-1] + HEAD.size + n_pieces * PIECE.itemsize + n_bytes)
    return ends
