"""The loops over samples in NumPy: what runs where numba is not installed, and the reference for the compiled ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

Complex64 = npt.NDArray[np.complex64]
Float32 = npt.NDArray[np.float32]

_GATHER = 1 << 14


def half_symbol_filter(samples: Complex64, taps: Float32, count: int) -> Float32:
    """Filter and decimate by sps, once for every phase q of `taps` (phases, length, sps).

    ``out[q, :, n] = Σ_j Σ_p taps[q, j, p] · samples[(n + j)·sps + p]`` as (re, im): float32 (phases, 2, count).
    `samples` has (count + length − 1)·sps values.
    """
    phases, length, sps = taps.shape
    windows = sliding_window_view(samples, length * sps)[: (count - 1) * sps + 1 : sps]
    out = windows @ taps.reshape(phases, -1).T.astype(np.complex64)
    return np.stack([out.real.T, out.imag.T], axis=1).astype(np.float32)


def differential_statistic(re: Float32, im: Float32, signs: Float32, count: int) -> tuple[Float32, Float32]:
    """Slide the preamble along symbols y = re + j·im and combine its segments of 8 differentially.

    With z_k[n] = Σ_m signs[8k+m]·y[n+8k+m] the result is |Σ_k z_{k−1}*[n]·z_k[n]| and the energy
    Σ_m |y[n+m] − mean|² under the preamble, its mean taken out, float32 (count,) each. `re` and `im` have
    count + signs.size − 1 values.
    """
    symbols = re + 1j * im
    total = np.zeros(count, np.complex64)
    last = np.zeros(count, np.complex64)
    for start in range(0, signs.size, 8):
        segment = np.zeros(count, np.complex64)
        for m in range(start, start + 8):
            segment += signs[m] * symbols[m : m + count]
        total += np.conj(last) * segment
        last = segment
    energy = re * re + im * im
    mean = symbols.copy()
    width = 1
    while width < signs.size:
        energy[:-width] = energy[:-width] + energy[width:]
        mean[:-width] = mean[:-width] + mean[width:]
        width *= 2
    constant = (np.abs(mean[:count]) ** 2 / signs.size).astype(np.float32)
    return np.abs(total).astype(np.float32), energy[:count] - constant


def sample_at(re: Float32, im: Float32, times: npt.NDArray[np.float64], bank: Float32) -> Complex64:
    """Matched filter's output at arbitrary times, in samples from the first: complex64 (times.size,).

    `bank` is `pulse.interpolation_bank`. Where the pulse reaches beyond the samples the result is 0.
    """
    width = bank.shape[1]
    out = np.zeros(times.size, np.complex64)
    if re.size < width:
        return out
    windows = sliding_window_view(re + 1j * im, width)
    whole = np.floor(times).astype(np.int64)
    phase = np.rint((times - whole) * (bank.shape[0] - 1)).astype(np.int64)
    first = whole - width // 2
    inside = np.flatnonzero((first >= 0) & (first < windows.shape[0]))
    for start in range(0, inside.size, _GATHER):
        part = inside[start : start + _GATHER]
        out[part] = np.einsum("ij,ij->i", windows[first[part]], bank[phase[part]])
    return out
