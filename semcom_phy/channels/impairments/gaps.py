"""Gaps: samples that a receiver lost, and zeros that a starving transmitter sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from semcom_phy.channels.impairments.base import IMPAIRMENTS, ImpairmentBase, Samples, Stage, StreamContext
from semcom_phy.errors import ConfigurationError

MAX_EVENTS_PER_S = 1e4
MAX_GAP_SAMPLES = 10_000_000


@IMPAIRMENTS.register("overflow")
@dataclass(frozen=True)
class Overflow(ImpairmentBase):
    """The receiver loses `lost_samples` samples at a time, at random: what follows arrives early.

    The events are a Poisson process: `events_per_s` (0 … 1e4) per second of what is received between the gaps.
    `lost_samples`: 1 … 10 000 000.
    """

    name: ClassVar[str] = "overflow"
    events_per_s: float
    lost_samples: int = 1000

    def __post_init__(self) -> None:
        self._check("events_per_s", 0.0, MAX_EVENTS_PER_S, "1/s")
        self._check_integer("lost_samples", 1, MAX_GAP_SAMPLES)

    def open(self, context: StreamContext) -> Stage:
        """See `Impairment.open`."""
        return _Losses(_EventTimes(self.events_per_s, context), self.lost_samples)


@IMPAIRMENTS.register("underrun")
@dataclass(frozen=True)
class Underrun(ImpairmentBase):
    """The transmitter runs dry and sends `inserted_samples` zeros at a time, at random: what follows arrives late.

    The events are a Poisson process: `events_per_s` (0 … 1e4) per second of signal; together they insert at most as
    many samples as the signal has. `inserted_samples`: 1 … 10 000 000.
    """

    name: ClassVar[str] = "underrun"
    events_per_s: float
    inserted_samples: int = 1000

    def __post_init__(self) -> None:
        self._check("events_per_s", 0.0, MAX_EVENTS_PER_S, "1/s")
        self._check_integer("inserted_samples", 1, MAX_GAP_SAMPLES)

    def open(self, context: StreamContext) -> Stage:
        """See `Impairment.open`."""
        if self.events_per_s * self.inserted_samples > context.sample_rate_hz:
            raise ConfigurationError(
                f"{self.events_per_s:g} underruns per second of {self.inserted_samples} samples insert more than the "
                f"{context.sample_rate_hz:g} samples of a second; lower one of them"
            )
        return _Insertions(_EventTimes(self.events_per_s, context), self.inserted_samples)


class _EventTimes:
    """Samples until the next event: exponential, rounded up, so that at least one sample passes."""

    def __init__(self, events_per_s: float, context: StreamContext) -> None:
        self._rng = context.rng()
        self._mean = context.sample_rate_hz / events_per_s if events_per_s else 0.0

    def draw(self) -> int | None:
        """Return the number of samples, None for never."""
        # 2^62 samples are never reached; the bound keeps the count an integer.
        return int(min(np.ceil(self._rng.exponential(self._mean)), 2.0**62)) if self._mean else None


class _Losses(Stage):
    def __init__(self, times: _EventTimes, length: int) -> None:
        self._times, self._length = times, length
        self._kept, self._until = True, times.draw()

    def push(self, samples: Samples) -> Samples:
        """See `Stage.push`."""
        parts = []
        while self._until is not None and samples.size >= self._until:
            if self._kept:
                parts.append(samples[: self._until])
            samples = samples[self._until :]
            self._kept = not self._kept
            self._until = self._times.draw() if self._kept else self._length
        if self._until is not None:
            self._until -= samples.size
        if self._kept:
            parts.append(samples)
        return np.concatenate([np.empty(0, np.complex64), *parts])


class _Insertions(Stage):
    def __init__(self, times: _EventTimes, length: int) -> None:
        self._times, self._until = times, times.draw()
        self._zeros = np.zeros(length, np.complex64)

    def push(self, samples: Samples) -> Samples:
        """See `Stage.push`."""
        parts = []
        while self._until is not None and samples.size >= self._until:
            parts += [samples[: self._until], self._zeros]
            samples = samples[self._until :]
            self._until = self._times.draw()
        if self._until is not None:
            self._until -= samples.size
        parts.append(samples)
        return np.concatenate(parts)
