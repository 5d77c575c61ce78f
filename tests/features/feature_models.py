"""Extractors that are made on the spot, whose features are known exactly; and patch files."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from patches.patch_slides import place_colors, slide_file

from qpmask import make_patches, patch_options

SIDE = 32


def patch_file(folder: Path, height: int = 200, width: int = 300, name: str = "a") -> Path:
    """Patches of a slide whose pixels tell their place: 6 x 9 of them by default."""
    slide = slide_file(folder / f"{name}.tif", place_colors(height, width), um=2.0)
    options = patch_options(patch_size=SIDE, target_mpp=2.0, tissue="none")
    report = make_patches(slide, folder / "out", options)
    assert report.ok, [r.error for r in report]
    return folder / "out" / str(report.records[0].file)


def onnx_model(path: Path, kind: str = "float", side: int | str = "side") -> Path:
    """Means of red, green and blue as the model gets them, and twice the red one.

    ``kind`` is ``float`` (b, 3, h, w), ``bytes`` (b, h, w, 3) or ``two inputs``.
    """
    from onnx import TensorProto, helper

    weights = np.array([[1, 0, 0, 2], [0, 1, 0, 0], [0, 0, 1, 0]], np.float32)
    constant = helper.make_tensor("weights", TensorProto.FLOAT, weights.shape, weights.ravel())
    if kind == "bytes":
        shape, axes, element = ["b", side, side, 3], [1, 2], TensorProto.UINT8
    else:
        shape, axes, element = ["b", 3, side, side], [2, 3], TensorProto.FLOAT
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["f"], ["m"], axes=axes, keepdims=0),
        helper.make_node("MatMul", ["m", "weights"], ["y"]),
    ]
    inputs = [helper.make_tensor_value_info("x", element, shape)]
    if kind == "two inputs":
        inputs.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [1]))
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["b", 4])]
    graph = helper.make_graph(nodes, "means", inputs, outputs, [constant])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def mean_features(pixels: np.ndarray) -> np.ndarray:
    """What the model gives for pixels (b, h, w, 3) of any scale."""
    m = pixels.reshape(len(pixels), -1, 3).mean(1)
    return np.column_stack([m, 2 * m[:, 0]])


# --- factories for package.module:factory ---------------------------------------------------------


def means() -> Any:
    return lambda pixels: pixels.reshape(len(pixels), -1, 3).mean(1)


def slow() -> Any:
    """The same, but slowly, so that it can be killed on the way."""

    def features(pixels: np.ndarray) -> np.ndarray:
        time.sleep(0.03)
        return means()(pixels)

    return features


class Cropped:
    """Says what it sees and what it gives."""

    crop, dimension, version = 16, 6, "2"

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        assert pixels.shape[1:] == (16, 16, 3) and pixels.dtype == np.uint8
        return np.concatenate([pixels[:, 0, 0], pixels[:, -1, -1]], axis=1)


def not_finite() -> Any:
    def features(pixels: np.ndarray) -> np.ndarray:
        out = means()(pixels)
        out[out[:, 0] > 200, 1] = np.nan
        out[out[:, 1] < 20, 2] = np.inf
        return out

    return features


def wrong_shape() -> Any:
    return lambda pixels: pixels.mean()


def too_long() -> Any:
    found = means()
    found.dimension = 5
    return found


def stops_on_the_way() -> Any:
    calls = []

    def features(pixels: np.ndarray) -> np.ndarray:
        calls.append(1)
        if len(calls) > 4:
            raise OSError("the device is gone")
        return means()(pixels)

    return features


def cannot_be_made() -> Any:
    raise RuntimeError("no weights here")


def a_number() -> Any:
    return 3
