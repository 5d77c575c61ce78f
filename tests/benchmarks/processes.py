"""Whole processes: how long they take, and how much memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

# A process that another one starts begins with the peak memory of that one. A small one in between
# keeps that of the benchmark, which may hold a JVM, out of the measurement.
_LAUNCHER = """
import json, os, sys, time
began = time.perf_counter()
pid = os.fork()
if pid == 0:
    if int(sys.argv[1]):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[1])])
    os.execv(sys.argv[2], sys.argv[2:])
_, status, usage = os.wait4(pid, 0)
cpu = usage.ru_utime + usage.ru_stime
seconds = time.perf_counter() - began
print(json.dumps([seconds, cpu, usage.ru_maxrss / 1024, status]), file=sys.stderr)
"""


class Measured(NamedTuple):
    """What a process took: seconds of the clock and of the processors, and its peak memory."""

    seconds: float
    cpu_s: float
    memory_mb: float


def whole_process(arguments: list[str]) -> tuple[float, float]:
    """Seconds and peak memory in MB of a Python process with these arguments."""
    found = measured(arguments)
    return found.seconds, found.memory_mb


def measured(arguments: list[str], *, tree: Path | None = None, cores: int = 0) -> Measured:
    """Run Python with these arguments.

    Parameters
    ----------
    tree : Path, optional
        A checkout whose qpmask is used, instead of the one that is installed.
    cores : int
        On so many processors; 0 is all (others on Linux alone).
    """
    command = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(cores), sys.executable, *arguments]
    environment = dict(os.environ) if tree is None else {**os.environ, "PYTHONPATH": str(tree)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # users have their modules compiled
    done = subprocess.run(
        command, stderr=subprocess.PIPE, text=True, check=True, cwd=tree, env=environment
    )
    *numbers, status = json.loads(done.stderr.splitlines()[-1])
    if status:
        raise RuntimeError(f"{arguments} failed: {done.stderr}")
    return Measured(*numbers)
