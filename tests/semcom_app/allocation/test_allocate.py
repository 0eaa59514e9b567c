"""What holds for every algorithm, on inputs of all kinds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from semcom_app.allocation import ALLOCATORS, AllocationConfig, allocate
from semcom_phy.errors import ConfigurationError

EXACT = ("ia", "ia-greedy", "wf", "mia", "mia-greedy", "mwf")
BELOW = ("fixed", "topk", "at", "ast")

configs = st.builds(
    AllocationConfig,
    minimum=st.integers(0, 2),
    maximum=st.integers(2, 8),
    gamma=st.sampled_from([0.25, 1.0, 4.0]),
    mu=st.sampled_from([0.0, 0.01, 0.1, 0.2]),
    distortion=st.sampled_from(["one-flip", "all-flips", "posterior-mean"]),
    order=st.sampled_from(["exact", "paper"]),
    solver=st.sampled_from(["fast", "bisection"]),
)
element = st.one_of(st.floats(0, 1, allow_subnormal=False), st.sampled_from([0.0, 0.25, 1.0]))


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, AllocationConfig]:
    """Importance (B, N), budgets (B,), configuration."""
    scores = draw(hnp.arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 9)), elements=element))
    config = draw(configs)
    low, high = scores.shape[1] * config.minimum, scores.shape[1] * config.maximum
    total = draw(hnp.arrays(np.int64, len(scores), elements=st.integers(low, high)))
    return scores, total, config


def test_every_algorithm_is_covered() -> None:
    assert sorted(EXACT + BELOW) == ALLOCATORS.names()


@pytest.mark.parametrize("name", EXACT + BELOW)
@given(case=cases())
@settings(max_examples=30)
def test_budget_limits_and_batches(name: str, case: tuple[np.ndarray, np.ndarray, AllocationConfig]) -> None:
    scores, total, config = case
    bits = allocate(name, scores, total, config)
    assert bits.dtype == np.uint8
    assert bits.min() >= config.minimum
    assert bits.max() <= config.maximum
    used = bits.sum(axis=1, dtype=int)
    assert np.array_equal(used, total) if name in EXACT else np.all(used <= total)
    # A batch is a loop, and an image alone needs no batch axis.
    loop = [allocate(name, row, int(budget), config) for row, budget in zip(scores, total, strict=True)]
    assert np.array_equal(bits, np.array(loop))


@pytest.mark.parametrize("name", EXACT + BELOW)
@given(case=cases(), data=st.data())
@settings(max_examples=30)
def test_monotone_and_independent_of_the_order(
    name: str, case: tuple[np.ndarray, np.ndarray, AllocationConfig], data: st.DataObject
) -> None:
    """More important patches get no fewer bits, and a patch gets its bits wherever it stands.

    Equal importance cannot be told apart but by place, so what is permuted is all different, and weights that tie in
    gains (a factor of a power of four) are left out by an irregular spacing.
    """
    scores, total, config = case
    distinct = np.argsort(np.argsort(scores, axis=1, kind="stable"), axis=1) * 0.37 + 0.01
    distinct += 0.1 * np.sin(distinct)
    bits = allocate(name, distinct, total, config).astype(int)
    order = np.argsort(distinct, axis=1)
    assert np.all(np.diff(np.take_along_axis(bits, order, axis=1), axis=1) >= 0)
    permutation = np.array(data.draw(st.permutations(range(scores.shape[1]))), int)
    assert np.array_equal(allocate(name, distinct[:, permutation], total, config), bits[:, permutation])


@pytest.mark.parametrize("name", EXACT)
@given(case=cases())
@settings(max_examples=20)
def test_more_budget_takes_nothing_away_where_the_result_is_optimal(
    name: str, case: tuple[np.ndarray, np.ndarray, AllocationConfig]
) -> None:
    scores, total, config = case
    config = replace(config, order="exact")
    ranks = np.argsort(np.argsort(scores, axis=1, kind="stable"), axis=1) * 0.37 + 0.01
    more = np.minimum(total + 1, scores.shape[1] * config.maximum)
    assert np.all(allocate(name, ranks, more, config).astype(int) >= allocate(name, ranks, total, config))


def test_all_readings_agree_without_errors(attention: np.ndarray) -> None:
    """At μ = 0 the modified algorithms are the plain ones, whatever the distortion."""
    reference = allocate("ia-greedy", attention, 392)
    for name in EXACT:
        for distortion in ("one-flip", "all-flips", "posterior-mean", "error-free"):
            found = allocate(name, attention, 392, AllocationConfig(distortion=distortion))
            assert np.mean(found != reference) < 1e-3  # weights that differ in the last digits only


@pytest.mark.parametrize("name", EXACT + BELOW)
@pytest.mark.parametrize("minimum", [0, 1])
def test_ends_of_the_budget(name: str, minimum: int, attention: np.ndarray) -> None:
    config = AllocationConfig(minimum=minimum, mu=0.05)
    assert np.all(allocate(name, attention, 196 * minimum, config) == minimum)
    assert np.all(allocate(name, attention, 196 * 8, config) == 8)


@pytest.mark.parametrize("name", EXACT + BELOW)
@pytest.mark.parametrize("importance", [np.zeros(6), np.full(6, 0.7), np.full(6, 1e308)])
def test_equal_importance(name: str, importance: np.ndarray) -> None:
    bits = allocate(name, importance, 6 * 3 + 2, AllocationConfig(mu=0.1))
    if name in EXACT:
        assert bits.tolist() == [4, 4, 3, 3, 3, 3]
    else:
        assert bits.sum() <= 20


@pytest.mark.parametrize("name", EXACT + BELOW)
def test_one_patch(name: str) -> None:
    for total in range(1, 9):
        bits = allocate(name, [0.3], total, AllocationConfig(mu=0.1))
        assert bits.tolist() == [total if name in (*EXACT, "fixed") else 8 if total == 8 else 1]


@pytest.mark.parametrize("name", EXACT)
def test_patches_without_spread_get_what_nobody_else_can_use(name: str) -> None:
    """A flat patch gains nothing: with ranges of its own it stays at the minimum until all others are full."""
    spread = np.array([1.0, 0.0, 0.5, 0.0])
    config = AllocationConfig(minimum=0, mu=0.05)
    assert allocate(name, np.ones(4), 12, config, spread)[[1, 3]].tolist() == [0, 0]
    full = allocate(name, np.ones(4), 20, config, spread)
    assert full[[0, 2]].tolist() == [8, 8]
    assert full[[1, 3]].sum() == 4


@pytest.mark.parametrize("name", EXACT)
def test_spread_counts_squared(name: str) -> None:
    """Half the range is worth one bit."""
    spread = np.array([1.0, 0.5, 0.25, 0.25])
    assert allocate(name, np.ones(4), 15, AllocationConfig(minimum=0), spread).tolist() == [5, 4, 3, 3]


def test_no_images() -> None:
    assert allocate("wf", np.zeros((0, 5)), np.zeros(0, np.int64)).shape == (0, 5)
    assert allocate("mwf", np.zeros((2, 0, 5)), 10).shape == (2, 0, 5)


def test_more_axes_and_more_images_than_a_step() -> None:
    scores = np.random.default_rng(0).random((3, 50, 20))
    total = np.random.default_rng(1).integers(20, 160, (3, 50))
    bits = allocate("mwf", scores, total, AllocationConfig(mu=0.1))
    assert bits.shape == (3, 50, 20)
    assert np.array_equal(bits.sum(axis=2), total)
    assert np.array_equal(bits[2, 49], allocate("mwf", scores[2, 49], total[2, 49], AllocationConfig(mu=0.1)))


@pytest.mark.parametrize("name", EXACT + BELOW)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_importance_that_is_none_is_refused(name: str, bad: float) -> None:
    with pytest.raises(ConfigurationError, match="finite and not negative"):
        allocate(name, [0.1, bad, 0.2], 6)
    with pytest.raises(ConfigurationError, match="finite and not negative"):
        allocate(name, np.ones(3), 6, spread=[0.1, bad, 0.2])


@pytest.mark.parametrize(
    ("total", "message"),
    [
        (2, "total_bits=2 is impossible for 3 patches of 1 to 8 bits per sample: smallest 3, largest 24"),
        (25, "total_bits=25 is impossible"),
        (6.0, "whole numbers"),
        (True, "whole numbers"),
        ([6, 6], "one number or of shape"),
    ],
)
def test_impossible_budgets_are_refused(total: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        allocate("ia", np.ones(3), total)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="unknown allocation 'waterfill'"):
        allocate("waterfill", np.ones(3), 6)
    with pytest.raises(ConfigurationError, match="needs a budget"):
        allocate("wf", np.ones(3))
    for importance in (0.5, np.zeros((2, 0))):
        with pytest.raises(ConfigurationError, match="at least one patch"):
            allocate("wf", importance, 6)
    with pytest.raises(ConfigurationError, match="spread must have the shape"):
        allocate("wf", np.ones(3), 6, spread=np.ones(4))


@pytest.mark.parametrize(
    "parameters",
    [
        {"minimum": -1},
        {"minimum": 3, "maximum": 2},
        {"maximum": 9},
        {"minimum": 0, "maximum": 0},
        {"order": "random"},
        {"solver": "newton"},
        {"distortion": "none"},
        {"threshold": float("nan")},
    ],
)
def test_impossible_configurations_are_refused(parameters: dict) -> None:
    with pytest.raises(ConfigurationError):
        AllocationConfig(**parameters)


@pytest.mark.parametrize("name", ["mia", "mwf"])
def test_impossible_mu_is_refused(name: str) -> None:
    for mu in (-0.1, 0.6, float("nan")):
        with pytest.raises(ConfigurationError, match="mu must lie in"):
            allocate(name, np.ones(3), 6, AllocationConfig(mu=mu))
