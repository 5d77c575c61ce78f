"""The models of the registry, made by the library of their family, and what is taken of them.

Weights come from the hub (its cache, when it is offline) or from a folder of the user's.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from qpmask.common.extras import needed
from qpmask.common.torchdevice import INSTALL_HINT, require_torch
from qpmask.errors import OptionsError, QpmaskError
from qpmask.features.registry import Model

Loaded = tuple[Any, Callable[[Any], Any]]
"""A module, and the function from its input to features."""


def load(model: Model, weights: Path | None) -> Loaded:
    """Make a model.

    Parameters
    ----------
    model : Model
        Its row.
    weights : Path, optional
        A folder with its weights, as the hub has them; or a file, for torchvision.

    Raises
    ------
    MissingExtraError
        The library of its family is not installed.
    OptionsError
        Its weights cannot be had: no network, no permission, not in the folder.
    """
    require_torch()
    loader = _LOADERS[model.family]
    with _explained(model, weights):
        return loader(model, weights)


# --- what is taken of tokens -------------------------------------------------------------------


def pooled(tokens: Any, pooling: str, registers: int) -> Any:
    """Features of tokens (b, 1 + registers + patches, d): class token, and mean of the patches."""
    cls = tokens[:, 0]
    if pooling == "cls":
        return cls
    import torch

    return torch.cat([cls, tokens[:, 1 + registers :].mean(1)], dim=-1)


# --- families ----------------------------------------------------------------------------------


def _torchvision(model: Model, weights: Path | None) -> Loaded:
    import torch

    models = _library("torchvision.models")
    enum, _, member = model.source.partition(".")
    builder = getattr(models, model.name)
    if weights is None:
        module = builder(weights=getattr(getattr(models, enum), member))
    else:
        size = {} if model.seeing.crop in (None, 224) else {"image_size": model.seeing.crop}
        module = builder(weights=None, **size)
        module.load_state_dict(_state(weights))
    head = (
        "fc"
        if hasattr(module, "fc")
        else "classifier"
        if hasattr(module, "classifier")
        else "heads"
    )
    setattr(module, head, torch.nn.Identity())
    return module, lambda x: module(x).flatten(1)


def _timm(model: Model, weights: Path | None) -> Loaded:
    timm = _library("timm")
    arguments = _arguments(model.arguments)
    source = f"local-dir:{weights}" if weights else f"hf-hub:{_at_revision(model)}"
    module = timm.create_model(source, pretrained=True, **arguments)
    if model.pooling == "output":
        return module, module
    return module, lambda x: pooled(module.forward_features(x), model.pooling, model.registers)


def _transformers(model: Model, weights: Path | None) -> Loaded:
    transformers = _library("transformers")
    kind = "ViTModel" if "add_pooling_layer" in model.arguments else "AutoModel"
    where = {} if weights else {"revision": model.revision}
    module = getattr(transformers, kind).from_pretrained(
        str(weights or model.source), **where, **_arguments(model.arguments)
    )

    def features_of(x: Any) -> Any:
        if model.pooling == "image":
            found = module.get_image_features(pixel_values=x)
            return getattr(found, "pooler_output", found)  # transformers 5 returns a record
        out = module(pixel_values=x)
        if model.pooling == "pooler":
            return out.pooler_output
        return pooled(out.last_hidden_state, model.pooling, model.registers)

    return module, features_of


def _open_clip(model: Model, weights: Path | None) -> Loaded:
    open_clip = _library("open_clip")
    arguments = dict(model.arguments)
    if weights is not None and (weights / "open_clip_config.json").is_file():
        module = open_clip.create_model(f"local-dir:{weights}")
    elif model.source.startswith("hf-hub:"):
        module = open_clip.create_model(_open_clip_at_revision(model))
    else:
        architecture, _, pretrained = model.source.partition("/")
        file = weights
        if weights is None and "repository" in arguments:
            file = _from_hub(arguments["repository"], arguments["file"], model.revision)
        elif weights is not None and weights.is_dir():
            file = _only_file(weights)
        module = open_clip.create_model(architecture, pretrained=str(file or pretrained))
    # CoCa divides by the length unless told not to, CLIP does not.
    return module, lambda x: module.encode_image(x, normalize=False)


def _open_clip_at_revision(model: Model) -> str:
    """What open_clip is to load: it has no revisions, but loads from a folder what the hub gave."""
    if model.revision == "main":
        return model.source
    hub, repository = _library("huggingface_hub"), model.source.removeprefix("hf-hub:")
    folder = hub.snapshot_download(
        repository, revision=model.revision, allow_patterns=["open_clip_*"]
    )
    return f"local-dir:{folder}"


def _dinov2_hub(model: Model, weights: Path | None) -> Loaded:
    import torch

    arguments = model.arguments
    code = weights / "dinov2" if weights else None
    if code is not None and code.is_dir():
        module = torch.hub.load(
            str(code), arguments["architecture"], source="local", pretrained=False
        )
    else:
        module = torch.hub.load(
            "facebookresearch/dinov2", arguments["architecture"], pretrained=False, trust_repo=True
        )
    file = (
        weights / arguments["file"]
        if weights
        else _from_hub(model.source, arguments["file"], model.revision)
    )
    state = _state(file)
    if "pos_embed" in state:  # trained for another size of picture than the architecture's
        module.pos_embed = torch.nn.Parameter(state["pos_embed"])
    module.load_state_dict(state)
    return module, module


def _musk(model: Model, weights: Path | None) -> Loaded:
    timm = _library("timm")
    utils = _library("musk.utils", "its code: pip install from the repository of MUSK")
    _library("musk.modeling", "its code: pip install from the repository of MUSK")
    module = timm.create_model("musk_large_patch16_384")
    source = str(weights / "model.safetensors") if weights else f"hf_hub:{model.source}"
    utils.load_model_and_may_interpolate(source, module, "model|module", "")
    return module, lambda x: module(
        image=x, with_head=False, out_norm=False, ms_aug=True, return_global=True
    )[0]


def _conch(model: Model, weights: Path | None) -> Loaded:
    conch = _library("conch.open_clip_custom", "its code: pip install from the repository of CONCH")
    name = "pytorch_model.bin"
    source = weights / name if weights else _from_hub(model.source, name, model.revision)
    module, _ = conch.create_model_from_pretrained("conch_ViT-B-16", str(source))
    return module, lambda x: module.encode_image(x, proj_contrast=False, normalize=False)


def _conch_v15(model: Model, weights: Path | None) -> Loaded:
    transformers = _library("transformers")
    where = {} if weights else {"revision": model.revision}
    titan = transformers.AutoModel.from_pretrained(
        str(weights or model.source), **where, **_arguments(model.arguments)
    )
    module, _ = titan.return_conch()
    return module, module


_LOADERS: Mapping[str, Callable[[Model, Path | None], Loaded]] = {
    "torchvision": _torchvision,
    "timm": _timm,
    "transformers": _transformers,
    "open_clip": _open_clip,
    "dinov2_hub": _dinov2_hub,
    "musk": _musk,
    "conch": _conch,
    "conch_v15": _conch_v15,
}


# --- parts -------------------------------------------------------------------------------------


def _library(name: str, what: str = "") -> Any:
    hint = f"Install {what}." if what else INSTALL_HINT
    with needed(f"This extractor needs {name.split('.')[0]}", hint):
        return importlib.import_module(name)


def _arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments with the classes that words stand for."""
    found = dict(arguments)
    for name, value in arguments.items():
        if value == "swiglu":
            found[name] = _library("timm.layers").SwiGLUPacked
        elif value == "silu":
            found[name] = require_torch().nn.SiLU
    return found


def _at_revision(model: Model) -> str:
    return model.source if model.revision == "main" else f"{model.source}@{model.revision}"


def _from_hub(repository: str, file: str, revision: str) -> Path:
    hub = _library("huggingface_hub")
    return Path(hub.hf_hub_download(repository, file, revision=revision))


def _state(path: Path) -> Any:
    """Weights of a file, or of the only file of a folder; nothing in it is run."""
    import torch

    file = _only_file(path) if path.is_dir() else path
    if file.suffix == ".safetensors":
        return _library("safetensors.torch").load_file(str(file))
    return torch.load(file, map_location="cpu", weights_only=True)


def _only_file(folder: Path) -> Path:
    kinds = (".safetensors", ".pt", ".pth", ".bin")
    found = [p for p in sorted(folder.iterdir()) if p.suffix in kinds] if folder.is_dir() else []
    if len(found) != 1:
        raise OptionsError(
            f"{folder} holds {len(found)} files of weights; there should be one "
            f"({', '.join(kinds)})."
        )
    return found[0]


@contextlib.contextmanager
def _explained(model: Model, weights: Path | None) -> Iterator[None]:
    """Turn what libraries and the hub raise into what to do."""
    try:
        yield
    except QpmaskError:
        raise
    except MemoryError:
        raise
    except Exception as error:  # each library and the hub have errors of their own
        text = " ".join(str(error).split())[:300]
        kind = type(error).__name__
        where = f"in {weights}" if weights else f"({model.source})"
        hint = f"See {kind} above; 'qpmask features --list' tells where {model.name} comes from."
        if weights is None and model.family != "torchvision":
            offline = os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
            hint = (
                "HF_HUB_OFFLINE is set and its cache lacks them: unset it, or give a folder: "
                if offline
                else "Without a network, give a folder: "
            ) + f"--weights {model.name}=FOLDER."
            if model.gated:
                hint = (
                    f"Its weights are gated: accept their licence ({model.licence}) on the page of "
                    f"{model.source}, and log in (hf auth login, or HF_TOKEN). {hint}"
                )
        raise OptionsError(
            f"The weights of {model.name} {where} cannot be loaded: {kind}: {text}", hint=hint
        ) from error
