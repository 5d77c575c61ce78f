"""qpmask's masks beside other ways to store labels: time, memory, size, scratch disk, exactness.

Prints four tables: (a) storing and reading regions, beside medmask and NPZ; (b) pyramids, beside
dlup's writer; (c) blocks in random order, beside h5py, np.memmap and rasterio; (d) a large mask.
Each contestant runs in a process of its own, after a small warm-up that loads what it loads; the
peers come from PyPI, best into an environment of their own::

    python3.11 -m venv /tmp/peers
    /tmp/peers/bin/pip install ".[native]" medmask "dlup==0.9.4" h5py rasterio
    /tmp/peers/bin/python tests/benchmarks/peers.py [a b c d] [--repeat 3] [--side 20000]

A peer that is not installed is left out, and said so. Of several repeats the best time counts.
Memory is the peak of the process, interpreter and libraries included; "own" is how much of it came
after the warm-up. Pages of mapped files count as memory, as the system counts them.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
TILE = 512
N_BLOCKS, N_REWRITES = 667, 70
CODECS = ("zlib", "zstd", "lzw")
LARGE_SIDE, LARGE_BLOCKS = 100_000, 250


def main() -> None:
    """Print the tables. This process stays small: a child's peak memory starts at its parent's."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tables", nargs="*", default=["a", "b", "c", "d"])
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--side", type=int, default=20_000)
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.platform()}; "
          f"best of {options.repeat}; masks of {options.side:,} squared, 5 classes")  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="qpmask-peers-") as folder:
        bench = Bench(Path(folder), options.side, options.repeat)
        bench.run("prepare", measured=False)
        for name in options.tables:
            {"a": storing, "b": pyramids, "c": placing, "d": large}[name](bench)


class Bench:
    """Runs contestants, each in a process and a folder of its own."""

    def __init__(self, folder: Path, side: int, repeat: int) -> None:
        self.folder, self.side, self.repeat = folder, side, repeat

    def run(self, *task: str, measured: bool = True) -> dict[str, float] | None:
        """Best of the repeats: seconds, MB of memory, MB of scratch disk, MB of the file."""
        missing = [m for m in NEEDS.get(task[1] if len(task) > 1 else "", ())
                   if importlib.util.find_spec(m) is None]  # fmt: skip
        if missing:
            print(f"(left out: {' '.join(task)}: {', '.join(missing)} not installed)")
            return None
        best: dict[str, float] = {}
        for _ in range(self.repeat if measured else 1):
            found = self._once(*task)
            if found is None:
                return None
            if not best or found["seconds"] < best["seconds"]:
                best = found
        return best

    def _once(self, *task: str) -> dict[str, float] | None:
        work = self.folder / "-".join(task)
        work.mkdir(exist_ok=True)
        for old in work.iterdir():
            if old.is_file() and task[0] not in ("region", "judge"):
                old.unlink()
        command = [sys.executable, "-W", "ignore", str(HERE / "peers_tasks.py"),
                   str(self.folder), str(self.side), *task]  # fmt: skip
        # numba's and rasterio's own scratch files must not be counted, TMPDIR of the writers must.
        env = {**os.environ, "TMPDIR": str(work)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as child:
            watch = Watch(work, child)
            watch.start()
            out = child.stdout.read() if child.stdout is not None else ""
        watch.join()
        if child.returncode:
            print(f"(failed: {' '.join(task)}, exit code {child.returncode})")
            return None
        found: dict[str, float] = json.loads(out.splitlines()[-1])
        found["scratch"] = max(0.0, watch.peak_mb - found.get("file", 0.0))
        return found


class Watch(threading.Thread):
    """The most disk that the files of a folder take while a process runs."""

    def __init__(self, folder: Path, child: subprocess.Popen[str]) -> None:
        super().__init__(daemon=True)
        self.folder, self.child, self.peak_mb = folder, child, 0.0

    def run(self) -> None:
        """Look every 20 ms."""
        while self.child.poll() is None:
            self.peak_mb = max(self.peak_mb, self._used_mb())
            time.sleep(0.02)

    def _used_mb(self) -> float:
        total = 0
        for path in self.folder.rglob("*"):
            try:
                status = path.stat()
            except OSError:
                continue  # gone since
            if not path.is_dir():
                total += getattr(status, "st_blocks", status.st_size // 512) * 512
        return total / 1e6


NEEDS = {
    "medmask": ("medmask",),
    "dlup": ("dlup",),
    "h5py": ("h5py",),
    "rasterio": ("rasterio",),
}


def table(title: str, *columns: str) -> None:
    """Print the head of a table."""
    print(f"\n{title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)


def row(*cells: object) -> None:
    """Print a line of a table."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def memory(found: dict[str, float]) -> str:
    """Peak memory of a process, and its own part."""
    return f"{found['memory']:.0f} MB (own {found['own']:.0f})"


def storing(bench: Bench) -> None:
    """Whole masks in, regions out."""
    table("(a) One mask: write it, then read one region of 1024 x 1024 from the closed file",
          "", "file", "write", "memory", "region", "memory")  # fmt: skip
    ours: list[dict[str, float]] = []
    theirs: list[dict[str, float]] = []
    for kind, codec in [*(("qpmask", c) for c in CODECS), ("medmask", ""), ("npz", "")]:
        task = [kind, codec] if codec else [kind]
        stored = bench.run("store", *task)
        region = bench.run("region", *task) if stored else None
        if stored is None or region is None:
            continue
        (ours if kind == "qpmask" else theirs).append({**region, "stored": stored["own"]})
        row(" ".join(task), f"{stored['file']:.2f} MB", f"{stored['seconds']:.2f} s",
            memory(stored), f"{1000 * region['seconds']:.2f} ms", memory(region))  # fmt: skip
    if ours and theirs:
        ratio = min(t["seconds"] for t in theirs) / max(o["seconds"] for o in ours)
        part = {
            key: max(o[key] for o in ours) / min(t[key] for t in theirs)
            for key in ("stored", "own", "memory")
        }
        print(
            f"\nqpmask's slowest region is {ratio:.0f} times faster than the fastest peer's. "
            f"Its own memory is {part['stored']:.2f} of the least of the peers' for writing and "
            f"{part['own']:.2f} for the region, with the interpreter and libraries "
            f"{part['memory']:.2f}."
        )


def pyramids(bench: Bench) -> None:
    """Tiles in order, with all levels."""
    table("(b) Tiles in order, with pyramid; wrong: pixels of a level with a label that none of "
          "its pixels of level 0 has",
          "", "file", "time", "memory", "scratch", "wrong pixels of each level")  # fmt: skip
    for codec in ("zlib", "zstd", "lzw", "packbits", "png", "none"):
        for kind in ("qpmask", "dlup"):
            made = bench.run("pyramid", kind, codec)
            judged = bench.run("judge", kind, codec, "pyramid", measured=False) if made else None
            if made is None or judged is None:
                continue
            row(f"{kind} {codec}", f"{made['file']:.2f} MB", f"{made['seconds']:.2f} s",
                memory(made), f"{made['scratch']:.0f} MB", verdict(judged))  # fmt: skip


def placing(bench: Bench) -> None:
    """Blocks in random order."""
    table(f"(c) {N_BLOCKS} blocks of 768 to 1024 pixels in random order and {N_REWRITES} rewrites, "
          "then the pyramid (qpmask also reads it back and checks it)",
          "", "time", "memory", "scratch", "file", "wrong pixels of each level")  # fmt: skip
    reading = bench.run("place", "nothing", "zlib")
    if reading is not None:
        print(
            f"| (reading the blocks alone) | {reading['seconds']:.2f} s | {memory(reading)} |||||"
        )
    for codec in CODECS:
        for kind in ("qpmask", "h5py", "memmap", "rasterio"):
            made = bench.run("place", kind, codec)
            judged = bench.run("judge", kind, codec, "place", measured=False) if made else None
            if made is None or judged is None:
                continue
            parts = f" ({made['writing']:.2f} + {made['seconds'] - made['writing']:.2f})"
            row(f"{kind} {codec}", f"{made['seconds']:.2f} s{parts}", memory(made),
                f"{made['scratch']:.1f} MB", f"{made['file']:.2f} MB",
                verdict(judged))  # fmt: skip


def large(bench: Bench) -> None:
    """A mask of many tiles."""
    table(f"(d) A mask of {LARGE_SIDE:,} squared", "", "file", "time", "memory")
    made = bench.run("large", "write", measured=False)
    if made is None:
        return
    row(
        f"make it of {LARGE_BLOCKS} blocks",
        f"{made['file']:.1f} MB",
        f"{made['seconds']:.1f} s",
        memory(made),
    )
    found = bench.run("large", "read")
    if found is not None:
        row("open it, read 1024 x 1024", "", f"{1000 * found['seconds']:.1f} ms", memory(found))


def verdict(judged: dict[str, object]) -> str:
    """Shares of wrong pixels by level."""
    shares = judged["wrong"]
    assert isinstance(shares, list)
    if not any(shares):
        return f"none in {len(shares)} levels"
    return ", ".join(f"{100 * share:.2g} %" for share in shares)


if __name__ == "__main__":
    main()
