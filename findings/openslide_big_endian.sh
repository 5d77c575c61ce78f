#!/usr/bin/env bash
# OpenSlide does not open big-endian classic TIFFs that it opens in little-endian.
# openslide-python 1.4.7, OpenSlide 4.0.1: the same tiled image, written by tifffile in both byte orders, is
# generic-tiff in one and no image in the other. As BigTIFF both are opened. Java programs, Bio-Formats
# and QuPath among them, write big-endian.
# Seen: "classic <: generic-tiff, classic >: none, BigTIFF <: generic-tiff, BigTIFF >: generic-tiff".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q numpy==2.4.6 tifffile==2026.3.3 imagecodecs==2026.3.6 openslide-python==1.4.7 openslide-bin==4.0.1.2
cd "$folder" && venv/bin/python - <<'PY'
import numpy as np
import openslide
import tifffile

labels = (np.add.outer(np.arange(1000), np.arange(1500)) // 100).astype(np.uint8)
found = {}
for big in (False, True):
    for order in "<>":
        name = f"{int(big)}{'lb'[order == '>']}.tif"
        tifffile.imwrite(name, labels, tile=(256, 256), compression="lzw", metadata=None,
                         photometric="minisblack", byteorder=order, bigtiff=big)
        assert np.array_equal(tifffile.imread(name), labels)
        found["BigTIFF" if big else "classic", order] = openslide.OpenSlide.detect_format(name)
print("OpenSlide", openslide.__library_version__, found)
assert found == {
    ("classic", "<"): "generic-tiff",
    ("classic", ">"): None,
    ("BigTIFF", "<"): "generic-tiff",
    ("BigTIFF", ">"): "generic-tiff",
}
PY
