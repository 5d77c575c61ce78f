"""Features of a JPEG slide on a GPU: qpmask against a plain DataLoader over OpenSlide, in one run.

    python tests/benchmarks/features_gpu.py                        # a ViT-L, bfloat16, CUDA
    python tests/benchmarks/features_gpu.py --device cpu --model vit_tiny_patch16_224 \
        --width 2560 --height 2048 --workers 2 --batch-size 32     # to see that it runs

Makes a slide of JPEG tiles, cuts it into patches of 256 pixels, and makes features of all of them
by the same model with random weights, the same batch, precision and number of workers: by
``qpmask.extract_features``, and by a ``torch.utils.data.DataLoader`` whose dataset reads each patch
with OpenSlide and prepares it with torchvision, as scripts do. Each is measured from its start to
its last feature, the start of its workers and, for qpmask, the writing of the file included; the
model is loaded and warm before. Prints patches a second, the share of time in which the GPU was
busy, and how far the features of the two are apart.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np

SIDE = 256


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--model", default="vit_large_patch16_224")
    parser.add_argument("--width", type=int, default=40_960)
    parser.add_argument("--height", type=int, default=25_600)
    parser.add_argument("--workers", type=int, nargs="+", default=[4, 8, 16])
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--precision", default="bfloat16")
    return parser.parse_args()


# --- the slide ------------------------------------------------------------------------------------


def make_slide(path: Path, width: int, height: int) -> None:
    """A tiled JPEG TIFF with something in every tile."""
    from concurrent.futures import ThreadPoolExecutor

    import imagecodecs
    import tifffile

    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:1024, 0:1024]
    base = np.stack([
        200 + 40 * np.sin(x / 37) * np.cos(y / 23), 140 + 60 * np.sin((x + y) / 51),
        180 + 50 * np.cos(x / 19) * np.sin(y / 61),
    ], axis=2) + rng.normal(0, 9, (1024, 1024, 3))  # fmt: skip
    base = base.clip(0, 255).astype(np.uint8)

    def tile(i: int) -> bytes:
        shifted = np.roll(base, (i * 131 % 1024, i * 57 % 1024), (0, 1))[:SIDE, :SIDE]
        return bytes(imagecodecs.jpeg8_encode(shifted, level=80))

    n = (width // SIDE) * (height // SIDE)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        tifffile.imwrite(
            path, pool.map(tile, range(n)), shape=(height, width, 3), dtype=np.uint8,
            tile=(SIDE, SIDE), photometric="ycbcr", subsampling=(2, 2), compression="jpeg",
            resolution=(2e4, 2e4), resolutionunit="CENTIMETER",
        )  # fmt: skip


# --- the model, for both --------------------------------------------------------------------------

_settings: dict[str, Any] = {}


def model() -> Any:
    """The factory that ``package.module:factory`` names."""
    import timm
    import torch

    torch.manual_seed(0)
    module = timm.create_model(_settings["model"], pretrained=False, num_classes=0)
    module.resize, module.crop = 224, 224
    return module


# --- the plain way --------------------------------------------------------------------------------


class Plain:
    """Each patch read with OpenSlide when it is asked for."""

    def __init__(self, slide: Path, coords: np.ndarray) -> None:
        from torchvision import transforms

        self.slide, self.coords, self.handle = str(slide), coords, None
        self.prepare = transforms.Compose([
            transforms.Resize(224), transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ])  # fmt: skip

    def __len__(self) -> int:
        return len(self.coords)

    def __getitem__(self, i: int) -> Any:
        import openslide

        if self.handle is None:
            self.handle = openslide.OpenSlide(self.slide)
        x, y = self.coords[i].tolist()
        return self.prepare(self.handle.read_region((x, y), 0, (SIDE, SIDE)).convert("RGB"))


def plain_features(slide: Path, coords: np.ndarray, module: Any, options: Any, n: int) -> Any:
    import torch
    from torch.utils.data import DataLoader

    loader = DataLoader(Plain(slide, coords), options.batch_size, num_workers=n,
                        pin_memory=options.device != "cpu")  # fmt: skip
    dtype = getattr(torch, options.precision)
    kind = options.device.partition(":")[0]
    out = []
    with torch.inference_mode(), torch.autocast(kind, dtype=dtype, enabled=dtype != torch.float32):
        for batch in loader:
            out.append(module(batch.to(options.device, non_blocking=True)).float().cpu().numpy())
    return np.concatenate(out)


# --- measuring ------------------------------------------------------------------------------------


class Busy:
    """Samples how busy the GPU is."""

    def __init__(self, device: str) -> None:
        self.found: list[int] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._handle = None
        if device.startswith("cuda"):
            import pynvml

            pynvml.nvmlInit()
            self._nvml = pynvml
            self._handle = pynvml.nvmlDeviceGetHandleByIndex(0)

    def _sample(self) -> None:
        while not self._end.wait(0.1):
            self.found.append(self._nvml.nvmlDeviceGetUtilizationRates(self._handle).gpu)

    def __enter__(self) -> Busy:
        if self._handle is not None:
            self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._end.set()
        if self._handle is not None:
            self._thread.join()

    def __str__(self) -> str:
        return f"{statistics.mean(self.found):.0f} %" if self.found else "-"


def main() -> None:
    options = parse()
    _settings["model"] = options.model
    sys.modules.setdefault("features_gpu", sys.modules["__main__"])
    import torch

    from qpmask import feature_options, make_patches, open_patches, patch_options
    from qpmask.features.job import FeatureItem, FeatureWork

    folder = Path(tempfile.mkdtemp(prefix="qpmask-features-"))
    slide = folder / "slide.tif"
    began = time.monotonic()
    make_slide(slide, options.width, options.height)
    size_mb, seconds = slide.stat().st_size / 1e6, time.monotonic() - began
    print(f"slide: {options.width} x {options.height}, {size_mb:.0f} MB, made in {seconds:.1f} s",
          flush=True)  # fmt: skip
    cut = patch_options(patch_size=SIDE, target_mpp=0.5, tissue="none")
    report = make_patches(slide, folder / "out", cut)
    assert report.ok, [r.error for r in report]
    file = folder / "out" / str(report.records[0].file)
    with open_patches(file) as patches:
        coords = patches.coords
    name = torch.cuda.get_device_name() if options.device.startswith("cuda") else options.device
    print(f"{len(coords):,} patches of {SIDE} pixels; {options.model}, {options.precision}, "
          f"batches of {options.batch_size}; {name}, {os.cpu_count()} processors, "
          f"torch {torch.__version__}", flush=True)  # fmt: skip
    module = model().to(options.device).eval()
    plain_features(slide, coords[: 2 * options.batch_size], module, options, 2)  # warm
    print(f"{'workers':>8} {'qpmask':>10} {'busy':>6} {'DataLoader':>11} {'busy':>6} {'ratio':>6}")
    for n in options.workers:
        how = feature_options(
            "features_gpu:model", device=options.device, precision=options.precision,
            batch_size=options.batch_size, num_workers=n, force=True,
        )  # fmt: skip
        work, item = FeatureWork(how), FeatureItem(file, "features_gpu:model")
        extractor = work._extractor(item.choice)  # loaded, and warm, as the other's model is
        extractor.begin(np.zeros((options.batch_size, 224, 224, 3), np.uint8))()
        began = time.monotonic()
        with Busy(options.device) as ours:
            record = work.do(item, _Silent())
        rate = len(coords) / (time.monotonic() - began)
        work.close()
        assert record.status == "done", record.error
        began = time.monotonic()
        with Busy(options.device) as theirs:
            expected = plain_features(slide, coords, module, options, n)
        other = len(coords) / (time.monotonic() - began)
        print(f"{n:>8} {rate:>8,.0f}/s {ours!s:>6} {other:>9,.0f}/s {theirs!s:>6} "
              f"{rate / other:>6.2f}", flush=True)  # fmt: skip
    with h5py.File(file) as stored:
        found = stored["features/model"][...]
    a, b = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (found, expected))
    same, other = (a * b).sum(1).min(), np.median((a[1:] * b[:-1]).sum(1))
    print(f"least cosine of the two features of a patch: {same:.5f}; with the next one {other:.5f}")


class _Silent:
    def phase(self, name: str, n_steps: int = 0) -> None:
        """Nobody listens."""

    def done(self, n: int) -> None:
        """Nobody listens."""

    def check(self) -> None:
        """Nobody stops it."""


if __name__ == "__main__":
    main()
