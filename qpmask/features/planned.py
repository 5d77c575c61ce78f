"""Features as a plan: a patch file and an extractor an item; a file is written by one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar

from qpmask.batch.planned import (
    Desk,
    ItemMaker,
    Outcome,
    PlanItem,
    PlannedRun,
    Times,
    WorkMaker,
    by_key,
    flat,
    outcome_of,
    plain,
    records_of,
)
from qpmask.common.frozen import dataclass
from qpmask.errors import OptionsError
from qpmask.features.job import FeatureItem, FeatureWork
from qpmask.features.options import FeatureOptions, feature_options
from qpmask.features.report import FeatureRecord, FeatureReport
from qpmask.features.run import PathLike, patch_files, write_report
from qpmask.outputs import OutputWriter
from qpmask.patches.h5file import count_patches, require_h5py


@dataclass(frozen=True)
class PlannedFeatures(PlannedRun[FeatureReport]):
    """Features of patch files, extractor by extractor.

    Attributes
    ----------
    options : mapping
        Those of :class:`~qpmask.features.options.FeatureOptions`, as plain data: what they name
        has to be where features are made, not where somebody asks how far they are.
    files : tuple of Path
        The patch files; items are all of them for the first extractor, then for the next.
    """

    command: ClassVar[str] = "features"
    word: ClassVar[str] = "patch file"

    options: Mapping[str, Any]
    files: tuple[Path, ...]

    def data(self) -> dict[str, Any]:
        """All that decides the features, as plain data."""
        return {"options": dict(self.options), "files": [str(path) for path in self.files]}

    @classmethod
    def from_data(
        cls, folders: tuple[Path, ...], items: tuple[PlanItem, ...], data: Mapping[str, Any]
    ) -> PlannedFeatures:
        """What :meth:`data` made plain."""
        files = tuple(Path(path) for path in data["files"])
        if len(items) != len(files) * len(data["options"]["extractors"]):
            raise OptionsError(f"It has {len(items)} items of {len(files)} files.")
        return cls(folders, items, data["options"], files)

    def _sources(self) -> Iterator[FeatureItem]:
        for choice in self.options["extractors"]:
            for path in self.files:
                yield FeatureItem(path, choice)

    def maker(self, desk: Desk) -> ItemMaker:
        """What makes features in this process, by the model that it loaded last."""
        options = feature_options(**flat(self.options, "how"))
        return WorkMaker(
            FeatureWork(options, desk.scratch), desk, by_key(self.items, self._sources())
        )

    def lost(self, item: PlanItem, why: str) -> Outcome:
        """The outcome of features whose process died."""
        return outcome_of(_record(by_key(self.items, self._sources())[item.key], "failed", why))

    def report(
        self, folder: OutputWriter, found: Sequence[Mapping[str, Any] | None], times: Times
    ) -> FeatureReport:
        """Write features.json and features.csv."""
        records = records_of(found, self._sources(), FeatureRecord, _record, _gone)
        report = FeatureReport(
            output=self.out,
            started=times.started,
            seconds=times.seconds,
            options=dict(self.options),
            records=records,
            interrupted=any(record.status == "interrupted" for record in records),
        )
        write_report(folder, report)
        return report


def _gone(source: FeatureItem, record: FeatureRecord) -> str | None:
    return None if source.path.is_file() else f"The patch file {source.path} is gone."


def _record(source: FeatureItem, status: str, why: str) -> FeatureRecord:
    name = source.name.partition(": ")[2]
    return FeatureRecord(source.key, source.path.stem, name, status, str(source.path), error=why)


def plan_features_run(
    patches: PathLike | Sequence[PathLike], options: FeatureOptions
) -> PlannedFeatures:
    """Plan features for tasks; takes what :func:`qpmask.extract_features` takes. Writes nothing.

    Raises
    ------
    QpmaskError
        As :func:`qpmask.extract_features`; :class:`OptionsError` for views of patch files on
        several file systems.
    """
    require_h5py()
    files = tuple(patch_files(patches))
    options = _with_whole_paths(options)
    folders = dict.fromkeys(FeatureItem(path, "").out for path in files)
    if options.views and len({folder.stat().st_dev for folder in folders}) > 1:
        # A view is made in the first one, and renamed.
        raise OptionsError(
            "The patch files are on several file systems; with --for, a plan takes those of one.",
            hint="Make a plan for each of them.",
        )
    costs = [count_patches(path) for path in files]
    items: list[PlanItem] = []
    for choice in options.extractors:
        for number, (path, cost) in enumerate(zip(files, costs, strict=True), 1):
            key, name = str(len(items) + 1), FeatureItem(path, choice).name
            items.append(PlanItem(key, name, float(cost), f"file{number}"))
    return PlannedFeatures(tuple(folders), tuple(items), plain(asdict(options)), files)


def _with_whole_paths(options: FeatureOptions) -> FeatureOptions:
    """The options with paths that hold in any working folder."""
    whole = {
        choice: str(Path(choice).expanduser().absolute())
        for choice in options.extractors
        if choice.lower().endswith(".onnx")
    }
    weights = {whole.get(choice, choice): path for choice, path in options.how.weights.items()}
    return replace(
        options,
        extractors=tuple(whole.get(choice, choice) for choice in options.extractors),
        how=replace(options.how, weights=weights),
    )
