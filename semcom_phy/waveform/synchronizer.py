"""From a detection to exact timing, carrier frequency and sampling clock, all estimated from known symbols."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from semcom_phy.waveform.detector import Detection
from semcom_phy.waveform.kernels import kernels
from semcom_phy.waveform.preamble import PREAMBLE_SYMBOLS, preamble
from semcom_phy.waveform.pulse import Waveform, interpolation_bank, raised_cosine

FloatArray = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

MAX_CLOCK_OFFSET: Final = 60e-6
"""Largest offset between the sampling clocks of the two ends that is looked for."""

_TIMING_STEP: Final = 1 / 8
_TIMING_REACH: Final = 5
_EARLY_LATE: Final = 1 / 4
_FREQUENCY_REACH: Final = 1.5 / 1024
_RESIDUAL_REACH: Final = 1e-3
_ROTATION_BLOCK: Final = 512


@dataclass(frozen=True)
class Timing:
    """When the symbols of a burst are: symbol n at `position` + n·sps·(1 + `clock_offset`) samples.

    `position` counts samples from the start of the stream; `cfo` is in cycles per symbol.
    """

    position: float
    cfo: float
    clock_offset: float = 0.0

    def times(self, symbols: npt.NDArray, samples_per_symbol: int) -> FloatArray:
        """Instants of symbols (fractions allowed), in samples from the start of the stream."""
        step = samples_per_symbol * (1.0 + self.clock_offset)
        return np.asarray(self.position + np.asarray(symbols, np.float64) * step)


def rotate(samples: npt.NDArray[np.complex64], cycles_per_sample: float, start: float) -> npt.NDArray[np.complex64]:
    """Multiply sample k by exp(−j2π·f·(start + k)): complex64 (n,)."""
    count = samples.size
    blocks = -(-count // _ROTATION_BLOCK)
    coarse = np.exp(-2j * np.pi * np.mod(cycles_per_sample * (start + _ROTATION_BLOCK * np.arange(blocks)), 1.0))
    fine = np.exp(-2j * np.pi * cycles_per_sample * np.arange(_ROTATION_BLOCK))
    phasors = coarse.astype(np.complex64)[:, None] * fine.astype(np.complex64)
    return np.asarray(samples * phasors.reshape(-1)[:count])


class BurstSampler:
    """The samples around one burst, its frequency offset taken out, behind a matched filter.

    `samples` complex64 start at index `origin` of the stream; phases refer to `timing.position`.
    """

    def __init__(self, samples: npt.NDArray[np.complex64], origin: int, timing: Timing, waveform: Waveform) -> None:
        self.waveform = waveform
        self.origin = origin
        rotated = rotate(samples, timing.cfo / waveform.samples_per_symbol, origin - timing.position)
        self._re = np.ascontiguousarray(rotated.real)
        self._im = np.ascontiguousarray(rotated.imag)

    def at(self, times: npt.ArrayLike) -> ComplexArray:
        """Matched filter's output at these instants (samples from the start of the stream); same shape."""
        wanted = np.asarray(times, np.float64) - self.origin
        out = kernels().sample_at(self._re, self._im, wanted.reshape(-1), interpolation_bank(self.waveform))
        return out.reshape(wanted.shape).astype(np.complex128)


def parabola_peak(below: float, peak: float, above: float) -> float:
    """Place of the maximum of the parabola through three equidistant values, in steps from the middle, ±½ at most."""
    curvature = below - 2.0 * peak + above
    return float(np.clip(0.5 * (below - above) / curvature, -0.5, 0.5)) if curvature < 0 else 0.0


def acquire(
    samples: npt.NDArray[np.complex64], origin: int, detection: Detection, waveform: Waveform
) -> tuple[Timing, BurstSampler]:
    """Refine a detection over the preamble: its timing, and a sampler with its frequency offset taken out.

    `samples` hold at least the preamble and a pulse length and a symbol to either side.
    """
    sps = waveform.samples_per_symbol
    index = np.arange(PREAMBLE_SYMBOLS)
    timing = Timing(detection.position, detection.cfo)
    sampler = BurstSampler(samples, origin, timing, waveform)
    offsets = np.arange(-_TIMING_REACH, _TIMING_REACH + 1) * _TIMING_STEP
    despread = sampler.at(timing.times(index + offsets[:, None], sps)) * preamble()
    power = np.abs(despread.sum(axis=1)) ** 2
    best = int(np.clip(np.argmax(power), 1, offsets.size - 2))
    shift = offsets[best] + _TIMING_STEP * parabola_peak(*power[best - 1 : best + 2])

    step = _FREQUENCY_REACH / 12
    frequencies = np.arange(-12, 13) * step
    spectrum = np.abs(np.exp(-2j * np.pi * np.outer(frequencies, index)) @ despread[best]) ** 2
    top = int(np.clip(np.argmax(spectrum), 1, frequencies.size - 2))
    cfo = timing.cfo + frequencies[top] + step * parabola_peak(*spectrum[top - 1 : top + 2])
    exact = Timing(detection.position + shift * sps, float(cfo))
    return exact, BurstSampler(samples, origin, exact, waveform)


@dataclass(frozen=True)
class KnownSymbols:
    """Symbols of a burst that the receiver knows, in blocks of neighbours.

    `positions`, `values`: (n,) in order of time; `starts`: index of the first of each block, `counts`: block
    lengths, `centres`: mean position of each block, (blocks,).
    """

    positions: npt.NDArray[np.int64]
    values: ComplexArray
    starts: npt.NDArray[np.int64]

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        return np.diff(np.append(self.starts, self.positions.size))

    @property
    def centres(self) -> FloatArray:
        return np.add.reduceat(self.positions, self.starts) / self.counts

    def correlate(self, received: ComplexArray) -> ComplexArray:
        """Mean of received·known* over each block: one noisy observation of the gain per block."""
        return np.asarray(np.add.reduceat(received * np.conj(self.values), self.starts) / self.counts)

    def noise_variance(self, received: ComplexArray) -> float:
        """What deviates from a constant gain inside the blocks: noise and interference between symbols, per symbol."""
        means = np.repeat(self.correlate(received), self.counts)
        freedom = max(self.positions.size - self.starts.size, 1)
        return float(np.sum(np.abs(received * np.conj(self.values) - means) ** 2) / freedom)


def refine_clock(sampler: BurstSampler, timing: Timing, known: KnownSymbols) -> Timing:
    """Estimate the clock offset over a whole burst, and its timing once more.

    A search over offsets finds the one at which the known symbols correlate best; early and late samples of all
    blocks then give a straight line of timing errors, by weighted least squares, twice.
    """
    sps = sampler.waveform.samples_per_symbol
    length = int(known.positions[-1]) + 1
    reach = max(1, round(MAX_CLOCK_OFFSET * length / _EARLY_LATE))
    candidates = np.arange(-reach - 1, reach + 2) * (_EARLY_LATE / length)
    power = np.empty(candidates.size)
    for number, offset in enumerate(candidates):
        received = sampler.at(replace(timing, clock_offset=float(offset)).times(known.positions, sps))
        power[number] = np.sum(known.counts * np.abs(known.correlate(received)) ** 2)
    best = int(np.clip(np.argmax(power), 1, candidates.size - 2))
    offset = candidates[best] + _EARLY_LATE / length * parabola_peak(*power[best - 1 : best + 2])
    current = replace(timing, clock_offset=float(offset))

    roll_off = sampler.waveform.roll_off
    early_late = np.array([_EARLY_LATE, _EARLY_LATE + 1e-4])
    steepness = -2e4 * float(np.diff(raised_cosine(early_late, roll_off))[0])
    centres = known.centres
    for _ in range(2):
        now = sampler.at(current.times(known.positions, sps))
        late = sampler.at(current.times(known.positions + _EARLY_LATE, sps))
        early = sampler.at(current.times(known.positions - _EARLY_LATE, sps))
        gain = known.correlate(now)
        error = np.real(np.conj(gain) * known.correlate(late - early)) / steepness
        weight = known.counts * np.abs(gain) ** 2 - known.noise_variance(now)
        # The line error = a + b·centre, weighted.
        normal = np.array(
            [
                [weight.sum(), (weight * centres).sum()],
                [(weight * centres).sum(), (weight * centres**2).sum()],
            ]
        )
        moments = np.array([(known.counts * error).sum(), (known.counts * error * centres).sum()])
        if not np.linalg.det(normal) > 1e-9 * normal[0, 0] * normal[1, 1] > 0:
            break
        shift, slope = np.linalg.solve(normal, moments)
        step = _EARLY_LATE / length
        current = Timing(
            current.position + float(np.clip(shift, -_EARLY_LATE, _EARLY_LATE)) * sps,
            current.cfo,
            float(np.clip(current.clock_offset + np.clip(slope, -step, step), -MAX_CLOCK_OFFSET, MAX_CLOCK_OFFSET)),
        )
    return current


@lru_cache(maxsize=16)
def _frequency_grid(centres: bytes, reach: float) -> tuple[FloatArray, ComplexArray]:
    """Frequencies −reach … reach, a quarter of a bin apart, and exp(−j2πft) as (frequencies, times)."""
    times = np.frombuffer(centres)
    duration = max(float(times[-1] - times[0]), 1.0)
    count = int(np.ceil(4.0 * duration * reach)) + 1
    frequencies = np.arange(-count, count + 1) / (4.0 * duration)
    return frequencies, np.exp(-2j * np.pi * np.outer(frequencies, times - times.mean()))


def residual_frequency(
    gains: ComplexArray, weights: npt.NDArray, times: FloatArray, reach: float = _RESIDUAL_REACH
) -> float:
    """Frequency, cycles per unit of `times`, at which Σ w·g·exp(−j2πft) is largest, |f| ≤ `reach`.

    For a constant gain this is the maximum-likelihood estimate of what is left of the frequency offset.
    """
    frequencies, phasors = _frequency_grid(np.ascontiguousarray(times, np.float64).tobytes(), reach)
    power = np.abs(phasors @ (weights * gains)) ** 2
    best = int(np.clip(np.argmax(power), 1, frequencies.size - 2))
    step = float(frequencies[1] - frequencies[0])
    return float(frequencies[best] + step * parabola_peak(*power[best - 1 : best + 2]))


def image_ratio(
    received: ComplexArray, known: ComplexArray, gain: ComplexArray, phase: FloatArray, noise_variance: float
) -> complex:
    """Estimate κ of samples x = u + κ·u* (IQ imbalance of the receiver), 0 where it does not stand out of the noise.

    `received`: symbols whose frequency offset was taken out; `phase` (cycles) by how much each was turned back.
    `known`: their complex values (QPSK, so that s and s* differ); `gain`: of each. By least squares over what
    gain·known leaves.
    """
    mirror = np.conj(gain * known) * np.exp(-4j * np.pi * phase)
    energy = float(np.sum(np.abs(mirror) ** 2))
    if energy <= 0.0:
        return 0j
    ratio = complex(np.vdot(mirror, received - gain * known) / energy)
    # |κ|² of noise alone is exponential with mean N0/energy: exceeded by a factor of 10 in one burst of 22000.
    return ratio if abs(ratio) ** 2 > 10.0 * noise_variance / energy else 0j
