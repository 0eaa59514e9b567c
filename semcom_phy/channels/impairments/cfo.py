"""Carrier frequency offset."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np

from semcom_phy.channels.impairments.base import (
    BLOCK,
    FREQUENCY_LIMIT_HZ,
    IMPAIRMENTS,
    ImpairmentBase,
    MultiplyStage,
    Samples,
    Stage,
    StreamContext,
    unit_phasor,
)
from semcom_phy.channels.impairments.oscillator import chirp


@IMPAIRMENTS.register("cfo")
@dataclass(frozen=True)
class CarrierFrequencyOffset(ImpairmentBase):
    """y(t) = x(t)·exp j(2π(cfo·t + ½·drift·t²) + phase): the instantaneous offset is cfo + drift·t.

    `cfo_hz`: −1e9 … 1e9 Hz; beyond half the sample rate it aliases, as an NCO does. `drift_hz_s`: −1e9 … 1e9 Hz/s.
    `phase_deg`: phase at the first sample, −360 … 360°. The phase does not accumulate rounding errors.
    """

    name: ClassVar[str] = "cfo"
    cfo_hz: float
    drift_hz_s: float = 0.0
    phase_deg: float = 0.0

    def __post_init__(self) -> None:
        self._check("cfo_hz", -FREQUENCY_LIMIT_HZ, FREQUENCY_LIMIT_HZ, "Hz")
        self._check("drift_hz_s", -FREQUENCY_LIMIT_HZ, FREQUENCY_LIMIT_HZ, "Hz/s")
        self._check("phase_deg", -360.0, 360.0, "degrees")

    def open(self, context: StreamContext) -> Stage:
        """See `Impairment.open`."""
        rate = Fraction(context.sample_rate_hz)
        frequency, drift = Fraction(self.cfo_hz) / rate, Fraction(self.drift_hz_s) / rate**2
        rotation = np.complex64(unit_phasor(self.phase_deg))

        def block(index: int) -> Samples:
            return chirp(frequency, drift, index * BLOCK, BLOCK) * rotation

        return MultiplyStage(block)
