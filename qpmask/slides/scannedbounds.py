"""Where an image lies in its file, once the slide itself has been asked for its bounds."""

from __future__ import annotations

import logging
from pathlib import Path

from qpmask.errors import FrameError
from qpmask.geometry.frames import Frame
from qpmask.slides.with_openslide import size_and_bounds

_log = logging.getLogger(__name__)


def located(frame: Frame, path: Path | None) -> Frame:
    """The frame counted from the file's level 0, where the slide and OpenSlide are there.

    A project does not say where the scanned part of a slide lies that QuPath cut it to
    (``openslide.bounds-*``); the slide does.

    Parameters
    ----------
    frame : Frame
        As the project has it.
    path : Path, optional
        The slide on this machine.

    Returns
    -------
    Frame
        The same where nothing was cut, or the slide cannot be asked, or is another one.
    """
    if path is None or frame.matrix is None or frame.file is None or frame.file.cut == "no":
        return frame
    try:
        size, bounds = size_and_bounds(path)
        matrix = frame.to_file(size, bounds)
    except (ImportError, OSError, ValueError, RuntimeError, FrameError) as error:
        _log.debug("%s was not asked for its bounds: %s", path, error)
        return frame
    steps = frame.steps
    if bounds is not None and matrix != frame.matrix:
        cut = f"cut to {bounds.size} pixels at x {bounds.x_px0:,}, y {bounds.y_px0:,}"
        steps = (*steps, f"{cut} (what was scanned)")
    file = frame.file._replace(size=size, cut="no")
    return frame._replace(matrix=matrix, file=file, steps=steps)
