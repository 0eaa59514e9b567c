"""Structural similarity (VCSC, eq. 21), by torchmetrics."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from semcom_app.metrics.base import metric
from semcom_app.models.torchvision_ops import ensure_torchvision

ensure_torchvision()
from torchmetrics.functional.image import structural_similarity_index_measure  # noqa: E402

WINDOW = 11  # side of the Gaussian window (σ = 1.5) of the original definition


@metric("ssim", worst=0.0)
def ssim(sent: NDArray[np.uint8], received: NDArray[np.uint8]) -> float | None:
    """Mean SSIM, 11×11 Gaussian window, all channels, edges mirrored; None for pictures below 11 pixels."""
    if min(sent.shape[:2]) < WINDOW:
        return None
    x, y = (torch.from_numpy(p.copy()).permute(2, 0, 1)[None].float() / 255.0 for p in (sent, received))
    value = structural_similarity_index_measure(y, x, data_range=1.0)
    return value.item() if isinstance(value, torch.Tensor) else value[0].item()
