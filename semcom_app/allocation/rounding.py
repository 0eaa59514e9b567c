"""From real numbers of bits to whole ones that use the whole budget (the adjusting step of Section III-C)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from semcom_app.allocation.base import AdjustingOrder, BitArray, FloatArray
from semcom_app.allocation.distortion import Distortion
from semcom_app.allocation.selection import mark_largest


def round_and_adjust(
    relaxed: FloatArray, total: BitArray, importance: FloatArray, order: AdjustingOrder = "exact"
) -> BitArray:
    """Round M* to the nearest integers, then add or remove one bit per patch until Σ M_i = total.

    With δ_i = M_i* − round(M_i*), a bit is added only where δ_i > 0 and removed only where δ_i < 0. `order` says where
    first: "paper" adds in descending and removes in ascending order of `importance`; "exact" goes by δ_i itself, which
    after error-free water-filling gives the optimum of P1: patches off their limits save w_i·4^−M_i ∝ 4^δ_i by a bit.

    relaxed: float64 (B, N) with row sums `total` (B,) up to rounding errors. Returns int64 (B, N). Since no |δ_i|
    exceeds ½ there are always enough patches of the right sign.
    """
    rounded = np.rint(relaxed)
    remainder = relaxed - rounded
    bits = rounded.astype(np.int64)
    missing = total - bits.sum(axis=1)
    key = remainder if order == "exact" else importance
    # A row either misses bits or has too many: one selection serves both.
    few = (missing > 0)[:, None]
    eligible = np.where(few, remainder > 0.0, remainder < 0.0)
    chosen = mark_largest(np.where(eligible, np.where(few, key, -key), -np.inf), np.abs(missing))
    return bits + np.where(chosen, np.where(few, 1, -1), 0)


def exchange(
    bits: BitArray, weights: FloatArray, minimum: int, maximum: int, distortion: Distortion
) -> npt.NDArray[np.int64]:
    """Move single bits between patches as long as that lowers the weighted distortion; the result is optimal.

    For a sum of convex functions with a fixed sum of bits no improving move means the global optimum. bits, weights:
    (B, N). Few images need a move at all after `round_and_adjust`.
    """
    bits = bits.copy()
    # Entry m: what the m-th bit (counted from minimum) has saved; full and empty patches take no part.
    gains = distortion.gain(np.arange(minimum, maximum))
    next_gain = np.append(gains, -np.inf)
    last_gain = np.concatenate([[np.inf], gains])
    rows = np.arange(len(bits))
    while rows.size:
        level = bits[rows] - minimum
        rising = weights[rows] * next_gain[level]
        falling = weights[rows] * last_gain[level]
        receiver, giver = np.argmax(rising, axis=1), np.argmin(falling, axis=1)
        each = np.arange(rows.size)
        # A relative margin, lest equal gains are exchanged for ever.
        better = rising[each, receiver] > falling[each, giver] * (1.0 + 1e-12)
        rows, receiver, giver = rows[better], receiver[better], giver[better]
        bits[rows, receiver] += 1
        bits[rows, giver] -= 1
    return bits
