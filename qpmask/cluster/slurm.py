"""A plan handed to SLURM: an array of tasks, and one job that collects when they have ended."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qpmask.errors import OptionsError, QpmaskError
from qpmask.outputs import write_file


@dataclass(frozen=True)
class SlurmOptions:
    """What the jobs ask for; what is None is left to the cluster.

    Attributes
    ----------
    array_size : int
        Tasks.
    at_once : int, optional
        Tasks that run at a time at most.
    time, partition, mem, gres, account : str, optional
        As ``sbatch`` has them.
    cpus : int
        Processors a task.
    python : str
        The Python that runs qpmask, where the jobs run.
    setup : str, optional
        Lines for the shell before: ``module load ...``.
    """

    array_size: int
    at_once: int | None = None
    time: str | None = None
    partition: str | None = None
    mem: str | None = None
    gres: str | None = None
    account: str | None = None
    cpus: int = 2
    python: str = sys.executable
    setup: str | None = None

    def __post_init__(self) -> None:
        for name in ("array_size", "cpus", "at_once"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise OptionsError(f"{name} is {number}; it must be 1 or more.")
        for name in ("time", "partition", "mem", "gres", "account"):
            value = getattr(self, name)
            if value is not None and not re.fullmatch(r"[\w.:,=/()@%+-]+", value):
                raise OptionsError(f"{name} is {value!r}; sbatch takes no such value.")


@dataclass(frozen=True)
class Submitted:
    """Ids of the jobs."""

    array: str
    collecting: str


class SlurmError(QpmaskError, RuntimeError):
    """SLURM is not there, or refuses."""


def array_script(plan: Path, options: SlurmOptions) -> str:
    """The script of the array, for ``sbatch``."""
    limit = f"%{options.at_once}" if options.at_once is not None else ""
    asks = [
        f"--job-name=qpmask-{_word(plan.stem)}",
        f"--array=1-{options.array_size}{limit}",
        f"--cpus-per-task={options.cpus}",
        *_given(options, ("time", "partition", "mem", "gres", "account")),
        _log(plan, "%A_%a"),
    ]
    work = _call(options, "work", plan) + f' --task "$SLURM_ARRAY_TASK_ID/{options.array_size}"'
    return _script(asks, options, work)


def collecting_script(plan: Path, options: SlurmOptions) -> str:
    """The script of the job that collects."""
    asks = [
        f"--job-name=qpmask-{_word(plan.stem)}-collect",
        "--cpus-per-task=1",
        *_given(options, ("partition", "account")),
        _log(plan, "collect-%j"),
    ]
    return _script(asks, options, _call(options, "collect", plan))


def submit(plan: Path, options: SlurmOptions) -> Submitted:
    """Write the two scripts beside the plan, and submit them.

    Raises
    ------
    SlurmError
        There is no SLURM here, or it refuses; with what it said.
    OutputError
        The scripts cannot be written.
    """
    scripts = []
    for name, text in (("array", array_script(plan, options)),
                       ("collect", collecting_script(plan, options))):  # fmt: skip
        path = plan.absolute().with_name(f"{plan.stem}.{name}.sh")
        write_file(path, text)
        scripts.append(path)
    array = _sbatch([str(scripts[0])])
    try:
        return Submitted(array, _sbatch([f"--dependency=afterany:{array}", str(scripts[1])]))
    except SlurmError as error:
        raise SlurmError(
            f"The array is submitted as job {array}, but not the job that collects: "
            f"{error.message}",
            hint=f"When the array has ended: qpmask collect {shlex.quote(str(plan))}. "
            f"To end it: scancel {array}.",
        ) from error


def _sbatch(arguments: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            ["sbatch", "--parsable", *arguments], capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise SlurmError(
            "sbatch is not on this machine.",
            hint="Submit where SLURM is, or use --dry-run to have the scripts printed.",
        ) from error
    if done.returncode != 0:
        raise SlurmError(f"sbatch refused: {(done.stderr or done.stdout).strip()}")
    return done.stdout.strip().split(";")[0]


def _script(asks: Sequence[str], options: SlurmOptions, command: str) -> str:
    lines = ["#!/bin/bash", *(f"#SBATCH {ask}" for ask in asks), "set -u"]
    if options.setup:
        lines.append(options.setup)
    return "\n".join([*lines, f"exec {command}", ""])


def _call(options: SlurmOptions, command: str, plan: Path) -> str:
    return shlex.join([options.python, "-m", "qpmask", command, str(plan.absolute())])


def _given(options: SlurmOptions, names: Sequence[str]) -> list[str]:
    return [f"--{n}={v}" for n in names if (v := getattr(options, n)) is not None]


def _log(plan: Path, which: str) -> str:
    """Where a job's output goes; quoted, and with the percent signs of the path as sbatch wants."""
    folder = str(plan.absolute().parent).replace("%", "%%")
    return f'--output="{folder}/{_word(plan.stem)}-{which}.log"'


def _word(text: str) -> str:
    return re.sub(r"[^\w.-]", "_", text)
