#!/usr/bin/env bash
# Bio-Formats returns noise for tiled TIFFs of one bit a pixel whose width is no multiple of 8.
# Bio-Formats 8.0.0, as QuPath 0.6.0 and 0.7.0 have it, through paquo 0.9.0: half of the pixels are wrong, no error,
# no warning. The same pixels in strips, and tiles of a width that is a multiple of 8, are right. Of a pyramid with a
# good width, smaller levels are hit: 200 pixels are fine, the level of 100 is noise. tifffile reads all of them.
# Takes the QuPath in PAQUO_QUPATH_DIR, or fetches 0.6.0 with paquo.
# Seen: "tiles 100: 0.519 of the pixels are right", "tiles 96: 1.000 ...", "strips 100: 1.000 ...", "strips 96: 1.000
# ...", "level of 100 below tiles of 200: 0.520 ...".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q paquo==0.9.0 jpype1==1.7.1 numpy==2.4.6 tifffile==2026.3.3
cd "$folder"
if [ -z "${PAQUO_QUPATH_DIR:-}" ]; then
    PAQUO_QUPATH_DIR=$(venv/bin/python -m paquo get_qupath --install-path "$folder" 0.6.0 | tail -1)
    export PAQUO_QUPATH_DIR
fi
venv/bin/python - <<'PY'
import numpy as np
import paquo.java  # noqa: F401  (starts the JVM)
import tifffile
from jpype import JClass

Reader = JClass("loci.formats.ImageReader")
print("Bio-Formats", JClass("loci.formats.FormatTools").VERSION)
rng = np.random.default_rng(0)


def right(sides: list[int], tile: tuple[int, int] | None) -> list[float]:
    """Write squares of one bit, the largest first; the share of pixels that come back, by level."""
    levels = [rng.integers(0, 2, (side, side)).astype(bool) for side in sides]
    with tifffile.TiffWriter("a.ome.tif") as tif:
        for i, level in enumerate(levels):
            tif.write(
                level, photometric="minisblack", tile=tile,
                subifds=len(levels) - 1 if i == 0 else None, subfiletype=int(i > 0),
            )
    with tifffile.TiffFile("a.ome.tif") as tif:
        assert all((a.asarray() == b).all() for a, b in zip(tif.series[0].levels, levels, strict=True))
    reader = Reader()
    reader.setFlattenedResolutions(False)
    reader.setId("a.ome.tif")
    shares = []
    for i, level in enumerate(levels):
        reader.setResolution(i)
        assert (int(reader.getSizeX()), int(reader.getSizeY())) == level.shape[::-1]
        pixels = np.array(reader.openBytes(0), np.int8).reshape(level.shape) != 0
        shares.append(float((pixels == level).mean()))
    reader.close()
    return shares


found = {
    f"{name} {side}": right([side], tile)[0]
    for name, tile in (("tiles", (64, 64)), ("strips", None))
    for side in (100, 96)
}
found["level of 100 below tiles of 200"] = right([200, 100], (64, 64))[1]
for name, share in found.items():
    print(f"{name}: {share:.3f} of the pixels are right")
assert {name for name, share in found.items() if share == 1} == {"tiles 96", "strips 100", "strips 96"}
assert all(share < 0.6 for share in found.values() if share != 1)
PY
