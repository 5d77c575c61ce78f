"""A data file that its plan and its drawing read: its objects are kept in between."""

from __future__ import annotations

from pathlib import Path

from qpmask.imageobjects import NO_OUTLINES, ImageObjects, Outlines
from qpmask.outputs import file_state
from qpmask.qpdata import read_qpdata


class ReadOnce:
    """Keeps the objects of one data file for whoever reads the same once more.

    Parameters
    ----------
    outlines : Outlines
        Which outlines will be needed.
    """

    def __init__(self, outlines: Outlines) -> None:
        self._outlines = outlines
        self._kept: tuple[Path, tuple[int, ...], ImageObjects] | None = None

    def first(self, path: Path) -> ImageObjects:
        """Read a data file and keep what it holds; errors are those of :func:`read_qpdata`."""
        self._kept = None
        state = file_state(path)
        try:
            objects = read_qpdata(path, outlines=self._outlines)
        except MemoryError:  # the drawing of this image will say so
            return read_qpdata(path, outlines=NO_OUTLINES)
        self._kept = path, state, objects
        return objects

    def forget(self) -> None:
        """Let go of it: nobody will ask."""
        self._kept = None

    def again(self, path: Path, *, outlines: Outlines) -> ImageObjects:
        """What was kept, which is let go of; read anew if the file or what is needed is another."""
        kept, self._kept = self._kept, None
        if kept is not None and outlines == self._outlines:
            of, state, objects = kept
            if of == path and state and state == file_state(path):
                return objects
            del objects
        del kept  # before there are others
        return read_qpdata(path, outlines=outlines)
