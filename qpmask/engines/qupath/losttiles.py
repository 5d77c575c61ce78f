"""Tiles that QuPath lost: noticed, and made errors.

QuPath's writer logs what befalls a tile and goes on; the tile then reads as background.
"""

from __future__ import annotations

from typing import Any

from qpmask.common.words import count_text
from qpmask.engines import jvm
from qpmask.engines.qupath.countingserver import CountingServer
from qpmask.errors import EngineOutOfMemoryError, LostTilesError


def check_none_lost(server: CountingServer, error: Any, label: str) -> None:
    """Make sure that QuPath drew every tile it was asked for.

    Parameters
    ----------
    server : CountingServer
        What it read the tiles from.
    error : Exception or None
        What ended its writing.
    label : str
        Names the image.

    Raises
    ------
    LostTilesError
        It did not.
    EngineOutOfMemoryError
        It did not, since memory ran out.
    """
    import jpype

    failures = jvm.catcher.errors()
    if server.failure is not None:
        cause = jvm.translate(server.failure, f"QuPath could not draw {label}")
        if isinstance(cause, EngineOutOfMemoryError):
            raise cause
        failures = failures or [cause.message]
    if error is not None and not isinstance(error, jpype.JException):
        raise error
    if failures:
        hint = None
        if any("No space left" in text for text in failures):
            hint = "Free some space, or write to another disk."
        raise LostTilesError(
            f"QuPath lost {count_text(len(failures), 'tile')} of {label}. "
            f"The first, {failures[0]}.",
            hint=hint,
        )
    if error is not None:
        raise error  # a Java exception, which java_errors() translates


def lost(label: str, why: str) -> LostTilesError:
    """The error for a tile that could not be read back."""
    return LostTilesError(
        f"QuPath lost a tile of {label}: {why}",
        hint="The Java heap may be too small (--jvm-memory), or the disk full.",
    )
