"""Features of one slide by one extractor: from its patch file to the same file with features."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask._version import __version__
from qpmask.batch import EndsRun, Reporter
from qpmask.common.words import count_text
from qpmask.errors import OptionsError, OutputError, QpmaskError
from qpmask.features.choosing import choose, expected, feature_name
from qpmask.features.extractor import Extractor
from qpmask.features.options import FeatureOptions
from qpmask.features.patchreaders import PatchReaders
from qpmask.features.report import FeatureRecord
from qpmask.features.sidefile import SideFile
from qpmask.outputs import OutputWriter
from qpmask.patches import h5features, h5file
from qpmask.patches.otherprograms import write_views
from qpmask.patches.reading import Patches, open_patches

_MOST_NAMED = 5  # patches in one message


@dataclass(frozen=True)
class FeatureItem:
    """A patch file and an extractor.

    Attributes
    ----------
    path : Path
        The patch file.
    choice : str
        The extractor, as it was asked for.
    """

    path: Path
    choice: str

    @property
    def out(self) -> Path:
        """The output folder of the patch file: views lie there, beside ``patches``."""
        folder = self.path.parent
        return folder.parent if folder.name == "patches" else folder

    @property
    def key(self) -> str:
        """Tells it from the others."""
        return f"{self.path}\n{self.choice}"

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self.path.stem}: {feature_name(self.choice)}"


@dataclass
class FeatureWork:
    """Makes features; keeps the extractor that it loaded last.

    Attributes
    ----------
    options : FeatureOptions
        What is asked for.
    work : Path, optional
        Where views are made before they get their names; by default that of a run that holds the
        folder's lock.
    """

    options: FeatureOptions
    work: Path | None = None
    _loaded: tuple[str, Extractor] | None = field(default=None, repr=False)
    _refused: dict[str, QpmaskError] = field(default_factory=dict, repr=False)
    _readers: PatchReaders = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._readers = PatchReaders(self.options.num_workers)

    def standing(self, item: FeatureItem) -> FeatureRecord | None:
        """The record of features that hold, if that can be told without loading the extractor."""
        about = expected(item.choice, self.options.how)
        if about is None or self.options.force:
            return None
        try:
            with open_patches(item.path) as patches:
                name = feature_name(item.choice)
                made_from = _made_from(name, about, patches, self.options.store)
                if h5features.features_made_from(item.path, name) != made_from:
                    return None
                return self._skipped(item, patches)
        except QpmaskError:
            return None  # doing it says what is wrong

    def do(self, item: FeatureItem, reporter: Reporter) -> FeatureRecord:
        """Make the features of one slide. What a stopped or failed run made stays for the next."""
        began = time.monotonic()
        reporter.phase("loading the model" if self._is_new(item.choice) else "reading")
        extractor = self._extractor(item.choice)
        record = FeatureRecord(item.key, item.path.stem, feature_name(item.choice), "done",
                               str(item.path))  # fmt: skip
        with open_patches(item.path, self._slide_of(item.path)) as patches:
            made_from = _made_from(
                record.extractor, extractor.description.decides, patches, self.options.store
            )
            there = h5features.features_made_from(item.path, record.extractor)
            if there is not None and not self.options.force:
                if there == made_from:
                    return self._skipped(item, patches)
                raise OutputError(
                    f"{item.path} has features {record.extractor} of something else: "
                    f"{_difference(there, made_from)}.",
                    hint="Use --force to replace them.",
                )
            side = item.path.with_name(f".{item.path.stem}.{record.extractor}.features")
            with SideFile(side, made_from, self.options.store) as rows:
                record = replace(record, patches=len(patches), resumed=rows.n_rows)
                self._fill(rows, patches, extractor, reporter)
                wrong = _not_finite(rows)
                n_columns = rows.n_columns or extractor.dimension or 0
                reporter.phase("writing")
                attributes = _attributes(extractor, patches, made_from, len(wrong))
                self._move_in(item.path, record.extractor, rows.batches, (len(patches), n_columns),
                              attributes)  # fmt: skip
            side.unlink(missing_ok=True)
        self._write_views(item)
        warnings = (*extractor.notes(), *_said(wrong, patches))
        seconds = round(time.monotonic() - began, 3)
        return replace(
            record, dimension=n_columns, not_finite=len(wrong), seconds=seconds, warnings=warnings
        )

    def record(self, item: FeatureItem, status: str, error: QpmaskError | str) -> FeatureRecord:
        """Record of features that came to nothing."""
        return FeatureRecord(
            item.key, item.path.stem, feature_name(item.choice), status, str(item.path),
            error=str(error),
            error_type=type(error).__name__ if isinstance(error, QpmaskError) else None,
        )  # fmt: skip

    def close(self) -> None:
        """Let go of the extractor and of the processes that read."""
        self._readers.close()
        self._unload()

    def _unload(self) -> None:
        if self._loaded is not None:
            self._loaded[1].close()
            self._loaded = None

    # --- parts --------------------------------------------------------------------------------

    def _skipped(self, item: FeatureItem, patches: Patches) -> FeatureRecord:
        name = feature_name(item.choice)
        self._write_views(item)
        dimension, wrong = h5features.features_told(item.path, name)
        return FeatureRecord(item.key, item.path.stem, name, "skipped", str(item.path),
                             len(patches), dimension, not_finite=wrong)  # fmt: skip

    def _write_views(self, item: FeatureItem) -> None:
        for program in self.options.views:
            write_views(item.path, program, OutputWriter(item.out, self.work))

    def _is_new(self, choice: str) -> bool:
        return self._loaded is None or self._loaded[0] != choice

    def _extractor(self, choice: str) -> Extractor:
        """The extractor, loaded once for all slides; an error of the only one ends the run.

        Beside others it is raised again for each slide.
        """
        if choice in self._refused:
            raise self._refused[choice]
        if self._is_new(choice):
            self._unload()
            try:
                self._loaded = choice, choose(choice, self.options.how)
            except QpmaskError as error:
                if len(self.options.extractors) == 1:
                    raise EndsRun(error) from error
                self._refused[choice] = error
                raise
        assert self._loaded is not None
        return self._loaded[1]

    def _slide_of(self, path: Path) -> Path | None:
        """The slide, where it is in one of the folders that were named."""
        if not self.options.slides:
            return None
        said = str(h5file.read_patch_file(path).attributes.get("wsi_path", ""))
        name = Path(said.replace("\\", "/")).name
        for folder in self.options.slides:
            if name and (folder / name).is_file():
                return folder / name
        return None

    def _fill(
        self, rows: SideFile, patches: Patches, extractor: Extractor, reporter: Reporter
    ) -> None:
        """Make the features that are not there yet."""
        reporter.phase("features", len(patches))
        waiting: Callable[[], NDArray[np.float32]] | None = None
        batches = self._readers.batches(
            patches, extractor.seeing, self.options.batch_size, rows.n_rows
        )
        with contextlib.closing(batches):  # type: ignore[type-var]
            for _, pixels in batches:
                begun = extractor.begin(pixels)
                if waiting is not None:
                    _keep(rows, waiting(), extractor)
                    reporter.done(rows.n_rows)
                waiting = begun
                reporter.check()
            if waiting is not None:
                _keep(rows, waiting(), extractor)
        if rows.n_rows != len(patches):
            raise OutputError(
                f"{count_text(rows.n_rows, 'feature')} came of {count_text(len(patches), 'patch')}."
            )

    def _move_in(
        self, path: Path, name: str, batches: Callable[[], Any], shape: tuple[int, int],
        attributes: Mapping[str, Any],
    ) -> None:  # fmt: skip
        for left in path.parent.glob(f".{glob.escape(path.stem)}.*.part.h5"):
            left.unlink()  # of a run that was killed here; the folder, or the file, is this one's
        copy = path.with_name(f".{path.stem}.{os.getpid()}.part.h5")
        try:
            h5features.with_features(path, copy, name, batches, shape, attributes)
            copy.replace(path)
        finally:
            with contextlib.suppress(OSError):
                copy.unlink(missing_ok=True)


def _keep(rows: SideFile, features: NDArray[np.float32], extractor: Extractor) -> None:
    wanted = extractor.dimension
    if wanted is not None and features.shape[1] != wanted:
        raise OptionsError(
            f"{extractor.description.name} gave {features.shape[1]} numbers a patch, not {wanted}.",
            hint="Are its weights those of another model?",
        )
    with np.errstate(over="ignore"):  # beyond float16: infinite, and reported
        rows.append(features.astype(rows.dtype))


def _made_from(
    name: str, decides: Mapping[str, Any], patches: Patches, store: str
) -> dict[str, Any]:
    """All that decides the features, as plain data."""
    slide = (h5file.made_from(patches.path) or {}).get("slide") or {}
    about = {
        "extractor": name,
        **decides,
        "store": store,
        "slide_ends_sha256": slide.get("ends_sha256", ""),
        "coords_sha256": hashlib.sha256(patches.coords.tobytes()).hexdigest(),
        "patch_size": patches.patch_size,
        "patch_size_level0": patches.patch_size_level0,
    }
    plain: dict[str, Any] = json.loads(json.dumps(about))
    return plain


def _difference(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    if not there:
        return "another program's, which does not say how they were made"
    names = [k for k in {**there, **wanted} if there.get(k) != wanted.get(k)]
    return ", ".join(f"{k} {there.get(k)!r} instead of {wanted.get(k)!r}" for k in names)


def _attributes(
    extractor: Extractor, patches: Patches, made_from: Mapping[str, Any], n_not_finite: int
) -> dict[str, Any]:
    """What stands on the dataset."""
    described = {**made_from, **extractor.description.also}
    flat: dict[str, Any] = {}
    for key, value in described.items():
        if isinstance(value, Mapping):
            flat.update({f"{key}_{k}": v for k, v in value.items()})
        else:
            flat[key] = value
    flat["patch_mpp"] = patches.mpp
    flat["not_finite"] = n_not_finite
    flat["qpmask_version"] = __version__
    flat[h5file.MADE_FROM] = json.dumps(dict(made_from), sort_keys=True)
    return flat


def _not_finite(rows: SideFile) -> list[int]:
    """Rows that hold a NaN or an infinite value."""
    found: list[int] = []
    at = 0
    for batch in rows.batches():
        found += (at + np.flatnonzero(~np.isfinite(batch).all(axis=1))).tolist()
        at += len(batch)
    return found


def _said(wrong: list[int], patches: Patches) -> tuple[str, ...]:
    if not wrong:
        return ()
    places = ", ".join(
        f"{i} at ({patches.coords[i, 0]}, {patches.coords[i, 1]})" for i in wrong[:_MOST_NAMED]
    )
    more = f" and {len(wrong) - _MOST_NAMED:,} more" if len(wrong) > _MOST_NAMED else ""
    where = count_text(len(wrong), "patch")
    return (f"NaN or infinite values in the features of {where}: {places}{more}.",)
