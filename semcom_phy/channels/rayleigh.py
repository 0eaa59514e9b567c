"""Time-selective flat Rayleigh fading: a sum of scattered waves (the VCSC paper's equation (20))."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from semcom_phy.channels.base import (
    CHANNELS,
    ChannelOutput,
    ComplexArray,
    add_noise,
    checked_snr_db,
    checked_symbols,
    describe_fields,
    noise_variance,
)
from semcom_phy.checks import checked_number
from semcom_phy.errors import ConfigurationError

MAX_SCATTERERS = 1024
_FINE_STEPS = 4096
_HIGH_PART = 2.0**26


@CHANNELS.register("rayleigh")
@dataclass(frozen=True)
class Rayleigh:
    """received = h·symbol + n, with h(t) = N^−½ Σ exp j(2π·f_D·t·cos θ_n + φ_n) at t = k/symbol_rate.

    θ_n and φ_n are drawn i.i.d. uniform on [0, 2π), once per `transmit`: each call is an independent
    realisation that starts at t = 0, there is no continuity from call to call. n is complex Gaussian
    noise of variance N0 = 10^(−snr_db/10). The receiver is coherent: the exact h is the output's gain.

    E|h|² = 1 and E[h(t)·h*(t+τ)] = J0(2π·f_D·τ) hold for every number of scatterers; |h| is Rayleigh
    distributed only in the limit (with 16, its density near zero is 1/(2·16) = 3 % too low). A Doppler
    of 0 keeps h constant over the call (block fading).

    `snr_db`: mean Es/N0 in dB, −200 … 200. `doppler_hz`: f_D, 0 … 1e9 Hz; beyond half the symbol rate
    successive gains are nearly independent. `symbol_rate_hz`: 1e-3 … 1e12 Hz (not in the paper).
    `scatterers`: N, 1 … 1024. Defaults: the paper's N = 16 and f_D = 10 Hz.
    """

    name: ClassVar[str] = "rayleigh"
    snr_db: float
    doppler_hz: float = 10.0
    symbol_rate_hz: float = 1e5
    scatterers: int = 16

    def __post_init__(self) -> None:
        object.__setattr__(self, "snr_db", checked_snr_db(self.snr_db))
        object.__setattr__(self, "doppler_hz", checked_number("doppler_hz", self.doppler_hz, 0.0, 1e9, "Hz"))
        rate = checked_number("symbol_rate_hz", self.symbol_rate_hz, 1e-3, 1e12, "Hz")
        object.__setattr__(self, "symbol_rate_hz", rate)
        object.__setattr__(self, "scatterers", _checked_scatterers(self.scatterers))

    def transmit(self, symbols: npt.ArrayLike, rng: np.random.Generator) -> ChannelOutput:
        """See `Channel.transmit`; `rng` gives the scatterers first, then the noise."""
        sent = checked_symbols(symbols)
        gain = self.draw_gain(sent.size, rng)
        received = gain * sent
        n0 = noise_variance(self.snr_db)
        add_noise(received, n0, rng)
        return ChannelOutput(received, gain, n0)

    def draw_gain(self, count: int, rng: np.random.Generator) -> ComplexArray:
        """Draw one realisation of h at `count` successive symbols: complex128 (count,)."""
        arrival = rng.uniform(0.0, 2.0 * np.pi, self.scatterers)
        phase = rng.uniform(0.0, 2.0 * np.pi, self.scatterers)
        return sum_of_waves(self.doppler_hz / self.symbol_rate_hz * np.cos(arrival), phase, count)

    def describe(self) -> dict[str, Any]:
        """See `Channel.describe`."""
        return describe_fields(self)


def sum_of_waves(
    cycles_per_symbol: npt.NDArray[np.float64], phase: npt.NDArray[np.float64], count: int
) -> ComplexArray:
    """Return ``N^−½ Σ_n exp j(2π·ν_n·k + φ_n)`` for k = 0 … count−1: complex128 (count,).

    `cycles_per_symbol` ν and `phase` φ (radians) are float64 (N,). With k = c·L + l each wave is the
    product of a coarse phasor (c) and a fine one (l), so the sum over the waves is one matrix product
    (C, N)·(N, L): only C + L phasors per wave are evaluated, and memory beyond the result is small.
    The error stays below 1e-13·√N up to count = 2^27, because no phase is ever accumulated.
    """
    length = min(_FINE_STEPS, max(count, 1))
    blocks = -(-count // length)
    coarse = _phasors(np.arange(blocks) * length, cycles_per_symbol, phase)
    fine = _phasors(np.arange(length), cycles_per_symbol, np.zeros_like(phase))
    gains = coarse @ fine.T
    gains /= np.sqrt(cycles_per_symbol.size)
    return gains.reshape(-1)[:count]


def _phasors(
    index: npt.NDArray[np.int64], cycles_per_symbol: npt.NDArray[np.float64], phase: npt.NDArray[np.float64]
) -> ComplexArray:
    """Return exp j(2π·ν·k + φ) as (k, ν), with ν·k taken modulo one cycle without rounding.

    The plain product of ν ≈ 0.5 and k ≈ 1e7 is rounded by 5e-10 cycles. Whole cycles of ν do not
    matter at integer k; of what is left the upper 26 bits times k < 2^27 are exact in float64, and the
    lower bits are too small for their rounding to matter.
    """
    fraction = cycles_per_symbol - np.round(cycles_per_symbol)
    high = np.round(fraction * _HIGH_PART) / _HIGH_PART
    whole = np.outer(index, high)
    cycles = (whole - np.round(whole)) + np.outer(index, fraction - high)
    return np.asarray(np.exp(1j * (2.0 * np.pi * cycles + phase)))


def _checked_scatterers(value: Any) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if not 1 <= number <= MAX_SCATTERERS:
        raise ConfigurationError(f"scatterers must be an integer from 1 to {MAX_SCATTERERS}, got {value!r}")
    return number
