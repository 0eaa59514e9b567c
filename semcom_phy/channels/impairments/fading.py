"""Flat Rayleigh fading with the Doppler spectrum of Jakes, continuous over a whole stream."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np

from semcom_phy.channels.impairments import kernels
from semcom_phy.channels.impairments.base import (
    IMPAIRMENTS,
    BlockSource,
    ImpairmentBase,
    MultiplyStage,
    Samples,
    Stage,
    StreamContext,
)
from semcom_phy.channels.rayleigh import MAX_SCATTERERS, sum_of_waves
from semcom_phy.errors import ConfigurationError

MAX_DOPPLER_HZ = 1e6
_FADING_BLOCK = 1 << 16
_MAX_SPACING = 1 << 12
_RADIANS_PER_STEP = 0.028
"""Linear interpolation between gains this far apart errs by at most 0.028²/8 = 1e-4 of a wave (−80 dB)."""


@IMPAIRMENTS.register("fading")
@dataclass(frozen=True)
class JakesFading(ImpairmentBase):
    """y = h·x with h(t) = N^−½ Σ exp j(2π·f_D·t·cos θ_n + φ_n), the sum of waves of the channel "rayleigh".

    θ_n and φ_n are i.i.d. uniform on [0, 2π), drawn when the stream is opened. E|h|² = 1 and
    E[h(t)·h*(t+τ)] = J0(2π·f_D·τ), averaged over seeds. A Doppler of 0 keeps h constant.

    `doppler_hz`: f_D, 0 … 1e6 Hz and at most half the sample rate. `scatterers`: N, 1 … 1024; |h| of 32 waves is
    Rayleigh distributed within 0.4 % in probability.
    """

    name: ClassVar[str] = "fading"
    doppler_hz: float
    scatterers: int = 32

    def __post_init__(self) -> None:
        self._check("doppler_hz", 0.0, MAX_DOPPLER_HZ, "Hz")
        self._check_integer("scatterers", 1, MAX_SCATTERERS)

    def open(self, context: StreamContext) -> Stage:
        """See `Impairment.open`."""
        return MultiplyStage(FadingGain(self.doppler_hz, self.scatterers, context.sample_rate_hz, context.rng()).block)


class FadingGain:
    """The gain h in blocks, from generator `rng`: exact on a grid of samples, linear in between."""

    def __init__(self, doppler_hz: float, scatterers: int, sample_rate_hz: float, rng: np.random.Generator) -> None:
        if doppler_hz > sample_rate_hz / 2.0:
            raise ConfigurationError(
                f"doppler_hz must be at most half the sample rate of {sample_rate_hz:g} Hz, got {doppler_hz:g}"
            )
        self._interpolate = kernels.active().interpolate_gain
        arrival = rng.uniform(0.0, 2.0 * np.pi, scatterers)
        self._phase = rng.uniform(0.0, 2.0 * np.pi, scatterers)
        self._spacing = _grid_spacing(doppler_hz / sample_rate_hz)
        self._cycles_per_step = doppler_hz / sample_rate_hz * np.cos(arrival) * self._spacing

    def block(self, index: int) -> Samples:
        """Return h for block `index` of 65 536 samples."""
        steps = _FADING_BLOCK // self._spacing
        # Phases at the start of the block, modulo one cycle in rational arithmetic: no error grows with time.
        turned = np.array([float(Fraction(nu) * (index * steps) % 1) for nu in self._cycles_per_step.tolist()])
        grid = sum_of_waves(self._cycles_per_step, self._phase + 2.0 * np.pi * turned, steps + 1)
        return np.asarray(self._interpolate(grid, self._spacing))

    def source(self) -> BlockSource:
        """Return h as a sequence to take from."""
        return BlockSource(self.block)


def _grid_spacing(cycles_per_sample: float) -> int:
    """Return the samples between exact gains, a power of two, so small that interpolation errs below −80 dB."""
    if cycles_per_sample == 0.0:
        return _MAX_SPACING
    widest = _RADIANS_PER_STEP / (2.0 * math.pi * cycles_per_sample)
    return 1 << int(min(max(math.floor(math.log2(widest)), 0), round(math.log2(_MAX_SPACING))))
