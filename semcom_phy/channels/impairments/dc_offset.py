"""DC offset: leakage of the local oscillator, offsets of mixers and converters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from semcom_phy.channels.impairments.base import (
    IMPAIRMENTS,
    LEVEL_LIMIT_DB,
    ImpairmentBase,
    Samples,
    Stage,
    StreamContext,
    amplitude,
    unit_phasor,
)


@IMPAIRMENTS.register("dc_offset")
@dataclass(frozen=True)
class DcOffset(ImpairmentBase):
    """y = x + 10^(level_dbc/20)·e^(j·phase).

    `level_dbc`: power of the offset over that of a signal of mean power 1 (so it is dBFS as well), −200 … 20 dB.
    `phase_deg`: −360 … 360°.
    """

    name: ClassVar[str] = "dc_offset"
    level_dbc: float
    phase_deg: float = 0.0

    def __post_init__(self) -> None:
        self._check("level_dbc", -LEVEL_LIMIT_DB, 20.0, "dB")
        self._check("phase_deg", -360.0, 360.0, "degrees")

    def open(self, context: StreamContext) -> Stage:
        """See `Impairment.open`."""
        return _Offset(np.complex64(amplitude(self.level_dbc) * unit_phasor(self.phase_deg)))


class _Offset(Stage):
    def __init__(self, offset: np.complex64) -> None:
        self._offset = offset

    def push(self, samples: Samples) -> Samples:
        """See `Stage.push`."""
        return np.asarray(samples + self._offset)
