"""The references themselves: against other integrals of the same laws, simulation, and batches of a known spread."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import erfc

from semcom_phy.error_rates import (
    MeasuredRate,
    awgn_bit_error_rate,
    cosines_bit_error_rate,
    measured_rate,
    rayleigh_bit_error_rate,
    waves_bit_error_rate,
)
from semcom_phy.errors import ConfigurationError

Law = Callable[[float, int], float]
SNRS = [0.1, 1.0, 3.16, 10.0, 100.0, 1000.0]


@pytest.mark.parametrize("snr", SNRS)
@pytest.mark.parametrize(("law", "share"), [(waves_bit_error_rate, 1 / 2), (cosines_bit_error_rate, 3 / 8)])
def test_many_waves_are_rayleigh(snr: float, law: Law, share: float) -> None:
    ideal = rayleigh_bit_error_rate(snr)
    assert law(snr, 10_000) == pytest.approx(ideal, rel=1 / 10_000)
    # The density at zero is lower by 1/(2N) and by 3/(8N): that is what counts at high SNR.
    if snr >= 100:
        assert 1 - law(snr, 64) / ideal == pytest.approx(share / 64, rel=0.06)


@pytest.mark.parametrize("snr", SNRS)
@pytest.mark.parametrize(("law", "share"), [(waves_bit_error_rate, 1.0), (cosines_bit_error_rate, 3 / 4)])
def test_few_waves_follow_the_expansion_in_their_number(snr: float, law: Law, share: float) -> None:
    """E|h|⁴ = 2 − share/N moves the density of |h|² to e^−x·(1 − share·L₂(x)/(2N)) and terms of 1/N²."""
    waves = 32

    def density(x: float) -> float:
        return math.exp(-x) * (1 - share * (1 - 2 * x + x**2 / 2) / (2 * waves))

    expected = sum(quad(lambda x: 0.5 * erfc(math.sqrt(snr * x)) * density(x), *span)[0] for span in ((0, 1), (1, 40)))
    assert law(snr, waves) == pytest.approx(expected, rel=1 / waves**2)


@pytest.mark.parametrize("law", [waves_bit_error_rate, cosines_bit_error_rate])
def test_simulated_phases_give_the_same(law: Law) -> None:
    rng = np.random.default_rng(12)
    waves, draws, snr = 8, 1_000_000, 30.0
    first, second = rng.uniform(0, 2 * np.pi, (2, draws, waves))
    if law is waves_bit_error_rate:
        second = first
    power = (np.cos(first).sum(axis=1) ** 2 + np.sin(second).sum(axis=1) ** 2) / waves
    given = 0.5 * erfc(np.sqrt(snr * power))
    expected = law(snr, waves)
    deviation = np.std(given) / math.sqrt(draws)
    assert np.mean(given) == pytest.approx(expected, abs=3 * deviation)
    assert 6 * deviation < rayleigh_bit_error_rate(snr) - expected  # it would not take Rayleigh for this law


def test_too_few_waves_are_refused() -> None:
    for law in (waves_bit_error_rate, cosines_bit_error_rate):
        with pytest.raises(ConfigurationError, match="8 waves or more"):
            law(1.0, 7)


@pytest.mark.parametrize(("modulation", "bits"), [("bpsk", 1), ("qpsk", 2), ("16qam", 4)])
def test_awgn_error_rates_are_those_of_nearest_symbols(modulation: str, bits: int) -> None:
    """Nearest of the levels of one dimension, counted level by level; the labels are written out here."""
    snr = 2.0
    labels = {1: {-1.0: "0", 1.0: "1"}, 2: {-3.0: "01", -1.0: "00", 1.0: "10", 3.0: "11"}}[1 if bits < 4 else 2]
    energy = np.mean([level**2 for level in labels]) * (1 if bits == 1 else 2)
    scale = math.sqrt(snr / energy)  # N0 = 1
    edges = [-math.inf, *(scale * (a + b) / 2 for a, b in pairwise(labels)), math.inf]

    def below(x: float, mean: float) -> float:
        return 0.5 * erfc(-(x - mean))

    wrong = 0.0
    for sent, label in labels.items():
        for (low, high), other in zip(pairwise(edges), labels.values(), strict=True):
            chance = below(high, scale * sent) - below(low, scale * sent)
            wrong += chance * sum(a != b for a, b in zip(label, other, strict=True))
    expected = wrong / (len(labels) * len(labels[1.0]))
    assert awgn_bit_error_rate(modulation, snr) == pytest.approx(expected, rel=1e-12)


def test_other_modulations_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="8psk"):
        awgn_bit_error_rate("8psk", 1.0)


def test_independent_bits_have_the_binomial_deviation() -> None:
    rng = np.random.default_rng(3)
    errors = rng.binomial(5000, 0.1, 400)
    measured = measured_rate(errors.tolist(), [5000] * 400)
    assert measured.bits == 2_000_000
    assert measured.rate == pytest.approx(0.1, abs=0.001)
    assert measured.deviation == pytest.approx(math.sqrt(0.1 * 0.9 / 2e6), rel=0.1)


def test_batches_that_fade_deviate_as_much_as_they_do() -> None:
    """Rates that differ from batch to batch and batches of unequal size: the spread of the rate over many repeats."""
    rng = np.random.default_rng(4)
    sizes = [1000, 2000, 4000] * 10

    def repeat() -> MeasuredRate:
        return measured_rate(rng.binomial(sizes, rng.uniform(0.05, 0.15, len(sizes))).tolist(), sizes)

    repeats = [repeat() for _ in range(500)]
    spread = np.std([one.rate for one in repeats])
    assert np.sqrt(np.mean([one.deviation**2 for one in repeats])) == pytest.approx(spread, rel=0.1)
    assert spread > 3 * math.sqrt(0.1 * 0.9 / sum(sizes))


def test_distance_counts_both_deviations() -> None:
    first = measured_rate([10, 14], [100, 100])
    second = measured_rate([20, 20], [100, 100])
    assert first.rate == pytest.approx(0.12)
    assert first.deviation == pytest.approx(0.02)  # std of 0.10, 0.14 with one degree of freedom, by √2
    assert second.deviation == 0.0
    assert first.apart(second) == pytest.approx(4.0)
    assert first.apart(0.12) == pytest.approx(0.0, abs=1e-9)
    assert second.apart(0.2) == 0.0
    assert second.apart(0.3) == math.inf


@pytest.mark.parametrize(("errors", "bits"), [([1], [10]), ([1, 2], [10]), ([1, 2], [10, 0]), ([1, 11], [10, 10])])
def test_counts_that_do_not_fit_are_refused(errors: list[int], bits: list[int]) -> None:
    with pytest.raises(ConfigurationError):
        measured_rate(errors, bits)
