"""What is written down about patches: in their file, in the report, for the next run."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qpmask._version import __version__
from qpmask.geometry import Affine
from qpmask.outputs import file_mark
from qpmask.patches import h5file
from qpmask.patches.cutplan import CutPlan
from qpmask.patches.options import ChoiceOptions, PatchOptions
from qpmask.patches.report import PatchRecord
from qpmask.patches.sources import SlideSource
from qpmask.patches.table import PatchTable
from qpmask.patches.tissuefile import tissue_file, tissue_frame

if TYPE_CHECKING:
    from qpmask.patches.maskcount import SlideMask

PATCHES_FOLDER = "patches"


def file_of(source: SlideSource) -> str:
    """The patch file of a slide, below the output folder."""
    return f"{PATCHES_FOLDER}/{source.name}.h5"


def attributes_of(
    options: PatchOptions, source: SlideSource, plan: CutPlan, out: Path, n: int
) -> dict[str, Any]:
    """What stands on a patch file and on its ``coords``; names of AtlasPatch, TRIDENT and CLAM.

    Parameters
    ----------
    options : PatchOptions
        What was asked for.
    source : SlideSource
        The slide.
    plan : CutPlan
        What is cut of it.
    out : Path
        The output folder.
    n : int
        Number of patches.
    """
    size, scale, slide = plan.size, plan.scale, plan.slide
    assert source.path is not None
    level0 = slide.levels[0]
    found: dict[str, Any] = {
        "patch_size": size.patch_px,
        "patch_size_level0": size.patch_px0,
        "step_size": size.step_px,
        "step_level0": size.step_px0,
        "overlap": size.patch_px - size.step_px,
        "level0_magnification": _whole(scale.magnification),
        "target_magnification": _whole(size.target_magnification),
        "magnification": _whole(scale.magnification),
        "level0_width": level0.width_px,
        "level0_height": level0.height_px,
        "mpp": scale.mpp,
        "mpp_source": scale.source,
        "target_mpp": size.target_mpp,
        "patch_mpp": size.mpp,
        "size_rule": options.grid.by,
        "edge": options.grid.edge,
        "order": "rows: by y, then by x",
        "tissue_method": options.choice.tissue,
        "min_tissue": options.choice.min_tissue,
        "name": source.name,
        "savetodir": str(out / PATCHES_FOLDER),
        "wsi_path": str(source.path),
        "filename": source.path.name,
        "num_patches": n,
        "vendor": slide.reader,
        "creation_date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "qpmask_version": __version__,
    }
    if options.choice.sam2 is not None:
        found["tissue_model"] = options.choice.sam2
    if size.is_exact:  # CLAM reads patch_size pixels of this level
        level = slide.levels[size.level]
        found["patch_level"] = size.level
        found["downsample"] = np.array([size.level_scale] * 2)
        found["downsampled_level_dim"] = np.array([level.width_px, level.height_px])
        found["level_dim"] = np.array([level0.width_px, level0.height_px])
    return found


def made_from(
    options: PatchOptions, source: SlideSource, plan: CutPlan, mask: SlideMask | None
) -> dict[str, Any]:
    """All that decides the patches, as plain data: a file made from the same still holds."""
    choice = {k: v for k, v in asdict(options.choice).items() if k != "sam2"}
    if tissue_file(options.choice, source) is not None:
        choice["tissue"] = "file"  # tissue_file says which, wherever it was named from
    data: dict[str, Any] = {
        "format": h5file.FORMAT,
        "slide": None if source.path is None else file_mark(source.path),
        "mpp": plan.scale.mpp,
        "size": asdict(plan.size),
        "edge": options.grid.edge,
        "choice": choice,
        "tissue_file": _tissue_mark(options.choice, source),
        "mask": None if mask is None else mask.fingerprint,
        "labels": options.labels,
    }
    frame = tissue_frame(options.choice, source, plan)
    if frame is not None and frame != Affine():
        data["tissue_frame"] = list(frame.values)
    found: dict[str, Any] = json.loads(json.dumps(data))
    return found


def record_of(
    options: PatchOptions, source: SlideSource, plan: CutPlan, table: PatchTable | None
) -> PatchRecord:
    """The record of a slide that was cut; without `table` of one that would be."""
    size = plan.size
    record = PatchRecord(
        source.key, source.name, "done", slide=str(source.path),
        mask=None if source.mask is None else str(source.mask), file=file_of(source),
        cells=plan.lattice.n_cells, patch_size=size.patch_px, patch_size_level0=size.patch_px0,
        step_level0=size.step_px0, level=size.level, mpp=plan.scale.mpp, patch_mpp=size.mpp,
        warnings=plan.warnings,
    )  # fmt: skip
    if table is None:
        return replace(record, status="planned")
    warnings = list(plan.warnings)
    if len(table) == 0 and plan.lattice.n_cells:
        warnings.append("No patch was kept.")
    if source.mask is None and options.labels and options.masks is not None:
        warnings.append("There is no mask of this slide; its patches have no labels.")
    counts: dict[str, int] = {}
    if table.labels is not None:
        for name, value in zip(table.labels.names, table.labels.values, strict=True):
            counts[name] = int(np.count_nonzero(table.labels.majority == value))
    patch_mm2 = (size.patch_px0 * plan.scale.mpp) ** 2 / 1e6
    tissue_mm2 = round(float(table.tissue.sum(dtype=np.float64)) * patch_mm2, 4)
    return replace(
        record, patches=len(table), majority=counts, warnings=tuple(warnings),
        tissue_mm2=None if options.choice.tissue == "none" else tissue_mm2,
    )  # fmt: skip


def _whole(value: float) -> int | float:
    """A whole number as such: TRIDENT divides by it."""
    return int(value) if value == int(value) else value


def _tissue_mark(choice: ChoiceOptions, source: SlideSource) -> dict[str, Any] | None:
    if choice.sam2 is not None:
        from qpmask.tissue.sam2 import checkpoint_files

        files = checkpoint_files(choice.sam2)
        return {"sam2": [file_mark(file) for file in files] or choice.sam2}
    path = tissue_file(choice, source)
    if path is not None and path.is_dir():
        from qpmask.collection import MaskCollection

        with MaskCollection(path) as masks:
            return {"name": path.name, "collection": masks.fingerprint}
    return None if path is None else file_mark(path)
