"""One burst: from its samples and a detection to a header, soft bits and measurements. Nothing here keeps a state."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from semcom_phy.modulation import MODULATIONS
from semcom_phy.waveform.adaptive import follow_channel
from semcom_phy.waveform.burst_header import HEADER_SYMBOLS, BurstHeader, encode_burst_header
from semcom_phy.waveform.detector import Detection
from semcom_phy.waveform.equalizer import Equalizer, OneTap, choose_equalizer
from semcom_phy.waveform.layout import DATA_BLOCK, HEADER_LAYOUT, BurstLayout, burst_layout
from semcom_phy.waveform.preamble import PREAMBLE_SYMBOLS, pilots, preamble, scrambling_sequence
from semcom_phy.waveform.pulse import Waveform
from semcom_phy.waveform.synchronizer import (
    BurstSampler,
    KnownSymbols,
    Timing,
    acquire,
    image_ratio,
    refine_clock,
)
from semcom_phy.waveform.tracking import TrackedBurst, track_burst

ComplexArray = npt.NDArray[np.complex128]
FloatArray = npt.NDArray[np.float64]
Llrs = npt.NDArray[np.float32]

_PREAMBLE_BLOCK: Final = 64
_HEADER_BLOCK: Final = 60
_FEWEST_BLOCKS: Final = 8
_MUCH_NOISIER: Final = 1.4
_LOWEST_ESN0: Final = 2.0
"""At the header: below, too many decisions are wrong to learn from."""

_BPSK: Final = MODULATIONS["bpsk"]


@dataclass(frozen=True)
class DemodulatorSettings:
    """Pulse shape and the kind of equaliser (`equalizer.EQUALIZERS`)."""

    waveform: Waveform
    equalizer: str = "auto"


@dataclass(frozen=True)
class BurstSamples:
    """Samples around a burst, complex64, the first at index `origin` of the stream."""

    samples: npt.NDArray[np.complex64]
    origin: int

    def sampler(self, timing: Timing, waveform: Waveform) -> BurstSampler:
        """Matched filter with the frequency offset of `timing` taken out."""
        return BurstSampler(self.samples, self.origin, timing, waveform)


@dataclass(frozen=True)
class HeaderReading:
    """`llrs` float32 (HEADER_SYMBOLS,); `symbols`: equalised symbols from preamble to header; `timing` found."""

    timing: Timing
    llrs: Llrs
    symbols: ComplexArray


@dataclass(frozen=True)
class BodyReading:
    """What a burst said and how it arrived; the fields are explained at `receiver.ReceivedBurst`.

    `esn0` and `symbol_energy` are linear; `timing.cfo` is the mean offset over the burst. `symbols`, `gain`: complex128
    (symbols of the burst,), equalised symbols and the gain that each was demapped with.
    """

    timing: Timing
    llrs: Llrs
    application_llrs: Llrs
    esn0: float
    symbol_energy: float
    equalizer: str
    process: tuple[str, float]
    symbols: ComplexArray
    gain: ComplexArray


def demodulate_header(burst: BurstSamples, detection: Detection, settings: DemodulatorSettings) -> HeaderReading:
    """Synchronise on the preamble and demap the header behind it."""
    timing, sampler = acquire(burst.samples, burst.origin, detection, settings.waveform)
    equalizer = choose_equalizer(settings.equalizer, sampler, timing, preamble().astype(np.complex128))
    symbols = equalizer.symbols(sampler, timing, 0, HEADER_LAYOUT.total)
    tracked = track_burst(symbols, _known_symbols(HEADER_LAYOUT, None, HEADER_LAYOUT.total), HEADER_LAYOUT.total)
    data = HEADER_LAYOUT.data
    llrs = _BPSK.demap(symbols[data], tracked.gain[data], tracked.noise_profile[data] + tracked.variance[data])
    return HeaderReading(timing, _descramble(llrs, 0), symbols)


def demodulate_body(
    burst: BurstSamples, acquired: Timing, header: BurstHeader, arrived: int, settings: DemodulatorSettings
) -> BodyReading:
    """Demodulate a burst whose header is known; symbols from number `arrived` on are erasures.

    `acquired` is the timing that `demodulate_header` found.
    """
    layout = burst_layout(header.data_symbols)
    known = _known_symbols(layout, header, arrived)
    sampler = burst.sampler(acquired, settings.waveform)
    timing = refine_clock(sampler, acquired, known)

    equalizer: Equalizer = OneTap()
    symbols = equalizer.symbols(sampler, timing, 0, layout.total)
    tracked = track_burst(symbols, known, layout.total)
    symbol_energy = float(np.mean(np.abs(tracked.gain[:arrived]) ** 2))
    image = _image_ratio(symbols, layout, tracked, acquired.cfo, arrived)
    if image != 0:
        balanced = (burst.samples - image * np.conj(burst.samples)).astype(np.complex64)
        sampler = replace(burst, samples=balanced).sampler(acquired, settings.waveform)
    # All symbols up to the end of the header are known now, six times as many as the preamble has.
    beginning = known.values[: int(np.searchsorted(known.positions, HEADER_LAYOUT.total))]
    equalizer = choose_equalizer(settings.equalizer, sampler, timing, beginning, tracked.gain[: beginning.size])
    if image != 0 or equalizer != OneTap():
        symbols = equalizer.symbols(sampler, timing, 0, layout.total)
        tracked = track_burst(symbols, known, layout.total)

    name = equalizer.name
    if settings.equalizer != "one-tap" and _gets_worse(symbols, known, tracked):
        adapted = _adapt(sampler, acquired, header, known, layout)
        followed = track_burst(adapted, known, layout.total)
        if followed.esn0 > 1.1 * tracked.esn0:
            symbols, tracked, name = adapted, followed, "adaptive"

    variance = np.where(np.arange(layout.total) < arrived, tracked.noise_profile + tracked.variance, np.inf)
    strong = HEADER_SYMBOLS + header.application_symbols
    place = layout.data[HEADER_SYMBOLS:strong]
    application = _descramble(_BPSK.demap(symbols[place], tracked.gain[place], variance[place]), HEADER_SYMBOLS)
    place = layout.data[strong : strong + header.payload_symbols]
    llrs = _descramble(header.scheme.demap(symbols[place], tracked.gain[place], variance[place]), strong)
    return BodyReading(
        timing=replace(timing, cfo=timing.cfo + tracked.rotation),
        llrs=llrs[: header.fragment_bits],
        application_llrs=application.reshape(header.header_copies, -1).sum(axis=0),
        esn0=tracked.esn0,
        symbol_energy=symbol_energy,
        equalizer=name,
        process=tracked.process,
        symbols=symbols,
        gain=tracked.gain,
    )


def _gets_worse(symbols: ComplexArray, known: KnownSymbols, tracked: TrackedBurst) -> bool:
    """Whether the pilots behind the header are much noisier than preamble and header, which chose the equaliser."""
    at_known = symbols[known.positions]
    behind = int(np.searchsorted(known.positions, HEADER_LAYOUT.total))
    block = int(np.searchsorted(known.starts, behind))
    if known.starts.size - block < _FEWEST_BLOCKS:
        return False
    begin = KnownSymbols(known.positions[:behind], known.values[:behind], known.starts[:block])
    rest = KnownSymbols(known.positions[behind:], known.values[behind:], known.starts[block:] - behind)
    noise = begin.noise_variance(at_known[:behind])
    level = float(np.mean(np.abs(tracked.gain[: HEADER_LAYOUT.total]) ** 2))
    return rest.noise_variance(at_known[behind:]) > _MUCH_NOISIER * noise and level > _LOWEST_ESN0 * noise


def _adapt(
    sampler: BurstSampler, timing: Timing, header: BurstHeader, known: KnownSymbols, layout: BurstLayout
) -> ComplexArray:
    """Symbols from the decision-directed equaliser."""
    values = np.zeros(layout.total, np.complex128)
    values[known.positions] = known.values
    late = np.zeros(layout.total, np.bool_)
    late[layout.data[HEADER_SYMBOLS + header.application_symbols :]] = True
    return follow_channel(sampler, timing, values, late, (_BPSK, header.scheme))


def _image_ratio(
    symbols: ComplexArray, layout: BurstLayout, tracked: TrackedBurst, cfo: float, arrived: int
) -> complex:
    """Mirror image that the receiver's IQ imbalance adds, from the pilots; `cfo` is what the sampler took out."""
    place = layout.pilots.reshape(-1)
    place = place[place < arrived]
    return image_ratio(
        symbols[place],
        pilots(layout.pilots.size)[: place.size],
        tracked.gain[place],
        np.float64(cfo) * place,
        tracked.noise,
    )


def _known_symbols(layout: BurstLayout, header: BurstHeader | None, arrived: int) -> KnownSymbols:
    """Preamble, pilots and, once it is decoded, the header, in order, as far as they have arrived."""
    positions = [np.arange(PREAMBLE_SYMBOLS), layout.pilots.reshape(-1)]
    values = [preamble(), pilots(layout.pilots.size)]
    starts = [np.arange(0, PREAMBLE_SYMBOLS, _PREAMBLE_BLOCK), layout.pilots[:, 0]]
    if header is not None:
        data = layout.data[:HEADER_SYMBOLS]
        bits = encode_burst_header(header) ^ scrambling_sequence(HEADER_SYMBOLS)
        positions.append(data)
        values.append(2.0 * bits - 1.0)
        starts.append(data[: HEADER_SYMBOLS // DATA_BLOCK * DATA_BLOCK : _HEADER_BLOCK])
    order = np.argsort(np.concatenate(positions), kind="stable")
    place = np.concatenate(positions)[order]
    value = np.concatenate(values)[order]
    kept = max(int(np.searchsorted(place, arrived)), _PREAMBLE_BLOCK)
    place, value = place[:kept], value[:kept]
    first = np.searchsorted(place, np.sort(np.concatenate(starts)))
    return KnownSymbols(place, value, first[first < kept])


def _descramble(llrs: npt.NDArray[np.float32], start: int) -> npt.NDArray[np.float32]:
    """Undo the scrambling of bits start, start + 1, … behind the preamble."""
    sequence = scrambling_sequence(start + llrs.size)[start:]
    return llrs * (1.0 - 2.0 * sequence).astype(np.float32)
