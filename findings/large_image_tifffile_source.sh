#!/usr/bin/env bash
# large-image (source tifffile) opens no TIFF that has smaller levels.
# large-image-source-tifffile 1.35.6 with tifffile 2026.3.3 and zarr 3.1.6: an OME-TIFF with SubIFDs, as
# tifffile writes and reads it, is refused with "axes and shape do not match access pattern"; the same
# image without smaller levels is opened.
# Seen: that message for two levels, "1 level: opened".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q numpy==2.4.6 tifffile==2026.3.3 imagecodecs==2026.3.6 zarr==3.1.6 large-image==1.35.6 large-image-source-tifffile==1.35.6
cd "$folder" && venv/bin/python - <<'PY'
import large_image_source_tifffile as source
import numpy as np
import tifffile
from large_image.exceptions import TileSourceError

labels = (np.add.outer(np.arange(1000), np.arange(1500)) // 100).astype(np.uint8)
options = {"tile": (256, 256), "compression": "lzw", "photometric": "minisblack"}
for n_levels in (1, 2):
    with tifffile.TiffWriter(f"{n_levels}.ome.tif") as tif:
        tif.write(labels, subifds=n_levels - 1, metadata={"axes": "YX"}, **options)
        if n_levels == 2:
            tif.write(labels[::2, ::2], subfiletype=1, **options)
    assert len(tifffile.TiffFile(f"{n_levels}.ome.tif").series[0].levels) == n_levels
print("large-image-source-tifffile", source.__version__, "tifffile", tifffile.__version__)
source.open("1.ome.tif")
print("1 level: opened")
try:
    source.open("2.ome.tif")
except TileSourceError as error:
    print("2 levels:", error)
    assert "do not match access pattern" in str(error)
else:
    raise SystemExit("2 levels are opened now")
PY
