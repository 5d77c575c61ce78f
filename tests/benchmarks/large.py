"""A mask of 100,000 x 100,000 pixels with a Java heap of 1 GB: does it come out, and with what?

::

    python tests/benchmarks/large.py [SIDE] [HEAP]
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from processes import whole_process
from synthetic import make_project


def main() -> None:
    """Export in a process of its own and print time, memory and size."""
    side = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    heap = sys.argv[2] if len(sys.argv) > 2 else "1g"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        project = make_project(folder / "project", side, 1000)
        seconds, memory = whole_process(["-m", "qpmask", "export", str(project), "-o",
                                         str(folder / "masks"), "--jvm-memory", heap])  # fmt: skip
        mask = folder / "masks" / "synthetic.ome.tif"
        print(f"{side:,} x {side:,} pixels, 1000 annotations, --jvm-memory {heap}: "
              f"{seconds:.0f} s, peak memory of the process "
              f"{memory:.0f} MB, mask {mask.stat().st_size / 1e6:.1f} MB, "
              f"{os.cpu_count()} cores")  # fmt: skip


if __name__ == "__main__":
    main()
