"""Damages data files for as long as asked, and compares the ways to read them.

The parser must give what the simple reader of the tests gives; the parser as plain Python must not
look outside an array. Starts from the samples and from made-up files; no input is
kept::

    python tests/qpdata/fuzz_qpdata.py MINUTES [SEED]
"""

from __future__ import annotations

import random
import sys
import time
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from qpdata.qpdata_samples import EMPTY, SAMPLES, VARIED, by_hand, checked, columns, parsed, told
from qpdata.test_qpdata_outlines import assert_same_but_outlines
from qpdata.test_qpdata_samples import DAMAGE, alike_file, mutated

from qpmask.engines.draworder import drawn_outlines
from qpmask.qpdata.parser import TooFarBackError


def outcome(data: bytes) -> str:
    """Read in all ways; AssertionError or IndexError if they do not agree."""
    found = []
    for read in (parsed, checked):
        try:
            found.append(read(data, details=True))
        except DAMAGE:
            found.append(None)
    first, second = found
    assert (first is None) == (second is None), "the parser and the same in plain Python"
    assert first is None or columns(first) == columns(second)
    assert (None if first is None else told(first)) == by_hand(data), (
        "the parser and the simple reader"
    )
    if first is None:
        return "damaged"
    for kind in ("cells", "nuclei"):
        with suppress(TooFarBackError):  # then all of it is kept
            assert_same_but_outlines(checked(data, outlines=drawn_outlines(kind)), first)
    return "read"


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
