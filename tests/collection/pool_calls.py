"""What worker processes do with a collection; imports little, so that they begin soon."""

from __future__ import annotations

import faulthandler
from pathlib import Path

import numpy as np

from qpmask import MaskCollection
from qpmask.errors import MaskError


def end_if_stuck(seconds: float = 120) -> None:
    """A worker that hangs says where and ends, so that no test waits for it."""
    faulthandler.dump_traceback_later(seconds, exit=True)


def count(masks: MaskCollection, name: str) -> int:
    """Pixels of a mask, read."""
    return int(np.count_nonzero(masks[name][...]))


def read_while_written(path: Path, n_times: int) -> int:
    """Open and read what is there, again and again; how many masks were seen at most."""
    seen = 0
    for _ in range(n_times):
        try:
            with MaskCollection(path) as masks:
                for row in masks.rows():
                    found = np.count_nonzero(masks[row.name][...])
                    assert found == row.n_pixels, row.name
                    seen = max(seen, len(masks))
        except MaskError:
            if path.suffix != ".zarr":  # a folder is replaced under its readers, and says so
                raise
    return seen
