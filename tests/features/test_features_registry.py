"""The registry: complete, and each row of it means something."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qpmask.errors import MissingExtraError, OptionsError
from qpmask.features.choosing import HowToRun, choose, expected
from qpmask.features.preprocessing import INTERPOLATIONS, Seeing
from qpmask.features.registry import FAMILIES, POOLINGS, model, models

NAMES = [
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "convnext_tiny",
    "convnext_small",
    "convnext_base",
    "convnext_large",
    "vit_b_16",
    "vit_b_32",
    "vit_l_16",
    "vit_l_32",
    "vit_h_14",
    "dinov2_small",
    "dinov2_base",
    "dinov2_large",
    "dinov2_giant",
    "dinov3_vits16",
    "dinov3_vits16_plus",
    "dinov3_vitb16",
    "dinov3_vitl16",
    "dinov3_vitl16_sat",
    "dinov3_vith16_plus",
    "dinov3_vit7b16",
    "dinov3_vit7b16_sat",
    "uni_v1",
    "uni_v2",
    "phikon_v1",
    "phikon_v2",
    "virchow_v1",
    "virchow_v2",
    "prov_gigapath",
    "midnight",
    "musk",
    "openmidnight",
    "pathorchestra",
    "h_optimus_0",
    "h_optimus_1",
    "h0_mini",
    "hibou_b",
    "hibou_l",
    "lunit_resnet50_bt",
    "lunit_resnet50_swav",
    "lunit_resnet50_mocov2",
    "lunit_vit_small_patch16_dino",
    "lunit_vit_small_patch8_dino",
    "clip_rn50",
    "clip_rn101",
    "clip_rn50x4",
    "clip_rn50x16",
    "clip_rn50x64",
    "clip_vit_b_32",
    "clip_vit_b_16",
    "clip_vit_l_14",
    "clip_vit_l_14_336",
    "plip",
    "medsiglip",
    "quilt_b_32",
    "quilt_b_16",
    "quilt_b_16_pmb",
    "biomedclip",
    "conch_v1",
    "conch_v15",
    "omiclip",
]


def test_all_that_people_name_are_there() -> None:
    assert sorted(models()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_row(name: str) -> None:
    row = model(name)
    assert row.family in FAMILIES and row.pooling in POOLINGS
    assert row.seeing.interpolation in INTERPOLATIONS
    assert (
        row.seeing.resize >= row.seeing.crop >= 224
        and row.seeing.crop % 14 * (row.seeing.crop % 16) == 0
    ), "a whole number of the patches of a ViT"
    assert row.licence and 128 < row.dimension <= 4096
    assert row.pooling != "cls+mean" or row.dimension % 2 == 0
    assert row.revision == "main" or len(row.revision) == 40
    assert expected(name, HowToRun())["transform"] == row.seeing.as_dict()


def test_rows_that_are_told_wrongly_elsewhere() -> None:
    assert model("musk").dimension == 2048 and "ms_aug" in model("musk").note
    assert model("pathorchestra").dimension == 1024 and model("pathorchestra").note
    assert model("h0_mini").pooling == model("midnight").pooling == "cls+mean"
    assert (model("h0_mini").dimension, model("midnight").dimension) == (1536, 3072)
    assert "LayerNorm" in model("convnext_tiny").note
    assert model("virchow_v2").registers == 4 and model("virchow_v1").registers == 0


def test_other_weights_in_the_same_folder_make_other_features(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    how = HowToRun(weights={"uni_v1": tmp_path})
    weights.write_bytes(b"1" * 100)
    first = expected("uni_v1", how)
    (tmp_path / "README.md").write_text("Read me.")
    assert expected("uni_v1", how) == first
    weights.write_bytes(b"2" * 100)
    assert expected("uni_v1", how) != first
    assert expected("uni_v1", HowToRun(weights={"uni_v1": tmp_path / "none"})) != first


def test_without_torch_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"qpmask\[features\]"):
        choose("resnet50", HowToRun())


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_scaling_is_pillows(interpolation: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8)
    seeing = Seeing.of(resize=64, crop=48, interpolation=interpolation)
    how = getattr(Image.Resampling, interpolation.upper())
    whole = np.asarray(Image.fromarray(pixels).resize((64, 64), how))
    assert np.array_equal(seeing.cut(pixels), whole[8:56, 8:56])
    assert seeing.side(100) == 48


def test_what_is_seen_as_it_is_is_not_copied() -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    assert Seeing.of(resize=64, crop=64).cut(pixels) is pixels
    assert Seeing.of().cut(pixels) is pixels
    with pytest.raises(OptionsError, match="sees 80 pixels of a patch of 64"):
        Seeing.of(crop=80).cut(pixels)


def test_normalizing() -> None:
    pixels = np.array([[[[0, 128, 255]]]], np.uint8)
    found = Seeing.of(normalize="half").normalized(pixels)
    assert found.shape == (1, 3, 1, 1)
    np.testing.assert_allclose(found.ravel(), [-1, 128 / 127.5 - 1, 1], atol=1e-6)
    with pytest.raises(OptionsError, match="must be one of"):
        Seeing.of(normalize="mine")
