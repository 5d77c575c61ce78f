"""``MaskWriter``: blocks of labels in any order become a mask."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from numpy.typing import ArrayLike

from qpmask.common.arguments import flag, path_of
from qpmask.errors import MaskError, OutputError, QpmaskError
from qpmask.geometry import PixelSize, Size
from qpmask.maskwriter.blocks import Rule, take_block
from qpmask.maskwriter.finish import OnTile, finish, recover
from qpmask.maskwriter.journal import Journal, JournalReader
from qpmask.maskwriter.packedwrites import pack_block
from qpmask.maskwriter.place import journal_path, lock, make_room, mask_path
from qpmask.maskwriter.stream import from_tiles
from qpmask.maskwriter.writerplan import Classes, MaskOptions, WriterPlan, check_threads
from qpmask.ometiff.layout import WriteResult

_log = logging.getLogger(__name__)


class MaskWriter:
    """Writes blocks of labels at any place, in any size and order, into one mask.

    ::

        with MaskWriter("slide.ome.tif", 60_000, 40_000, classes={1: "Tumor"}, mpp=0.25) as mask:
            for x, y, labels in predictions:
                mask.write(x, y, labels)

    Each write is appended to the file ``PATH.writing`` before :meth:`write` returns. At the end of
    the ``with`` (or by :meth:`close`) they become a pyramidal OME-TIFF, which is read back and
    checked before it takes the name ``PATH``; an older file of that name stays until then. Pixels
    that were never written are 0, the background.

    If the ``with`` block raises, no mask is made, and what was written stays in ``PATH.writing``,
    as it does if the process is killed. ``qpmask finalize PATH`` or :func:`qpmask.finalize` makes a
    mask of it, :meth:`resume` goes on with it, and deleting the file gives it up.

    Parameters
    ----------
    path : Path or str
        The mask, by convention ``*.ome.tif``.
    width, height : int
        Its size in pixels.
    classes : ClassMap, mapping of labels to names or of names to labels, or list of ClassRow
        The class table. With one, writing a label that it lacks is an error (0 is always allowed).
    mpp : float, (float, float) or PixelSize, optional
        Micrometres per pixel of the mask.
    tile_size : int
        Edge of the tiles of the file, a multiple of 16.
    dtype : {"uint8", "uint16", "uint32"}, optional
        Pixel type; by default the smallest one that holds the labels.
    compression : {"lzw", "zlib", "zstd", "packbits", "png", "none"}
        LZW and zlib are what every reader knows. zstd is read by Bio-Formats 7.3 (QuPath 0.6) and
        not by 6.7; PNG inside a TIFF by tifffile and qpmask alone. Builds of libvips that lack one
        of the two return zeros without a word.
    pyramid : bool
        Whether to add smaller levels (every second pixel of the level before: labels are never
        mixed).
    bits : bool
        Whether a pixel takes one bit: labels 0 and 1 only. tifffile and Pillow then return bool,
        OpenSlide and libvips 0 and 255, GDAL and qpmask 0 and 1. Not for QuPath: its Bio-Formats
        (7.3) reads wrong pixels, without a word, where a level's width is no multiple of 8. Not
        with ``png``.
    name : str, optional
        Name of the image that viewers show; by default the file's.
    extra : mapping of str to str, optional
        Further metadata, such as the name of the model.
    discard_unfinished : bool
        Whether to throw away what an earlier writer of the same mask left unfinished.
    threads : int, optional
        Threads that compress in the end; by default as many as there are processors, four at most.

    Raises
    ------
    OptionsError
        If the options make no sense.
    OutputError
        If the folder is missing or cannot be written to, another writer is at work on the mask, or
        an earlier one left writes that are not finished.

    Notes
    -----
    Safe from several threads of one process; each write is atomic, and the last of them to return
    wins. A killed process loses nothing; of a computer that stops, :meth:`flush` saves what was
    written so far. ``PATH.writing`` grows with every write, also over old ones, by the compressed
    size of the block: a few percent of its pixels.
    """

    def __init__(
        self,
        path: Path | str,
        width: int,
        height: int,
        *,
        classes: Classes | None = None,
        mpp: float | tuple[float, float] | PixelSize | None = None,
        tile_size: int = 512,
        dtype: str | None = None,
        compression: str = "lzw",
        pyramid: bool = True,
        bits: bool = False,
        name: str | None = None,
        extra: Mapping[str, str] | None = None,
        discard_unfinished: bool = False,
        threads: int | None = None,
    ) -> None:
        path = path_of(path, "path")
        check_threads(threads)
        options = MaskOptions(
            classes, mpp, tile_size, dtype, compression, pyramid, bits, name, extra
        )
        plan = options.plan(path, width, height)
        release = lock(path)
        try:
            make_room(path, discard=discard_unfinished)
            journal = Journal.create(journal_path(path), plan)
        except BaseException:
            release()
            raise
        self._start(path, plan, journal, release, 0, threads)

    def _start(
        self,
        path: Path,
        plan: WriterPlan,
        journal: Journal,
        release: Callable[[], None],
        n_writes: int,
        threads: int | None,
    ) -> None:
        self._path = path
        self._plan = plan
        self._journal = journal
        self._release = release
        self._threads = threads
        self._n_writes = n_writes
        self._result: WriteResult | None = None
        self._is_open = True
        self._n_busy = 0  # threads inside write
        self._state = threading.Condition()
        self._closing = threading.RLock()  # held while the mask is made
        self._process = os.getpid()

    @classmethod
    def resume(cls, path: Path | str, *, threads: int | None = None) -> MaskWriter:
        """Go on with what an earlier writer left unfinished; its options hold.

        Parameters
        ----------
        path : Path or str
            The mask, or ``PATH.writing``.
        threads : int, optional
            As for a new writer.

        Raises
        ------
        MaskError
            If there is nothing unfinished, or it is damaged.
        OutputError
            If another writer is at work on the mask.
        """
        path = mask_path(path_of(path, "path"))
        check_threads(threads)
        release = lock(path)
        try:
            contents = recover(path)
            journal = Journal.reopen(journal_path(path), contents)
        except BaseException:
            release()
            raise
        writer = cls.__new__(cls)
        writer._start(path, contents.plan, journal, release, contents.n_writes, threads)
        return writer

    from_tiles = staticmethod(from_tiles)

    # --- writing ------------------------------------------------------------------------------

    def write(
        self,
        x: int,
        y: int,
        block: ArrayLike,
        *,
        rule: Rule = "replace",
        where: ArrayLike | None = None,
        clip: bool = False,
    ) -> None:
        """Write a block of labels.

        Parameters
        ----------
        x, y : int
            Top left pixel of the block in the mask. May be negative, as long as a part of the block
            lies inside.
        block : array of bool or integers, shape (rows, columns)
            The labels.
        rule : {"replace", "max", "keep"}
            Where something was written before: the new label, the greater of the two, or the old
            one unless it is 0.
        where : array of bool, optional
            Which pixels are written, of the block's shape. The others may hold anything.
        clip : bool
            Whether the block may have labels beyond the mask, which are cut off: for tiles padded
            at the edge. Otherwise only background may lie there, so that a mask of another size or
            blocks in another place are noticed.

        Raises
        ------
        MaskError
            If the block is no array of labels, has labels that the class table or the pixel type
            lacks, or the writer is closed.
        OptionsError
            If the block lies wholly outside, has labels outside (without `clip`), or position or
            rule make no sense.
        OutputError
            If the block cannot be kept, as on a full disk.
            Whatever is raised, nothing of the block is written, and the writer can be used further.
        """
        with self._in_use():
            clip = flag(clip, "clip")
            taken = take_block(self._plan, x, y, block, rule, where, clip=clip)
            if taken is None:
                return
            record = pack_block(taken, self._plan.tile_px)
            if not record:
                return
            try:
                self._journal.append(record)
            except OutputError as error:
                raise OutputError(
                    f"The block at x = {x:,}, y = {y:,} was not written. {error.message}",
                    hint=f"{error.hint} Earlier writes are safe; write this one again.",
                ) from error
            with self._state:
                self._n_writes += 1

    def flush(self) -> None:
        """Wait until all that was written is on the disk, so that even a power cut spares it."""
        with self._in_use():
            self._journal.sync()

    def close(self, *, on_tile: OnTile | None = None) -> WriteResult:
        """Make the mask; a second call returns the same result.

        Parameters
        ----------
        on_tile : callable, optional
            Called with the number of tiles of the mask finished so far.

        Returns
        -------
        WriteResult
            Pixels by label, sizes.

        Raises
        ------
        OutputError
            If the mask cannot be written. What was written stays for ``qpmask finalize``.
        MaskError
            If the writer was closed before by an exception.
        """
        if self._is_foreign:
            raise self._of_another_process()
        with self._closing:
            return self._close(on_tile)

    def _close(self, on_tile: OnTile | None) -> WriteResult:
        if not self._end():
            if self._result is None:
                raise self._closed()
            return self._result
        try:
            with JournalReader(self._journal.path) as reader:
                contents = reader.contents(verify=False)
            if contents.n_cut_bytes or contents.damaged:
                contents = recover(self._path)
            self._result = finish(self._path, contents, on_tile, self._threads)
        except BaseException as error:
            self._keep(error)
            raise
        finally:
            self._release()
        return self._result

    def discard(self) -> None:
        """Give up all that was written; no mask is made."""
        if self._end():
            with contextlib.suppress(OSError):
                self._journal.path.unlink()
            self._release()

    def __enter__(self) -> MaskWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            if self._is_open:
                self.close()
        elif self._end():
            self._keep(error)
            self._release()

    # --- what it is ---------------------------------------------------------------------------

    @property
    def path(self) -> Path:
        """The mask."""
        return self._path

    @property
    def size(self) -> Size:
        """Its size."""
        return self._plan.size

    @property
    def n_writes(self) -> int:
        """Number of writes so far, those of an earlier process included after :meth:`resume`."""
        return self._n_writes

    @property
    def result(self) -> WriteResult | None:
        """What was made, once it is."""
        return self._result

    def __del__(self) -> None:
        # Also where __init__ failed.
        if getattr(self, "_is_open", False) and not self._is_foreign:
            self._is_open = False
            with contextlib.suppress(Exception):
                self._journal.close()
                self._keep(None)
                self._release()

    def __repr__(self) -> str:
        state = "open" if self._is_open else "closed"
        return f"<MaskWriter {self._path} {self.size}, {self._n_writes:,} writes, {state}>"

    def __reduce__(self) -> Any:
        raise TypeError(
            "A MaskWriter cannot be sent to another process: send the predictions to the process "
            "that has the writer."
        )

    # --- behind the scenes --------------------------------------------------------------------

    @contextlib.contextmanager
    def _in_use(self) -> Any:
        """Keep the journal open while a thread uses it."""
        with self._state:
            if self._is_foreign:
                raise self._of_another_process()
            if not self._is_open:
                raise self._closed()
            self._n_busy += 1
        try:
            yield
        finally:
            with self._state:
                self._n_busy -= 1
                self._state.notify_all()

    def _end(self) -> bool:
        """Close the journal once no thread uses it; False if it was closed before.

        Neither does a fork of the process that has the writer close it: what there is, the journal
        and its lock, is not the fork's.
        """
        if self._is_foreign:
            return False
        with self._state:
            if not self._is_open:
                return False
            self._is_open = False
            try:
                self._state.wait_for(lambda: self._n_busy == 0)
            except BaseException:  # Ctrl-C: closing can be tried again
                self._is_open = True
                raise
        try:
            self._journal.close()
        except BaseException:
            self._release()
            raise
        return True

    @property
    def _is_foreign(self) -> bool:
        return os.getpid() != self._process

    def _of_another_process(self) -> MaskError:
        return MaskError(
            f"The writer of {self._path} belongs to the process {self._process}.",
            hint="Send the predictions to that process; a fork must not write.",
        )

    def _closed(self) -> MaskError:
        return MaskError(
            f"The writer of {self._path} is closed.",
            hint="MaskWriter.resume(path) goes on with what it left unfinished, if anything.",
        )

    def _keep(self, error: BaseException | None) -> None:
        """Keep the journal of a writer that made no mask, and say so; an empty one goes."""
        if self._n_writes == 0:
            with contextlib.suppress(OSError):
                self._journal.path.unlink()
            return
        text = (
            f"{self._n_writes:,} writes of {self._path} are kept in {self._journal.path}: make the "
            "mask with `qpmask finalize`, go on with MaskWriter.resume, or delete that file."
        )
        _log.warning("%s", text)
        if isinstance(error, QpmaskError):
            error.hint = f"{error.hint} {text}" if error.hint else text
        elif error is not None and hasattr(error, "add_note"):  # Python 3.11
            error.add_note(text)
