"""From the words of a user to an extractor."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qpmask.common.arguments import check_fields
from qpmask.errors import OptionsError
from qpmask.features.extractor import Extractor
from qpmask.features.preprocessing import Seeing
from qpmask.features.registry import Model, models
from qpmask.features.registry import model as model_of
from qpmask.features.userextractors import OwnExtractor, own_by_entry_point, own_by_path
from qpmask.outputs import file_mark

_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".json")
PRECISIONS = ("float32", "float16", "bfloat16")


@dataclass(frozen=True)
class HowToRun:
    """What a choice of extractor depends on beside its name.

    Attributes
    ----------
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
    precision : str
        One of `PRECISIONS`, for PyTorch.
    normalize : str
        How colours are scaled for models that say nothing of it: ONNX files and modules of
        PyTorch that a function of the user's makes.
    weights : mapping of str to Path
        Folders of weights by extractor.
    """

    device: str = "auto"
    precision: str = "float32"
    normalize: str = "imagenet"
    weights: Mapping[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_fields(self)


def feature_name(choice: str) -> str:
    """Name of the features that a choice makes, which is known before it is loaded."""
    if _is_onnx(choice):
        return Path(choice).stem
    if ":" in choice:
        return choice.partition(":")[2].rsplit(".", 1)[-1]
    return choice


def check_choice(choice: str) -> None:
    """Raise :class:`OptionsError` for a choice that nothing can stand for. Loads nothing."""
    name = feature_name(choice)
    if not name or set(name) & set("/\\"):
        raise OptionsError(
            f"Features of {choice!r} would be called {name!r}, which cannot be stored.",
            hint="Write package.module:factory, FILE.onnx, or a name without slashes.",
        )
    if _is_onnx(choice):
        if not Path(choice).is_file():
            raise OptionsError(f"There is no file {choice}.")
    elif ":" not in choice and choice not in models() and not _has_entry_point(choice):
        model_of(choice)


def choose(choice: str, how: HowToRun) -> Extractor:
    """Load the extractor of a name, an ONNX file, ``package.module:factory`` or an entry point.

    Raises
    ------
    OptionsError
        There is none, its weights cannot be had, or there is no such device.
    MissingExtraError
        What it needs is not installed.
    """
    if _is_onnx(choice):
        from qpmask.features.with_onnx import OnnxExtractor

        return OnnxExtractor(Path(choice), how.normalize, how.device)
    if ":" in choice:
        name, made = own_by_path(choice)
        return _own(name, made, choice, how)
    if choice not in models() and (made := own_by_entry_point(choice)) is not None:
        return _own(choice, made, choice, how)
    return _registered(choice, how)


def _registered(choice: str, how: HowToRun) -> Extractor:
    row = model_of(choice)
    from qpmask.common.torchdevice import device_of
    from qpmask.features.loaders import load
    from qpmask.features.with_torch import TorchExtractor

    device = device_of(how.device)
    folder = how.weights.get(choice)
    if folder is not None and not folder.exists():
        raise OptionsError(f"There is no folder {folder} with weights of {choice}.")
    module, features_of = load(row, folder)
    also = {"licence": row.licence, "note": row.note, "loaded_revision": _revision(module)}
    return TorchExtractor(
        choice, module, features_of, row.seeing, device, how.precision, _decides(row, folder), also,
        row.dimension if folder is None else None,
    )  # fmt: skip


def _decides(row: Model, folder: Path | None) -> dict[str, Any]:
    return {
        "model": row.source,
        "model_family": row.family,
        "model_revision": row.revision if folder is None else "",
        "model_weights": "" if folder is None else folder.name,
        "model_weights_mark": "" if folder is None else _mark_of(folder),
        "pooling": row.pooling,
    }


def _mark_of(weights: Path) -> str:
    """What tells weights from others in a folder, or a file, of the same name."""
    files = [weights] if weights.is_file() else sorted(weights.glob("*"))
    marks = [file_mark(file) for file in files if file.suffix in _WEIGHTS and file.is_file()]
    return hashlib.sha256(json.dumps(marks).encode()).hexdigest()


def expected(choice: str, how: HowToRun) -> dict[str, Any] | None:
    """What decides the features of a choice; None where only loading it tells."""
    row = models().get(choice)
    if row is None:
        return None
    about = _decides(row, how.weights.get(choice))
    return {**about, "transform": row.seeing.as_dict(), "precision": how.precision}


def _revision(module: Any) -> str:
    """The commit that was loaded, where the library says it."""
    return str(getattr(getattr(module, "config", None), "_commit_hash", None) or "")


def _own(name: str, made: Any, origin: str, how: HowToRun) -> Extractor:
    if isinstance(made, Extractor):
        return made
    if hasattr(made, "state_dict") and callable(made):  # a module of PyTorch
        from qpmask.common.torchdevice import device_of
        from qpmask.features.with_torch import TorchExtractor

        seeing = Seeing.of(
            resize=getattr(made, "resize", None),
            crop=getattr(made, "crop", None),
            interpolation=getattr(made, "interpolation", "bilinear"),
            normalize=getattr(made, "normalize", how.normalize),
        )
        version = str(getattr(made, "version", ""))
        return TorchExtractor(
            name, made, made, seeing, device_of(how.device), how.precision,
            {"model": origin, "model_version": version}, {},
        )  # fmt: skip
    if callable(made):
        return OwnExtractor(name, made, origin)
    raise OptionsError(
        f"{origin} made a {type(made).__name__}, which cannot be called.",
        hint="It should make a function from uint8 (b, h, w, 3) to (b, d), or a torch.nn.Module.",
    )


def _is_onnx(choice: str) -> bool:
    return choice.lower().endswith(".onnx")


def _has_entry_point(name: str) -> bool:
    from importlib import metadata

    from qpmask.features.userextractors import ENTRY_POINTS

    return bool(metadata.entry_points(group=ENTRY_POINTS, name=name))
