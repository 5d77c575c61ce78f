"""Extractors whose code is a package of its own, with small random models of the real classes.

Runs where PyTorch is installed; those of MUSK and CONCH where their packages are, which no registry
has (the repositories lilab-stanford/MUSK and mahmoodlab/CONCH).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra features)")

from qpmask.features.choosing import HowToRun, choose  # noqa: E402
from qpmask.features.registry import model as row_of  # noqa: E402

PATCHES = np.random.default_rng(0).integers(0, 256, (2, 256, 256, 3), np.uint8)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    torch.manual_seed(0)


def features_and_input(name: str, folder: Path) -> tuple[np.ndarray, Any]:
    """What an extractor makes of patches, and what its model was given."""
    extractor = choose(name, HowToRun(device="cpu", weights={name: folder}))
    extractor.dimension = None  # of the small model
    pixels = np.stack([extractor.seeing.cut(patch) for patch in PATCHES])
    try:
        found = extractor.begin(pixels)()
    finally:
        extractor.close()
    seeing = row_of(name).seeing
    x = (pixels / 255.0 - np.array(seeing.mean)) / np.array(seeing.std)
    return found, torch.from_numpy(x).permute(0, 3, 1, 2).float()


def close(found: np.ndarray, expected: Any) -> None:
    assert found.dtype == np.float32 and found.shape == tuple(expected.shape)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-3, atol=1e-4)


def test_omiclip(tmp_path: Path) -> None:
    """open_clip's CoCa, not divided by its length, which is its default."""
    open_clip = pytest.importorskip("open_clip")
    config = {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 224, "layers": 1, "width": 64, "head_width": 32,
                       "patch_size": 32, "attentional_pool": True, "attn_pooler_heads": 2,
                       "output_tokens": True},
        "text_cfg": {"context_length": 8, "vocab_size": 100, "width": 32, "heads": 2, "layers": 1,
                     "embed_cls": True, "output_tokens": True},
        "multimodal_cfg": {"context_length": 8, "vocab_size": 100, "width": 32, "heads": 2,
                           "layers": 1},
        "custom_text": True,
    }  # fmt: skip
    factory = pytest.importorskip("open_clip.factory")
    known = factory._MODEL_CONFIGS
    before = known["coca_ViT-L-14"]
    known["coca_ViT-L-14"] = config
    try:
        module = open_clip.create_model("coca_ViT-L-14").eval()
        torch.save(module.state_dict(), tmp_path / "checkpoint.pt")
        found, x = features_and_input("omiclip", tmp_path)
        with torch.inference_mode():
            expected = module.encode_image(x, normalize=False)
    finally:
        known["coca_ViT-L-14"] = before
    close(found, expected)
    assert not np.allclose(np.linalg.norm(found, axis=1), 1)


def test_musk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two scales joined: twice the width of its encoder."""
    modeling = pytest.importorskip("musk.modeling", reason="the package of MUSK is not installed")
    timm = pytest.importorskip("timm")
    from safetensors.torch import save_file

    real = modeling._get_large_config

    def small(**how: Any) -> Any:
        config = real(**how)
        config.encoder_embed_dim, config.encoder_attention_heads = 64, 4
        config.encoder_ffn_embed_dim, config.encoder_layers = 128, 2
        return config

    monkeypatch.setattr(modeling, "_get_large_config", small)
    module = timm.create_model("musk_large_patch16_384").eval()
    save_file(dict(module.state_dict()), tmp_path / "model.safetensors")
    found, x = features_and_input("musk", tmp_path)
    assert found.shape == (2, 128)
    with torch.inference_mode():
        expected = module(
            image=x, with_head=False, out_norm=False, ms_aug=True, return_global=True
        )[0]
    close(found, expected)


def test_conch(tmp_path: Path) -> None:
    conch = pytest.importorskip(
        "conch.open_clip_custom", reason="the package of CONCH is not installed"
    )
    factory = pytest.importorskip("conch.open_clip_custom.factory")
    config = json.loads((Path(factory.CFG_DIR) / "conch_ViT-B-16.json").read_text())
    config.pop("custom_text")
    module = factory.CoCa(**config).eval()
    torch.save(module.state_dict(), tmp_path / "pytorch_model.bin")
    found, x = features_and_input("conch_v1", tmp_path)
    assert found.shape == (2, 512) and conch is not None
    with torch.inference_mode():
        close(found, module.encode_image(x, proj_contrast=False, normalize=False))


def test_conch_v15(tmp_path: Path) -> None:
    """Code that comes with the weights: its ``return_conch`` gives the model of patches."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path / "titan"
    folder.mkdir()
    (folder / "modeling_titan.py").write_text(
        "import torch\n"
        "from transformers import PretrainedConfig, PreTrainedModel\n"
        "class TitanConfig(PretrainedConfig):\n"
        "    model_type = 'titan'\n"
        "class Titan(PreTrainedModel):\n"
        "    config_class = TitanConfig\n"
        "    def __init__(self, config):\n"
        "        super().__init__(config)\n"
        "        self.conch = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(4),\n"
        "            torch.nn.Flatten(), torch.nn.Linear(48, 8))\n"
        "        self.post_init()\n"
        "    def return_conch(self):\n"
        "        return self.conch, 'its transform'\n"
    )
    config = {
        "model_type": "titan", "architectures": ["Titan"],
        "auto_map": {"AutoConfig": "modeling_titan.TitanConfig",
                     "AutoModel": "modeling_titan.Titan"},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    from safetensors.torch import save_file

    layer = torch.nn.Linear(48, 8)
    save_file(
        {"conch.2.weight": layer.weight.detach(), "conch.2.bias": layer.bias.detach()},
        folder / "model.safetensors", metadata={"format": "pt"},
    )  # fmt: skip
    found, x = features_and_input("conch_v15", folder)
    assert transformers is not None
    with torch.inference_mode():
        close(found, layer(torch.nn.functional.adaptive_avg_pool2d(x, 4).flatten(1)))
