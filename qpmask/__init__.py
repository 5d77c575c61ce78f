"""Class masks from QuPath projects: whole-slide annotations as pyramidal OME-TIFF label images.

Importing this starts nothing and reads nothing; each name below is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from qpmask._version import __version__

if TYPE_CHECKING:
    from qpmask.agreement import MaskComparison as MaskComparison
    from qpmask.agreement import compare_masks as compare_masks
    from qpmask.classes import ClassEntry as ClassEntry
    from qpmask.classes import ClassMap as ClassMap
    from qpmask.classes import load_class_map as load_class_map
    from qpmask.classes import load_preset as load_preset
    from qpmask.collection import MaskCollection as MaskCollection
    from qpmask.collection.opening import open_mask as open_mask
    from qpmask.errors import QpmaskError as QpmaskError
    from qpmask.export.run import export_masks as export_masks
    from qpmask.export.run import plan_export as plan_export
    from qpmask.features.options import FeatureOptions as FeatureOptions
    from qpmask.features.options import feature_options as feature_options
    from qpmask.features.run import extract_features as extract_features
    from qpmask.intoqupath.options import ImportOptions as ImportOptions
    from qpmask.intoqupath.report import ImportReport as ImportReport
    from qpmask.intoqupath.run import add_objects as add_objects
    from qpmask.intoqupath.run import import_objects as import_objects
    from qpmask.intoqupath.run import restore_project as restore_project
    from qpmask.mask import Mask as Mask
    from qpmask.maskwriter import MaskWriter as MaskWriter
    from qpmask.maskwriter import finalize as finalize
    from qpmask.objectfiles import write_geojson as write_geojson
    from qpmask.ometiff.check import check_mask as check_mask
    from qpmask.options import ExportOptions as ExportOptions
    from qpmask.options import FileOptions as FileOptions
    from qpmask.options import RenderOptions as RenderOptions
    from qpmask.options import export_options as export_options
    from qpmask.patches import Patches as Patches
    from qpmask.patches import open_patches as open_patches
    from qpmask.patches import patch_options as patch_options
    from qpmask.patches.run import make_patches as make_patches
    from qpmask.polygons.trace import trace as trace
    from qpmask.project import Project as Project
    from qpmask.project import open_project as open_project
    from qpmask.report import Report as Report
    from qpmask.viewer.picture import save_picture as save_picture
    from qpmask.web.server import Server as Server
    from qpmask.web.server import serve as serve

_HOMES = {
    "ClassEntry": "classes",
    "ClassMap": "classes",
    "ExportOptions": "options",
    "FeatureOptions": "features.options",
    "FileOptions": "options",
    "ImportOptions": "intoqupath.options",
    "ImportReport": "intoqupath.report",
    "Mask": "mask",
    "MaskCollection": "collection",
    "MaskComparison": "agreement",
    "MaskWriter": "maskwriter",
    "Patches": "patches",
    "Project": "project",
    "QpmaskError": "errors",
    "RenderOptions": "options",
    "Report": "report",
    "add_objects": "intoqupath.run",
    "Server": "web.server",
    "check_mask": "ometiff.check",
    "compare_masks": "agreement",
    "export_masks": "export.run",
    "export_options": "options",
    "extract_features": "features.run",
    "feature_options": "features.options",
    "finalize": "maskwriter",
    "import_objects": "intoqupath.run",
    "load_class_map": "classes",
    "load_preset": "classes",
    "make_patches": "patches.run",
    "open_mask": "collection.opening",
    "open_patches": "patches",
    "open_project": "project",
    "patch_options": "patches",
    "plan_export": "export.run",
    "restore_project": "intoqupath.run",
    "save_picture": "viewer.picture",
    "serve": "web.server",
    "trace": "polygons.trace",
    "write_geojson": "objectfiles",
}

__all__ = ["__version__", *sorted(_HOMES)]


if not TYPE_CHECKING:  # a type checker would take any name for one that exists

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'qpmask' has no attribute {name!r}")
        value = getattr(importlib.import_module(f"qpmask.{_HOMES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
