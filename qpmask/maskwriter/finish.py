"""A journal in, a checked mask under its name out."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from qpmask.common.arguments import check_callable, flag, path_of
from qpmask.errors import MaskCheckError, MaskError
from qpmask.maskwriter.journal import Contents, JournalReader
from qpmask.maskwriter.place import journal_path, locked, mask_path
from qpmask.maskwriter.replay import replay
from qpmask.maskwriter.writerplan import check_threads
from qpmask.ometiff.check import check_mask
from qpmask.ometiff.layout import MaskLayout, Tiles, WriteResult
from qpmask.ometiff.omexml import MaskMetadata
from qpmask.ometiff.writer import write_mask
from qpmask.outputs import sync_folder, writing

_log = logging.getLogger(__name__)

OnTile = Callable[[int], None]


def finalize(
    path: Path | str,
    *,
    skip_damaged: bool = False,
    on_tile: OnTile | None = None,
    threads: int | None = None,
) -> WriteResult:
    """Make the mask of a :class:`MaskWriter` whose process died, or whose ``with`` failed.

    Parameters
    ----------
    path : Path or str
        The mask, or the file ``PATH.writing`` beside it.
    skip_damaged : bool
        Whether to leave out writes whose bytes are damaged. Without it such a file is an error,
        and nothing is changed. (A last write that was not finished is always left out.)
    on_tile : callable, optional
        Called with the number of tiles of level 0 finished so far.
    threads : int, optional
        Threads that compress; by default as many as there are processors, four at most.

    Returns
    -------
    WriteResult
        What was written. ``PATH.writing`` is gone.

    Raises
    ------
    MaskError
        If there are no such writes, or they are damaged.
    OutputError
        If another process is writing this mask, or it cannot be written. The writes stay.
    """
    path = path_of(path, "path")
    skip_damaged = flag(skip_damaged, "skip_damaged")
    check_threads(threads)
    check_callable(on_tile, "on_tile", "a function that takes a number")
    with locked(path):
        contents = recover(path, skip_damaged=skip_damaged)
        return finish(path, contents, on_tile, threads)


def recover(path: Path | str, *, skip_damaged: bool = False) -> Contents:
    """Read the journal that a crash left, in full.

    Raises
    ------
    MaskError
        If there is none, or it is damaged.
    """
    journal = journal_path(path)
    if not journal.is_file():
        raise MaskError(
            f"There are no unfinished writes of {mask_path(path)}: there is no file {journal}.",
            hint="They are kept there until the mask is made.",
        )
    with JournalReader(journal) as reader:
        contents = reader.contents(verify=True)
    if contents.damaged:
        n_bytes = sum(end - start for start, end in contents.damaged)
        text = (
            f"{journal} is damaged: {n_bytes:,} bytes in {len(contents.damaged)} places, the first "
            f"at byte {contents.damaged[0][0]:,}, are no writes; {contents.n_writes:,} writes are "
            "whole."
        )
        if not skip_damaged:
            raise MaskError(
                text,
                hint="qpmask finalize --skip-damaged makes a mask of those "
                "(finalize(path, skip_damaged=True)).",
            )
        _log.warning("%s The others are left out.", text)
    if contents.n_cut_bytes:
        _log.warning(
            "%s ends with a write that was not finished (%s bytes); it is left out, %s are whole.",
            journal, f"{contents.n_cut_bytes:,}", f"{contents.n_writes:,}",
        )  # fmt: skip
    return contents


def finish(
    path: Path | str, contents: Contents, on_tile: OnTile | None, threads: int | None
) -> WriteResult:
    """Make the mask of a journal, and remove the journal. Needs the lock."""
    plan = contents.plan
    layout = plan.layout(contents.largest)
    metadata = plan.metadata(contents.largest)
    journal = journal_path(path)
    with JournalReader(journal) as reader:
        tiles = replay(contents, reader, layout.pixel_dtype)
        result = publish(mask_path(path), layout, metadata, tiles, on_tile, threads)
    with contextlib.suppress(OSError):
        journal.unlink()
    return result


def publish(
    path: Path,
    layout: MaskLayout,
    metadata: MaskMetadata,
    tiles: Iterable[Tiles],
    on_tile: OnTile | None,
    threads: int | None,
) -> WriteResult:
    """Write a mask beside its name, check it, and rename it. Needs the lock.

    Raises
    ------
    MaskCheckError
        If what was written does not read back as it should.
    OutputError
        If it cannot be written. Whatever is raised, a file that had the name has it still.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        result = write_mask(part, layout, metadata, tiles, on_tile=on_tile, threads=threads)
        report = check_mask(part, counts=result.counts, threads=threads)
        if not report.ok:
            raise MaskCheckError(
                f"The mask {path} did not read back as it was written: {report.problems[0]}.",
                hint="The disk or the memory may be failing; nothing was replaced.",
            )
        with writing(path, "The mask"):
            part.replace(path)
            sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
    return result._replace(path=path)
