"""Features on the CPU: qpmask beside a plain DataLoader over OpenSlide; and runs that are killed.

    python tests/benchmarks/features.py                       # both, 2,000 patches
    python tests/benchmarks/features.py cpu --patches 200     # to see that it runs

``cpu``: the same small model with the same random weights, batch and number of workers, by
``qpmask.extract_features`` and by a ``torch.utils.data.DataLoader`` whose dataset reads each patch
with OpenSlide and prepares it with torchvision. Each is a process of its own, import and model
included; memory is the peak of the sum of its processes' own shares (PSS). ``kill``: a run killed
at so many random moments, each time begun again; its features beside those of a run that was not.
Needs the extra ``features`` and Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
from features_gpu import SIDE, make_slide

HERE = Path(__file__).resolve().parent
EXTRACTOR = "features_gpu:model"


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", default=["cpu", "kill"])
    parser.add_argument("--patches", type=int, default=2000)
    parser.add_argument("--model", default="resnet10t.c3_in1k")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--task", help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        TASKS[options.task](options)
        return
    from qpmask import make_patches, open_patches, patch_options

    with tempfile.TemporaryDirectory(prefix="qpmask-features-") as folder:
        slide = Path(folder) / "slide.tif"
        n_columns = max(1, round(options.patches**0.5))
        make_slide(slide, n_columns * SIDE, -(-options.patches // n_columns) * SIDE)
        cut = patch_options(patch_size=SIDE, target_mpp=0.5, tissue="none")
        report = make_patches(slide, Path(folder) / "out", cut)
        options.file = Path(folder) / "out" / str(report.records[0].file)
        with open_patches(options.file) as patches:
            print(f"{len(patches):,} patches of {SIDE} pixels of a JPEG slide, {options.model}, "
                  f"{options.workers} workers, batches of {options.batch_size}, "
                  f"{os.cpu_count()} processors", flush=True)  # fmt: skip
        for part in options.parts:
            PARTS[part](options)


# --- beside a DataLoader --------------------------------------------------------------------------


def beside(options: argparse.Namespace) -> None:
    """Time and memory of both, in turns; the best of each."""
    found: dict[str, tuple[float, float]] = {}
    for _ in range(options.repeat):
        for task in ("qpmask", "plain"):
            seconds, mb = measured(command(options, task))
            before = found.get(task, (np.inf, np.inf))
            found[task] = (min(before[0], seconds), min(before[1], mb))
    for task, name in (("qpmask", "qpmask"), ("plain", "DataLoader over OpenSlide")):
        seconds, mb = found[task]
        print(f"{name:26} {seconds:7.1f} s {options.patches / seconds:7.0f} patches/s {mb:7.0f} MB")
    ratio = found["plain"][0] / found["qpmask"][0]
    print(f"{ratio:.2f} times as fast, {found['qpmask'][1] / found['plain'][1]:.2f} of the memory")
    stored = features(options.file)
    plain = np.load(options.file.with_suffix(".npy"))
    a, b = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (stored, plain))
    print(f"least cosine of the two features of a patch: {(a * b).sum(1).min():.5f}", flush=True)


def command(options: argparse.Namespace, task: str) -> list[str]:
    return [sys.executable, __file__, "--task", task, "--file", str(options.file),
            "--model", options.model, "--workers", str(options.workers),
            "--batch-size", str(options.batch_size)]  # fmt: skip


def measured(arguments: list[str]) -> tuple[float, float]:
    """Seconds, and peak MB of a process and all that it started."""
    began = time.monotonic()
    process = subprocess.Popen(arguments, env=environment(), stdout=subprocess.PIPE)
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, sum(map(pss_mb, family(process.pid))))
        time.sleep(0.1)
    assert process.returncode == 0, arguments
    assert process.stdout is not None
    inner = json.loads(process.stdout.read().splitlines()[-1])["seconds"]
    return min(inner, time.monotonic() - began), peak


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text()
            except OSError:
                continue
            parents[int(entry.name)] = int(text.rpartition(")")[2].split()[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def pss_mb(pid: int) -> float:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    lines = [line for line in text.splitlines() if line.startswith("Pss:")]
    return int(lines[0].split()[1]) / 1e3 if lines else 0.0


def qpmask_task(options: argparse.Namespace) -> None:
    """Features by qpmask."""
    import features_gpu

    from qpmask import extract_features, feature_options

    features_gpu._settings["model"] = options.model.partition(".")[0]
    how = feature_options(EXTRACTOR, device="cpu", batch_size=options.batch_size,
                          num_workers=options.workers, force=True)  # fmt: skip
    began = time.monotonic()
    report = extract_features(options.file, how)
    assert report.ok, [r.error for r in report]
    print(json.dumps({"seconds": time.monotonic() - began}))


def plain_task(options: argparse.Namespace) -> None:
    """Features by a DataLoader."""
    import features_gpu

    from qpmask import open_patches

    features_gpu._settings["model"] = options.model.partition(".")[0]
    with open_patches(options.file) as patches:
        coords, slide = patches.coords, patches.slide_path
    options.device, options.precision = "cpu", "float32"
    began = time.monotonic()
    module = features_gpu.model().eval()
    found = features_gpu.plain_features(slide, coords, module, options, options.workers)
    np.save(options.file.with_suffix(".npy"), found)
    print(json.dumps({"seconds": time.monotonic() - began}))


# --- killed ---------------------------------------------------------------------------------------


def killed(options: argparse.Namespace) -> None:
    """Kill a run at random moments, go on, and compare."""
    rng = random.Random(1)
    began = time.monotonic()
    subprocess.run(command(options, "qpmask"), env=environment(), check=True,
                   stdout=subprocess.DEVNULL)  # fmt: skip
    seconds = time.monotonic() - began
    expected = features(options.file)
    with h5py.File(options.file, "r+") as file:
        del file["features"]
    side = options.file.with_name(f".{options.file.stem}.model.features")

    def n_bytes() -> int:
        return side.stat().st_size if side.exists() else 0

    kept: list[int] = []
    moments: list[str] = []
    while len(kept) < options.kills:
        # Every third one while it starts, the others after some more batches.
        late = len(kept) % 3 != 0
        wanted = n_bytes() + int(late * rng.uniform(0.2, 1.2) * expected.nbytes / options.kills)
        wait = rng.uniform(0.0, 0.05) if late else rng.uniform(0.1, 0.5) * seconds
        process = subprocess.Popen(command(options, "resume"), env=environment(),
                                   stdout=subprocess.DEVNULL)  # fmt: skip
        began = time.monotonic()
        while process.poll() is None and n_bytes() < wanted:
            time.sleep(0.01)
        time.sleep(wait)
        if process.poll() is not None:
            break  # it came to its end before
        process.send_signal(signal.SIGKILL)
        process.wait()
        if kept and n_bytes() < kept[-1]:
            with h5py.File(options.file) as file:
                assert "features" in file, "features that were there are gone"
            break  # they had just moved in
        kept.append(n_bytes())
        moments.append(f"{time.monotonic() - began:.1f} s, {kept[-1] / expected.nbytes:.0%}")
        assert kept == sorted(kept), "features that were there are gone"
    subprocess.run(command(options, "resume"), env=environment(), check=True,
                   stdout=subprocess.DEVNULL)  # fmt: skip
    same = features(options.file).tobytes() == expected.tobytes()
    left = [p.name for p in options.file.parent.glob(".*")]
    print(f"killed {len(kept)} times, after so long, with so much kept: {'; '.join(moments)}")
    print(f"the same bytes as a run that was not: {same}; left behind: {left or 'nothing'}",
          flush=True)  # fmt: skip
    assert same


def resume_task(options: argparse.Namespace) -> None:
    """Go on with what a killed run left."""
    import features_gpu

    from qpmask import extract_features, feature_options

    features_gpu._settings["model"] = options.model.partition(".")[0]
    how = feature_options(EXTRACTOR, device="cpu", batch_size=options.batch_size,
                          num_workers=options.workers)  # fmt: skip
    report = extract_features(options.file, how)
    assert report.ok, [r.error for r in report]


def features(file: Path) -> np.ndarray:
    with h5py.File(file) as stored:
        return stored["features/model"][...]


def environment() -> dict[str, str]:
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    return {
        **os.environ,
        "PYTHONPATH": path,
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2"),
    }


PARTS = {"cpu": beside, "kill": killed}
TASKS = {"qpmask": qpmask_task, "plain": plain_task, "resume": resume_task}

if __name__ == "__main__":
    main()
