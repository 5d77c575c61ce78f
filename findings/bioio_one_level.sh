#!/usr/bin/env bash
# bioio reads one level of a pyramidal OME-TIFF.
# bioio 3.6.0, bioio-ome-tiff 1.4.0: resolution_levels is (0,) for a file with two smaller levels as
# SubIFDs, which tifffile, on which it is built, lists; asking for level 1 is an IndexError. The Dask array
# has one chunk, the whole plane, though the file has tiles.
# Seen: "tifffile: 3 levels, bioio: (0,), chunk (1, 1, 1, 2000, 3000)".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q numpy==2.4.6 tifffile==2026.3.3 imagecodecs==2026.3.6 bioio==3.6.0 bioio-ome-tiff==1.4.0
cd "$folder" && venv/bin/python - <<'PY'
import bioio_ome_tiff
import numpy as np
import tifffile

labels = (np.add.outer(np.arange(2000), np.arange(3000)) // 100).astype(np.uint8)
options = {"tile": (512, 512), "compression": "lzw", "photometric": "minisblack"}
with tifffile.TiffWriter("m.ome.tif") as tif:
    tif.write(labels, subifds=2, metadata={"axes": "YX"}, **options)
    for k in (1, 2):
        tif.write(labels[:: 2**k, :: 2**k], subfiletype=1, **options)
with tifffile.TiffFile("m.ome.tif") as tif:
    n_levels = len(tif.series[0].levels)
reader = bioio_ome_tiff.Reader("m.ome.tif")
chunk = reader.dask_data.chunksize
print(f"tifffile: {n_levels} levels, bioio: {reader.resolution_levels}, chunk {chunk}")
assert n_levels == 3 and reader.resolution_levels == (0,)
assert chunk == (1, 1, 1, 2000, 3000)
try:
    reader.set_resolution_level(1)
except IndexError as error:
    print("IndexError:", error)
else:
    raise SystemExit("level 1 can be chosen now")
PY
