#!/usr/bin/env bash
# bioio's writer leaves each shard of an .ozx in the zip many times.
# bioio-ome-zarr 3.8.1, zarr 3.1.6: OMEZarrWriter writes a shard once for each of its chunks. A zip cannot
# replace an entry, so every version stays in the file, and its directory names the same entry up to 16
# times; a program that takes the first of them gets a shard that is nearly empty. The array that is read
# back through zarr-python is right, as that takes the last.
# Seen: "5 shards, entries of each: [11, 12, 15, 16, 16]; the first '0/c/0/0' has 344 bytes, the last 1,351"
# (numbers of entries differ a little from run to run).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q numpy==2.4.6 zarr==3.1.6 bioio==3.6.0 bioio-ome-zarr==3.8.1
cd "$folder" && venv/bin/python -W ignore - <<'PY'
import collections
import zipfile

import numpy as np
import zarr
from bioio_ome_zarr.writers import OMEZarrWriter

labels = np.zeros((4096, 4096), np.uint8)
labels[500:3500, 700:3300] = 3
writer = OMEZarrWriter(
    store="x.ozx",
    level_shapes=[(4096, 4096), (2048, 2048)],
    dtype="uint8",
    chunk_shape=[(512, 512), (512, 512)],
    shard_shape=[(2048, 2048), (2048, 2048)],
    axes_names=["y", "x"],
    axes_types=["space", "space"],
    zarr_format=3,
)
writer.write_full_volume(labels)
writer.close()
with zipfile.ZipFile("x.ozx") as archive:
    entries = archive.infolist()
    shards = [e for e in entries if "/c/" in e.filename]
    times = collections.Counter(e.filename for e in shards)
    first = next(e for e in shards if e.filename == "0/c/0/0")
    last = [e for e in shards if e.filename == "0/c/0/0"][-1]
print(f"{len(times)} shards, entries of each: {sorted(times.values())};", end=" ")
print(f"the first '0/c/0/0' has {first.file_size:,} bytes, the last {last.file_size:,}")
back = zarr.open_group(zarr.storage.ZipStore("x.ozx", mode="r"), mode="r")["0"][:]
assert np.array_equal(back, labels)
assert max(times.values()) > 4 and len(shards) > 3 * len(times)
assert first.file_size != last.file_size
PY
