#!/usr/bin/env bash
# OpenSlide mixes neighbouring pixels when a part of a smaller level is read.
# openslide-python 1.4.7, OpenSlide 4.0.1, a grayscale pyramid in LZW. A region whose x or y is no
# multiple of the downsample starts at a fraction of a pixel of the level and is interpolated, so that
# label images get labels that they do not hold. Where the sizes do not halve exactly, multiples do not
# help either: the downsample is no whole number. Whole levels from (0, 0) are right.
# Seen: "4096 px, level 1: 0 false pixels at (1024, 1024), 3,110 at (1001, 1001)" and alike.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q numpy==2.4.6 tifffile==2026.3.3 imagecodecs==2026.3.6 openslide-python==1.4.7 openslide-bin==4.0.1.2
cd "$folder" && venv/bin/python - <<'PY'
import numpy as np
import openslide
import tifffile

rng = np.random.default_rng(1)


def pyramid(name, height, width):
    """Rectangles of labels 0, 10 .. 240 and three smaller levels of every second pixel."""
    coarse = rng.integers(0, 25, (height // 37 + 1, width // 41 + 1)).astype(np.uint8) * 10
    labels = np.kron(coarse, np.ones((37, 41), np.uint8))[:height, :width]
    with tifffile.TiffWriter(name) as tif:
        for k in range(4):
            tif.write(labels[:: 2**k, :: 2**k], tile=(512, 512), compression="lzw", metadata=None,
                      photometric="minisblack", subfiletype=int(k > 0))
    return labels


def false_pixels(name, labels, k, place):
    """How many pixels of a region of level k hold a label that no rectangle has."""
    with openslide.OpenSlide(name) as slide:
        region = np.asarray(slide.read_region(place, k, (256, 256)))[..., 0]
        whole = np.asarray(slide.read_region((0, 0), k, slide.level_dimensions[k]))[..., 0]
    assert np.array_equal(whole, labels[:: 2**k, :: 2**k]), "a whole level is right"
    return int((region % 10 > 0).sum())


print("openslide-python", openslide.__version__, "OpenSlide", openslide.__library_version__)
even, odd = pyramid("even.tif", 4096, 4096), pyramid("odd.tif", 3001, 5003)
for k in (1, 2, 3):
    at, off = (false_pixels("even.tif", even, k, (p, p)) for p in (1024, 1001))
    print(f"4096 px, level {k}: {at:,} false pixels at (1024, 1024), {off:,} at (1001, 1001)")
    assert at == 0 < off
    at = false_pixels("odd.tif", odd, k, (1024, 1024))
    print(f"5003 x 3001 px, level {k}: {at:,} false pixels at (1024, 1024)")
    assert at > 0
assert false_pixels("odd.tif", odd, 0, (1001, 1001)) == 0, "level 0 is right everywhere"
PY
