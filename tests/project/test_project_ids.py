"""Ids of objects are kept in 16 bytes each where they are UUIDs as Java writes them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from qpmask.project import open_project
from qpmask.project.inventory import _packed_ids, read_inventory

UUIDS = [str(UUID(int=i * 0x0123456789ABCDEF0123456789ABCDEF % 2**128)) for i in range(1, 9)]


@pytest.mark.parametrize(
    "ids", [[], [""], UUIDS, [*UUIDS, ""], [*UUIDS, UUIDS[0].upper()], [*UUIDS, "x" * 36]]
)
def test_ids_are_what_they_were(demo: Path, ids: list[str]) -> None:
    inventory = read_inventory(next(iter(open_project(demo))))
    stored = np.array(ids, "S36")
    packed = _packed_ids(stored)
    assert (packed.dtype == np.uint8) == (ids == [] or ids == UUIDS)
    kept = replace(inventory, _ids=packed)
    rows = tuple(reversed(range(len(ids))))
    assert kept.ids(rows) == tuple(ids[row] or None for row in rows)
