"""Models of PyTorch: every family with small random models of the real classes, no hub, no GPU.

Runs where PyTorch is installed; ``.ci/run`` has an environment of its own for it. What is asserted
is what is ours: which tokens are pooled, what a model is given, which arguments go to its
constructor.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from features.feature_models import patch_file

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra features)")

from PIL import Image  # noqa: E402

from qpmask import extract_features, feature_options, open_patches  # noqa: E402
from qpmask.common.torchdevice import device_of  # noqa: E402
from qpmask.errors import EngineUnavailableError, OptionsError  # noqa: E402
from qpmask.features import loaders  # noqa: E402
from qpmask.features.choosing import HowToRun, choose  # noqa: E402
from qpmask.features.registry import model as row_of  # noqa: E402
from qpmask.features.registry import models  # noqa: E402
from qpmask.features.with_torch import TorchExtractor  # noqa: E402

PATCHES = np.random.default_rng(0).integers(0, 256, (3, 48, 48, 3), np.uint8)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    torch.manual_seed(0)


def given(name: str, patches: np.ndarray = PATCHES) -> Any:
    """What a model should be given: made by other means than ours."""
    seeing = row_of(name).seeing
    how = getattr(Image.Resampling, seeing.interpolation.upper())
    cut = (seeing.resize - seeing.crop) // 2
    out = []
    for patch in patches:
        image = Image.fromarray(patch).resize((seeing.resize, seeing.resize), how)
        image = image.crop((cut, cut, cut + seeing.crop, cut + seeing.crop))
        x = np.asarray(image).astype(np.float64) / 255
        out.append((x - np.array(seeing.mean)) / np.array(seeing.std))
    return torch.from_numpy(np.stack(out)).permute(0, 3, 1, 2).float()


def features(name: str, folder: Path, **how: Any) -> np.ndarray:
    extractor = choose(name, HowToRun(device="cpu", weights={name: folder}, **how))
    pixels = np.stack([extractor.seeing.cut(patch) for patch in PATCHES])
    try:
        return extractor.begin(pixels)()
    finally:
        extractor.close()


def close(found: np.ndarray, expected: Any) -> None:
    expected = expected.detach().numpy()
    assert found.shape == expected.shape and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


# --- families -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["resnet18", "convnext_tiny"])
def test_torchvision(tmp_path: Path, name: str) -> None:
    tv = pytest.importorskip("torchvision")
    module = getattr(tv.models, name)(weights=None).eval()
    torch.save(module.state_dict(), tmp_path / "weights.pt")
    x = given(name)
    with torch.inference_mode():
        if name == "resnet18":
            body = torch.nn.Sequential(*list(module.children())[:-1])
            expected = body(x).flatten(1)
        else:  # without the LayerNorm of its classifier
            expected = module.avgpool(module.features(x)).flatten(1)
    assert expected.shape[1] == row_of(name).dimension
    close(features(name, tmp_path / "weights.pt"), expected)
    close(features(name, tmp_path), expected)


def test_all_weights_of_torchvision_exist() -> None:
    tv = pytest.importorskip("torchvision")
    for row in models().values():
        if row.family == "torchvision":
            enum, _, member = row.source.partition(".")
            weights = getattr(getattr(tv.models, enum), member)
            transform = weights.transforms()
            assert [row.seeing.resize] == transform.resize_size, row.name
            assert [row.seeing.crop] == transform.crop_size, row.name
            assert row.seeing.interpolation == transform.interpolation.value, row.name
            assert list(row.seeing.mean) == transform.mean, row.name


def timm_folder(folder: Path, architecture: str = "vit_tiny_patch16_224", **arguments: Any) -> Any:
    timm = pytest.importorskip("timm")
    module = timm.create_model(architecture, **arguments).eval()
    folder.mkdir(exist_ok=True)
    timm.models.save_for_hf(module, folder, safe_serialization="both")
    return module


@pytest.mark.parametrize("name", ["uni_v1", "pathorchestra", "h_optimus_0", "prov_gigapath"])
def test_timm_output(tmp_path: Path, name: str) -> None:
    arguments = {"num_classes": 0, **row_of(name).arguments}
    module = timm_folder(tmp_path / "w", **arguments)
    with torch.inference_mode():
        close(features(name, tmp_path / "w"), module(given(name)))


@pytest.mark.parametrize(
    ("name", "registers"), [("virchow_v1", 0), ("virchow_v2", 4), ("h0_mini", 4)]
)
def test_timm_class_token_and_mean_of_patches(
    tmp_path: Path, name: str, registers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A model with plain layers: which layers it has is the folder's and the arguments' to say.
    monkeypatch.setattr(loaders, "_arguments", lambda arguments: {})
    module = timm_folder(tmp_path / "w", reg_tokens=registers, num_classes=0)
    monkeypatch.setattr(
        loaders, "_arguments", lambda arguments: {"reg_tokens": registers, "num_classes": 0}
    )
    with torch.inference_mode():
        tokens = module.forward_features(given(name))
    assert tokens.shape[1] == 1 + registers + 14 * 14
    expected = torch.cat([tokens[:, 0], tokens[:, 1 + registers :].mean(1)], 1)
    close(features(name, tmp_path / "w"), expected)


def test_timm_gets_the_arguments_of_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    timm = pytest.importorskip("timm")
    seen: dict[str, Any] = {}

    def create_model(name: str, **arguments: Any) -> Any:
        seen.update(arguments, name=name)
        return torch.nn.Identity()

    monkeypatch.setattr(timm, "create_model", create_model)
    loaders.load(row_of("uni_v2"), None)
    assert seen["mlp_layer"] is timm.layers.SwiGLUPacked and seen["act_layer"] is torch.nn.SiLU
    assert seen["embed_dim"] == 1536 and seen["reg_tokens"] == 8 and seen["pretrained"]
    assert seen["mlp_ratio"] == pytest.approx(2.66667 * 2)
    loaders.load(row_of("uni_v1"), None)
    assert seen["name"] == f"hf-hub:MahmoodLab/uni@{row_of('uni_v1').revision}"


@pytest.mark.parametrize("name", ["dinov2_small", "phikon_v2", "midnight"])
def test_transformers_dinov2(tmp_path: Path, name: str) -> None:
    tf = pytest.importorskip("transformers")
    config = tf.Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=224, patch_size=14
    )
    module = tf.Dinov2Model(config).eval()
    module.save_pretrained(tmp_path)
    with torch.inference_mode():
        tokens = module(pixel_values=given(name)).last_hidden_state
    expected = tokens[:, 0]
    if name == "midnight":
        expected = torch.cat([expected, tokens[:, 1:].mean(1)], 1)
    close(features(name, tmp_path), expected)


def test_transformers_vit_without_pooler(tmp_path: Path) -> None:
    tf = pytest.importorskip("transformers")
    config = tf.ViTConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2)
    module = tf.ViTModel(config, add_pooling_layer=False).eval()
    module.save_pretrained(tmp_path)
    with torch.inference_mode():
        close(features("phikon_v1", tmp_path),
              module(pixel_values=given("phikon_v1")).last_hidden_state[:, 0])  # fmt: skip


@pytest.mark.parametrize("name", ["dinov3_vits16", "dinov3_vitl16_sat"])
def test_transformers_dinov3(tmp_path: Path, name: str) -> None:
    tf = pytest.importorskip("transformers")
    config = tf.DINOv3ViTConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_register_tokens=4, patch_size=16,
    )  # fmt: skip
    module = tf.DINOv3ViTModel(config).eval()
    module.save_pretrained(tmp_path)
    with torch.inference_mode():
        close(features(name, tmp_path), module(pixel_values=given(name)).pooler_output)


def test_transformers_clip(tmp_path: Path) -> None:
    tf = pytest.importorskip("transformers")
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
              "num_attention_heads": 2, "image_size": 224, "patch_size": 32}  # fmt: skip
    text = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
            "num_attention_heads": 2, "vocab_size": 100}  # fmt: skip
    config = tf.CLIPConfig(vision_config=vision, text_config=text, projection_dim=24)
    module = tf.CLIPModel(config).eval()
    module.save_pretrained(tmp_path)
    with torch.inference_mode():
        pooled = module.vision_model(pixel_values=given("plip")).pooler_output
        expected = module.visual_projection(pooled)
    found = features("plip", tmp_path)
    assert found.shape == (3, 24)
    close(found, expected)
    assert not np.allclose(np.linalg.norm(found, axis=1), 1), "not normalized"


@pytest.mark.parametrize("name", ["biomedclip", "quilt_b_16_pmb", "clip_vit_b_16"])
def test_open_clip(tmp_path: Path, name: str) -> None:
    open_clip = pytest.importorskip("open_clip")
    config = {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 224, "layers": 2, "width": 64, "head_width": 32,
                       "patch_size": 32},
        "text_cfg": {"context_length": 8, "vocab_size": 100, "width": 32, "heads": 2, "layers": 1},
    }  # fmt: skip
    module = open_clip.CLIP(**config).eval()
    (tmp_path / "open_clip_config.json").write_text(json.dumps(
        {"model_cfg": config, "preprocess_cfg": {"mean": [0, 0, 0], "std": [1, 1, 1]}}
    ))  # fmt: skip
    torch.save(module.state_dict(), tmp_path / "open_clip_pytorch_model.bin")
    with torch.inference_mode():
        expected = module.encode_image(given(name))
    found = features(name, tmp_path)
    assert found.shape == (3, 24)
    close(found, expected)


def test_open_clip_at_a_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """open_clip has no revisions: the hub is asked for the folder, which is loaded."""
    open_clip = pytest.importorskip("open_clip")
    asked = []

    def snapshot_download(repository: str, **how: Any) -> str:
        asked.append((repository, how["revision"]))
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    monkeypatch.setattr(open_clip, "create_model", lambda source: source)
    row = row_of("biomedclip")
    module, _ = loaders.load(row, None)
    assert module == f"local-dir:{tmp_path}"
    assert asked == [(row.source.removeprefix("hf-hub:"), row.revision)]
    assert len(row.revision) == 40


def test_torch_hub(tmp_path: Path) -> None:
    """Weights whose position embedding is of another size than the architecture's, as they are."""
    (tmp_path / "dinov2").mkdir()
    code = (
        "dependencies = ['torch']\n"
        "import torch\n"
        "class Body(torch.nn.Module):\n"
        "    def __init__(self, n):\n"
        "        super().__init__()\n"
        "        self.pos_embed = torch.nn.Parameter(torch.randn(n))\n"
        "        self.last = torch.nn.Linear(3, 8)\n"
        "    def forward(self, x):\n"
        "        return self.last(x.mean((2, 3))) + self.pos_embed.sum()\n"
        "def dinov2_vitg14_reg(pretrained):\n"
        "    assert not pretrained\n"
        "    return Body(1370)\n"
    )
    (tmp_path / "dinov2" / "hubconf.py").write_text(code)
    names: dict[str, Any] = {}
    exec(code, names)
    body = names["Body"](257)
    torch.save(body.state_dict(), tmp_path / "teacher_checkpoint_load.pt")
    with torch.inference_mode():
        close(features("openmidnight", tmp_path), body(given("openmidnight")))


def test_open_clip_has_what_the_rows_name() -> None:
    open_clip = pytest.importorskip("open_clip")
    for row in models().values():
        if row.family == "open_clip" and not row.source.startswith("hf-hub:"):
            architecture, _, pretrained = row.source.partition("/")
            if pretrained:
                assert (architecture, pretrained) in open_clip.list_pretrained(), row.name
            config = open_clip.get_model_config(architecture)
            assert config["embed_dim"] == row.dimension, row.name
            assert config["vision_cfg"]["image_size"] == row.seeing.crop, row.name


# --- how it runs ----------------------------------------------------------------------------------


def small(
    limit: int | None = None, seen: list[int] | None = None,
    error: type[Exception] = torch.OutOfMemoryError, said: str = "no memory left", **how: Any,
) -> TorchExtractor:  # fmt: skip
    """Means by a module that takes so many patches at a time at most."""
    body = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten())

    def features_of(x: Any) -> Any:
        if seen is not None:
            seen.append(len(x))
        if limit is not None and len(x) > limit:
            raise error(said)
        return body(x)

    seeing = row_of("resnet18").seeing
    how = {"precision": "float32", **how}
    return TorchExtractor("small", body, features_of, seeing, torch.device("cpu"),
                          decides={}, also={}, **how)  # fmt: skip


def test_memory_that_runs_out_halves_the_batch_and_says_so() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (20, 224, 224, 3), np.uint8)
    seen: list[int] = []
    extractor = small(6, seen)
    found = extractor.begin(pixels)()
    assert seen[:3] == [20, 10, 5] and seen[3:] == [5, 5, 5]
    assert np.array_equal(found, small().begin(pixels)())
    assert [note.split(" at ", 1)[1] for note in extractor.notes()] == [
        "20 patches at a time; it goes on with 10.", "10 patches at a time; it goes on with 5.",
    ]  # fmt: skip
    extractor.begin(pixels)
    assert len(extractor.notes()) == 2, "it stays with what fits"
    with pytest.raises(EngineUnavailableError, match="too little memory for a single patch"):
        small(0).begin(pixels)


def test_memory_that_runs_out_on_devices_that_say_so_in_words() -> None:
    pixels = np.zeros((4, 224, 224, 3), np.uint8)
    for said in ("MPS backend out of memory", "DefaultCPUAllocator: can't allocate memory"):
        seen: list[int] = []
        small(2, seen, RuntimeError, said).begin(pixels)
        assert seen == [4, 2, 2]
    with pytest.raises(RuntimeError, match="sizes do not fit"):
        small(2, None, RuntimeError, "sizes do not fit").begin(pixels)


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_lower_precision_is_near(tmp_path: Path, precision: str) -> None:
    module = timm_folder(tmp_path / "w", num_classes=0, init_values=1e-5)
    with torch.inference_mode():
        expected = module(given("uni_v1")).numpy()
    found = features("uni_v1", tmp_path / "w", precision=precision)
    assert found.dtype == np.float32
    error = np.abs(found - expected).max() / np.abs(expected).max()
    assert 0 < error < 0.05


def test_devices() -> None:
    assert device_of("cpu").type == "cpu"
    with pytest.raises(OptionsError, match="no device 'gpu'"):
        device_of("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(OptionsError, match="There is no device cuda here"):
            device_of("cuda")
        assert device_of("auto").type in ("cpu", "mps")
    with pytest.raises(OptionsError, match="cuda:99"):
        device_of("cuda:99")


@pytest.mark.parametrize("name", ["uni_v1", "dinov2_small", "biomedclip"])
def test_weights_that_cannot_be_had(name: str) -> None:
    with pytest.raises(OptionsError, match=r"HF_HUB_OFFLINE is set.*--weights") as caught:
        choose(name, HowToRun(device="cpu"))
    assert ("gated" in str(caught.value)) == row_of(name).gated


def test_weights_of_another_model(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "w.pt")
    with pytest.raises(OptionsError, match=r"weights of resnet18 in .* cannot be loaded"):
        choose("resnet18", HowToRun(device="cpu", weights={"resnet18": tmp_path / "w.pt"}))
    (tmp_path / "more.pt").write_bytes(b"")
    with pytest.raises(OptionsError, match="holds 2 files of weights"):
        choose("resnet18", HowToRun(device="cpu", weights={"resnet18": tmp_path}))
    with pytest.raises(OptionsError, match="There is no folder"):
        choose("resnet18", HowToRun(device="cpu", weights={"resnet18": tmp_path / "none"}))


def test_from_patches_to_the_file(tmp_path: Path) -> None:
    patches = patch_file(tmp_path)
    module = timm_folder(tmp_path / "w", num_classes=0, init_values=1e-5, dynamic_img_size=True)
    options = feature_options(
        "uni_v1", device="cpu", weights={"uni_v1": tmp_path / "w"}, batch_size=20
    )
    report = extract_features(patches, options)
    assert report.ok, [r.error for r in report]
    with open_patches(patches) as found, torch.inference_mode():
        expected = module(given("uni_v1", np.stack([p.pixels for p in found]))).numpy()
    with h5py.File(patches) as file:
        data = file["features/uni_v1"]
        np.testing.assert_allclose(data[...], expected, rtol=1e-3, atol=1e-4)
        assert data.attrs["model"] == "MahmoodLab/uni" and data.attrs["model_weights"] == "w"
        assert torch.__version__.startswith(data.attrs["torch_version"])
        assert data.attrs["precision"] == "float32" and data.attrs["transform_resize"] == 224
    assert [r.status for r in extract_features(patches, options)] == ["skipped"]
