"""What to do with patches, as one frozen record."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qpmask.common.arguments import check_fields, check_kind, named, path_of, paths_of
from qpmask.errors import OptionsError
from qpmask.features.choosing import PRECISIONS, HowToRun, check_choice, feature_name
from qpmask.features.preprocessing import NORMALIZE

STORES = ("float32", "float16")


@dataclass(frozen=True)
class FeatureOptions:
    """Everything that :func:`qpmask.extract_features` can be told beyond the patch files.

    Attributes
    ----------
    extractors : tuple of str
        Names of the registry or of entry points, ONNX files, ``package.module:factory``.
    how : HowToRun
        Device, precision, weights.
    batch_size : int
        Patches at a time.
    num_workers : int
        Processes that read and scale patches; 0 does it in this one, between the batches.
    store : str
        ``float32`` or ``float16``: how features are stored.
    slides : tuple of Path
        Folders in which to look for slides that moved.
    views : tuple of str
        Programs to write views of the files for: ``clam``, ``trident``, ``stamp``.
    force : bool
        Make features again that are there and still hold, and replace those that do not.
    """

    extractors: tuple[str, ...]
    how: HowToRun = field(default_factory=HowToRun)
    batch_size: int = 32
    num_workers: int = 4
    store: str = "float32"
    slides: tuple[Path, ...] = ()
    views: tuple[str, ...] = ()
    force: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.extractors:
            raise OptionsError(
                "Name an extractor.",
                hint="'qpmask features --list' shows all: --extractor resnet50",
            )
        for choice in self.extractors:
            check_choice(choice)
        names = [feature_name(choice) for choice in self.extractors]
        for name in names:
            if names.count(name) > 1:
                raise OptionsError(f"Two extractors are called {name!r}.", hint="Leave one out.")
        if not 1 <= self.batch_size <= 65536:
            raise OptionsError(f"batch_size is {self.batch_size}; it must be 1 to 65536.")
        if not 0 <= self.num_workers <= 256:
            raise OptionsError(f"num_workers is {self.num_workers}; it must be 0 to 256.")
        choices = (
            *((view, "views", ("clam", "trident", "stamp")) for view in self.views),
            (self.how.precision, "precision", PRECISIONS),
            (self.store, "store", STORES),
            (self.how.normalize, "normalize", tuple(NORMALIZE)),
        )
        for word, name, allowed in choices:
            if word not in allowed:
                raise OptionsError(f"{name} is {word!r}; it must be one of {', '.join(allowed)}.")
        for choice, folder in self.how.weights.items():
            if choice not in self.extractors:
                raise OptionsError(
                    f"There are weights for {choice!r}, which is not among the extractors."
                )
            if not folder.exists():
                raise OptionsError(f"There is no folder {folder} with weights of {choice}.")


@named
def feature_options(
    extractors: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    device: str = "auto",
    precision: str = "float32",
    normalize: str = "imagenet",
    weights: Mapping[str, str | os.PathLike[str]] | None = None,
    batch_size: int = 32,
    num_workers: int = 4,
    store: str = "float32",
    slides: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    views: Sequence[str] = (),
    force: bool = False,
) -> FeatureOptions:
    """Build :class:`FeatureOptions` from plain names.

    Raises
    ------
    OptionsError
        A value makes no sense, or there is no such extractor.
    """
    if isinstance(extractors, str):
        many = extractors.split(",")
    elif isinstance(extractors, os.PathLike):
        many = [os.fspath(extractors)]
    else:
        check_kind(extractors, Iterable, "extractors", "a name or a sequence of names")
        many = []
        for i, one in enumerate(extractors):
            check_kind(one, str | os.PathLike, f"extractors[{i}]", "a name or a path")
            many.append(os.fspath(one))
    check_kind(weights, Mapping | None, "weights", "a mapping of names to folders")
    check_kind(views, Iterable, "views", "a sequence of names")
    homes = {
        name: path_of(folder, f"weights[{name!r}]").expanduser()
        for name, folder in (weights or {}).items()
    }
    how = HowToRun(device, precision, normalize, homes)
    return FeatureOptions(
        tuple(dict.fromkeys(part.strip() for part in many if part.strip())), how, batch_size,
        num_workers, store, tuple(folder.expanduser() for folder in paths_of(slides, "slides")),
        tuple(views), force,
    )  # fmt: skip
