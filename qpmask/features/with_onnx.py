"""Models in an ONNX file, run by ONNX Runtime: no PyTorch needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpmask.common.extras import install_hint, needed
from qpmask.errors import OptionsError
from qpmask.features.extractor import Description, Extractor, Features
from qpmask.features.preprocessing import Seeing
from qpmask.outputs import file_sha256


class OnnxExtractor(Extractor):
    """A model of an ONNX file.

    It takes a batch of pictures, (b, 3, h, w) or (b, h, w, 3): float32 or float16, normalized; or
    uint8, as they are. A patch is scaled to its height and width where the model says
    them. Its first output is taken: (b, d), or (b, d, 1, 1).

    Parameters
    ----------
    path : Path
        The file.
    normalize : str
        See :data:`~qpmask.features.preprocessing.NORMALIZE`; bytes are not normalized.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:1``.

    Raises
    ------
    MissingExtraError
        ONNX Runtime is not installed.
    OptionsError
        The file is no such model, or there is no such device.
    """

    def __init__(self, path: Path, normalize: str, device: str) -> None:
        with needed(f"{path.name} needs ONNX Runtime", install_hint("onnx")):
            import onnxruntime
        if not path.is_file():
            raise OptionsError(f"There is no file {path}.")
        providers = _providers(device, onnxruntime.get_available_providers())
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), options, providers)
        except Exception as error:  # ONNX Runtime has errors of its own for each fault
            raise OptionsError(f"{path} is not a model that ONNX Runtime runs: {error}") from error
        (source, *others) = self._session.get_inputs()
        shape = list(source.shape)
        kinds = {
            "tensor(float)": np.float32,
            "tensor(float16)": np.float16,
            "tensor(uint8)": np.uint8,
        }
        if others or len(shape) != 4 or source.type not in kinds or 3 not in (shape[1], shape[3]):
            takes = ", ".join(f"{i.name} {i.type} {i.shape}" for i in (source, *others))
            raise OptionsError(
                f"{path} takes {takes}.",
                hint="It should take one batch of pictures: (b, 3, h, w), or bytes (b, h, w, 3).",
            )
        self._name, self._dtype = source.name, kinds[source.type]
        self._channels_last = shape[1] != 3
        height, width = shape[1:3] if self._channels_last else shape[2:]
        side = height if isinstance(height, int) else None
        if isinstance(width, int) and width != side:
            raise OptionsError(f"{path} takes pictures of {width} x {height} pixels, not squares.")
        if self._dtype == np.uint8:
            normalize = "none"
        self.seeing = Seeing.of(resize=side, normalize=normalize)
        n = self._session.get_outputs()[0].shape
        self.dimension = n[1] if len(n) > 1 and isinstance(n[1], int) else None
        self.description = Description(
            path.stem,
            {
                "model": path.name,
                "model_sha256": file_sha256(path),
                "transform": self.seeing.as_dict(),
                "precision": np.dtype(self._dtype).name,
            },
            {
                "device": self._session.get_providers()[0],
                "onnxruntime_version": onnxruntime.__version__,
            },
        )

    def begin(self, pixels: NDArray[np.uint8]) -> Callable[[], Features]:
        """Run the model; see :class:`Extractor`."""
        if self._dtype == np.uint8:
            x = pixels if self._channels_last else np.moveaxis(pixels, 3, 1)
            x = np.ascontiguousarray(x)
        else:
            x = self.seeing.normalized(pixels).astype(self._dtype, copy=False)
            if self._channels_last:
                x = np.ascontiguousarray(np.moveaxis(x, 1, 3))
        try:
            out = np.asarray(self._session.run(None, {self._name: x})[0], np.float32)
        except Exception as error:
            raise OptionsError(
                f"ONNX Runtime cannot run {self.description.name}: {error}"
            ) from error
        if len(out) != len(pixels):
            raise OptionsError(
                f"{self.description.name} gave {out.shape} for {len(pixels)} patches.",
                hint="Its first output should be one row a patch.",
            )
        features = out.reshape(len(pixels), -1)
        return lambda: features


def _providers(device: str, there: list[str]) -> list[Any]:
    """What ONNX Runtime calls a device."""
    kind, _, index = device.partition(":")
    if kind == "auto":
        kind = "cuda" if "CUDAExecutionProvider" in there else "cpu"
    if kind == "cpu":
        return ["CPUExecutionProvider"]
    if kind == "cuda" and "CUDAExecutionProvider" in there:
        return [("CUDAExecutionProvider", {"device_id": int(index or 0)}), "CPUExecutionProvider"]
    raise OptionsError(
        f"ONNX Runtime has no device {device} here; it has {', '.join(there)}.",
        hint="Use --device cpu, or install onnxruntime-gpu for CUDA.",
    )
