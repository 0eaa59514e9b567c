"""Additive white Gaussian noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from semcom_phy.channels.base import (
    CHANNELS,
    ChannelOutput,
    add_noise,
    checked_snr_db,
    checked_symbols,
    describe_fields,
    noise_variance,
)


@CHANNELS.register("awgn")
@dataclass(frozen=True)
class Awgn:
    """received = symbol + n with complex Gaussian n of variance N0 = 10^(−snr_db/10), N0/2 per dimension.

    `snr_db` is Es/N0 per symbol in dB, −200 … 200, for symbols of unit mean energy.
    """

    name: ClassVar[str] = "awgn"
    snr_db: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "snr_db", checked_snr_db(self.snr_db))

    def transmit(self, symbols: npt.ArrayLike, rng: np.random.Generator) -> ChannelOutput:
        """See `Channel.transmit`."""
        received = checked_symbols(symbols).copy()
        n0 = noise_variance(self.snr_db)
        add_noise(received, n0, rng)
        return ChannelOutput(received, 1.0 + 0.0j, n0)

    def describe(self) -> dict[str, Any]:
        """See `Channel.describe`."""
        return describe_fields(self)
