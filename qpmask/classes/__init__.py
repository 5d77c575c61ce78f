"""Stage 2: which class gets which label.

``names`` holds QuPath's one form of a class name, ``classmap`` the map of names to labels,
``mapfiles`` its files (YAML, JSON, CSV) and the maps in ``presets``.
"""

from qpmask.classes.classmap import (
    BACKGROUND_LABEL,
    FOLLOWS,
    QUPATH_IGNORED,
    ClassEntry,
    ClassMap,
    Color,
    UnclassifiedRow,
    class_map_from_classes,
    class_names,
    format_color,
)
from qpmask.classes.mapfiles import (
    class_map_from_dict,
    load_class_map,
    load_preset,
    parse_color,
    preset_names,
)

__all__ = [
    "BACKGROUND_LABEL",
    "FOLLOWS",
    "QUPATH_IGNORED",
    "ClassEntry",
    "ClassMap",
    "Color",
    "UnclassifiedRow",
    "class_map_from_classes",
    "class_map_from_dict",
    "class_names",
    "format_color",
    "load_class_map",
    "load_preset",
    "parse_color",
    "preset_names",
]
