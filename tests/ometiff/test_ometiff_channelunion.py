"""How much of a mask has a label, whatever the channel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from ometiff.mask_samples import write

from qpmask.ometiff.channelunion import count_labelled


def test_hand_made_channels(tmp_path: Path) -> None:
    planes = np.zeros((3, 40, 50), np.uint8)
    planes[0, :10, :10] = 255
    planes[1, 5:15, 5:15] = 255  # 25 pixels in common with the first
    path = tmp_path / "m.ome.tif"
    write(path, planes, size_c=3, tile_px=16, channel_names=("a", "b", "c"), classes=())
    assert count_labelled(path, 3) == 100 + 100 - 25
    assert count_labelled(path, 1) == 200


@given(
    st.integers(1, 3), st.integers(1, 3), st.integers(1, 70), st.integers(1, 70),
    st.floats(0, 1), st.sampled_from([1, 9, 40]), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_the_union_is_that_of_numpy(
    tmp_path: Path, n_channels: int, n_slices: int, height: int, width: int, share: float,
    grain: int, seed: int,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    coarse = rng.random((n_channels * n_slices, -(-height // grain), -(-width // grain))) < share
    planes = np.repeat(np.repeat(coarse, grain, 1), grain, 2)[:, :height, :width] * np.uint8(255)
    path = tmp_path / "m.ome.tif"
    write(path, planes, size_c=n_channels, size_z=n_slices, tile_px=16, classes=())
    union = planes.reshape(n_slices, n_channels, height, width).any(axis=1)
    assert count_labelled(path, n_channels) == union.sum()
