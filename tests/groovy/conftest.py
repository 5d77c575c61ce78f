"""The one run of the scripts that all their tests look at."""

from __future__ import annotations

import pytest
from groovy.script_runs import Runs, run_all


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """All jobs, run once."""
    return run_all(tmp_path_factory.mktemp("groovy"))
