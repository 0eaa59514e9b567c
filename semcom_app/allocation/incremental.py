"""Incremental allocation: each bit goes where it saves most (Fox's marginal analysis; Section III-B)."""

from __future__ import annotations

import numpy as np

from semcom_app.allocation.base import ALLOCATORS, AllocationProblem, BitArray, FloatArray
from semcom_app.allocation.distortion import Distortion, ErrorFreeBound, require_convex
from semcom_app.allocation.selection import smallest_of_largest


def incremental(
    weights: FloatArray, total: BitArray, minimum: int, maximum: int, distortion: Distortion | None = None
) -> BitArray:
    """Solve P1 (eqs. 9 to 11), or P3 (eqs. 22 to 24) with a distortion under bit errors, exactly in O(N·M_max).

    For a convex distortion the gains w_i(D(m) − D(m+1)) of a patch fall with m, so the greedy algorithm ends with the
    largest of all N·(M_max − M_min) gains, in whatever order it took them: here they are found by partition. Equal
    gains go to the patch of the lower number, as in the greedy algorithm.

    weights: float64 (B, N), positive. total: int64 (B,), Σ M_i. Returns int64 (B, N) with exactly these sums. Raises
    ConfigurationError when the distortion is not convex on the integers minimum … maximum.
    """
    distortion = distortion or ErrorFreeBound()
    require_convex(distortion, minimum, maximum)
    images, patches = weights.shape
    counts = total - patches * minimum
    # Level before patch: long contiguous rows are what NumPy is fast on.
    gains = distortion.gain(np.arange(minimum, maximum))[None, :, None] * weights[:, None, :]
    smallest = smallest_of_largest(gains.reshape(images, -1), counts)
    bits = minimum + np.count_nonzero(gains >= smallest[:, None, None], axis=1)
    excess = bits.sum(axis=1) - total
    for row in np.flatnonzero(excess):  # more gains equal to the smallest than are wanted: the last patches go without
        equal = np.count_nonzero(gains[row] == smallest[row], axis=0)
        kept = np.cumsum(equal) - equal
        bits[row] -= equal - np.clip(equal.sum() - excess[row] - kept, 0, equal)
    return bits


def incremental_greedy(
    weights: FloatArray, total: BitArray, minimum: int, maximum: int, distortion: Distortion | None = None
) -> BitArray:
    """Same as `incremental` as the paper words it: one bit after the other, O(N) each; the reference in tests."""
    distortion = distortion or ErrorFreeBound()
    require_convex(distortion, minimum, maximum)
    images, patches = weights.shape
    # The last entry stands for a patch that is full: no gain.
    gain_of_level = np.append(distortion.gain(np.arange(minimum, maximum)), 0.0)
    bits = np.full((images, patches), minimum, np.int64)
    gains = weights * gain_of_level[0]
    left = total - patches * minimum
    rows = np.flatnonzero(left > 0)
    while rows.size:
        best = np.argmax(gains[rows], axis=1)
        bits[rows, best] += 1
        gains[rows, best] = weights[rows, best] * gain_of_level[bits[rows, best] - minimum]
        left[rows] -= 1
        rows = rows[left[rows] > 0]
    return bits


@ALLOCATORS.register("ia")
def _ia(problem: AllocationProblem) -> BitArray:
    config = problem.config
    return incremental(problem.weights, problem.budget, config.minimum, config.maximum)


@ALLOCATORS.register("ia-greedy")
def _ia_greedy(problem: AllocationProblem) -> BitArray:
    config = problem.config
    return incremental_greedy(problem.weights, problem.budget, config.minimum, config.maximum)
