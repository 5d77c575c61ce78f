"""A run over many slides: memory and open files stay as they are."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import pytest
from features.feature_models import patch_file

from qpmask import extract_features, feature_options
from qpmask.events import ItemFinished

N_SLIDES = 50


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def memory_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("num_workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_fifty_slides_keep_memory_and_open_files_flat(tmp_path: Path, num_workers: int) -> None:
    first = patch_file(tmp_path, 64, 96)
    data = first.read_bytes()
    for i in range(1, N_SLIDES):  # one slide under many names: what is measured is the run
        (first.parent / f"s{i}.h5").write_bytes(data)
    seen: list[tuple[int, float]] = []

    def listen(event: object) -> None:
        if isinstance(event, ItemFinished):
            gc.collect()
            seen.append((open_files(), memory_mb()))

    options = feature_options("features.feature_models:means", num_workers=num_workers)
    report = extract_features(tmp_path / "out", options, listen)
    assert report.ok and len(report.records) == N_SLIDES
    files, memory = zip(*seen, strict=True)
    assert max(files[5:]) <= files[4], files
    assert memory[-1] - memory[9] < 10, memory
