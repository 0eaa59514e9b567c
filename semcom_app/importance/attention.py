"""Attention maps of vision transformers (EQUATIONS §2, (3) and (4)), whatever kernel the model computes them with.

timm's fused attention never forms the attention matrix. So the input of an attention layer is caught on its way, and
q·kᵀ is computed once more from it, for the layers and the rows that are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from semcom_app.importance.base import normalised, patch_grid, resample_grid
from semcom_app.models.classifiers import ImageClassifier, load_classifier
from semcom_phy.errors import ConfigurationError


def check_attention(classifier: ImageClassifier) -> None:
    """Raise ConfigurationError unless the model is a vision transformer with a class token and plain attention."""
    model = classifier.model
    blocks = getattr(model, "blocks", None)
    if getattr(model, "cls_token", None) is None or not blocks:
        raise ConfigurationError(
            f"{classifier.name} is no vision transformer with a class token: it has no attention map"
        )
    for block in blocks:
        layer = getattr(block, "attn", None)
        plain = isinstance(getattr(layer, "qkv", None), nn.Linear) and hasattr(layer, "scale")
        # Rotary positions turn q and k after the projection.
        if not plain or any(getattr(part, "rope", None) is not None for part in (model, block, layer)):
            raise ConfigurationError(f"the attention layers of {classifier.name} are of a kind that is not read here")


def attention_probabilities(layer: Any, x: Tensor, queries: int | None = None) -> Tensor:
    """softmax(q·kᵀ/√d) of an attention layer of timm, from the layer's input.

    x: (n, tokens, width). queries: only the first so many rows. Returns (n, heads, queries, tokens).
    """
    n, tokens, _ = x.shape
    qkv = layer.qkv(x).reshape(n, tokens, 3, layer.num_heads, -1).permute(2, 0, 3, 1, 4)
    q, k = layer.q_norm(qkv[0]), layer.k_norm(qkv[1])
    scores: Tensor = (q[:, :, :queries] * layer.scale) @ k.transpose(-2, -1)
    return scores.softmax(dim=-1)


@torch.inference_mode()
def attention_layers(model: Any, x: Tensor, layers: Sequence[int], queries: int | None = None) -> list[Tensor]:
    """Attention of some blocks (negative numbers count from the last) for normalised pictures (n, 3, H, W).

    Returns one tensor (n, heads, queries, tokens) per layer.
    """
    caught: dict[int, Tensor] = {}
    numbers = [layer % len(model.blocks) for layer in layers]
    hooks = []
    for number in set(numbers):

        def catch(_: nn.Module, inputs: tuple[Tensor, ...], number: int = number) -> None:
            caught[number] = inputs[0]

        hooks.append(model.blocks[number].attn.register_forward_pre_hook(catch))
    try:
        model.forward_features(x)
    finally:
        for hook in hooks:
            hook.remove()
    return [attention_probabilities(model.blocks[n].attn, caught[n], queries) for n in numbers]


def class_attention(probabilities: Tensor, prefix: int) -> NDArray[np.float64]:
    """Equation (3) and (4): the class token's row, mean over the heads, without the prefix tokens, sum 1.

    probabilities: (n, heads, ≥1, tokens) of one layer. prefix: tokens before the patches (the class token, and a
    distillation token or registers where there are any). Returns float64 (n, tokens − prefix).
    """
    row = probabilities[:, :, 0].double().mean(dim=1)[:, prefix:]
    scaled: NDArray[np.float64] = (row / row.sum(dim=1, keepdim=True)).cpu().numpy()
    return scaled


def token_grid(classifier: ImageClassifier) -> tuple[int, int]:
    """Rows and columns of patch tokens at the model's own input size."""
    rows, columns = classifier.model.patch_embed.grid_size
    return int(rows), int(columns)


def model_input(classifier: ImageClassifier, pictures: NDArray[np.uint8], patch: int) -> tuple[Tensor, tuple[int, int]]:
    """Pictures scaled so that one token stands for one patch, normalised, and the grid of tokens.

    A model that was loaded with `dynamic` takes any grid; another one sees the pictures at its own input size, and its
    map must be resampled.
    """
    grid = patch_grid(pictures, patch)
    if not getattr(classifier.model, "dynamic_img_size", False):
        grid = token_grid(classifier)
    side = int(classifier.model.patch_embed.patch_size[0])
    size = (grid[0] * side, grid[1] * side)
    x = classifier.transform.normalise(torch.from_numpy(np.ascontiguousarray(pictures)).to(classifier.device))
    if x.shape[2:] != size:
        x = nn.functional.interpolate(x, size=size, mode="bicubic", antialias=True, align_corners=False)
    return x, grid


@dataclass(frozen=True)
class EncoderImportance:
    """Base of the measures that come from the attention of a device encoder.

    model: the encoder, as `load_classifier` takes it. device: of torch. batch: pictures at once.
    """

    model: str = "vit-device"
    device: str = "auto"
    batch: int = 64

    @cached_property
    def encoder(self) -> ImageClassifier:
        """The loaded encoder."""
        encoder = load_classifier(self.model, self.device, dynamic=True)
        check_attention(encoder)
        return encoder

    def token_importance(self, x: Tensor) -> NDArray[np.float64]:
        """Importance (n, tokens) of the patch tokens of normalised pictures; the mean attention, (3) and (4)."""
        (last,) = attention_layers(self.encoder.model, x, [-1], queries=1)
        return class_attention(last, self.encoder.model.num_prefix_tokens)

    def __call__(self, pictures: NDArray[np.uint8], patch: int) -> NDArray[np.float64]:
        grid = patch_grid(pictures, patch)
        maps = [np.empty((0, grid[0] * grid[1]))]
        for start in range(0, len(pictures), self.batch):
            x, tokens = model_input(self.encoder, pictures[start : start + self.batch], patch)
            found = self.token_importance(x).reshape(-1, *tokens)
            maps.append(normalised(resample_grid(found, grid).reshape(len(found), -1)))
        return np.concatenate(maps)
