"""What comes for an image: a file or a mask is read, and its objects placed in the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from qpmask.classes.names import class_name
from qpmask.errors import ObjectFileError, OptionsError
from qpmask.geojson.problems import FeatureProblem, told
from qpmask.geojson.reader import read_objects
from qpmask.imageobjects import ObjectClass, ObjectTable
from qpmask.intoqupath.classlist import with_project_colors
from qpmask.intoqupath.inputs import Input
from qpmask.intoqupath.options import KINDS, ImportOptions
from qpmask.intoqupath.placing import (
    Placement,
    outside,
    place_coordinates,
    place_mask,
    placed,
    slide_of,
)
from qpmask.intoqupath.removing import Incoming
from qpmask.project import ImageEntry, Project

_SAID = 5  # kinds of problems that a warning tells


class IncomingReader:
    """Reads what comes for images of a project.

    Parameters
    ----------
    project : Project
        The project; it is not written to.
    options : ImportOptions
        What becomes of what comes.
    """

    def __init__(self, project: Project, options: ImportOptions) -> None:
        self._project, self._options = project, options

    def read(self, one: Input, entry: ImageEntry) -> Incoming:
        """Objects of an input, placed in the image, and what is to be said of them."""
        options = self._options
        source = one.name if options.source is None else options.source
        slide = slide_of(self._project, entry)
        problems: Sequence[FeatureProblem] = ()
        if one.is_mask:
            table, place = self._trace(one, entry)
        else:
            if one.table is not None:
                table = one.table
            else:
                assert one.path is not None
                read = read_objects(one.path, class_key=options.class_key, strict=options.strict)
                table, problems = read.table, read.problems
            place = place_coordinates(entry, options, slide)
            table = placed(table, place.matrix)
        note = place.note
        coming = Incoming(source, table, [f"{one.name}: {note}"] if note else [])
        if problems:
            coming.lost = len({p.where for p in problems if p.is_lost})
            coming.mended = len({p.where for p in problems if not p.is_lost})
            lines = told(problems)
            coming.warnings += [f"{one.name}: {line}" for line in lines[:_SAID]]
            if len(lines) > _SAID:
                coming.warnings.append(f"{one.name}: {len(lines) - _SAID} more kinds of problems.")
        self._leave_outside(one, entry, coming, is_known=place.is_known)
        coming.table = self._as_wanted(coming.table)
        return coming

    def _trace(self, one: Input, entry: ImageEntry) -> tuple[ObjectTable, Placement]:
        """A mask as objects of an image."""
        from qpmask.collection.opening import open_mask
        from qpmask.polygons.trace import TraceOptions, trace_file

        assert one.path is not None
        with open_mask(one.path) as mask:
            place = place_mask(mask, entry, self._options, slide_of(self._project, entry))
            extra = mask.metadata.extra if mask.metadata is not None else {}
            is_instances = extra.get("kind") == "instances"
            kind = "detection" if is_instances else "annotation"
            table = trace_file(mask, TraceOptions(self._options.split, (), kind, 1.0))
        return placed(table, place.matrix), place

    def _leave_outside(
        self, one: Input, entry: ImageEntry, coming: Incoming, *, is_known: bool
    ) -> None:
        """Take out what no one could see; if that is most, the coordinates are of another frame."""
        beyond, elsewhere = outside(coming.table, entry)
        for bad, where in (
            (beyond, f"beyond the image of {entry.size} pixels"),
            (elsewhere & ~beyond, "on slices or time points that the image has not"),
        ):
            n = int(bad.sum())
            if not n:
                continue
            words = f"{n:,} of {len(coming.table):,} objects lie {where}"
            if self._options.strict:
                raise ObjectFileError(f"{one.name}: {words}.")
            if 2 * n > len(coming.table) and not is_known:
                raise OptionsError(
                    f"{one.name}: {words}.",
                    hint="Are its coordinates those of another image or resolution? --downsample "
                    "and --frame tell what they count in.",
                )
            coming.warnings.append(f"{one.name}: {words} (left out).")
            if not is_known:
                coming.lost += n
        lost = beyond | elsewhere
        if lost.any():
            coming.table = coming.table.take(np.flatnonzero(~lost))

    def _as_wanted(self, table: ObjectTable) -> ObjectTable:
        options = self._options
        if options.as_kind is not None:
            kind = np.full(len(table), KINDS[options.as_kind], np.uint8)
            table = replace(table, kind=kind)
        name = None if options.class_name is None else class_name(options.class_name)
        if name is not None and (table.class_index < 0).any():
            names = [c.name for c in table.classes]
            classes = table.classes
            if name not in names:
                classes = (*classes, ObjectClass(name))
                names.append(name)
            index = np.where(table.class_index < 0, names.index(name), table.class_index)
            table = replace(table, classes=classes, class_index=index.astype(np.int32))
        return with_project_colors(table, self._project)
