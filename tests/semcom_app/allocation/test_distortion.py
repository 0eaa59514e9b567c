"""Distortion models against simulation of the very bits, against each other and against the printed formulas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import approx_fprime

from semcom_app.allocation.distortion import (
    DISTORTIONS,
    Distortion,
    is_falling_and_convex,
    largest_mu,
    make_distortion,
    require_convex,
)
from semcom_phy.errors import ConfigurationError

MODELS = [make_distortion(name, mu) for name in DISTORTIONS for mu in (0.0, 0.01, 0.1, 0.2)]


def transition(bits: int, mu: float, most_flips: int | None = None) -> np.ndarray:
    """P(received index | sent index), (2^M, 2^M); flips beyond `most_flips` are left out, not renormalised."""
    index = np.arange(2**bits)
    flips = np.array([[bin(a ^ b).count("1") for b in index] for a in index])
    probability = mu**flips * (1 - mu) ** (bits - flips)
    return probability if most_flips is None else np.where(flips <= most_flips, probability, 0.0)


def mean_square(bits: int, mu: float, values: np.ndarray) -> float:
    """E|u − û|² for u uniform on [0, 1): exact integral over each cell, sum over all received indices."""
    edges = np.arange(2**bits + 1) / 2**bits
    per_pair = ((edges[1:, None] - values) ** 3 - (edges[:-1, None] - values) ** 3) / 3  # ∫(u − û)² du
    return float((per_pair * transition(bits, mu)).sum())


@pytest.mark.parametrize("mu", [0.0, 0.001, 0.05, 0.2])
@pytest.mark.parametrize("bits", range(9))
def test_all_flips_is_exact(bits: int, mu: float) -> None:
    centres = (np.arange(2**bits) + 0.5) / 2**bits
    assert float(make_distortion("all-flips", mu).value(bits)) == pytest.approx(
        mean_square(bits, mu, centres), rel=1e-10
    )


@pytest.mark.parametrize("mu", [0.0, 0.001, 0.05, 0.2, 0.4])
@pytest.mark.parametrize("bits", range(9))
def test_posterior_mean_is_exact(bits: int, mu: float) -> None:
    centres = (np.arange(2**bits) + 0.5) / 2**bits
    posterior = transition(bits, mu) / transition(bits, mu).sum(axis=0)
    means = centres @ posterior
    assert float(make_distortion("posterior-mean", mu).value(bits)) == pytest.approx(
        mean_square(bits, mu, means), rel=1e-9
    )


@pytest.mark.parametrize("mu", [0.001, 0.05, 0.1, 0.3])
@pytest.mark.parametrize("bits", range(1, 9))
def test_one_flip_bounds_the_sum_without_and_with_one_flip(bits: int, mu: float) -> None:
    """Appendix B: P(0 flips)·Δ²/4 + P(1 flip)·(Δ²/4 + mean square jump), the probabilities adding up to at most 1."""
    index = np.arange(2**bits)
    jump = ((index[:, None] - index) / 2**bits) ** 2
    kept = transition(bits, mu, most_flips=1)
    truncated = float((kept * (0.25 * 4.0**-bits + jump)).sum()) / 2**bits
    bound = float(make_distortion("one-flip", mu).value(bits))
    assert truncated <= bound * (1 + 1e-12)
    # Nothing is lost but the missing probability of the error-free term.
    assert bound - truncated == pytest.approx((1 - kept[0].sum()) * 0.25 * 4.0**-bits, abs=1e-15)


def test_one_flip_against_equation_30() -> None:
    """g(Q) as rebuilt from eq. (30) in terms of Q and β."""
    q = np.linspace(1.0, 256.0, 500)
    for mu in (0.0, 0.01, 0.1, 0.3):
        beta = np.log2(1 - mu)
        bracket = beta * q**beta + (2 - beta) * q ** (beta - 2)
        g = np.log(2) * (1 / (2 * q**2) - mu / (3 * (1 - mu)) * bracket)
        assert np.allclose(make_distortion("one-flip", mu).slope(np.log2(q)), g, rtol=1e-12, atol=1e-18)


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_derivatives_and_gains_belong_to_the_value(model: Distortion) -> None:
    for bits in (0.3, 1.0, 2.7, 6.5):
        slope, curvature = (float(x) for x in model.derivatives(bits))
        assert -approx_fprime(np.array([bits]), lambda m: model.value(m[0]), 1e-7)[0] == pytest.approx(slope, rel=2e-4)
        assert -approx_fprime(np.array([bits]), lambda m: model.slope(m[0]), 1e-7)[0] == pytest.approx(
            curvature, rel=2e-4
        )
    m = np.arange(8)
    assert np.allclose(model.gain(m), model.value(m) - model.value(m + 1), rtol=1e-9, atol=1e-15)
    area = quad(lambda t: float(model.slope(t)), 2, 3)[0]
    assert area == pytest.approx(float(model.gain(2)), rel=1e-9)


@pytest.mark.parametrize("name", ["one-flip", "error-free"])
def test_without_errors_the_paper_bounds_are_equal(name: str) -> None:
    assert np.array_equal(make_distortion(name, 0.0).value(np.arange(9)), 0.25 * 4.0 ** -np.arange(9.0))


@pytest.mark.parametrize("name", ["all-flips", "posterior-mean"])
def test_without_errors_the_exact_models_are_a_third_of_the_bound(name: str) -> None:
    assert np.allclose(make_distortion(name, 0.0).value(np.arange(9)), 4.0 ** -np.arange(9.0) / 12, rtol=1e-14)


def test_gains_of_the_exact_models_are_proportional_for_every_mu() -> None:
    """Why the bits that minimise the exact mean squared error do not depend on μ."""
    m = np.arange(8)
    reference = make_distortion("error-free").gain(m)
    for name, mus in (("all-flips", (0.01, 0.1, 0.24)), ("posterior-mean", (0.01, 0.1, 0.4))):
        for mu in mus:
            ratio = make_distortion(name, mu).gain(m) / reference
            assert np.allclose(ratio, ratio[0], rtol=1e-14)


@pytest.mark.parametrize(("minimum", "real", "expected"), [(1, False, 0.5), (1, True, 0.5), (0, False, 0.434)])
def test_limits_of_convexity(minimum: int, real: bool, expected: float) -> None:
    """Propositions 1 and 2; from no bits on, integers: 9 >= 12μ + 20μ², the first two gains equal."""
    assert largest_mu("one-flip", minimum, 8, real) == expected
    if minimum == 0:
        assert 12 * expected + 20 * expected**2 <= 9 < 12 * (expected + 1e-3) + 20 * (expected + 1e-3) ** 2


@pytest.mark.parametrize(("name", "limit"), [("error-free", 0.5), ("all-flips", 0.249), ("posterior-mean", 0.499)])
@pytest.mark.parametrize("real", [False, True])
def test_limits_of_models_that_refuse_what_is_worth_nothing(name: str, limit: float, real: bool) -> None:
    """The limit is possible, and the next thousandth is refused, not answered."""
    assert largest_mu(name, 0, 8, real) == limit
    assert is_falling_and_convex(make_distortion(name, limit), 0, 8, real)
    with pytest.raises(ConfigurationError, match="mu"):
        make_distortion(name, limit + 0.001)


def test_the_limit_of_an_unknown_model() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean 'all-flips'"):
        largest_mu("all-flip", 0, 8)


def test_convexity_on_the_reals_from_no_bits() -> None:
    limit = largest_mu("one-flip", 0, 8, True)
    assert 0.2 < limit < largest_mu("one-flip", 0, 8)
    assert is_falling_and_convex(make_distortion("one-flip", limit), 0, 8, True)
    assert not is_falling_and_convex(make_distortion("one-flip", limit + 0.001), 0, 8, True)


def test_a_distortion_that_is_not_convex_is_refused_with_the_limit() -> None:
    with pytest.raises(ConfigurationError, match=r"mu=0\.45 .* 0 to 8 bits; use mu up to 0\.434"):
        require_convex(make_distortion("one-flip", 0.45), 0, 8)


@pytest.mark.parametrize("mu", [-0.01, 0.51, float("nan"), float("inf")])
@pytest.mark.parametrize("name", list(DISTORTIONS))
def test_impossible_mu_is_refused(name: str, mu: float) -> None:
    with pytest.raises(ConfigurationError, match="mu must lie in"):
        make_distortion(name, mu)


def test_models_refuse_mu_at_which_bits_are_worth_nothing() -> None:
    with pytest.raises(ConfigurationError, match=r"below 0\.25"):
        make_distortion("all-flips", 0.25)
    with pytest.raises(ConfigurationError, match=r"below 0\.5"):
        make_distortion("posterior-mean", 0.5)
    with pytest.raises(ConfigurationError, match="Did you mean 'one-flip'"):
        make_distortion("one-flop")
