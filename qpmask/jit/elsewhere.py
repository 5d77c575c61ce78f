"""Compiling in a process of its own.

Compiling takes up to a minute and half a gigabyte, and cannot be interrupted. In another process it
can: Ctrl-C ends that one, and the memory is gone with it.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys

_PROGRAM = """\
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from qpmask.jit.elsewhere import main
main(*json.loads(sys.argv[2]))
"""


def machine_code(name: str, modules: tuple[str, ...], sources: str) -> bytes | None:
    """Compile a library that these modules make; None if it must be done here.

    Parameters
    ----------
    name : str
        Of the library.
    modules : tuple of str
        All that belong to it.
    sources : str
        Their hash; the other process compiles nothing if its own are others.

    Raises
    ------
    KeyboardInterrupt
        It was interrupted.
    """
    if not sys.executable or getattr(sys, "frozen", False):
        return None  # no Python that could be started
    command = [
        sys.executable,
        "-c",
        _PROGRAM,
        json.dumps(sys.path),
        json.dumps([name, modules, sources]),
    ]
    try:
        # Without the settings that people debug Numba with: they change what it makes.
        settings = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")}
        done = subprocess.run(
            command, env=settings, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except OSError:
        return None
    if done.returncode in (-signal.SIGINT, -signal.SIGTERM):
        raise KeyboardInterrupt
    return done.stdout if done.returncode == 0 and done.stdout else None


def main(name: str, modules: list[str], sources: str) -> None:
    """Compile a library and write its machine code to stdout; what the other process runs."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from qpmask.jit import build
    from qpmask.jit.library import LIBRARIES

    for module in modules:
        importlib.import_module(module)
    if LIBRARIES[name].sources != sources:
        sys.exit(1)
    sys.stdout.buffer.write(build.machine_code(LIBRARIES[name].entries.values()))
    sys.stdout.flush()
