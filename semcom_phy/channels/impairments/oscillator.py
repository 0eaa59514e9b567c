"""Phasors of a linear chirp at exact phase: the numerically controlled oscillator of all frequency offsets."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.complex64]


def chirp(frequency: Fraction, drift: Fraction, start: int, count: int) -> Samples:
    """Return exp j2π(f·n + ½·d·n²) for n = start … start+count−1: complex64 (count,).

    `frequency` f in cycles per sample and `drift` d in cycles per sample², as exact fractions: the phase at `start`
    is reduced modulo one cycle in rational arithmetic, so its error does not grow with n.
    """
    phase = float((frequency * start + drift * start * start / 2) % 1)
    slope = float((frequency + drift * start + Fraction(1, 2)) % 1 - Fraction(1, 2))
    n = np.arange(count, dtype=np.float64)
    # The slope was reduced by whole cycles per sample, which changes nothing at integer n.
    return phasors(2.0 * np.pi * (phase + (slope + 0.5 * float(drift) * n) * n))


def phasors(angle: npt.NDArray[np.float64]) -> Samples:
    """Return exp j·angle, complex64."""
    out = np.empty(angle.shape, np.complex64)
    out.real = np.cos(angle)
    out.imag = np.sin(angle)
    return out
