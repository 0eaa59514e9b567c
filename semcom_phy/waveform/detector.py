"""Finding preambles in a stream of samples, at a constant false-alarm rate.

The search runs on matched-filtered symbols at two timings, half a symbol apart, in two stages.

1. *Differential.* Segments of 8 symbols are correlated coherently: short enough for a frequency offset of 0.05
   cycles per symbol. Each segment is multiplied by its predecessor's conjugate, which turns the offset into a
   common phase, and the sum's magnitude is divided by the energy under the preamble. (The segments are balanced, so a
   constant does not show in the sum; it is taken out of the energy as well.) `DIFFERENTIAL_THRESHOLD` is
   passed by one timing in a thousand of white noise; only these are looked at further.
2. *Coherent.* The mean of the 256 symbols is taken out, what is left is despread and transformed to the frequency
   domain. The largest share of the energy that one frequency holds, ρ = max_f |Σ p_n y_n e^(−j2πfn)|²/(256·Σ|y_n|²),
   decides.

In white noise the share of the energy in one direction of a space of N complex dimensions exceeds ρ with
probability (1 − ρ)^(N−1), exactly and whatever the noise power: ρ is Beta(1, N−1) distributed, with N = 255 here
because the mean is gone. Over F frequencies
the probability is at most F times that, which gives the threshold (`coherent_threshold`). A burst at Es/N0 = γ
has ρ ≈ γ/(1 + γ), 0.33 at −3 dB, against a threshold of 0.111 for 1e-11 per timing.

A carrier or an interferer of other make spreads its energy over all frequencies once it is multiplied by the
preamble, as noise does; see `preamble`. Nothing outside the 256 symbols has any influence: however loud what came
before a preamble was, the preamble is found.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from semcom_phy.checks import checked_number
from semcom_phy.waveform.buffer import SampleBuffer
from semcom_phy.waveform.dump import SignalDump
from semcom_phy.waveform.kernels import kernels
from semcom_phy.waveform.preamble import PREAMBLE_SYMBOLS, preamble
from semcom_phy.waveform.pulse import Waveform, rrc_taps

DIFFERENTIAL_THRESHOLD: Final = 0.5
SEARCH_BLOCK_SYMBOLS: Final = 1024
"""Timings are searched in blocks of so many symbols, counted from the start of the stream.

Blocks are the same however the stream is cut into chunks. A preamble is found at most
SEARCH_BLOCK_SYMBOLS + SEPARATION_SYMBOLS + SEARCH_SPAN_SYMBOLS + 1 symbols after its last symbol: before the end of
the header behind it.
"""

SEPARATION_SYMBOLS: Final = 32
"""Of several detections within so many symbols only the strongest counts: the others are echoes of it."""

SEARCH_SPAN_SYMBOLS: Final = 4
"""The search's matched filter is shorter than the receiver's: what it cuts off carries 0.1 % of the energy."""

_FREQUENCY_STEP: Final = 1 / 1024
_BATCH: Final = 256


@dataclass(frozen=True)
class DetectorConfig:
    """Settings of the search.

    `max_cfo`: largest carrier-frequency offset looked for, cycles per symbol, 0 … 0.05 (±12.5 kHz at 250 ksym/s).
    `false_alarm`: upper bound of the probability of a false alarm per timing (two timings per symbol) in white
    noise, 1e-30 … 0.1.
    """

    max_cfo: float = 0.05
    false_alarm: float = 1e-11

    def __post_init__(self) -> None:
        object.__setattr__(self, "max_cfo", checked_number("max_cfo", self.max_cfo, 0.0, 0.05, "cycles per symbol"))
        object.__setattr__(self, "false_alarm", checked_number("false_alarm", self.false_alarm, 1e-30, 0.1))


@dataclass(frozen=True)
class Detection:
    """A preamble: `position` of its first symbol (samples from the start of the stream, a multiple of half a
    symbol), `cfo` in cycles per symbol (a multiple of 1/1024), and ρ, `statistic`."""

    position: float
    cfo: float
    statistic: float


def search_frequencies(max_cfo: float) -> npt.NDArray[np.float64]:
    """The frequency offsets that are tried, cycles per symbol."""
    steps = math.ceil(max_cfo / _FREQUENCY_STEP)
    return np.asarray(np.arange(-steps, steps + 1) * _FREQUENCY_STEP, np.float64)


def coherent_threshold(config: DetectorConfig) -> float:
    """ρ that white noise exceeds at one timing with at most the probability `config.false_alarm`."""
    frequencies = search_frequencies(config.max_cfo).size
    return -math.expm1(math.log(config.false_alarm / frequencies) / (PREAMBLE_SYMBOLS - 2))


@lru_cache(maxsize=4)
def _despreader(max_cfo: float) -> npt.NDArray[np.complex64]:
    """p_n·e^(−j2πfn)/√256 as (symbols, frequencies)."""
    phase = np.outer(np.arange(PREAMBLE_SYMBOLS), search_frequencies(max_cfo))
    matrix = preamble()[:, None] * np.exp(-2j * np.pi * phase) / math.sqrt(PREAMBLE_SYMBOLS)
    return matrix.astype(np.complex64)


def coherent_statistic(
    symbols: npt.NDArray[np.complexfloating], max_cfo: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """ρ and its frequency (cycles per symbol), both (n,), for n windows of symbols (n, 256)."""
    centred = np.asarray(symbols - np.mean(symbols, axis=1, keepdims=True), np.complex64)
    share = np.abs(centred @ _despreader(max_cfo)) ** 2
    best = np.argmax(share, axis=1)
    energy = np.sum(np.abs(centred) ** 2, axis=1, dtype=np.float64)
    top = np.take_along_axis(share, best[:, None], axis=1)[:, 0].astype(np.float64)
    statistic = np.divide(top, energy, out=np.zeros_like(top), where=energy > 0)
    return statistic, search_frequencies(max_cfo)[best]


@lru_cache(maxsize=8)
def _search_taps(waveform: Waveform) -> npt.NDArray[np.float32]:
    """Matched filter at whole and half symbols, padded and cut by symbols: (2, 2·span + 1, sps)."""
    sps = waveform.samples_per_symbol
    taps = np.zeros((2, (2 * SEARCH_SPAN_SYMBOLS + 1) * sps), np.float32)
    for phase in range(2):
        pulse = rrc_taps(sps, waveform.roll_off, SEARCH_SPAN_SYMBOLS, phase * sps / 2)
        taps[phase, : pulse.size] = pulse
    return taps.reshape(2, -1, sps)


class PreambleDetector:
    """Streaming search. The samples are read from a `SampleBuffer` that the receiver keeps."""

    def __init__(
        self, waveform: Waveform, config: DetectorConfig | None = None, dump: SignalDump | None = None
    ) -> None:
        self.waveform = waveform
        self._dump = dump
        self.config = config if config is not None else DetectorConfig()
        self.threshold = coherent_threshold(self.config)
        self.examined = 0
        """Timings that passed the first stage so far."""
        self._next = 0  # first symbol not searched yet
        self._pending: Detection | None = None

    @property
    def needs_from(self) -> int:
        """No later detection lies before this sample, and none before SEARCH_SPAN_SYMBOLS less is read again."""
        return (self._next - SEPARATION_SYMBOLS - 1) * self.waveform.samples_per_symbol

    def _samples_needed(self, first: int, count: int) -> tuple[int, int]:
        sps = self.waveform.samples_per_symbol
        rows = count + PREAMBLE_SYMBOLS - 1 + 2 * SEARCH_SPAN_SYMBOLS
        start = (first - SEARCH_SPAN_SYMBOLS) * sps
        return start, start + rows * sps

    def search(self, buffer: SampleBuffer) -> list[Detection]:
        """Search all blocks whose samples have arrived."""
        found: list[Detection] = []
        while self._samples_needed(self._next, SEARCH_BLOCK_SYMBOLS)[1] <= buffer.stop:
            found += self._search_block(buffer)
        return found

    def flush(self, buffer: SampleBuffer) -> list[Detection]:
        """Search what is left, as if silence followed; later samples are searched from where they begin."""
        found: list[Detection] = []
        while self._next * self.waveform.samples_per_symbol < buffer.stop:
            found += self._search_block(buffer)
        if self._pending is not None:
            found.append(self._pending)
            self._pending = None
        self._next = buffer.stop // self.waveform.samples_per_symbol
        return found

    def statistics(
        self, buffer: SampleBuffer, first: int, count: int
    ) -> tuple[npt.NDArray[np.complex64], npt.NDArray[np.float32]]:
        """Symbols y (2, count + 255) and first-stage statistic (2, count) at both timings, from symbol `first`."""
        samples = buffer.read(*self._samples_needed(first, count))
        filtered = kernels().half_symbol_filter(samples, _search_taps(self.waveform), count + PREAMBLE_SYMBOLS - 1)
        signs = preamble().astype(np.float32)
        statistic = np.zeros((2, count), np.float32)
        for phase in range(2):
            size, energy = kernels().differential_statistic(filtered[phase, 0], filtered[phase, 1], signs, count)
            np.divide(size, energy, out=statistic[phase], where=energy > 0)
        return filtered[:, 0] + 1j * filtered[:, 1], statistic

    def _search_block(self, buffer: SampleBuffer) -> list[Detection]:
        first, count = self._next, SEARCH_BLOCK_SYMBOLS
        self._next += count
        symbols, statistic = self.statistics(buffer, first, count)
        if self._dump is not None:
            self._dump.stream("search-statistic.f32", statistic.T)
        # In order of time: timing t is symbol t//2, phase t%2.
        timings = np.flatnonzero(statistic.T.reshape(-1) > DIFFERENTIAL_THRESHOLD)
        self.examined += timings.size
        found: list[Detection] = []
        sps = self.waveform.samples_per_symbol
        for start in range(0, timings.size, _BATCH):
            batch = timings[start : start + _BATCH]
            windows = symbols[batch[:, None] % 2, batch[:, None] // 2 + np.arange(PREAMBLE_SYMBOLS)]
            shares, cfo = coherent_statistic(windows, self.config.max_cfo)
            for hit in np.flatnonzero(shares > self.threshold):
                position = (first + float(batch[hit]) / 2) * sps
                found += self._separate(Detection(position, float(cfo[hit]), float(shares[hit])))
        if self._pending is not None and self._pending.position + SEPARATION_SYMBOLS * sps < self._next * sps:
            found.append(self._pending)
            self._pending = None
        return found

    def _separate(self, new: Detection) -> list[Detection]:
        """Keep the strongest of detections that lie close together; return the one that is now certain."""
        last, self._pending = self._pending, new
        if last is None:
            return []
        if new.position - last.position > SEPARATION_SYMBOLS * self.waveform.samples_per_symbol:
            return [last]
        self._pending = max(last, new, key=lambda detection: detection.statistic)
        return []
