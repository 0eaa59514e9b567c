import numpy as np
import pytest
from scipy.special import j0

from semcom_phy.channels.impairments import MULTIPATH_PROFILES, Multipath, SampleChannel

RATE = 10e6


def apply(multipath: Multipath, samples: np.ndarray, rate: float = RATE, seed: int = 0) -> np.ndarray:
    return SampleChannel(air=(multipath,)).apply(samples, rate, seed)


def test_whole_delays_are_a_convolution(gaussian) -> None:
    sent = gaussian(40_000)
    multipath = Multipath((0, 3, 7), (0, -3, -6), (0, 90, -45), "samples", normalize=False)
    taps = np.zeros(8, complex)
    taps[[0, 3, 7]] = [1, 10**-0.15 * 1j, 10**-0.3 * np.exp(-0.25j * np.pi)]
    received = apply(multipath, sent)
    assert received.size == sent.size + 7
    np.testing.assert_allclose(received, np.convolve(sent, taps), atol=3e-6)


@pytest.mark.parametrize("name", MULTIPATH_PROFILES)
@pytest.mark.parametrize("frequency", [-3.9e6, 0.0, 1.234e6])
def test_the_transfer_function_is_that_of_the_paths(name: str, frequency: float) -> None:
    """A tone within 0.8 of the Nyquist frequency meets H(f) = Σ a_i·e^−j2πfτ_i, to −85 dB of the paths' amplitudes."""
    multipath = Multipath(**MULTIPATH_PROFILES[name])
    delay = np.array(multipath.delay) / (1 if multipath.delay_unit == "s" else RATE)
    gain = 10 ** (np.array(multipath.gain_db) / 20) * np.exp(1j * np.radians(multipath.phase_deg))
    gain /= np.sqrt(np.sum(np.abs(gain) ** 2))
    expected = np.sum(gain * np.exp(-2j * np.pi * frequency * delay))
    tone = np.exp(2j * np.pi * frequency / RATE * np.arange(3000))
    inner = slice(200, 2900)
    received = apply(multipath, tone)
    assert np.abs(received[inner] / tone[inner] - expected).max() < 10 ** (-85 / 20) * np.abs(gain).sum()


def test_mean_power_of_a_white_signal_is_kept(gaussian) -> None:
    sent = gaussian(200_000)
    received = apply(Multipath((0, 2, 9), (0, -3, -6), delay_unit="samples"), sent)
    assert np.mean(np.abs(received) ** 2) == pytest.approx(1.0, rel=4 * np.sqrt(3 / sent.size))


def test_a_single_delayed_path_is_a_delay(gaussian) -> None:
    sent = gaussian(100)
    received = apply(Multipath((2e-6,), (0.0,)), sent)
    np.testing.assert_allclose(received[20:], sent, atol=1e-6)
    assert received.size == 120
    assert not np.any(received[:20])


def test_profiles_are_those_of_the_standards() -> None:
    """Root-mean-square delay spreads as published: ITU 35, 45, 370 ns; EPA 45, EVA 357, ETU 991 ns."""
    published = {"indoor": 35, "pedestrian": 45, "vehicular": 370, "epa": 45, "eva": 357, "etu": 991}
    for name, spread_ns in published.items():
        multipath = Multipath(**MULTIPATH_PROFILES[name])
        power, delay = 10 ** (np.array(multipath.gain_db) / 10), np.array(multipath.delay) * 1e9
        power /= power.sum()
        spread = np.sqrt(np.sum(power * delay**2) - np.sum(power * delay) ** 2)
        assert spread == pytest.approx(spread_ns, abs=2.5), name


def test_fading_paths_are_independent_with_the_profile_s_powers() -> None:
    """Impulses 100 samples apart sound out the two paths; 4σ over 600 seeds."""
    doppler, rate, seeds = 50.0, 1e6, 600
    multipath = Multipath((0, 5), (0, -6), delay_unit="samples", doppler_hz=doppler)
    lag = 7600  # 7.6 ms: 2π·f_D·τ = 2.39, just before the first zero of J0; twice that lies at 4.78, where J0 is −0.24
    sent = np.zeros(3 * lag, np.complex64)
    sent[[0, lag, 2 * lag]] = 1
    paths = np.array([apply(multipath, sent, rate, seed)[[0, 5, lag, 2 * lag]] for seed in range(seeds)])
    first, second = 1 / (1 + 10**-0.6), 10**-0.6 / (1 + 10**-0.6)
    bound = 4 / np.sqrt(seeds)
    assert np.mean(np.abs(paths[:, 0]) ** 2) == pytest.approx(first, rel=bound)
    assert np.mean(np.abs(paths[:, 1]) ** 2) == pytest.approx(second, rel=bound)
    assert abs(np.mean(paths[:, 0] * paths[:, 1].conj())) < bound * np.sqrt(first * second)
    for column, m in ((2, 1), (3, 2)):
        correlation = np.mean(paths[:, column] * paths[:, 0].conj()) / first
        assert abs(correlation - j0(2 * np.pi * doppler * m * lag / rate)) < bound


def test_a_static_channel_is_the_limit_without_doppler(gaussian) -> None:
    """No Doppler means no fading either, not a random constant gain."""
    sent = gaussian(1000)
    multipath = Multipath((0, 4), (0, -3), delay_unit="samples")
    assert np.array_equal(apply(multipath, sent, seed=1), apply(multipath, sent, seed=2))
