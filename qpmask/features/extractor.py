"""What every extractor can do: a batch of patches in, a batch of features out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.features.preprocessing import Seeing

Features = NDArray[np.float32]


@dataclass(frozen=True)
class Description:
    """What an extractor is: what decides its features, and what else should be known.

    Attributes
    ----------
    name : str
        The dataset of its features: ``features/<name>``.
    decides : mapping of str to plain data
        All that decides the features: model, revision, transform, pooling, precision.
    also : mapping of str to plain data
        Versions of libraries, device, licence: for the record.
    """

    name: str
    decides: Mapping[str, Any] = field(default_factory=dict)
    also: Mapping[str, Any] = field(default_factory=dict)


class Extractor(ABC):
    """Makes features of patches.

    Attributes
    ----------
    description : Description
        What it is.
    seeing : Seeing
        What it sees of a patch; batches come to it scaled and cropped.
    dimension : int or None
        Length of a feature; None where it is known by the first batch.
    """

    description: Description
    seeing: Seeing
    dimension: int | None = None

    @abstractmethod
    def begin(self, pixels: NDArray[np.uint8]) -> Callable[[], Features]:
        """Start on a batch, uint8 (b, side, side, 3); what waits for its features, (b, d).

        One batch may be begun before the features of the one before are waited for.
        """

    def notes(self) -> tuple[str, ...]:
        """What should be said of the work so far, each once: a batch that had to be halved."""
        return ()

    def close(self) -> None:  # noqa: B027 - nothing to release is a fine default
        """Let go of memory and device."""
