"""A file that is looked at piece by piece: the next one is read while the caller is at work."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from io import RawIOBase
from typing import Final

import numpy as np
import numpy.typing as npt

from qpmask.common.machine import n_cores

log = logging.getLogger(__name__)

AHEAD_BYTES: Final = 16 << 20
"""Of files as large as this, pieces are read ahead, where there is a second processor."""


class FileWindow:
    """The bytes of a file that are looked at: ``view``, uint8.

    Parameters
    ----------
    file : RawIOBase or None
        The file, at its beginning; None if ``data`` is all of it.
    size : int
        Its bytes.
    step : int
        How many are read at a time, unless more than that are kept.
    data : bytes-like
        All of it, where there is no file.
    beside : callable, optional
        Called now and then by another thread, one call at a time, where pieces are read ahead. It
        is to make things faster: what it raises is logged and no more.
    """

    def __init__(
        self,
        file: RawIOBase | None,
        size: int,
        step: int,
        data: bytes = b"",
        beside: Callable[[], None] = lambda: None,
    ) -> None:
        self.view = np.frombuffer(data, np.uint8)
        self._file, self._left, self._step = file, size - len(data), step
        self._beside = beside
        room = step + min(step, size) if size > step else size  # what is kept goes before a piece
        self._spare = [np.empty(room, np.uint8) for _ in range(1 + (size > step))] if file else []
        self._ahead: Future[int] | None = None
        self._aside: Future[None] | None = None
        self._pool = self._pool_aside = None
        if file is not None and size >= AHEAD_BYTES and n_cores() > 1:
            from concurrent.futures import ThreadPoolExecutor  # late: small files need none

            self._pool = ThreadPoolExecutor(1, "qpmask-window")
            self._pool_aside = ThreadPoolExecutor(1, "qpmask-aside")

    def move(self, n_gone: int) -> None:
        """Let go of the first ``n_gone`` bytes, and take up more.

        Raises
        ------
        EOFError
            There are no more, or the file was cut meanwhile.
        """
        if self._file is None or (self._ahead is None and self._left <= 0):
            raise EOFError
        kept = self.view[n_gone:]
        piece = self._spare[0]
        n_before = len(piece) - min(self._step, len(piece))
        end = n_before + (self._ahead.result() if self._ahead else self._fill(piece[n_before:]))
        if len(kept) <= n_before:
            piece[n_before - len(kept) : n_before] = kept
            self.view = piece[n_before - len(kept) : end]
            self._spare.reverse()
        else:  # something long: twice as much, so that it is copied a few times only
            more = np.empty(min(len(kept), self._left), np.uint8)
            self._fill(more)
            self.view = np.concatenate([kept, piece[n_before:end], more])
        self._ahead = None
        if self._pool is not None and self._left:
            self._ahead = self._pool.submit(self._fill, self._spare[0][n_before:])
            if self._aside is None or self._aside.done():
                self._go_aside()

    def _go_aside(self) -> None:
        assert self._pool_aside is not None
        with suppress(RuntimeError):  # there may be no more threads
            self._aside = self._pool_aside.submit(self._do_beside)

    def _do_beside(self) -> None:
        try:
            self._beside()
        except Exception as error:
            log.debug("beside the reading of a file", exc_info=error)

    def _fill(self, room: npt.NDArray[np.uint8]) -> int:
        """Read until it is full or the file ends; how many bytes that are."""
        assert self._file is not None
        wanted, at = min(len(room), self._left), 0
        while at < wanted:
            n_bytes = self._file.readinto(room[at:wanted].data)
            if not n_bytes:
                raise EOFError
            at += n_bytes
        self._left -= at
        return at

    def close(self) -> None:
        """Wait for the threads, and let go of all bytes; the file is the caller's to close."""
        for pool in (self._pool, self._pool_aside):
            if pool is not None:
                pool.shutdown()
        self.view, self._spare = np.zeros(0, np.uint8), []
        self._ahead = self._aside = None  # which may hold an error, and this window in it
