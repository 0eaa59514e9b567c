"""Equalisers: none but the matched filter (one tap), or linear MMSE over half-symbol samples (multipath)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from semcom_phy.waveform.pulse import raised_cosine
from semcom_phy.waveform.synchronizer import BurstSampler, Timing

ComplexArray = npt.NDArray[np.complex128]

EQUALIZERS: Final = ("auto", "one-tap", "mmse")

PATH_REACH: Final = 6
"""Paths are looked for at every half symbol up to this many half symbols before and after a symbol's instant."""

RESPONSE_REACH: Final = 20
"""Half symbols to either side after which the response of path and both pulses is neglected (below −45 dB)."""

FILTER_REACH: Final = 14
"""The MMSE filter spans this many half symbols to either side."""

SIGNIFICANCE: Final = 3.0
"""Excess of explained energy per degree of freedom, over that of noise, from which several paths are believed.

In a channel of one path the ratio is 1 on average with about 20 degrees of freedom, and 3 once in 10⁵ bursts. Over
preamble and header it grows by 100 times the interference between symbols over the noise: what is left to the
one-tap receiver when it stays below costs it less than 0.1 dB.
"""

RIDGE: Final = 1e-3


class Equalizer(Protocol):
    """Turns the matched filter's output into one value per symbol."""

    @property
    def name(self) -> str:
        """Name for reports."""

    def symbols(self, sampler: BurstSampler, timing: Timing, first: int, count: int) -> ComplexArray:
        """Values of symbols first … first+count−1: gain · symbol + noise, gain common to all of them."""


@dataclass(frozen=True)
class OneTap:
    """The matched filter at the symbols' instants; the gain that is tracked later is the only tap."""

    name: str = "one-tap"

    def symbols(self, sampler: BurstSampler, timing: Timing, first: int, count: int) -> ComplexArray:
        """See `Equalizer.symbols`."""
        return sampler.at(timing.times(first + np.arange(count), sampler.waveform.samples_per_symbol))


@dataclass(frozen=True)
class LinearMmse:
    """Minimum mean-square error filter over half-symbol samples, scaled to be unbiased."""

    taps: ComplexArray
    name: str = "mmse"

    def symbols(self, sampler: BurstSampler, timing: Timing, first: int, count: int) -> ComplexArray:
        """See `Equalizer.symbols`."""
        halves = first + np.arange(-FILTER_REACH, 2 * count - 1 + FILTER_REACH) / 2
        samples = sampler.at(timing.times(halves, sampler.waveform.samples_per_symbol))
        return np.asarray(sliding_window_view(samples, self.taps.size)[::2] @ self.taps)


@dataclass(frozen=True)
class ChannelEstimate:
    """Response of the channel with both pulses at half symbols −RESPONSE_REACH … RESPONSE_REACH.

    `noise_variance`: N0, in the scale in which `response` is the response. `error_power`: power per sample of what
    errors of the response turn into. `significance`: see `SIGNIFICANCE`.
    """

    response: ComplexArray
    noise_variance: float
    error_power: float
    significance: float


def estimate_channel(
    sampler: BurstSampler, timing: Timing, known: ComplexArray, gain: ComplexArray | None = None
) -> ChannelEstimate:
    """Least squares for the gains of paths half a symbol apart, over the first symbols of the burst.

    `known`: symbols 0 … n−1. `gain`: of each, where it changes along the burst; the response is relative to it.
    """
    roll_off = sampler.waveform.roll_off
    pulse = raised_cosine(np.arange(-RESPONSE_REACH, RESPONSE_REACH + 1) / 2, roll_off)
    margin = RESPONSE_REACH + PATH_REACH
    rows = np.arange(margin, 2 * known.size - 1 - margin)
    upsampled = np.zeros(2 * known.size - 1, np.complex128)
    upsampled[::2] = known
    nyquist = np.convolve(upsampled, pulse)[RESPONSE_REACH : RESPONSE_REACH + upsampled.size]
    scale = np.ones(rows.size) if gain is None else gain[rows // 2]
    level = max(float(np.mean(np.abs(scale) ** 2)), 1e-300)

    received = sampler.at(timing.times(rows / 2, sampler.waveform.samples_per_symbol))
    paths = np.arange(-PATH_REACH, PATH_REACH + 1)
    design = scale[:, None] * nyquist[rows[:, None] - paths]
    adjoint = design.conj().T
    gram = adjoint @ design
    # The pulse fills two thirds of the band of half-symbol samples only; the ridge keeps out what lies beyond.
    ridge = (RIDGE * level * rows.size + 1e-300) * np.eye(paths.size)
    gains = np.linalg.solve(gram + ridge, adjoint @ received)
    freedom = float(np.real(np.trace(np.linalg.solve(gram + ridge, gram))))
    energy = float(np.sum(np.abs(received - design @ gains) ** 2))
    noise = energy / (rows.size - freedom)

    # Contiguous: OpenBLAS 0.3.21, which Debian 12 ships, reads out of bounds in products of strided complex vectors.
    alone = np.ascontiguousarray(design[:, PATH_REACH])
    single = received - alone * (np.vdot(alone, received) / max(float(np.sum(np.abs(alone) ** 2)), 1e-300))
    explained = float(np.sum(np.abs(single) ** 2)) - energy
    # Noise behind the matched filter fills the same part of the band: there it is twice as dense.
    significance = explained / (max(freedom - 1.0, 1.0) * 2.0 * max(noise, 1e-300))
    return ChannelEstimate(
        response=np.convolve(gains, pulse)[PATH_REACH : PATH_REACH + pulse.size],
        noise_variance=noise / level,
        error_power=2.0 * noise / level * freedom / rows.size,
        significance=significance,
    )


def design_mmse(channel: ChannelEstimate, roll_off: float) -> LinearMmse:
    """MMSE filter for a channel estimate; its noise is coloured by the matched filter."""
    halves = np.arange(-FILTER_REACH, FILTER_REACH + 1)
    reach = (FILTER_REACH + RESPONSE_REACH) // 2
    # Column k: how symbol n+k shows in the half-symbol samples around symbol n.
    place = halves[:, None] - 2 * np.arange(-reach, reach + 1) + RESPONSE_REACH
    inside = (place >= 0) & (place < channel.response.size)
    mixing = np.where(inside, channel.response[np.clip(place, 0, channel.response.size - 1)], 0.0)
    noise_shape = raised_cosine((halves[:, None] - halves) / 2, roll_off)
    # Errors of the response act like noise; a floor keeps the inverse tame without noise.
    power = float(np.sum(np.abs(channel.response) ** 2))
    loading = channel.error_power + 1e-5 * power + 1e-300
    covariance = mixing @ mixing.conj().T + channel.noise_variance * noise_shape + loading * np.eye(halves.size)
    wanted = mixing[:, reach]
    taps = np.linalg.solve(covariance, wanted)
    share = float(np.real(np.vdot(taps, wanted)))
    # The share is SINR/(1 + SINR): where it vanishes there is no signal, and nothing to scale up.
    return LinearMmse(np.asarray(np.conj(taps) / max(share, 1e-6), np.complex128))


def choose_equalizer(
    kind: str, sampler: BurstSampler, timing: Timing, known: ComplexArray, gain: ComplexArray | None = None
) -> Equalizer:
    """The equaliser for a burst: "one-tap", "mmse", or with "auto" MMSE where several taps are significant.

    `known` and `gain` are those of :func:`estimate_channel`.
    """
    if kind == "one-tap":
        return OneTap()
    channel = estimate_channel(sampler, timing, known, gain)
    if kind == "auto" and channel.significance < SIGNIFICANCE:
        return OneTap()
    return design_mmse(channel, sampler.waveform.roll_off)
