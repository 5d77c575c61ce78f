"""A plan as a file: a command with all that decides its results fixed for those who work on it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from qpmask._version import __version__
from qpmask.batch.planned import PlanItem, PlannedRun
from qpmask.cluster.records import forget_records
from qpmask.errors import OptionsError, QpmaskError
from qpmask.outputs import OutputFolder, json_text, write_file
from qpmask.outputs.claims import CLAIMS_FOLDER, PLANS_FOLDER, claim_elsewhere

_FORMAT = 2

#: Commands that can be planned, and where their PlannedRun is. They are imported when they are
#: needed: a plan of an export takes nothing of what makes features.
_RUNS = {
    "export": "qpmask.export.planned:PlannedExport",
    "patches": "qpmask.patches.planned:PlannedPatches",
    "features": "qpmask.features.planned:PlannedFeatures",
    "polygons": "qpmask.polygons.planned:PlannedPolygons",
}


@dataclass(frozen=True)
class PlanFile:
    """What will be done, and where those who do it leave what they have to tell.

    Attributes
    ----------
    run : PlannedRun
        The command.
    """

    run: PlannedRun[Any]

    @property
    def items(self) -> tuple[PlanItem, ...]:
        """What is done."""
        return self.run.items

    @property
    def out(self) -> Path:
        """The output folder."""
        return self.run.out

    @cached_property
    def digest(self) -> str:
        """What tells it from other plans for the same folder."""
        return hashlib.sha256(json.dumps(_as_dict(self.run)).encode()).hexdigest()[:16]

    @property
    def folder(self) -> Path:
        """Where claims and records of this plan are."""
        return self.out / PLANS_FOLDER / self.digest

    @property
    def claims_folder(self) -> Path:
        """Where those at work claim items."""
        return self.folder / CLAIMS_FOLDER

    @property
    def kept_from_runs(self) -> tuple[Path, ...]:
        """Output folders that no run may hold meanwhile."""
        return self.run.folders

    @cached_property
    def by_key(self) -> Mapping[str, PlanItem]:
        """Items by their keys."""
        return {item.key: item for item in self.items}

    def text(self) -> str:
        """What its file holds."""
        return json_text(_as_dict(self.run), indent=1) + "\n"


def write_plan(path: Path, run: PlannedRun[Any]) -> PlanFile:
    """Write a plan to a file, JSON; nothing of it is done.

    What tasks told of an earlier plan that was the same goes: nothing of this one is done yet. What
    they made stays, and is skipped where it holds.

    Raises
    ------
    OutputError
        The file or an output folder cannot be written to, or somebody works there.
    """
    plan = PlanFile(run)
    with ExitStack() as stack:  # nobody else is writing there, and it can be written
        first, *_ = [stack.enter_context(OutputFolder(folder)) for folder in run.folders]
        run.prepare(first)
        forget_records(plan.folder)
        for folder in run.folders[1:]:
            claim_elsewhere(folder, plan.digest, plan.claims_folder)
    write_file(path, plan.text())
    return plan


def read_plan_file(path: Path) -> PlanFile:
    """Read a plan.

    Raises
    ------
    OptionsError
        It is no plan, made by another version of qpmask, or damaged.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise OptionsError(f"The plan {path} cannot be read: {error.strerror or error}.") from error
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise OptionsError(f"{path} is not a plan: {error}.") from error
    if not isinstance(raw, dict) or raw.get("format") != _FORMAT:
        raise OptionsError(
            f"{path} is not a plan of this version of qpmask.",
            hint="Make it with: qpmask export PROJECT -o DIR --plan FILE",
        )
    if raw.get("qpmask") != __version__:
        # It may draw other pixels; and all at work must call the folder of claims the same.
        raise OptionsError(
            f"The plan {path} was made by qpmask {raw.get('qpmask')}; this is {__version__}.",
            hint="Use one version on all machines, or make the plan anew.",
        )
    try:
        module, _, name = _RUNS[raw["command"]].partition(":")
        kind = getattr(import_module(module), name)
        folders = tuple(Path(folder) for folder in raw["folders"])
        items = tuple(PlanItem(*item) for item in raw["items"])
        return PlanFile(kind.from_data(folders, items, raw["run"]))
    except (KeyError, TypeError, ValueError, AttributeError, QpmaskError) as error:
        raise OptionsError(f"The plan {path} is damaged: {error}.", hint="Make it anew.") from error


def _as_dict(run: PlannedRun[Any]) -> dict[str, Any]:
    return {
        "qpmask": __version__,
        "format": _FORMAT,
        "command": run.command,
        "folders": [str(folder) for folder in run.folders],
        "run": run.data(),
        "items": [[item.key, item.name, item.cost, item.claim] for item in run.items],
    }
