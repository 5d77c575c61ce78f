"""Models of PyTorch: on which device, in which precision, and what happens when memory runs out."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.common.torchdevice import require_torch
from qpmask.errors import EngineUnavailableError
from qpmask.features.extractor import Description, Extractor, Features
from qpmask.features.preprocessing import Seeing


class TorchExtractor(Extractor):
    """A model of PyTorch.

    Parameters
    ----------
    name : str
        Of its features.
    module : torch.nn.Module
        The model; it is moved to the device, and set to evaluation.
    features_of : callable
        From what the model is given, float (b, 3, side, side), to features (b, d).
    seeing : Seeing
        What it sees of a patch.
    device : torch.device
        Where it runs.
    precision : str
        ``float32``; ``float16`` and ``bfloat16`` by autocast, which keeps the weights and what
        needs it (norms, softmax) in float32.
    decides, also : dict
        For its description.
    dimension : int, optional
        Length of a feature, if it must have one.
    """

    def __init__(
        self, name: str, module: Any, features_of: Callable[[Any], Any], seeing: Seeing,
        device: Any, precision: str, decides: dict[str, Any], also: dict[str, Any],
        dimension: int | None = None,
    ) -> None:  # fmt: skip
        torch = require_torch()
        self.seeing, self.dimension = seeing, dimension
        self._torch, self._device, self._precision = torch, device, precision
        self._module = module.to(device).eval()
        self._features_of = features_of
        scale, shift = seeing.scale_shift()
        self._scale = torch.from_numpy(scale).to(device).view(1, 3, 1, 1)
        self._shift = torch.from_numpy(shift).to(device).view(1, 3, 1, 1)
        self._most: int | None = None  # patches at a time, once memory ran out
        self._notes: list[str] = []
        libraries = {p: _version(p) for p in ("torch", "torchvision", "timm", "transformers")}
        self.description = Description(
            name,
            {**decides, "transform": seeing.as_dict(), "precision": precision},
            {
                **also,
                "device": str(device),
                **{f"{p}_version": v for p, v in libraries.items() if v is not None},
            },
        )

    def begin(self, pixels: NDArray[np.uint8]) -> Callable[[], Features]:
        """Hand a batch to the device; see :class:`Extractor`."""
        torch = self._torch
        batch = torch.from_numpy(np.ascontiguousarray(pixels))
        is_cuda = self._device.type == "cuda"
        if is_cuda:
            batch = batch.pin_memory()
        with torch.inference_mode():
            batch = batch.to(self._device, non_blocking=is_cuda)
            out = self._in_parts(batch)
        if not is_cuda:
            return lambda: _array_of(out)
        host = torch.empty(out.shape, dtype=out.dtype, pin_memory=True)
        host.copy_(out, non_blocking=True)
        copied = torch.cuda.Event()
        copied.record()

        def wait() -> Features:
            copied.synchronize()
            return np.array(host.numpy())

        return wait

    def _in_parts(self, batch: Any) -> Any:
        """Features of a batch, in as many parts as memory asks for."""
        n = len(batch)
        while True:
            size = min(self._most or n, n)
            try:
                parts = [self._forward(batch[i : i + size]) for i in range(0, n, size)]
                return parts[0] if len(parts) == 1 else self._torch.cat(parts)
            except (self._torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
                if not _is_out_of_memory(error, self._torch):
                    raise
                if size == 1:
                    raise EngineUnavailableError(
                        f"{self._device} has too little memory for a single patch "
                        f"({self.description.name}).",
                        hint="Use --precision bfloat16, another device, or a smaller extractor.",
                    ) from error
                self._most = size // 2
                self._notes.append(
                    f"{self._device} ran out of memory at {size} patches at a time; it goes on "
                    f"with {self._most}."
                )
            if self._device.type == "cuda":
                self._torch.cuda.empty_cache()

    def _forward(self, part: Any) -> Any:
        torch = self._torch
        # Pixels travel as bytes, a quarter of what floats would be.
        x = part.permute(0, 3, 1, 2).float() * self._scale + self._shift
        if self._precision == "float32":
            out = self._features_of(x)
        else:
            dtype = getattr(torch, self._precision)
            with torch.autocast(self._device.type, dtype=dtype):
                out = self._features_of(x)
        return out.reshape(len(part), -1).float()

    def notes(self) -> tuple[str, ...]:
        """Batches that had to be halved."""
        return tuple(self._notes)

    def close(self) -> None:
        """Let go of the model and of the device's memory."""
        del self._module, self._features_of
        if self._device.type == "cuda":
            self._torch.cuda.empty_cache()


def _is_out_of_memory(error: Exception, torch: Any) -> bool:
    """CUDA has an error of its own for it; the CPU and MPS say it in words."""
    said = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        words in said for words in ("out of memory", "not enough memory", "can't allocate memory")
    )


def _array_of(out: Any) -> Features:
    found: Features = out.cpu().numpy()
    return found


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
