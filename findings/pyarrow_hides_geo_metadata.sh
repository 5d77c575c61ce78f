#!/usr/bin/env bash
# GeoParquet whose "geo" metadata is written at the end, as bounds of a stream ask for, shows pyarrow's readers none.
# pyarrow 26.0.1, geopandas 1.2.0: ParquetWriter.add_key_value_metadata puts "geo" into the file (read_metadata has
# it), but the stored Arrow schema was fixed when the writer was made, and read_table, read_schema and
# ParquetFile.schema_arrow take their metadata from there: it is None. geopandas looks into the file and reads it.
# A reader of GeoParquet has to ask read_metadata(path).metadata.
# Seen: "file: geo there; read_table: None; read_schema: None; geopandas: 1 feature".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pyarrow==26.0.1 geopandas==1.2.0
cd "$folder"
venv/bin/python - <<'PY'
import json

import geopandas
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

schema = pa.schema([("name", pa.string()), ("geometry", pa.binary())])
with pq.ParquetWriter("a.parquet", schema) as writer:
    shape = shapely.box(0, 0, 4, 3)
    writer.write_table(pa.table({"name": ["a"], "geometry": [shapely.to_wkb(shape)]}, schema=schema))
    column = {"encoding": "WKB", "geometry_types": ["Polygon"], "crs": None, "bbox": [0, 0, 4, 3]}
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
    writer.add_key_value_metadata({"geo": json.dumps(geo)})
in_file = b"geo" in pq.read_metadata("a.parquet").metadata
in_table = pq.read_table("a.parquet").schema.metadata
in_schema = pq.read_schema("a.parquet").metadata
features = geopandas.read_parquet("a.parquet")
print(f"file: geo {'there' if in_file else 'missing'}; read_table: {in_table}; read_schema: {in_schema}; "
      f"geopandas: {len(features)} feature")
assert in_file and in_table is None and in_schema is None
assert features.geometry[0].equals(shapely.box(0, 0, 4, 3))
PY
