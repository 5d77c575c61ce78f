"""Extractors of someone's own: a function of theirs, by name or by entry point."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.errors import OptionsError
from qpmask.features.extractor import Description, Extractor, Features
from qpmask.features.preprocessing import Seeing

ENTRY_POINTS = "qpmask.extractors"
"""Group of entry points: the name of an extractor, and the factory that makes it."""


class OwnExtractor(Extractor):
    """A function from uint8 (b, side, side, 3) to numbers (b, d).

    Parameters
    ----------
    name : str
        Of its features.
    function : callable
        The function. Its attributes ``resize``, ``crop``, ``interpolation``, ``dimension`` and
        ``version``, if it has them, say what it sees, gives and is.
    origin : str
        Where it came from.
    """

    def __init__(self, name: str, function: Callable[[Any], Any], origin: str) -> None:
        self._function = function
        self.seeing = Seeing.of(
            resize=getattr(function, "resize", None),
            crop=getattr(function, "crop", None),
            interpolation=getattr(function, "interpolation", "bilinear"),
            normalize="none",
        )
        self.dimension = getattr(function, "dimension", None)
        version = str(getattr(function, "version", ""))
        self.description = Description(
            name,
            {"model": origin, "model_version": version, "transform": self.seeing.as_dict()},
        )

    def begin(self, pixels: NDArray[np.uint8]) -> Callable[[], Features]:
        """Call it; see :class:`Extractor`."""
        out = self._function(pixels)
        if hasattr(out, "detach"):  # a tensor
            out = out.detach().float().cpu().numpy()
        features = np.asarray(out, np.float32)
        if features.ndim != 2 or len(features) != len(pixels):
            raise OptionsError(
                f"{self.description.name} gave an array of shape {features.shape} for "
                f"{len(pixels)} patches; it must be (patches, numbers)."
            )
        return lambda: features


def own_by_path(path: str) -> tuple[str, Any]:
    """Name and product of ``package.module:factory``.

    Raises
    ------
    OptionsError
        There is no such thing, or it fails.
    """
    module_name, _, attribute = path.partition(":")
    try:
        factory: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            factory = getattr(factory, part)
    except Exception as error:  # importing runs the code of others
        raise OptionsError(
            f"The extractor {path} cannot be loaded: {type(error).__name__}: {error}.",
            hint="Write it as package.module:factory, of a package that Python can import here.",
        ) from error
    return attribute.rsplit(".", 1)[-1], _made(factory, path)


def own_by_entry_point(name: str) -> Any | None:
    """What an installed package offers under this name; None if nothing."""
    for point in metadata.entry_points(group=ENTRY_POINTS, name=name):
        origin = f"{point.value} (entry point {name})"
        try:
            factory = point.load()
        except Exception as error:  # importing runs the code of others
            raise OptionsError(
                f"The extractor {origin} cannot be loaded: {type(error).__name__}: {error}."
            ) from error
        return _made(factory, origin)
    return None


def _made(factory: Any, origin: str) -> Any:
    try:
        return factory()
    except Exception as error:
        raise OptionsError(
            f"The extractor {origin} failed while it was made: {type(error).__name__}: {error}",
        ) from error
