"""Reads a mask back and says what is wrong with it.

In: a file, and what it should hold. Out: a :class:`CheckReport` with one :class:`Problem` for each
thing that is wrong, in words for people. Every tile of every level is decoded, and every level is
compared with the subsampling of level 0 while level 0 streams by, so memory stays small.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qpmask.errors import MaskError
from qpmask.geometry import Size
from qpmask.ometiff.labels import count_labels
from qpmask.ometiff.metadata import ClassRow, MaskMetadata
from qpmask.ometiff.pyramid_by_tile import Pixels, PyramidBuilder, subsample
from qpmask.ometiff.reader import MaskFile, TileError
from qpmask.ometiff.rules import structure_problems

__all__ = ["CheckReport", "Problem", "check_mask"]

_MAX_PROBLEMS = 100
_WINDOW = 32

Counts = Mapping[int, int]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a mask.

    Parameters
    ----------
    text : str
        What, for people.
    kind : {"file", "structure", "tile", "label", "count", "pyramid"}
        What it is about: the file cannot be read at all; its layout; a tile that does not decode;
        a label without a class; a wrong number of pixels; a level that is not a copy of level 0.
    level, row, col : int, optional
        Where; ``row`` and ``col`` count tiles.
    plane : int, optional
        Where, in a mask of several planes.
    """

    text: str
    kind: str
    level: int | None = None
    row: int | None = None
    col: int | None = None
    plane: int | None = None

    def __str__(self) -> str:
        place = [
            f"{name} {value}"
            for name, value in (
                ("plane", self.plane),
                ("level", self.level),
                ("row", self.row),
                ("column", self.col),
            )
            if value is not None
        ]
        return f"{', '.join(place)}: {self.text}" if place else self.text


@dataclass(frozen=True)
class CheckReport:
    """What a check found.

    Parameters
    ----------
    path : Path
        The file.
    problems : tuple of Problem
        The first hundred; empty if all is well.
    n_problems : int
        How many there are in all.
    counts : tuple of dict
        Pixels by label in level 0, one mapping a plane, from the tiles that decode.
    levels : tuple of Size
        Sizes of the levels.
    metadata : MaskMetadata, optional
        What the file says about itself.
    n_tiles : int
        Number of tiles checked, of all levels and planes.
    file_bytes : int
        Size of the file.
    """

    path: Path
    problems: tuple[Problem, ...] = ()
    n_problems: int = 0
    counts: tuple[dict[int, int], ...] = ()
    levels: tuple[Size, ...] = ()
    metadata: MaskMetadata | None = None
    n_tiles: int = 0
    file_bytes: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.n_problems == 0


def check_mask(
    path: Path | str,
    *,
    counts: Counts | Sequence[Counts] | NDArray[np.int64] | None = None,
    classes: Iterable[ClassRow | int] | None = None,
    on_tile: Callable[[int], None] | None = None,
    threads: int | None = None,
) -> CheckReport:
    """Read a whole mask and report what is wrong.

    Parameters
    ----------
    path : Path or str
        The file.
    counts : mapping, sequence of mappings, or ndarray, optional
        Expected pixels by label in level 0: of all planes together, or one mapping a plane, or
        ``WriteResult.counts``. Labels that are not given must not occur.
    classes : iterable of ClassRow or int, optional
        The labels that may occur, besides the background 0. By default the file's own class table;
        without either, any label may.
    on_tile : callable, optional
        Called with the number of tiles of level 0 checked so far, on the caller's thread.
    threads : int, optional
        Threads that decode; by default as many as there are processors, four at most.

    Returns
    -------
    CheckReport
        It never raises :class:`MaskError`: a file that cannot be read is a report with a problem.
    """
    path = Path(path)
    try:
        mask = MaskFile(path)
    except MaskError as error:
        return CheckReport(path, (Problem(str(error), "file"),), 1)
    with mask:
        table = mask.metadata.classes if mask.metadata is not None else ()
        allowed = {
            row.label if isinstance(row, ClassRow) else int(row)
            for row in (classes if classes is not None else table)
        }
        job = _Check(mask, {0, *allowed} if classes is not None or table else None)
        for text in structure_problems(mask.structure):
            job.add(Problem(text, "structure"))
        with ThreadPoolExecutor(threads or min(4, os.cpu_count() or 1), "qpmask-check") as pool:
            try:
                job.run(pool, on_tile)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        if counts is not None:
            job.compare_counts(counts)
        return CheckReport(
            path=path,
            problems=tuple(job.problems),
            n_problems=job.n_problems,
            counts=tuple(dict(sorted(found.items())) for found in job.counts),
            levels=tuple(level.size for level in mask.levels),
            metadata=mask.metadata,
            n_tiles=job.n_tiles,
            file_bytes=mask.structure.file_bytes,
        )


@dataclass(frozen=True)
class _Place:
    plane: int
    level: int
    row: int
    col: int


@dataclass(frozen=True)
class _Found:
    """One tile, decoded and looked at."""

    quarter: Pixels | None = None  # what the next level must hold of it
    counts: Mapping[int, int] | None = None
    error: str | None = None  # why it does not decode
    n_wrong: int = 0  # pixels that differ from level 0


class _Check:
    """One check under way."""

    def __init__(self, mask: MaskFile, allowed: set[int] | None) -> None:
        self._mask = mask
        self._allowed = allowed
        self.problems: list[Problem] = []
        self.n_problems = 0
        self.n_tiles = 0
        self.counts: list[dict[int, int]] = [{} for _ in range(mask.n_planes)]
        self._n_done = 0
        self._window: deque[tuple[_Place, _Found | Future[_Found]]] = deque()
        self._n_compared = _n_comparable(mask)
        self._builder = PyramidBuilder(
            tuple(level.size for level in mask.levels[: self._n_compared]),
            mask.levels[0].tile.width_px,
            mask.dtype,
        )
        self._strange: dict[int, tuple[_Place, int]] = {}  # labels no class has: where, how many
        self._unknown: set[_Place] = set()  # tiles above one that does not decode

    def add(self, problem: Problem) -> None:
        """Note a problem."""
        self.n_problems += 1
        if len(self.problems) < _MAX_PROBLEMS:
            self.problems.append(problem)

    def run(self, pool: ThreadPoolExecutor, on_tile: Callable[[int], None] | None) -> None:
        """Look at all tiles of all planes and levels."""
        for plane in range(self._mask.n_planes):
            for level, place in enumerate(self._mask.levels):
                if 0 < level < self._n_compared:
                    continue  # follows from level 0
                for row in range(place.n_rows):
                    for col in range(place.n_cols):
                        self._submit(pool, _Place(plane, level, row, col), None)
                        self._drain(pool, _WINDOW, on_tile)
            self._drain(pool, 0, on_tile)
            self._unknown.clear()
        for label, (first, n_pixels) in sorted(self._strange.items()):
            text = f"the label {label} is in no class; {n_pixels:,} pixels have it, the first here"
            self.add(self._problem(first, "label", text))

    def compare_counts(self, counts: Counts | Sequence[Counts] | NDArray[np.int64]) -> None:
        """Compare the pixel counts with the expected ones."""
        expected: list[Counts]
        if isinstance(counts, Mapping):
            total: dict[int, int] = {}
            for found in self.counts:
                for label, n_pixels in found.items():
                    total[label] = total.get(label, 0) + n_pixels
            found_by_plane, expected = [total], [counts]
        else:
            found_by_plane = self.counts
            expected = [
                row if isinstance(row, Mapping) else dict(enumerate(row.tolist())) for row in counts
            ]
        if len(expected) != len(found_by_plane):
            self.add(
                Problem(
                    f"it has {len(found_by_plane)} planes; {len(expected)} were expected", "count"
                )
            )
            return
        for plane, (found, wanted) in enumerate(zip(found_by_plane, expected, strict=True)):
            for label in sorted({*found, *wanted}):
                n_found, n_wanted = found.get(label, 0), wanted.get(label, 0)
                if n_found != n_wanted:
                    text = f"label {label} has {n_found:,} pixels; expected {n_wanted:,}"
                    many = len(found_by_plane) > 1
                    self.add(Problem(text, "count", plane=plane if many else None))

    def _submit(self, pool: ThreadPoolExecutor, place: _Place, expected: Pixels | None) -> None:
        try:
            label = self._mask.known_label(place.level, place.plane, place.row, place.col)
        except TileError as error:
            self._window.append((place, _Found(quarter=_half(expected), error=error.what)))
            return
        if label is None:
            labels = tuple(self.counts[place.plane])
            self._window.append((place, pool.submit(self._inspect, place, expected, labels)))
        else:
            self._window.append((place, self._look(place, label, expected, ())))

    def _inspect(self, place: _Place, expected: Pixels | None, labels: tuple[int, ...]) -> _Found:
        """Decode a tile and look at it; runs on any thread."""
        try:
            pixels = self._mask.label_or_tile(place.level, place.plane, place.row, place.col)
        except TileError as error:
            return _Found(quarter=_half(expected), error=error.what)
        return self._look(place, pixels, expected, labels)

    def _look(
        self, place: _Place, pixels: Pixels, expected: Pixels | None, labels: tuple[int, ...]
    ) -> _Found:
        n_wrong = 0 if expected is None else _n_different(pixels, expected, self._area(place))
        counts = None
        if not 0 < place.level < self._n_compared or n_wrong:
            if isinstance(pixels, int):
                counts = {pixels: self._area(place)}
            else:
                counts = count_labels(pixels, labels)
        # What a level holds is compared with level 0, not with the level below as it happens to be.
        return _Found(_half(pixels if expected is None else expected), counts, None, n_wrong)

    def _area(self, place: _Place) -> int:
        height, width = self._mask.levels[place.level].shape(place.row, place.col)
        return height * width

    def _drain(
        self, pool: ThreadPoolExecutor, n_left: int, on_tile: Callable[[int], None] | None
    ) -> None:
        while len(self._window) > n_left:
            place, job = self._window.popleft()
            found = job.result() if isinstance(job, Future) else job
            self.n_tiles += 1
            self._note(place, found)
            if place.level < self._n_compared:
                self._go_up(pool, place, found)
            if place.level == 0:
                self._n_done += 1
                if on_tile is not None:
                    on_tile(self._n_done)

    def _note(self, place: _Place, found: _Found) -> None:
        """Turn what was found into problems and counts."""
        if found.error is not None:
            self.add(self._problem(place, "tile", found.error))
        if found.n_wrong:
            text = (
                f"{found.n_wrong:,} of {self._area(place):,} pixels differ from level 0 "
                f"subsampled by {2**place.level}"
            )
            self.add(self._problem(place, "pyramid", text))
        for label, n_pixels in (found.counts or {}).items():
            if place.level == 0:
                counts = self.counts[place.plane]
                counts[label] = counts.get(label, 0) + n_pixels
            if self._allowed is not None and label not in self._allowed:
                first, n_before = self._strange.get(label, (place, 0))
                self._strange[label] = (first, n_before + n_pixels)

    def _go_up(self, pool: ThreadPoolExecutor, place: _Place, found: _Found) -> None:
        """Hand a tile to the level above, and look at the tile there if it is known in full."""
        if not self._builder.wants(place.level):
            return
        above = _Place(place.plane, place.level + 1, place.row // 2, place.col // 2)
        quarter = found.quarter
        if quarter is None:
            self._unknown.add(above)
            quarter = 0
        expected = self._builder.add(place.level, place.row, place.col, quarter)
        if expected is not None:
            self._submit(pool, above, None if above in self._unknown else expected)

    def _problem(self, place: _Place, kind: str, text: str) -> Problem:
        plane = place.plane if self._mask.n_planes > 1 else None
        return Problem(text, kind, place.level, place.row, place.col, plane)


def _n_comparable(mask: MaskFile) -> int:
    """Number of levels, from level 0 up, whose tiles lie as a pyramid of ours has them."""
    levels = mask.levels
    tile = levels[0].tile
    if tile.width_px != tile.height_px or tile.width_px % 2:
        return 1
    n_levels = 1
    while (
        n_levels < len(levels)
        and levels[n_levels].tile == tile
        and levels[n_levels].size == levels[n_levels - 1].size.halved()
    ):
        n_levels += 1
    return n_levels


def _half(pixels: Pixels | None) -> Pixels | None:
    return None if pixels is None else subsample(pixels)


def _n_different(pixels: Pixels, expected: Pixels, area_px: int) -> int:
    """Number of pixels that differ."""
    if isinstance(pixels, int) and isinstance(expected, int):
        return 0 if pixels == expected else area_px
    return int(np.count_nonzero(np.asarray(pixels) != np.asarray(expected)))
