import math

import numpy as np
import pytest

from semcom_phy.channels.rayleigh import Rayleigh
from semcom_phy.waveform.tracking import track_gain

BLOCKS = 100
CENTRES = 128.0 * np.arange(BLOCKS) + 60.0
COUNTS = np.full(BLOCKS, 8)
TOTAL = 128 * BLOCKS


def observe(gain: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    """Mean of 8 symbols around each centre, with noise."""
    means = np.array([gain[int(c) - 4 : int(c) + 4].mean() for c in CENTRES])
    return means + math.sqrt(noise / 16) * (rng.standard_normal((BLOCKS, 2)) @ np.array([1, 1j]))


def test_a_constant_is_averaged_over_all_observations() -> None:
    rng = np.random.default_rng(1)
    errors, stated = [], []
    for _ in range(300):
        gain = np.full(TOTAL, np.exp(2j * np.pi * rng.random()))
        track = track_gain(observe(gain, 2.0, rng), COUNTS, CENTRES, 2.0, TOTAL)
        errors.append(np.mean(np.abs(track.gain - gain) ** 2))
        stated.append(np.mean(track.variance))
    # The bound is N0/800 known symbols. A wrong process in a few cases costs a little.
    assert 0.9 * 2.0 / 800 < np.mean(errors) < 1.35 * 2.0 / 800
    assert np.mean(stated) == pytest.approx(np.mean(errors), rel=0.25)


@pytest.mark.parametrize(("doppler", "bound"), [(4e-5, 0.006), (4e-4, 0.03)])
def test_fading_is_followed_with_the_error_it_states(doppler: float, bound: float) -> None:
    """f_D = 10 and 100 Hz at 250 ksymbol/s, Es/N0 = 3 dB: against the error without any tracking, which is 1."""
    rng = np.random.default_rng(2)
    channel = Rayleigh(0.0, doppler_hz=doppler, symbol_rate_hz=1.0, scatterers=32)
    errors, stated = [], []
    for _ in range(60):
        gain = channel.draw_gain(TOTAL, rng)
        track = track_gain(observe(gain, 0.5, rng), COUNTS, CENTRES, 0.5, TOTAL)
        errors.append(np.mean(np.abs(track.gain - gain) ** 2))
        stated.append(np.mean(track.variance))
    assert np.mean(errors) < bound
    assert np.mean(stated) == pytest.approx(np.mean(errors), rel=0.6)


def test_phase_noise_is_followed() -> None:
    rng = np.random.default_rng(3)
    gain = np.exp(1j * np.cumsum(math.sqrt(2 * math.pi * 1e-5) * rng.standard_normal(TOTAL)))
    track = track_gain(observe(gain, 0.1, rng), COUNTS, CENTRES, 0.1, TOTAL)
    assert track.process[0] == "walk"
    assert np.mean(np.abs(track.gain - gain) ** 2) < 0.01


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_scale_does_not_matter(scale: float) -> None:
    rng = np.random.default_rng(4)
    gain = Rayleigh(0.0, doppler_hz=2e-4, symbol_rate_hz=1.0).draw_gain(TOTAL, rng)
    observed = observe(gain, 0.3, rng)
    reference = track_gain(observed, COUNTS, CENTRES, 0.3, TOTAL)
    scaled = track_gain(scale * observed, COUNTS, CENTRES, 0.3 * scale**2, TOTAL)
    np.testing.assert_allclose(scaled.gain, scale * reference.gain, rtol=1e-6)
    assert scaled.process == reference.process


@pytest.mark.filterwarnings("error")
def test_silence_and_certainty() -> None:
    zeros = np.zeros(BLOCKS, np.complex128)
    assert not np.any(track_gain(zeros, COUNTS, CENTRES, 0.0, TOTAL).gain)
    assert not np.any(track_gain(zeros, COUNTS, CENTRES, 1.0, TOTAL).gain)
    ones = track_gain(zeros + 1, COUNTS, CENTRES, 0.0, TOTAL)
    np.testing.assert_allclose(ones.gain, 1.0, atol=1e-4)
    one = track_gain(zeros[:1] + 1j, COUNTS[:1], CENTRES[:1], 1e-3, 200)
    np.testing.assert_allclose(one.gain, 1j, atol=0.02)
