#!/usr/bin/env bash
# The libvips of the pip wheel reads TIFFs in zstd as zeros, without an error.
# pyvips 3.2.0, pyvips-binary 8.18.7: size and type are right, every pixel is 0, nothing is raised (also
# with fail_on="error"). The same pixels in LZW or deflate are read right.
# Seen: "lzw: 4 labels, zstd: only 0".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q numpy==2.4.6 tifffile==2026.3.3 imagecodecs==2026.3.6 pyvips==3.2.0 pyvips-binary==8.18.7
cd "$folder" && venv/bin/python - <<'PY'
import numpy as np
import pyvips
import tifffile

labels = np.kron([[1, 2], [3, 7]], np.ones((300, 300))).astype(np.uint8)
found = {}
for compression in ("lzw", "zstd"):
    name = f"{compression}.tif"
    tifffile.imwrite(name, labels, tile=(256, 256), compression=compression, metadata=None)
    assert np.array_equal(tifffile.imread(name), labels)
    for options in ({}, {"fail_on": "error"}):
        found[compression] = pyvips.Image.new_from_file(name, **options).numpy()
print("libvips", ".".join(str(pyvips.version(i)) for i in range(3)))
print({name: np.unique(pixels).tolist() for name, pixels in found.items()})
assert np.array_equal(found["lzw"], labels)
assert found["zstd"].shape == labels.shape and not found["zstd"].any()
PY
