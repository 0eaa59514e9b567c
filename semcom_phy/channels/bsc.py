"""The binary symmetric channel, on BPSK symbols (the IAQ paper's equations (18) and (19))."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from semcom_phy.channels.base import (
    CHANNELS,
    ChannelOutput,
    checked_symbols,
    describe_fields,
)
from semcom_phy.checks import checked_number
from semcom_phy.errors import ConfigurationError


@CHANNELS.register("bsc")
@dataclass(frozen=True)
class Bsc:
    """Flips the sign of each BPSK symbol independently with probability `flip_probability` (0 … 0.5)."""

    name: ClassVar[str] = "bsc"
    flip_probability: float

    def __post_init__(self) -> None:
        value = checked_number("flip_probability", self.flip_probability, 0.0, 0.5)
        object.__setattr__(self, "flip_probability", value)

    def transmit(self, symbols: npt.ArrayLike, rng: np.random.Generator) -> ChannelOutput:
        """Send BPSK symbols, exactly ±1; what arrives is exactly ±1.

        Raises ConfigurationError for other symbols: a binary channel carries one bit per use.
        """
        sent = checked_symbols(symbols)
        if not np.all(np.abs(sent.real) == 1.0) or np.any(sent.imag != 0.0):
            raise ConfigurationError("channel 'bsc' carries BPSK symbols (+1, -1) only; use modulation 'bpsk'")
        flipped = rng.random(sent.size) < self.flip_probability
        return ChannelOutput(
            received=np.where(flipped, -sent, sent),
            gain=1.0 + 0.0j,
            noise_variance=equivalent_noise_variance(self.flip_probability),
            flip_probability=self.flip_probability,
        )

    def describe(self) -> dict[str, Any]:
        """See `Channel.describe`."""
        return describe_fields(self)


def equivalent_noise_variance(flip_probability: float) -> float:
    """Return the N0 for which a received ±1 has the LLR ±ln((1−μ)/μ): N0 = 4/ln((1−μ)/μ).

    The BPSK demapper computes 4·y/N0, so with y = ±1 this is exact, and the binary symmetric channel
    needs no demapper of its own. μ = 0 gives 0 (certainty), μ = 0.5 gives inf (LLR 0).
    """
    if flip_probability == 0.0:
        return 0.0
    llr = math.log1p(-flip_probability) - math.log(flip_probability)
    return 4.0 / llr if llr > 0.0 else math.inf
