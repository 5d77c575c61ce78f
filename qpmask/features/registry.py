"""The extractors that have a name: ``registry.toml`` as records."""

from __future__ import annotations

import difflib
import functools
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from qpmask.errors import OptionsError
from qpmask.features.preprocessing import Seeing

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FAMILIES = (
    "torchvision", "timm", "transformers", "open_clip", "dinov2_hub", "musk", "conch", "conch_v15",
)  # fmt: skip
POOLINGS = ("output", "cls", "cls+mean", "pooler", "image")


@dataclass(frozen=True)
class Model:
    """One row of the registry.

    Attributes
    ----------
    name : str
        What people call it.
    family : str
        Which loader makes it, one of `FAMILIES`.
    source : str
        Weights of torchvision, or a repository of the Hugging Face hub.
    seeing : Seeing
        What it sees of a patch.
    dimension : int
        Length of a feature.
    licence : str
        Of the weights.
    revision : str
        Commit of the repository; ``main`` where none is pinned.
    arguments : mapping
        Keyword arguments of its constructor.
    pooling : str
        What is stored of its output, one of `POOLINGS`.
    registers : int
        Tokens between the class token and the patch tokens.
    gated : bool
        Whether its weights need an account that accepted their licence.
    note : str
        Where a published number differs or depends on a choice.
    """

    name: str
    family: str
    source: str
    seeing: Seeing
    dimension: int
    licence: str
    revision: str = "main"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    pooling: str = "output"
    registers: int = 0
    gated: bool = False
    note: str = ""

    @property
    def is_pinned(self) -> bool:
        """Whether its weights are always the same."""
        return self.family == "torchvision" or self.revision != "main"


@functools.cache
def models() -> Mapping[str, Model]:
    """All rows by name, in the order of the file."""
    text = resources.files(__package__).joinpath("registry.toml").read_text("utf-8")
    return {name: _model(name, row) for name, row in tomllib.loads(text).items()}


def model(name: str) -> Model:
    """The row of a name.

    Raises
    ------
    OptionsError
        There is none.
    """
    found = models().get(name)
    if found is None:
        near = difflib.get_close_matches(name, models(), n=3, cutoff=0.5)
        also = f"Did you mean {' or '.join(near)}? " if near else ""
        raise OptionsError(
            f"There is no extractor {name!r}.",
            hint=f"{also}'qpmask features --list' shows all; a file that ends in .onnx and "
            "package.module:factory are taken too.",
        )
    return found


def _model(name: str, row: Mapping[str, Any]) -> Model:
    values = dict(row)
    seeing = Seeing.of(
        resize=values.pop("resize", 224),
        crop=values.pop("crop", 224),
        interpolation=values.pop("interpolation", "bilinear"),
        normalize=values.pop("normalize", "imagenet"),
    )
    return Model(name=name, seeing=seeing, **values)
