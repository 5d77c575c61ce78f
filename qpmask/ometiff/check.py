"""Reads a mask back and says what is wrong with it.

In: a file, and what it should hold. Out: a :class:`CheckReport` with one :class:`Problem` for each
thing that is wrong, in words for people. Every tile of every level is decoded, and every level is
compared with the subsampling of level 0 while level 0 streams by, so memory stays small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qpmask.common.arguments import check_callable, path_of, shown, whole_number
from qpmask.errors import MaskError, WrongTypeError
from qpmask.geometry import Size
from qpmask.ometiff import kernels
from qpmask.ometiff.labelcount import LabelCounter
from qpmask.ometiff.omexml import ClassRow, MaskMetadata
from qpmask.ometiff.pyramid import Above
from qpmask.ometiff.reader import MaskFile
from qpmask.ometiff.runs import RunStrip
from qpmask.ometiff.stripqueue import StripQueue
from qpmask.ometiff.stripreader import StripRead, StripReader
from qpmask.ometiff.strips import StripPlace
from qpmask.ometiff.structurecheck import structure_problems

__all__ = ["CheckReport", "Problem", "check_mask"]

_MAX_PROBLEMS = 100

Counts = Mapping[int, int]


class Problem(NamedTuple):
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


class CheckReport(NamedTuple):
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
    path = path_of(path, "path")
    threads = None if threads is None else whole_number(threads, "threads")
    check_callable(on_tile, "on_tile", "a function that takes a number")
    _check_arguments(counts, classes)
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
        job.run(on_tile, threads)
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


def _check_arguments(counts: object, classes: object) -> None:
    """Raise WrongTypeError unless both are what :func:`check_mask` takes."""
    if not isinstance(counts, Mapping | Sequence | np.ndarray | None) or isinstance(counts, str):
        raise WrongTypeError(
            f"counts is {shown(counts)}; it must be a mapping of labels to pixels, or one a plane."
        )
    if not isinstance(classes, Iterable | None) or isinstance(classes, str):
        raise WrongTypeError(f"classes is {shown(classes)}; it must be a list of labels.")


class _Found(NamedTuple):
    """A strip, read and looked at."""

    read: StripRead
    counts: dict[int, int]
    n_wrong: NDArray[np.int64] | None = None  # pixels of each tile that differ from level 0


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
        self._reader = StripReader(mask)
        self._n_compared = _n_comparable(mask)
        self._counter = LabelCounter(mask.dtype)
        # Labels that no class has: where first.
        self._strange: dict[int, tuple[StripPlace, int, int]] = {}
        # Labels of levels that cannot be compared with level 0, by plane and level.
        self._in_level: dict[tuple[int, int], set[int]] = {}

    def add(self, problem: Problem) -> None:
        """Note a problem."""
        self.n_problems += 1
        if len(self.problems) < _MAX_PROBLEMS:
            self.problems.append(problem)

    def run(self, on_tile: Callable[[int], None] | None, threads: int | None) -> None:
        """Look at all tiles of all planes and levels."""
        compared = self._reader.grids[: self._n_compared]
        queue: StripQueue[Above | None, _Found]
        with StripQueue(compared, self._look, self._look_at_known, threads) as queue:
            for place, found in queue.results(self._strips()):
                n_tiles = found.read.tiles.shape.n_tiles
                self.n_tiles += n_tiles
                self._note(place, found)
                if place.level == 0:
                    self._n_done += n_tiles
                    if on_tile is not None:
                        on_tile(self._n_done)
        for (at_plane, at_level), labels in sorted(self._in_level.items()):
            if invented := sorted(labels - self.counts[at_plane].keys()):
                some = ", ".join(map(str, invented[:5])) + (", ..." if len(invented) > 5 else "")
                text = f"it has labels that level 0 lacks: {some}; was it averaged?"
                several = self._mask.n_planes > 1
                self.add(Problem(text, "pyramid", at_level, plane=at_plane if several else None))
        for label, (first, k, n_pixels) in sorted(self._strange.items()):
            text = f"the label {label} is in no class; {n_pixels:,} pixels have it, the first here"
            self.add(self._problem(first, k, "label", text))

    def _strips(self) -> Iterator[tuple[StripPlace, None]]:
        """The strips of level 0 and of all levels that do not follow from it."""
        for plane in range(self._mask.n_planes):
            for level, grid in enumerate(self._reader.grids):
                if 0 < level < self._n_compared:
                    continue
                for row in range(grid.n_rows):
                    for number in range(grid.n_strips):
                        yield StripPlace(plane, level, row, number), None

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

    def _look_at_known(
        self, place: StripPlace, whole: Above | None, above: Above | None
    ) -> _Found | None:
        """Look at a strip that needs no reading, since its bytes were met before."""
        if whole is not None and whole.tiles.runs.has_mixed:
            return None
        known = self._reader.known(place.level, place.plane, place.row, place.number)
        return None if known is None else self._look(place, whole, above, known)

    def _look(
        self,
        place: StripPlace,
        whole: Above | None,
        above: Above | None,
        read: StripRead | None = None,
    ) -> _Found:
        """Read a strip and look at it; ``whole`` is what level 0 makes of it. On any thread."""
        if read is None:
            read = self._reader.read(place.level, place.plane, place.row, place.number)
        if whole is None:
            if above is not None:
                above.take(read.tiles, place.row, place.number)
            return _Found(read, self._counter.count(read.tiles.runs))
        expected = whole.tiles
        # What a level holds is compared with level 0, not with the level below as it happens to be.
        if above is not None:
            above.take(expected, place.row, place.number)
        n_wrong = np.zeros(expected.shape.n_tiles, np.int64)
        kernels.compare(read.tiles.runs, expected.runs, n_wrong)
        if not n_wrong.any():
            return _Found(read, {})
        return _Found(read, self._counter.count(read.tiles.runs), n_wrong)

    def _note(self, place: StripPlace, found: _Found) -> None:
        """Turn what was found into problems and counts."""
        for k, error in sorted(found.read.errors.items()):
            self.add(self._problem(place, k, "tile", error))
        if found.n_wrong is not None:
            for k in np.flatnonzero(found.n_wrong).tolist():
                text = (
                    f"{found.n_wrong[k]:,} of {found.read.tiles.shape.area(k):,} pixels differ "
                    f"from level 0 subsampled by {2**place.level}"
                )
                self.add(self._problem(place, k, "pyramid", text))
        if place.level > 0 and found.n_wrong is None:
            self._in_level.setdefault((place.plane, place.level), set()).update(found.counts)
        for label, n_pixels in found.counts.items():
            if place.level == 0:
                counts = self.counts[place.plane]
                counts[label] = counts.get(label, 0) + n_pixels
            if self._allowed is not None and label not in self._allowed:
                if label in self._strange:
                    first, k, n_before = self._strange[label]
                else:
                    first, k, n_before = place, _first_with(label, found.read.tiles.runs), 0
                self._strange[label] = (first, k, n_before + n_pixels)

    def _problem(self, place: StripPlace, k: int, kind: str, text: str) -> Problem:
        plane = place.plane if self._mask.n_planes > 1 else None
        col = place.number * self._reader.grids[place.level].tiles_per_strip + k
        return Problem(text, kind, place.level, place.row, col, plane)


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


def _first_with(label: int, runs: RunStrip) -> int:
    """Number of the first tile of a strip that holds a label."""
    first = int(np.flatnonzero(runs.values == label)[0])
    return int(np.searchsorted(runs.start, first, side="right")) - 1
