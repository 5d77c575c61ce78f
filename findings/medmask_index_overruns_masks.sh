#!/usr/bin/env bash
# MedMask loses an archive when a mask with many labels is added.
# medmask 0.1.3: before an entry goes into the index of a .mska, room is made for what the index has so far
# and 200 bytes. An entry holds the names of all labels of its mask; one that is longer than that is written
# over the masks behind the index, without an error. 100 labels, as programs that segment whole bodies have,
# take 2.5 kB: with the second such mask the index ends within the first mask, and neither can be read. The
# same mask in an archive by itself, whose index of 4,000 bytes has room, comes back.
# Seen: "one mask: [1, 50, 100]; an index of 4,000 bytes", then
# "two masks: a room of 4,000 bytes; the first mask changed: True; JSONDecodeError"
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q numpy==2.4.6 zstandard==0.25.0 spacetransformer-core==0.2.7 medmask==0.1.3
cd "$folder" && venv/bin/python -W ignore - <<'PY'
import json

import numpy as np
from medmask import MaskArchive, SegmentationMask
from spacetransformer import Space

names = {f"structure_{n:03d}": n for n in range(1, 101)}
shape = (20, 40, 40)
space = Space(shape=shape)
labels = np.zeros(shape, np.uint8)
labels[2, 3:9, 4:9], labels[5, 3:9, 4:9], labels[9, 3:9, 4:9] = 1, 50, 100

archive = MaskArchive("a.mska", "w", space=space)
archive.add_segmask(SegmentationMask(labels, names, space=space), "before")
header = archive.header
start, room = header["data_offset"], header["index_length"]
found = np.unique(MaskArchive("a.mska", "r").load_segmask("before").data)
print(f"one mask: {found[found > 0].tolist()}; an index of {room:,} bytes")
assert found.tolist() == [0, 1, 50, 100]
first = open("a.mska", "rb").read()[start:][: header["data_length"]]

archive.add_segmask(SegmentationMask(labels, names, space=space), "after")
header = archive.header
data = open("a.mska", "rb").read()
is_changed = data[header["data_offset"]:][: len(first)] != first
try:
    MaskArchive("a.mska", "r").all_names()
    error = "no error"
except json.JSONDecodeError as raised:
    error = type(raised).__name__
print(f"two masks: a room of {header['index_length']:,} bytes; the first mask changed: {is_changed}; {error}")
assert header["index_length"] == room and is_changed and error == "JSONDecodeError"
PY
