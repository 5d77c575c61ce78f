#!/usr/bin/env bash
# QuPath draws objects without a class into a label image, and takes the same region for empty.
# QuPath 0.6.0 (the code is the same in 0.4 to 0.7), through paquo 0.9.0: of a LabeledImageServer with
# addUnclassifiedLabel(7), pixels of an annotation without a class are 7, but getObjectsForRegion does not list it
# and isEmptyRegion says true (they look for the class null; the label stands under NULL_CLASS). So TileExporter
# with annotatedTilesOnly(true) leaves out every tile that has unclassified annotations alone, without a word if
# others are left.
# Takes the QuPath in PAQUO_QUPATH_DIR, or fetches 0.6.0 with paquo.
# Seen: "without a class: 400 pixels, 0 objects, empty True, 0 tiles", "with a class: 400 pixels, 1 objects, empty
# False, 1 tiles".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q paquo==0.9.0 jpype1==1.7.1 numpy==2.4.6
cd "$folder"
if [ -z "${PAQUO_QUPATH_DIR:-}" ]; then
    PAQUO_QUPATH_DIR=$(venv/bin/python -m paquo get_qupath --install-path "$folder" 0.6.0 | tail -1)
    export PAQUO_QUPATH_DIR
fi
venv/bin/python - <<'PY'
from pathlib import Path

import paquo.java  # noqa: F401  (starts the JVM)
from jpype import JClass

lib = "qupath.lib."
BufferedImage = JClass("java.awt.image.BufferedImage")
ImageData = JClass(lib + "images.ImageData")
Server = JClass(lib + "images.servers.WrappedBufferedImageServer")
Builder = JClass(lib + "images.servers.LabeledImageServer$Builder")
Request = JClass(lib + "regions.RegionRequest")
TileExporter = JClass(lib + "images.writers.TileExporter")
PathClass = JClass(lib + "objects.classes.PathClass")
ROIs = JClass(lib + "roi.ROIs")
plane = JClass(lib + "regions.ImagePlane").getDefaultPlane()
print("QuPath", JClass(lib + "common.GeneralTools").getVersion())


def look(path_class: object, folder: str) -> tuple[int, int, bool, int]:
    """Pixels with the label, objects that are listed, whether the region is empty, tiles exported."""
    data = ImageData(Server("slide", BufferedImage(64, 64, BufferedImage.TYPE_BYTE_GRAY)))
    roi = ROIs.createRectangleROI(10.0, 10.0, 20.0, 20.0, plane)
    data.getHierarchy().addObject(
        JClass(lib + "objects.PathObjects").createAnnotationObject(roi, path_class))
    builder = Builder(data).useAnnotations().downsample(1.0).tileSize(64)
    if path_class is None:
        builder.addUnclassifiedLabel(7)
    else:
        builder.addLabel(path_class, 7)
    server = builder.build()
    region = Request.createInstance(server.getPath(), 1.0, 0, 0, 64, 64)
    raster = server.readRegion(region).getRaster()
    pixels = sum(raster.getSample(x, y, 0) == 7 for x in range(64) for y in range(64))
    Path(folder).mkdir()
    (TileExporter(data).downsample(1.0).tileSize(64).imageExtension(".png").labeledServer(server)
     .annotatedTilesOnly(True).writeTiles(folder))
    tiles = sum("labelled" not in p.name for p in Path(folder).glob("*.png"))
    return pixels, len(server.getObjectsForRegion(region)), bool(server.isEmptyRegion(region)), tiles


found = {"without a class": look(None, "a"), "with a class": look(PathClass.fromString("Tumor"), "b")}
for name, (pixels, objects, empty, tiles) in found.items():
    print(f"{name}: {pixels} pixels, {objects} objects, empty {empty}, {tiles} tiles")
assert found == {"without a class": (400, 0, True, 0), "with a class": (400, 1, False, 1)}
PY
