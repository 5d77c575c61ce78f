"""One image: what comes is read and placed, QuPath adds it, the result is checked and published."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from qpmask.batch import Reporter
from qpmask.classes.names import class_name
from qpmask.common.arguments import shown
from qpmask.engines.qupath.datafile import DataFiles, Removal
from qpmask.errors import (
    DataFileError,
    ImportRefusedError,
    ObjectFileError,
    OptionsError,
    OutputError,
    QpmaskError,
)
from qpmask.geojson.objects import ObjectClass, ObjectTable
from qpmask.geojson.problems import FeatureProblem, told
from qpmask.geojson.reader import read_objects
from qpmask.intoqupath.backups import Replacing
from qpmask.intoqupath.classlist import missing_classes, with_project_colors
from qpmask.intoqupath.inputs import Input
from qpmask.intoqupath.javaobjects import object_streams, with_ids
from qpmask.intoqupath.options import KINDS, MARK, ImportOptions
from qpmask.intoqupath.placing import (
    outside,
    place_coordinates,
    place_mask,
    placed,
    slide_of,
)
from qpmask.intoqupath.report import ImportRecord
from qpmask.intoqupath.summary import summary_json
from qpmask.project import ImageEntry, Project
from qpmask.qpdata import ImageObjects, ObjectKind, read_qpdata

_SAID = 5  # kinds of problems that a warning tells


@dataclass(frozen=True, eq=False)
class ImportItem:
    """An image and what it gets."""

    entry: ImageEntry
    inputs: tuple[Input, ...]

    @property
    def key(self) -> str:
        """Entry id."""
        return self.entry.id

    @property
    def name(self) -> str:
        """Name of the image."""
        return self.entry.name


@dataclass(eq=False)
class Incoming:
    """What one input brings to an image.

    Attributes
    ----------
    source : str
        What its objects are said to come from.
    table : ObjectTable
        In the image's frame.
    """

    source: str
    table: ObjectTable
    warnings: list[str] = field(default_factory=list)
    lost: int = 0
    mended: int = 0


class ImportWork:
    """Puts objects into the images of a project; see :class:`qpmask.batch.Work`.

    Parameters
    ----------
    project : Project
        The project.
    options : ImportOptions
        What becomes of what comes.
    dry_run : bool
        Say what would happen, and write nothing; QuPath is not started.
    replacing : Replacing
        Replaces the project's files.
    """

    def __init__(
        self, project: Project, options: ImportOptions, replacing: Replacing, *, dry_run: bool
    ) -> None:
        self._project, self._options, self._dry = project, options, dry_run
        self._replacing = replacing
        self._files: DataFiles | None = None
        #: Classes that were imported and are not in the project's list.
        self.new_classes: dict[str, ObjectClass] = {}

    def standing(self, item: ImportItem) -> ImportRecord | None:
        """None stands already: what is imported twice says so when it is looked at."""
        return None

    def record(self, item: ImportItem, status: str, error: QpmaskError | str) -> ImportRecord:
        """Record of an image that is as it was."""
        return ImportRecord(
            key=item.key,
            name=item.name,
            status=status,
            inputs=tuple(one.name for one in item.inputs),
            error=str(error),
            error_type=type(error).__name__ if isinstance(error, QpmaskError) else None,
        )

    def do(self, item: ImportItem, reporter: Reporter) -> ImportRecord:
        """Do one image."""
        begun = time.monotonic()
        entry = item.entry
        reporter.phase("reading")
        mark = _mark_of(entry.data_path)
        before = self._existing(entry)
        coming: list[Incoming] = []
        for given in item.inputs:
            reporter.check()
            coming.append(self._read(given, entry))
        record = self._count(item, coming, before)
        files = self._qupath(reporter)
        data = files.open(entry)
        if data.n_objects() != len(before):
            raise DataFileError(
                f"QuPath {files.version} reads {data.n_objects():,} objects from "
                f"{entry.data_path}, and there are {len(before):,}.",
                hint="It may have been saved by a later version of QuPath. Nothing was changed.",
            )
        for one in coming:
            self._refuse_twice(one, data.count(_imported(one.source)))
        if self._dry:
            removed = sum(data.count(removal) for removal in self._removals(coming))
            return _with(
                record,
                removed=removed,
                after=len(before) + (record.added or 0) - removed,
                seconds=time.monotonic() - begun,
            )
        removed = added = 0
        expected: Counter[tuple[int, str]] = Counter()
        for removal in self._removals(coming):
            removed += data.remove(removal)
        kept = data.n_objects()
        taken = data.ids()
        reporter.phase("adding", sum(len(one.table) for one in coming))
        for one in coming:
            table = self._colored(one.table, files)
            ids = with_ids(table, taken)
            taken |= frozenset(ids.tolist())
            for stream in object_streams(table, ids, _marks(one.source)):
                reporter.check()
                added += data.add(stream.data)
                reporter.done(added)
            expected += _by_kind_and_class(table)
            for found in missing_classes(table, self._project):
                self.new_classes.setdefault(found.name, found)
        reporter.phase("saving")
        new = self._replacing.scratch(entry.data_path)
        try:
            data.write(new)
            reporter.phase("checking")
            after = read_qpdata(new)
            _check(after, kept, added, expected, new)
            reporter.check()
            if _mark_of(entry.data_path) != mark:
                raise ImportRefusedError(
                    f"{entry.data_path} was changed meanwhile; it was left as it is.",
                    hint="Close QuPath, and import again.",
                )
            self._replacing.replace(entry.data_path, new, entry.name)
        finally:
            new.unlink(missing_ok=True)
        summary = summary_json(entry, after, data.image_type())
        self._replacing.replace_bytes(entry.data_dir / "summary.json", summary, entry.name)
        return _with(
            record,
            status="done",
            added=added,
            removed=removed,
            after=len(after),
            seconds=time.monotonic() - begun,
        )

    # -- what comes ----------------------------------------------------------------------------

    def _existing(self, entry: ImageEntry) -> ImageObjects:
        """The objects that are there: a damaged file is refused before QuPath sees it."""
        if entry.data_path.exists():
            return read_qpdata(entry.data_path)
        if entry.backup_path.exists():
            raise DataFileError(
                f"{entry.label} has no data file, but QuPath's backup of one: {entry.backup_path}.",
                hint="Open the image in QuPath, which takes the backup, and save it.",
            )
        return _no_objects()

    def _read(self, one: Input, entry: ImageEntry) -> Incoming:
        options = self._options
        source = one.name if options.source is None else options.source
        slide = slide_of(self._project, entry)
        problems: Sequence[FeatureProblem] = ()
        if one.is_mask:
            table, note = self._trace(one, entry)
        else:
            if one.table is not None:
                table = one.table
            else:
                assert one.path is not None
                read = read_objects(one.path, class_key=options.class_key, strict=options.strict)
                table, problems = read.table, read.problems
            place = place_coordinates(entry, options, slide)
            table, note = placed(table, place.matrix), place.note
        coming = Incoming(source, table, [f"{one.name}: {note}"] if note else [])
        if problems:
            coming.lost = len({p.where for p in problems if p.is_lost})
            coming.mended = len({p.where for p in problems if not p.is_lost})
            lines = told(problems)
            coming.warnings += [f"{one.name}: {line}" for line in lines[:_SAID]]
            if len(lines) > _SAID:
                coming.warnings.append(f"{one.name}: {len(lines) - _SAID} more kinds of problems.")
        self._leave_outside(one, entry, coming)
        coming.table = self._as_wanted(coming.table)
        return coming

    def _trace(self, one: Input, entry: ImageEntry) -> tuple[ObjectTable, str | None]:
        """A mask as objects of an image."""
        from qpmask.mask import open_mask
        from qpmask.polygons.trace import TraceOptions, trace_file

        assert one.path is not None
        with open_mask(one.path) as mask:
            place = place_mask(mask, entry, self._options, slide_of(self._project, entry))
            extra = mask.metadata.extra if mask.metadata is not None else {}
            is_instances = extra.get("kind") == "instances"
            kind = "detection" if is_instances else "annotation"
            table = trace_file(mask, TraceOptions(self._options.split, (), kind, 1.0))
        return placed(table, place.matrix), place.note

    def _leave_outside(self, one: Input, entry: ImageEntry, coming: Incoming) -> None:
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
            if 2 * n > len(coming.table):
                raise OptionsError(
                    f"{one.name}: {words}.",
                    hint="Are its coordinates those of another image or resolution? --downsample "
                    "and --frame tell what they count in.",
                )
            coming.warnings.append(f"{one.name}: {words} (left out).")
            coming.lost += n
        lost = beyond | elsewhere
        if lost.any():
            coming.table = coming.table.take(np.flatnonzero(~lost))

    def _as_wanted(self, table: ObjectTable) -> ObjectTable:
        from dataclasses import replace

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

    def _colored(self, table: ObjectTable, files: DataFiles) -> ObjectTable:
        """Every class with a colour: QuPath's own where nobody gives one."""
        plain = [c.name for c in table.classes if c.color_argb is None]
        return with_project_colors(table, self._project, files.default_colors(plain))

    # -- what goes -----------------------------------------------------------------------------

    def _removals(self, coming: Sequence[Incoming]) -> list[Removal]:
        options = self._options
        if options.replace == "all":
            return [Removal("all")]
        if options.replace == "imported":
            return [_imported(source) for source in dict.fromkeys(one.source for one in coming)]
        if options.replace == "none":
            return []
        found = []
        for is_annotation in (True, False):
            names: dict[str | None, None] = {}
            for one in coming:
                table = one.table
                of_sort = (table.kind == ObjectKind.ANNOTATION) == is_annotation
                for i in np.unique(table.class_index[of_sort]).tolist():
                    names[None if i < 0 else table.classes[i].name] = None
            if names:
                found.append(
                    Removal(
                        "classes",
                        annotations=is_annotation,
                        detections=not is_annotation,
                        classes=tuple(names),
                    )
                )
        return found

    def _refuse_twice(self, one: Incoming, n_there: int) -> None:
        if n_there and self._options.replace == "none" and not self._options.again:
            raise ImportRefusedError(
                f"The image holds {n_there:,} objects that were imported from {shown(one.source)} "
                "before.",
                hint="--replace imported puts the new ones in their place, with what was changed "
                "in QuPath since; --again adds them once more.",
            )

    def _count(
        self, item: ImportItem, coming: Sequence[Incoming], before: ImageObjects
    ) -> ImportRecord:
        """What would be done, as far as it is known without QuPath."""
        classes: Counter[str] = Counter()
        new: dict[str, None] = {}
        for one in coming:
            for (_, name), n in _by_kind_and_class(one.table).items():
                classes[name] += n
            new.update(dict.fromkeys(c.name for c in missing_classes(one.table, self._project)))
        warnings = [w for one in coming for w in one.warnings]
        if new and not self._options.add_classes:
            warnings.append(
                f"The project's class list lacks {', '.join(map(repr, new))}; --add-classes adds "
                "what it lacks."
            )
        return ImportRecord(
            key=item.key,
            name=item.name,
            status="planned",
            inputs=tuple(one.name for one in item.inputs),
            added=sum(len(one.table) for one in coming),
            before=len(before),
            lost=sum(one.lost for one in coming),
            mended=sum(one.mended for one in coming),
            classes=dict(classes.most_common()),
            new_classes=tuple(new),
            warnings=tuple(warnings),
        )

    def _qupath(self, reporter: Reporter) -> DataFiles:
        if self._files is None:
            reporter.phase("starting QuPath")
            self._files = DataFiles(self._project, self._options.memory)
        return self._files

    @property
    def qupath_version(self) -> str | None:
        """Version of the QuPath that was used, if it was."""
        return None if self._files is None else self._files.version


def _marks(source: str) -> dict[str, str]:
    return {MARK: source} if source else {}


def _imported(source: str) -> Removal:
    return Removal("imported", key=MARK, value=source) if source else Removal()


def _by_kind_and_class(table: ObjectTable) -> Counter[tuple[int, str]]:
    names = [c.name for c in table.classes]
    pairs = zip(table.kind.tolist(), table.class_index.tolist(), strict=True)
    return Counter({(k, names[c] if c >= 0 else ""): n for (k, c), n in Counter(pairs).items()})


def _check(
    after: ImageObjects, kept: int, added: int, expected: Counter[tuple[int, str]], path: Path
) -> None:
    """Read back: as many objects as there should be, and all that came, by kind and class."""
    names = [c.name for c in after.classes]
    pairs = zip(after.kind.tolist(), after.class_index.tolist(), strict=True)
    found = Counter({(k, names[c] if c >= 0 else ""): n for (k, c), n in Counter(pairs).items()})
    missing = expected - found
    if len(after) != kept + added or missing:
        raise OutputError(
            f"What QuPath wrote to {path} is not what it was given: {len(after):,} objects of "
            f"{kept + added:,}. The data file was left as it is."
        )


def _mark_of(path: Path) -> tuple[int, int] | None:
    """What changes when a file is written."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _no_objects() -> ImageObjects:
    from qpmask.intoqupath.javaobjects import no_objects
    from qpmask.qpdata import read_qpdata_bytes

    return read_qpdata_bytes(no_objects().data)


def _with(record: ImportRecord, **changes: object) -> ImportRecord:
    from dataclasses import replace

    return replace(record, **changes)  # type: ignore[arg-type]
