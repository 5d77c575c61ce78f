"""Drives the compiled parser: gives it the file in pieces, room for what it finds, and classes.

The kernel (:mod:`.kernel.datafile`) reads unit after unit and stops where something is missing;
what is missing is brought, and it goes on at the beginning of the unit. What is not in its grammar
is left to :mod:`.plain`.
"""

from __future__ import annotations

from io import RawIOBase
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from qpmask.errors import DataFileError
from qpmask.jit import packed
from qpmask.qpdata.classforms import NO_CLASSES
from qpmask.qpdata.columns import StoredClass, image_objects, named_classes
from qpmask.qpdata.kernel import library as k
from qpmask.qpdata.kernel.datafile import parse
from qpmask.qpdata.model import ImageObjects, ObjectDetails
from qpmask.qpdata.names import VERSIONS, stored_id, version_of
from qpmask.qpdata.outlines import OutlineSieve, Wanted
from qpmask.qpdata.plain.javastream import STREAM_HEADER, JavaStream

WINDOW_BYTES: Final = 2 << 20
"""How much of a file is looked at at a time, unless something in it is longer."""
MAX_CLASSES: Final = 1000  # each is looked for among all
_MAX_SHARED: Final = 200
_FIRST_ROOM: Final = 512


class NotKnownError(Exception):
    """Something is not in the grammar of the parser, is damaged, or refers far back.

    What refers to a text that is no longer in the window can be read with all of the file at once.

    Attributes
    ----------
    short_at : int or None
        Where what is read begins, if the file ends inside it.
    """

    short_at: int | None = None


class Parser:
    """Reads one data file.

    Parameters
    ----------
    file : RawIOBase or None
        The file, at its beginning; None if ``data`` is all of it.
    size : int
        Its bytes.
    data : bytes-like
        All of it, where there is no file.
    details : bool
        Whether colours, measurements and metadata are read.
    outlines : callable, optional
        Which outlines are; all by default.
    """

    _shared = NO_CLASSES  # those of files that were read, for those that follow

    def __init__(
        self,
        file: RawIOBase | None,
        size: int,
        data: bytes = b"",
        *,
        details: bool = False,
        outlines: Wanted | None = None,
    ) -> None:
        self._file = file
        self._window = np.frombuffer(data, np.uint8)
        self._buffer = np.zeros(0, np.uint8)
        self._n_read = len(data)
        self._n = np.zeros(k.N_NUMBERS, np.int64)
        self._n[k.SIZE] = size
        self._n[k.POS] = len(STREAM_HEADER)
        self._n[k.DETAILS] = details
        self._n[[k.SERVER, k.IMAGE_TYPE]] = -1
        self._arrays: dict[str, npt.NDArray[Any]] = {}
        for group in k.GROUPS:
            room = _FIRST_ROOM + min(size, WINDOW_BYTES) // group.bytes_each
            if group.counter >= k.DETAILED and not details:
                room = 0
            for name, dtype, width in group.items:
                self._arrays[name] = np.empty(room * width, dtype)
        self._arrays["ring_offsets"][0] = 0
        self._open_objects = np.empty((k.MAX_LEVELS + 2, 3), np.int64)
        self._frames = np.empty((k.N_FRAMES, 3), np.int64)
        self._key = np.empty(k.KEY_BYTES, np.uint8)
        self._known = Parser._shared
        self._columns: k.Columns | None = None  # as they are now, put together for many calls
        self._sieve = None if outlines is None else OutlineSieve(outlines, self._arrays, self._n)

    def read(self) -> ImageObjects:
        """Read it.

        Raises
        ------
        NotKnownError
            The parser cannot.
        """
        if self._file is not None:
            self._read_more()
        if self._window[:4].tobytes() != STREAM_HEADER:
            raise NotKnownError
        steps = {k.MORE: self._read_more, k.ROOM: self._make_room, k.CLASS: self._describe}
        while (status := self._parse()) != k.END:
            if status not in steps:
                error = NotKnownError()
                if status == k.SHORT:
                    error.short_at = int(self._n[k.BASE] + self._n[k.POS])
                raise error
            steps[status]()
        self._window = self._buffer = np.zeros(0, np.uint8)
        self._columns = None
        if len(Parser._shared) < len(self._known) <= _MAX_SHARED:
            Parser._shared = self._known
        return self._finished()

    def _parse(self) -> int:
        arrays = self._arrays
        if self._columns is None:
            columns = {name: arrays[name] for name in k.Columns._fields if name in arrays}
            self._columns = packed(k.Columns(open_objects=self._open_objects, **columns))
        known = self._known
        stream = k.Stream(
            self._window, self._n, arrays["handles"], known.classes, known.keys, self._key,
            known.steps, self._frames,
        )  # fmt: skip
        return parse(stream, self._columns)

    def _sift(self) -> None:
        """Drop the outlines that are not asked for."""
        open_objects = self._open_objects[: self._n[k.DEPTH], 1]
        if self._sieve is not None and not self._sieve.sift(open_objects):
            raise NotKnownError

    def _read_more(self) -> None:
        """Move the window on, or let it grow if it holds nothing but what is being read."""
        if self._sieve is not None and self._sieve.is_due:
            self._sift()
        n, file = self._n, self._file
        left = int(n[k.SIZE]) - self._n_read
        if file is None or left <= 0:
            raise NotKnownError
        kept = self._window[n[k.POS] if self._n_read else 0 :]
        wanted = min(max(WINDOW_BYTES, 2 * len(kept)), len(kept) + left)
        if wanted > len(self._buffer):
            self._buffer = np.empty(wanted, np.uint8)
        window = self._buffer[:wanted]
        window[: len(kept)] = kept  # in the same buffer, most often
        at = len(kept)
        while at < len(window):
            n_bytes = file.readinto(window[at:].data)
            if not n_bytes:
                raise NotKnownError  # the file was cut meanwhile
            at += n_bytes
        if self._n_read:
            n[k.BASE] += n[k.POS]
            n[k.POS] = 0
        self._n_read += len(window) - len(kept)
        self._window = window

    def _make_room(self) -> None:
        """Let columns grow: as the file goes on, if it goes on as it began."""
        n = self._n
        count = int(n[k.FULL])
        (group,) = (group for group in k.GROUPS if group.counter == count)
        first_name, _, first_width = group.items[0]
        present = len(self._arrays[first_name]) // first_width
        progress = (n[k.BASE] + n[k.POS]) / n[k.SIZE]
        expected = int(1.02 * n[count] / progress) if n[count] > 4096 else 0
        room = max(int(n[k.WANTED]), expected, present + present // 2)
        for name, dtype, width in group.items:
            old = self._arrays[name]
            self._arrays[name] = np.empty(room * width, dtype)
            self._arrays[name][: len(old)] = old
        self._columns = None

    def _describe(self) -> None:
        """Take up the class that the parser has met."""
        start, end, parent = self._n[[k.KEY_START, k.KEY_END, k.ROW]].tolist()
        if len(self._known) >= MAX_CLASSES:
            raise NotKnownError
        try:
            self._known = self._known.with_class(self._key[start:end].tobytes(), parent)
        except DataFileError:
            raise NotKnownError from None

    # ------------------------------------------------------------------- the end

    def _finished(self) -> ImageObjects:
        n, arrays = self._n, self._arrays
        self._sift()
        arrays["handles"] = np.zeros(0, np.int64)
        for group in k.GROUPS:
            for name, _, width in group.items:
                if name != "handles":
                    extra = name == "ring_offsets"
                    arrays[name].resize(int(n[group.counter] + extra) * width, refcheck=False)
        texts = _Texts(arrays["text_bytes"].tobytes(), arrays["text_ends"].tolist())
        version = version_of(texts[0])
        if version not in VERSIONS:
            raise NotKnownError
        stored = arrays["path_classes"].reshape(-1, 4).tolist()

        def stored_class(row: int) -> StoredClass:
            name, color, parent, _ = stored[row]
            argb = None if color < 0 else color - ((color & 0x80000000) << 1)
            return StoredClass(
                None if name < 0 else texts[name], argb, None if parent < 0 else parent
            )

        classes, numbers = named_classes(
            arrays["used_classes"].tolist(), stored_class, lambda _: NotKnownError()
        )
        lookup = np.full(len(stored) + 1, -1, np.int32)  # the last one is for no class
        lookup[list(numbers)] = list(numbers.values())
        server, image_type = int(n[k.SERVER]), int(n[k.IMAGE_TYPE])
        ids = arrays["ids"].view("S36")
        metadata: dict[int, dict[str, str]] = {}
        for number, key, text in arrays["metadata"].reshape(-1, 3).tolist():
            if key < 0:
                ids[number] = stored_id(texts[text])
            elif text >= 0:
                metadata.setdefault(number, {})[texts[key]] = texts[text]
        columns = arrays | {
            "class_index": lookup[arrays["class_index"]],
            "locked": arrays["locked"].view(np.bool_),
            "missing": arrays["missing"].view(np.bool_),
            "ring_is_hole": arrays["ring_is_hole"].view(np.bool_),
            "ids": ids,
            "box_px0": arrays["box"].view(np.float64).reshape(-1, 4),
            "vertices32_px0": arrays["vertices32"].view(np.float32).reshape(-1, 2),
            "vertices64_px0": arrays["vertices64"].view(np.float64).reshape(-1, 2),
        }
        if self._sieve is not None:
            columns["no_points"] = self._sieve.is_empty()
        return image_objects(
            columns,
            version=version,
            server="" if server < 0 else texts[server],
            image_type=None if image_type < 0 else texts[image_type],
            names=_names(arrays["name"], texts),
            classes=classes,
            details=_details(arrays, texts, metadata) if n[k.DETAILS] else None,
        )


class _Texts:
    """The texts that were kept, each decoded once."""

    def __init__(self, data: bytes, ends: list[int]) -> None:
        self._stream = JavaStream(data, source="")
        self._ends = [0, *ends]
        self._found: dict[int, str] = {}
        self._one: dict[str, str] = {}

    def __getitem__(self, number: int) -> str:
        if number not in self._found:
            text = self._stream.decode_text(self._ends[number], self._ends[number + 1])
            self._found[number] = self._one.setdefault(text, text)
        return self._found[number]


def _names(name: npt.NDArray[np.int32], texts: _Texts) -> tuple[str | None, ...]:
    named = np.flatnonzero(name >= 0)
    if not len(named):
        return (None,) * len(name)
    names: list[str | None] = [None] * len(name)
    for row, text in zip(named.tolist(), name[named].tolist(), strict=True):
        names[row] = texts[text]
    return tuple(names)


def _details(
    arrays: dict[str, npt.NDArray[Any]], texts: _Texts, metadata: dict[int, dict[str, str]]
) -> ObjectDetails:
    lists = arrays["name_list"]
    sizes = np.append(arrays["list_size"], 0)[lists]  # the last one is for no list
    offsets = np.zeros(len(lists) + 1, np.int64)
    np.cumsum(sizes, out=offsets[1:])
    first = np.append(arrays["list_first"], 0)[lists]
    stored = arrays["list_names"][np.arange(offsets[-1]) + np.repeat(first - offsets[:-1], sizes)]
    numbers: dict[str, int] = {}
    name = np.zeros(int(stored.max(initial=-1)) + 1, np.int32)
    for text in np.flatnonzero(np.bincount(stored, minlength=len(name))).tolist():
        name[text] = numbers.setdefault(texts[text], len(numbers))
    bits = arrays["values"]
    single = np.repeat(arrays["single"] != 0, sizes)
    value = bits.view(np.float64)
    value[single] = bits[single].astype(np.uint32).view(np.float32)
    return ObjectDetails(arrays["color"], tuple(numbers), offsets, name[stored], value, metadata)
