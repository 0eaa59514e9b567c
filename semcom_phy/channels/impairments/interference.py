"""Interferers: other transmitters in the band."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from semcom_phy.channels.impairments.base import (
    BLOCK,
    FREQUENCY_LIMIT_HZ,
    IMPAIRMENTS,
    LEVEL_LIMIT_DB,
    AddStage,
    ImpairmentBase,
    Samples,
    Stage,
    StreamContext,
    amplitude,
    unit_phasor,
)
from semcom_phy.channels.impairments.oscillator import chirp, phasors
from semcom_phy.errors import ConfigurationError
from semcom_phy.modulation import MODULATIONS

Waveform = Callable[[int], npt.NDArray[np.complexfloating]]

GSM_SYMBOL_RATE_HZ = 1_625_000 / 6
OFDM_CARRIERS = 64
OFDM_PREFIX = 16
ROLL_OFF = 0.35
KINDS = ("cw", "gsm", "ofdm", "bpsk", "qpsk")


@IMPAIRMENTS.register("interferer")
@dataclass(frozen=True)
class Interferer(ImpairmentBase):
    """y = x + another signal, of constant envelope or mean power 10^(level_db/10) while it sends.

    `kind`: "cw", a carrier. "gsm", GMSK (BT = 0.3) of 270.833 ksymbol/s, or of a quarter of the sample rate where that
    is less, in bursts of 148 symbols every 156.25, in the first `active_slots` (1 … 8) of 8 time slots. "ofdm", 64
    carriers of QPSK without pause, cyclic prefix of a quarter, occupying sample rate / samples_per_symbol. "bpsk",
    "qpsk": a transmitter with root-raised-cosine pulses, roll-off 0.35, of sample rate / samples_per_symbol symbols/s.
    `level_db`: −200 … 100 dB; `relative_to` "signal" (a mean power of 1) or "noise" (the power over the whole sampled
    band of the channel's additive noise, which must then exist).
    `offset_hz`: its carrier, within half the sample rate. `samples_per_symbol`: 2 … 64, for ofdm, bpsk and qpsk.
    Phase and (gsm) timing are random; every kind has random numbers of its own.
    """

    name: ClassVar[str] = "interferer"
    kind: str
    level_db: float
    offset_hz: float = 0.0
    relative_to: str = "signal"
    samples_per_symbol: int = 4
    active_slots: int = 8

    def __post_init__(self) -> None:
        self._check_choice("kind", KINDS)
        self._check("level_db", -LEVEL_LIMIT_DB, 100.0, "dB")
        self._check("offset_hz", -FREQUENCY_LIMIT_HZ, FREQUENCY_LIMIT_HZ, "Hz")
        self._check_choice("relative_to", ("signal", "noise"))
        self._check_integer("samples_per_symbol", 2, 64)
        self._check_integer("active_slots", 1, 8)

    @property
    def stream_key(self) -> str:
        """See `Impairment.stream_key`."""
        return f"{self.name}.{self.kind}"

    def open(self, context: StreamContext) -> Stage:
        """See `Impairment.open`."""
        if abs(self.offset_hz) > context.sample_rate_hz / 2.0:
            raise ConfigurationError(
                f"offset_hz of the interferer must lie within half the sample rate of {context.sample_rate_hz:g} Hz, "
                f"got {self.offset_hz:g}"
            )
        reference = 1.0
        if self.relative_to == "noise":
            if context.noise_power is None:
                raise ConfigurationError("an interferer relative to the noise needs additive noise in the channel")
            reference = context.noise_power
        rng = context.rng()
        scale = amplitude(self.level_db) * math.sqrt(reference) * unit_phasor(float(rng.uniform(0.0, 360.0)))
        frequency = Fraction(self.offset_hz) / Fraction(context.sample_rate_hz)
        waveform = self._waveform(context.sample_rate_hz, rng)

        def block(index: int) -> Samples:
            wave = waveform(index)
            if frequency:
                wave = wave * chirp(frequency, Fraction(0), index * wave.size, wave.size)
            return (scale * wave).astype(np.complex64)

        return AddStage(block)

    def _waveform(self, sample_rate_hz: float, rng: np.random.Generator) -> Waveform:
        if self.kind == "gsm":
            return _Gsm(sample_rate_hz, self.active_slots, rng).block
        if self.kind == "ofdm":
            return lambda index: _ofdm_block(self.samples_per_symbol, rng)
        if self.kind in ("bpsk", "qpsk"):
            return _LinearModulation(self.kind, self.samples_per_symbol, rng).block
        carrier = np.ones(BLOCK, np.complex64)
        return lambda index: carrier


def _ofdm_block(oversampling: int, rng: np.random.Generator) -> npt.NDArray[np.complex128]:
    """Return 64 OFDM symbols of mean power 1. Whole oversampling: a zero-padded inverse FFT interpolates exactly."""
    size, symbols = OFDM_CARRIERS * oversampling, 64
    bits = rng.integers(0, 2, 2 * symbols * OFDM_CARRIERS, dtype=np.uint8)
    values = MODULATIONS["qpsk"].modulate(bits).reshape(symbols, OFDM_CARRIERS)
    bins = np.zeros((symbols, size), np.complex128)
    bins[:, np.arange(-OFDM_CARRIERS // 2, OFDM_CARRIERS // 2)] = values
    wave = np.fft.ifft(bins, axis=1) * (size / math.sqrt(OFDM_CARRIERS))
    return np.concatenate([wave[:, size - OFDM_PREFIX * oversampling :], wave], axis=1).reshape(-1)


class _LinearModulation:
    """Random symbols through root-raised-cosine pulses that reach `SPAN`/2 symbols to either side."""

    SPAN = 16
    SYMBOLS = 4096

    def __init__(self, modulation: str, samples_per_symbol: int, rng: np.random.Generator) -> None:
        # Imported here because the waveform package itself imports this one.
        from semcom_phy.waveform.pulse import rrc_pulse

        self._modulation, self._rng = MODULATIONS[modulation], rng
        self._bits_per_symbol = 1 if modulation == "bpsk" else 2
        # Sample p of a symbol interval lies p/sps behind symbol SPAN/2 of the SPAN + 1 around it.
        symbol = np.arange(self.SPAN + 1)[:, None] - self.SPAN // 2
        pulse = rrc_pulse(np.arange(samples_per_symbol) / samples_per_symbol - symbol, ROLL_OFF)
        self._pulse = pulse / math.sqrt(float(np.sum(pulse**2)) / samples_per_symbol)
        self._last = self._draw(self.SPAN)

    def _draw(self, count: int) -> npt.NDArray[np.complex128]:
        bits = self._rng.integers(0, 2, count * self._bits_per_symbol, dtype=np.uint8)
        return self._modulation.modulate(bits).astype(np.complex128)

    def block(self, index: int) -> npt.NDArray[np.complex128]:
        """Return the samples of the next 4096 symbols, mean power 1."""
        symbols = np.concatenate([self._last, self._draw(self.SYMBOLS)])
        self._last = symbols[-self.SPAN :]
        windows = np.lib.stride_tricks.sliding_window_view(symbols, self.SPAN + 1)
        shaped = np.asarray(windows @ self._pulse, np.complex128)
        return shaped.reshape(-1)


class _Gsm:
    """GMSK bursts at a symbol rate that need not divide the sample rate (3GPP TS 45.004 §2, TS 45.002 §5.2)."""

    SLOT = Fraction(625, 4)
    SENDING = 148
    RAMP = 2.0
    SPAN = 4
    """Symbols that the frequency pulse lasts."""

    def __init__(self, sample_rate_hz: float, active_slots: int, rng: np.random.Generator) -> None:
        self._rng, self._active = rng, active_slots
        self._step = Fraction(min(GSM_SYMBOL_RATE_HZ, sample_rate_hz / 4.0)) / Fraction(sample_rate_hz)
        self._start = Fraction(float(rng.uniform(0.0, 8.0 * float(self.SLOT))))
        self._resolution = 256
        self._phase_pulse = gmsk_phase_pulse(0.3, self.SPAN, self._resolution)
        # _symbols[0] is symbol number _first; _before is the sum of all symbols in front of it, modulo a turn.
        self._first = math.floor(self._start) - self.SPAN
        self._symbols = np.empty(0, np.int64)
        self._before = 0

    def block(self, index: int) -> Samples:
        """Return the next BLOCK samples: amplitude 1 within a burst."""
        start = self._start + self._step * (index * BLOCK)
        base = math.floor(start)
        elapsed = float(self._step) * np.arange(BLOCK, dtype=np.float64)
        offset = float(start - base) + elapsed
        whole = np.floor(offset).astype(np.int64)
        self._forget(base - self.SPAN)
        self._draw(base + int(whole[-1]) + 1 - self._first)

        # Symbol k turns the phase by 90° while the time runs from k to k + SPAN.
        newest = whole + (base - self._first)
        settled = self._before + np.concatenate([[0], np.cumsum(self._symbols)])
        turned = settled[newest - self.SPAN + 1].astype(np.float64)
        grid = np.arange(self._phase_pulse.size) / self._resolution
        for age in range(self.SPAN):
            turned += self._symbols[newest - age] * np.interp(offset - whole + age, grid, self._phase_pulse)
        return phasors(0.5 * np.pi * turned) * self._envelope(start, elapsed)

    def _envelope(self, start: Fraction, elapsed: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        in_frame = (float(start % (8 * self.SLOT)) + elapsed) % float(8 * self.SLOT)
        slot, within = np.divmod(in_frame, float(self.SLOT))
        up = np.clip(within / self.RAMP, 0.0, 1.0)
        down = np.clip((2.0 * self.RAMP + self.SENDING - within) / self.RAMP, 0.0, 1.0)
        ramp = np.sin(0.5 * np.pi * np.minimum(up, down)) ** 2
        return np.where(slot < self._active, ramp, 0.0).astype(np.float32)

    def _forget(self, number: int) -> None:
        drop = min(number - self._first, self._symbols.size)
        if drop > 0:
            self._before = (self._before + int(self._symbols[:drop].sum())) % 4
            self._symbols = self._symbols[drop:]
            self._first += drop

    def _draw(self, count: int) -> None:
        fresh = 2 * self._rng.integers(0, 2, max(count - self._symbols.size, 0)) - 1
        self._symbols = np.concatenate([self._symbols, fresh])


def gmsk_phase_pulse(bandwidth_time: float, span: int, resolution: int) -> npt.NDArray[np.float64]:
    """Return q(t) from 0 at t = 0 to 1 at t = `span` symbols, in steps of 1/resolution: float64, span·resolution + 1.

    q is the integral of a rectangle of one symbol under a Gaussian filter of 3 dB bandwidth BT, cut to `span` symbols.
    """
    fine = 16
    t = (np.arange(span * resolution * fine) + 0.5) / (resolution * fine) - span / 2.0
    width = math.sqrt(math.log(2.0)) / (2.0 * math.pi * bandwidth_time) * math.sqrt(2.0)
    pulse = np.array([math.erf((x + 0.5) / width) - math.erf((x - 0.5) / width) for x in t])
    area = np.concatenate([[0.0], np.cumsum(pulse)])[::fine]
    return np.asarray(area / area[-1])
