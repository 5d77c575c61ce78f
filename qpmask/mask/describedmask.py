"""What a mask file says of itself: size, levels, planes, classes, where it lies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from qpmask.classes.names import same_class
from qpmask.errors import NoSuchClassError, OptionsError
from qpmask.geometry import PixelSize
from qpmask.geometry.frames import Frame
from qpmask.mask.fileinfo import classes_of, find_labels, frame_of, name_of, pixel_size_of
from qpmask.mask.lazypixels import LazyPixels
from qpmask.ometiff.directories import Level
from qpmask.ometiff.omexml import ClassRow, MaskMetadata
from qpmask.ometiff.reader import MaskFile


class DescribedMask(LazyPixels):
    """A plane of a mask file and all that is known of it without a pixel.

    Parameters
    ----------
    file : MaskFile
        The open file.
    plane : int
        Which plane.
    """

    def __init__(self, file: MaskFile, plane: int) -> None:
        if not 0 <= plane < file.n_planes:
            raise OptionsError(
                f"{file.path} has {file.n_planes} planes and no plane {plane}.",
                hint=f"Planes count from 0 to {file.n_planes - 1}.",
            )
        self._file = file
        self._plane = plane
        self._classes = MappingProxyType(classes_of(file.metadata, plane))
        self._scales = super().level_scales

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    @property
    def dtype(self) -> np.dtype[Any]:
        """Pixel type: uint8, uint16 or uint32, in the machine's byte order."""
        return self._file.dtype

    @property
    def levels(self) -> tuple[Level, ...]:
        """Size (``size``) and tile size (``tile``) of each level, level 0 first."""
        return self._file.levels

    @property
    def level_scales(self) -> tuple[tuple[float, float], ...]:
        """How many pixels of level 0 a pixel of each level spans, in x and y."""
        return self._scales

    @property
    def mpp(self) -> tuple[float, float] | None:
        """Micrometres per pixel of level 0 in x and y; None where the file does not say."""
        size = self.pixel_size
        return None if size is None else (size.width_um, size.height_um)

    @property
    def note(self) -> str | None:
        """What people should know of the file: tiles that a sparse one leaves out."""
        return self._file.structure.note

    @property
    def frame(self) -> Frame | None:
        """Where it lies in the slide's file: a matrix from its pixels to the file's.

        None where the mask does not say, as those of other programs.
        """
        return frame_of(self.metadata)

    @property
    def pixel_size(self) -> PixelSize | None:
        """Size of a pixel of level 0: from the OME-XML, else from the TIFF's resolution."""
        return pixel_size_of(self._file)

    @property
    def classes(self) -> Mapping[int, ClassRow]:
        """The file's class table: label -> label, name, colour. Empty where it has none."""
        return self._classes

    @property
    def metadata(self) -> MaskMetadata | None:
        """All that the file says about itself, or None without OME-XML that can be read."""
        return self._file.metadata

    @property
    def n_planes(self) -> int:
        """Number of planes in the file."""
        return self._file.n_planes

    @property
    def plane_number(self) -> int:
        """Which of them this is: ``c + size_c * (z + size_z * t)``."""
        return self._plane

    def _planes_by_axis(self) -> tuple[int, int, int]:
        """Numbers of channels, slices, time points; all planes are channels without metadata."""
        m = self.metadata
        if m is not None and m.n_planes == self.n_planes:
            return m.size_c, m.size_z, m.size_t
        return self.n_planes, 1, 1

    def name_of(self, label: int) -> str:
        """Name of a label's class, or words that say that it has none."""
        return name_of(label, self._classes)

    def labels_of(self, *classes: str | int) -> tuple[int, ...]:
        """Labels of classes.

        Parameters
        ----------
        *classes : str or int
            Names from the class table, or labels.

        Raises
        ------
        NoSuchClassError
            If the mask names no such class; the message gives the nearest names.
        """
        try:
            return find_labels(classes, self._classes, self.dtype, str(self.path))
        except NoSuchClassError as error:
            names = self.metadata.channel_names if self.metadata is not None else ()
            for name in classes:
                if isinstance(name, int) or any(
                    same_class(row.name, name) for row in self._classes.values()
                ):
                    continue
                if any(same_class(channel, name) for channel in names):
                    error.hint = f"It has a plane of its own: mask.plane({name!r})."
            raise
