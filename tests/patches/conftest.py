"""The slide that most tests cut."""

from __future__ import annotations

from pathlib import Path

import pytest
from patches.patch_runs import PIXELS
from patches.patch_slides import slide_file


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    return slide_file(tmp_path / "a.tif", PIXELS, um=2.0)
