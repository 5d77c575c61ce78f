"""Which engine a run uses, and why; the one place that knows them by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from qpmask.engines.base import QUPATH_MAX_LABEL, Engine, ReadData, RenderJob
from qpmask.errors import NoQuPathError
from qpmask.options import ExportOptions


class EngineChoice(NamedTuple):
    """The engines of a run.

    Attributes
    ----------
    name : str
        ``qupath`` or ``native``: what draws.
    verifier : str or None
        What draws a second time and compares, or None.
    reason : str
        Why, for the report.
    finding : str or None
        What the user should know: masks that the native engine draws in QuPath's place.
    """

    name: str
    verifier: str | None
    reason: str
    finding: str | None = None


def choose_engine(options: ExportOptions, jobs: Sequence[RenderJob]) -> EngineChoice:
    """Choose the engine of a run by its options and by what is on the machine. Starts nothing.

    Parameters
    ----------
    options : ExportOptions
        ``auto`` takes QuPath where one is found, but not for labels that it cannot hold.
    jobs : sequence of RenderJob
        What the run is about.

    Raises
    ------
    NoQuPathError
        paquo's settings name a QuPath that is none.
    """
    if options.engine == "both":
        return EngineChoice("qupath", "native", "both were asked for: one draws, one verifies")
    if options.engine != "auto":
        return EngineChoice(options.engine, None, f"{options.engine} was asked for")
    from qpmask.engines.jvm import find_qupath, is_named

    try:
        install = find_qupath()
    except NoQuPathError as error:
        if is_named():
            raise  # somebody wants a certain QuPath, and it is not there
        return EngineChoice("native", None, f"automatically: {error.message}")
    n = sum(not job.fits_qupath for job in jobs)
    why = f"labels above {QUPATH_MAX_LABEL:,}, which QuPath's label images cannot hold"
    who = f"{n:,} image has" if n == 1 else f"{n:,} images have"
    finding = f"{who} {why}: drawn by the native engine, as uint32." if n else None
    if n and n == len(jobs):
        return EngineChoice("native", None, f"automatically: {why}", finding)
    found = f"automatically: QuPath {install.version} was found in {install.folder}"
    return EngineChoice("qupath", None, found, finding)


def make_engine(
    name: str,
    options: ExportOptions,
    *,
    heap_percent: float | None = None,
    threads: int | None = None,
    pixel_rules: str | None = None,
    read: ReadData | None = None,
) -> Engine:
    """Make an engine by its name; nothing is started.

    Parameters
    ----------
    name : str
        ``qupath`` or ``native``.
    options : ExportOptions
        The run's options.
    heap_percent : float, optional
        Share of the machine's memory for Java where the options give no size.
    threads : int, optional
        Threads that draw; all cores by default.
    pixel_rules : str, optional
        For ``native``: the family of QuPath versions whose pixels it makes.
    read : callable, optional
        For ``native``: what reads data files for it.
    """
    makers: dict[str, Callable[[], Engine]] = {
        "qupath": lambda: _qupath(options, heap_percent, threads),
        "native": lambda: _native(threads, pixel_rules, read),
    }
    return makers[name]()


def make_engines(
    choice: EngineChoice,
    options: ExportOptions,
    *,
    heap_percent: float | None = None,
    threads: int | None = None,
    read: ReadData | None = None,
) -> tuple[Engine, Engine | None]:
    """The engine that draws and the one that verifies, or None; nothing is started."""
    engine = make_engine(
        choice.name, options, heap_percent=heap_percent, threads=threads, read=read
    )
    if choice.verifier is None:
        return engine, None
    rules = engine.probe().pixel_rules
    verifier = make_engine(choice.verifier, options, threads=threads, pixel_rules=rules, read=read)
    return engine, verifier


def make_counter(
    choice: EngineChoice, engine: Engine, *, threads: int | None = None
) -> Engine | None:
    """The engine that tells which objects left a pixel where those of the run do not, or None.

    It also draws what QuPath cannot hold. None where the run's own engines know; nothing starts.
    """
    from qpmask.engines.native.engine import RULES, NativeEngine

    if choice.name == "native" or choice.verifier == "native":
        return None
    info = engine.probe()
    if info.name != "qupath" or info.pixel_rules not in RULES:
        return None
    return NativeEngine(threads, info.pixel_rules)


def _qupath(options: ExportOptions, heap_percent: float | None, threads: int | None) -> Engine:
    from qpmask.engines.qupath import QuPathEngine

    percent = heap_percent if options.jvm_memory is None else None
    return QuPathEngine(options.jvm_memory, percent, threads)


def _native(threads: int | None, pixel_rules: str | None, read: ReadData | None) -> Engine:
    from qpmask.engines.native.engine import RULES, NativeEngine

    return NativeEngine(threads, pixel_rules or RULES[0], read)
