"""Whole processes: how long they take, and how much memory."""

from __future__ import annotations

import json
import subprocess
import sys

# A process that another one starts begins with the peak memory of that one. A small one in between
# keeps that of the benchmark, which may hold a JVM, out of the measurement.
_LAUNCHER = """
import json, os, sys, time
began = time.perf_counter()
pid = os.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(pid, 0)
print(json.dumps([time.perf_counter() - began, usage.ru_maxrss / 1024, status]), file=sys.stderr)
"""


def whole_process(arguments: list[str]) -> tuple[float, float]:
    """Seconds and peak memory in MB of a Python process with these arguments."""
    command = [sys.executable, "-I", "-S", "-c", _LAUNCHER, sys.executable, *arguments]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=True)
    seconds, memory, status = json.loads(done.stderr.splitlines()[-1])
    if status:
        raise RuntimeError(f"{arguments} failed: {done.stderr}")
    return seconds, memory
