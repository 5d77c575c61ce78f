#!/usr/bin/env bash
# fastslide sees the smaller levels of an OME-TIFF only if the OME-XML lists their sizes.
# fastslide 0.8.1: SubIFDs, where the OME model keeps levels, are ignored unless the XML has a MapAnnotation
# in the namespace openmicroscopy.org/PyramidResolution, which Bio-Formats writes and tifffile does not.
# And tiles without compression are refused when they are read, not when the file is opened.
# Seen: "3 levels as SubIFDs: 1 seen, 3 with the annotation; not compressed: Unsupported compression scheme 1".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q numpy==2.4.6 tifffile==2026.3.3 imagecodecs==2026.3.6 fastslide==0.8.1
cd "$folder" && venv/bin/python - <<'PY'
import fastslide
import numpy as np
import tifffile

labels = (np.add.outer(np.arange(2000), np.arange(3000)) // 100).astype(np.uint8)
sizes = {k: f"{-(-3000 // 2**k)} {-(-2000 // 2**k)}" for k in (1, 2)}


def write(name, xml=None, compression="lzw"):
    options = {"tile": (512, 512), "compression": compression, "photometric": "minisblack"}
    first = {"metadata": {"axes": "YX"}} if xml is None else {"description": xml, "metadata": None}
    with tifffile.TiffWriter(name, ome=xml is None) as tif:
        tif.write(labels, subifds=2, **first, **options)
        for k in (1, 2):
            tif.write(labels[:: 2**k, :: 2**k], subfiletype=1, metadata=None, **options)
    with tifffile.TiffFile(name) as tif:
        assert len(tif.series[0].levels) == 3
        return tif.pages[0].description


def levels(name):
    with fastslide.FastSlide.from_file_path(name) as slide:
        return slide.level_count


print("fastslide", fastslide.__version__)
xml = write("a.ome.tif")
rows = "".join(f'<M K="{k}">{size}</M>' for k, size in sizes.items())
space = "openmicroscopy.org/PyramidResolution"
annotation = (f'<StructuredAnnotations><MapAnnotation ID="Annotation:0" Namespace="{space}"><Value>'
              f"{rows}</Value></MapAnnotation></StructuredAnnotations></OME>")
write("b.ome.tif", xml.replace("</OME>", annotation).encode())
print("without the annotation:", levels("a.ome.tif"), "with it:", levels("b.ome.tif"))
assert (levels("a.ome.tif"), levels("b.ome.tif")) == (1, 3)

write("c.ome.tif", compression=None)
with fastslide.FastSlide.from_file_path("c.ome.tif") as slide:
    try:
        slide.read_region((0, 0), 0, (100, 100))
    except RuntimeError as error:
        print("not compressed:", str(error)[:100])
        assert "Unsupported compression scheme 1" in str(error)
    else:
        raise SystemExit("tiles without compression are read now")
PY
