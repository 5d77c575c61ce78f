"""A plan on Dask: an item a task; the coordinator holds the plan, the folder and the progress.

Workers are started anew (spawned), never forked.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import logging
import math
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from qpmask.batch import EndsRun
from qpmask.batch.planned import Outcome, PlanItem
from qpmask.cluster.collect import collect
from qpmask.cluster.coordinator import Coordinator
from qpmask.cluster.planfile import PlanFile, read_plan_file
from qpmask.cluster.records import (
    Found,
    file_key,
    join_round,
    latest_records,
    write_record,
)
from qpmask.cluster.workbench import SharedBench, check_alone, record_data
from qpmask.errors import (
    EngineUnavailableError,
    MissingExtraError,
    OptionsError,
    OutputError,
    QpmaskError,
)
from qpmask.events import BatchStarted, BatchWarning, ItemFinished, ignore
from qpmask.outputs import write_file
from qpmask.outputs.claims import Claims, claimed, live_claims

_LOCAL = re.compile(r"local:(\d{1,3})", re.ASCII)
_POLL_S = 0.2
_CONNECT_S = 30.0
_DEATHS = 1  # of workers, that an item may cost before it is given up
_ASK_EVERY_S = 1.0  # how many workers there are
_ALONE_S = 60.0  # without any, before it is said
_ENDING_S = 60.0  # how long what is being done may take to see that it should end


class DaskError(QpmaskError, RuntimeError):
    """The scheduler is gone."""


def run_on_dask(
    plan: PlanFile,
    where: str,
    progress: Callable[[Any], None] | None = None,
    stop: threading.Event | None = None,
) -> Any:
    """Do a plan on a Dask cluster, and write its report.

    Parameters
    ----------
    plan : PlanFile
        The plan.
    where : str
        ``local:N`` for N processes of this machine, the address of a scheduler
        (``tcp://host:8786``), or a YAML file with ``class`` (such as
        ``dask_jobqueue.SLURMCluster``), ``options`` for it, and ``scale``, the number of workers,
        or ``adapt``, what its method of that name takes: it replaces jobs that ran out of time.
    progress : callable, optional
        Called with an event for each item that ends.
    stop : threading.Event, optional
        Set it to end the run; the report says that it was interrupted.

    Raises
    ------
    MissingExtraError
        dask.distributed is not installed.
    OptionsError
        `where` makes no sense, or nothing answers there.
    OutputError
        Another run or task works in the folder.
    DaskError
        The scheduler is gone; what was done by then is kept.
    QpmaskError
        What ends a plain run of the command too: an extractor that cannot be loaded.
    """
    emit, stop = progress or ignore, stop or threading.Event()
    with Claims(plan.claims_folder) as claims:
        # Held all the time, so that no other run or coordinator begins between two items.
        busy = live_claims(plan.out)
        if busy or not claims.take("coordinator"):
            raise OutputError(
                f"{busy[0] if busy else 'Another run'} is at work in {plan.out}.",
                hint="Wait for it to end: qpmask status PLAN.",
            )
        check_alone(plan)
        try:
            with _refusals() as refused, _connected(where) as client:
                try:
                    _have_done(plan, client, refused, _n_local(where), emit, stop)
                except RuntimeError as error:
                    if client.status == "running":
                        raise
                    raise ConnectionError(str(error)) from error  # it gave up meanwhile
        except (OSError, CancelledError) as error:
            if isinstance(error, QpmaskError):
                raise
            raise DaskError(
                f"The Dask scheduler is gone: {error}.",
                hint="What was done is kept. The same command goes on from there.",
            ) from error
    return collect(plan)


def _have_done(
    plan: PlanFile,
    client: Any,
    refused: list[str],
    n_beside: int,
    emit: Callable[[Any], None],
    stop: threading.Event,
) -> None:
    in_round = join_round(plan.folder, "dask", plan.claims_folder, alone=True)
    n, word = len(plan.items), plan.run.word
    with _Workers(plan, client, refused, in_round, emit, n_beside) as workers:
        emit(BatchStarted(f"{plan.out}, on Dask", n, word, plan.run.warnings))
        coordinator = Coordinator(plan.items, workers, workers.lost, stop)
        for item, outcome in coordinator.outcomes():
            emit(ItemFinished(item.key, item.name, outcome.status, outcome.summary))


class _Workers:
    """The workers of a cluster as a pool; a context manager that ends what they are still at."""

    def __init__(
        self,
        plan: PlanFile,
        client: Any,
        refused: list[str],
        in_round: int,
        emit: Callable[[Any], None],
        n_beside: int,
    ) -> None:
        self._plan, self._client, self._round, self._emit = plan, client, in_round, emit
        self._refused = refused
        self._n_beside = n_beside
        self._path = plan.folder / "plan.json"  # workers see the folder anyway
        write_file(self._path, plan.text())
        self._before = latest_records(plan.folder)
        self._pending: dict[Any, PlanItem] = {}
        self._size, self._asked = 1, 0.0
        self._alone_since: float | None = None

    ahead = 0  # one that dies with several would cost each of them a try

    @property
    def size(self) -> int:
        """How many there are, asked now and then."""
        if time.monotonic() - self._asked > _ASK_EVERY_S:
            self._asked = time.monotonic()
            n_workers = len(self._client.nthreads())
            self._check_refused(n_workers)
            self._say_if_alone(n_workers)
            self._size = max(1, n_workers)
        return self._size

    def _check_refused(self, n_workers: int) -> None:
        """End the run if its jobs are refused and it has no worker; else warn, once each."""
        while self._refused:
            says = f"The cluster cannot start a worker: {self._refused.pop(0)}"
            if not n_workers:
                raise OptionsError(
                    says, hint="Look at its options in the YAML file. What was done is kept."
                )
            self._emit(BatchWarning(says))

    def _say_if_alone(self, n_workers: int) -> None:
        """Warn of no worker for long: jobs wait, were refused, or their time is over."""
        if n_workers:
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = self._asked
        elif self._asked - self._alone_since > _ALONE_S:
            self._emit(BatchWarning(
                f"The Dask cluster has had no worker for {_ALONE_S:.0f} s. Look whether its jobs "
                "wait, were refused, or ran out of time; Ctrl-C ends the run, and what is done "
                "is kept."
            ))  # fmt: skip
            self._alone_since = math.inf  # it is said once

    def lost(self, item: PlanItem, why: str) -> Outcome:
        """The outcome of an item that is given up, recorded."""
        outcome = self._plan.run.lost(item, why)
        record, before = record_data(outcome, time.time()), self._before.get(item.key)
        write_record(self._plan.folder, item.key, "failed", self._round, record, before)
        return outcome

    def submit(self, item: PlanItem) -> None:
        """Have an item done by any of them."""
        before = self._before.get(item.key)
        future = self._client.submit(
            _do, str(self._path), item, self._round, before, self._n_beside,
            pure=False, retries=0,
            key=f"qpmask-{self._plan.digest}-{file_key(item.key)}-{time.time_ns()}",
        )  # fmt: skip
        self._pending[future] = item

    def ended(self, limit_s: float) -> Iterator[tuple[PlanItem, Outcome | str]]:
        """Items that ended, with what became of them, or why they are given up."""
        from distributed import wait
        from distributed.scheduler import KilledWorker

        try:
            done = wait(list(self._pending), timeout=limit_s, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            return
        for future in done:
            item = self._pending.pop(future)
            error = future.exception() if future.status == "error" else None
            if future.status == "finished":
                yield item, Outcome(**future.result())
            elif isinstance(error, EndsRun):
                raise error.error
            elif isinstance(error, EngineUnavailableError | MissingExtraError):
                raise error  # no item of the plan can be done there
            elif isinstance(error, KilledWorker):
                yield item, (f"The workers that were at this {self._plan.run.word} died, again and "
                             "again. They may have run out of memory.")  # fmt: skip
            else:
                yield item, f"Its task came to nothing: {error}"

    def stop(self) -> None:
        """Tell them to end what they are at, and nothing more."""
        with contextlib.suppress(OSError, RuntimeError):
            self._client.run(_stop, str(self._path), self._round, on_error="ignore")

    def is_busy(self) -> bool:
        """Whether anything is still being done, or ended and was not told yet."""
        ended = any(future.done() for future in self._pending)
        return ended or bool(_workers_claims(self._plan))

    def __enter__(self) -> _Workers:
        return self

    def __exit__(self, *args: object) -> None:
        if not self._pending:
            return
        self.stop()
        end = time.monotonic() + _ENDING_S
        while _workers_claims(self._plan) and time.monotonic() < end:
            time.sleep(_POLL_S)  # what they are at is claimed until then
        self._client.cancel(list(self._pending))


def _workers_claims(plan: PlanFile) -> list[str]:
    """What workers are at."""
    return [key for key, lives in claimed(plan.claims_folder).items()
            if lives and key != "coordinator"]  # fmt: skip


# -- where ---------------------------------------------------------------------------------------


def _n_local(where: str) -> int:
    """How many processes of this machine are named; 1 if others are."""
    local = _LOCAL.fullmatch(where)
    return 1 if local is None else max(1, int(local.group(1)))


class _Refusals(logging.Filter):
    """Takes errors of a cluster that starts jobs out of the logs, where nothing else tells them."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is to be logged."""
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, RuntimeError):
            return True
        said = str(error).rpartition("stderr:")[2]  # dask-jobqueue says what the command said
        said = " ".join(said.split()) or type(error).__name__
        if said not in self.said:
            self.said.append(said)
        return False


@contextlib.contextmanager
def _refusals() -> Iterator[list[str]]:
    """What a cluster said that could not start jobs, as it comes."""
    refusals = _Refusals()
    loggers = [logging.getLogger(name) for name in ("tornado.application", "asyncio")]
    for logger in loggers:
        logger.addFilter(refusals)
    try:
        yield refusals.said
    finally:
        gc.collect()  # tasks that failed say so when they go
        for logger in loggers:
            logger.removeFilter(refusals)


class _connected:  # noqa: N801 - used as a function
    """A client of what `where` names; a context manager that ends what it started."""

    def __init__(self, where: str) -> None:
        try:
            import dask
            import distributed
        except ImportError as error:
            raise MissingExtraError(
                "Running on Dask needs dask.distributed, which is not installed.",
                hint='Install it: pip install "qpmask[dask]".',
            ) from error
        self._dask = dask
        self._scheduler = dask.config.get("scheduler", None)  # a client that is lost leaves its own
        self._config = dask.config.set({"distributed.scheduler.allowed-failures": _DEATHS})
        self._config.__enter__()
        self._cluster: Any = None
        try:
            if _LOCAL.fullmatch(where):
                self._cluster = distributed.LocalCluster(
                    n_workers=_n_local(where), threads_per_worker=1, processes=True,
                    # Without an address it takes port 8787, and warns where that is taken.
                    dashboard_address="127.0.0.1:0", scheduler_kwargs={"dashboard": False},
                    silence_logs=50,
                )  # fmt: skip
            elif where.endswith((".yaml", ".yml")):
                self._cluster = _cluster_of(Path(where))
            self._client = distributed.Client(self._cluster or where, timeout=_CONNECT_S)
        except (OSError, ValueError) as error:
            self.__exit__()
            raise OptionsError(
                f"--dask {where}: {error}",
                hint="Give local:N, the address of a scheduler (tcp://host:8786) or a YAML file.",
            ) from error
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Any:
        return self._client

    def __exit__(self, *args: object) -> None:
        client = getattr(self, "_client", None)
        try:
            if client is not None:
                client.close()
            if self._cluster is not None:
                # Of jobs that it could not start.
                with contextlib.suppress(RuntimeError, AssertionError):
                    self._cluster.close()
        finally:
            self._config.__exit__(None, None, None)
            if self._dask.config.get("scheduler", None) != self._scheduler:
                self._dask.config.set(scheduler=self._scheduler)


def _cluster_of(path: Path) -> Any:
    """A cluster as a YAML file describes it."""
    import yaml

    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
        module, _, name = str(said["class"]).rpartition(".")
        if module.split(".")[0] not in ("dask_jobqueue", "distributed", "dask_kubernetes"):
            raise KeyError(f"class {said['class']!r} is none of dask_jobqueue, distributed, "
                             "dask_kubernetes")  # fmt: skip
        cluster = getattr(importlib.import_module(module), name)(**(said.get("options") or {}))
        if said.get("adapt"):
            cluster.adapt(**said["adapt"])
        else:
            cluster.scale(int(said.get("scale", 1)))
        return cluster
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{path} needs {error.name}, which is not installed.",
            hint=f"Install it: pip install {str(error.name).replace('_', '-')}.",
        ) from error
    except (OSError, KeyError, TypeError, AttributeError, ImportError, yaml.YAMLError) as error:
        raise OptionsError(
            f"{path} describes no cluster: {error}.",
            hint="It needs class (dask_jobqueue.SLURMCluster), options, and scale or adapt.",
        ) from error


# -- in the worker -------------------------------------------------------------------------------

_bench: SharedBench | None = None
_busy = threading.Lock()


def _do(
    path: str, item: PlanItem, in_round: int, before: Found | None, n_beside: int
) -> dict[str, Any]:
    """Do an item in a worker, with the engine or model that it has already; its outcome."""
    with _busy:  # an engine does one at a time
        bench = _bench_of(path, in_round, n_beside)
        return asdict(replace(bench.settle(item, before), record=None))


def _bench_of(path: str, in_round: int, n_beside: int) -> SharedBench:
    global _bench
    if _bench is None or _bench.place.folder != Path(path).parent:
        if _bench is not None:  # of another plan
            _bench.__exit__()
        plan, never = read_plan_file(Path(path)), threading.Event()
        _bench = SharedBench(plan, in_round, ignore, never, n_beside)
        _bench.__enter__()
        atexit.register(_bench.__exit__)
    if _bench.round != in_round:
        _bench.round = in_round
        _bench.stop.clear()
    return _bench


def _stop(path: str, in_round: int) -> None:
    """Have a worker end what it does of a run."""
    if _bench is not None and (_bench.place.folder, _bench.round) == (Path(path).parent, in_round):
        _bench.stop.set()
