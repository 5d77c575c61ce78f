#!/usr/bin/env bash
# large-image gives tiles of uint16 images as PNG in 8 bits, the high byte of each pixel.
# large-image 1.35.6, source tiff: getTile with encoding PNG holds 3 where the image holds 903; of a uint8
# image it holds the pixels as they are. The same tile as an array (numpyAllowed) is right in both.
# Seen: "uint16: array 903, PNG 3" and "uint8: array 7, PNG 7".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q numpy==2.4.6 tifffile==2026.3.3 imagecodecs==2026.3.6 pillow==13.0.0 large-image==1.35.6 large-image-source-tiff==1.35.6
cd "$folder" && venv/bin/python - <<'PY'
import io

import large_image
import large_image_source_tiff
import numpy as np
import tifffile
from PIL import Image

print("large-image", large_image.__version__)
for dtype, label, expected in (("uint8", 7, 7), ("uint16", 903, 903 // 256)):
    labels = np.full((2000, 2000), label, dtype)
    tifffile.imwrite(f"{dtype}.tif", labels, tile=(256, 256), compression="lzw", metadata=None,
                     photometric="minisblack")
    source = large_image_source_tiff.open(f"{dtype}.tif", encoding="PNG")
    z = source.levels - 1
    png = np.asarray(Image.open(io.BytesIO(source.getTile(1, 1, z))))
    array = source.getTile(1, 1, z, numpyAllowed="always")
    print(f"{dtype}: array {np.unique(array)}, PNG {np.unique(png)} {png.dtype}")
    assert (array == label).all()
    assert png.dtype == np.uint8 and (png == expected).all()
PY
