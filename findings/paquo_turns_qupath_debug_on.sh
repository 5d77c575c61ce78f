#!/usr/bin/env bash
# Importing paquo.projects sets QuPath's log to DEBUG.
# paquo 0.9.0 with QuPath 0.6.0: before, the root logger of QuPath's logback is at another level; after
# `import paquo.projects`, at DEBUG, and stays there. QuPath then formats a line for each object that it reads.
# Takes the QuPath in PAQUO_QUPATH_DIR, or fetches 0.6.0 with paquo.
# Seen: "before: INFO, after: DEBUG".
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
import paquo.java  # noqa: F401  (starts the JVM)
from jpype import JClass

root = JClass("org.slf4j.LoggerFactory").getLogger("ROOT")
print("QuPath", JClass("qupath.lib.common.GeneralTools").getVersion())
before = str(root.getEffectiveLevel())
import paquo.projects  # noqa: E402, F401

after = str(root.getEffectiveLevel())
print(f"before: {before}, after: {after}")
assert before != "DEBUG" and after == "DEBUG", (before, after)
PY
