"""Which levels of a mask hold labels: those of other programs may hold averages of them."""

from __future__ import annotations

import logging
import threading

from qpmask.mask.averagedlevels import is_averaged
from qpmask.ometiff.reader import MaskFile

_log = logging.getLogger(__name__)


class SoundLevels:
    """The levels of a plane that were looked at; each is looked at once, when it is first wanted.

    Parameters
    ----------
    file : MaskFile
        The open file.
    plane : int
        Which plane.
    threads : int
        Threads that read and compare.
    """

    def __init__(self, file: MaskFile, plane: int, threads: int) -> None:
        self._file, self._plane, self._threads = file, plane, threads
        self._lock = threading.Lock()  # held while levels are looked at
        self._is_mixed = False  # whether the level after them does not
        self.n_levels = 1
        """Levels that are known to hold labels."""

    @property
    def seen(self) -> tuple[int, bool]:
        """What was found, for another process."""
        with self._lock:
            return self.n_levels, self._is_mixed

    @seen.setter
    def seen(self, found: tuple[int, bool]) -> None:
        self.n_levels, self._is_mixed = found

    def up_to(self, level: int) -> int:
        """How many of the levels up to this one hold labels, all before them as well."""
        with self._lock:
            while self.n_levels <= level and not self._is_mixed:
                # qpmask compared its own with level 0 when it made the file.
                if self._file.structure.writer != "qpmask" and is_averaged(
                    self._file, self._plane, self.n_levels, self._threads
                ):
                    self._is_mixed = True
                    _log.warning(
                        "%s: level %d mixes labels, as pyramids of photographs do; what is smaller "
                        "is picked from level %d, which takes longer.",
                        self._file.path, self.n_levels, self.n_levels - 1,
                    )  # fmt: skip
                else:
                    self.n_levels += 1
            return self.n_levels
