"""The streaming receiver: samples in, bursts with soft bits out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from semcom_phy.errors import ConfigurationError, FormatError
from semcom_phy.registry import nearest
from semcom_phy.waveform.buffer import SampleBuffer
from semcom_phy.waveform.burst_header import BurstHeader, decode_burst_header
from semcom_phy.waveform.demodulator import (
    BurstSamples,
    DemodulatorSettings,
    demodulate_body,
    demodulate_header,
)
from semcom_phy.waveform.detector import Detection, DetectorConfig, PreambleDetector
from semcom_phy.waveform.dump import SignalDump
from semcom_phy.waveform.equalizer import EQUALIZERS
from semcom_phy.waveform.layout import HEADER_LAYOUT, burst_symbols
from semcom_phy.waveform.pulse import Waveform
from semcom_phy.waveform.synchronizer import Timing

LARGEST_SAMPLE: Final = 1e9
"""Samples beyond this magnitude count as damaged, like NaN and infinities: they read as zero."""

_STRETCH: Final = 1 << 16
"""Long inputs are worked off in stretches of so many samples, counted from the start of the stream."""

_MARGIN_SYMBOLS: Final = 48
"""Samples kept before a burst and zeros put behind it: more than the longest pulse and equaliser together."""

_TAIL_SYMBOLS: Final = 2
"""A burst is complete so many symbols before the pulse of its last symbol ends: what lies there is the ramp."""


@dataclass(frozen=True)
class ReceiverConfig:
    """Settings of the receiver.

    `link`: bursts of other links are dropped; None takes all. `equalizer`: one of `EQUALIZERS`. `remove_dc`: subtract
    from each burst the mean of its samples. `max_burst_symbols`: longer bursts are dropped, 2000 … 2^20.
    `max_pending`: bursts under reception at a time, 1 … 1024. `dump_path`: folder for internal signals (see
    `SignalDump`), None for none.
    """

    waveform: Waveform = field(default_factory=Waveform)
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    link: int | None = None
    equalizer: str = "auto"
    remove_dc: bool = True
    max_burst_symbols: int = 1 << 16
    max_pending: int = 32
    dump_path: str | Path | None = None

    def __post_init__(self) -> None:
        if self.equalizer not in EQUALIZERS:
            raise ConfigurationError(
                f"unknown equaliser {self.equalizer!r}.{nearest(self.equalizer, EQUALIZERS)} "
                f"Known: {', '.join(EQUALIZERS)}"
            )
        if not 2000 <= self.max_burst_symbols <= 1 << 20:
            raise ConfigurationError(f"max_burst_symbols must be from 2000 to 1048576, got {self.max_burst_symbols}")
        if not 1 <= self.max_pending <= 1024:
            raise ConfigurationError(f"max_pending must be from 1 to 1024, got {self.max_pending}")


@dataclass(frozen=True)
class ReceivedBurst:
    """One burst.

    `llrs`: float32 (header.fragment_bits,), ln P(b=1)/P(b=0), 0 where nothing arrived. `application_llrs`: float32, of
    one codeword of the application's header (copies summed). `position`: first preamble symbol, samples from the
    start of the stream; `cfo_hz`, `clock_offset_ppm`: of the transmitter against this receiver (positive: its
    carrier is higher, its symbols are longer). `esn0_db`: mean symbol energy over noise and interference
    behind the equaliser, measured on known symbols; `evm_percent`: error vector magnitude of the same.
    `level_dbfs`: power of the received burst. `equalizer`: the one in use, "one-tap", "mmse" or
    "adaptive" (`waveform.adaptive`). `process`: the gain's process
    (`tracking.PROCESSES`). `symbols_missing`: symbols of the burst that had not arrived when it was delivered.
    """

    header: BurstHeader
    llrs: npt.NDArray[np.float32]
    application_llrs: npt.NDArray[np.float32]
    position: float
    cfo_hz: float
    clock_offset_ppm: float
    esn0_db: float
    evm_percent: float
    level_dbfs: float
    equalizer: str
    process: tuple[str, float]
    symbols_missing: int = 0


@dataclass
class ReceiverCounts:
    """What happened so far. Every detection ends in one of the counts below it, or is still under way; truncated bursts
    are among `bursts`."""

    samples: int = 0
    samples_damaged: int = 0
    detections: int = 0
    bursts: int = 0
    bursts_truncated: int = 0
    headers_failed: int = 0
    headers_invalid: int = 0
    foreign: int = 0
    oversized: int = 0
    overflowed: int = 0


@dataclass
class _Reception:
    """A burst under way: what is known after its preamble and, later, after its header."""

    number: int
    detection: Detection
    timing: Timing | None = None
    header: BurstHeader | None = None


class Receiver:
    """Streaming receiver for one link. `counts` tells what was dropped and why.

    Bursts are delivered as soon as their last sample has arrived, in order of their ends; how the stream is cut into
    chunks makes no difference to them.
    """

    def __init__(self, config: ReceiverConfig | None = None) -> None:
        self.config = config if config is not None else ReceiverConfig()
        self.counts = ReceiverCounts()
        self._sps = self.config.waveform.samples_per_symbol
        self._settings = DemodulatorSettings(self.config.waveform, self.config.equalizer)
        self._buffer = SampleBuffer()
        self._dump = SignalDump(self.config.dump_path) if self.config.dump_path is not None else None
        self._detector = PreambleDetector(self.config.waveform, self.config.detector, self._dump)
        self._pending: list[_Reception] = []

    def push(self, samples: npt.ArrayLike) -> list[ReceivedBurst]:
        """Take the next samples, complex (n,), and return the bursts that are complete now.

        Samples that are not finite or beyond `LARGEST_SAMPLE` count as zero. Raises ConfigurationError for
        anything but a one-dimensional array of numbers.
        """
        values = self._checked(samples)
        received: list[ReceivedBurst] = []
        start = 0
        while start < values.size:
            stop = min(values.size, start + _STRETCH - self.counts.samples % _STRETCH)
            self._append(values[start:stop])
            received += self._advance(self._detector.search(self._buffer), at_end=False)
            if self.counts.samples % _STRETCH == 0:
                # Only the newest are kept: a flood of false announcements must not fill the memory.
                self.counts.overflowed += max(len(self._pending) - self.config.max_pending, 0)
                self._pending = self._pending[-self.config.max_pending :]
            start = stop
        return received

    def flush(self) -> list[ReceivedBurst]:
        """Return the bursts that have begun and were cut off, with erasures for what is missing.

        Further samples start a new stretch of the same stream.
        """
        return self._advance(self._detector.flush(self._buffer), at_end=True)

    @property
    def settled(self) -> int:
        """Bursts that began before this sample have been delivered or dropped: none of them can come any more."""
        searched = self._detector.needs_from - _MARGIN_SYMBOLS * self._sps
        return min([searched, *(self._start(reception) for reception in self._pending)])

    def _checked(self, samples: npt.ArrayLike) -> npt.NDArray[np.complex64]:
        """The samples as complex64, damaged ones set to zero and counted."""
        values = np.asarray(samples)
        if values.ndim != 1 or values.dtype.kind not in "iufc":
            raise ConfigurationError(
                f"samples are a one-dimensional array of complex numbers, got {values.dtype} {values.shape}"
            )
        with np.errstate(over="ignore", invalid="ignore"):
            checked = values.astype(np.complex64)
        parts = checked.view(np.float32)
        # A NaN or infinity anywhere makes the extremes fail this comparison; then look which samples it is.
        if parts.size and not max(float(np.max(parts)), -float(np.min(parts))) <= LARGEST_SAMPLE:
            damaged = ~(np.abs(parts) <= LARGEST_SAMPLE).reshape(-1, 2).all(axis=1)
            checked[damaged] = 0
            self.counts.samples_damaged += int(np.count_nonzero(damaged))
        return checked

    def _append(self, samples: npt.NDArray[np.complex64]) -> None:
        self.counts.samples += samples.size
        self._buffer.append(samples)
        if self._dump is not None:
            self._dump.stream("samples.cf32", samples)

    def _advance(self, detections: list[Detection], *, at_end: bool) -> list[ReceivedBurst]:
        for detection in detections:
            self._pending.append(_Reception(self.counts.detections, detection))
            self.counts.detections += 1
        delivered: list[tuple[int, ReceivedBurst]] = []
        waiting: list[_Reception] = []
        for reception in self._pending:
            if reception.header is None:
                header_end = self._end(reception, HEADER_LAYOUT.total)
                if header_end > self._buffer.stop and not at_end:
                    waiting.append(reception)
                    continue
                if not self._read_header(reception, header_end):
                    continue
            assert reception.header is not None
            end = self._end(reception, burst_symbols(reception.header.data_symbols))
            if end > self._buffer.stop and not at_end:
                waiting.append(reception)
                continue
            delivered.append((end, self._read_body(reception, end)))
        self._pending = waiting
        self._buffer.discard_before(self.settled)
        return [burst for _, burst in sorted(delivered, key=lambda item: item[0])]

    def _start(self, reception: _Reception) -> int:
        return int(reception.detection.position) - _MARGIN_SYMBOLS * self._sps

    def _end(self, reception: _Reception, symbols: int) -> int:
        """One past the last sample that belongs to the first `symbols` symbols."""
        tail = self.config.waveform.span_symbols - _TAIL_SYMBOLS
        return math.ceil(reception.detection.position) + (symbols - 1 + tail) * self._sps

    def _samples(self, reception: _Reception, end: int) -> BurstSamples:
        """Samples of a burst up to `end`, with enough zeros behind them for every pulse."""
        start = self._start(reception)
        samples = self._buffer.read(start, end)
        if self.config.remove_dc:
            # Of the burst alone: what came before it may have been anything.
            arrived = samples[int(reception.detection.position) - start : max(self._buffer.stop - start, 0)]
            samples -= arrived.mean() if arrived.size else np.complex64(0)
        silence = np.zeros(2 * _MARGIN_SYMBOLS * self._sps, np.complex64)
        return BurstSamples(np.concatenate([samples, silence]), start)

    def _read_header(self, reception: _Reception, end: int) -> bool:
        """Synchronise on the preamble and decode the header; False when the burst ends here."""
        reading = demodulate_header(self._samples(reception, end), reception.detection, self._settings)
        if self._dump is not None:
            self._dump.burst(reception.number, header_symbols=reading.symbols, header_llrs=reading.llrs)
        try:
            header = decode_burst_header(reading.llrs)
        except FormatError:
            self.counts.headers_invalid += 1
            return False
        if header is None:
            self.counts.headers_failed += 1
            return False
        if self.config.link is not None and header.link != self.config.link:
            self.counts.foreign += 1
            return False
        if burst_symbols(header.data_symbols) > self.config.max_burst_symbols:
            self.counts.oversized += 1
            return False
        reception.timing, reception.header = reading.timing, header
        return True

    def _read_body(self, reception: _Reception, end: int) -> ReceivedBurst:
        """Demodulate a burst whose header is known."""
        header, timing = reception.header, reception.timing
        assert header is not None
        assert timing is not None
        total = burst_symbols(header.data_symbols)
        missing = min(-(-max(end - self._buffer.stop, 0) // self._sps), total)
        body = demodulate_body(self._samples(reception, end), timing, header, total - missing, self._settings)
        self.counts.bursts += 1
        self.counts.bursts_truncated += missing > 0
        burst = ReceivedBurst(
            header=header,
            llrs=body.llrs,
            application_llrs=body.application_llrs,
            position=body.timing.position,
            cfo_hz=body.timing.cfo * self.config.waveform.symbol_rate_hz,
            clock_offset_ppm=body.timing.clock_offset * 1e6,
            esn0_db=10 * math.log10(max(body.esn0, 1e-30)),
            evm_percent=100 / math.sqrt(max(body.esn0, 1e-30)),
            level_dbfs=10 * math.log10(max(body.symbol_energy / self._sps, 1e-30)),
            equalizer=body.equalizer,
            process=body.process,
            symbols_missing=missing,
        )
        if self._dump is not None:
            self._dump.burst(reception.number, symbols=body.symbols, gain=body.gain, llrs=body.llrs)
            facts = {name: value for name, value in vars(burst).items() if isinstance(value, int | float | str)}
            self._dump.note(reception.number, **facts, statistic=reception.detection.statistic, **header.describe())
        return burst
