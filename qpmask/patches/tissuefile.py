"""The file that says where tissue is, of one slide, and how it lies upon it.

``--tissue FILE`` is of the only slide of a run; ``--tissue FOLDER`` has one file for each slide, by
its name. GeoJSON of an image of a project is in that image's pixels, as QuPath writes it: the
project's frame (cropped, turned, the scanned part) brings it to the slide's.
"""

from __future__ import annotations

from pathlib import Path

from qpmask.errors import OptionsError
from qpmask.geometry import Affine
from qpmask.outputs import slide_stem
from qpmask.patches.cutplan import CutPlan
from qpmask.patches.options import ChoiceOptions
from qpmask.patches.sources import SlideSource

_ENDINGS = (".geojson", ".json", ".ome.tif", ".ome.tiff", ".tif", ".tiff", ".ozx",
            ".ome.zarr", ".zarr")  # fmt: skip


def tissue_file(choice: ChoiceOptions, source: SlideSource) -> Path | None:
    """The mask or GeoJSON of a slide; None where tissue is not told by a file.

    Raises
    ------
    OptionsError
        The folder that was named has none for this slide.
    """
    if choice.tissue in ("auto", "annotations", "none", "sam2"):
        return None
    from qpmask.collection.opening import is_collection  # takes long to import

    path = Path(choice.tissue).expanduser()
    if not path.is_dir() or is_collection(path):
        return path
    names = [source.name] + ([] if source.path is None else [slide_stem(source.path.name)])
    for name in dict.fromkeys(names):
        for ending in _ENDINGS:
            found = path / (name + ending)
            if found.is_file() or (found.is_dir() and is_collection(found)):
                return found
    raise OptionsError(
        f"{path} has no file for {source.name}.",
        hint=f"It should be called {names[0]}.geojson, or .ome.tif or .ozx for a mask.",
    )


def is_geojson(path: Path) -> bool:
    """Whether a file is one of polygons, by its name."""
    return path.suffix.lower() in (".json", ".geojson")


def tissue_frame(choice: ChoiceOptions, source: SlideSource, plan: CutPlan) -> Affine | None:
    """From pixels of polygons to those of the slide's level 0; None where there are no polygons.

    Raises
    ------
    FrameError
        Where the image lies in its file is not known.
    """
    path = tissue_file(choice, source)
    if path is None or not is_geojson(path):
        return None
    if source.entry is None:
        return Affine()
    return source.entry.frame.to_file(plan.slide.levels[0], plan.slide.bounds)
