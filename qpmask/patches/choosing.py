"""Which places of a slide become patches: tissue, classes, content."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from qpmask.batch import Reporter
from qpmask.common.machine import n_cores
from qpmask.errors import OptionsError
from qpmask.patches.cutplan import CutPlan
from qpmask.patches.lattice import PatchSize
from qpmask.patches.options import PatchOptions
from qpmask.patches.patchpixels import PatchReader, level_scales
from qpmask.patches.patchrecords import attributes_of
from qpmask.patches.sources import SlideSource
from qpmask.patches.table import PatchLabels, PatchTable, majority_of
from qpmask.patches.tissuefile import tissue_file, tissue_frame
from qpmask.tissue import TissueArea, find_tissue, slide_picture

if TYPE_CHECKING:
    from qpmask.patches.maskcount import SlideMask

_WHITE, _BLACK = 220, 35


@dataclass(frozen=True, eq=False)
class Chooser:
    """Chooses the patches of one slide.

    Attributes
    ----------
    options : PatchOptions
        What is asked for.
    source : SlideSource
        The slide.
    plan : CutPlan
        The slide, open, and its lattice.
    mask : SlideMask or None
        Its mask, open.
    out : Path
        The output folder, which the file names.
    reporter : Reporter
        Who is told.
    """

    options: PatchOptions
    source: SlideSource
    plan: CutPlan
    mask: SlideMask | None
    out: Path
    reporter: Reporter

    def table(self) -> PatchTable:
        """The patches that are kept, with all that a patch file says of them."""
        lattice, choice, size = self.plan.lattice, self.options.choice, self.plan.size
        mask = self.mask if self.options.labels else None
        shape = lattice.n_rows, lattice.n_cols
        areas: NDArray[np.float64] = np.zeros((*shape, 0))
        names: tuple[str, ...] = ()
        values: tuple[int, ...] = ()
        if mask is not None:
            self.reporter.phase("labels")
            names, values = mask.classes()
            areas = mask.areas(lattice, values, threads_of(self.options), self.reporter.check)
        kept = np.ones(shape, np.bool_)
        shares = np.ones(shape)
        if choice.tissue != "none":
            self.reporter.phase("tissue")
            shares = self._tissue()
            kept = (shares > 0) & (shares >= choice.min_tissue - 1e-9)
        coords = lattice.coords(kept)
        table = PatchTable(
            coords,
            _read_columns(coords, size),
            shares[kept].astype(np.float32),
            lattice.padded()[kept],
            None if mask is None else self._labels(areas[kept], names, values),
        )
        if choice.only:
            table = table.some(self._of_classes(table))
        if choice.reads_patches and len(table):
            table = table.some(self._by_content(self._described(table)))
        return self._described(table)

    def _described(self, table: PatchTable) -> PatchTable:
        found = attributes_of(self.options, self.source, self.plan, self.out, len(table))
        return replace(table, attributes=found)

    def _tissue(self) -> NDArray[np.float64]:
        """Share of tissue in each cell, shape (rows, columns)."""
        lattice, choice, slide = self.plan.lattice, self.options.choice, self.plan.slide
        x, y, side = lattice.x_px0(), lattice.y_px0(), lattice.patch_px0
        area = seen_tissue(self.options, self.plan)
        if area is not None:
            self.reporter.check()
            return area.shares(x, y, side)
        if choice.tissue == "annotations":
            if self.mask is None:
                raise OptionsError(
                    "--tissue annotations needs a mask, and this slide has none.",
                    hint="Give a QuPath project, or --masks with a mask of this slide.",
                )
            return self._mask_tissue(self.mask)
        path = tissue_file(choice, self.source)
        frame = tissue_frame(choice, self.source, self.plan)
        assert path is not None
        if frame is not None:
            from qpmask.tissue.polygons import read_geojson

            return read_geojson(path, choice.tissue_classes).moved(frame).shares(x, y, side)
        from qpmask.patches.maskcount import SlideMask

        trusted = self.options.mask_frame == "slide"
        with SlideMask(path, slide, None, trusted=trusted) as other:
            return self._mask_tissue(other)

    def _mask_tissue(self, mask: SlideMask) -> NDArray[np.float64]:
        lattice, wanted = self.plan.lattice, self.options.choice.tissue_classes
        labels = None
        if wanted:
            names, values = mask.classes()
            labels = tuple(_label_of(name, names, values, mask.path) for name in wanted)
        areas = mask.areas(lattice, labels, threads_of(self.options), self.reporter.check)
        shares: NDArray[np.float64] = areas.sum(axis=2) / float(lattice.patch_px0**2)
        return np.minimum(shares, 1.0)

    def _labels(
        self, areas: NDArray[np.float64], names: tuple[str, ...], values: tuple[int, ...]
    ) -> PatchLabels:
        least, all_px = self.options.choice.min_coverage, float(self.plan.size.patch_px0**2)
        labels = np.array(values, np.int32)
        fractions = (areas / all_px).astype(np.float32)
        return PatchLabels(
            names, labels, fractions, majority_of(areas, labels, least * all_px), least
        )

    def _of_classes(self, table: PatchTable) -> NDArray[np.bool_]:
        labels = table.labels
        if labels is None or self.mask is None:
            raise OptionsError(f"--only needs a mask, and {self.source.name} has none.")
        values = tuple(labels.values.tolist())
        wanted = [
            _label_of(name, labels.names, values, self.mask.path)
            for name in self.options.choice.only
        ]
        return np.isin(labels.majority, wanted)

    def _by_content(self, table: PatchTable) -> NDArray[np.bool_]:
        """Which patches are not too white and not too black."""
        choice, path = self.options.choice, self.source.path
        assert path is not None
        self.reporter.phase("looking", len(table))
        kept = np.ones(len(table), np.bool_)
        with PatchReader(path, table) as reader:
            pixels_of = reader.in_order(range(len(table)), threads_of(self.options))
            for i, pixels in enumerate(pixels_of):
                if choice.white_thresh is not None:
                    kept[i] &= (pixels.min(axis=2) >= _WHITE).mean() <= choice.white_thresh
                if choice.black_thresh is not None:
                    kept[i] &= (pixels.max(axis=2) <= _BLACK).mean() <= choice.black_thresh
                self.reporter.done(i + 1)
        return kept


def seen_tissue(options: PatchOptions, plan: CutPlan) -> TissueArea | None:
    """Tissue that is found in a picture of the slide; None where a mask or a file says it."""
    scales, mpp = level_scales(plan.slide), plan.scale.mpp
    if options.choice.tissue == "auto":
        return find_tissue(slide_picture(plan.slide, scales, mpp))
    if options.choice.sam2 is None:
        return None
    from qpmask.tissue.sam2 import find_tissue_by_sam2, sam2_picture

    threads = threads_of(options) if options.workers > 1 else None
    picture = sam2_picture(plan.slide, scales, mpp)
    return find_tissue_by_sam2(picture, options.choice.sam2, options.device, threads)


def threads_of(options: PatchOptions) -> int:
    """Threads of each process."""
    return max(1, n_cores() // options.workers)


def _read_columns(coords: NDArray[np.int64], size: PatchSize) -> NDArray[np.int32]:
    read = np.empty((len(coords), 5), np.int32)
    read[:, :2] = coords
    read[:, 2:] = size.read_px, size.read_px, size.level
    return read


def _label_of(name: str, names: tuple[str, ...], values: tuple[int, ...], mask: Path) -> int:
    from qpmask.classes.names import same_class

    for known, value in zip(names, values, strict=True):
        if same_class(known, name):
            return value
    raise OptionsError(
        f"{mask} has no class {name!r}.", hint=f"Its classes are {', '.join(names) or 'none'}."
    )
