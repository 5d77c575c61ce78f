"""Patches on their way to an extractor: read, scaled and cropped by threads, some batches ahead."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from qpmask.features.seeing import Seeing
from qpmask.patches.reading import Patches

_AHEAD = 3  # batches that wait for the extractor


def prepared_batches(
    patches: Patches, seeing: Seeing, batch_size: int, threads: int, start: int
) -> Iterator[tuple[slice, NDArray[np.uint8]]]:
    """Batches as an extractor wants them, read and cut while it works on those before.

    Parameters
    ----------
    patches : Patches
        An open patch file.
    seeing : Seeing
        What the extractor sees of a patch.
    batch_size : int
        Patches in a batch.
    threads : int
        Threads that decode the slide, and as many that scale.
    start : int
        The first patch.

    Yields
    ------
    rows : slice
        Which patches.
    pixels : ndarray of uint8, shape (batch, side, side, 3)
    """
    ready: queue.Queue[tuple[slice, NDArray[np.uint8]] | BaseException | None] = queue.Queue(_AHEAD)
    ended = threading.Event()

    def put(item: tuple[slice, NDArray[np.uint8]] | BaseException | None) -> bool:
        while not ended.is_set():
            with contextlib.suppress(queue.Full):
                ready.put(item, timeout=0.1)
                return True
        return False

    def work() -> None:
        try:
            side = seeing.side(patches.patch_size)
            with ThreadPoolExecutor(threads, "qpmask-cut") as pool:
                batches = patches.iter_batches(batch_size, threads, start)
                try:
                    for rows, pixels in batches:
                        if pixels.shape[1] != side or seeing.resize not in (None, side):
                            pixels = np.stack(list(pool.map(seeing.cut, pixels)))
                        if not put((rows, pixels)):
                            return
                finally:
                    batches.close()  # type: ignore[attr-defined]
            put(None)
        except BaseException as error:  # it is the reader's to raise
            put(error)

    thread = threading.Thread(target=work, name="qpmask-patches", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        ended.set()
        thread.join()
