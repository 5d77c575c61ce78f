"""One image: what comes is added by QuPath or natively, the result checked and published."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qpmask.batch import Reporter
from qpmask.common.arguments import shown
from qpmask.common.words import objects_text
from qpmask.engines.qupath.datafilewriter import DataFile, DataFiles
from qpmask.errors import (
    DataFileError,
    ImportRefusedError,
    OutputError,
    QpmaskError,
    UnsupportedByEngineError,
)
from qpmask.imageobjects import ImageObjects, ObjectClass, ObjectTable
from qpmask.intoqupath.backups import Replacing
from qpmask.intoqupath.classlist import missing_classes, palette_colors, with_project_colors
from qpmask.intoqupath.incoming import IncomingReader
from qpmask.intoqupath.inputs import Input
from qpmask.intoqupath.javaobjects import no_objects, object_streams
from qpmask.intoqupath.objectids import with_ids
from qpmask.intoqupath.options import MARK, ImportOptions
from qpmask.intoqupath.removing import Incoming, Standing, removals
from qpmask.intoqupath.report import ImportRecord
from qpmask.intoqupath.splice import can_hold, new_data_file, server_of, splice
from qpmask.intoqupath.summaryjson import summary_json
from qpmask.outputs import writing
from qpmask.project import ImageEntry, Project
from qpmask.qpdata import read_qpdata, read_qpdata_bytes


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


class Made:
    """What was written: objects removed, added, and those by kind and class."""

    def __init__(self) -> None:
        self.removed = self.added = 0
        self.expected: Counter[tuple[int, str]] = Counter()

    def add(self, table: ObjectTable) -> None:
        """Count objects that were added."""
        self.added += len(table)
        self.expected += _by_kind_and_class(table)

    def take(self, other: Made) -> None:
        """What another one counted."""
        self.added += other.added
        self.expected += other.expected


class ImportWork:
    """Puts objects into the images of a project; see :class:`qpmask.batch.Work`.

    Parameters
    ----------
    project : Project
        The project.
    options : ImportOptions
        What becomes of what comes.
    dry_run : bool
        Say what would happen, and write nothing.
    replacing : Replacing
        Replaces the project's files.
    """

    def __init__(
        self, project: Project, options: ImportOptions, replacing: Replacing, *, dry_run: bool
    ) -> None:
        self._project, self._options, self._dry = project, options, dry_run
        self._replacing = replacing
        self._incoming = IncomingReader(project, options)
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
            coming.append(self._incoming.read(given, entry))
        record = self._count(item, coming, before)
        there = Standing(entry, before, self._options)
        if self._options.replace == "none" and not self._options.again:
            for one in coming:
                self._refuse_twice(one, there.marked(one.source))
        data = None
        if self._options.engine == "qupath" or there.may_go(coming):
            if self._options.engine == "native":
                raise UnsupportedByEngineError(
                    f"Objects of {entry.label} may have to go, and only QuPath takes objects out.",
                    hint="Leave --engine away.",
                )
            data = self._open(entry, before, reporter)
        if self._dry:
            gone = removals(coming, self._options) if data is not None else []
            removed = sum(data.count(one) for one in gone) if data is not None else 0
            return _with(
                record,
                removed=removed,
                after=len(before) + (record.added or 0) - removed,
                seconds=time.monotonic() - begun,
            )
        new = self._replacing.scratch(entry.data_path)
        try:
            made = Made()
            if data is not None or not self._natively(entry, before, coming, made, new, reporter):
                if self._options.engine == "native":
                    raise UnsupportedByEngineError(
                        f"Only QuPath can add to the data file of {entry.label}: it is large, or "
                        "not as QuPath 0.4 and later write it.",
                        hint="Leave --engine away.",
                    )
                data = data or self._open(entry, before, reporter)
                self._by_qupath(data, coming, made, new, reporter)
            reporter.phase("checking")
            after = read_qpdata(new)
            _check(after, len(before) - made.removed, made, new)
            reporter.check()
            if _mark_of(entry.data_path) != mark:
                raise ImportRefusedError(
                    f"{entry.data_path} was changed meanwhile; it was left as it is.",
                    hint="Close QuPath, and import again.",
                )
            self._replacing.replace(entry.data_path, new, entry.name)
        finally:
            new.unlink(missing_ok=True)
        summary = summary_json(entry, after)
        self._replacing.replace_bytes(entry.data_dir / "summary.json", summary, entry.name)
        return _with(
            record,
            status="done",
            added=made.added,
            removed=made.removed,
            after=len(after),
            seconds=time.monotonic() - begun,
        )

    def _natively(
        self,
        entry: ImageEntry,
        before: ImageObjects,
        coming: Sequence[Incoming],
        made: Made,
        new: Path,
        reporter: Reporter,
    ) -> bool:
        """Add without Java; False where QuPath should do it."""
        if not can_hold(self._project.version):
            return False
        reporter.phase("adding", sum(len(one.table) for one in coming))
        if entry.data_path.exists():
            data = entry.data_path.read_bytes()
        else:
            server = server_of(self._project, entry)
            if server is None:
                return False
            data = new_data_file(server, self._project.version, str(entry.data_path))
        taken = set(before.ids.tolist())
        found = Made()
        tables = [
            with_project_colors(one.table, self._project, palette_colors(one.table))
            for one in coming
        ]
        for one, table in zip(coming, tables, strict=True):
            reporter.check()
            ids = with_ids(table, taken)
            taken.update(ids.tolist())
            spliced = splice(data, table, ids, _marks(one.source))
            if spliced is None:
                return False
            data = spliced
            found.add(table)
            reporter.done(found.added)
        reporter.phase("saving")
        with writing(new, "The file"):
            new.write_bytes(data)
        made.take(found)
        for table in tables:
            self._note_classes(table)
        return True

    def _by_qupath(
        self,
        data: DataFile,
        coming: Sequence[Incoming],
        made: Made,
        new: Path,
        reporter: Reporter,
    ) -> None:
        files = self._qupath(reporter)
        for removal in removals(coming, self._options):
            made.removed += data.remove(removal)
        taken = set(data.ids())
        reporter.phase("adding", sum(len(one.table) for one in coming))
        n_before = 0
        for one in coming:
            plain = [c.name for c in one.table.classes if c.color_argb is None]
            colors = {**palette_colors(one.table), **files.default_colors(plain)}
            table = with_project_colors(one.table, self._project, colors)
            ids = with_ids(table, taken)
            taken.update(ids.tolist())
            for stream in object_streams(table, ids, _marks(one.source)):
                reporter.check()
                data.add(stream.data)
                n_before += stream.n_objects
                reporter.done(n_before)
            made.add(table)
            self._note_classes(table)
        reporter.phase("saving")
        data.write(new)

    def _open(self, entry: ImageEntry, before: ImageObjects, reporter: Reporter) -> DataFile:
        files = self._qupath(reporter)
        data = files.open(entry)
        if data.n_objects() != len(before):
            raise DataFileError(
                f"QuPath {files.version} reads {data.n_objects():,} objects from "
                f"{entry.data_path}, and there are {len(before):,}.",
                hint="It may have been saved by a later version of QuPath. Nothing was changed.",
            )
        return data

    def _note_classes(self, table: ObjectTable) -> None:
        for found in missing_classes(table, self._project):
            self.new_classes.setdefault(found.name, found)

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

    @staticmethod
    def _refuse_twice(one: Incoming, n_there: int) -> None:
        if n_there:
            raise ImportRefusedError(
                f"It holds {objects_text(n_there)} imported from {shown(one.source)} before.",
                hint="--replace imported takes them out first, and with them what was changed of "
                "them in QuPath; --again adds all once more beside them.",
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


def _by_kind_and_class(table: ObjectTable) -> Counter[tuple[int, str]]:
    names = [c.name for c in table.classes]
    pairs = zip(table.kind.tolist(), table.class_index.tolist(), strict=True)
    return Counter({(k, names[c] if c >= 0 else ""): n for (k, c), n in Counter(pairs).items()})


def _check(after: ImageObjects, kept: int, made: Made, path: Path) -> None:
    """Read back: as many objects as there should be, and all that came, by kind and class."""
    names = [c.name for c in after.classes]
    pairs = zip(after.kind.tolist(), after.class_index.tolist(), strict=True)
    found = Counter({(k, names[c] if c >= 0 else ""): n for (k, c), n in Counter(pairs).items()})
    if len(after) != kept + made.added or made.expected - found:
        raise OutputError(
            f"What was written to {path} is not what it should be: {len(after):,} objects of "
            f"{kept + made.added:,}. The data file was left as it is."
        )


def _mark_of(path: Path) -> tuple[int, int] | None:
    """What changes when a file is written."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _no_objects() -> ImageObjects:
    return read_qpdata_bytes(no_objects().data)


def _with(record: ImportRecord, **changes: object) -> ImportRecord:
    return replace(record, **changes)  # type: ignore[arg-type]
