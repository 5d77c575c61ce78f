"""One slide, from its file to a patch file that is checked and has its name.

:class:`PatchWork` is the work of a :class:`~qpmask.batch.Batch`; it may be pickled.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qpmask.batch import Reporter
from qpmask.errors import OutputError, QpmaskError
from qpmask.outputs import OutputWriter
from qpmask.patches import h5file
from qpmask.patches.choosing import Chooser
from qpmask.patches.cutplan import planned
from qpmask.patches.optionaloutputs import Extras
from qpmask.patches.options import PatchOptions
from qpmask.patches.patchrecords import file_of, made_from, record_of
from qpmask.patches.report import PatchRecord
from qpmask.patches.skipping import Standing, changes_of
from qpmask.patches.sources import SlideSource
from qpmask.slides import Slide

if TYPE_CHECKING:
    from qpmask.patches.maskcount import SlideMask


@dataclass(frozen=True)
class PatchWork:
    """Makes patch files.

    Attributes
    ----------
    options : PatchOptions
        What is asked for.
    out : Path
        The output folder.
    work : Path, optional
        Where files are made before they get their names; by default that of a run that holds the
        folder's lock.
    """

    options: PatchOptions
    out: Path
    work: Path | None = None

    def standing(self, source: SlideSource) -> PatchRecord | None:
        """The record of a slide whose patch file still holds, or that cannot be cut."""
        if source.error is not None:
            return self.record(source, "failed", source.error)
        target = self.out / file_of(source)
        if self.options.force or not target.is_file():
            return None
        try:
            with planned(source, self.options) as plan, self._mask(source, plan.slide) as mask:
                if not self._look(source, made_from(self.options, source, plan, mask)).holds:
                    return None
                table = h5file.read_patch_file(target)
                record = record_of(self.options, source, plan, table)
                if not Extras(self.options, source, self.out, table).stand():
                    return None
        except QpmaskError:
            return None  # doing it says what is wrong
        return replace(record, status="skipped", bytes=target.stat().st_size)

    def _look(self, source: SlideSource, marks: Mapping[str, Any]) -> Standing:
        """Whether a patch file is there, and is what `marks` would make."""
        target = self.out / file_of(source)
        if not target.is_file():
            return Standing()
        there = h5file.made_from(target)
        changes = []
        if source.mask_to_come is not None:
            changes.append(source.mask_to_come)
            marks = {**marks, "mask": (there or {}).get("mask")}
        changes += changes_of(there, marks)
        if not changes and self.options.force:
            changes.append("as asked (--force)")
        return Standing(True, tuple(changes))

    def do(self, source: SlideSource, reporter: Reporter) -> PatchRecord:
        """Cut one slide; an older file of the same name stays until the new one is checked."""
        began = time.monotonic()
        writer = OutputWriter(self.out, self.work)
        target = file_of(source)
        part = writer.work_file(f"{source.name}.{os.getpid()}.part.h5")
        try:
            with planned(source, self.options) as plan, self._mask(source, plan.slide) as mask:
                marks = made_from(self.options, source, plan, mask)
                standing = self._look(source, marks)
                if standing.holds:
                    table = h5file.read_patch_file(self.out / target)
                else:
                    self._check_features(self.out / target)
                    table = Chooser(self.options, source, plan, mask, self.out, reporter).table()
                    reporter.phase("writing")
                    h5file.write_patch_file(part, table, marks)
                    Extras(self.options, source, self.out, table).drop()
                    (self.out / target).parent.mkdir(parents=True, exist_ok=True)
                    writer.publish(part, target)
                record = record_of(self.options, source, plan, table)
                extras = Extras(self.options, source, self.out, table)
                record = extras.make(record, plan, mask, writer, reporter)
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        seconds = round(time.monotonic() - began, 3)
        n_bytes = (self.out / target).stat().st_size
        return replace(record, seconds=seconds, bytes=n_bytes, made_again=standing.why)

    def record(self, source: SlideSource, status: str, error: QpmaskError | str) -> PatchRecord:
        """Record of a slide that came to nothing."""
        return PatchRecord(
            source.key, source.name, status, slide=str(source.path or ""), error=str(error),
            mask=None if source.mask is None else str(source.mask),
            error_type=type(error).__name__ if isinstance(error, QpmaskError) else None,
        )  # fmt: skip

    def dry_run(self, source: SlideSource, *, into_folder: bool = True) -> PatchRecord:
        """What would be cut: sizes and places, without looking for tissue. Writes nothing.

        Parameters
        ----------
        source : SlideSource
            The slide.
        into_folder : bool
            Whether `out` is the folder that it would be written into: then what is there counts,
            and a file that holds makes a record that is ``skipped``.
        """
        if source.error is not None or into_folder:
            record = self.standing(source)
            if record is not None:
                return record
        try:
            with planned(source, self.options) as plan, self._mask(source, plan.slide) as mask:
                record = record_of(self.options, source, plan, None)
                if not into_folder:
                    return record
                marks = made_from(self.options, source, plan, mask)
                standing = self._look(source, marks)
                if standing.changes:
                    self._check_features(self.out / file_of(source))
                return replace(record, made_again=standing.why)
        except QpmaskError as error:
            return self.record(source, "failed", error)

    @contextlib.contextmanager
    def _mask(self, source: SlideSource, slide: Slide) -> Iterator[SlideMask | None]:
        if source.mask is None:
            yield None
            return
        from qpmask.patches.maskcount import SlideMask

        trusted = self.options.mask_frame == "slide"
        with SlideMask(source.mask, slide, source.entry, trusted=trusted) as mask:
            yield mask

    def _check_features(self, target: Path) -> None:
        """Raise if a file that would be replaced holds features, which may have taken hours."""
        names = () if self.options.force else h5file.feature_names(target)
        if names:
            raise OutputError(
                f"{target} holds features ({', '.join(names)}) of other patches than these.",
                hint="Use --force to replace it, or another folder.",
            )
