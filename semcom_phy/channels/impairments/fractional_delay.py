"""Interpolation between samples: a sinc under a Kaiser window, 32 taps.

With the images of a signal within 0.8 of the Nyquist frequency starting at 1.2 of it, the transition band is 0.4 of the
Nyquist frequency wide, and 32 taps allow a window of about 95 dB (β = 9.5). The rows of the table are 1/512
sample apart; linear interpolation between them errs by at most (0.8·π/512)²/8 = 3e-6 (−110 dB).
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

TAPS = 32
BEFORE = TAPS // 2 - 1
"""Samples that the interpolation needs before the one at or left of the position."""
AFTER = TAPS // 2
"""Samples that it needs behind it."""
PHASES = 512
_KAISER_BETA = 9.5


def interpolation_taps(fraction: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the taps for a position `fraction` (…) in [0, 1] behind a sample: float64 (…, 32).

    ``x(i + fraction) = Σ_k taps[k]·x[i − BEFORE + k]``. A fraction of 0 or 1 gives a single one.
    """
    distance = np.arange(-BEFORE, AFTER + 1) - np.asarray(fraction, np.float64)[..., None]
    window = np.i0(_KAISER_BETA * np.sqrt(np.clip(1.0 - (distance / (TAPS // 2)) ** 2, 0.0, None)))
    taps = np.sinc(distance) * window
    taps[np.abs(taps) < 1e-12] = 0.0
    # No ripple at DC: the taps of every fraction add up to one.
    return np.asarray(taps / taps.sum(axis=-1, keepdims=True))


@functools.cache
def interpolation_table() -> npt.NDArray[np.float32]:
    """Return the taps for the fractions 0, 1/512 … 1: float32 (513, 32)."""
    table = interpolation_taps(np.arange(PHASES + 1) / PHASES).astype(np.float32)
    table.flags.writeable = False
    return table
