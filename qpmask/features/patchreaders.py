"""Patches on their way to an extractor: read, scaled and cropped by processes of their own.

Threads of one process got no further than 1,200 patches a second on 16 processors, whatever their
number: what Python does for each patch takes the interpreter's lock. So each worker is a process (a
program of its own, not a fork: it needs nothing of what the caller holds or has imported). It is
told which rows to read and sends back their pixels, which arrive where the batch is put together.
Some batches are under way while the extractor works. A worker ends when the pipe to it does,
however its parent ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import queue
import signal
import struct
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from qpmask.errors import EngineError, QpmaskError
from qpmask.features.preprocessing import Seeing
from qpmask.patches.reading import Patches

_UNIT = 32  # patches that a worker reads at a time
_AHEAD = 2  # units under way for each worker, beside those of the batch that is next
_LENGTH = struct.Struct("<q")  # of what follows; that of an error is negative

_PROGRAM = """\
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from qpmask.features.patchreaders import serve
serve()
"""

Batch = tuple[slice, NDArray[np.uint8]]


class PatchReaders:
    """Workers that read patches; a context manager. They start when they are first needed.

    Parameters
    ----------
    n : int
        How many processes; 0 reads in this one, while the extractor waits.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._workers: list[_Worker] = []

    def __enter__(self) -> PatchReaders:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            worker.close()
        self._workers = []

    def batches(
        self, patches: Patches, seeing: Seeing, batch_size: int, start: int
    ) -> Iterator[Batch]:
        """Batches as an extractor wants them, in the order of the rows.

        Parameters
        ----------
        patches : Patches
            An open patch file.
        seeing : Seeing
            What the extractor sees of a patch.
        batch_size : int
            Patches in a batch.
        start : int
            The first patch.

        Yields
        ------
        rows : slice
            Which patches.
        pixels : ndarray of uint8, shape (batch, side, side, 3)

        Raises
        ------
        OptionsError
            The slide is not there, or cannot be read at some place.
        EngineError
            A worker died.
        """
        if self._n == 0:
            for rows, pixels in patches.iter_batches(batch_size, 1, start):
                yield rows, np.stack([seeing.cut(patch) for patch in pixels])
            return
        if start < len(patches):
            _ = patches.slide_path  # an error now, and once
            yield from self._by_workers(patches, seeing, batch_size, start)

    def _by_workers(
        self, patches: Patches, seeing: Seeing, batch_size: int, start: int
    ) -> Iterator[Batch]:
        wanted = min(self._n, -(-(len(patches) - start) // _UNIT))
        for dead in [worker for worker in self._workers if not worker.is_alive]:
            dead.close()
            self._workers.remove(dead)
        while len(self._workers) < wanted:
            self._workers.append(_Worker())
        idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        opening = pickle.dumps(("open", patches, seeing))
        for worker in self._workers[:wanted]:
            worker.opening = opening
            idle.put(worker)

        def read(first: int, into: NDArray[np.uint8]) -> None:
            worker = idle.get()
            try:
                worker.read(first, into)
            finally:
                idle.put(worker)

        side = seeing.side(patches.patch_size)
        coming: deque[tuple[slice, NDArray[np.uint8], list[Future[None]]]] = deque()
        firsts = iter(range(start, len(patches), batch_size))
        n_ahead = -(-_AHEAD * wanted * _UNIT // batch_size)
        with ThreadPoolExecutor(wanted, "qpmask-readers") as pool:
            try:
                while True:
                    while len(coming) <= n_ahead and (first := next(firsts, None)) is not None:
                        rows = slice(first, min(first + batch_size, len(patches)))
                        pixels = np.empty((rows.stop - first, side, side, 3), np.uint8)
                        parts = [
                            pool.submit(read, first + at, pixels[at : at + _UNIT])
                            for at in range(0, len(pixels), _UNIT)
                        ]
                        coming.append((rows, pixels, parts))
                    if not coming:
                        return
                    rows, pixels, parts = coming.popleft()
                    for part in parts:
                        part.result()
                    yield rows, pixels
            finally:
                for _, _, parts in coming:
                    for part in parts:
                        part.cancel()


class _Worker:
    """A process that reads, seen from here; used by one thread at a time."""

    def __init__(self) -> None:
        self.opening = b""
        self._opened = b""
        command = [sys.executable, "-c", _PROGRAM, json.dumps(sys.path)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        with contextlib.suppress(ImportError, AttributeError, OSError):  # Linux: fewer wake-ups
            import fcntl

            fcntl.fcntl(self._out, fcntl.F_SETPIPE_SZ, 1 << 20)

    @property
    def _out(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    def read(self, first: int, into: NDArray[np.uint8]) -> None:
        """Have patches from ``first`` on read, as many as there is room for."""
        try:
            if self._opened is not self.opening:
                self._send(self.opening)
                self._opened = self.opening
            self._send(pickle.dumps(("read", first, len(into))))
            (n,) = _LENGTH.unpack(_exactly(self._out, _LENGTH.size))
            if n < 0:
                error: BaseException = pickle.loads(_exactly(self._out, -n))
                raise error
            data = into.data.cast("B")
            if n != len(data) or self._out.readinto(data) != n:  # type: ignore[attr-defined]
                raise EOFError
        except (OSError, EOFError, ValueError) as error:
            if isinstance(error, QpmaskError):
                raise
            self.close()  # what is left in its pipes belongs to nobody
            raise EngineError(
                "A process that reads patches died.",
                hint="It may have run out of memory: use fewer --num-workers. What was made stays.",
            ) from error

    def _send(self, message: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(_LENGTH.pack(len(message)) + message)
        self._process.stdin.flush()

    @property
    def is_alive(self) -> bool:
        """Whether it can still read."""
        return self._process.poll() is None

    def close(self) -> None:
        """End it; it may be in the middle of something."""
        self._process.kill()
        with contextlib.suppress(OSError, ValueError):  # the latter: it was ended before
            self._process.communicate()


def _exactly(file: IO[bytes], n: int) -> bytes:
    data = file.read(n)
    if len(data) < n:
        raise EOFError
    return data


# --- in the worker --------------------------------------------------------------------------------


def serve() -> None:
    """Read what is asked for until the pipe ends; what a worker runs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, requests), daemon=True).start()
    out = sys.stdout.buffer
    sys.stdout = sys.stderr  # whatever prints must not mix with pixels
    patches: Patches | None = None
    seeing = Seeing()
    while True:
        message: tuple[Any, ...] = pickle.loads(requests.get())
        if message[0] == "open":
            if patches is not None:
                patches.close()
            _, patches, seeing = message
            continue
        assert patches is not None
        _, first, n = message
        try:
            pixels = patches.iter_pixels(1, range(first, first + n))
            batch = np.stack([seeing.cut(patch) for patch in pixels])
            out.write(_LENGTH.pack(batch.nbytes))
            out.write(batch.data.cast("B"))
        except Exception as error:  # it is the parent's to raise
            told = pickle.dumps(
                error if isinstance(error, QpmaskError) else EngineError(str(error))
            )
            out.write(_LENGTH.pack(-len(told)) + told)
        out.flush()


def _listen(file: IO[bytes], requests: queue.SimpleQueue[bytes]) -> None:
    """Pass on requests; end the process with the pipe, whatever it is at."""
    try:
        while True:
            (n,) = _LENGTH.unpack(_exactly(file, _LENGTH.size))
            requests.put(_exactly(file, n))
    except (EOFError, OSError):
        os._exit(0)
