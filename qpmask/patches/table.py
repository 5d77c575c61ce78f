"""The patches of one slide as columns: what a patch file holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class PatchLabels:
    """How much of each patch has which class.

    Attributes
    ----------
    names : tuple of str
        The classes.
    values : ndarray of int32, shape (n_classes,)
        Their labels in the mask.
    fractions : ndarray of float32, shape (n, n_classes)
        Share of the whole patch, what lies beyond the slide included.
    majority : ndarray of int32, shape (n,)
        Label of the class that covers most of the patch, the smaller label of two that cover the
        same; 0 where it covers less than `min_coverage` of it, or nothing.
    min_coverage : float
        See `majority`.
    """

    names: tuple[str, ...]
    values: NDArray[np.int32]
    fractions: NDArray[np.float32]
    majority: NDArray[np.int32]
    min_coverage: float

    def some(self, chosen: NDArray[Any]) -> PatchLabels:
        """Those of some patches."""
        return PatchLabels(self.names, self.values, self.fractions[chosen], self.majority[chosen],
                           self.min_coverage)  # fmt: skip


@dataclass(frozen=True, eq=False)
class PatchTable:
    """Patches in the order of rows: by y, then by x.

    Attributes
    ----------
    coords : ndarray of int64, shape (n, 2)
        x and y of the upper left corner, in pixels of level 0.
    read : ndarray of int32, shape (n, 5)
        x, y, width and height of what is read, and the level: corner in pixels of level 0, size in
        those of the level.
    tissue : ndarray of float32, shape (n,)
        Share of the patch that is tissue.
    padded : ndarray of float32, shape (n,)
        Share that lies beyond the slide.
    labels : PatchLabels or None
        Classes, where there is a mask.
    attributes : mapping
        What else the file says, by name: numbers and text.
    """

    coords: NDArray[np.int64]
    read: NDArray[np.int32]
    tissue: NDArray[np.float32]
    padded: NDArray[np.float32]
    labels: PatchLabels | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.coords)

    def some(self, chosen: NDArray[Any]) -> PatchTable:
        """Some of the patches."""
        return PatchTable(
            self.coords[chosen], self.read[chosen], self.tissue[chosen], self.padded[chosen],
            None if self.labels is None else self.labels.some(chosen), self.attributes,
        )  # fmt: skip


def majority_of(
    areas: NDArray[np.float64], values: NDArray[np.int32], least: float
) -> NDArray[np.int32]:
    """Label of the class with the greatest area in each patch.

    Parameters
    ----------
    areas : ndarray of float64, shape (n, n_classes)
        Areas.
    values : ndarray of int32, shape (n_classes,)
        Labels.
    least : float
        Area that it must have, if more than nothing.

    Returns
    -------
    ndarray of int32, shape (n,)
        Of two with the same area the smaller label; 0 where none has enough.
    """
    found = np.zeros(len(areas), np.int32)
    if areas.shape[1] == 0:
        return found
    order = np.argsort(values, kind="stable")  # argmax takes the first of several
    best = order[np.argmax(areas[:, order], axis=1)]
    most = areas[np.arange(len(areas)), best]
    enough = (most > 0) & (most >= least * (1 - 1e-12))
    found[enough] = values[best[enough]]
    return found


def storable(text: str) -> str:
    """Text that HDF5 can hold: names may have halves of surrogates, or zeros."""
    return (
        text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\N{REPLACEMENT CHARACTER}")
    )
