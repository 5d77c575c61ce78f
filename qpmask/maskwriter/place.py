"""Where a mask and its journal are, and the lock that only one writer can hold."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from qpmask.errors import MaskError, OutputError
from qpmask.maskwriter.journal import JournalReader
from qpmask.outputs import writing

JOURNAL_SUFFIX = ".writing"


def journal_path(path: Path | str) -> Path:
    """The journal of a mask; ``path`` may be either of the two."""
    path = Path(path)
    if path.name.endswith(JOURNAL_SUFFIX):
        return path
    mask = mask_path(path)
    return mask.with_name(mask.name + JOURNAL_SUFFIX)


def mask_path(path: Path | str) -> Path:
    """The mask that is made of a journal; ``path`` may be either of the two."""
    path = Path(path)
    if not path.name.removesuffix(JOURNAL_SUFFIX):
        raise OutputError(f"The mask {path} cannot be written: it is no file name.")
    return path.with_name(path.name.removesuffix(JOURNAL_SUFFIX))


@contextlib.contextmanager
def locked(path: Path | str) -> Iterator[None]:
    """Hold the lock of a mask that is being written, until the process ends at the latest.

    Raises
    ------
    OutputError
        If somebody else holds it.
    """
    release = lock(path)
    try:
        yield
    finally:
        release()


def lock(path: Path | str) -> Callable[[], None]:
    """Take the lock of a mask; returns what releases it.

    Raises
    ------
    OutputError
        If somebody else holds it, or there is no such folder.
    """
    from filelock import FileLock, Timeout

    mask, journal = mask_path(path), journal_path(path)
    place = journal.with_name(f"{journal.name}.lock")
    # Of the object, not of the thread: a writer may be closed by another thread.
    held = FileLock(place, thread_local=False)
    with writing(mask, "The mask"):
        if not mask.parent.is_dir():
            raise OutputError(
                f"The mask {mask} cannot be written: there is no folder {mask.parent}.",
                hint="Make it first.",
            )
        if mask.is_dir():
            raise OutputError(f"The mask {mask} cannot be written: it is a folder.")
        try:
            held.acquire(timeout=0)
        except Timeout as error:
            if not place.exists():  # it could not be made, which is no sign of another one
                raise OutputError(
                    f"The mask {mask} cannot be written: no file can be made in {mask.parent}.",
                    hint="Choose another folder.",
                ) from error
            raise OutputError(
                f"Another writer is at work on {mask}.",
                hint="Close it first, or choose another name.",
            ) from error

    def release() -> None:
        # While it is held, so that nobody else's is removed; Windows does not remove open files.
        with contextlib.suppress(OSError):
            place.unlink()
        held.release()
        if os.name == "nt":
            with contextlib.suppress(OSError):
                place.unlink()

    return release


def make_room(path: Path, *, discard: bool | None) -> None:
    """See to it that there is no journal of this mask.

    Parameters
    ----------
    path : Path
        The mask.
    discard : bool, optional
        Whether to remove one with writes in it; None where the caller's user cannot say so.

    Raises
    ------
    OutputError
        If there is one, or it cannot be removed.
    """
    journal = journal_path(path)
    if not journal.exists():
        return
    if not discard:
        try:
            with JournalReader(journal) as reader:
                n_writes: int | None = reader.contents(verify=False).n_writes
        except MaskError:
            n_writes = None
        if n_writes != 0:
            count = "writes" if n_writes is None else f"{n_writes:,} write" + "s" * (n_writes != 1)
            raise OutputError(
                f"An earlier writer of {path} left {count} unfinished in {journal}.",
                hint="Make the mask with `qpmask finalize`, go on with MaskWriter.resume(path), or "
                + (
                    f"remove {journal.name}."
                    if discard is None
                    else "throw them away with discard_unfinished=True."
                ),
            )
    try:
        journal.unlink()
    except OSError as error:
        raise OutputError(
            f"{journal} cannot be removed: {error.strerror or error}.",
            hint="Remove it yourself.",
        ) from error
