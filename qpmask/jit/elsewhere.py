"""Compiling in a process of its own.

Compiling takes up to a minute and half a gigabyte, and cannot be interrupted. In another process it
can: Ctrl-C ends that one, and the memory is gone with it.
"""

from __future__ import annotations

import importlib
import json
import signal
import subprocess
import sys

_PROGRAM = """\
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from qpmask.jit.elsewhere import main
main(*json.loads(sys.argv[2]))
"""


def machine_code(name: str, modules: tuple[str, ...]) -> bytes | None:
    """Compile a library that these modules make; None if it must be done here.

    Raises
    ------
    KeyboardInterrupt
        It was interrupted.
    """
    if not sys.executable or getattr(sys, "frozen", False):
        return None  # no Python that could be started
    command = [sys.executable, "-c", _PROGRAM, json.dumps(sys.path), json.dumps([name, modules])]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        return None
    if done.returncode in (-signal.SIGINT, -signal.SIGTERM):
        raise KeyboardInterrupt
    return done.stdout if done.returncode == 0 and done.stdout else None


def main(name: str, modules: list[str]) -> None:
    """Compile a library and write its machine code to stdout; what the other process runs."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from qpmask.jit import build
    from qpmask.jit.library import LIBRARIES

    for module in modules:
        importlib.import_module(module)
    sys.stdout.buffer.write(build.machine_code(LIBRARIES[name].entries.values()))
    sys.stdout.flush()
