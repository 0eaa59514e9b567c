"""Bit error rates: what theory expects, and what a measurement says with its standard deviation.

The expectations are exact for the models that they name. They are independent of the simulations: no random numbers,
and none of the code of modulators and channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import j0

from semcom_phy.errors import ConfigurationError

#: Fewer waves than these leave the characteristic function a tail that the integrals below do not reach.
FEWEST_WAVES: Final = 8
_ANGLES: Final = 256
_FREQUENCIES: Final = np.linspace(0.0, 60.0, 6001)


@dataclass(frozen=True)
class MeasuredRate:
    """An error rate and its standard deviation, both of which a measurement has given.

    `rate`: errors a bit. `deviation`: standard deviation of `rate`. `bits`: bits that were counted.
    """

    rate: float
    deviation: float
    bits: int

    def apart(self, other: MeasuredRate | float) -> float:
        """Difference to another measurement, or to an exact value, in standard deviations of the difference."""
        rate, deviation = (other.rate, other.deviation) if isinstance(other, MeasuredRate) else (other, 0.0)
        if rate == self.rate:
            return 0.0
        both = math.hypot(self.deviation, deviation)
        return abs(self.rate - rate) / both if both else math.inf


def measured_rate(errors: Sequence[float], bits: Sequence[int]) -> MeasuredRate:
    """Return the error rate of batches, with the deviation that the batches themselves show.

    errors, bits: errors (counted, or expected of LLRs) and bits of each batch, two batches or more. The batches have to
    be independent draws of noise and fading; within a batch errors may depend on each other in any way, which a
    binomial law would not allow. With B batches the deviation has B − 1 degrees of freedom. For batches of unequal
    size it is that of a ratio of sums. Raises ConfigurationError for fewer than two batches, empty ones, or counts that
    do not fit.
    """
    if len(errors) != len(bits) or len(errors) < 2:
        raise ConfigurationError(f"error counts of two batches or more are needed, got {len(errors)} and {len(bits)}")
    wrong, sizes = np.asarray(errors, float), np.asarray(bits, float)
    if not (np.all(sizes > 0) and np.all((wrong >= 0) & (wrong <= sizes))):
        raise ConfigurationError("every batch needs bits, and no more errors than bits")
    total = float(sizes.sum())
    rate = float(wrong.sum()) / total
    batches = wrong.size
    residual = wrong - rate * sizes
    deviation = math.sqrt(float(residual @ residual) * batches / (batches - 1)) / total
    return MeasuredRate(rate, deviation, int(total))


def awgn_bit_error_rate(modulation: str, snr: float) -> float:
    """Bit error rate of Gray mapped symbols over AWGN, decided by the nearest symbol.

    modulation: "bpsk", "qpsk" or "16qam". snr: Es/N0, linear. Raises ConfigurationError for other modulations.
    """
    if modulation == "bpsk":
        return _tail(math.sqrt(2.0 * snr))
    if modulation == "qpsk":
        return _tail(math.sqrt(snr))
    if modulation == "16qam":
        # Per dimension levels ±a, ±3a with a = 1/√10. Sign bit: (Q₁ + Q₃)/2; size bit, threshold 2a: Q₁ + (Q₃ − Q₅)/2.
        step = math.sqrt(snr / 5.0)
        return 0.75 * _tail(step) + 0.5 * _tail(3.0 * step) - 0.25 * _tail(5.0 * step)
    raise ConfigurationError(f"no error rate is known for modulation {modulation!r}; use bpsk, qpsk or 16qam")


def rayleigh_bit_error_rate(snr: float) -> float:
    """Bit error rate of coherent BPSK over Rayleigh fading: ½(1 − √(γ/(1+γ))). snr: mean Es/N0 γ, linear."""
    return 0.5 * (1.0 - math.sqrt(snr / (1.0 + snr)))


def waves_bit_error_rate(snr: float, waves: int) -> float:
    """Bit error rate of coherent BPSK with h = N^−½ Σ exp jψ_n, ψ_n independent and uniform.

    This is the law of the channel ``rayleigh`` (`semcom_phy.channels.rayleigh`) with `waves` N scatterers. To first
    order in 1/N and at high SNR it lies 1/(2N) below Rayleigh. snr: mean Es/N0, linear.

    The characteristic function of h is J0(ρ/√N)^N (Kluyver), and exp(−s|h|²) is a Gaussian average of exp(jωh):
    E exp(−s|h|²) = 1/(2s) ∫₀^∞ ρ·exp(−ρ²/4s)·J0(ρ/√N)^N dρ. Raises ConfigurationError for fewer than 8 waves.
    """

    def power_transform(s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        window = np.exp(-(_FREQUENCIES**2) / (4.0 * s[:, None]))
        return np.asarray(_integral(_FREQUENCIES * window * _characteristic(waves)) / (2.0 * s))

    return _average_tail(power_transform, snr)


def cosines_bit_error_rate(snr: float, waves: int) -> float:
    """Bit error rate of coherent BPSK with h = N^−½ (Σ cos ψ_n + j Σ sin φ_n), all phases independent and uniform.

    This is the law of GNU Radio's Fading Model without line of sight, with `waves` N sinusoids a component. Real and
    imaginary part are independent of each other, unlike those of `waves_bit_error_rate`, and E|h|⁴ = 2 − 3/(4N). To
    first order in 1/N and at high SNR it lies 3/(8N) below Rayleigh. snr: mean Es/N0, linear.

    For one component x, E exp(−s·x²) = (π·s)^−½ ∫₀^∞ exp(−ω²/4s)·J0(ω/√N)^N dω; for h it is the square of that.
    Raises ConfigurationError for fewer than 8 waves.
    """

    def power_transform(s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        window = np.exp(-(_FREQUENCIES**2) / (4.0 * s[:, None]))
        return np.asarray(_integral(window * _characteristic(waves)) ** 2 / (np.pi * s))

    return _average_tail(power_transform, snr)


def _tail(x: float) -> float:
    """P(a standard normal variable exceeds x)."""
    return 0.5 * math.erfc(x / math.sqrt(2.0))


def _characteristic(waves: int) -> npt.NDArray[np.float64]:
    """J0(ω/√N)^N at the frequencies of the integrals: float64 (F,)."""
    if waves < FEWEST_WAVES:
        raise ConfigurationError(f"the error rate is computed for {FEWEST_WAVES} waves or more, not {waves}")
    return np.asarray(j0(_FREQUENCIES / math.sqrt(waves)) ** waves)


def _integral(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Trapezoidal rule over the frequencies, of each row: (A, F) → (A,)."""
    step = _FREQUENCIES[1] - _FREQUENCIES[0]
    return np.asarray((values.sum(axis=1) - 0.5 * (values[:, 0] + values[:, -1])) * step)


def _average_tail(power_transform: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]], snr: float) -> float:
    """E[Q(√(2·snr)·|h|)] of E exp(−s|h|²), by Craig's formula Q(x) = 1/π ∫₀^{π/2} exp(−x²/(2 sin²θ)) dθ.

    The integrand goes on periodically and smoothly in θ, so that the midpoint rule converges fast.
    """
    angle = (np.arange(_ANGLES) + 0.5) * (0.5 * np.pi / _ANGLES)
    return 0.5 * float(np.mean(power_transform(snr / np.sin(angle) ** 2)))
