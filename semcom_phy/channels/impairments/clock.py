"""Sampling clock offset and delay: the samples are taken at other times."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np

from semcom_phy.channels.impairments import kernels
from semcom_phy.channels.impairments.base import (
    BLOCK,
    IMPAIRMENTS,
    ImpairmentBase,
    Samples,
    Stage,
    StreamContext,
)
from semcom_phy.channels.impairments.fractional_delay import AFTER, BEFORE, interpolation_table

MAX_PPM = 10_000.0
MAX_DELAY_SAMPLES = 65_536.0


@IMPAIRMENTS.register("clock")
@dataclass(frozen=True)
class SamplingClockOffset(ImpairmentBase):
    """y[m] = x(m/(1 + offset_ppm·10⁻⁶) − delay_samples), x(t) the band-limited signal through the samples x[n].

    Positive ppm: the receiver's clock is fast against the transmitter's (or the transmitter's is slow); N samples
    become about N·(1 + offset_ppm·10⁻⁶). The whole stream has ⌈(N + delay)·(1 + offset_ppm·10⁻⁶)⌉ samples; up to
    17 are held back until `flush`. Error below −90 dB for signals within 0.8 of the Nyquist frequency; beyond it they
    are attenuated and imaged. The carrier is left alone: give its offset as "cfo".

    `offset_ppm`: −10 000 … 10 000. `delay_samples`: 0 … 65 536, any fraction.
    """

    name: ClassVar[str] = "clock"
    offset_ppm: float
    delay_samples: float = 0.0

    def __post_init__(self) -> None:
        self._check("offset_ppm", -MAX_PPM, MAX_PPM, "ppm")
        self._check("delay_samples", 0.0, MAX_DELAY_SAMPLES, "samples")

    def open(self, context: StreamContext) -> Stage:
        """See `Impairment.open`."""
        return _Resampler(1 + Fraction(self.offset_ppm) / 1_000_000, Fraction(self.delay_samples))


class _Resampler(Stage):
    """Output m lies at the input position m/ratio − delay."""

    def __init__(self, ratio: Fraction, delay: Fraction) -> None:
        self._resample = kernels.active().resample
        self._table = interpolation_table()
        self._ratio, self._delay = ratio, delay
        self._received = 0
        self._made = 0
        # The signal is zero before its first sample. _first is the input index of _held[0].
        self._first = math.floor(-delay) - BEFORE
        self._held = np.zeros(-self._first, np.complex64)

    def push(self, samples: Samples) -> Samples:
        """See `Stage.push`."""
        self._received += samples.size
        self._held = np.concatenate([self._held, samples])
        reach = self._first + self._held.size - AFTER
        return self._produce(math.ceil((reach + self._delay) * self._ratio))

    def flush(self) -> Samples:
        """See `Stage.flush`."""
        if self._received == 0:
            return np.empty(0, np.complex64)
        # One more than the interpolation needs, should the last position be rounded up to the next sample.
        self._held = np.concatenate([self._held, np.zeros(AFTER + 1, np.complex64)])
        return self._produce(math.ceil((self._received + self._delay) * self._ratio))

    def _produce(self, until: int) -> Samples:
        """Return the outputs before number `until`, and forget the inputs that no later one needs."""
        parts = []
        while self._made < until:
            # Positions are exact at the start of each block of outputs, and counted from there.
            origin = self._made // BLOCK * BLOCK
            start = origin / self._ratio - self._delay
            base = math.floor(start)
            begin, end = self._made - origin, min(until - origin, BLOCK)
            out = np.empty(end - begin, np.complex64)
            written = self._resample(
                self._held,
                base - BEFORE - self._first,
                float(start - base),
                float(1 / self._ratio),
                begin,
                end,
                self._table,
                out,
            )
            parts.append(out[:written])
            self._made += written
            if written < out.size:  # rounding put the last position just beyond the samples held
                break
        # One less, should it be rounded down to the sample before.
        needed = math.floor(self._made / self._ratio - self._delay) - BEFORE - 1
        drop = min(max(needed - self._first, 0), self._held.size)
        self._held = self._held[drop:]
        self._first += drop
        return np.concatenate(parts) if parts else np.empty(0, np.complex64)
