"""Where an image, or a mask of it, lies in the slide's file: the matrix, and which file it is.

QuPath rotates, flips, crops and transforms images without a new file, reads one series of a file,
and cuts what OpenSlide opens to its scanned part (``openslide.bounds-*``) unless told otherwise
(https://github.com/qupath/qupath/issues/820). :mod:`qpmask.project.serverchain` reads that
from a project; here is what it becomes: a record that sidecars and masks carry, and that whatever
lays a slide under a mask asks for its matrix. Sizes alone prove nothing; nothing is guessed.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple
from urllib.parse import quote, unquote

from qpmask.errors import FrameError
from qpmask.geometry import Affine, Bounds, Size

#: Where a mask's metadata and its sidecar hold its frame.
FRAME_KEY = "frame"

#: Whether QuPath cut the image to what the slide says was scanned. ``unclear`` where the project
#: does not name the reader.
Cut = Literal["no", "yes", "unclear"]


class SlideFile(NamedTuple):
    """The file that an image is read from.

    Attributes
    ----------
    uri : str
        As the project has it; :meth:`qpmask.project.Project.find_slide` looks for it.
    provider : str or None
        "OpenSlide", "Bio-Formats", "ImageJ"; None where QuPath chooses.
    series : int or None
        Number of the series as Bio-Formats counts them; None for the main image.
    series_name : str or None
        Its name, where the project chooses it by name (QuPath 0.2).
    size : Size or None
        What QuPath read from it: of level 0, or of the part that it was cut to.
    cut : str
        Whether that was cut to the scanned part ("yes", "no", "unclear").
    """

    uri: str
    provider: str | None = None
    series: int | None = None
    series_name: str | None = None
    size: Size | None = None
    cut: Cut = "no"

    @property
    def name(self) -> str:
        """File name."""
        return unquote(self.uri.rpartition("/")[2])


class Frame(NamedTuple):
    """Where an image, or a mask of it, lies in the file.

    Attributes
    ----------
    matrix : Affine or None
        From pixels of the image (``px0``; of a mask: ``px``) to the file's, counted from the
        corner of what QuPath read of it: level 0, or the scanned part. None where not known.
    file : SlideFile or None
        The file.
    steps : tuple of str
        What QuPath does to the file, outermost first, in words: "rotated by 90 degrees".
    unknown : str or None
        Why there is no matrix, for people.
    notes : tuple of str
        What else differs from the file: slices, channels.

    Notes
    -----
    For tools that read the slide::

        frame = entry.frame                          # of an ImageEntry
        path = project.find_slide(entry)
        to_file = frame.to_file(slide_size, bounds)  # both from the opened slide
        x_file_px0, y_file_px0 = to_file(x_px0, y_px0)

    `to_file` raises :class:`~qpmask.errors.FrameError` where the frame is not known or the slide
    is not the one that the project means; its message says why. ``to_file.is_upright`` tells
    whether tiles of the image are tiles of the file (crop, bounds, scale); ``keeps_axes`` whether
    turning them by 90 degrees or mirroring them is enough. ``frame.file.series`` is the series to
    open.
    """

    matrix: Affine | None
    file: SlideFile | None = None
    steps: tuple[str, ...] = ()
    unknown: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether the image is the file's main image as it is, as far as the project says."""
        return (
            self.matrix is not None
            and not self.steps
            and self.file is not None
            and not self.file.series
            and self.file.series_name is None
        )

    def scaled(self, downsample: float) -> Frame:
        """The frame of a mask of the image, drawn at a downsample."""
        if self.matrix is None:
            return self
        return self._replace(matrix=self.matrix @ Affine.scale(downsample))

    def to_file(self, size: Size, bounds: Bounds | None = None) -> Affine:
        """Matrix from the image's (or mask's) pixels to those of the file's level 0.

        Parameters
        ----------
        size : Size
            Level 0 of the file (of the series that `file` names), as it is opened.
        bounds : Bounds, optional
            What the file says was scanned (``openslide.bounds-*``).

        Raises
        ------
        FrameError
            It is not known, or a file of this size is not the one that the project means.
        """
        if self.matrix is None or self.file is None:
            raise FrameError(
                f"Where the image lies in its file is not known: {self.unknown or 'no file'}."
            )
        read, cut = self.file.size, self.file.cut
        places = []  # what QuPath may have read: (its size, its corner)
        if bounds is None or cut != "yes" or read == size != bounds.size:
            places.append((size, Affine()))
        if bounds is not None and cut != "no":
            places.append((bounds.size, Affine.shift(bounds.x_px0, bounds.y_px0)))
        if read is not None:
            places = [place for place in places if place[0] == read]
            if not places:
                scanned = "" if bounds is None else f" (scanned: {bounds.size})"
                raise FrameError(
                    f"The slide has {size} pixels{scanned}, but QuPath read {read} pixels of "
                    f"{self.file.name}{_series_words(self.file)}.",
                    hint="Is it the slide that the project means?",
                )
        corners = {corner for _, corner in places}
        if len(corners) > 1:
            raise FrameError(
                f"Whether QuPath cut {self.file.name} to its scanned part is not known: the "
                "project does not say what read it.",
                hint="Open and save the image in QuPath once.",
            )
        return corners.pop() @ self.matrix

    def words(self) -> str:
        """All that QuPath did to the file, outermost first; empty where that is nothing."""
        steps = list(self.steps)
        if self.file is not None and (series := _series_words(self.file)):
            steps.append(series.strip(" ,"))
        return ", ".join(steps)

    def to_json(self) -> dict[str, Any]:
        """As plain data, for a sidecar or a mask's OME-XML; :func:`frame_from_json` reads it back.

        ``mask_to_file`` holds a to f of :class:`~qpmask.geometry.Affine`; ``origin`` says what it
        counts from: "level 0" of the file, or its "scanned part" (``openslide.bounds-x`` and
        ``-y``, where the file has them), or that this is "unclear".
        """
        file = self.file
        return {
            "mask_to_file": None
            if self.matrix is None
            # Plus 0.0: floats in any case, and no negative zero.
            else [value + 0.0 for value in self.matrix.values],
            "unknown": self.unknown,
            "steps": list(self.steps),
            "notes": list(self.notes),
            "file": None if file is None else file.name,
            "reader": None if file is None else file.provider,
            "series": None if file is None else file.series,
            "series_name": None if file is None else file.series_name,
            "read_px0": None
            if file is None or file.size is None
            else [file.size.width_px, file.size.height_px],
            "origin": None if file is None else _ORIGINS[file.cut],
        }


_ORIGINS: dict[Cut, str] = {"no": "level 0", "yes": "scanned part", "unclear": "unclear"}


def frame_from_json(raw: object) -> Frame | None:
    """Read what :meth:`Frame.to_json` wrote; None where that is not what it is.

    Parameters
    ----------
    raw : object
        Parsed JSON. The file's ``uri`` is its name alone: a mask does not know where it lies.
    """
    try:
        return _frame_of(raw)
    except (TypeError, ValueError, LookupError, OverflowError, StopIteration, AttributeError):
        return None


def _frame_of(raw: Any) -> Frame:
    values = raw["mask_to_file"]
    matrix = None
    if values is not None:
        a, b, c, d, e, f = (float(value) for value in values)
        matrix = Affine(a, b, c, d, e, f)
        matrix.inverse()  # one that flattens the image is none
        if not all(math.isfinite(value) for value in matrix.values):
            raise ValueError(f"{matrix} leads nowhere")
    file = None
    if raw.get("file") is not None:
        read = raw.get("read_px0")
        file = SlideFile(
            quote(str(raw["file"])),
            raw.get("reader"),
            None if raw.get("series") is None else int(raw["series"]),
            raw.get("series_name"),
            None if read is None else Size(int(read[0]), int(read[1])),
            next(cut for cut, words in _ORIGINS.items() if words == raw.get("origin")),
        )
    steps, notes = (tuple(str(one) for one in raw.get(key, ())) for key in ("steps", "notes"))
    return Frame(matrix, file, steps, raw.get("unknown"), notes)


def _series_words(file: SlideFile) -> str:
    if file.series_name is not None:
        return f", series {file.series_name!r}"
    return f", series {file.series}" if file.series else ""


#: Of an entry of which nothing is known.
NO_FRAME = Frame(None, unknown="the project does not say how it is made")
