"""Modified water-filling: water-filling under bit errors (Section IV-C2, Algorithm 1)."""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

import numpy as np

from semcom_app.allocation.base import ALLOCATORS, AllocationProblem, BitArray, FloatArray, Solver
from semcom_app.allocation.distortion import Distortion, make_distortion, require_convex
from semcom_app.allocation.rounding import exchange, round_and_adjust
from semcom_app.allocation.water_filling import water_filling

_TABLE_TOLERANCE = 1e-6  # of Σ M_i*, bits, while M is read from a table
_TABLE_SIZE = 1 << 14
_SMALL_STEP = 1e-5  # bits; Newton's method is quadratic: the error after such a step is of the order of 1e-11
_MAX_STEPS = 100


def modified_water_filling(
    weights: FloatArray,
    total: BitArray,
    minimum: int,
    maximum: int,
    distortion: Distortion,
    solver: Solver = "fast",
    tolerance: float = 1e-9,
) -> FloatArray:
    """Solve the relaxed problem P4 (eqs. 25 to 27): M_i* = log2 Q_i* for real Q_i.

    Theorem 3 (eqs. 28 to 30) says Q_i* = clip(g⁻¹(λ/w_i), 2^M_min, 2^M_max), with λ such that Σ M_i* = total, and
    g = −dD/dM (`Distortion.slope`). Algorithm 1 bisects λ, and inverts g by Newton's method, here safeguarded by a
    bracket, on ln g over M, which is nearly straight. solver: "bisection" is that. "fast" takes safeguarded Newton
    steps for ln λ as well, on a table of g⁻¹ first and, for a finer tolerance, on g itself for the last ones.
    Distortions of the form a + b·4^−M have the closed form of `water_filling`.

    weights: float64 (B, N), positive. total: (B,). tolerance: of Σ M_i*, bits; from 1e-6 on the table alone
    does. Returns float64 (B, N). Raises ConfigurationError when the distortion is not convex on minimum … maximum.
    """
    require_convex(distortion, minimum, maximum, real_bits=True)
    if distortion.geometric or minimum == maximum:
        return water_filling(weights, total, minimum, maximum, solver)
    log_weights = np.log(weights)
    # ln λ from which on every patch has the maximum (downwards) and the minimum (upwards).
    low = log_weights.min(axis=1) + np.log(distortion.slope(maximum))
    high = log_weights.max(axis=1) + np.log(distortion.slope(minimum))
    log_lambda = 0.5 * (low + high)
    bits = np.full(weights.shape, 0.5 * (minimum + maximum))
    newton = solver == "fast"
    if newton:
        table = _inverse_table(distortion, minimum, maximum)
        bits, log_lambda = _find_multiplier(
            table, log_weights, total, bits, low, high, log_lambda, _TABLE_TOLERANCE, newton
        )
    if not newton or tolerance < _TABLE_TOLERANCE:
        exact = _NewtonInverse(distortion, minimum, maximum)
        bits, _ = _find_multiplier(exact, log_weights, total, bits, low, high, log_lambda, tolerance, newton)
    # At the ends of the budget λ is not unique, and the bracket closes in on the limit without reaching it.
    patches = weights.shape[1]
    bits = np.where((total == patches * minimum)[:, None], minimum, bits)
    return np.where((total == patches * maximum)[:, None], maximum, bits)


class _Inverse(Protocol):
    """Inverse of ln g: from ln(λ/w) (B, N) and a first guess of M to M, clipped to its limits, and −dM/d ln(λ/w)."""

    def __call__(self, target: FloatArray, guess: FloatArray) -> tuple[FloatArray, FloatArray]: ...


def _find_multiplier(
    inverse: _Inverse,
    log_weights: FloatArray,
    total: BitArray,
    guess: FloatArray,
    low: FloatArray,
    high: FloatArray,
    log_lambda: FloatArray,
    tolerance: float,
    newton: bool,
) -> tuple[FloatArray, FloatArray]:
    """Search ln λ between `low` and `high` until Σ M_i misses `total` by less than the tolerance; M and ln λ."""
    bits, found = guess.copy(), log_lambda.copy()
    rows = np.arange(len(bits))
    for _ in range(_MAX_STEPS):
        found[rows] = log_lambda
        bits[rows], steepness = inverse(log_lambda[:, None] - log_weights[rows], bits[rows])
        excess = bits[rows].sum(axis=1) - total[rows]
        low, high = np.where(excess > 0.0, log_lambda, low), np.where(excess > 0.0, high, log_lambda)
        following = 0.5 * (low + high)
        if newton:
            fall = steepness.sum(axis=1)
            # NaN, where every patch is at a limit, fails the comparisons.
            step = log_lambda + excess / np.where(fall > 0.0, fall, np.nan)
            following = np.where((step >= low) & (step <= high), step, following)
        missed = (np.abs(excess) >= tolerance) & (high - low > 1e-14)
        if not missed.any():
            break
        rows, low, high, log_lambda = rows[missed], low[missed], high[missed], following[missed]
    return bits, found


class _NewtonInverse:
    """Safeguarded Newton iterations on ln g(M) = target (the inner loop of Algorithm 1)."""

    def __init__(self, distortion: Distortion, minimum: int, maximum: int) -> None:
        self._distortion, self._minimum, self._maximum = distortion, float(minimum), float(maximum)
        self._highest = float(np.log(distortion.slope(minimum)))
        self._lowest = float(np.log(distortion.slope(maximum)))

    def __call__(self, target: FloatArray, guess: FloatArray) -> tuple[FloatArray, FloatArray]:
        outside = (target >= self._highest) | (target <= self._lowest)
        reachable = np.clip(target, self._lowest, self._highest)
        low, high = np.full(target.shape, self._minimum), np.full(target.shape, self._maximum)
        bits = guess
        for _ in range(_MAX_STEPS):
            slope, curvature = self._distortion.derivatives(bits)
            error = np.log(slope) - reachable
            low, high = np.where(error > 0.0, bits, low), np.where(error > 0.0, high, bits)
            rate = slope / curvature
            step = bits + error * rate
            following = np.where((step >= low) & (step <= high), step, 0.5 * (low + high))
            largest_step = np.abs(following - bits).max(initial=0.0)
            bits = following
            if largest_step < _SMALL_STEP:
                break
        bits = np.where(target >= self._highest, self._minimum, np.where(target <= self._lowest, self._maximum, bits))
        return bits, np.where(outside, 0.0, rate)


class _TableInverse:
    """Linear interpolation of M over equally spaced ln g."""

    def __init__(self, distortion: Distortion, minimum: int, maximum: int) -> None:
        exact = _NewtonInverse(distortion, minimum, maximum)
        self._first = float(np.log(distortion.slope(maximum)))
        last = float(np.log(distortion.slope(minimum)))
        self._spacing = (last - self._first) / (_TABLE_SIZE - 1)
        grid = np.linspace(self._first, last, _TABLE_SIZE)[None, :]
        bits = exact(grid, np.full(grid.shape, 0.5 * (minimum + maximum)))[0][0]
        bits[0], bits[-1] = maximum, minimum
        self._bits, self._fall = bits[:-1], -np.diff(bits)

    def __call__(self, target: FloatArray, guess: FloatArray) -> tuple[FloatArray, FloatArray]:
        place = (target - self._first) / self._spacing
        clipped = np.clip(place, 0.0, _TABLE_SIZE - 1)
        cell = np.minimum(clipped.astype(np.intp), _TABLE_SIZE - 2)
        fall = self._fall[cell]
        return self._bits[cell] - (clipped - cell) * fall, np.where(clipped == place, fall / self._spacing, 0.0)


@lru_cache(maxsize=64)
def _inverse_table(distortion: Distortion, minimum: int, maximum: int) -> _TableInverse:
    return _TableInverse(distortion, minimum, maximum)


@ALLOCATORS.register("mwf")
def _mwf(problem: AllocationProblem) -> BitArray:
    config = problem.config
    distortion = make_distortion(config.distortion, config.mu)
    limits = config.minimum, config.maximum
    tolerance = _TABLE_TOLERANCE if config.solver == "fast" else 1e-9
    relaxed = modified_water_filling(problem.weights, problem.budget, *limits, distortion, config.solver, tolerance)
    bits = round_and_adjust(relaxed, problem.budget, problem.importance, config.order)
    # Without the exact form 4^−M remainders are only nearly in the order of the gains. The paper's order stops where
    # the relaxed solution leads.
    settles = config.order == "exact" and not distortion.geometric
    return exchange(bits, problem.weights, *limits, distortion) if settles else bits
