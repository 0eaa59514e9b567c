"""Following gain and phase through a burst: Wiener interpolation between blocks of known symbols.

The gain is taken for a stationary Gaussian process. How fast it changes is not known in advance: a constant,
band-limited processes of several bandwidths (fading) and processes with exponential correlation (phase noise,
whose phase walks at random) are tried, and the one under which the observations are most probable is used. In a
static channel this smooths over the whole burst, in a fast one over a few blocks: a noisy burst is neither
followed too closely nor a fading one too slowly.

Long bursts are tracked in windows. Where interference hits a part of a burst, that part is trusted less.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh

from semcom_phy.waveform.layout import DATA_BLOCK, PILOT_BLOCK
from semcom_phy.waveform.synchronizer import KnownSymbols, residual_frequency

FloatArray = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

#: Kinds of processes: ("band", largest frequency in cycles per symbol) and ("walk", coherence time in symbols).
PROCESSES: Final = (
    ("band", 0.0),
    ("band", 2e-5),
    ("band", 6e-5),
    ("band", 2e-4),
    ("band", 6e-4),
    ("band", 1.2e-3),
    ("band", 2.5e-3),
    ("walk", 3e5),
    ("walk", 3e4),
    ("walk", 3e3),
)
_KNOT_SPACING: Final = 16
_NEGLIGIBLE: Final = 1e-7
_WINDOW_BLOCKS: Final = 256
_WINDOW_OVERLAP: Final = 64
_FEWEST_BLOCKS: Final = 16
_MEDIAN_OF_SCATTER: Final = 0.953
"""Median of a χ² variable with 14 degrees of freedom over its mean."""

_UNEVEN: Final = 1.5


@dataclass(frozen=True)
class GainTrack:
    """Gain and its uncertainty at every symbol: complex128 and float64 (total,); `process` that explained it best."""

    gain: ComplexArray
    variance: FloatArray
    process: tuple[str, float]


@dataclass(frozen=True)
class _Basis:
    """Karhunen-Loève basis of one process over the observations, unit power: `modes` (blocks, rank) orthonormal,
    `powers` (rank,), `knots` (knots, rank) covariance of the gain at the knots with each mode."""

    modes: FloatArray
    powers: FloatArray
    knots: npt.NDArray[np.float32]


def _correlation(process: tuple[str, float], lag: FloatArray) -> FloatArray:
    kind, parameter = process
    return np.asarray(np.sinc(2.0 * parameter * lag) if kind == "band" else np.exp(-np.abs(lag) / parameter))


def _knots(total: int) -> FloatArray:
    return np.append(np.arange(0.0, total - 1, _KNOT_SPACING), total - 1.0)


@lru_cache(maxsize=6 * len(PROCESSES))
def _basis(process: tuple[str, float], centres: bytes, weights: bytes, total: int) -> _Basis:
    times = np.frombuffer(centres)
    root = np.sqrt(np.frombuffer(weights))
    covariance = root[:, None] * _correlation(process, times[:, None] - times) * root
    if process == ("band", 0.0):
        modes, powers = root[:, None] / np.linalg.norm(root), np.array([root @ root])
    else:
        # Not numpy's divide and conquer, which fails to converge for one such matrix in a few thousand.
        powers, modes = eigh(covariance, driver="evr")
        kept = powers > _NEGLIGIBLE * powers[-1]
        modes, powers = modes[:, kept], powers[kept]
    knots = _correlation(process, _knots(total)[:, None] - times) * root
    return _Basis(modes, powers, (knots @ modes).astype(np.float32))


def track_gain(
    observed: ComplexArray, weights: npt.NDArray, centres: FloatArray, noise_variance: float, total: int
) -> GainTrack:
    """Estimate the gain of symbols 0 … total−1 from observations of it.

    `observed` (blocks,): mean gain over each block, with noise of variance noise_variance/weights. `weights`: known
    symbols in each block, or less for a block with more noise. `centres`: where the blocks are, in symbols.
    """
    root = np.sqrt(weights)
    whitened = root * observed
    energy = float(np.sum(np.abs(whitened) ** 2))
    noise = max(noise_variance, 1e-9 * energy / whitened.size, 1e-300)
    power = max(energy - whitened.size * noise, 0.01 * energy) / float(np.sum(weights))
    key = (
        np.ascontiguousarray(centres, np.float64).tobytes(),
        np.ascontiguousarray(weights, np.float64).tobytes(),
        total,
    )
    best: tuple[float, tuple[str, float], _Basis, ComplexArray] | None = None
    for process in PROCESSES:
        basis = _basis(process, key[0], key[1], total)
        amplitudes = basis.modes.T @ whitened
        variance = power * basis.powers + noise
        squares = np.abs(amplitudes) ** 2
        likelihood = -float(
            np.sum(np.log(variance / noise)) + np.sum(squares / variance) + (energy - np.sum(squares)) / noise
        )
        if best is None or likelihood > best[0]:
            best = (likelihood, process, basis, amplitudes)
    assert best is not None  # PROCESSES is not empty
    _, process, basis, amplitudes = best
    shrinkage = power / (power * basis.powers + noise)
    weights = shrinkage * amplitudes
    gain = basis.knots @ weights.real + 1j * (basis.knots @ weights.imag)
    uncertainty = power * (1.0 - np.clip((basis.knots**2) @ shrinkage, 0.0, 1.0))
    knots, symbols = _knots(total), np.arange(float(total))
    interpolated = np.interp(symbols, knots, gain.real) + 1j * np.interp(symbols, knots, gain.imag)
    return GainTrack(interpolated, np.interp(symbols, knots, uncertainty), process)


@dataclass(frozen=True)
class TrackedBurst:
    """Gain of every symbol and its uncertainty; the process that explains it; variance of noise and interference, the
    mean and that of every symbol; the frequency offset that was left, cycles per symbol (contained in the gain)."""

    gain: ComplexArray
    variance: FloatArray
    process: tuple[str, float]
    noise: float
    noise_profile: FloatArray
    rotation: float

    @property
    def esn0(self) -> float:
        """Mean energy of a symbol over the mean noise."""
        return float(np.mean(np.abs(self.gain) ** 2)) / max(self.noise, 1e-300)


def track_burst(received: ComplexArray, known: KnownSymbols, total: int) -> TrackedBurst:
    """Follow the gain of symbols 0 … total−1 by those that are known."""
    noise = known.noise_variance(received[known.positions])
    even = _follow(received, known, total, noise, known.counts.astype(np.float64))
    profile = _noise_profile(received, known, even.gain, noise)
    if profile is None:
        return even
    # Once more, with less trust in what was observed under interference.
    usual = float(np.min(profile))
    trust = usual / profile[np.round(known.centres).astype(np.int64)]
    return replace(_follow(received, known, total, usual, known.counts * trust), noise=noise, noise_profile=profile)


def _follow(received: ComplexArray, known: KnownSymbols, total: int, noise: float, weights: FloatArray) -> TrackedBurst:
    """Track the gain, window by window; block b of the known symbols has noise of variance noise/weights[b]."""
    observed, centres = known.correlate(received[known.positions]), known.centres
    gain, variance = np.empty(total, np.complex128), np.empty(total)
    rotations, process = [], ("band", 0.0)
    for window in _windows(centres, total):
        # Times count from the window's start: windows of equal layout share what the tracker has worked out.
        origin, stop = window.symbols
        times, shares = centres[window.blocks] - origin, weights[window.blocks]
        rotation = residual_frequency(observed[window.blocks], shares, times)
        still = observed[window.blocks] * np.exp(-2j * np.pi * rotation * times)
        track = track_gain(still, shares, times, noise, stop - origin)
        turning = np.exp(2j * np.pi * rotation * np.arange(stop - origin))
        used = slice(window.use - origin, None)
        gain[window.use : stop] = (track.gain * turning)[used]
        variance[window.use : stop] = track.variance[used]
        rotations.append(rotation)
        process = track.process
    return TrackedBurst(gain, variance, process, noise, np.full(total, noise), float(np.mean(rotations)))


def _noise_profile(received: ComplexArray, known: KnownSymbols, gain: ComplexArray, noise: float) -> FloatArray | None:
    """Noise and interference at every symbol, None where they are even: then it is `noise` throughout.

    Half of the pilot blocks see no more than the median: a mean far above it tells of interference for a part of the
    time. Then the noise of each stretch follows from its energy, beyond what signal and median explain.
    """
    pilots_only = known.counts == PILOT_BLOCK
    if np.count_nonzero(pilots_only) < _FEWEST_BLOCKS:
        return None
    at_known = received[known.positions] * np.conj(known.values)
    deviation = np.abs(at_known - np.repeat(known.correlate(received[known.positions]), known.counts)) ** 2
    scatter = np.add.reduceat(deviation, known.starts)[pilots_only] / (PILOT_BLOCK - 1)
    usual = float(np.median(scatter)) / _MEDIAN_OF_SCATTER
    if noise < _UNEVEN * usual:
        return None
    edges = np.arange(0, received.size, DATA_BLOCK + PILOT_BLOCK)
    lengths = np.diff(np.append(edges, received.size))
    energy = np.add.reduceat(np.abs(received) ** 2, edges) / lengths
    signal = np.add.reduceat(np.abs(gain) ** 2, edges) / lengths
    # Four standard deviations of the mean energy of noise, of signal times noise, and of 16-QAM symbols.
    tolerance = 4.0 * np.sqrt((usual**2 + 2.0 * usual * signal + 0.32 * signal**2) / lengths)
    excess = np.maximum(energy - signal - usual - tolerance, 0.0)
    excess[excess > 0] += tolerance[excess > 0]
    return np.repeat(usual + excess, lengths)


@dataclass(frozen=True)
class _Window:
    """A stretch of a burst that is tracked at a time: its blocks of known symbols, its first symbol and the one behind
    its last, and the first symbol for which it replaces what the window before it said."""

    blocks: slice
    symbols: tuple[int, int]
    use: int


def _windows(centres: FloatArray, total: int) -> list[_Window]:
    """One window for usual bursts; long ones are cut, so that the effort grows in proportion to the length only."""
    count = centres.size
    if count <= _WINDOW_BLOCKS:
        return [_Window(slice(0, count), (0, total), 0)]
    windows = []
    starts = range(0, count - _WINDOW_OVERLAP, _WINDOW_BLOCKS - _WINDOW_OVERLAP)
    for start in starts:
        stop = min(start + _WINDOW_BLOCKS, count)
        origin = int(centres[start]) if start else 0
        end = total if stop == count else int(centres[stop - 1])
        use = int(centres[start + _WINDOW_OVERLAP // 2]) if start else 0
        windows.append(_Window(slice(start, stop), (origin, end), use))
    return windows
