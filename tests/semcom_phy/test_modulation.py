import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcom_phy.channels.awgn import Awgn
from semcom_phy.channels.rayleigh import Rayleigh
from semcom_phy.errors import ConfigurationError
from semcom_phy.modulation import LLR_LIMIT, MODULATIONS, hard_decisions

BPSK = MODULATIONS["bpsk"]
FINITE = st.floats(-1e3, 1e3)


def test_bit_one_is_plus_one() -> None:
    symbols = BPSK.modulate(np.array([1, 0, 0, 1], dtype=np.uint8))
    assert symbols.dtype == np.complex128
    assert symbols.tolist() == [1, -1, -1, 1]
    assert (BPSK.name, BPSK.bits_per_symbol) == ("bpsk", 1)


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_symbol_type_is_the_one_asked_for(dtype: type) -> None:
    assert BPSK.modulate([0, 1], dtype=dtype).dtype == dtype


@pytest.mark.parametrize("bits", [[0, 2], [-1, 1], [0.5, 1], [[0, 1]], [math.nan, 0]])
def test_only_bits_are_modulated(bits: list) -> None:
    with pytest.raises(ConfigurationError, match="bits must be"):
        BPSK.modulate(bits)


@pytest.mark.parametrize("dtype", [np.float64, np.uint8, np.float32])
def test_symbols_are_complex(dtype: type) -> None:
    with pytest.raises(ConfigurationError, match="complex"):
        BPSK.modulate([0, 1], dtype=dtype)


@given(st.lists(st.integers(0, 1), max_size=64))
def test_noiseless_round_trip(bits: list[int]) -> None:
    llrs = BPSK.demap(BPSK.modulate(bits), 1.0, 0.5)
    assert llrs.dtype == np.float32
    assert hard_decisions(llrs).dtype == np.uint8
    assert hard_decisions(llrs).tolist() == bits


@given(FINITE, FINITE, FINITE, FINITE, st.floats(0.5, 1e3))
def test_llr_is_the_difference_of_the_two_log_likelihoods(
    yr: float, yi: float, hr: float, hi: float, n0: float
) -> None:
    y, h = complex(yr, yi), complex(hr, hi)
    expected = (abs(y + h) ** 2 - abs(y - h) ** 2) / n0
    bounded = min(max(expected, -LLR_LIMIT), LLR_LIMIT)
    # The two squares cancel, which costs the reference 1e-16 of their size; LLRs are float32, which ends at 1e-38.
    tolerance = 1e-6 * abs(bounded) + 1e-15 * (abs(y) + abs(h)) ** 2 / n0 + 1e-37
    assert BPSK.demap([y], h, n0)[0] == pytest.approx(bounded, abs=tolerance)


def test_equalised_symbols_give_the_llrs_of_raw_ones() -> None:
    rng = np.random.default_rng(1)
    y, h = rng.standard_normal((2, 1000, 2)).view(np.complex128)[..., 0]
    raw = BPSK.demap(y, h, 0.7)
    equalised = BPSK.demap(y / h, 1.0, 0.7 / np.abs(h) ** 2)
    np.testing.assert_allclose(equalised, raw, rtol=1e-5)
    assert np.abs(raw).max() < LLR_LIMIT


def test_no_noise_is_certainty_within_the_bound() -> None:
    assert BPSK.demap([0.3, -1e-12, 0.0, 5.0j], 1.0, 0.0).tolist() == [LLR_LIMIT, -LLR_LIMIT, 0.0, 0.0]


@pytest.mark.parametrize("n0", [0.0, 5e-324, 1e-300, 1e-3, 1.0, 1e300, math.inf])
@pytest.mark.parametrize("size", [0.0, 5e-324, 1e-30, 1.0, 1e30, 1e150])
@pytest.mark.filterwarnings("error")
def test_llrs_are_finite_bounded_and_keep_their_sign(n0: float, size: float) -> None:
    llrs = BPSK.demap([size, -size], 1.0, n0)
    assert np.all(np.abs(llrs) <= LLR_LIMIT)
    assert llrs[0] >= 0 >= llrs[1]
    assert llrs[0] == -llrs[1]


def test_infinite_noise_and_zero_gain_carry_no_information() -> None:
    assert BPSK.demap([1.0, -1.0], 1.0, math.inf).tolist() == [0.0, 0.0]
    assert BPSK.demap([1.0, -1.0], [0.0, 0.0], 0.0).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("received", "gain", "n0", "message"),
    [
        ([math.nan], 1.0, 1.0, "finite"),
        ([math.inf], 1.0, 1.0, "finite"),
        ([1.0], math.nan, 1.0, "finite"),
        ([1.0], 1.0, -0.1, "noise_variance"),
        ([1.0], 1.0, math.nan, "noise_variance"),
        ([1.0, 2.0], [1.0, 1.0, 1.0], 1.0, "channel_gain"),
        ([1.0, 2.0], 1.0, [1.0], "noise_variance"),
        ([[1.0]], 1.0, 1.0, "one-dimensional"),
    ],
)
def test_bad_observations_are_refused(received: list, gain: npt.ArrayLike, n0: npt.ArrayLike, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        BPSK.demap(received, gain, n0)


@pytest.mark.parametrize("channel_name", ["awgn", "rayleigh"])
@pytest.mark.parametrize("snr_db", [-3.0, 2.0])
def test_llrs_are_calibrated(channel_name: str, snr_db: float) -> None:
    """Of the bits whose LLR is L, a share 1/(1 + exp(−L)) must be ones.

    In every bin the number of ones is a sum of Bernoulli variables whose probabilities the LLRs state,
    so its deviation is known; 24 bins are compared at 4σ (false alarm 0.2 % for a fresh seed).
    The sampled fading is so fast (see test_rayleigh) that the samples of a bin are uncorrelated.
    """
    rng = np.random.default_rng(20)
    channel = Awgn(snr_db) if channel_name == "awgn" else Rayleigh(snr_db, doppler_hz=1e9, symbol_rate_hz=1e3)
    bits, llrs = [], []
    for _ in range(40):
        sent = rng.integers(0, 2, 10_000, dtype=np.uint8)
        output = channel.transmit(BPSK.modulate(sent), rng)
        bits.append(sent)
        llrs.append(BPSK.demap(output.received, output.gain, output.noise_variance))
    b, llr = np.concatenate(bits), np.concatenate(llrs).astype(np.float64)
    stated = 1 / (1 + np.exp(-llr))
    edges = np.linspace(-6, 6, 25)
    for low, high in itertools.pairwise(edges):
        inside = (llr >= low) & (llr < high)
        assert inside.sum() > 500
        p = stated[inside]
        score = (b[inside].sum() - p.sum()) / math.sqrt(np.sum(p * (1 - p)))
        assert abs(score) < 4, f"LLRs from {low} to {high} are off by {score:.1f} σ"


ALL = ["bpsk", "qpsk", "16qam"]


def all_words(name: str) -> np.ndarray:
    """Every group of bits of a symbol, one per row."""
    return np.array(list(itertools.product([0, 1], repeat=MODULATIONS[name].bits_per_symbol)), np.uint8)


@pytest.mark.parametrize("name", ALL)
def test_constellation_has_unit_energy_and_gray_neighbours(name: str) -> None:
    words = all_words(name)
    points = MODULATIONS[name].modulate(words.reshape(-1))
    assert np.mean(np.abs(points) ** 2) == pytest.approx(1.0)
    assert np.mean(points) == pytest.approx(0.0)
    distance = np.abs(points[:, None] - points)
    nearest = np.min(distance[distance > 1e-9])
    for i, j in zip(*np.nonzero(np.abs(distance - nearest) < 1e-9), strict=True):
        assert np.count_nonzero(words[i] != words[j]) == 1


def test_mapping_is_that_of_ts_36_211_with_bit_one_positive() -> None:
    """Tables 7.1.2-1 and 7.1.3-1 with every bit inverted where it is a sign."""
    assert MODULATIONS["qpsk"].modulate([1, 0]) == pytest.approx(np.array([1 - 1j]) / math.sqrt(2))
    assert MODULATIONS["16qam"].modulate([1, 0, 0, 1]) == pytest.approx(np.array([1 - 3j]) / math.sqrt(10))
    assert MODULATIONS["16qam"].modulate([0, 1, 1, 0]) == pytest.approx(np.array([-3 + 1j]) / math.sqrt(10))


@pytest.mark.parametrize("name", ALL)
@given(yr=FINITE, yi=FINITE, hr=FINITE, hi=FINITE, n0=st.floats(0.5, 1e3))
def test_llrs_are_exact(name: str, yr: float, yi: float, hr: float, hi: float, n0: float) -> None:
    """Against the definition: likelihoods summed over all points, bit by bit."""
    words, y, h = all_words(name), complex(yr, yi), complex(hr, hi)
    exponents = -(np.abs(y - h * MODULATIONS[name].modulate(words.reshape(-1))) ** 2) / n0
    llrs = MODULATIONS[name].demap([y], h, n0)
    for number in range(words.shape[1]):
        ones = words[:, number] == 1
        expected = np.logaddexp.reduce(exponents[ones]) - np.logaddexp.reduce(exponents[~ones])
        bounded = min(max(expected, -LLR_LIMIT), LLR_LIMIT)
        tolerance = 1e-6 * abs(bounded) + 1e-14 * (abs(y) + 2 * abs(h)) ** 2 / n0 + 1e-6
        assert llrs[number] == pytest.approx(bounded, abs=tolerance)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.filterwarnings("error")
def test_llrs_are_finite_at_the_limits(name: str) -> None:
    modulation = MODULATIONS[name]
    words = all_words(name).reshape(-1)
    points = modulation.modulate(words)
    for n0 in (0.0, 5e-324, 1e-300, 1e-12):
        llrs = modulation.demap(points, 1.0, n0)
        assert hard_decisions(llrs).tolist() == words.tolist()
        assert np.all(np.abs(llrs) == LLR_LIMIT)
    for gain, n0 in ((1.0, math.inf), (0.0, 1.0), (0.0, 0.0)):
        assert not modulation.demap(points, gain, n0).any()
    assert np.all(np.isfinite(modulation.demap(points * 1e150, 1.0, 1e-300)))
    for bad in ([math.nan], [math.inf]):
        with pytest.raises(ConfigurationError, match="finite"):
            modulation.demap(bad, 1.0, 1.0)


@pytest.mark.parametrize(("name", "count"), [("qpsk", 3), ("16qam", 6)])
def test_bits_have_to_fill_symbols(name: str, count: int) -> None:
    with pytest.raises(ConfigurationError, match="fill"):
        MODULATIONS[name].modulate([0] * count)


@pytest.mark.parametrize("name", ["qpsk", "16qam"])
def test_uncoded_error_rate_is_the_textbook_one(name: str) -> None:
    """Proakis: QPSK ½·erfc(√(Eb/N0)); 16-QAM with Gray mapping, exact average over its two kinds of bits."""
    rng = np.random.default_rng(3)
    modulation = MODULATIONS[name]
    for esn0_db in (3.0, 8.0):
        n0 = 10 ** (-esn0_db / 10)
        bits = rng.integers(0, 2, 4 * 100_000, dtype=np.uint8)
        symbols = modulation.modulate(bits)
        noise = rng.standard_normal((symbols.size, 2)) @ [1, 1j] * math.sqrt(n0 / 2)
        errors = np.count_nonzero(hard_decisions(modulation.demap(symbols + noise, 1.0, n0)) != bits)

        def q(x: float) -> float:
            return 0.5 * math.erfc(x / math.sqrt(2))

        if name == "qpsk":
            rate = q(math.sqrt(1 / n0))
        else:
            d = math.sqrt(0.2 / n0)
            rate = 0.25 * (3 * q(d) + 2 * q(3 * d) - q(5 * d))
        assert abs(errors - rate * bits.size) < 4 * math.sqrt(rate * bits.size)
