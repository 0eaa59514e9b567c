"""Attention rollout (Abnar and Zuidema, "Quantifying Attention Flow in Transformers", 2020)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semcom_app.importance.attention import EncoderImportance, attention_layers, class_attention
from semcom_app.importance.base import IMPORTANCES


def rollout(layers: list[Tensor]) -> Tensor:
    """Product over the layers, first to last, of ½(A + I), A the mean over the heads.

    layers: (n, heads, tokens, tokens) each. Returns (n, tokens, tokens), rows of sum 1: how much of each token of the
    input is in each token of the output, where the residual connections count as much as the attention.
    """
    identity = torch.eye(layers[0].shape[-1], dtype=torch.float64, device=layers[0].device)
    flow = identity.expand(len(layers[0]), -1, -1)
    for layer in layers:
        flow = 0.5 * (layer.double().mean(dim=1) + identity) @ flow
    return flow


@IMPORTANCES.register("rollout")
@dataclass(frozen=True)
class AttentionRollout(EncoderImportance):
    """The class token's row of the rollout over all layers. Parameters as of "attention"."""

    def token_importance(self, x: Tensor) -> NDArray[np.float64]:
        model = self.encoder.model
        flow = rollout(attention_layers(model, x, range(len(model.blocks))))
        return class_attention(flow[:, None], model.num_prefix_tokens)
