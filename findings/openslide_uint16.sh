#!/usr/bin/env bash
# OpenSlide reads the high byte of grayscale images of 16 bits, and mixes bytes at the right edge.
# openslide-python 1.4.7, OpenSlide 4.0.1: no error, no warning. Labels below 256 become 0. In the last
# column of tiles, where a tile reaches over the edge, some pixels are not even the high byte.
# Seen: "value // 256: 94.5% of pixels, anything else: 5.5%".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q numpy==2.4.6 tifffile==2026.3.3 imagecodecs==2026.3.6 openslide-python==1.4.7 openslide-bin==4.0.1.2
cd "$folder" && venv/bin/python - <<'PY'
import numpy as np
import openslide
import tifffile

height, width = 3001, 5003
y, x = np.mgrid[:height, :width]
labels = (237 + 37 * ((y // 100 + x // 100) % 23)).astype(np.uint16)
tifffile.imwrite("m.tif", labels, tile=(512, 512), compression="lzw", photometric="minisblack",
                 metadata=None)
with openslide.OpenSlide("m.tif") as slide:
    red = np.asarray(slide.read_region((0, 0), 0, slide.dimensions))[..., 0]
print("openslide-python", openslide.__version__, "OpenSlide", openslide.__library_version__)
high = red == labels // 256
print(f"value // 256: {high.mean():.1%} of pixels, anything else: {1 - high.mean():.1%}")
last_column = x >= width // 512 * 512
assert high[~last_column].all(), "outside the last column of tiles: the high byte"
assert not high[last_column].all(), "in the last column of tiles: other bytes too"
PY
