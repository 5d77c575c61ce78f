"""What QuPath says of an image's data beside them (``summary.json``), after they were changed."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Final

import numpy as np

from qpmask.imageobjects import ImageObjects, ObjectKind
from qpmask.outputs import read_json
from qpmask.project import ImageEntry

# QuPath's words for its kinds of objects, in the plural.
_WORDS: Final = {
    ObjectKind.ANNOTATION: "Annotations",
    ObjectKind.DETECTION: "Detections",
    ObjectKind.CELL: "Cells",
    ObjectKind.TILE: "Tiles",
    ObjectKind.TMA_CORE: "TMA cores",
    ObjectKind.OTHER: "Objects",
}
_DETECTIONS: Final = (ObjectKind.DETECTION, ObjectKind.CELL, ObjectKind.TILE)


def summary_json(entry: ImageEntry, objects: ImageObjects) -> bytes:
    """The file's content; nobody but people reads its counts."""
    old = read_json(entry.data_dir / "summary.json") or {}
    kinds = Counter(objects.kind.tolist())
    size = entry.size
    server: Any = old.get("server")
    if not isinstance(server, dict) and size is not None:
        server = {
            "width": size.width_px,
            "height": size.height_px,
            "sizeZ": entry.size_z,
            "sizeT": entry.size_t,
        }
    summary = {
        "timestamp": entry.data_path.stat().st_mtime_ns // 1_000_000,
        "imageType": objects.image_type or "UNSET",
        "server": server,
        "hierarchy": {
            "nObjects": len(objects) + 1,
            "objectTypeCounts": {
                "Root objects": 1,
                **{_WORDS[ObjectKind(kind)]: n for kind, n in sorted(kinds.items())},
            },
            "annotationClassificationCounts": _classes(objects, (ObjectKind.ANNOTATION,)),
            "detectionClassificationCounts": _classes(objects, _DETECTIONS),
        },
    }
    return json.dumps(summary, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def _classes(objects: ImageObjects, kinds: tuple[ObjectKind, ...]) -> dict[str, int]:
    numbers = Counter(objects.class_index[np.isin(objects.kind, kinds)].tolist())
    return {
        "Unclassified" if i < 0 else objects.classes[i].name: n for i, n in sorted(numbers.items())
    }
