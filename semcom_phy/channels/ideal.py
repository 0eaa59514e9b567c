"""The channel that changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from semcom_phy.channels.base import CHANNELS, ChannelOutput, checked_symbols, describe_fields


@CHANNELS.register("ideal")
@dataclass(frozen=True)
class Ideal:
    """No noise, no fading (N0 = 0): separates the loss of the codec from that of the channel."""

    name: ClassVar[str] = "ideal"

    def transmit(self, symbols: npt.ArrayLike, rng: np.random.Generator) -> ChannelOutput:
        """Return a copy of the symbols; `rng` is left untouched."""
        return ChannelOutput(checked_symbols(symbols).copy(), 1.0 + 0.0j, 0.0, flip_probability=0.0)

    def describe(self) -> dict[str, Any]:
        """See `Channel.describe`."""
        return describe_fields(self)
