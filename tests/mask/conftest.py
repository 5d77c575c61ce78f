from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from mask_files import BASE, write

from qpmask.mask import Mask, open_mask


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mask with a few levels, whose pixels are ``BASE``."""
    path = tmp_path_factory.mktemp("mask") / "m.ome.tif"
    write(path, BASE, tile_px=64)
    return path


@pytest.fixture
def mask(path: Path) -> Iterator[Mask]:
    """The same, open."""
    with open_mask(path) as mask:
        yield mask
