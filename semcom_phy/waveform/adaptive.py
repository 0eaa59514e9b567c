"""Decision-directed equaliser for paths that fade independently of each other within a burst.

Slot after slot (data block and its pilots) the symbols are equalised with the channel of the slots before, decided
softly, and the channel is estimated anew from these decisions and the pilots, older ones counting less and less; the
slot is then equalised once more. Ten times the effort of a fixed equaliser: only used where that one fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from semcom_phy.modulation import Modulation
from semcom_phy.waveform.equalizer import (
    FILTER_REACH,
    PATH_REACH,
    RESPONSE_REACH,
    RIDGE,
    ChannelEstimate,
    design_mmse,
)
from semcom_phy.waveform.layout import DATA_BLOCK, HEADER_LAYOUT, PILOT_BLOCK
from semcom_phy.waveform.pulse import raised_cosine
from semcom_phy.waveform.synchronizer import BurstSampler, Timing

ComplexArray = npt.NDArray[np.complex128]

SLOT: Final = DATA_BLOCK + PILOT_BLOCK
MEMORY: Final = 0.35
"""Weight of what was learned before each new slot: the estimate rests on one and a half slots, 0.8 ms at 250 ksym/s."""

_FIRST_SLOTS: Final = 4
_EDGE: Final = 4


@dataclass
class _Learner:
    """Recursive least squares, a slot at a time, for the gains of paths half a symbol apart."""

    samples: ComplexArray
    pulse: npt.NDArray[np.float64]
    gram: ComplexArray
    moment: ComplexArray
    residual: float = 0.0
    rows: float = 0.0

    def learn(self, symbols: ComplexArray, first: int, stop: int) -> None:
        """Take symbols first … stop−1 as sent (`symbols` holds all decisions so far)."""
        begin = max(first - 2 * RESPONSE_REACH, 0)
        upsampled = np.zeros(2 * (stop - begin), np.complex128)
        upsampled[::2] = symbols[begin:stop]
        nyquist = np.convolve(upsampled, self.pulse)[RESPONSE_REACH : RESPONSE_REACH + upsampled.size]
        # Symbols behind `stop` are not known yet: leave out the samples that they reach strongly.
        rows = np.arange(2 * max(first - _EDGE, begin + RESPONSE_REACH), 2 * (stop - _EDGE))
        paths = np.arange(-PATH_REACH, PATH_REACH + 1)
        design = nyquist[rows[:, None] - 2 * begin - paths]
        received = self.samples[rows]
        adjoint = design.conj().T
        self.gram = MEMORY * self.gram + adjoint @ design
        self.moment = MEMORY * self.moment + adjoint @ received
        self.residual = MEMORY * self.residual + float(np.sum(np.abs(received - design @ self.gains()) ** 2))
        self.rows = MEMORY * self.rows + rows.size

    def gains(self) -> ComplexArray:
        """Gains of the paths by what was learned so far."""
        ridge = (RIDGE * float(np.real(np.trace(self.gram))) / len(self.gram) + 1e-300) * np.eye(len(self.gram))
        return np.asarray(np.linalg.solve(self.gram + ridge, self.moment))

    def channel(self) -> ChannelEstimate:
        """The channel by what was learned so far."""
        noise = self.residual / max(self.rows, 1.0)
        response = np.convolve(self.gains(), self.pulse)[PATH_REACH : PATH_REACH + self.pulse.size]
        return ChannelEstimate(response, noise, 2.0 * noise * len(self.gram) / max(self.rows, 1.0), 0.0)


def follow_channel(
    sampler: BurstSampler,
    timing: Timing,
    known: ComplexArray,
    modulation: npt.NDArray[np.bool_],
    schemes: tuple[Modulation, Modulation],
) -> ComplexArray:
    """Equalised symbols of a whole burst, complex128 (total,), of gain 1.

    `known` (total,): the symbols of preamble, header and pilots, 0 where data are. `modulation` (total,): False where
    data have the modulation ``schemes[0]``, True for ``schemes[1]``.
    """
    total = known.size
    roll_off = sampler.waveform.roll_off
    halves = np.arange(-FILTER_REACH, 2 * total + FILTER_REACH) / 2
    samples = sampler.at(timing.times(halves, sampler.waveform.samples_per_symbol))
    inner = samples[FILTER_REACH : FILTER_REACH + 2 * total]
    size = 2 * PATH_REACH + 1
    pulse = raised_cosine(np.arange(-RESPONSE_REACH, RESPONSE_REACH + 1) / 2, roll_off)
    learner = _Learner(inner, pulse, np.zeros((size, size), np.complex128), np.zeros(size, np.complex128))
    points = [np.asarray(scheme.modulate(_all_words(scheme)), np.complex128) for scheme in schemes]

    decisions = known.copy()
    output = np.zeros(total, np.complex128)
    start = HEADER_LAYOUT.total
    for first in range(start - _FIRST_SLOTS * SLOT, start, SLOT):
        learner.learn(decisions, first, first + SLOT)
    taps = design_mmse(learner.channel(), roll_off).taps
    output[:start] = _equalise(samples, taps, 0, start)
    for first in range(start, total, SLOT):
        stop = min(first + SLOT, total)
        values = _equalise(samples, taps, first, stop)
        sure = known[first:stop] != 0
        # The pilots tell how far the common gain has gone since the slots before, and how noisy the values are.
        gain = np.vdot(known[first:stop][sure], values[sure]) / max(int(np.count_nonzero(sure)), 1)
        values = values / (gain if abs(gain) > 0.2 else 1.0)
        noise = max(learner.residual / max(learner.rows, 1.0) * float(np.sum(np.abs(taps) ** 2)), 1e-12)
        for late in (False, True):
            place = np.flatnonzero(~sure & (modulation[first:stop] == late))
            decisions[first + place] = _expected(values[place], points[late], noise)
        learner.learn(decisions, first, stop)
        taps = design_mmse(learner.channel(), roll_off).taps
        output[first:stop] = _equalise(samples, taps, first, stop)
    return output


def _equalise(samples: ComplexArray, taps: ComplexArray, first: int, stop: int) -> ComplexArray:
    part = samples[2 * first : 2 * (stop - 1) + taps.size]
    return np.asarray(sliding_window_view(part, taps.size)[::2] @ taps)


def _all_words(scheme: Modulation) -> npt.NDArray[np.uint8]:
    """The bits of every point of the constellation, one after the other."""
    size = scheme.bits_per_symbol
    words = np.arange(1 << size)[:, None] >> np.arange(size - 1, -1, -1) & 1
    return words.astype(np.uint8).reshape(-1)


def _expected(values: ComplexArray, points: ComplexArray, noise: float) -> ComplexArray:
    """Mean of the symbol given what was received: soft decisions, small where nothing is sure."""
    exponent = -(np.abs(values[:, None] - points) ** 2) / noise
    weight = np.exp(exponent - exponent.max(axis=1, keepdims=True)) if values.size else exponent
    return np.asarray((weight @ points) / weight.sum(axis=1)) if values.size else values
