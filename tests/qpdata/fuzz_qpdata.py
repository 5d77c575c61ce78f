"""Damages data files for as long as asked, and compares the ways to read them.

The parser must give what the plain reader gives, or leave the file to it; the parser as plain
Python must not look outside an array. Starts from the samples and from made-up files; no input is
kept::

    python tests/qpdata/fuzz_qpdata.py MINUTES [SEED]
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from qpdata.qpdata_samples import EMPTY, SAMPLES, VARIED, checked, columns, parsed, plain
from qpdata.test_qpdata_samples import DAMAGE, alike_file, mutated

from qpmask.qpdata.parser import NotKnownError


def outcome(data: bytes) -> str:
    """Read in all ways; AssertionError or IndexError if they do not agree."""
    for details in (True, False):
        try:
            expected = columns(plain(data, details=details))
        except DAMAGE:
            expected = None
        taken = []
        for read in (parsed, checked):
            try:
                assert columns(read(data, details=details)) == expected, read.__name__
                taken.append(True)
            except NotKnownError:
                taken.append(False)
        assert taken[0] == taken[1], "the parser and the same in plain Python"
    return "damaged" if expected is None else "read by the parser" if taken[0] else "left"


def main() -> None:
    """Go on until the time is over."""
    minutes = float(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else int(time.time())
    rng = random.Random(seed)
    corpus = [path.read_bytes() for path in (*SAMPLES, *EMPTY, *VARIED)]
    corpus += [alike_file(n) for n in (1, 3, 10)]
    counts: dict[str, int] = {}
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        data = rng.choice(corpus)
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            data = mutated(data, rng)
        try:
            found = outcome(data)
        except BaseException:
            Path("fuzz-failed.qpdata").write_bytes(data)
            raise
        counts[found] = counts.get(found, 0) + 1
    print(f"seed {seed}, {minutes:g} minutes: {counts}")


if __name__ == "__main__":
    main()
