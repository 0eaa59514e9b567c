import math

import numpy as np
import pytest
from scipy.stats import kstest

from semcom_phy.channels.impairments import AdditiveNoise, SampleChannel
from semcom_phy.modulation import MODULATIONS, hard_decisions

RATE = 1e6


def noise(impairment: AdditiveNoise, count: int = 1_000_000, seed: int = 0) -> np.ndarray:
    return SampleChannel(air=(impairment,)).apply(np.zeros(count, np.complex64), RATE, seed).astype(np.complex128)


@pytest.mark.parametrize(
    ("impairment", "power"),
    [
        (AdditiveNoise(power_db=-13.0), 10**-1.3),
        (AdditiveNoise(density_db_hz=-70.0), 1e-7 * RATE),
        (AdditiveNoise(esn0_db=5.0), 4 * 10**-0.5),
        (AdditiveNoise(esn0_db=5.0, samples_per_symbol=2.5, signal_power_db=-10.0), 2.5 * 0.1 * 10**-0.5),
    ],
)
def test_power_is_circular_and_white(impairment: AdditiveNoise, power: float) -> None:
    n, root = noise(impairment), 1000.0
    assert impairment.power(RATE) == pytest.approx(power, rel=1e-12)
    assert np.mean(np.abs(n) ** 2) == pytest.approx(power, rel=4 / root)
    assert np.mean(n.real**2) == pytest.approx(power / 2, rel=4 * math.sqrt(2) / root)
    assert abs(np.mean(n**2)) < 4 * math.sqrt(2) * power / root
    assert abs(np.mean(n)) < 4 * math.sqrt(power) / root
    for lag in (1, 2, 16_384):
        assert abs(np.mean(n[lag:] * n[:-lag].conj())) < 4.5 * power / root


def test_rails_are_gaussian() -> None:
    n = noise(AdditiveNoise(power_db=0.0), 200_000) * math.sqrt(2)
    assert kstest(n.real, "norm").pvalue > 1e-3
    assert kstest(n.imag, "norm").pvalue > 1e-3
    # The tail, too: 1e6 rails exceed 4.5σ 6.8 times on average; 0 or more than 20 have a probability below 0.1 %.
    many = noise(AdditiveNoise(power_db=0.0), 500_000, 1).view(np.float64) * math.sqrt(2)
    assert 1 <= np.count_nonzero(np.abs(many) > 4.5) <= 20


@pytest.mark.parametrize("sps", [1, 4, 8])
@pytest.mark.parametrize("gain_db", [0.0, -20.0])
def test_a_matched_filter_finds_the_esn0_asked_for(sps: int, gain_db: float) -> None:
    """Rectangular BPSK of mean power `gain_db` through its matched filter: bit error rate on the theoretical curve."""
    count, esn0_db = 200_000, 4.0
    bits = np.random.default_rng(1).integers(0, 2, count, dtype=np.uint8)
    sent = 10 ** (gain_db / 20) * np.repeat(MODULATIONS["bpsk"].modulate(bits), sps)
    channel = SampleChannel(air=(AdditiveNoise(esn0_db, sps, gain_db),))
    soft = channel.apply(sent, RATE, 3).reshape(count, sps).sum(axis=1).real
    errors = int(np.count_nonzero(hard_decisions(soft) != bits))
    expected = 0.5 * math.erfc(math.sqrt(10 ** (esn0_db / 10)))
    assert errors / count == pytest.approx(expected, abs=3.5 * math.sqrt(expected / count))
