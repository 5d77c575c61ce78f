#!/usr/bin/env bash
# Pillow reads wrong pixels where the first directory of a compressed BigTIFF lies beyond 4 GiB.
# Pillow 13.0.0, deflate: size and mode are right, the pixels are not; nothing is raised (its libtiff complains
# on stderr). tifffile reads the
# same file right, and so does Pillow with the directory at the front. Writers that append directories put
# them behind the pixels of large images.
# Seen: "directory at 16: right, directory at 4,294,967,312: wrong" (the file is sparse: it takes no room).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q numpy==2.4.6 tifffile==2026.3.3 imagecodecs==2026.3.6 pillow==13.0.0
cd "$folder" && venv/bin/python - <<'PY'
import struct
import zlib

import numpy as np
import tifffile
from PIL import Image

labels = (np.add.outer(np.arange(64), np.arange(64)) // 8).astype(np.uint8)


def write(name, directory_at, pixels_at):
    """A BigTIFF of one strip in deflate."""
    packed = zlib.compress(labels.tobytes())
    tags = [(256, 4, 64), (257, 4, 64), (258, 3, 8), (259, 3, 8), (262, 3, 1), (273, 16, pixels_at),
            (277, 3, 1), (278, 4, 64), (279, 16, len(packed))]
    with open(name, "wb") as file:
        file.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, directory_at))
        file.seek(pixels_at)
        file.write(packed)
        file.seek(directory_at)
        file.write(struct.pack("<Q", len(tags)))
        for tag, kind, value in tags:
            file.write(struct.pack("<HHQQ", tag, kind, 1, value))
        file.write(bytes(8))


found = {}
for directory_at, pixels_at in ((16, 1024), (2**32 + 16, 1024)):
    write("m.tif", directory_at, pixels_at)
    assert np.array_equal(tifffile.imread("m.tif"), labels)
    with Image.open("m.tif") as image:
        assert (image.size, image.mode) == ((64, 64), "L")
        found[directory_at] = np.array_equal(np.asarray(image), labels)
print({f"directory at {at:,}": "right" if ok else "wrong" for at, ok in found.items()})
assert found == {16: True, 2**32 + 16: False}
PY
