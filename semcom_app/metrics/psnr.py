"""Peak signal-to-noise ratio."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from semcom_app.metrics.base import metric


@metric("psnr_db", worst=0.0)
def psnr_db(sent: NDArray[np.uint8], received: NDArray[np.uint8]) -> float | None:
    """10·log10(255²/MSE) over all pixels and channels, in dB; None for equal pictures (infinite)."""
    error = float(np.mean((sent.astype(np.float64) - received.astype(np.float64)) ** 2))
    return 10.0 * math.log10(255.0**2 / error) if error > 0.0 else None
