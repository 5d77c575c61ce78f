"""Reads a mask with tifffile alone, and finds what its labels mean in its sidecar."""

import json
import sys
from pathlib import Path

import numpy as np
import tifffile

if __name__ == "__main__":
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "masks/Prostate A.ome.tif")
    labels = tifffile.imread(path, series=0, level=0)
    sidecar = json.loads(path.with_name(path.name + ".json").read_text(encoding="utf-8"))
    names = {row["label"]: row["name"] for row in sidecar["classes"]} | {0: "(background)"}
    found, counts = np.unique(labels, return_counts=True)
    for label, count in zip(found.tolist(), counts.tolist(), strict=True):
        print(f"{label:3d}  {names[label]:60s} {count:10,d} pixels")
