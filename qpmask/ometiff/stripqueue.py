"""Strips of all levels queue up: worked on by threads, taken out in the order they came in."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from qpmask.ometiff.pyramid import Above, Pyramid
from qpmask.ometiff.strips import StripGrid, StripPlace
from qpmask.ometiff.threads import Pace, threads_for

# Strips under way at one time, two for each of four threads. The order of strips depends on it, and
# so do the bytes of a file: it is the same on machines with fewer processors.
_AHEAD = 8

_Source = TypeVar("_Source")
_Result = TypeVar("_Result")


class StripQueue(Generic[_Source, _Result]):
    """Strips under way.

    A strip of the next level joins the queue when the last one of those that it is made of was
    taken out. So the order depends on their numbers alone, never on how many threads there are nor
    on which one is faster.

    It is a context manager. An exception in its block ends what is under way.

    Parameters
    ----------
    grids : tuple of StripGrid
        Of the levels that follow from one another.
    work : callable
        Gives the result of a strip; called with its place, its source (an :class:`Above` for a
        strip that joined by itself) and the strip of the next level that it goes into, which it
        must give the strip to (:meth:`Above.take`). On any thread.
    at_once : callable
        The same where it is hardly any work (it may be the last one that a strip of the next level
        waits for), so that a thread would cost more than it saves; else None. On the caller's
        thread.
    threads : int, optional
        By default what the largest grid is worth, four at most, and strips that take hardly any
        time are the caller's. A single one is the caller's.
    """

    def __init__(
        self,
        grids: tuple[StripGrid, ...],
        work: Callable[[StripPlace, _Source | Above, Above | None], _Result],
        at_once: Callable[[StripPlace, _Source | Above, Above | None], _Result | None],
        threads: int | None = None,
    ) -> None:
        self._pyramid = Pyramid(grids)
        self._pace = Pace(asked=threads is not None)
        self._work = self._pace.timed(work)
        self._at_once = at_once
        threads = threads or min(4, threads_for(grids[0].n_rows * grids[0].n_strips))
        self._pool = ThreadPoolExecutor(threads, "qpmask-strips") if threads > 1 else None
        self._queue: deque[tuple[StripPlace, Above | None, _Result | Future[_Result]]] = deque()

    def __enter__(self) -> StripQueue[_Source, _Result]:
        self._pace.begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, *args: object) -> None:
        self._pace.end()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=kind is not None)

    def results(
        self, strips: Iterable[tuple[StripPlace, _Source]]
    ) -> Iterator[tuple[StripPlace, _Result]]:
        """Results of all strips of all levels, in order, while the next ones are worked on.

        Parameters
        ----------
        strips : iterable
            The strips that follow from no other one, plane by plane, with their sources. They are
            asked for as there is room; never more than a few are under way.
        """
        plane = 0
        for place, source in strips:
            if place.plane != plane:
                yield from self._take(rest=True)
                plane = place.plane
            self._put(place, source)
            yield from self._take()
        yield from self._take(rest=True)

    def _put(self, place: StripPlace, source: _Source | Above) -> None:
        """Let a strip queue up."""
        above = self._pyramid.above(place.level, place.row, place.number)
        job: _Result | Future[_Result] | None = self._at_once(place, source, above)
        if job is None and self._pool is not None and self._pace.is_worth_threads:
            job = self._pool.submit(self._work, place, source, above)
        elif job is None:
            job = self._work(place, source, above)
        self._queue.append((place, above, job))

    def _take(self, *, rest: bool = False) -> Iterator[tuple[StripPlace, _Result]]:
        """Take strips out, until a few are left for the threads to work on, or none."""
        while len(self._queue) > (0 if rest else _AHEAD):
            place, above, job = self._queue.popleft()
            yield place, job.result() if isinstance(job, Future) else job
            if above is not None and self._pyramid.arrived(above):
                self._put(StripPlace(place.plane, above.level, above.row, above.number), above)
