"""What goes on in a process of a pool (:mod:`qpmask.cluster.processes`)."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from qpmask.batch import EndsRun
from qpmask.batch.planned import Desk, Outcome, PlanItem, Run
from qpmask.cluster.workbench import Bench, scratch_of
from qpmask.errors import QpmaskError

#: What a process tells and is told, beside events, outcomes, orders and items.
BEGUN, STOP = "begun", "stop"
_TOGETHER_S = 0.05  # events may wait for others


@dataclass(frozen=True)
class Order:
    """The run whose items come next.

    Attributes
    ----------
    run : Run
        What does them.
    folder : Path
        Where processes have what they are at.
    n_beside : int
        How many of them there are.
    """

    run: Run
    folder: Path
    n_beside: int


@dataclass(frozen=True)
class Call:
    """A function to be called: its name can be looked up in any process."""

    function: Callable[[Any], Any]
    argument: Any


@dataclass(frozen=True)
class Result:
    """What a call gave."""

    value: Any


def work(connection: Connection) -> None:
    """Do what comes, until None does."""
    # The run decides what Ctrl-C means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stop, told = threading.Event(), SimpleQueue[Any]()
    teller = _Teller(connection)
    listening = threading.Thread(target=_listen, args=(connection, teller, told, stop), daemon=True)
    listening.start()
    try:
        while isinstance(said := told.get(), Call):
            teller.tell(Result(said.function(said.argument)))
        if isinstance(said, Order):
            _fill(said, told, teller, stop)
        elif isinstance(said, Exception):
            raise said
    except EndsRun as ended:
        teller.tell(ended.error)
    except Exception as error:
        teller.tell(_sent(error))


def _fill(order: Order, told: SimpleQueue[Any], teller: _Teller, stop: threading.Event) -> None:
    """Do the items of an order."""
    teller.tell(BEGUN)
    desk = Desk(scratch_of(order.folder, os.getpid()), teller.event, stop, order.n_beside)
    with Bench(order.run, desk) as bench:
        while (item := told.get()) is not None:
            if isinstance(item, Exception):
                raise item
            teller.tell(_interrupted(item) if stop.is_set() else bench.make(item))


def _interrupted(item: PlanItem) -> Outcome:
    return Outcome("interrupted", False, f"The run was interrupted before {item.name}.", {})


class _Teller:
    """Tells the run what happens; events that follow one another at once go together."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._waiting: list[object] = []
        self._told = 0.0

    def event(self, event: object) -> None:
        """Tell an event, soon."""
        with self._lock:
            self._waiting.append(event)
            if time.monotonic() - self._told > _TOGETHER_S:
                self._send()

    def tell(self, what: object) -> None:
        """Tell what the run waits for, now."""
        with self._lock:
            self._waiting.append(what)
            self._send()

    def flush(self) -> None:
        """Tell what waits."""
        with self._lock:
            if self._waiting:
                self._send()

    def _send(self) -> None:
        self._told = time.monotonic()
        told, self._waiting = self._waiting, []
        try:
            self._connection.send(told)
        except OSError:
            os._exit(1)  # the run is gone


def _listen(
    connection: Connection, teller: _Teller, told: SimpleQueue[Any], stop: threading.Event
) -> None:
    """Hear what the run tells, whatever is being done meanwhile; die with it."""
    while True:
        try:
            while not connection.poll(_TOGETHER_S):
                teller.flush()
            said = connection.recv()
        except (EOFError, OSError):
            os._exit(1)
        except Exception as error:  # an order or an item that cannot be read
            said = [error]
        if said == STOP:
            stop.set()
            continue
        for one in said:
            told.put(one)


def _sent(error: Exception) -> Exception:
    """An error, or what it says if it cannot be told another process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return QpmaskError(f"{type(error).__name__}: {error}")
    return error
