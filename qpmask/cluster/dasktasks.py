"""A plan on Dask: an image a task; the coordinator holds the plan, the folder and the progress.

Workers keep their engine from image to image, and are started anew (spawned), never forked. A
worker that dies costs its image one more try; an image that kills workers is given up and named.
"""

from __future__ import annotations

import atexit
import importlib
import os
import re
import socket
import threading
import time
from pathlib import Path
from typing import Any

from qpmask.cluster.collect import collect
from qpmask.cluster.itemrecords import file_key, write_record
from qpmask.cluster.planfile import PlanFile, PlanItem, read_plan_file
from qpmask.cluster.work import check_alone, keep_record
from qpmask.errors import MissingExtraError, OptionsError, OutputError
from qpmask.events import ImageFinished, Listener, ignore
from qpmask.export.run import ShareMaker
from qpmask.outputs import OutputWriter, write_file
from qpmask.outputs.claims import Claims
from qpmask.report import ImageRecord, Report

_LOCAL = re.compile(r"local:(\d{1,3})", re.ASCII)
_POLL_S = 0.2
_CONNECT_S = 30.0
_DEATHS = 1  # of workers, that an image may cost before it is given up


def run_on_dask(
    plan: PlanFile,
    where: str,
    progress: Listener | None = None,
    stop: threading.Event | None = None,
) -> Report:
    """Do a plan on a Dask cluster, and write its report.

    Parameters
    ----------
    plan : PlanFile
        The plan.
    where : str
        ``local:N`` for N processes of this machine, the address of a scheduler
        (``tcp://host:8786``), or a YAML file with ``class`` (such as
        ``dask_jobqueue.SLURMCluster``), ``options`` for it and ``scale``, the number of workers.
    progress : callable, optional
        Called with an event for each image that ends.
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
    """
    emit, stop = progress or ignore, stop or threading.Event()
    with Claims(plan.claims_folder) as claims:
        for item in plan.items:  # tasks of qpmask work keep away
            if not claims.take(file_key(item.key)):
                raise OutputError(
                    f"A task works on {item.name!r} in {plan.out}.",
                    hint="Wait for it to end: qpmask status PLAN.",
                )
        check_alone(plan.out)  # a run looks for claims once it has its lock
        with _connected(where) as client:
            _all_images(plan, client, emit, stop)
    return collect(plan)


def _all_images(plan: PlanFile, client: Any, emit: Listener, stop: threading.Event) -> None:
    from distributed import wait
    from distributed.scheduler import KilledWorker

    path = plan.folder / "plan.json"  # workers see the folder anyway
    write_file(path, plan.text())
    largest_first = sorted(plan.items, key=lambda item: (-item.cost, item.key))
    pending = {
        client.submit(
            _make, str(path), item.key, pure=False, retries=0,
            key=f"qpmask-{plan.digest}-{item.key}-{time.time_ns()}", priority=item.cost,
        ): item
        for item in largest_first
    }  # fmt: skip
    while pending:
        if stop.is_set():
            client.cancel(list(pending))
            return
        try:
            done = wait(list(pending), timeout=_POLL_S, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            continue
        for future in done:
            item = pending.pop(future)
            error = future.exception() if future.status == "error" else None
            if future.status == "finished":
                record = ImageRecord.from_dict(future.result())
            elif isinstance(error, KilledWorker):
                record = _given_up(plan, item, "The workers that made this mask died, again and "
                                   "again. They may have run out of memory.")  # fmt: skip
            else:
                record = _given_up(plan, item, f"Its task came to nothing: {error}")
            emit(ImageFinished(record))


def _given_up(plan: PlanFile, item: PlanItem, why: str) -> ImageRecord:
    record = ImageRecord(item.key, item.name, "failed", error=why)
    now = time.time()
    data = {
        "status": "failed",
        "record": record.as_dict(),
        "engine": None,
        "engine_reason": "",
        "started": now,
        "finished": now,
    }
    write_record(plan.folder, item.key, "failed", data)
    return record


# -- where ---------------------------------------------------------------------------------------


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
        self._config = dask.config.set({"distributed.scheduler.allowed-failures": _DEATHS})
        self._config.__enter__()
        self._cluster: Any = None
        try:
            local = _LOCAL.fullmatch(where)
            if local is not None:
                self._cluster = distributed.LocalCluster(
                    n_workers=max(1, int(local.group(1))), threads_per_worker=1, processes=True,
                    dashboard_address=None, silence_logs=50,
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
        if client is not None:
            client.close()
        if self._cluster is not None:
            self._cluster.close()
        self._config.__exit__(None, None, None)


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
        cluster.scale(int(said.get("scale", 1)))
        return cluster
    except (OSError, KeyError, TypeError, AttributeError, ImportError, yaml.YAMLError) as error:
        raise OptionsError(
            f"{path} describes no cluster: {error}.",
            hint="It needs class (dask_jobqueue.SLURMCluster), options and scale.",
        ) from error


# -- in the worker -------------------------------------------------------------------------------

_plans: dict[str, PlanFile] = {}
_makers: dict[str, ShareMaker] = {}
_busy = threading.Lock()


def _make(path: str, key: str) -> dict[str, Any]:
    """Make one mask in a worker, with the engine that it has already; its record as plain data."""
    with _busy:  # an engine does one image at a time
        started = time.time()
        plan = _plans.get(path) or _plans.setdefault(path, read_plan_file(Path(path)))
        item = next(item for item in plan.items if item.key == key)
        image_plan = plan.plan_of((item,))
        scratch = plan.folder / f"work-{socket.gethostname()}-{os.getpid()}"
        scratch.mkdir(parents=True, exist_ok=True)  # an earlier run's collecting took it away
        if path not in _makers:
            writer = OutputWriter(plan.out, scratch)
            maker = ShareMaker(image_plan, writer, ignore, threading.Event())
            _makers[path] = maker
            atexit.register(maker.__exit__)
        maker = _makers[path]
        record = maker.make(image_plan.images[0])
        keep_record(plan, item, record, maker, started)
        return record.as_dict()
