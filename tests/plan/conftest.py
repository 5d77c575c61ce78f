from __future__ import annotations

from pathlib import Path

import projects
import pytest
from plan.planning import THREE


@pytest.fixture
def three(tiny: Path) -> Path:
    """The images that are not special."""
    projects.keep(tiny, *THREE)
    return tiny
