"""Recognises many objects of known layout at once, with numpy.

Where each object starts depends on the lengths inside the one before it, so that objects can only
be read one after the other. But objects that are alike begin with the same bytes: these are
searched for, every place where they are found is taken for the start of an object, all of them
are compared with the layouts together, and only then is it checked that each object ends where
the next one begins. Bytes that look like a start and are none only end the run early.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from qpmask.qpdata.layouts import END, FIXED, TEXT, Layouts, Node

#: Kinds of beginnings and of next bytes that are looked for at once.
MAX_BEGINNINGS: Final = 8
MAX_BRANCHES: Final = 32

T = TypeVar("T")
Offsets = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Alike(Generic[T]):
    """Objects of one layout within a run.

    Attributes
    ----------
    meaning : T
        What the layout means.
    numbers : ndarray of int64, shape (n,)
        Which objects of the run, counted from 0.
    starts : list of ndarray of int64, shape (n,) each
        Where each differing part starts; of a text or an array its length.
    sizes : list of ndarray of int64, shape (n,) each
        How many bytes or items each differing part has.
    """

    meaning: T
    numbers: Offsets
    starts: list[Offsets]
    sizes: list[Offsets]


@dataclass(frozen=True)
class Run(Generic[T]):
    """Objects that follow one another without a gap.

    Attributes
    ----------
    starts : ndarray of int64, shape (n,)
        Where each object starts.
    end : int
        Where the last one ends.
    groups : list of Alike
        The objects, layout by layout.
    """

    starts: Offsets
    end: int
    groups: list[Alike[T]]


class RunFinder(Generic[T]):
    """Finds runs of objects.

    Parameters
    ----------
    data : bytes
        All the data.
    layouts : Layouts
        The layouts that are known; more may be learned meanwhile.
    """

    def __init__(self, data: bytes, layouts: Layouts[T]) -> None:
        self._data = data
        self._view = np.frombuffer(data, np.uint8)
        self._layouts = layouts

    def take(self, starts: Offsets, n_bytes: int) -> npt.NDArray[np.uint8]:
        """Give ``n_bytes`` bytes from each start on, shape (n, n_bytes)."""
        windows = np.lib.stride_tricks.sliding_window_view(self._view, n_bytes)
        taken: npt.NDArray[np.uint8] = windows[starts]
        return taken

    def find(self, pos: int, window: int, n_most: int) -> Run[T] | None:
        """Find the run that begins at ``pos``.

        Parameters
        ----------
        pos : int
            Where its first object starts.
        window : int
            How many bytes to search for the starts of objects.
        n_most : int
            How many objects it may have at most.

        Returns
        -------
        Run or None
            None if there is none.
        """
        starts = self._beginnings(pos, min(pos + window, len(self._data)))
        if not len(starts) or starts[0] != pos:
            return None
        ends = np.full(len(starts), -1, np.int64)
        groups = self._match(starts, ends)
        # The first object that is unknown, or does not end where the next one begins.
        breaks = np.flatnonzero(ends[:-1] != starts[1:])
        n_objects = int(breaks[0]) + 1 if len(breaks) else len(starts)
        if ends[n_objects - 1] < 0:
            n_objects -= 1
        n_objects = min(n_objects, n_most)
        if not n_objects:
            return None
        kept = []
        for group in groups:
            inside = group.numbers < n_objects
            if inside.any():
                kept.append(
                    Alike(
                        group.meaning,
                        group.numbers[inside],
                        [start[inside] for start in group.starts],
                        [size[inside] for size in group.sizes],
                    )
                )
        return Run(starts[:n_objects], int(ends[n_objects - 1]), kept)

    def _beginnings(self, pos: int, end: int) -> Offsets:
        found: list[int] = []
        edges = [same for _, edges in self._layouts.root.by_length for same in edges]
        if len(edges) <= MAX_BEGINNINGS:
            find = self._data.find
            for same in edges:
                at = find(same, pos, end)
                while at >= 0:
                    found.append(at)
                    at = find(same, at + 1, end)
        return np.unique(np.array(found, np.int64))

    def _match(self, starts: Offsets, ends: Offsets) -> list[Alike[T]]:
        """Compare all objects with the layouts; put into ``ends`` where those known end."""
        size = len(self._data)
        groups: list[Alike[T]] = []
        todo: list[tuple[Node[T], Alike[None], Offsets]] = [
            (self._layouts.root, Alike(None, np.arange(len(starts)), [], []), starts)
        ]
        while todo:
            node, group, pos = todo.pop()
            for length, edges in node.by_length:
                left = np.flatnonzero((pos >= 0) & (pos <= size - length))
                found = self.take(pos[left], length)
                for _ in range(MAX_BRANCHES):
                    if not len(left):
                        break
                    same = (found == found[0]).all(axis=1)
                    edge = edges.get(found[0].tobytes())
                    chosen = left[same]
                    left, found = left[~same], found[~same]
                    if edge is None:
                        continue
                    code, item_size, next_node, meaning = edge
                    at = pos[chosen] + length
                    numbers = group.numbers[chosen]
                    part_starts = [part[chosen] for part in group.starts]
                    part_sizes = [part[chosen] for part in group.sizes]
                    if code == END:
                        if meaning is not None:
                            ends[numbers] = at
                            groups.append(Alike(meaning, numbers, part_starts, part_sizes))
                        continue
                    part_starts.append(at)
                    part_sizes.append(self._sizes(code, item_size, at))
                    after = self._after(code, item_size, at, part_sizes[-1])
                    todo.append((next_node, Alike(None, numbers, part_starts, part_sizes), after))
        return groups

    def _sizes(self, code: int, item_size: int, at: Offsets) -> Offsets:
        """Tell how many bytes or items the differing parts have; -1 where that is unreadable."""
        if code == FIXED:
            return np.full(len(at), item_size, np.int64)
        n_bytes = 2 if code == TEXT else 4
        sizes = np.full(len(at), -1, np.int64)
        inside = np.flatnonzero(at <= len(self._data) - n_bytes)
        stored = self.take(at[inside], n_bytes).view(">u2" if code == TEXT else ">i4")
        sizes[inside] = stored[:, 0]
        return sizes

    def _after(self, code: int, item_size: int, at: Offsets, sizes: Offsets) -> Offsets:
        """Tell where the differing parts end; -1 for those that cannot be."""
        if code == FIXED:
            return at + item_size
        after = at + (2 if code == TEXT else 4) + sizes * item_size
        return np.where(sizes < 0, -1, after)
