"""Water-filling: real numbers of bits in closed form, then rounding (Section III-C)."""

from __future__ import annotations

import math

import numpy as np

from semcom_app.allocation.base import ALLOCATORS, AllocationProblem, BitArray, FloatArray, Solver
from semcom_app.allocation.rounding import round_and_adjust

_BISECTIONS = 60


def water_filling(
    weights: FloatArray, total: BitArray, minimum: int, maximum: int, solver: Solver = "fast"
) -> FloatArray:
    """Solve the relaxed problem P2 (eqs. 13 to 15): M_i* = log2 Q_i* for real Q_i.

    Theorem 1 (eqs. 16, 17) says Q_i* = clip(R·√(ln2·w_i/(2λ)), 2^M_min, 2^M_max), that is
    M_i* = clip(θ + ½·log2 w_i, M_min, M_max) with the one level θ at which Σ M_i* = total.

    solver: "fast" finds θ exactly: Σ M_i* is piecewise linear in θ with 2N breakpoints; binary search over the sorted
    ones, then interpolation. "bisection" halves an interval of θ = ½·log2(ln2·R²/(2λ)), as the paper does with λ.

    weights: float64 (B, N), positive. total: (B,). Returns float64 (B, N) with these sums.
    """
    height = 0.5 * np.log2(weights)
    find = _level_from_breakpoints if solver == "fast" else _level_by_bisection
    level = find(height, total.astype(np.float64), minimum, maximum)
    return np.clip(level[:, None] + height, minimum, maximum)


def _used(level: FloatArray, height: FloatArray, minimum: int, maximum: int) -> FloatArray:
    return np.clip(level[:, None] + height, minimum, maximum).sum(axis=1)


def _level_from_breakpoints(height: FloatArray, total: FloatArray, minimum: int, maximum: int) -> FloatArray:
    breakpoints = np.sort(np.concatenate([minimum - height, maximum - height], axis=1), axis=1)
    rows = np.arange(len(height))
    # First breakpoint at which the budget is used up: below the first one all patches have the minimum.
    before, at = np.zeros(len(height), np.int64), np.full(len(height), breakpoints.shape[1] - 1)
    for _ in range(math.ceil(math.log2(breakpoints.shape[1]))):
        middle = (before + at) // 2
        enough = _used(breakpoints[rows, middle], height, minimum, maximum) >= total
        at = np.where(enough, middle, at)
        before = np.where(enough, before, np.minimum(middle + 1, at))
    below = breakpoints[rows, np.maximum(at - 1, 0)]
    above = breakpoints[rows, at]
    used_below = _used(below, height, minimum, maximum)
    used_above = _used(above, height, minimum, maximum)
    rise = used_above - used_below
    share = np.where(rise > 0.0, (total - used_below) / np.where(rise > 0.0, rise, 1.0), 1.0)
    return below + share * (above - below)


def _level_by_bisection(height: FloatArray, total: FloatArray, minimum: int, maximum: int) -> FloatArray:
    low, high = minimum - height.max(axis=1), maximum - height.min(axis=1)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        enough = _used(middle, height, minimum, maximum) >= total
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return high


@ALLOCATORS.register("wf")
def _wf(problem: AllocationProblem) -> BitArray:
    config = problem.config
    relaxed = water_filling(problem.weights, problem.budget, config.minimum, config.maximum, config.solver)
    return round_and_adjust(relaxed, problem.budget, problem.importance, config.order)
