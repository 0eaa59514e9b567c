"""Fixed-M, Top-k, AT and AST, and the thresholds set for a whole data set."""

from __future__ import annotations

import numpy as np
import pytest

from semcom_app.allocation import AllocationConfig, allocate
from semcom_app.allocation.attention_sum_threshold import calibrate_sum_threshold
from semcom_app.allocation.attention_threshold import calibrate_attention_threshold
from semcom_phy.errors import ConfigurationError

SCORES = np.array([0.05, 0.4, 0.2, 0.3, 0.05])


def test_fixed() -> None:
    assert allocate("fixed", SCORES, 19).tolist() == [3, 3, 3, 3, 3]
    assert allocate("fixed", np.stack([SCORES, SCORES]), np.array([5, 40])).tolist() == [[1] * 5, [8] * 5]


def test_top_k() -> None:
    # 5·1 + 2·7 = 19 bits pay for two full patches, one less for one.
    assert allocate("topk", SCORES, 19).tolist() == [1, 8, 1, 8, 1]
    assert allocate("topk", SCORES, 18).tolist() == [1, 8, 1, 1, 1]
    assert allocate("topk", SCORES, 16, AllocationConfig(minimum=0)).tolist() == [0, 8, 0, 8, 0]
    assert allocate("topk", np.ones(4), 4 + 14).tolist() == [8, 8, 1, 1]


def test_attention_threshold() -> None:
    assert allocate("at", SCORES, config=AllocationConfig(threshold=0.2)).tolist() == [1, 8, 1, 8, 1]
    assert allocate("at", SCORES, config=AllocationConfig(threshold=1.0, minimum=0)).tolist() == [0] * 5
    # Equal scores are marked together or not at all: 26 bits would pay for three of four.
    assert allocate("at", np.array([0.4, 0.3, 0.3, 0.0]), 4 + 14).tolist() == [8, 1, 1, 1]
    assert allocate("at", np.zeros(3), 24).tolist() == [8, 8, 8]
    assert allocate("at", np.zeros(3), 23).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("threshold", "marked"),
    [(-1.0, []), (0.0, [1]), (0.39, [1]), (0.41, [1, 3]), (0.94, [0, 1, 2, 3]), (1.0, [0, 1, 2, 3, 4])],
)
def test_attention_sum_threshold(threshold: float, marked: list[int]) -> None:
    for scale in (1.0, 1e300, 1e-300):
        bits = allocate("ast", SCORES * scale, config=AllocationConfig(threshold=threshold))
        assert np.flatnonzero(bits == 8).tolist() == marked


def test_ast_of_an_image_without_attention() -> None:
    assert allocate("ast", np.zeros(4), config=AllocationConfig(threshold=0.3)).tolist() == [8, 8, 1, 1]


@pytest.mark.parametrize("name", ["topk", "at", "ast"])
def test_within_the_budget(name: str, attention: np.ndarray) -> None:
    total = np.random.default_rng(0).integers(196, 196 * 8 + 1, len(attention))
    bits = allocate(name, attention, total).astype(int)
    assert np.all(bits.sum(axis=1) <= total)
    assert np.all((bits == 1) | (bits == 8))
    # With scores that are all different nothing but a fraction of a patch is left over.
    assert np.all(total - bits.sum(axis=1) < 7) or name == "at"


@pytest.mark.parametrize(
    ("name", "calibrate"), [("at", calibrate_attention_threshold), ("ast", calibrate_sum_threshold)]
)
@pytest.mark.parametrize("marked", [0.0, 0.5, 3.25, 60.0, 196.0])
def test_one_threshold_for_a_data_set(name: str, calibrate, marked: float, attention: np.ndarray) -> None:
    config = AllocationConfig(threshold=calibrate(attention, marked))
    mean = (allocate(name, attention, config=config) == 8).sum(axis=1).mean()
    assert mean <= marked
    # The first patch of every image comes at a sum of 0, all or none; elsewhere one patch is the step.
    assert mean > marked - 1 / len(attention) - 1e-9 or (name == "ast" and marked < 1)


@pytest.mark.parametrize("name", ["at", "ast"])
def test_threshold_and_budget_exclude_each_other(name: str) -> None:
    with pytest.raises(ConfigurationError, match="not both"):
        allocate(name, SCORES, 19, AllocationConfig(threshold=0.2))
    with pytest.raises(ConfigurationError, match="needs a budget"):
        allocate(name, SCORES)


@pytest.mark.parametrize("marked", [-1.0, 197.0, float("nan")])
def test_impossible_calibrations_are_refused(marked: float, attention: np.ndarray) -> None:
    for calibrate in (calibrate_attention_threshold, calibrate_sum_threshold):
        with pytest.raises(ConfigurationError, match=r"\[0, 196\]"):
            calibrate(attention, marked)
