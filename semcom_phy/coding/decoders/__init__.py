"""Turbo decoders behind one function, `decode`; the implementations are in the registry `DECODERS`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from typing import overload

import numpy as np
import numpy.typing as npt

from semcom_phy.accel import numba_available

# These enter themselves into the registry.
from semcom_phy.coding.decoders import numba_decoder as numba_decoder
from semcom_phy.coding.decoders import numpy_log_map as numpy_log_map
from semcom_phy.coding.decoders import torch_bcjr as torch_bcjr
from semcom_phy.coding.decoders.interface import (
    ALGORITHMS,
    ARITHMETICS,
    DECODERS,
    LLR_LIMIT,
    Decoder,
    DecoderOutput,
    DecoderParams,
)
from semcom_phy.coding.qpp import BLOCK_SIZES
from semcom_phy.coding.turbo import TAIL_COLUMNS
from semcom_phy.errors import ConfigurationError
from semcom_phy.registry import nearest

__all__ = [
    "ALGORITHMS",
    "ARITHMETICS",
    "DECODERS",
    "LLR_LIMIT",
    "Decoder",
    "DecoderOutput",
    "DecoderParams",
    "decode",
    "fastest_backend",
]

_logger = logging.getLogger(__name__)

DEFAULT_PARAMS = DecoderParams()


@cache
def fastest_backend() -> str:
    """Return the name that "auto" stands for: "numba", or "numpy" (and a warning, once) where numba is missing."""
    if numba_available():
        return "numba"
    _logger.warning("numba is not installed: turbo decoding runs in NumPy, some 500 times slower (pip install numba)")
    return "numpy"


def _checked(llrs: npt.ArrayLike) -> npt.NDArray:
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
    return received


@overload
def decode(
    llrs: npt.NDArray, params: DecoderParams = ..., algorithm: str = ..., backend: str = ...
) -> DecoderOutput: ...


@overload
def decode(
    llrs: Sequence[npt.NDArray], params: DecoderParams = ..., algorithm: str = ..., backend: str = ...
) -> list[DecoderOutput]: ...


def decode(
    llrs: npt.NDArray | Sequence[npt.NDArray],
    params: DecoderParams = DEFAULT_PARAMS,
    algorithm: str = "log-map",
    backend: str = "auto",
) -> DecoderOutput | list[DecoderOutput]:
    """Decode a batch of turbo code blocks (TS 36.212 §5.1.3.2), or a list of batches of several sizes.

    `llrs` has shape (B, 3, K + 4) in the layout of `semcom_phy.coding.turbo.encode` and holds
    ``ln P(b=1)/P(b=0)``; NaN counts as 0 (nothing known), ±inf and everything beyond is clipped to
    ± `LLR_LIMIT`, or earlier by a decoder whose numbers end earlier (docs/turbo.md has the scalings). With
    only zeros for input the output is zeros: LLR 0, bit 0. A list or tuple of such arrays gives the list of
    their results. `algorithm` is one of `ALGORITHMS`, `backend` a name of `DECODERS` or "auto" for the fastest
    one at hand.

    Raises ConfigurationError for unknown names, a wrong shape, or an arithmetic that the back end lacks.
    """
    if algorithm not in ALGORITHMS:
        raise ConfigurationError(
            f"unknown decoding algorithm {algorithm!r}.{nearest(algorithm, ALGORITHMS)} Known: {', '.join(ALGORITHMS)}"
        )
    decoder = DECODERS[fastest_backend() if backend == "auto" else backend]
    if isinstance(llrs, list | tuple):
        batches = [_checked(part) for part in llrs]
        return [_decode_batch(batch, params, algorithm, decoder) for batch in batches]
    return _decode_batch(_checked(llrs), params, algorithm, decoder)


def _decode_batch(llrs: npt.NDArray, params: DecoderParams, algorithm: str, decoder: Decoder) -> DecoderOutput:
    if len(llrs):
        return decoder(llrs, params, algorithm)
    size = llrs.shape[2] - TAIL_COLUMNS
    soft = np.empty((0, size), np.float32) if params.posterior else None
    return DecoderOutput(np.empty((0, size), np.uint8), soft, np.empty(0, np.int32))
