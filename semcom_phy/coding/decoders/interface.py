"""What every turbo decoder takes and gives, and the registry that holds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from semcom_phy.coding.crc import Crc, check
from semcom_phy.errors import ConfigurationError
from semcom_phy.registry import Registry, nearest

#: Channel LLRs are clipped to ± this value before they reach a decoder; ±inf becomes ± this value.
LLR_LIMIT: Final = 1e4

#: How max*(a, b) = ln(e^a + e^b) is computed, with M = max(a, b) and d = |a − b|:
#: "log-map": exactly. "linear-log-map": M + max(0, LINEAR_OFFSET − d/4). "table-log-map": M + the correction
#: ln(1 + e^−d) rounded to multiples of TABLE_STEP. "max-log": M, and extrinsic values × MAX_LOG_SCALE.
ALGORITHMS: Final = ("log-map", "linear-log-map", "table-log-map", "max-log")
LINEAR_OFFSET: Final = 0.625
TABLE_STEP: Final = 0.125
MAX_LOG_SCALE: Final = 0.75

#: Number formats a decoder may calculate in; not every back end has every one for every algorithm.
ARITHMETICS: Final = ("auto", "int8", "int16", "float32", "float64")

MAX_ITERATIONS: Final = 1000
MAX_THREADS: Final = 1024


def table_thresholds() -> tuple[float, ...]:
    """Return the distances d, descending, below which the rounded correction is 1, 2, 3, … × `TABLE_STEP`.

    The correction falls with d, so its rounded value is the number of thresholds that d has not yet passed.
    """
    # ln(1 + e^−d) = (n − ½)·step, solved for d; there is a solution as long as the value is below ln 2.
    levels = (np.arange(1, round(np.log(2.0) / TABLE_STEP) + 1) - 0.5) * TABLE_STEP
    return tuple(float(d) for d in -np.log(np.expm1(levels)))


@dataclass(frozen=True)
class DecoderParams:
    """How to decode, whatever the algorithm.

    `iterations`: 1 … 1000 pairs of constituent decodings, at most. `early_stop`: a block is finished as soon as
    this CRC holds over its K bits, or with "agreement" as soon as an iteration repeats the hard decisions of
    the one before; None runs all iterations. `arithmetic`: one of `ARITHMETICS`; "auto" is the back end's
    best for the algorithm. `windows`: whether a back end may cut a long block into windows that are decoded
    side by side (it does so by the block's size alone); False decodes every block in one piece. `posterior`:
    whether a-posteriori LLRs are wanted. `threads`: processor cores to use, 0 for all.
    """

    iterations: int = 5
    early_stop: Crc | str | None = None
    arithmetic: str = "auto"
    windows: bool = True
    posterior: bool = True
    threads: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.iterations <= MAX_ITERATIONS:
            raise ConfigurationError(f"turbo decoder needs 1 to {MAX_ITERATIONS} iterations, got {self.iterations}")
        if isinstance(self.early_stop, str) and self.early_stop != "agreement":
            raise ConfigurationError(
                f"unknown stop rule {self.early_stop!r}; give a Crc, 'agreement' or None (all iterations)"
            )
        if self.arithmetic not in ARITHMETICS:
            raise ConfigurationError(
                f"unknown arithmetic {self.arithmetic!r}.{nearest(self.arithmetic, ARITHMETICS)} "
                f"Known: {', '.join(ARITHMETICS)}"
            )
        if not 0 <= self.threads <= MAX_THREADS:
            raise ConfigurationError(f"threads must be from 0 (all cores) to {MAX_THREADS}, got {self.threads}")


@dataclass(frozen=True)
class DecoderOutput:
    """Result of a batch of B blocks.

    `bits`: (B, K) uint8 hard decisions (LLR > 0). `llrs`: (B, K) float32 a-posteriori ``ln P(b=1)/P(b=0)``, None
    unless asked for. `iterations`: (B,) int32, full iterations each block took.
    """

    bits: npt.NDArray[np.uint8]
    llrs: npt.NDArray[np.float32] | None
    iterations: npt.NDArray[np.int32]


class Decoder(Protocol):
    """A decoder of the registry.

    `llrs` (B, 3, K + 4) is real, B ≥ 1, K a legal block size and `algorithm` one of `ALGORITHMS`: `decode` sees to
    that. NaN counts as 0, and what is beyond the decoder's range saturates (`sanitised` does both). The
    result of a block does not depend on its neighbours in the batch. Raises ConfigurationError for an
    arithmetic that the decoder does not have for that algorithm.
    """

    def __call__(self, llrs: npt.NDArray, params: DecoderParams, algorithm: str) -> DecoderOutput: ...


DECODERS: Final[Registry[Decoder]] = Registry("turbo decoder")


def sanitised(llrs: npt.NDArray) -> npt.NDArray[np.floating]:
    """Clip to ± LLR_LIMIT and turn NaN into 0 (erasure); float32 stays float32, the rest becomes float64."""
    floating = llrs if llrs.dtype == np.float32 else llrs.astype(np.float64, copy=False)
    clean = np.clip(floating, -LLR_LIMIT, LLR_LIMIT)
    clean[np.isnan(clean)] = 0.0
    return clean


def finished(
    early_stop: Crc | str | None, bits: npt.NDArray[np.uint8], previous: npt.NDArray[np.uint8] | None
) -> npt.NDArray[np.bool_]:
    """Tell for each block of `bits` (n, K) whether it needs no further iteration.

    `previous` (n, K) are the hard decisions of the iteration before, None after the first.
    """
    if isinstance(early_stop, Crc):
        return check(bits, early_stop)
    if early_stop is None or previous is None:
        return np.zeros(len(bits), np.bool_)
    return np.asarray((bits == previous).all(axis=1))
