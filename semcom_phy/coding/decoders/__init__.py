"""Turbo decoders behind one function, `decode`; the implementations are in the registry `DECODERS`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from semcom_phy.coding.decoders import numpy_log_map as numpy_log_map  # enters itself into the registry
from semcom_phy.coding.decoders.interface import (
    ALGORITHMS,
    DECODERS,
    LLR_LIMIT,
    Decoder,
    DecoderOutput,
    StopRule,
)
from semcom_phy.coding.qpp import BLOCK_SIZES
from semcom_phy.coding.turbo import TAIL_COLUMNS
from semcom_phy.errors import ConfigurationError
from semcom_phy.registry import nearest

__all__ = ["ALGORITHMS", "DECODERS", "LLR_LIMIT", "Decoder", "DecoderOutput", "StopRule", "decode"]

#: What ``backend="auto"`` takes: the first of these that is registered, fastest first.
AUTO_ORDER: list[str] = ["numpy"]


def _sanitised(llrs: npt.NDArray) -> npt.NDArray[np.floating]:
    """Clip to ± LLR_LIMIT and turn NaN into 0 (erasure); float32 stays float32, the rest becomes float64."""
    floating = llrs if llrs.dtype == np.float32 else llrs.astype(np.float64, copy=False)
    clean = np.clip(floating, -LLR_LIMIT, LLR_LIMIT)
    clean[np.isnan(clean)] = 0.0
    return clean


def decode(
    llrs: npt.ArrayLike,
    iterations: int = 5,
    algorithm: str = "log-map",
    backend: str = "auto",
    stop: StopRule | None = None,
) -> DecoderOutput:
    """Decode a batch of turbo code blocks (TS 36.212 §5.1.3.2).

    `llrs` has shape (B, 3, K + 4) in the layout of `semcom_phy.coding.turbo.encode` and holds
    ``ln P(b=1)/P(b=0)``; NaN counts as 0 (nothing known), ±inf and everything beyond is clipped to
    ± `LLR_LIMIT`. `iterations` ≥ 1 counts pairs of constituent decodings. `algorithm` is "log-map" or
    "max-log" (extrinsic values × 0.75), `backend` a name of `DECODERS` or "auto" for the fastest. `stop`
    takes the hard decisions (n, K) of the blocks still at work after each iteration and returns (n,) bool:
    those that are finished (a CRC check, as a rule); None runs all iterations.

    Raises ConfigurationError for unknown names, a wrong shape or an iteration count below 1.
    """
    received = np.asarray(llrs)
    if (
        received.ndim != 3
        or received.shape[1] != 3
        or received.shape[2] - TAIL_COLUMNS not in BLOCK_SIZES
        or received.dtype.kind not in "fiu"
    ):
        raise ConfigurationError(
            "turbo decoder takes real LLRs of shape (blocks, 3, K + 4) with K of BLOCK_SIZES, "
            f"got {received.dtype} {received.shape}"
        )
    if iterations < 1:
        raise ConfigurationError(f"turbo decoder needs at least 1 iteration, got {iterations}")
    if algorithm not in ALGORITHMS:
        known = list(ALGORITHMS)
        raise ConfigurationError(
            f"unknown decoding algorithm {algorithm!r}.{nearest(algorithm, known)} Known: {', '.join(known)}"
        )
    name = next(name for name in AUTO_ORDER if name in DECODERS) if backend == "auto" else backend
    return DECODERS[name](_sanitised(received), iterations, algorithm, stop)
