import math

import numpy as np
import pytest
from scipy.special import j0
from scipy.stats import kstest

from semcom_phy.channels.impairments import JakesFading, SampleChannel
from semcom_phy.channels.impairments.fading import FadingGain, _grid_spacing

DOPPLER = 10.0
RATE = 1e6


def gains(count: int, seed: int, doppler: float = DOPPLER, rate: float = RATE, scatterers: int = 32) -> np.ndarray:
    channel = SampleChannel(air=(JakesFading(doppler, scatterers),))
    return channel.apply(np.ones(count, np.complex64), rate, seed).astype(np.complex128)


@pytest.fixture(scope="module")
def realisations() -> np.ndarray:
    """3000 realisations, 65 ms each at steps of 2 ms: 0.65 of a Doppler cycle, beyond the minimum of J0."""
    rng = np.random.default_rng(12)
    return np.array([FadingGain(DOPPLER, 32, RATE, rng).source().take(65_000)[::2000] for _ in range(3000)])


def test_autocorrelation_is_that_of_jakes(realisations: np.ndarray) -> None:
    """E[h(t)·h*(t+τ)] = J0(2π·f_D·τ): the mean of 3000 products of variance ≤ 1 errs by less than 4/√3000."""
    for origin in (0, 11):
        lag = np.arange(realisations.shape[1] - origin)
        measured = np.mean(realisations[:, origin + lag] * realisations[:, [origin]].conj(), axis=0)
        expected = j0(2 * np.pi * DOPPLER * lag * 2000 / RATE)
        assert np.abs(measured - expected).max() < 4 / math.sqrt(len(realisations))
        if origin == 0:
            assert expected.min() < -0.4


def test_amplitude_is_rayleigh(realisations: np.ndarray) -> None:
    """Kolmogorov–Smirnov: 1 % critical value plus the known deviation of 32 waves, 0.231/(2·32)."""
    for column in (0, 20):
        envelope = np.abs(realisations[:, column])
        distance = kstest(envelope, lambda r: 1 - np.exp(-(r**2))).statistic
        assert distance < 1.63 / math.sqrt(envelope.size) + 0.231 / 64
        phase = np.angle(realisations[:, column])
        assert kstest(phase, "uniform", args=(-np.pi, 2 * np.pi)).pvalue > 1e-3


def test_the_stage_multiplies_by_the_gain(gaussian) -> None:
    sent = gaussian(70_000)
    received = SampleChannel(air=(JakesFading(100.0),)).apply(sent, RATE, 3)
    np.testing.assert_allclose(received, sent * gains(70_000, 3, 100.0), atol=3e-6)


def test_mean_power_is_one(realisations: np.ndarray) -> None:
    for column in (0, 32):
        power = np.mean(np.abs(realisations[:, column]) ** 2)
        assert power == pytest.approx(1.0, abs=4 / math.sqrt(len(realisations)))


@pytest.mark.parametrize("doppler", [0.0, 10.0, 123.4, 5e3, 2e5])
def test_the_gain_is_one_continuous_sum_of_waves(doppler: float) -> None:
    """Against the formula with the same draws, over block boundaries: −78 dB where the gain is interpolated."""
    waves, count = 16, 200_000
    block = FadingGain(doppler, waves, RATE, np.random.default_rng(4)).source().take(count)
    rng = np.random.default_rng(4)
    arrival, phase = rng.uniform(0, 2 * np.pi, waves), rng.uniform(0, 2 * np.pi, waves)
    n = np.concatenate([np.arange(0, count, 997), np.arange(65_500, 65_570), np.arange(131_050, 131_100)])
    direct = np.exp(1j * (2 * np.pi * doppler / RATE * np.outer(n, np.cos(arrival)) + phase)).sum(axis=1) / 4
    assert np.abs(block[n] - direct).max() < 10 ** (-78 / 20) * math.sqrt(waves)


def test_the_spectrum_ends_at_the_doppler_frequency(density) -> None:
    f, p = density(gains(1 << 18, 1, doppler=1000.0, rate=1e5), 1e5, 1 << 14)
    assert p[np.abs(f) > 1050].sum() < 1e-7 * p.sum()
    assert p[(np.abs(f) > 800) & (np.abs(f) < 1010)].sum() > 0.05 * p.sum()


def test_zero_doppler_is_one_constant_gain_per_stream() -> None:
    first, second = gains(70_000, 1, doppler=0.0), gains(70_000, 2, doppler=0.0)
    assert np.ptp(first.real) == np.ptp(first.imag) == 0
    assert abs(first[0] - second[0]) > 1e-3


def test_grid_spacing_bounds_the_interpolation_error() -> None:
    assert _grid_spacing(0.0) == 4096
    assert _grid_spacing(0.5) == 1
    for cycles in np.geomspace(1e-9, 0.004, 30):
        spacing = _grid_spacing(cycles)
        assert (2 * math.pi * cycles * spacing) ** 2 / 8 <= 1e-4
        assert spacing == 4096 or (2 * math.pi * cycles * 2 * spacing) > 0.028
