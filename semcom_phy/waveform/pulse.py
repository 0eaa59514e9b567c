"""Root-raised-cosine pulses, and the configuration that both ends of an air link share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from semcom_phy.checks import checked_number
from semcom_phy.errors import ConfigurationError

FloatArray = npt.NDArray[np.float64]

INTERPOLATION_PHASES = 64
"""Fractions of a sample that the receiver's filter bank distinguishes (timing error at most 1/128 sample)."""


@dataclass(frozen=True)
class Waveform:
    """Pulse shape and rates: what transmitter and receiver must agree on.

    `samples_per_symbol`: 2 … 16. `sample_rate_hz`: of the samples, 1 … 1e9; only reported frequencies depend on
    it. `roll_off`: of the root-raised-cosine pulse, 0.05 … 1. `span_symbols`: the pulse is cut off this
    many symbols to either side of its centre, 4 … 32.
    """

    samples_per_symbol: int = 4
    sample_rate_hz: float = 1e6
    roll_off: float = 0.35
    span_symbols: int = 8

    def __post_init__(self) -> None:
        _checked_integer("samples_per_symbol", self.samples_per_symbol, 2, 16)
        _checked_integer("span_symbols", self.span_symbols, 4, 32)
        object.__setattr__(self, "roll_off", checked_number("roll_off", self.roll_off, 0.05, 1.0))
        rate = checked_number("sample_rate_hz", self.sample_rate_hz, 1.0, 1e9, "Hz")
        object.__setattr__(self, "sample_rate_hz", rate)

    @property
    def symbol_rate_hz(self) -> float:
        """Symbols per second."""
        return self.sample_rate_hz / self.samples_per_symbol

    def taps(self) -> FloatArray:
        """Pulse at the samples −span … span symbols: (2·span·sps + 1,), unit energy."""
        return rrc_taps(self.samples_per_symbol, self.roll_off, self.span_symbols)


def _checked_integer(name: str, value: Any, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigurationError(f"{name} must be an integer from {low} to {high}, got {value!r}")


def rrc_pulse(symbols: npt.ArrayLike, roll_off: float) -> FloatArray:
    """Return the root-raised-cosine impulse response at times in symbols, unit energy over continuous time.

    h(t) = [sin(πt(1−β)) + 4βt·cos(πt(1+β))] / [πt(1 − (4βt)²)], with its limits at t = 0 and t = ±1/(4β).
    """
    t = np.asarray(symbols, np.float64)
    beta = roll_off
    denominator = np.pi * t * (1.0 - (4.0 * beta * t) ** 2)
    singular = np.abs(denominator) < 1e-9
    safe = np.where(singular, 1.0, denominator)
    h = (np.sin(np.pi * t * (1 - beta)) + 4 * beta * t * np.cos(np.pi * t * (1 + beta))) / safe
    centre = 1.0 - beta + 4.0 * beta / np.pi
    angle = np.pi / (4.0 * beta)
    edge = beta / math.sqrt(2.0) * ((1 + 2 / np.pi) * math.sin(angle) + (1 - 2 / np.pi) * math.cos(angle))
    return np.asarray(np.where(singular, np.where(np.abs(t) < 1e-6, centre, edge), h))


def raised_cosine(symbols: npt.ArrayLike, roll_off: float) -> FloatArray:
    """Return the Nyquist pulse, the autocorrelation of :func:`rrc_pulse`, at times in symbols; 1 at t = 0."""
    t = np.asarray(symbols, np.float64)
    denominator = 1.0 - (2.0 * roll_off * t) ** 2
    singular = np.abs(denominator) < 1e-9
    shaped = np.cos(np.pi * roll_off * t) / np.where(singular, 1.0, denominator)
    return np.asarray(np.sinc(t) * np.where(singular, np.pi / 4.0, shaped))


@lru_cache(maxsize=64)
def rrc_taps(samples_per_symbol: int, roll_off: float, span_symbols: int, offset: float = 0.0) -> FloatArray:
    """Pulse sampled at (k − offset)/sps for k = −span·sps … span·sps, scaled to unit energy at offset 0; read-only."""
    k = np.arange(-span_symbols * samples_per_symbol, span_symbols * samples_per_symbol + 1)
    taps = rrc_pulse((k - offset) / samples_per_symbol, roll_off)
    scale = np.sqrt(np.sum(rrc_pulse(k / samples_per_symbol, roll_off) ** 2))
    taps /= scale
    taps.setflags(write=False)
    return taps


@lru_cache(maxsize=16)
def interpolation_bank(waveform: Waveform) -> npt.NDArray[np.float32]:
    """Matched filter at all fractional delays: float32 (INTERPOLATION_PHASES + 1, 2·span·sps + 1), read-only.

    Row f holds the taps whose inner product with the samples around index i is the matched filter's output
    at time i + f/INTERPOLATION_PHASES.
    """
    rows = [
        rrc_taps(waveform.samples_per_symbol, waveform.roll_off, waveform.span_symbols, phase / INTERPOLATION_PHASES)
        for phase in range(INTERPOLATION_PHASES + 1)
    ]
    bank = np.array(rows, np.float32)
    bank.setflags(write=False)
    return bank
