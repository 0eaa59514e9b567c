"""Bits → unit-energy symbols, and received symbols → log-likelihood ratios.

Every modulation is an entry of :data:`MODULATIONS`; callers ask for it by name and use only
:meth:`Modulation.modulate` and :meth:`Modulation.demap`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from semcom_phy.errors import ConfigurationError
from semcom_phy.registry import Registry

LLR_LIMIT = 1000.0
"""Largest |LLR| that a demapper returns.

Certainty (no noise) has to be finite for a decoder. exp(−1000) is zero in float64, so no information
is lost, and 6144 steps of three such values still add up to less than 2^25 in a float32 path metric.
"""

MODULATIONS: Registry[Modulation] = Registry("modulation")


@dataclass(frozen=True)
class Modulation(ABC):
    """A memoryless mapping of groups of `bits_per_symbol` bits to symbols with E|s|² = 1."""

    name: str
    bits_per_symbol: int

    @abstractmethod
    def modulate(self, bits: npt.ArrayLike, dtype: npt.DTypeLike = np.complex128) -> npt.NDArray[np.complexfloating]:
        """Map bits (N·bits_per_symbol,) of 0/1 to N symbols of `dtype` (complex64 or complex128).

        Raises ConfigurationError when the bits are not a one-dimensional array of 0 and 1 that fills its symbols.
        """

    @abstractmethod
    def demap(
        self,
        received: npt.ArrayLike,
        channel_gain: npt.ArrayLike,
        noise_variance: npt.ArrayLike,
    ) -> npt.NDArray[np.float32]:
        """Return the LLRs ln P(b=1)/P(b=0), float32 (N·bits_per_symbol,), positive for bit 1.

        Model: ``received = channel_gain · symbol + noise``, complex noise of variance `noise_variance`
        (N0, so N0/2 per real dimension). `received` is complex (N,); `channel_gain` and
        `noise_variance` are scalars or (N,). Symbols that were equalised, z = y/h, are demapped with
        gain 1 and noise variance N0/|h|², which gives the same LLRs as the raw ones with gain h.

        The result is always finite: it is clipped to ±LLR_LIMIT, which is what N0 = 0 gives; a symbol
        that carries no information (zero gain, infinite N0) gives 0.
        Raises ConfigurationError for non-finite symbols or gains, a negative or NaN variance, or
        shapes that do not fit.
        """


@dataclass(frozen=True)
class Bpsk(Modulation):
    """Binary phase-shift keying: bit 1 ↔ +1, bit 0 ↔ −1.

    LLR: the likelihood of s = ±1 is p(y|s) = exp(−|y − h·s|²/N0)/(π·N0). In the difference of the two
    exponents |y|² and |h|² cancel, because |s|² = 1 for both, and what remains is
    ln p(y|+1)/p(y|−1) = (|y + h|² − |y − h|²)/N0 = 4·Re(y·h*)/N0.
    A faded symbol needs no equaliser: y = h·s + n gives a mean of ±4·|h|²/N0.
    """

    name: str = "bpsk"
    bits_per_symbol: int = 1

    def modulate(self, bits: npt.ArrayLike, dtype: npt.DTypeLike = np.complex128) -> npt.NDArray[np.complexfloating]:
        symbols = np.zeros(np.shape(bits), dtype=_complex_dtype(dtype))
        symbols.real = 2.0 * _checked_bits(bits) - 1.0
        return symbols

    def demap(
        self,
        received: npt.ArrayLike,
        channel_gain: npt.ArrayLike,
        noise_variance: npt.ArrayLike,
    ) -> npt.NDArray[np.float32]:
        y, h, n0 = _checked_observation(received, channel_gain, noise_variance)
        projection = y.real * h.real + y.imag * h.imag
        if not np.all(np.isfinite(projection)):
            raise ConfigurationError("received symbols and channel gains must be finite; drop damaged samples")
        # Divide before multiplying: a finite projection over any N0 ≥ 0 is then finite, ±inf (clipped
        # below) or, only for 0/0, NaN.
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            llrs = projection / n0
            llrs *= 4.0
        llrs[projection == 0.0] = 0.0
        np.clip(llrs, -LLR_LIMIT, LLR_LIMIT, out=llrs)
        return llrs.astype(np.float32)


MODULATIONS.register("bpsk")(Bpsk())


@dataclass(frozen=True)
class Qpsk(Modulation):
    """Quadrature phase-shift keying: bits b0 b1, s = ((2·b0 − 1) + j·(2·b1 − 1))/√2.

    TS 36.211 §7.1.2 with the project's sign (bit 1 ↔ positive). Each bit is BPSK of amplitude 1/√2 on a
    dimension of its own, so LLR = 2·√2·Re(y·h*)/N0 for b0 and the same with Im for b1; it is exact.
    """

    name: str = "qpsk"
    bits_per_symbol: int = 2

    def modulate(self, bits: npt.ArrayLike, dtype: npt.DTypeLike = np.complex128) -> npt.NDArray[np.complexfloating]:
        return _from_dimensions((2.0 * _checked_groups(bits, 2) - 1.0) / math.sqrt(2.0), dtype)

    def demap(
        self,
        received: npt.ArrayLike,
        channel_gain: npt.ArrayLike,
        noise_variance: npt.ArrayLike,
    ) -> npt.NDArray[np.float32]:
        projection, _ = _normalised_observation(received, channel_gain, noise_variance)
        llrs = 2.0 * math.sqrt(2.0) * projection
        return np.clip(llrs, -LLR_LIMIT, LLR_LIMIT).astype(np.float32).reshape(-1)


MODULATIONS.register("qpsk")(Qpsk())


@dataclass(frozen=True)
class Qam16(Modulation):
    """16-QAM, Gray mapped: bits b0 b1 b2 b3 are sign of I, sign of Q, size of I, size of Q.

    Levels are ±1/√10 (size bit 0) and ±3/√10 (size bit 1), positive for sign bit 1: TS 36.211 §7.1.3 with the
    project's sign. The LLRs are exact. With q = Re(y·h*)/N0, e = |h|²/N0 and a = 1/√10, the exponent of level
    L of one dimension is 2·q·L − e·L² up to a common term, hence

        sign: ln(exp(2aq − a²e) + exp(6aq − 9a²e)) − ln(exp(−2aq − a²e) + exp(−6aq − 9a²e))
        size: ln cosh(6aq) − ln cosh(2aq) − 8a²e
    """

    name: str = "16qam"
    bits_per_symbol: int = 4

    def modulate(self, bits: npt.ArrayLike, dtype: npt.DTypeLike = np.complex128) -> npt.NDArray[np.complexfloating]:
        groups = _checked_groups(bits, 4)
        sign, size = groups[:, :2], groups[:, 2:]
        return _from_dimensions((2.0 * sign - 1.0) * (1.0 + 2.0 * size) / math.sqrt(10.0), dtype)

    def demap(
        self,
        received: npt.ArrayLike,
        channel_gain: npt.ArrayLike,
        noise_variance: npt.ArrayLike,
    ) -> npt.NDArray[np.float32]:
        projection, energy = _normalised_observation(received, channel_gain, noise_variance)
        x = 2.0 * math.sqrt(0.1) * projection
        step = 0.8 * energy[:, None]  # 8a²e: how far the outer levels lie below the inner ones at q = 0
        llrs = np.empty((x.shape[0], 4))
        # ln(e^x + e^(3x−step)) = x + softplus(2x − step), and the same at −x.
        llrs[:, :2] = 2.0 * x + np.logaddexp(0.0, 2.0 * x - step) - np.logaddexp(0.0, -2.0 * x - step)
        llrs[:, 2:] = _log_cosh(3.0 * x) - _log_cosh(x) - step
        return np.clip(llrs, -LLR_LIMIT, LLR_LIMIT).astype(np.float32).reshape(-1)


MODULATIONS.register("16qam")(Qam16())


def hard_decisions(llrs: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Return the more likely bits (uint8 0/1, same shape): 1 where the LLR is positive, else 0."""
    return (np.asarray(llrs) > 0).view(np.uint8)


def _complex_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    wanted = np.dtype(dtype)
    if wanted not in (np.dtype(np.complex64), np.dtype(np.complex128)):
        raise ConfigurationError(f"symbols are complex64 or complex128, not {wanted}")
    return wanted


def _checked_bits(bits: npt.ArrayLike) -> npt.NDArray[np.float64]:
    values = np.asarray(bits)
    if values.ndim != 1:
        raise ConfigurationError(f"bits must be a one-dimensional array, got shape {values.shape}")
    if not np.all((values == 0) | (values == 1)):
        raise ConfigurationError("bits must be 0 or 1; unpack bytes with numpy.unpackbits first")
    return values.astype(np.float64)


def _checked_observation(
    received: npt.ArrayLike, channel_gain: npt.ArrayLike, noise_variance: npt.ArrayLike
) -> tuple[npt.NDArray[np.complex128], npt.NDArray[np.complex128], npt.NDArray[np.float64]]:
    y = np.asarray(received, dtype=np.complex128)
    h = np.asarray(channel_gain, dtype=np.complex128)
    n0 = np.asarray(noise_variance, dtype=np.float64)
    if y.ndim != 1:
        raise ConfigurationError(f"received symbols must be a one-dimensional array, got shape {y.shape}")
    for name, values in (("channel_gain", h), ("noise_variance", n0)):
        if values.shape not in ((), y.shape):
            raise ConfigurationError(f"{name} must be a scalar or of shape {y.shape}, got {values.shape}")
    if not np.all(n0 >= 0):
        raise ConfigurationError("noise_variance must be 0 or positive (N0 of complex noise)")
    return y, h, n0


def _checked_groups(bits: npt.ArrayLike, bits_per_symbol: int) -> npt.NDArray[np.float64]:
    """Bits as (N, bits_per_symbol)."""
    values = _checked_bits(bits)
    if values.size % bits_per_symbol:
        raise ConfigurationError(
            f"{values.size} bits do not fill symbols of {bits_per_symbol}; pad them to a multiple of it"
        )
    return values.reshape(-1, bits_per_symbol)


def _from_dimensions(levels: npt.NDArray[np.float64], dtype: npt.DTypeLike) -> npt.NDArray[np.complexfloating]:
    """Symbols from their in-phase and quadrature levels (N, 2)."""
    symbols = np.empty(levels.shape[0], dtype=_complex_dtype(dtype))
    symbols.real, symbols.imag = levels[:, 0], levels[:, 1]
    return symbols


# Large enough that nothing real is changed, small enough that no inf − inf arises.
_MOST_ENERGY = 1e12
_MOST_PROJECTION = 1e15


def _normalised_observation(
    received: npt.ArrayLike, channel_gain: npt.ArrayLike, noise_variance: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return (Re, Im) of y·h*/N0 as (N, 2) and |h|²/N0 as (N,), both finite: all that a demapper needs.

    N0 below |h|²/1e12 counts as that much: only a symbol closer than 1e-9 to a decision threshold could tell.
    """
    y, h, n0 = _checked_observation(received, channel_gain, noise_variance)
    with np.errstate(over="ignore", invalid="ignore"):
        projection = y * np.conj(h)
        power = np.broadcast_to(h.real**2 + h.imag**2, y.shape)
    if not (np.all(np.isfinite(projection)) and np.all(np.isfinite(power))):
        raise ConfigurationError("received symbols and channel gains must be finite; drop damaged samples")
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        noise = np.maximum(n0, power / _MOST_ENERGY)
        energy = power / noise
        scaled = np.stack([projection.real, projection.imag], axis=-1) / noise[..., None]
    informative = (power > 0.0) & (noise > 0.0)
    energy = np.where(informative, energy, 0.0)
    scaled = np.where(informative[:, None], scaled, 0.0)
    return np.clip(scaled, -_MOST_PROJECTION, _MOST_PROJECTION), energy


def _log_cosh(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """ln cosh x + ln 2, without overflow."""
    size = np.abs(x)
    return np.asarray(size + np.log1p(np.exp(-2.0 * size)))
