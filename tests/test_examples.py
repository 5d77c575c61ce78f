"""Every example runs, in its order, and prints what it should."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

EXPECTED = {
    "01_export.py": "all done in",
    "02_own_classes.py": "Prostate A 750 550",
    "03_read_with_tifffile.py": "Bening gland",
    "04_watch_a_run.py": "interrupted: True",
    "05_read_a_mask.py": "an overview of",
    "06_write_predictions.py": "2  Tumor         1,023,231 pixels",
    "07_picture_of_a_mask.py": "picture.png: 1,241 x 600 pixels",
    "08_patches.py": "patches 64 to 70: (7, 128, 128, 3)",
}
WITH_QUPATH = {"09_predictions_into_qupath.py": "100.00% of the pixels are as predicted"}
WITH_ZARR = {"10_many_masks.py": "Tumor: 196,293 pixels, 0.049 mm²"}


def test_no_example_is_forgotten() -> None:
    assert {p.name for p in (ROOT / "examples").glob("[0-9]*.py")} == {
        *EXPECTED, *WITH_QUPATH, *WITH_ZARR
    }  # fmt: skip


def test_the_examples_run_one_after_the_other(tmp_path: Path) -> None:
    run(EXPECTED, tmp_path)


@pytest.mark.qupath
def test_the_example_that_needs_qupath(tmp_path: Path) -> None:
    run(WITH_QUPATH, tmp_path)


def test_the_example_that_needs_zarr(tmp_path: Path) -> None:
    pytest.importorskip("zarr", minversion="3", reason="zarr 3 needs Python 3.11")
    run(WITH_ZARR, tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="scripts for SLURM are for bash")
@pytest.mark.parametrize("name", ["export", "patches", "features"])
def test_templates_for_slurm(tmp_path: Path, name: str) -> None:
    """What the array's shell runs, and that the plan in the comment is one of that command."""
    qpmask = tmp_path / "qpmask"
    qpmask.write_text('#!/bin/sh\necho "$@"\n')
    qpmask.chmod(0o755)
    script = ROOT / "examples" / "slurm" / f"{name}.sbatch"
    assert f"qpmask {name} " in script.read_text()
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_ARRAY_TASK_ID": "3",
           "SLURM_ARRAY_TASK_COUNT": "40"}  # fmt: skip
    done = subprocess.run(
        ["bash", str(script), "my plan.json"], capture_output=True, text=True, check=True, env=env
    )
    assert done.stdout == "work my plan.json --task 3/40\n"


def run(examples: dict[str, str], folder: Path) -> None:
    for name, words in examples.items():
        done = subprocess.run(
            [sys.executable, str(ROOT / "examples" / name)],
            capture_output=True, text=True, check=False, cwd=folder,
        )  # fmt: skip
        assert done.returncode == 0, (name, done.stderr)
        assert words in done.stdout, (name, done.stdout)
