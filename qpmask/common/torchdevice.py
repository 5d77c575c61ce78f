"""PyTorch where it is used: whether it is there, and on which device its models run."""

from __future__ import annotations

from typing import Any

from qpmask.common.extras import install_hint, needed
from qpmask.errors import OptionsError

INSTALL_HINT = install_hint("features")


def require_torch(hint: str = INSTALL_HINT) -> Any:
    """The module torch; `hint` says what to install where it is not there.

    Raises
    ------
    MissingExtraError
        It is not installed.
    """
    with needed("This needs PyTorch", hint):
        import torch
    return torch


def device_of(wanted: str) -> Any:
    """The device of a name: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.

    Raises
    ------
    OptionsError
        This machine, or this PyTorch, has no such device, or there is none of that name anywhere.
    """
    torch = require_torch()
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise OptionsError(
            f"There is no device {wanted!r}.", hint="It is auto, cpu, cuda, cuda:1 or mps."
        ) from error
    if device.type == "cpu":
        return device
    n_cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    there = [f"cuda:{i}" for i in range(n_cuda)] + ["mps"] * torch.backends.mps.is_available()
    index = device.index if device.index is not None else 0
    name = f"cuda:{index}" if device.type == "cuda" else device.type
    if name not in there:
        why = "" if torch.version.cuda else ", and this PyTorch was built without CUDA"
        raise OptionsError(
            f"There is no device {wanted} here{why}; there is {' and '.join(['cpu', *there])}.",
            hint="Use --device auto.",
        )
    return torch.device(name) if device.type == "cuda" else device
