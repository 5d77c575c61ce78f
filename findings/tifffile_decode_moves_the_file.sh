#!/usr/bin/env bash
# tifffile moves the file when `page.decode` is first asked for, not only when it reads tiles.
# tifffile 2026.3.3: `page.decode` of a JPEG-compressed page looks up a tag that was not read with the
# directory. Threads that lock their own seek and read of the tiles' bytes, and call page.decode outside
# of the lock, get each other's bytes once in a while; the decoder then says "Not a JPEG file". From the
# second time on the file stays where it is. dataoffsets, databytecounts and jpegtables move nothing.
# Seen: "offsets, byte counts, tables; decode; decode again: stays, moves, stays" for jpeg; all stay for zlib.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q numpy==2.4.6 tifffile==2026.3.3 imagecodecs==2026.3.6
cd "$folder" && venv/bin/python - <<'PY'
import numpy as np
import tifffile

picture = (np.arange(512 * 512 * 3) % 251).astype(np.uint8).reshape(512, 512, 3)


def moves(file, action):
    """Whether an action leaves the file at another place."""
    file.seek(5)
    action()
    return "moves" if file.tell() != 5 else "stays"


found = {}
for compression in ("jpeg", "zlib"):
    tifffile.imwrite(f"{compression}.tif", picture, tile=(256, 256), photometric="rgb",
                     compression=compression)
    with tifffile.TiffFile(f"{compression}.tif") as tif:
        page, file = tif.pages[0], tif.filehandle
        facts = moves(file, lambda: (page.dataoffsets, page.databytecounts, page.jpegtables))
        decode = moves(file, lambda: page.decode)
        found[compression] = facts, decode, moves(file, lambda: page.decode)
print("offsets, byte counts, tables; decode; decode again:", found)
assert found == {"jpeg": ("stays", "moves", "stays"), "zlib": ("stays", "stays", "stays")}, found
PY
