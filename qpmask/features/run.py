"""All patch files: :func:`extract_features`, which is what the command line calls."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from qpmask.batch import Batch, EndsRun
from qpmask.common.arguments import check_callable, check_kind, named, paths_of
from qpmask.errors import OptionsError
from qpmask.events import BatchListener, BatchStarted
from qpmask.features.job import FeatureItem, FeatureWork
from qpmask.features.options import FeatureOptions
from qpmask.features.report import CSV_COLUMNS, FeatureReport
from qpmask.outputs import OutputFolder, OutputWriter
from qpmask.patches.h5file import require_h5py

PathLike = str | os.PathLike[str]
REPORT_JSON, REPORT_CSV = "features.json", "features.csv"


def patch_files(inputs: PathLike | Sequence[PathLike]) -> list[Path]:
    """The patch files of some files and folders, in their order, each once.

    A folder is one that ``qpmask patches`` wrote, or its folder ``patches``.

    Raises
    ------
    OptionsError
        There is no such file, or a folder holds none.
    """
    found: dict[Path, None] = {}
    for given in paths_of(inputs, "patches"):
        path = given.expanduser().absolute()
        if path.is_dir():
            folder = path / "patches" if (path / "patches").is_dir() else path
            files = [p for p in sorted(folder.glob("*.h5")) if not p.name.startswith(".")]
            if not files:
                raise OptionsError(
                    f"There are no patch files in {folder}.", hint="'qpmask patches' makes them."
                )
            found.update(dict.fromkeys(files))
        elif path.is_file():
            found[path] = None
        else:
            raise OptionsError(f"There is no patch file {path}.")
    if not found:
        raise OptionsError("There is no input.", hint="Name patch files, or their folder.")
    return list(found)


@named
def extract_features(
    patches: PathLike | Sequence[PathLike],
    options: FeatureOptions,
    progress: BatchListener | None = None,
    stop: threading.Event | None = None,
) -> FeatureReport:
    """Make features of patches: ``features/<name>`` (n, d) in each patch file.

    Their rows are in the order of the file's patches. Features that are there and still hold are
    skipped; what an interrupted run made is gone on with. A slide that fails does not keep the
    others from being made. The first output folder gets ``features.json`` and ``features.csv``.

    Parameters
    ----------
    patches : path-like or sequence of them
        Patch files, or folders of them.
    options : FeatureOptions
        :func:`qpmask.feature_options` builds it from plain names.
    progress : callable, optional
        Called with each event of :mod:`qpmask.events`.
    stop : threading.Event, optional
        Set it to end the run cleanly.

    Returns
    -------
    FeatureReport
        One record a slide and extractor.

    Raises
    ------
    OptionsError
        There is no such file, options contradict each other, there is no such device, or the only
        extractor cannot be loaded. With several extractors, one that cannot is in the records.
    MissingExtraError
        h5py is not installed, or what the only extractor needs.
    OutputError
        An output folder cannot be written to, or another run works in it.
    """
    check_kind(options, FeatureOptions, "options", "what qpmask.feature_options gives")
    check_callable(progress, "progress", "a function that takes an event")
    check_kind(stop, threading.Event | None, "stop", "a threading.Event")
    require_h5py()
    files = patch_files(patches)
    started, clock = datetime.now(timezone.utc), time.monotonic()
    items = [FeatureItem(path, choice) for choice in options.extractors for path in files]
    folders = list(dict.fromkeys(item.out for item in items))
    emit = progress or (lambda event: None)
    work = FeatureWork(options)
    with contextlib.ExitStack() as stack:
        folder, *_ = [stack.enter_context(OutputFolder(path)) for path in folders]
        emit(BatchStarted(f"Features of {len(files)} patch files", len(items), "task"))
        batch = Batch(work, items, emit, stop or threading.Event())
        try:
            records = batch.run()
        except EndsRun as ended:
            raise ended.error from ended
        finally:
            work.close()
        report = FeatureReport(
            output=folder.path,
            started=started.isoformat(timespec="seconds"),
            seconds=time.monotonic() - clock,
            options=_plain(asdict(options)),
            records=records,
            interrupted=batch.interrupted is not None,
        )
        write_report(folder, report)
    if isinstance(batch.interrupted, KeyboardInterrupt):
        raise batch.interrupted
    return report


def write_report(folder: OutputWriter, report: FeatureReport) -> None:
    """Write what a run leaves beside the patch files."""
    folder.write_csv(REPORT_CSV, CSV_COLUMNS, (r.as_row() for r in report), sync=False)
    folder.write_json(REPORT_JSON, report.as_dict())


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value
