"""Incremental allocation: the literal greedy, the partition and exhaustive search give the same optimum."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semcom_app.allocation.distortion import Distortion, make_distortion
from semcom_app.allocation.incremental import incremental, incremental_greedy
from semcom_phy.errors import ConfigurationError

MODELS = [
    make_distortion("error-free"),
    *(make_distortion("one-flip", mu) for mu in (0.0, 0.01, 0.1, 0.3, 0.43)),
    make_distortion("all-flips", 0.1),
    make_distortion("posterior-mean", 0.1),
]


def paper_greedy(weights: np.ndarray, total: int, minimum: int, maximum: int, model: Distortion) -> list[int]:
    """Section III-B as it is worded: look at the whole objective after each possible bit."""
    bits = [minimum] * len(weights)
    while sum(bits) < total:
        savings = [
            w * (float(model.value(m)) - float(model.value(m + 1))) if m < maximum else -np.inf
            for w, m in zip(weights, bits, strict=True)
        ]
        bits[int(np.argmax(savings))] += 1
    return bits


@pytest.mark.parametrize("model", MODELS, ids=repr)
@pytest.mark.parametrize(("minimum", "maximum"), [(0, 3), (1, 4)])
def test_no_allocation_is_better(
    model: Distortion, minimum: int, maximum: int, exhaustive: Callable[..., float]
) -> None:
    rng = np.random.default_rng(7)
    for _ in range(6):
        weights = rng.random(5) ** 2 + 1e-3
        total = int(rng.integers(5 * minimum, 5 * maximum + 1))
        best = exhaustive(weights, total, minimum, maximum, lambda m: float(model.value(m)))
        for algorithm in (incremental, incremental_greedy):
            bits = algorithm(weights[None], np.array([total]), minimum, maximum, model)
            assert bits.sum() == total
            assert float(weights @ model.value(bits[0])) <= best * (1 + 1e-12)


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_three_ways_agree_bit_by_bit(model: Distortion, attention: np.ndarray) -> None:
    weights = attention[::10] + 1e-4
    total = np.arange(len(weights)) * 40 + 196
    for minimum in (0, 1):
        greedy = incremental_greedy(weights, total, minimum, 8, model)
        assert np.array_equal(incremental(weights, total, minimum, 8, model), greedy)
    few = weights[[3, 17], :30]
    greedy = incremental_greedy(few, np.array([60, 110]), 1, 8, model)
    assert greedy[0].tolist() == paper_greedy(few[0], 60, 1, 8, model)
    assert greedy[1].tolist() == paper_greedy(few[1], 110, 1, 8, model)


@given(st.lists(st.sampled_from([0.25, 1.0, 4.0, 16.0, 3.0]), min_size=1, max_size=7), st.data())
@settings(max_examples=150)
def test_ties_are_settled_alike(weights: list[float], data: st.DataObject) -> None:
    """Weights that are powers of four have equal gains at different numbers of bits."""
    minimum = data.draw(st.integers(0, 2))
    maximum = data.draw(st.integers(minimum, 5))
    total = np.array([data.draw(st.integers(len(weights) * minimum, len(weights) * maximum))])
    row = np.array([weights])
    assert np.array_equal(incremental(row, total, minimum, maximum), incremental_greedy(row, total, minimum, maximum))


def test_a_row_of_equal_weights_fills_from_the_left() -> None:
    assert incremental(np.ones((1, 4)), np.array([6]), 1, 8).tolist() == [[2, 2, 1, 1]]


def test_bits_under_exact_distortions_do_not_depend_on_mu(attention: np.ndarray) -> None:
    total = np.full(len(attention), 392)
    reference = incremental(attention + 1e-3, total, 1, 8)
    for model in (make_distortion("all-flips", 0.2), make_distortion("posterior-mean", 0.45)):
        assert np.array_equal(incremental(attention + 1e-3, total, 1, 8, model), reference)


def test_under_the_paper_bound_errors_move_bits_to_the_important_patches(attention: np.ndarray) -> None:
    """What the paper's last figure shows: background patches fall, object patches rise."""
    total = np.full(len(attention), 392)
    order = np.argsort(-attention, axis=1)
    means = []
    for mu in (0.0, 0.05, 0.1, 0.2):
        bits = np.take_along_axis(
            incremental(attention + 1e-3, total, 1, 8, make_distortion("one-flip", mu)), order, axis=1
        )
        means.append((bits[:, :40].mean(), bits[:, 96:].mean()))
    top, bottom = np.array(means).T
    assert np.all(np.diff(top) > 0)
    assert np.all(np.diff(bottom) < 0)


def test_a_distortion_that_is_not_convex_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="not convex"):
        incremental(np.ones((1, 3)), np.array([5]), 0, 8, make_distortion("one-flip", 0.5))
