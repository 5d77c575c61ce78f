#!/usr/bin/env bash
# In QuPath the first data file that is read decides the colour of a class in all files that are read after it.
# QuPath 0.6.0 (0.7.0 too), through paquo 0.9.0: a PathClass is one object a JVM, kept by name. A data file that stores
# "Mucosa" in blue comes back red if another file, or anything else, made a red "Mucosa" before; read alone it comes back
# blue. So what a script exports (GeoJSON holds the colour of each class) depends on which images it opened before,
# and in which order, and saving writes the other image's colour.
# Takes the QuPath in PAQUO_QUPATH_DIR, or fetches 0.6.0 with paquo.
# Seen: "b alone: [0, 0, 200]", "b after a: [200, 0, 0]".
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
cat > classes.py <<'PY'
import json
import sys

import paquo.java  # noqa: F401  (starts the JVM)
from jpype import JClass

lib = "qupath.lib."
BufferedImage, File = JClass("java.awt.image.BufferedImage"), JClass("java.io.File")
PathIO, GsonTools = JClass(lib + "io.PathIO"), JClass(lib + "io.GsonTools")


def server() -> object:
    image = BufferedImage(64, 64, BufferedImage.TYPE_BYTE_GRAY)
    return JClass(lib + "images.servers.WrappedBufferedImageServer")("slide", image)


def write(path: str, rgb: int) -> None:
    """A data file with one annotation of the class Mucosa."""
    plane = JClass(lib + "regions.ImagePlane").getDefaultPlane()
    roi = JClass(lib + "roi.ROIs").createRectangleROI(10.0, 10.0, 20.0, 20.0, plane)
    mucosa = JClass(lib + "objects.classes.PathClass").fromString("Mucosa", JClass("java.lang.Integer")(rgb))
    data = JClass(lib + "images.ImageData")(server())
    data.getHierarchy().addObject(
        JClass(lib + "objects.PathObjects").createAnnotationObject(roi, mucosa))
    PathIO.writeImageData(File(path), data)


def color(path: str) -> list[int]:
    """Colour of Mucosa in the GeoJSON of a file."""
    item = PathIO.readImageData(File(path), server()).getHierarchy().getAnnotationObjects().iterator().next()
    return json.loads(str(GsonTools.getInstance().toJson(item)))["properties"]["classification"]["color"]


how, *paths = sys.argv[1:]
if how == "write":
    write(paths[0], int(paths[1]))
else:
    print("QuPath", JClass(lib + "common.GeneralTools").getVersion(), file=sys.stderr)
    print(json.dumps([color(path) for path in paths][-1]))
PY
venv/bin/python classes.py write a.qpdata $((0xc80000 - 0x1000000))
venv/bin/python classes.py write b.qpdata $((0x0000c8 - 0x1000000))
alone=$(venv/bin/python classes.py read b.qpdata | tail -1)
after=$(venv/bin/python classes.py read a.qpdata b.qpdata | tail -1)
echo "b alone: $alone"
echo "b after a: $after"
[ "$alone" = "[0, 0, 200]" ] && [ "$after" = "[200, 0, 0]" ]
