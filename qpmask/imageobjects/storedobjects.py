"""Objects as a data file of QuPath holds them, in columns; their ROIs as they are stored."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from qpmask.common.frozen import dataclass
from qpmask.imageobjects.attributes import Measurements, ObjectClass
from qpmask.imageobjects.rois import Rois


class ObjectDetails(NamedTuple):
    """What objects carry beside their shape and class, for those who ask for it (GeoJSON).

    Attributes
    ----------
    color_argb : ndarray of int64, shape (n_objects,)
        Packed colour as Java's signed int, or :data:`~.kinds.NO_COLOR`.
    measurements : Measurements
        What was measured; numbers of single precision as Java makes doubles of them.
    metadata : dict of int to dict of str to str
        Metadata but the id, of the objects that have any.
    """

    color_argb: npt.NDArray[np.int64]
    measurements: Measurements
    metadata: dict[int, dict[str, str]]


@dataclass(frozen=True, eq=False, repr=False)
class ImageObjects:
    """The objects of one image, in the order in which QuPath's ``getDescendantObjects`` visits.

    An object comes after its parent and before its parent's next child; the root is left out.

    Attributes
    ----------
    version : int
        Version of the data file: 2 (QuPath 0.2) or 3 (0.3 to 0.7).
    server : str
        How the image is opened: JSON (version 3), or ``Image path: ...`` (version 2).
    image_type : str or None
        QuPath's image type, such as ``BRIGHTFIELD_H_E``.
    kind : ndarray of uint8, shape (n_objects,)
        :class:`~.kinds.ObjectKind`.
    parent : ndarray of int32, shape (n_objects,)
        Number of the parent, -1 for the root.
    class_index : ndarray of int32, shape (n_objects,)
        Number in ``classes``, -1 for no class (or QuPath's class without a name).
    locked : ndarray of bool, shape (n_objects,)
        Whether the object is locked.
    roi : ndarray of int32, shape (n_objects,)
        Number in ``rois``, -1 for none.
    nucleus_roi : ndarray of int32, shape (n_objects,)
        Number in ``rois`` of a cell's nucleus, -1 for none.
    missing : ndarray of bool, shape (n_objects,)
        Whether the object is a TMA core that is marked as missing.
    names : tuple of (str or None)
        Name of each object.
    ids : ndarray of bytes (S36), shape (n_objects,)
        UUID of each object in lower case, or empty (QuPath 0.2 and 0.3 stored none).
    classes : tuple of ObjectClass
        The classes in use, in the order in which they were found.
    rois : Rois
        The regions of interest.
    details : ObjectDetails or None
        What else the objects carry, where that was asked for.
    """

    version: int
    server: str
    image_type: str | None
    kind: npt.NDArray[np.uint8]
    parent: npt.NDArray[np.int32]
    class_index: npt.NDArray[np.int32]
    locked: npt.NDArray[np.bool_]
    roi: npt.NDArray[np.int32]
    nucleus_roi: npt.NDArray[np.int32]
    missing: npt.NDArray[np.bool_]
    names: tuple[str | None, ...]
    ids: npt.NDArray[np.bytes_]
    classes: tuple[ObjectClass, ...]
    rois: Rois
    details: ObjectDetails | None = None

    def __len__(self) -> int:
        return len(self.kind)

    def __repr__(self) -> str:
        return f"<ImageObjects: {len(self):,} of {len(self.classes):,} classes>"

    def id_of(self, index: int) -> str | None:
        """UUID of an object as text, or None."""
        return bytes(self.ids[index]).decode("ascii") or None

    def class_of(self, index: int) -> ObjectClass | None:
        """Class of an object, or None if it has none."""
        number = int(self.class_index[index])
        return None if number < 0 else self.classes[number]
