"""QuPath's classes as Java describes them: names, fields, and what each is derived from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from qpmask.imageobjects import ObjectKind
from qpmask.intoqupath.javarois import ROI_FORMS
from qpmask.javastream.writing import EXTERNALIZABLE, SERIALIZABLE, WRITE_METHOD, ClassForm

OBJECTS: Final = "qupath.lib.objects."
KINDS: Final = {
    ObjectKind.ANNOTATION: "PathAnnotationObject",
    ObjectKind.DETECTION: "PathDetectionObject",
    ObjectKind.CELL: "PathCellObject",
    ObjectKind.TILE: "PathTileObject",
    ObjectKind.TMA_CORE: "TMACoreObject",
}
CHAINS: Final = {
    kind: (name, *(["PathDetectionObject"] if name in ("PathCellObject", "PathTileObject") else []),
           "PathROIObject", "PathObject")
    for kind, name in KINDS.items()
}  # fmt: skip
PATH_CLASS: Final = OBJECTS + "classes.PathClass"
METADATA: Final = OBJECTS + "MetadataMap"
HIERARCHY: Final = OBJECTS + "hierarchy.PathObjectHierarchy"
HIERARCHY_FIELDS: Final = (
    ("Lqupath/lib/objects/PathObject;", "rootObject"),
    ("Lqupath/lib/objects/hierarchy/TMAGrid;", "tmaGrid"),
)
MEASUREMENT_LIST: Final = "qupath.lib.measurements.NumericMeasurementList$"
_ANY_LIST: Final = MEASUREMENT_LIST + "AbstractNumericMeasurementList"
OBJECT_ARRAY: Final = "[Ljava.lang.Object;"
UUID: Final = ("java.util.UUID", SERIALIZABLE, (("J", "leastSigBits"), ("J", "mostSigBits")))
_STRING: Final = "Ljava/lang/String;"


def _object_forms() -> Iterator[tuple[str, ClassForm]]:
    for name, parent in (
        ("PathObject", None),
        ("PathRootObject", "PathObject"),
        ("PathROIObject", "PathObject"),
        ("PathAnnotationObject", "PathROIObject"),
        ("PathDetectionObject", "PathROIObject"),
        ("PathCellObject", "PathDetectionObject"),
        ("PathTileObject", "PathDetectionObject"),
        ("TMACoreObject", "PathROIObject"),
    ):
        yield OBJECTS + name, (EXTERNALIZABLE, (), parent and OBJECTS + parent)


FORMS: Final[dict[str, ClassForm]] = {
    "java.lang.Number": (SERIALIZABLE, (), None),
    "java.lang.Integer": (SERIALIZABLE, (("I", "value"),), "java.lang.Number"),
    "java.lang.Boolean": (SERIALIZABLE, (("Z", "value"),), None),
    "java.util.ArrayList": (WRITE_METHOD, (("I", "size"),), None),
    "[F": (SERIALIZABLE, (), None),
    "[D": (SERIALIZABLE, (), None),
    "[B": (SERIALIZABLE, (), None),
    **dict(_object_forms()),
    METADATA: (EXTERNALIZABLE, (), None),
    PATH_CLASS: (
        SERIALIZABLE,
        (
            ("Ljava/lang/Integer;", "colorRGB"),
            (_STRING, "name"),
            (f"L{PATH_CLASS.replace('.', '/')};", "parentClass"),
        ),
        None,
    ),
    _ANY_LIST: (
        SERIALIZABLE,
        (("Z", "isClosed"), ("Ljava/util/List;", "names"), ("Ljava/util/Map;", "map")),
        None,
    ),
    MEASUREMENT_LIST + "FloatList": (SERIALIZABLE, (("[F", "values"),), _ANY_LIST),
    MEASUREMENT_LIST + "DoubleList": (SERIALIZABLE, (("[D", "values"),), _ANY_LIST),
    **ROI_FORMS,
}
