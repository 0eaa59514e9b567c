"""Phase noise of a local oscillator: a free-running Wiener process and a pole-zero mask."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from semcom_phy.channels.impairments import kernels
from semcom_phy.channels.impairments.base import (
    BLOCK,
    IMPAIRMENTS,
    ImpairmentBase,
    MultiplyStage,
    Samples,
    Stage,
    StreamContext,
)
from semcom_phy.channels.impairments.oscillator import phasors
from semcom_phy.errors import ConfigurationError

MAX_CORNERS = 8


@IMPAIRMENTS.register("phase_noise")
@dataclass(frozen=True)
class PhaseNoise(ImpairmentBase):
    """y = x·e^jφ with the single-sideband density L(f) = S_φ(f) (two-sided, rad²/Hz) of φ at the offset f:

    L(f) = linewidth/(2πf²) + 10^(plateau/10)·Π_z(1 + (f/f_z)²)/Π_p(1 + (f/f_p)²).

    The first term is the Wiener phase of an oscillator with this Lorentzian linewidth, the second the pole-zero mask
    of a phase-locked loop: its plateau in dBc/Hz, its corners in Hz. In discrete time f² becomes (fs/π·sin(πf/fs))² in
    every factor, which changes L by less than 0.15 dB per corner up to fs/10. φ starts at 0; the mask is reached
    after a few times 1/(2πf_p). The carrier's spectrum is L(f) where the noise beyond f is much below 1 rad².

    `linewidth_hz`: 0 … 1e6. `plateau_dbc_hz`: −200 … −20, None for no mask. `pole_hz`, `zero_hz`: up to 8 corners each,
    1 … 1e9 Hz, no more zeros than poles. Presets (`PHASE_NOISE_PRESETS`): "rtl-sdr", "good".
    """

    name: ClassVar[str] = "phase_noise"
    linewidth_hz: float = 0.0
    plateau_dbc_hz: float | None = None
    pole_hz: tuple[float, ...] = ()
    zero_hz: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        self._check("linewidth_hz", 0.0, 1e6, "Hz")
        if self.plateau_dbc_hz is not None:
            self._check("plateau_dbc_hz", -200.0, -20.0, "dBc/Hz")
        self._check_numbers("pole_hz", 1.0, 1e9, "Hz", MAX_CORNERS)
        self._check_numbers("zero_hz", 1.0, 1e9, "Hz", MAX_CORNERS)
        if len(self.zero_hz) > len(self.pole_hz):
            raise ConfigurationError("phase noise needs at least as many pole_hz as zero_hz, or it grows without bound")

    def density_dbc_hz(self, offset_hz: float) -> float:
        """Return L(f) of the formula above at the offset f > 0, in dBc/Hz; −inf without any noise."""
        density = self.linewidth_hz / (2.0 * math.pi * offset_hz**2)
        if self.plateau_dbc_hz is not None:
            mask = 10.0 ** (self.plateau_dbc_hz / 10.0)
            for corner in self.zero_hz:
                mask *= 1.0 + (offset_hz / corner) ** 2
            for corner in self.pole_hz:
                mask /= 1.0 + (offset_hz / corner) ** 2
            density += mask
        return 10.0 * math.log10(density) if density > 0.0 else -math.inf

    def open(self, context: StreamContext) -> Stage:
        """See `Impairment.open`."""
        return MultiplyStage(_PhaseProcess(self, context).block)


class _PhaseProcess:
    """φ in blocks; the white noises of the Wiener phase and of the mask come from generators of their own."""

    def __init__(self, noise: PhaseNoise, context: StreamContext) -> None:
        self._filter = kernels.active().first_order_section
        rate = context.sample_rate_hz
        self._walk = 0.0
        self._step = math.sqrt(2.0 * math.pi * noise.linewidth_hz / rate)
        self._walk_rng, self._mask_rng = context.rng(0), context.rng(1)
        self._white = 0.0
        if noise.plateau_dbc_hz is not None:
            # White noise of variance σ² per sample has the two-sided density σ²/fs.
            self._white = math.sqrt(10.0 ** (noise.plateau_dbc_hz / 10.0) * rate)
        zeros = [*(_root(corner / rate) for corner in noise.zero_hz)]
        zeros += [0.0] * (len(noise.pole_hz) - len(zeros))
        poles = [_root(corner / rate) for corner in noise.pole_hz]
        self._sections = [((1.0 - p) / (1.0 - z), z, p, np.zeros(2)) for z, p in zip(zeros, poles, strict=True)]

    def block(self, index: int) -> Samples:
        """Return e^jφ for the next BLOCK samples."""
        phase: npt.NDArray[np.float64] = np.zeros(BLOCK)
        if self._white:
            phase = self._mask_rng.standard_normal(BLOCK)
            phase *= self._white
            for gain, zero, pole, state in self._sections:
                self._filter(phase, gain, zero, pole, state)
        if self._step:
            steps = self._walk_rng.standard_normal(BLOCK)
            steps *= self._step
            walk = self._walk + np.cumsum(steps)
            self._walk = math.remainder(walk[-1], 2.0 * math.pi)
            phase += walk
        return phasors(phase)


def _root(corner: float) -> float:
    """Return r in (0, 1) with |1 − r·e^−jω|²/(1 − r)² = 1 + (2·sin(ω/2)/(2π·corner))², `corner` in cycles per sample.

    It solves (1 − r)²/r = (2π·corner)².
    """
    a = (2.0 * math.pi * corner) ** 2
    # The smaller root of r² − (2 + a)·r + 1, as the inverse of the larger one: no cancellation.
    return 1.0 / (1.0 + a / 2.0 + math.sqrt(a + a * a / 4.0))


PHASE_NOISE_PRESETS: dict[str, PhaseNoise] = {
    # A consumer tuner on a plain crystal. L(f): −50.0 dBc/Hz at 10 Hz, −69.9 at 100 Hz, −83.8 at 1 kHz, −86.0 at
    # 10 kHz, −99.1 at 100 kHz, −118.0 at 1 MHz.
    "rtl-sdr": PhaseNoise(6.3e-3, -85.0, (20e3,), (2e6,)),
    # An integrated transceiver on a temperature-compensated crystal: −80.0 dBc/Hz at 10 Hz, −98.8 at 100 Hz, −104.9 at
    # 1 kHz, −105.0 at 10 kHz, −108.0 at 100 kHz, −124.9 at 1 MHz.
    "good": PhaseNoise(6.3e-6, -105.0, (100e3,), (5e6,)),
}
"""Model figures in the range of such devices; they are not measurements of any one of them."""
