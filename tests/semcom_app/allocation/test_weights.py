"""The weight function and what makes weights safe to compute with."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from semcom_app.allocation.weights import importance_weights, positive_weights
from semcom_phy.errors import ConfigurationError

values = st.one_of(st.just(0.0), st.floats(1e-200, 1e300))
shapes = hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4)
scores = hnp.arrays(np.float64, shapes, elements=values)


def test_equation_31_by_hand() -> None:
    a = np.array([[0.1, 0.2, 0.5], [4.0, 2.0, 3.0]])
    assert np.allclose(importance_weights(a), [[0.001, 0.251, 1.001], [1.001, 0.001, 0.501]])
    assert np.allclose(importance_weights(a, gamma=2.0, epsilon=0.01), [[0.01, 0.0725, 1.01], [1.01, 0.01, 0.26]])


@given(scores, st.floats(0.1, 8), st.floats(1e-6, 1))
def test_range_order_and_scale(a: np.ndarray, gamma: float, epsilon: float) -> None:
    w = importance_weights(a, gamma, epsilon)
    assert w.shape == a.shape
    assert w.min() >= epsilon
    assert w.max() <= 1 + epsilon
    order = np.argsort(a, axis=-1, kind="stable")
    assert np.all(np.diff(np.take_along_axis(w, order, axis=-1), axis=-1) >= 0)
    assert np.array_equal(importance_weights(a / 4.0, gamma, epsilon), w)


def test_equal_importance_gives_equal_weights() -> None:
    assert np.array_equal(importance_weights(np.full((2, 5), 0.7)), np.full((2, 5), 1e-3))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.1])
def test_impossible_importance_is_refused(bad: float) -> None:
    with pytest.raises(ConfigurationError, match="finite and not negative"):
        importance_weights(np.array([0.1, bad, 0.3]))
    with pytest.raises(ConfigurationError, match="finite and not negative"):
        positive_weights(np.array([[0.1, bad, 0.3]]))


@pytest.mark.parametrize("importance", [0.5, np.zeros((3, 0)), np.array(["a", "b"]), np.array([1j])])
def test_what_is_no_importance_is_refused(importance: object) -> None:
    with pytest.raises(ConfigurationError):
        importance_weights(importance)


@pytest.mark.parametrize(
    ("gamma", "epsilon"), [(0.0, 0.1), (-1, 0.1), (101, 0.1), (np.nan, 0.1), (1, 0), (1, -1), (1, 2)]
)
def test_impossible_parameters_are_refused(gamma: float, epsilon: float) -> None:
    with pytest.raises(ConfigurationError):
        importance_weights(np.array([0.1, 0.2]), gamma, epsilon)


def test_weights_are_scaled_and_zeros_replaced() -> None:
    w = positive_weights(np.array([[0.0, 2.0, 8.0, 1e-300], [0.0, 0.0, 0.0, 0.0]]))
    assert w[0, 1:3].tolist() == [0.25, 1.0]
    assert 0 < w[0, 0] * 4.0**20 < w[0, 3] < 1e-20
    assert np.all(w[1] == w[1, 0])
    assert w[1, 0] > 0
