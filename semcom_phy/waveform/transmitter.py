"""Bursts as samples: mapping, pilots, pulse shaping, ramps and level."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.signal import upfirdn

from semcom_phy.checks import checked_number
from semcom_phy.errors import ConfigurationError
from semcom_phy.modulation import MODULATIONS
from semcom_phy.waveform.burst_header import BurstHeader, encode_application_header, encode_burst_header
from semcom_phy.waveform.layout import burst_layout
from semcom_phy.waveform.preamble import PREAMBLE_SYMBOLS, pilots, preamble, scrambling_sequence
from semcom_phy.waveform.pulse import Waveform

Bits = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Burst:
    """What one burst carries: its header, the application's header (bytes) and the coded bits of one fragment.

    Raises ConfigurationError when the header announces other lengths.
    """

    header: BurstHeader
    application_header: bytes
    coded: Bits

    def __post_init__(self) -> None:
        if len(self.application_header) != self.header.header_bytes:
            raise ConfigurationError("the burst header announces another length of the application's header")
        if self.coded.shape != (self.header.fragment_bits,):
            raise ConfigurationError(
                f"the burst header announces {self.header.fragment_bits} coded bits, got an array of shape "
                f"{self.coded.shape}"
            )


@dataclass(frozen=True)
class TransmitterConfig:
    """Pulse shape and level.

    `level_dbfs`: mean power of a burst relative to a full-scale complex tone (|x| = 1), −100 … 0 dB. `peak`: no
    sample exceeds this magnitude, 1e-6 … 1; a burst that would is sent with less power. `gap_symbols`: silence
    after each burst of a train, 0 … 1e6 symbols.
    """

    waveform: Waveform = field(default_factory=Waveform)
    level_dbfs: float = -9.0
    peak: float = 0.9
    gap_symbols: int = 32

    def __post_init__(self) -> None:
        object.__setattr__(self, "level_dbfs", checked_number("level_dbfs", self.level_dbfs, -100.0, 0.0, "dB"))
        object.__setattr__(self, "peak", checked_number("peak", self.peak, 1e-6, 1.0))
        if not 0 <= self.gap_symbols <= 1_000_000:
            raise ConfigurationError(f"gap_symbols must be from 0 to 1000000, got {self.gap_symbols}")


def modulate_burst(burst: Burst) -> npt.NDArray[np.complex128]:
    """Symbols of a burst, unit energy each: complex128 (burst_symbols(data symbols),)."""
    header = burst.header
    strong = [encode_burst_header(header), encode_application_header(burst.application_header, header.header_copies)]
    split = sum(part.size for part in strong)
    layout = burst_layout(header.data_symbols)
    scheme = header.scheme
    fill = np.zeros((layout.data.size - split) * scheme.bits_per_symbol - header.fragment_bits, np.uint8)
    bits = np.concatenate([*strong, burst.coded, fill])
    bits ^= scrambling_sequence(bits.size)
    symbols = np.empty(layout.total, np.complex128)
    symbols[:PREAMBLE_SYMBOLS] = preamble()
    symbols[layout.pilots] = pilots(layout.pilots.size).reshape(layout.pilots.shape)
    symbols[layout.data] = np.concatenate([MODULATIONS["bpsk"].modulate(bits[:split]), scheme.modulate(bits[split:])])
    return symbols


def shape_pulses(symbols: npt.NDArray[np.complex128], waveform: Waveform) -> npt.NDArray[np.complex128]:
    """Filter symbols with the pulse: (N·sps + 2·span·sps − sps + 1,) samples, symbol k at index (span + k)·sps.

    A symbol of unit energy gives samples of unit energy. The pulse's tails at both ends are ramped with a
    raised cosine over half of their length.
    """
    samples = np.asarray(upfirdn(waveform.taps(), symbols, up=waveform.samples_per_symbol))
    ramp = waveform.span_symbols * waveform.samples_per_symbol // 2
    window = 0.5 - 0.5 * np.cos(np.pi * (np.arange(ramp) + 0.5) / ramp)
    samples[:ramp] *= window
    samples[samples.size - ramp :] *= window[::-1]
    return samples


class Transmitter:
    """Turns bursts into samples, complex64. Holds no state: equal bursts give equal samples."""

    def __init__(self, config: TransmitterConfig | None = None) -> None:
        self.config = config if config is not None else TransmitterConfig()

    def modulate(self, burst: Burst) -> npt.NDArray[np.complex64]:
        """Samples of one burst, without silence around it."""
        samples = shape_pulses(modulate_burst(burst), self.config.waveform)
        # Symbols have unit energy, so the burst has the mean power 1/sps.
        level = math.sqrt(10 ** (self.config.level_dbfs / 10) * self.config.waveform.samples_per_symbol)
        # A little below the peak, for complex64 rounds up as well as down.
        samples *= min(level, self.config.peak * (1 - 1e-6) / float(np.max(np.abs(samples))))
        return samples.astype(np.complex64)

    def modulate_train(self, bursts: Iterable[Burst]) -> npt.NDArray[np.complex64]:
        """Samples of several bursts, each followed by `gap_symbols` of silence."""
        gap = np.zeros(self.config.gap_symbols * self.config.waveform.samples_per_symbol, np.complex64)
        parts = [part for burst in bursts for part in (self.modulate(burst), gap)]
        return np.concatenate(parts) if parts else np.empty(0, np.complex64)
