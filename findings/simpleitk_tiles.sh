#!/usr/bin/env bash
# SimpleITK reads a grayscale TIFF in tiles as four components, and as float every label x 255.
# SimpleITK 2.5.7: ReadImage gives red, green, blue, alpha; with sitkFloat32 label 3 is 765; with sitkUInt8
# it is 3. Of uint16 it gives the high byte. The same pixels in strips are right by each of these calls.
# Seen: "tiles: 4 components, label 3 as float 765; strips: 1 component, 3" and the high byte of 300, 1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q numpy==2.4.6 tifffile==2026.3.3 imagecodecs==2026.3.6 simpleitk==2.5.7
cd "$folder" && venv/bin/python - <<'PY'
import numpy as np
import SimpleITK as sitk
import tifffile

labels = np.full((600, 600), 3, np.uint8)
for name, cut in (("tiles", {"tile": (256, 256)}), ("strips", {"rowsperstrip": 16})):
    tifffile.imwrite(f"{name}.tif", labels, compression="lzw", metadata=None, **cut)
    tifffile.imwrite(f"{name}16.tif", labels.astype("u2") * 100, compression="lzw", metadata=None,
                     **cut)
print("SimpleITK", sitk.__version__)
found = {}
for name in ("tiles", "strips"):
    image = sitk.ReadImage(f"{name}.tif")
    kinds = (sitk.sitkFloat32, sitk.sitkUInt8)
    values = [float(sitk.GetArrayFromImage(sitk.ReadImage(f"{name}.tif", k)).max()) for k in kinds]
    wide = sitk.GetArrayFromImage(sitk.ReadImage(f"{name}16.tif", sitk.sitkUInt16)).max()
    found[name] = (image.GetNumberOfComponentsPerPixel(), *values, int(wide))
    print(name, "components, label 3 as float, as uint8, label 300 as uint16:", found[name])
assert found["tiles"] == (4, 765.0, 3.0, 1)
assert found["strips"] == (1, 3.0, 3.0, 300)
PY
