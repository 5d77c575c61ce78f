"""``--tissue sam2`` with a small random model of Transformers' real class: no hub, no GPU.

Runs where PyTorch and Transformers are installed. What is asserted is what is ours: which picture
and which prompt the model is given, what is made of its scores, and when it is made again.
"""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from patches.patch_slides import slide_file, tissue_picture

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra sam2)")
transformers = pytest.importorskip("transformers", reason="Transformers are not (extra sam2)")

from PIL import Image  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from qpmask import make_patches, open_patches, patch_options  # noqa: E402
from qpmask.errors import OptionsError  # noqa: E402
from qpmask.slides import open_slide  # noqa: E402
from qpmask.tissue import Picture, sam2_meta  # noqa: E402
from qpmask.tissue.components import drop_small, fill_small_holes  # noqa: E402
from qpmask.tissue.sam2 import (  # noqa: E402
    checkpoint_files,
    find_tissue_by_sam2,
    sam2_picture,
)

SIDE = 128
UM = 8.0


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 128 x 128 pixels whose mask parts pictures somewhere."""
    torch.manual_seed(3)
    backbone = transformers.Sam2HieraDetConfig(
        hidden_size=16, image_size=[SIDE, SIDE], blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[16, 32, 64, 128], num_attention_heads_per_stage=[1, 1, 2, 4],
        window_size_per_stage=[4, 4, 4, 4], global_attention_blocks=[3],
    )  # fmt: skip
    vision = transformers.Sam2VisionConfig(
        backbone_config=backbone, backbone_channel_list=[128, 64, 32, 16],
        backbone_feature_sizes=[[32, 32], [16, 16], [8, 8]], fpn_hidden_size=32,
    )  # fmt: skip
    model = transformers.Sam2Model(
        transformers.Sam2Config(
            vision_config=vision,
            prompt_encoder_config=transformers.Sam2PromptEncoderConfig(
                hidden_size=32, image_size=SIDE
            ),
            mask_decoder_config=transformers.Sam2MaskDecoderConfig(
                hidden_size=32, mlp_dim=32, num_attention_heads=2, iou_head_hidden_dim=32
            ),
            initializer_range=0.3,
        )
    )
    folder = tmp_path_factory.mktemp("sam2")
    model.save_pretrained(folder)
    size = {"height": SIDE, "width": SIDE}
    images = transformers.Sam2ImageProcessor(size=size, mask_size={"height": 32, "width": 32})
    transformers.Sam2Processor(images).save_pretrained(folder)
    return folder


def picture(height: int = 300, width: int = 400) -> Picture:
    return Picture(tissue_picture(height, width)[0], 4.0, UM)


def scores(checkpoint: Path, pixels: np.ndarray) -> np.ndarray:
    """What the model says of a picture when it is asked by hand, with the picture's size."""
    model = transformers.Sam2Model.from_pretrained(checkpoint).eval()
    small = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    x = np.asarray(small).astype(np.float32) / 255
    x = (x - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    with torch.inference_mode():
        out = model(
            pixel_values=torch.from_numpy(x).permute(2, 0, 1)[None].float(),
            input_boxes=torch.tensor([[[0.0, 0.0, SIDE, SIDE]]]), multimask_output=False,
        )  # fmt: skip
        found = torch.nn.functional.interpolate(
            out.pred_masks[0], pixels.shape[:2], mode="bilinear", align_corners=False
        )
    return found[0, 0].numpy()


def test_one_mask_of_the_box_around_the_whole_picture(checkpoint: Path) -> None:
    shown = picture()
    found = find_tissue_by_sam2(shown, str(checkpoint), "cpu")
    logits = scores(checkpoint, shown.pixels)
    expected = logits > 0
    assert 0.02 < expected.mean() < 0.98  # else the model parts nothing
    um2 = UM * UM
    expected = drop_small(expected, 0.02e6 / um2)
    expected = fill_small_holes(expected, 0.005e6 / um2)
    assert found.scale == 4.0 and found.found.shape == (300, 400)
    assert (found.found == expected).mean() > 0.995  # libraries round a resized pixel differently


def test_small_pieces_are_dropped_by_their_area(checkpoint: Path) -> None:
    shown = picture()
    tiny = Picture(shown.pixels, shown.scale, 0.01)  # all of it is 12 µm²: dust
    assert find_tissue_by_sam2(shown, str(checkpoint), "cpu").found.any()
    assert not find_tissue_by_sam2(tiny, str(checkpoint), "cpu").found.any()


@pytest.mark.parametrize(("mpp", "um"), [(2.0, 8.0), (200.0, 200.0)])
def test_the_picture_has_8_um_and_about_1024_pixels_at_most(
    tmp_path: Path, mpp: float, um: float
) -> None:
    slide = slide_file(tmp_path / "a.tif", tissue_picture(600, 1000)[0], um=mpp)
    with closing(open_slide(slide)) as opened:
        assert sam2_picture(opened, [1.0], mpp).um == pytest.approx(um)


def test_patches_and_when_they_are_cut_again(checkpoint: Path, tmp_path: Path) -> None:
    pixels, _ = tissue_picture(600, 800)
    slide = slide_file(tmp_path / "a.tif", pixels, um=UM)
    own = tmp_path / "model"
    own.mkdir()
    for file in checkpoint.iterdir():
        (own / file.name).write_bytes(file.read_bytes())
    options = patch_options(
        patch_size=32, target_mpp=UM, tissue="sam2", sam2=str(own), device="cpu", min_tissue=0.5,
        pictures="contours",
    )  # fmt: skip
    report = make_patches(slide, tmp_path / "out", options)
    assert report.ok, [r.error for r in report]
    shares = find_tissue_by_sam2(Picture(pixels, 1.0, UM), str(own), "cpu").shares(
        np.arange(0, 800, 32), np.arange(0, 600 - 31, 32), 32
    )
    with open_patches(tmp_path / "out/patches/a.h5") as patches:
        assert 0 < len(patches) == np.count_nonzero(shares >= 0.5 - 1e-9)
        assert patches.attributes["tissue_method"] == "sam2"
        assert patches.attributes["tissue_model"] == str(own)
    assert [r.status for r in make_patches(slide, tmp_path / "out", options)] == ["skipped"]
    weights = load_file(own / "model.safetensors")
    weights["no_memory_embedding"] += 1
    save_file(weights, own / "model.safetensors", metadata={"format": "pt"})
    assert [r.status for r in make_patches(slide, tmp_path / "out", options)] == ["done"]


def test_a_checkpoint_that_lacks_weights_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    weights = load_file(checkpoint / "model.safetensors")
    lost = next(name for name in weights if name.startswith("mask_decoder"))
    del weights[lost]
    for file in checkpoint.iterdir():
        if file.suffix == ".json":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(OptionsError, match="no whole SAM2 checkpoint: 1 of its weights"):
        find_tissue_by_sam2(picture(), str(tmp_path), "cpu")


def test_a_name_that_the_hub_cannot_give(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match=r"cannot be loaded.*") as told:
        find_tissue_by_sam2(picture(), "nobody/nothing", "cpu")
    assert "--sam2 FOLDER" in str(told.value)


def test_a_folder_without_a_configuration(tmp_path: Path) -> None:
    (tmp_path / "model.pth").write_bytes(b"weights")
    with pytest.raises(OptionsError, match=r"or name a file of Meta's format"):
        make_patches(
            slide_file(tmp_path / "a.tif", tissue_picture(64, 64)[0]), tmp_path / "out",
            patch_options(target_mpp=8, tissue="sam2", sam2=str(tmp_path)),
        )  # fmt: skip
    assert not (tmp_path / "out").exists()


# --- Meta's own format ----------------------------------------------------------------------------

TINY = sam2_meta.Kind((1, 1, 2, 1), 1, (8, 4, 14, 7), (3,), 7)

#: Beginnings and parts of Transformers' names, and what Meta's classes call the same.
META = (
    ("vision_encoder.backbone.patch_embed.projection", "image_encoder.trunk.patch_embed.proj"),
    ("vision_encoder.backbone", "image_encoder.trunk"),
    ("prompt_encoder.shared_embedding.positional_embedding",
     "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"),
    ("mask_embed.conv1", "mask_downscaling.0"), ("mask_embed.layer_norm1", "mask_downscaling.1"),
    ("mask_embed.conv2", "mask_downscaling.3"), ("mask_embed.layer_norm2", "mask_downscaling.4"),
    ("mask_embed.conv3", "mask_downscaling.6"), ("prompt_encoder.", "sam_prompt_encoder."),
    ("upscale_conv1", "output_upscaling.0"), ("upscale_layer_norm", "output_upscaling.1"),
    ("upscale_conv2", "output_upscaling.3"), ("mask_decoder.", "sam_mask_decoder."),
    ("layer_norm_final_attn", "norm_final_attn"), ("layer_norm", "norm"), ("o_proj", "out_proj"),
    ("no_memory_embedding", "no_mem_embed"),
)  # fmt: skip


def in_metas_names(weights: dict) -> dict:
    found = {}
    for name, value in weights.items():
        if name.startswith("shared_image_embedding"):
            continue
        if name.endswith("point_embed.weight") and "not_a" not in name:
            for k in range(4):
                found[f"sam_prompt_encoder.point_embeddings.{k}.weight"] = value[k : k + 1]
            continue
        if re.search(r"_mlps\.\d|_head\.", name):  # three layers
            name = name.replace(".layers.0.", ".layers.1.").replace(".proj_in.", ".layers.0.")
            name = name.replace(".proj_out.", ".layers.2.")
        name = name.replace(".mlp.proj_in.", ".mlp.layers.0.")
        name = name.replace(".mlp.proj_out.", ".mlp.layers.1.")
        name = re.sub(
            r"^vision_encoder\.neck\.convs\.(\d)", r"image_encoder.neck.convs.\1.conv", name
        )
        for theirs, metas in META:
            name = name.replace(theirs, metas)
        found[name] = value
    return found


def test_a_file_of_metas_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same weights by Meta's names give the same tissue as in Transformers' format."""
    monkeypatch.setitem(sam2_meta.KINDS, (16, 5), TINY)
    torch.manual_seed(3)
    backbone = transformers.Sam2HieraDetConfig(
        hidden_size=16, blocks_per_stage=[1, 1, 2, 1], embed_dim_per_stage=[16, 32, 64, 128],
        num_attention_heads_per_stage=[1, 2, 4, 8], global_attention_blocks=[3],
    )  # fmt: skip
    vision = transformers.Sam2VisionConfig(
        backbone_config=backbone, backbone_channel_list=[128, 64, 32, 16]
    )
    decoder = transformers.Sam2MaskDecoderConfig(dynamic_multimask_via_stability=False)
    config = transformers.Sam2Config(
        vision_config=vision, mask_decoder_config=decoder, initializer_range=0.3
    )
    model = transformers.Sam2Model(config)
    folder, file = tmp_path / "folder", tmp_path / "model.pth"
    model.save_pretrained(folder)
    transformers.Sam2Processor(transformers.Sam2ImageProcessor()).save_pretrained(folder)
    state = in_metas_names(model.state_dict())
    assert len(state) == len(model.state_dict()) + 2, "four points for one, a matrix once"
    torch.save({"model": {**state, "memory_encoder.fuser": torch.zeros(1)}}, file)
    expected = find_tissue_by_sam2(picture(), str(folder), "cpu").found
    found = find_tissue_by_sam2(picture(), str(file), "cpu").found
    assert expected.any() and not expected.all()
    assert (found != expected).mean() < 1e-3, "a score of 0, give or take a rounding"
    assert checkpoint_files(str(file)) == (file,)
    del state["sam_mask_decoder.iou_token.weight"]
    torch.save({"model": state}, tmp_path / "lacks.pt")
    with pytest.raises(OptionsError, match=r"1 of its weights .* such as mask_decoder.iou_token"):
        find_tissue_by_sam2(picture(), str(tmp_path / "lacks.pt"), "cpu")
    torch.save({"model": {"x": torch.zeros(1)}}, tmp_path / "other.pt")
    with pytest.raises(OptionsError, match="no weights of SAM2"):
        find_tissue_by_sam2(picture(), str(tmp_path / "other.pt"), "cpu")
    monkeypatch.delitem(sam2_meta.KINDS, (16, 5))
    with pytest.raises(OptionsError, match="16 channels and 5 blocks"):
        sam2_meta.load_meta(file)


def test_scores_are_those_of_metas_own_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sam2 = pytest.importorskip("sam2", reason="Meta's package sam2 is not installed")
    from hydra.utils import instantiate
    from omegaconf import OmegaConf
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    configs = Path(sam2.__path__[0]) / "configs" / "sam2.1"
    config = OmegaConf.load(configs / "sam2.1_hiera_t.yaml").model
    config.image_encoder.trunk.embed_dim = 16
    config.image_encoder.neck.backbone_channel_list = [128, 64, 32, 16]
    torch.manual_seed(0)
    theirs = instantiate(config).eval()
    for values in theirs.parameters():
        if values.dim() > 1:
            torch.nn.init.normal_(values, std=0.05)
    torch.save({"model": theirs.state_dict()}, tmp_path / "model.pth")
    monkeypatch.setitem(sam2_meta.KINDS, (16, 12), sam2_meta.KINDS[96, 12])
    ours, processor, missing = sam2_meta.load_meta(tmp_path / "model.pth")
    assert missing == []
    pixels = np.array(Image.fromarray(picture().pixels).resize((1024, 1024)))
    predictor = SAM2ImagePredictor(theirs)
    with torch.inference_mode():
        predictor.set_image(pixels)
        box = np.array([0, 0, 1024, 1024], np.float32)
        _, _, expected = predictor.predict(box=box, multimask_output=False, return_logits=True)
        given = processor(
            images=pixels, input_boxes=[[[0, 0, 1024, 1024]]], return_tensors="pt",
            input_data_format="channels_last",
        )  # fmt: skip
        given.pop("original_sizes")
        found = ours.eval()(**given, multimask_output=False).pred_masks[0, 0].numpy()
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-4)
