#!/usr/bin/env bash
# GDAL lists overviews twice where levels are both in the main chain and SubIFDs.
# rasterio 1.4.4 (GDAL 3.10.3): a file in which tag 330 of the first directory lists the directories that
# follow it in the chain has one copy of each level and two overviews of it. Pixels are right; code that
# takes overviews()[n // 2] for the middle one, or counts levels, is not.
# Seen: "[2, 4, 2, 4]"; [2, 4] for the chain alone and for the SubIFDs alone.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q numpy==2.4.6 tifffile==2026.3.3 imagecodecs==2026.3.6 rasterio==1.4.4
cd "$folder" && venv/bin/python - <<'PY'
import struct
import warnings

import numpy as np
import rasterio
import tifffile

labels = (np.add.outer(np.arange(2000), np.arange(3000)) // 100).astype(np.uint8)
options = {"tile": (512, 512), "compression": "lzw", "metadata": None,
           "photometric": "minisblack"}
for name in ("chain", "subifds", "both"):
    with tifffile.TiffWriter(f"{name}.tif") as tif:
        for k in range(3):
            more = {"subifds": 2} if k == 0 and name != "chain" else {}
            tif.write(labels[:: 2**k, :: 2**k], subfiletype=int(k > 0), **more, **options)
with tifffile.TiffFile("both.tif") as tif:
    first, n_tags, sub = tif.pages[0].offset, len(tif.pages[0].tags), tif.pages[0].subifds[0]
with open("both.tif", "r+b") as file:  # the SubIFDs are chained to each other already
    file.seek(first + 2 + 12 * n_tags)
    assert file.read(4) == bytes(4)
    file.seek(-4, 1)
    file.write(struct.pack("<L", sub))
warnings.simplefilter("ignore")
found = {}
for name in ("chain", "subifds", "both"):
    with rasterio.open(f"{name}.tif") as dataset:
        found[name] = dataset.overviews(1)
        assert np.array_equal(dataset.read(1), labels)
print("rasterio", rasterio.__version__, "GDAL", rasterio.__gdal_version__, found)
assert found == {"chain": [2, 4], "subifds": [2, 4], "both": [2, 4, 2, 4]}
PY
