#!/usr/bin/env bash
# cuCIM on a processor reads grayscale TIFFs as RGBA, the high byte of uint16, and not in deflate.
# cucim-cu12 26.10.0, no GPU: uint8 in LZW gives four channels, the label in the first three, and says so
# in a warning only; uint16 in LZW gives value // 256 in 8 bits without an error; deflate is refused.
# Seen: "uint8 lzw (.., 4) [7]; uint16 lzw (.., 4) [3] of 903; uint8 zlib: not supported yet".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q numpy==2.4.6 tifffile==2026.3.3 imagecodecs==2026.3.6 cucim-cu12==26.10.0
cd "$folder" && venv/bin/python - <<'PY'
import numpy as np
import tifffile
from cucim import CuImage

found = {}
for dtype, label, compression in (("uint8", 7, "lzw"), ("uint16", 903, "lzw"), ("uint8", 7, "zlib")):
    name = f"{dtype}-{compression}.tif"
    tifffile.imwrite(name, np.full((512, 512), label, dtype), tile=(256, 256), metadata=None,
                     compression=compression, photometric="minisblack")
    try:
        pixels = np.asarray(CuImage(name).read_region((0, 0), (256, 256), 0))
        found[dtype, compression] = pixels.shape[-1], pixels.dtype.name, int(pixels[0, 0, 0])
    except RuntimeError as error:
        found[dtype, compression] = "refused"
        print(name, error)
print(found)
assert found == {
    ("uint8", "lzw"): (4, "uint8", 7),
    ("uint16", "lzw"): (4, "uint8", 903 // 256),
    ("uint8", "zlib"): "refused",
}
PY
