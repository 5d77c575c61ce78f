#!/usr/bin/env bash
# dlup cannot read GeoJSON in which QuPath wrote a derived class.
# dlup 0.9.4; QuPath 0.4 to 0.7 write a plain class as {"name": "Tumor"}, but one derived from another
# ("Tumor: Positive", as cell detections with a stain get them) as {"names": ["Tumor", "Positive"]}.
# SlideAnnotations.from_geojson looks for "name" alone: one such object, and none of the file is read.
# Seen: "plain class: Tumor" and "derived class: KeyError 'name'".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q dlup==0.9.4 numpy==2.4.6
cd "$folder" && venv/bin/python - <<'PY'
import json
from importlib.metadata import version

from dlup.annotations import SlideAnnotations


def written_by_qupath(classification: dict) -> str:
    """A rectangle, as QuPath 0.6 and 0.7 export it."""
    ring = [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]
    feature = {
        "type": "Feature", "id": "6ec0a4b1-5a1c-4d0f-8a3b-2f1f6a8d9c11",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"objectType": "annotation", "classification": classification},
    }
    with open("a.geojson", "w") as file:
        json.dump({"type": "FeatureCollection", "features": [feature]}, file)
    return "a.geojson"


print("dlup", version("dlup"))
plain = SlideAnnotations.from_geojson(written_by_qupath({"name": "Tumor", "color": [200, 0, 0]}))
(polygon,) = plain
print("plain class:", polygon.label)
assert polygon.label == "Tumor"
derived = written_by_qupath({"names": ["Tumor", "Positive"], "color": [200, 50, 50]})
try:
    SlideAnnotations.from_geojson(derived)
except KeyError as error:
    print("derived class: KeyError", error)
    assert error.args == ("name",)
else:
    raise SystemExit("dlup reads derived classes now")
PY
