import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from semcom_phy.channels.bsc import Bsc, equivalent_noise_variance
from semcom_phy.errors import ConfigurationError
from semcom_phy.modulation import LLR_LIMIT, MODULATIONS, hard_decisions

BPSK = MODULATIONS["bpsk"]


@pytest.mark.parametrize("probability", [0.001, 0.01, 0.1, 0.3, 0.5])
@pytest.mark.parametrize("bit", [0, 1])
def test_flip_rate_is_binomial_for_either_bit(probability: float, bit: int) -> None:
    bits = np.full(200_000, bit, dtype=np.uint8)
    output = Bsc(probability).transmit(BPSK.modulate(bits), np.random.default_rng(7 + bit))
    flips = int(np.count_nonzero(output.received.real != 2 * bit - 1))
    assert binomtest(flips, bits.size, probability).pvalue > 1e-3
    assert output.flip_probability == probability


def test_flips_are_independent() -> None:
    output = Bsc(0.3).transmit(np.ones(200_000), np.random.default_rng(1))
    flips = (output.received.real < 0) - 0.3
    assert abs(np.mean(flips[1:] * flips[:-1])) < 4 * 0.3 * 0.7 / math.sqrt(flips.size)


@pytest.mark.parametrize("probability", [1e-300, 1e-6, 0.01, 0.1, 0.25, 0.4, 0.499999])
def test_llr_is_the_log_odds_of_a_flip(probability: float) -> None:
    bits = np.tile([0, 1], 500).astype(np.uint8)
    output = Bsc(probability).transmit(BPSK.modulate(bits), np.random.default_rng(3))
    llrs = BPSK.demap(output.received, output.gain, output.noise_variance)
    expected = math.log((1 - probability) / probability)
    np.testing.assert_allclose(llrs, output.received.real * expected, rtol=1e-6, atol=1e-15)
    assert set(output.received) == {1, -1}


def test_a_channel_without_flips_gives_the_bound() -> None:
    bits = np.tile([0, 1, 1], 100).astype(np.uint8)
    output = Bsc(0.0).transmit(BPSK.modulate(bits), np.random.default_rng(3))
    llrs = BPSK.demap(output.received, output.gain, output.noise_variance)
    assert np.array_equal(hard_decisions(llrs), bits)
    assert np.all(np.abs(llrs) == LLR_LIMIT)


def test_a_channel_of_coin_tosses_gives_no_information() -> None:
    output = Bsc(0.5).transmit(np.ones(1000), np.random.default_rng(3))
    assert output.noise_variance == math.inf
    assert not np.any(BPSK.demap(output.received, output.gain, output.noise_variance))


@given(st.floats(0, 0.5))
def test_equivalent_noise_grows_from_zero_to_infinity(probability: float) -> None:
    n0 = equivalent_noise_variance(probability)
    assert n0 >= 0
    assert n0 <= equivalent_noise_variance(min(0.5, probability * 1.01 + 1e-12))


@pytest.mark.parametrize("symbols", [[0.5], [1j], [1 + 1j], [0.0], [2.0]])
def test_only_bpsk_symbols_are_carried(symbols: list) -> None:
    with pytest.raises(ConfigurationError, match="BPSK"):
        Bsc(0.1).transmit(symbols, np.random.default_rng(0))
