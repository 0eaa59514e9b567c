"""Numba kernels of the impairments; each has a NumPy twin of the same name in `numpy_kernels`, which documents it.

Import through `kernels.active`. Each output is computed by the same operations in the same order wherever it stands
in its array, so that the cut of a stream into chunks does not show even in the last bit. Arguments that are only
read are declared so: read-only arrays fit too, and each kernel is compiled once.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import complex64, complex128, float32, float64, int64, types

from semcom_phy.accel import compiled

_REORDER = {"reassoc", "contract", "nsz"}  # let the sums over taps use vector registers


def _read(element: Any, dimensions: int = 1) -> types.Array:
    return types.Array(element, dimensions, "C", readonly=True)


def _write(element: Any, dimensions: int = 1) -> types.Array:
    return types.Array(element, dimensions, "C")


@compiled(_write(complex64)(_read(complex64), _read(complex64)))
def multiply(a, b):  # type: ignore[no-untyped-def]
    """See `numpy_kernels.multiply`."""
    out = np.empty(a.size, np.complex64)
    for n in range(a.size):
        x, y = a[n], b[n]
        out[n] = complex(x.real * y.real - x.imag * y.imag, x.real * y.imag + x.imag * y.real)
    return out


@compiled(_write(complex64)(_read(complex64), _read(float32, 2)))
def linear_map(x, matrix):  # type: ignore[no-untyped-def]
    """See `numpy_kernels.linear_map`."""
    out = np.empty(x.size, np.complex64)
    ii, iq, qi, qq = matrix[0, 0], matrix[0, 1], matrix[1, 0], matrix[1, 1]
    for n in range(x.size):
        real, imag = x[n].real, x[n].imag
        out[n] = complex(ii * real + iq * imag, qi * real + qq * imag)
    return out


@compiled(_write(complex64)(_read(complex64), float64, float64))
def quantize(x, step, top):  # type: ignore[no-untyped-def]
    """See `numpy_kernels.quantize`."""
    out = np.empty(x.size, np.complex64)
    for n in range(x.size):
        real = min(max(math.floor(float64(x[n].real) / step), -top), top - 1.0) + 0.5
        imag = min(max(math.floor(float64(x[n].imag) / step), -top), top - 1.0) + 0.5
        out[n] = complex(float32(real * step), float32(imag * step))
    return out


@compiled(_write(complex64)(_read(complex64), int64, _read(float32), int64))
def fir(x, first, taps, count):  # type: ignore[no-untyped-def]
    """See `numpy_kernels.fir`."""
    # Real taps treat I and Q alike: on the interleaved rails, tap by tap over pieces that stay in the first-level
    # cache, the inner loop is a plain vector operation.
    out = np.zeros(count, np.complex64)
    source, sums = x.view(np.float32), out.view(np.float32)
    for start in range(0, 2 * count, 2048):
        piece = sums[start : min(start + 2048, 2 * count)]
        for k in range(taps.size):
            tap = taps[k]
            delayed = source[2 * (first + k) + start :]
            for n in range(piece.size):
                piece[n] += tap * delayed[n]
    return out


@compiled(
    int64(_read(complex64), int64, float64, float64, int64, int64, _read(float32, 2), _write(complex64)),
    fastmath=_REORDER,
)
def resample(x, base, fraction, step, begin, end, table, out):  # type: ignore[no-untyped-def]
    """See `numpy_kernels.resample`."""
    phases, taps = table.shape[0] - 1, table.shape[1]
    written = 0
    for index in range(begin, end):
        position = fraction + index * step
        whole = math.floor(position)
        start = base + int(whole)
        if start + taps > x.size:
            break
        row = (position - whole) * phases
        lower = min(int(row), phases - 1)
        weight = float32(row - lower)
        real, imag = float32(0.0), float32(0.0)
        for k in range(taps):
            tap = table[lower, k] + weight * (table[lower + 1, k] - table[lower, k])
            value = x[start + k]
            real += tap * value.real
            imag += tap * value.imag
        out[written] = complex(real, imag)
        written += 1
    return written


@compiled(_write(complex64)(_read(complex128), int64))
def interpolate_gain(grid, spacing):  # type: ignore[no-untyped-def]
    """See `numpy_kernels.interpolate_gain`."""
    out = np.empty((grid.size - 1) * spacing, np.complex64)
    for g in range(grid.size - 1):
        rise = (grid[g + 1] - grid[g]) / spacing
        for k in range(spacing):
            out[g * spacing + k] = grid[g] + k * rise
    return out


@compiled(types.void(_write(float64), float64, float64, float64, _write(float64)))
def first_order_section(x, gain, zero, pole, state):  # type: ignore[no-untyped-def]
    """See `numpy_kernels.first_order_section`."""
    last_in, last_out = state[0], state[1]
    for n in range(x.size):
        value = gain * (x[n] - zero * last_in) + pole * last_out
        last_in, last_out = x[n], value
        x[n] = value
    state[0], state[1] = last_in, last_out
