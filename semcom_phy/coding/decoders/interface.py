"""What every turbo decoder takes and gives, and the registry that holds them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from semcom_phy.registry import Registry

#: Channel LLRs are clipped to ± this value before they reach a decoder; ±inf becomes ± this value.
LLR_LIMIT: Final = 1e4

#: "log-map": exact max*(a, b) = ln(e^a + e^b). "max-log": max(a, b), extrinsic values scaled by 0.75.
ALGORITHMS: Final = ("log-map", "max-log")
MAX_LOG_SCALE: Final = 0.75

#: Takes hard decisions (n, K) uint8, tells for each block whether it needs no further iteration.
StopRule = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.bool_]]


@dataclass(frozen=True)
class DecoderOutput:
    """Result of a batch of B blocks.

    `llrs`: (B, K) float32 a-posteriori ``ln P(b=1)/P(b=0)``. `bits`: (B, K) uint8 hard decisions (LLR > 0).
    `iterations`: (B,) int32, full iterations each block took.
    """

    llrs: npt.NDArray[np.float32]
    bits: npt.NDArray[np.uint8]
    iterations: npt.NDArray[np.int32]


class Decoder(Protocol):
    """A decoder of the registry.

    `llrs` (B, 3, K + 4) is float32 or float64, finite, within ± `LLR_LIMIT`, and K is a legal block size:
    `semcom_phy.coding.decoders.decode` sees to that. `algorithm` is one of `ALGORITHMS`. When `stop` is
    given, blocks for which it says True after an iteration are finished; the result of a block does not
    depend on its neighbours in the batch.
    """

    def __call__(
        self,
        llrs: npt.NDArray[np.floating],
        iterations: int,
        algorithm: str,
        stop: StopRule | None,
    ) -> DecoderOutput: ...


DECODERS: Final[Registry[Decoder]] = Registry("turbo decoder")
