"""What goes with a patch file where it is asked for: pictures, images of the patches, views."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from qpmask.batch import Reporter
from qpmask.outputs import OutputWriter
from qpmask.patches.choosing import seen_tissue, threads_of
from qpmask.patches.cutplan import CutPlan
from qpmask.patches.imagefiles import drop_images, image_files, save_images
from qpmask.patches.options import PatchOptions
from qpmask.patches.otherprograms import view_targets, write_views
from qpmask.patches.patchrecords import file_of
from qpmask.patches.report import PatchRecord
from qpmask.patches.sources import SlideSource
from qpmask.patches.table import PatchTable

if TYPE_CHECKING:
    from qpmask.patches.maskcount import SlideMask

PICTURES_FOLDER, IMAGES_FOLDER = "pictures", "images"


@dataclass(frozen=True, eq=False)
class Extras:
    """What goes with one patch file.

    Attributes
    ----------
    options : PatchOptions
        What is asked for.
    source : SlideSource
        The slide.
    out : Path
        The output folder.
    table : PatchTable
        The patches.
    """

    options: PatchOptions
    source: SlideSource
    out: Path
    table: PatchTable

    def stand(self) -> bool:
        """Whether all of it is there."""
        targets = [self._picture] if self.options.pictures else []
        patch_file = self.out / file_of(self.source)
        for program in self.options.views:
            targets += [target for target, _ in view_targets(patch_file, program, self.table)]
        found = [self.out / target for target in targets]
        if self.options.save_images is not None:
            found += image_files(self._images, self.source.name, self.table,
                                 self.options.save_images)  # fmt: skip
        return all(path.is_file() for path in found)

    def drop(self) -> None:
        """Remove what would be taken for that of the patches that are cut now."""
        drop_images(self._images, self.source.name)

    def make(
        self,
        record: PatchRecord,
        plan: CutPlan,
        mask: SlideMask | None,
        writer: OutputWriter,
        reporter: Reporter,
    ) -> PatchRecord:
        """Make all of it; the record that says so."""
        options, path = self.options, self.source.path
        assert path is not None
        for program in options.views:
            write_views(self.out / file_of(self.source), program, writer)
        if options.pictures:
            from qpmask.patches.pictures import overlay, save_overlay

            reporter.phase("picture")
            tissue = seen_tissue(options, plan) if "contours" in options.pictures else None
            image = overlay(
                plan.slide, plan.scale.mpp, self.table, options.pictures, tissue=tissue, mask=mask
            )
            save_overlay(image, writer, self._picture)
            record = replace(record, pictures=(self._picture,))
        if options.save_images is not None:
            n = save_images(path, self.table, self._images, self.source.name, options.save_images,
                            threads_of(options), reporter)  # fmt: skip
            record = replace(record, images=n)
        return record

    @property
    def _picture(self) -> str:
        return f"{PICTURES_FOLDER}/{self.source.name}.png"

    @property
    def _images(self) -> Path:
        return self.out / IMAGES_FOLDER / self.source.name
