"""Where ``qpmask`` and ``python -m qpmask`` begin, and what holds for their whole process.

Each process of a run loads the script that began it, and with it this module, which therefore
imports the command line late.
"""

from __future__ import annotations

import gc
import os
import sys


def main(args: list[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code."""
    # Modules make tens of thousands of objects that stay: to look for garbage among them, time and
    # again, takes a fifteenth of the start.
    gc.set_threshold(100_000, 20, 20)
    # Threads of NumPy's OpenBLAS wait for work in a loop, for 0.1 s of a processor, before they
    # sleep: 2^4 turns of it are enough.
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
    from qpmask.cli import app
    from qpmask.cli.exits import run

    code = run(app, sys.argv[1:] if args is None else args)
    gc.freeze()  # nor is there any to look for at the end
    sys.exit(code)


if __name__ == "__main__":
    main()
