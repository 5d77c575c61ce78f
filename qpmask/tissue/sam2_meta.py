"""SAM2 checkpoints in the format of Meta's own package, as AtlasPatch has them: ``model.pth``.

Such a file is the weights alone, under the names of Meta's classes. Here they get the names that
Transformers' ``Sam2Model`` has for the same tensors, and the sizes that no file tells are those of
the four models that Meta published, known by their width and depth. As in AtlasPatch the one mask
of a box is taken as it is, not the steadiest of several.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qpmask.errors import OptionsError

SUFFIXES = (".pt", ".pth")


@dataclass(frozen=True)
class Kind:
    """One of the published models.

    Attributes
    ----------
    stages : tuple of int
        Blocks of each stage.
    heads : int
        Attention heads of the first stage; each further one has twice as many.
    windows : tuple of int
        Width of a window of each stage.
    whole : tuple of int
        Blocks that look at the whole picture.
    background_px : int
        Width of the position embedding that is stretched over the picture.
    """

    stages: tuple[int, ...]
    heads: int
    windows: tuple[int, ...]
    whole: tuple[int, ...]
    background_px: int


#: By width of the first stage and number of blocks: tiny, small, base plus, large.
KINDS: dict[tuple[int, int], Kind] = {
    (96, 12): Kind((1, 2, 7, 2), 1, (8, 4, 14, 7), (5, 7, 9), 7),
    (96, 16): Kind((1, 2, 11, 2), 1, (8, 4, 14, 7), (7, 10, 13), 7),
    (112, 24): Kind((2, 3, 16, 3), 2, (8, 4, 14, 7), (12, 16, 20), 14),
    (144, 48): Kind((2, 6, 36, 4), 2, (8, 4, 16, 8), (23, 33, 43), 7),
}

#: From Meta's names to Transformers', one after the other.
_NAMES = tuple(
    (re.compile(pattern), into)
    for pattern, into in (
        (r"^image_encoder\.trunk\.patch_embed\.proj\.",
         "vision_encoder.backbone.patch_embed.projection."),
        (r"^image_encoder\.trunk\.", "vision_encoder.backbone."),
        (r"^image_encoder\.neck\.convs\.(\d+)\.conv\.", r"vision_encoder.neck.convs.\1."),
        (r"^no_mem_embed$", "no_memory_embedding"),
        (r"^sam_prompt_encoder\.pe_layer\.positional_encoding_gaussian_matrix$",
         "prompt_encoder.shared_embedding.positional_embedding"),
        (r"^sam_prompt_encoder\.mask_downscaling\.0\.", "prompt_encoder.mask_embed.conv1."),
        (r"^sam_prompt_encoder\.mask_downscaling\.1\.", "prompt_encoder.mask_embed.layer_norm1."),
        (r"^sam_prompt_encoder\.mask_downscaling\.3\.", "prompt_encoder.mask_embed.conv2."),
        (r"^sam_prompt_encoder\.mask_downscaling\.4\.", "prompt_encoder.mask_embed.layer_norm2."),
        (r"^sam_prompt_encoder\.mask_downscaling\.6\.", "prompt_encoder.mask_embed.conv3."),
        (r"^sam_prompt_encoder\.", "prompt_encoder."),
        (r"^sam_mask_decoder\.output_upscaling\.0\.", "mask_decoder.upscale_conv1."),
        (r"^sam_mask_decoder\.output_upscaling\.1\.", "mask_decoder.upscale_layer_norm."),
        (r"^sam_mask_decoder\.output_upscaling\.3\.", "mask_decoder.upscale_conv2."),
        (r"^sam_mask_decoder\.((?:output_hypernetworks_mlps\.\d+|iou_prediction_head|"
         r"pred_obj_score_head))\.layers\.0\.", r"mask_decoder.\1.proj_in."),
        (r"^sam_mask_decoder\.((?:output_hypernetworks_mlps\.\d+|iou_prediction_head|"
         r"pred_obj_score_head))\.layers\.1\.", r"mask_decoder.\1.layers.0."),
        (r"^sam_mask_decoder\.((?:output_hypernetworks_mlps\.\d+|iou_prediction_head|"
         r"pred_obj_score_head))\.layers\.2\.", r"mask_decoder.\1.proj_out."),
        (r"^sam_mask_decoder\.", "mask_decoder."),
        (r"\.norm(\d)\.", r".layer_norm\1."),
        (r"\.norm_final_attn\.", ".layer_norm_final_attn."),
        (r"\.out_proj\.", ".o_proj."),
        (r"\.mlp\.layers\.0\.", ".mlp.proj_in."),
        (r"\.mlp\.layers\.1\.", ".mlp.proj_out."),
    )
)  # fmt: skip
_USED = ("vision_encoder.", "prompt_encoder.", "mask_decoder.", "no_memory_embedding")
_POINTS = "prompt_encoder.point_embeddings."


def renamed(state: Mapping[str, Any]) -> dict[str, Any]:
    """Weights by Transformers' names; those that pictures need not (of films) are left out.

    Parameters
    ----------
    state : mapping of str to torch.Tensor
        By Meta's names.
    """
    import torch

    found: dict[str, Any] = {}
    points: dict[str, Any] = {}
    for name, value in state.items():
        for pattern, into in _NAMES:
            name = pattern.sub(into, name)
        if name.startswith(_POINTS):
            points[name] = value
        elif name.startswith(_USED):
            found[name] = value
    if points:
        found["prompt_encoder.point_embed.weight"] = torch.cat([points[k] for k in sorted(points)])
    place = found.get("prompt_encoder.shared_embedding.positional_embedding")
    if place is not None:
        found["shared_image_embedding.positional_embedding"] = place
    return found


def load_meta(path: Path) -> tuple[Any, Any, list[str]]:
    """The model of a file, its processor, and the names of weights that it lacks.

    Raises
    ------
    OptionsError
        The file holds no SAM2, or one of no known size. Nothing in it is run.
    """
    import torch
    import transformers

    data = torch.load(path, map_location="cpu", weights_only=True)
    state = data.get("model", data) if isinstance(data, Mapping) else {}
    first = state.get("image_encoder.trunk.patch_embed.proj.weight")
    if first is None:
        raise OptionsError(
            f"{path} holds no weights of SAM2.",
            hint="Meta's package and AtlasPatch write such files; for Transformers' format give "
            "its folder.",
        )
    blocks = {n.split(".")[3] for n in state if n.startswith("image_encoder.trunk.blocks.")}
    width, depth = int(first.shape[0]), len(blocks)
    kind = KINDS.get((width, depth))
    if kind is None:
        raise OptionsError(
            f"{path} holds a SAM2 of {width} channels and {depth} blocks, which is none of the "
            "published ones.",
            hint="Give a folder in Transformers' format, whose config.json tells its sizes.",
        )
    widths = [width * 2**k for k in range(len(kind.stages))]
    backbone = transformers.Sam2HieraDetConfig(
        hidden_size=width, num_attention_heads=kind.heads, blocks_per_stage=list(kind.stages),
        embed_dim_per_stage=widths,
        num_attention_heads_per_stage=[kind.heads * 2**k for k in range(len(widths))],
        window_size_per_stage=list(kind.windows), global_attention_blocks=list(kind.whole),
        window_positional_embedding_background_size=[kind.background_px] * 2,
    )  # fmt: skip
    vision = transformers.Sam2VisionConfig(
        backbone_config=backbone, backbone_channel_list=widths[::-1]
    )
    decoder = transformers.Sam2MaskDecoderConfig(dynamic_multimask_via_stability=False)
    model = transformers.Sam2Model(
        transformers.Sam2Config(vision_config=vision, mask_decoder_config=decoder)
    )
    missing = model.load_state_dict(renamed(state), strict=False).missing_keys
    return model, transformers.Sam2Processor(transformers.Sam2ImageProcessor()), list(missing)
