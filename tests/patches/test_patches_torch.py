"""Patch files and PyTorch: a DataLoader takes them, and CLAM's training its tensors.

Runs where PyTorch is installed.
"""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from patches.patch_slides import place_colors, slide_file

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra features)")

from qpmask import make_patches, open_patches, patch_options  # noqa: E402
from qpmask.patches.reading import Patch, Patches  # noqa: E402


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    return slide_file(tmp_path / "a.tif", place_colors(512, 640), um=0.5)


def cut(slide: Path, out: Path, views: str | tuple[str, ...] = ()) -> Path:
    options = patch_options(patch_size=64, target_mpp=0.5, tissue="none", views=views)
    assert make_patches(slide, out, options).ok
    return out / "patches/a.h5"


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("start", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of forks with threads
def test_a_dataloader(slide: Path, tmp_path: Path, workers: int, start: str) -> None:
    if workers == 0 and start == "spawn":
        pytest.skip("without workers nothing is started")
    with open_patches(cut(slide, tmp_path / "out")) as patches:
        expected = np.stack([patches.read(i) for i in range(len(patches))])  # the slide is open
        loader = torch.utils.data.DataLoader(
            patches, batch_size=7, num_workers=workers,
            multiprocessing_context=start if workers else None,
        )  # fmt: skip
        batches = list(loader)
        assert len(patches) == 80 and [len(b.coords) for b in batches] == [7] * 11 + [3]
        assert isinstance(batches[0], Patch) and batches[0].pixels.dtype == torch.uint8
        np.testing.assert_array_equal(torch.cat([b.pixels for b in batches]), expected)
        np.testing.assert_array_equal(torch.cat([b.coords for b in batches]), patches.coords)
        assert patches.read(3).sum() == expected[3].sum()  # still open here


class Where(torch.utils.data.Dataset):
    """Says which process read a patch."""

    def __init__(self, patches: Patches) -> None:
        self.patches = patches

    def __len__(self) -> int:
        return len(self.patches)

    def __getitem__(self, i: int) -> tuple[int, int]:
        return os.getpid(), int(self.patches.read(i).sum())


def test_a_shuffled_dataset_around_it(slide: Path, tmp_path: Path) -> None:
    with open_patches(cut(slide, tmp_path / "out")) as patches:
        sums = sorted(int(patches.read(i).sum()) for i in range(len(patches)))
        rows = torch.utils.data.DataLoader(
            Where(patches), batch_size=5, shuffle=True, num_workers=2,
            multiprocessing_context="fork",
        )  # fmt: skip
        found = torch.cat([torch.stack(batch, 1) for batch in rows]).numpy()
    assert len(set(found[:, 0])) == 2 and os.getpid() not in found[:, 0]
    assert sorted(found[:, 1]) == sums


def test_tensors_for_clam(slide: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    file = cut(slide, out)
    features = np.random.default_rng(0).random((80, 5), np.float32)
    with h5py.File(file, "a") as opened:
        opened["features/small"] = features.astype(np.float16)
    cut(slide, out, "clam")
    tensor = out / "clam/features_small/pt_files/a.pt"
    found = torch.load(tensor, weights_only=True)
    assert (found.dtype, tuple(found.shape)) == (torch.float32, (80, 5))
    np.testing.assert_array_equal(found, features.astype(np.float16).astype(np.float32))
    before = tensor.stat().st_mtime_ns
    cut(slide, out, "clam")
    assert tensor.stat().st_mtime_ns == before
    with h5py.File(file, "a") as opened:  # of another model
        opened["features/small"][0] = 7
    os.utime(file, ns=(before + 10**9,) * 2)
    cut(slide, out, ("clam", "trident"))
    assert (torch.load(tensor, weights_only=True)[0] == 7).all()
