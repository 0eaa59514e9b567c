"""Verdicts from several views: against counting by hand, and ties."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semcom_app.classification import FUSIONS, NO_VERDICT, fuse, wilson_interval
from semcom_app.classification.fusion import single_views
from semcom_phy.errors import ConfigurationError


def log_softmax(scores: np.ndarray) -> np.ndarray:
    scores = scores - scores.max(axis=-1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))


views_of_objects = st.tuples(st.integers(0, 6), st.integers(1, 5), st.integers(1, 4), st.integers(0, 2**32 - 1))


def majority_by_hand(views: np.ndarray) -> int:
    votes = Counter(int(view.argmax()) for view in views)
    most = max(votes.values())
    leading = sorted(label for label, count in votes.items() if count == most)
    return max(leading, key=lambda label: views[:, label].sum())


@settings(max_examples=200)
@given(views_of_objects)
def test_rules_by_hand(case: tuple[int, int, int, int]) -> None:
    objects, views, classes, seed = case
    numbers = log_softmax(3 * np.random.default_rng(seed).standard_normal((objects, views, classes)))
    assert fuse("majority", numbers).tolist() == [majority_by_hand(n) for n in numbers]
    assert fuse("sum", numbers).tolist() == [int(np.exp(n).sum(axis=0).argmax()) for n in numbers]
    assert fuse("product", numbers).tolist() == [int(n.sum(axis=0).argmax()) for n in numbers]


@pytest.mark.parametrize("rule", list(FUSIONS))
def test_one_view_is_its_own_verdict_and_order_does_not_matter(rule: str) -> None:
    numbers = log_softmax(np.random.default_rng(1).standard_normal((3, 4, 5)))
    assert fuse(rule, numbers[:, :1]).tolist() == numbers[:, 0].argmax(axis=1).tolist()
    expected = fuse(rule, numbers).tolist()
    for order in itertools.permutations(range(4)):
        assert fuse(rule, numbers[:, order]).tolist() == expected


def test_two_against_two_is_decided_by_the_sum() -> None:
    """Two sure views against two that hesitate."""
    sure, hesitant = np.log([0.9, 0.05, 0.05]), np.log([0.3, 0.4, 0.3])
    assert fuse("majority", [[hesitant, sure, hesitant, sure]]).tolist() == [0]
    # Three that hesitate outvote one that is sure; the sum rule does not let them.
    assert fuse("majority", [[hesitant, hesitant, sure, hesitant]]).tolist() == [1]
    assert fuse("sum", [[hesitant, hesitant, sure, hesitant]]).tolist() == [0]


@pytest.mark.parametrize("rule", list(FUSIONS))
def test_views_that_are_missing_are_left_out(rule: str) -> None:
    numbers = log_softmax(np.random.default_rng(2).standard_normal((4, 5)))
    with_gaps = np.insert(numbers, [0, 2], np.nan, axis=0)
    assert fuse(rule, with_gaps[None]).tolist() == fuse(rule, numbers[None]).tolist()
    assert fuse(rule, np.full((1, 3, 5), np.nan)).tolist() == [NO_VERDICT]
    assert single_views(with_gaps).tolist()[0] == NO_VERDICT


def test_impossible_classes_are_no_problem() -> None:
    numbers = np.array([[[0.0, -np.inf], [-np.inf, 0.0], [0.0, -np.inf]]])
    assert fuse("majority", numbers).tolist() == [0]
    assert fuse("sum", numbers).tolist() == [0]


def test_wrong_numbers_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean 'majority'"):
        fuse("majorty", np.zeros((1, 1, 1)))
    with pytest.raises(ConfigurationError, match="objects, views, classes"):
        fuse("sum", np.zeros((2, 3)))
    with pytest.raises(ConfigurationError, match="log-softmax"):
        fuse("sum", np.ones((1, 2, 3)))


@pytest.mark.parametrize("trials", [1, 10, 1000])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.85, 1.0])
def test_wilson_intervals_of_scipy(trials: int, share: float) -> None:
    from scipy.stats import binomtest

    successes = round(share * trials)
    expected = binomtest(successes, trials).proportion_ci(method="wilson")
    assert wilson_interval(successes, trials) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_intervals_hold_what_they_promise() -> None:
    """The share of binomial draws whose interval covers the truth, exactly, by the distribution."""
    from scipy.stats import binom

    for trials, share in ((50, 0.5), (200, 0.9), (1000, 0.78)):
        covered = sum(
            binom.pmf(k, trials, share)
            for k in range(trials + 1)
            if wilson_interval(k, trials)[0] <= share <= wilson_interval(k, trials)[1]
        )
        assert covered == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("counts", [(1, 0), (-1, 3), (4, 3)])
def test_impossible_counts_have_no_interval(counts: tuple[int, int]) -> None:
    with pytest.raises(ConfigurationError, match="no interval"):
        wilson_interval(*counts)
