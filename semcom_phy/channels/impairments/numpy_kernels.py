"""The inner loops of the impairments in NumPy: the reference, and what runs where numba is not installed.

Complex products are written out and sums over taps run tap by tap: real operations on whole arrays give each sample
the same bits wherever it stands, which NumPy's own complex product and inner product do not promise.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.complex64]
Floats = npt.NDArray[np.float32]


def multiply(a: Samples, b: Samples) -> Samples:
    """Return a·b, element by element; complex64 (n,)."""
    out = np.empty(a.size, np.complex64)
    out.real = a.real * b.real - a.imag * b.imag
    out.imag = a.real * b.imag + a.imag * b.real
    return out


def linear_map(x: Samples, matrix: Floats) -> Samples:
    """Return (I', Q') = matrix · (I, Q) of each sample; `matrix` float32 (2, 2)."""
    out = np.empty(x.size, np.complex64)
    out.real = matrix[0, 0] * x.real + matrix[0, 1] * x.imag
    out.imag = matrix[1, 0] * x.real + matrix[1, 1] * x.imag
    return out


def quantize(x: Samples, step: float, top: float) -> Samples:
    """Return the middle of the step in which I and Q lie, within ±(`top` − ½)·`step`; `top` = 2^(bits−1)."""
    rails = np.floor(x.view(np.float32).astype(np.float64) / step)
    return np.asarray(((np.clip(rails, -top, top - 1.0) + 0.5) * step).astype(np.float32).view(np.complex64))


def fir(x: Samples, first: int, taps: Floats, count: int) -> Samples:
    """Return y[n] = Σ_k taps[k]·x[first + n + k] for n = 0 … count−1; all x that it names must exist."""
    source = x.view(np.float32)
    sums = np.zeros(2 * count, np.float32)
    for k, tap in enumerate(taps):
        sums += tap * source[2 * (first + k) : 2 * (first + k + count)]
    return sums.view(np.complex64)


def resample(
    x: Samples, base: int, fraction: float, step: float, begin: int, end: int, table: Floats, out: Samples
) -> int:
    """Interpolate x at the positions ``base + fraction + l·step`` for l = begin … end−1, as far as x reaches.

    `table` float32 (phases + 1, taps) holds the taps for the fractions 0, 1/phases … 1; the taps for a fraction
    between two rows are interpolated linearly. Tap k belongs to x[floor(position) + k]. Writes to `out` and returns
    how many samples it wrote.
    """
    phases, taps = table.shape[0] - 1, table.shape[1]
    position = fraction + np.arange(begin, end) * step
    whole = np.floor(position)
    start = base + whole.astype(np.int64)
    count = int(np.searchsorted(start, x.size - taps, side="right"))
    if count == 0:
        return 0
    row = (position - whole)[:count] * phases
    lower = np.minimum(row.astype(np.int64), phases - 1)
    weight = (row - lower).astype(np.float32)
    real, imag = np.zeros(count, np.float32), np.zeros(count, np.float32)
    for k in range(taps):
        tap = table[lower, k] + weight * (table[lower + 1, k] - table[lower, k])
        value = x[start[:count] + k]
        real += tap * value.real
        imag += tap * value.imag
    out[:count].real, out[:count].imag = real, imag
    return count


def interpolate_gain(grid: npt.NDArray[np.complex128], spacing: int) -> Samples:
    """Interpolate a slow gain linearly: `grid` (g + 1,) holds every `spacing`-th value; complex64 (g·spacing,)."""
    rise = np.diff(grid)[:, None] / spacing
    return np.asarray((grid[:-1, None] + np.arange(spacing) * rise).astype(np.complex64).reshape(-1))


def first_order_section(
    x: npt.NDArray[np.float64], gain: float, zero: float, pole: float, state: npt.NDArray[np.float64]
) -> None:
    """Filter x in place by gain·(1 − zero·z⁻¹)/(1 − pole·z⁻¹); `state` (2,) keeps the last input and output."""
    from scipy.signal import lfilter

    last_in = x[-1]
    x[:], _ = lfilter([gain, -gain * zero], [1.0, -pole], x, zi=[pole * state[1] - gain * zero * state[0]])
    state[0], state[1] = last_in, x[-1]
