"""The native engine keeps the contract of all engines."""

from __future__ import annotations

import pytest

pytest.importorskip("numba", reason="the native engine needs numba")

from engine_contract import EngineContract

from qpmask.engines.base import Engine
from qpmask.engines.native.engine import NativeEngine


class TestNativeEngine(EngineContract):
    @pytest.fixture
    def engine(self) -> Engine:
        return NativeEngine()
