"""Water-filling under bit errors: Algorithm 1 in the paper's variables, scipy, KKT conditions, and the optimum."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import brentq, minimize

from semcom_app.allocation.base import AllocationConfig, allocate
from semcom_app.allocation.distortion import make_distortion
from semcom_app.allocation.modified_water_filling import modified_water_filling
from semcom_app.allocation.water_filling import water_filling
from semcom_app.allocation.weights import importance_weights
from semcom_phy.errors import ConfigurationError

SOLVERS = ["fast", "bisection"]


def algorithm_1(weights: np.ndarray, total: float, mu: float, minimum: int, maximum: int) -> np.ndarray:
    """Bisection on λ, Newton on g(Q) = λ/w, everything one number at a time and as a function of Q (eq. 30)."""
    beta = math.log2(1 - mu)

    def g(q: float) -> float:
        return math.log(2) * (1 / (2 * q**2) - mu / (3 * (1 - mu)) * (beta * q**beta + (2 - beta) * q ** (beta - 2)))

    def g_slope(q: float) -> float:
        terms = beta**2 * q ** (beta - 1) + (2 - beta) * (beta - 2) * q ** (beta - 3)
        return math.log(2) * (-1 / q**3 - mu / (3 * (1 - mu)) * terms)

    low_q, high_q = 2.0**minimum, 2.0**maximum

    def inverse(value: float) -> float:
        if value >= g(low_q):
            return low_q
        if value <= g(high_q):
            return high_q
        q = low_q  # g is convex and falls: Newton's method climbs from the left without overshooting
        for _ in range(200):
            step = (value - g(q)) / g_slope(q)
            q += step
            if abs(step) < 1e-13 * q:
                break
        return q

    low, high = 1e-15, 1e3
    for _ in range(90):
        middle = math.sqrt(low * high)
        if sum(math.log2(inverse(middle / w)) for w in weights) > total:
            low = middle
        else:
            high = middle
    return np.array([math.log2(inverse(high / w)) for w in weights])


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("mu", [0.0, 0.001, 0.05, 0.2])
def test_like_algorithm_1(solver: str, mu: float, attention: np.ndarray) -> None:
    weights = (attention / attention.max(axis=1, keepdims=True))[::120, :30] + 1e-3
    for total in (45, 150):
        ours = modified_water_filling(
            weights, np.full(len(weights), total), 1, 8, make_distortion("one-flip", mu), solver
        )
        for row, relaxed in zip(weights, ours, strict=True):
            assert np.allclose(relaxed, algorithm_1(row, total, mu, 1, 8), atol=1e-7)


@pytest.mark.parametrize("mu", [0.01, 0.1, 0.3])
def test_no_optimizer_finds_better(mu: float) -> None:
    rng = np.random.default_rng(6)
    model = make_distortion("one-flip", mu)
    for minimum in (0, 1):
        weights = rng.random(6) ** 3 + 1e-3
        total = int(rng.integers(10, 36))
        ours = modified_water_filling(weights[None], np.array([total]), minimum, 8, model)[0]
        found = minimize(
            lambda m, w=weights: 1e4 * float(w @ model.value(m)),
            np.full(6, total / 6),
            jac=lambda m, w=weights: -1e4 * w * model.slope(m),
            bounds=[(minimum, 8)] * 6,
            constraints={"type": "ineq", "fun": lambda m, t=total: t - m.sum(), "jac": lambda m: -np.ones(6)},
            options={"maxiter": 800, "ftol": 1e-15},
        )
        # It stops where its line search finds nothing more, success or not: near the optimum, within the budget.
        assert found.x.sum() <= total + 1e-9
        assert found.fun / 1e4 == pytest.approx(float(weights @ model.value(ours)), rel=1e-4)
        assert float(weights @ model.value(ours)) <= found.fun / 1e4 * (1 + 1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("minimum", [0, 1])
def test_kkt_conditions(solver: str, minimum: int, attention: np.ndarray) -> None:
    weights = attention / attention.max(axis=1, keepdims=True) + 1e-3
    total = np.random.default_rng(8).integers(196 * minimum, 196 * 8 + 1, len(weights))
    total[:2] = 196 * minimum, 196 * 8
    model = make_distortion("one-flip", 0.1)
    relaxed = modified_water_filling(weights, total, minimum, 8, model, solver)
    assert np.abs(relaxed.sum(axis=1) - total).max() < 1e-8
    slopes = weights * model.slope(relaxed)
    inside = (relaxed > minimum) & (relaxed < 8)
    for row in np.flatnonzero(inside.any(axis=1)):
        level = np.median(slopes[row, inside[row]])
        assert np.allclose(slopes[row, inside[row]], level, rtol=1e-7)
        assert slopes[row, relaxed[row] == minimum].max(initial=0.0) <= level * (1 + 1e-7)
        assert slopes[row, relaxed[row] == 8].min(initial=np.inf) >= level * (1 - 1e-7)


def test_the_inverse_of_g_against_brentq() -> None:
    """One patch that is free and one at λ: Σ fixes nothing but M_1 + M_2, the slopes must match."""
    model = make_distortion("one-flip", 0.2)
    weights = np.array([[1.0, 0.3]])
    relaxed = modified_water_filling(weights, np.array([7]), 1, 8, model)[0]
    root = brentq(lambda m: float(model.slope(m)) - 0.3 * float(model.slope(7 - m)), 1, 6, xtol=1e-14)
    assert relaxed == pytest.approx([root, 7 - root], abs=1e-8)


def test_without_errors_it_is_water_filling(attention: np.ndarray) -> None:
    total = np.full(len(attention), 392)
    plain = water_filling(attention + 1e-3, total, 1, 8)
    for name in ("one-flip", "all-flips", "posterior-mean", "error-free"):
        assert np.allclose(
            modified_water_filling(attention + 1e-3, total, 1, 8, make_distortion(name, 0.0)), plain, atol=1e-9
        )


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(("mu", "minimum"), [(0.01, 1), (0.1, 0), (0.2, 1), (0.3, 0), (0.5, 1)])
def test_whole_bits_are_optimal_in_the_exact_order(solver: str, mu: float, minimum: int, attention: np.ndarray) -> None:
    config = AllocationConfig(mu=mu, minimum=minimum, solver=solver)
    rows = attention[::5]
    total = np.random.default_rng(9).integers(196 * minimum, 196 * 8 + 1, len(rows))
    found, optimal = (allocate(name, rows, total, config).astype(int) for name in ("mwf", "mia"))
    # Not bit by bit: the flattest images have weights that are equal but for the last digits.
    weights = importance_weights(rows)
    model = make_distortion("one-flip", mu)
    costs = [(weights * model.value(bits)).sum(axis=1) for bits in (found, optimal)]
    assert np.array_equal(found.sum(axis=1), total)
    assert np.allclose(*costs, rtol=1e-12, atol=0)
    assert np.mean(found != optimal) < 1e-3


def test_in_the_order_of_the_paper_they_are_nearly(attention: np.ndarray) -> None:
    model = make_distortion("one-flip", 0.05)
    config = AllocationConfig(mu=0.05, order="paper")
    total = np.random.default_rng(10).integers(235, 1176, len(attention))
    weights = attention - attention.min(axis=1, keepdims=True)
    weights = weights / weights.max(axis=1, keepdims=True) + 1e-3

    def cost(name: str) -> np.ndarray:
        return (weights * model.value(allocate(name, attention, total, config))).sum(axis=1)

    excess = cost("mwf") / cost("mia") - 1
    assert excess.min() >= -1e-12
    assert 0 < excess.mean() < 0.03


def test_a_distortion_that_is_not_convex_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"use mu up to 0\.323"):
        modified_water_filling(np.ones((1, 3)), np.array([5]), 0, 8, make_distortion("one-flip", 0.4))
