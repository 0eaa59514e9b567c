"""Water-filling: KKT conditions, an independent optimizer, the paper's bisection, and the two orders of adjusting."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from semcom_app.allocation.distortion import make_distortion
from semcom_app.allocation.incremental import incremental
from semcom_app.allocation.rounding import exchange, round_and_adjust
from semcom_app.allocation.water_filling import water_filling

ERROR_FREE = make_distortion("error-free")

problems = st.integers(1, 12).flatmap(
    lambda n: st.tuples(
        st.lists(st.one_of(st.floats(1e-9, 1.0), st.sampled_from([0.25, 1.0])), min_size=n, max_size=n),
        st.sampled_from([(0, 8), (1, 8), (1, 4), (0, 1), (3, 3)]),
        st.floats(0, 1),
    )
)


def paper_water_filling(weights: np.ndarray, total: float, minimum: int, maximum: int) -> np.ndarray:
    """Eqs. (16) and (17) in the paper's variables: Q from λ, bisection on λ, R = 255."""
    span = 255.0

    def levels(multiplier: float) -> list[float]:
        return [min(max(span * math.sqrt(math.log(2) * w / (2 * multiplier)), 2**minimum), 2**maximum) for w in weights]

    low, high = 1e-20, 1e20
    for _ in range(150):
        middle = math.sqrt(low * high)
        if sum(math.log2(q) for q in levels(middle)) > total:
            low = middle
        else:
            high = middle
    return np.log2(levels(high))


def paper_adjusting(relaxed: np.ndarray, total: int, importance: np.ndarray) -> list[int]:
    """The adjusting step of Section III-C, patch after patch."""
    bits = [int(np.rint(m)) for m in relaxed]
    difference = [m - b for m, b in zip(relaxed, bits, strict=True)]
    for patch in np.argsort(-importance, kind="stable"):
        if sum(bits) < total and difference[patch] > 0:
            bits[patch] += 1
    for patch in np.argsort(importance, kind="stable"):
        if sum(bits) > total and difference[patch] < 0:
            bits[patch] -= 1
    return bits


@given(problems)
def test_kkt_conditions(problem: tuple[list[float], tuple[int, int], float]) -> None:
    """Weighted slopes: equal between the limits, smaller at the minimum, larger at the maximum (eqs. 33 to 38)."""
    values, (minimum, maximum), share = problem
    weights = np.array([values])
    total = np.array([len(values) * minimum + round(share * len(values) * (maximum - minimum))])
    relaxed = water_filling(weights, total, minimum, maximum)
    assert relaxed.sum() == pytest.approx(total[0], abs=1e-9)
    assert np.all((relaxed >= minimum) & (relaxed <= maximum))
    slopes = weights * ERROR_FREE.slope(relaxed)
    inside = (relaxed > minimum + 1e-9) & (relaxed < maximum - 1e-9)
    level = slopes[inside].mean() if inside.any() else None
    if level is not None:
        assert np.allclose(slopes[inside], level, rtol=1e-6)
        assert np.all(slopes[relaxed <= minimum] <= level * (1 + 1e-6))
        assert np.all(slopes[relaxed >= maximum] >= level * (1 - 1e-6))
    elif minimum < maximum:
        assert slopes[relaxed == minimum].max(initial=0.0) <= slopes[relaxed == maximum].min(initial=np.inf) * (
            1 + 1e-6
        )


def test_no_optimizer_finds_better() -> None:
    rng = np.random.default_rng(1)
    for _ in range(15):
        weights = rng.random(6) ** 3 + 1e-3
        total = int(rng.integers(7, 36))
        ours = float(weights @ ERROR_FREE.value(water_filling(weights[None], np.array([total]), 1, 6)[0]))
        found = minimize(
            lambda m, w=weights: 1e3 * float(w @ ERROR_FREE.value(m)),
            np.full(6, total / 6),
            jac=lambda m, w=weights: -1e3 * w * ERROR_FREE.slope(m),
            bounds=[(1, 6)] * 6,
            constraints={"type": "ineq", "fun": lambda m, t=total: t - m.sum(), "jac": lambda m: -np.ones(6)},
            options={"maxiter": 500, "ftol": 1e-14},
        )
        # It stops where its line search finds nothing more, success or not: near the optimum, within the budget.
        assert found.x.sum() <= total + 1e-9
        assert found.fun / 1e3 == pytest.approx(ours, rel=1e-4)
        assert ours <= found.fun / 1e3 * (1 + 1e-6)


@pytest.mark.parametrize("solver", ["fast", "bisection"])
def test_like_the_paper_in_its_own_variables(solver: str, attention: np.ndarray) -> None:
    rows = attention[::120] + 1e-3
    for total in (250, 1200):
        relaxed = water_filling(rows, np.full(len(rows), total), 1, 8, solver)
        for row, ours in zip(rows, relaxed, strict=True):
            assert np.allclose(ours, paper_water_filling(row, total, 1, 8), atol=1e-9)


@pytest.mark.parametrize("minimum", [0, 1])
def test_by_remainder_the_result_is_optimal(minimum: int, attention: np.ndarray) -> None:
    total = np.random.default_rng(2).integers(196 * minimum, 196 * 8 + 1, len(attention))
    weights = attention / attention.max(axis=1, keepdims=True) + 1e-3
    relaxed = water_filling(weights, total, minimum, 8)
    bits = round_and_adjust(relaxed, total, attention, "exact")
    optimal = incremental(weights, total, minimum, 8)
    assert np.array_equal(bits.sum(axis=1), total)
    assert np.allclose(
        (weights * ERROR_FREE.value(bits)).sum(1), (weights * ERROR_FREE.value(optimal)).sum(1), rtol=1e-12
    )


def test_in_the_order_of_the_paper_it_is_not(attention: np.ndarray) -> None:
    """The paper adjusts by attention: budget met, a few per cent more distortion than the optimum."""
    total = np.random.default_rng(2).integers(235, 1176, len(attention))
    weights = attention / attention.max(axis=1, keepdims=True) + 1e-3
    bits = round_and_adjust(water_filling(weights, total, 1, 8), total, attention, "paper")
    optimal = incremental(weights, total, 1, 8)
    excess = (weights * ERROR_FREE.value(bits)).sum(1) / (weights * ERROR_FREE.value(optimal)).sum(1) - 1
    assert np.array_equal(bits.sum(axis=1), total)
    assert excess.min() >= -1e-12
    assert 0.001 < excess.mean() < 0.03
    assert excess.max() < 0.1


def test_adjusting_like_the_paper(attention: np.ndarray) -> None:
    total = np.random.default_rng(4).integers(235, 1176, len(attention))
    relaxed = water_filling(attention + 1e-3, total, 1, 8)
    bits = round_and_adjust(relaxed, total, attention, "paper")
    for row in range(0, len(attention), 7):
        assert bits[row].tolist() == paper_adjusting(relaxed[row], total[row], attention[row])


def test_exchange_ends_at_the_optimum_from_anywhere(exhaustive: Callable[..., float]) -> None:
    rng = np.random.default_rng(5)
    model = make_distortion("one-flip", 0.1)
    for _ in range(20):
        weights = rng.random((1, 5)) + 1e-3
        bits = exchange(rng.integers(1, 5, (1, 5)), weights, 1, 4, model)
        best = exhaustive(weights[0], int(bits.sum()), 1, 4, lambda m: float(model.value(m)))
        assert float((weights * model.value(bits)).sum()) <= best * (1 + 1e-12)
