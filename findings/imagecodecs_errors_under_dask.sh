#!/usr/bin/env bash
# Once dask.distributed is imported, an exception that was raised from an imagecodecs error cannot be pickled.
# imagecodecs 2026.3.6 names the class of its errors `imagecodecs.ImcdError`, where there is no such name, so
# an error of its own cannot be pickled. That is hidden as long as programs raise their own error from it,
# since exceptions are pickled without their cause. distributed 2026.8.0 changes this for all exceptions of the
# process (through tblib): the cause goes along, and pickling fails, also in other process pools.
# The error here is that of a buffer too small for what comes out.
# Seen: "its own error, raised from it, the same with distributed: PicklingError, pickled, PicklingError".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q numpy==2.4.6 imagecodecs==2026.3.6 distributed==2026.8.0 dask==2026.8.0
cd "$folder" && venv/bin/python - <<'PY'
import pickle

import imagecodecs
import numpy as np


def own_error():
    """What imagecodecs raises where a buffer is too small for what was packed."""
    packed = imagecodecs.packbits_encode(np.arange(64, dtype=np.uint8).tobytes())
    try:
        imagecodecs.packbits_decode(packed, out=bytearray(8))
    except Exception as error:
        return error
    raise SystemExit("it raised nothing")


def wrapped():
    """An error of a program, raised from that."""
    try:
        raise ValueError("tile 3 cannot be decoded") from own_error()
    except ValueError as error:
        return error


def pickled(error):
    """What becomes of it."""
    try:
        pickle.loads(pickle.dumps(error))
        return "pickled"
    except Exception as failure:
        return type(failure).__name__


error = own_error()
print(type(error).__module__, type(error).__name__, hasattr(imagecodecs, type(error).__name__))
found = [pickled(error), pickled(wrapped())]
import distributed  # noqa: E402, F401

found.append(pickled(wrapped()))
print("its own error, raised from it, the same with distributed:", found)
assert found == ["PicklingError", "pickled", "PicklingError"], found
PY
