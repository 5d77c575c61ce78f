#!/usr/bin/env bash
# libvips refuses a TIFF whose tiles are far larger than the image.
# pyvips 3.2.0, libvips 8.18.7: tiles larger than twice the image's longer side, rounded up to 128 pixels,
# are an error ("tile size out of range"). The small levels of a pyramid in tiles of 512 are such images,
# and so are small images of writers with a fixed tile. tifffile and Pillow read them.
# Seen: 100 x 80 pixels: tiles of 256 read, of 272 refused; 130 x 80: 512 read, 528 refused.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q numpy==2.4.6 tifffile==2026.3.3 imagecodecs==2026.3.6 pyvips==3.2.0 pyvips-binary==8.18.7 pillow==13.0.0
cd "$folder" && venv/bin/python - <<'PY'
import numpy as np
import pyvips
import tifffile
from PIL import Image

print("libvips", ".".join(str(pyvips.version(i)) for i in range(3)))
refused = {}
for width, height, tile in ((100, 80, 256), (100, 80, 272), (130, 80, 512), (130, 80, 528)):
    labels = (np.add.outer(np.arange(height), np.arange(width)) // 10).astype(np.uint8)
    name = f"{width}-{tile}.tif"
    tifffile.imwrite(name, labels, tile=(tile, tile), compression="lzw", metadata=None)
    assert np.array_equal(tifffile.imread(name), labels)
    assert np.array_equal(np.asarray(Image.open(name)), labels)
    try:
        assert np.array_equal(pyvips.Image.tiffload(name).numpy(), labels)
        refused[width, tile] = False
    except pyvips.Error as error:
        print(width, tile, str(error).strip())
        refused[width, tile] = True
print(refused)
assert refused == {(100, 256): False, (100, 272): True, (130, 512): False, (130, 528): True}
PY
