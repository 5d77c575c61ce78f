from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="session")
def java_class(qupath: object) -> Any:
    """JClass of the running QuPath. Tests that ask for it are marked ``qupath``."""
    import jpype

    return jpype.JClass
