#!/usr/bin/env bash
# QuPath's GeoJSON, read and written again by GeoPandas, comes back into QuPath without nuclei, ids and locks.
# geopandas 1.2.0 (pyogrio 0.13.0, GDAL 3.12.4), QuPath 0.6.0 through paquo 0.9.0. QuPath keeps a cell's nucleus in
# nucleusGeometry beside geometry, which GDAL drops; the id of a feature becomes a property, where QuPath does not
# look; isLocked, which only locked objects have, becomes 1.0 (null for the others), which QuPath takes for
# not locked. No error, no warning in any of them: cells with nuclei become cells without one, new ids mean that
# QuPath takes the same objects for others. Classes and measurements are kept.
# Takes the QuPath in PAQUO_QUPATH_DIR, or fetches 0.6.0 with paquo.
# Seen: "before: PathCellObject id a nucleus True locked False; PathAnnotationObject id b nucleus False locked True;
# after: PathCellObject id new nucleus False locked False; PathAnnotationObject id new nucleus False locked False".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q geopandas==1.2.0 pyogrio==0.13.0 paquo==0.9.0 jpype1==1.7.1
cd "$folder"
if [ -z "${PAQUO_QUPATH_DIR:-}" ]; then
    PAQUO_QUPATH_DIR=$(venv/bin/python -m paquo get_qupath --install-path "$folder" 0.6.0 | tail -1)
    export PAQUO_QUPATH_DIR
fi
venv/bin/python - <<'PY'
import warnings

import geopandas
import paquo.java  # noqa: F401  (starts the JVM)
import pyogrio
from jpype import JClass

warnings.simplefilter("error")
lib = "qupath.lib."
PathIO, Paths = JClass(lib + "io.PathIO"), JClass("java.nio.file.Paths")
Objects, ROIs = JClass(lib + "objects.PathObjects"), JClass(lib + "roi.ROIs")
UUID, Cell = JClass("java.util.UUID"), JClass(lib + "objects.PathCellObject")
Options = JClass(lib + "io.PathIO$GeoJsonExportOptions")
plane = JClass(lib + "regions.ImagePlane").getDefaultPlane()
tumor = JClass(lib + "objects.classes.PathClass").fromString("Tumor")
print("QuPath", JClass(lib + "common.GeneralTools").getVersion(), "GDAL", pyogrio.__gdal_version__)

cell = Objects.createCellObject(
    ROIs.createRectangleROI(0.0, 0.0, 10.0, 10.0, plane),
    ROIs.createRectangleROI(3.0, 3.0, 3.0, 3.0, plane), tumor, None,
)
cell.getMeasurementList().put("Area", 12.5)
cell.setID(UUID.fromString("a0000000-0000-4000-8000-000000000001"))
region = Objects.createAnnotationObject(ROIs.createRectangleROI(0.0, 0.0, 20.0, 20.0, plane), tumor)
region.setLocked(True)
region.setID(UUID.fromString("b0000000-0000-4000-8000-000000000001"))
written = JClass("java.util.ArrayList")()
written.add(cell)
written.add(region)
PathIO.exportObjectsAsGeoJSON(Paths.get("before.geojson"), written, Options.FEATURE_COLLECTION)
geopandas.read_file("before.geojson").to_file("after.geojson", driver="GeoJSON")

found = {}
for name in ("before", "after"):
    objects = list(PathIO.readObjects(Paths.get(name + ".geojson")))
    assert [str(o.getPathClass()) for o in objects] == ["Tumor", "Tumor"]
    assert [int(o.getMeasurementList().size()) for o in objects] == [1, 0]
    ids = [str(o.getID())[0] if str(o.getID()).endswith("0000-4000-8000-000000000001") else "new"
           for o in objects]
    found[name] = [
        (str(o.getClass().getSimpleName()), own, isinstance(o, Cell) and o.getNucleusROI() is not None,
         bool(o.isLocked()))
        for o, own in zip(objects, ids, strict=True)
    ]
    print(name + ":", *(f"{kind} id {own} nucleus {nucleus} locked {locked};"
                        for kind, own, nucleus, locked in found[name]))
assert found == {
    "before": [("PathCellObject", "a", True, False), ("PathAnnotationObject", "b", False, True)],
    "after": [("PathCellObject", "new", False, False), ("PathAnnotationObject", "new", False, False)],
}
PY
