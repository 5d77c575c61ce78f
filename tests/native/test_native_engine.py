"""The native engine keeps the contract of all engines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from engine_contract import CLASSES, EngineContract, plan_one

from qpmask.classes import ClassEntry, ClassMap
from qpmask.engines.base import Engine
from qpmask.engines.native.engine import NativeEngine
from qpmask.options import MAX_LABEL


class TestNativeEngine(EngineContract):
    @pytest.fixture
    def engine(self) -> Engine:
        return NativeEngine()

    @pytest.mark.parametrize(
        ("first", "dtype"),
        [(65_535 - 9, "uint16"), (65_536 - 9, "uint32"), (MAX_LABEL - 9, "uint32")],
    )
    def test_labels_above_65535_are_uint32(self, draw: Any, first: int, dtype: str) -> None:
        """QuPath's label images end there, so this is no part of the contract."""
        small = draw(plan_one("squares"))
        high = ClassMap(tuple(ClassEntry(first + e.label, e.name) for e in CLASSES.entries))
        plan = plan_one("squares", high)
        assert plan.job is not None and plan.job.dtype == dtype
        np.testing.assert_array_equal(draw(plan), np.where(small, small + first, 0))
