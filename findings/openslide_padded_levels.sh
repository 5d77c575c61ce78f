#!/usr/bin/env bash
# OpenSlide shows another place in levels that are padded to whole tiles.
# openslide-python 1.4.7, OpenSlide 4.0.1, a tiled TIFF pyramid whose smaller levels are filled up to
# whole tiles (as ASAP's masks and CAMELYON's slides have them). Level k holds every 2**k-th pixel, yet
# level_downsamples are the ratios of the padded sizes (for 2900 x 1000 pixels 1.92, 3.84, 4.79, 7.62
# in place of 2, 4, 8, 16), and read_region brings its corner to the level by them: the same (x, y)
# shows another place at every level, without an error.
# Seen: "level 1 (downsample 1.921): the square at x 2500 is found at x 2401" and alike.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q numpy==2.4.6 tifffile==2026.3.3 imagecodecs==2026.3.6 openslide-python==1.4.7 openslide-bin==4.0.1.2
cd "$folder" && venv/bin/python - <<'PY'
import numpy as np
import openslide
import tifffile

TILE = 256
slide = np.full((1000, 2900, 3), 240, np.uint8)
slide[400:500, 2500:2600] = (200, 0, 0)  # a red square
with tifffile.TiffWriter("padded.tif") as tif:
    for k in range(5):
        level = slide[:: 2**k, :: 2**k]
        if k:
            level = np.pad(level, [(0, -n % TILE) for n in level.shape[:2]] + [(0, 0)],
                           constant_values=255)
        tif.write(level, tile=(TILE, TILE), photometric="rgb", compression="zlib", metadata=None,
                  subfiletype=int(k > 0))

print("openslide-python", openslide.__version__, "OpenSlide", openslide.__library_version__)
with openslide.OpenSlide("padded.tif") as opened:
    assert opened.level_count == 5
    for k in range(1, 5):
        whole = np.asarray(opened.read_region((0, 0), k, opened.level_dimensions[k]))
        x = np.flatnonzero((whole[..., 1] < 100).any(0))[0]
        assert x == -(-2500 // 2**k), "level k holds every 2**k-th pixel"
        downsample = opened.level_downsamples[k]
        seen = round(x * downsample)
        print(f"level {k} (downsample {downsample:.4g}): the square at x 2500 is found at x {seen}")
        assert seen < 2420
    for k in (1, 2):
        region = np.asarray(opened.read_region((2500, 400), k, (100 // 2**k, 100 // 2**k)))
        assert not (region[..., 1] < 100).any(), "what is read where the square lies is not it"
PY
