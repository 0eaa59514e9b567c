"""Exhaustive search, which shares nothing with the code under test, and attention to allocate by."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

Cost = Callable[[int], float]


def _search(weights: np.ndarray, total: int, minimum: int, maximum: int, cost: Cost) -> float:
    costs = {m: cost(m) for m in range(minimum, maximum + 1)}
    return min(
        sum(w * costs[m] for w, m in zip(weights, bits, strict=True))
        for bits in itertools.product(costs, repeat=len(weights))
        if sum(bits) <= total
    )


@pytest.fixture(scope="session")
def exhaustive() -> Callable[[np.ndarray, int, int, int, Cost], float]:
    """Least weighted distortion of all allocations with at most `total` bits (the inequality of eq. 10)."""
    return _search


@pytest.fixture(scope="session")
def attention() -> np.ndarray:
    """Mean attention scores of 300 images of 196 patches, peaky and flat ones; each row sums to 1."""
    rng = np.random.default_rng(3)
    return np.concatenate([rng.dirichlet(np.full(196, c), size=100) for c in (0.1, 0.35, 2.0)])
