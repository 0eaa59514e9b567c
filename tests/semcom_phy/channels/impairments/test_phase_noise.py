import math

import numpy as np
import pytest
from scipy.stats import kstest

from semcom_phy.channels.impairments import PHASE_NOISE_PRESETS, PhaseNoise, SampleChannel
from semcom_phy.channels.impairments.phase_noise import _root

RATE = 2e6
COUNT = 1 << 22


def carrier(noise: PhaseNoise, count: int = COUNT, rate: float = RATE, seed: int = 1) -> np.ndarray:
    return SampleChannel(receiver=(noise,)).apply(np.ones(count, np.complex64), rate, seed)


def near(f: np.ndarray, p: np.ndarray, offset: float, width: float) -> float:
    """Mean density in dB within ±`width` of both sidebands at `offset`."""
    return float(10 * np.log10(np.mean(p[np.abs(np.abs(f) - offset) <= width * offset])))


STATED = {
    "rtl-sdr": {10: -50.0, 100: -69.9, 1e3: -83.8, 1e4: -86.0, 1e5: -99.1, 1e6: -118.0},
    "good": {10: -80.0, 100: -98.8, 1e3: -104.9, 1e4: -105.0, 1e5: -108.0, 1e6: -124.9},
}


@pytest.mark.parametrize("name", PHASE_NOISE_PRESETS)
def test_presets_have_the_figures_that_are_stated(name: str) -> None:
    for offset, figure in STATED[name].items():
        assert PHASE_NOISE_PRESETS[name].density_dbc_hz(offset) == pytest.approx(figure, abs=0.06)


@pytest.mark.parametrize("name", PHASE_NOISE_PRESETS)
def test_measured_spectrum_follows_the_mask(name: str, density) -> None:
    """The phase's density and the carrier's own, at 0.3 kHz to 200 kHz, from 2 s.

    `near` averages over ±15 %: at 1 kHz, 2 sidebands · 5 bins · about 100 independent windows: 3 % or 0.15 dB. 0.6 dB
    are needed at 300 Hz, where there are 12 bins of 30 windows, and at a tenth of the sample rate.
    """
    noise = PHASE_NOISE_PRESETS[name]
    received = carrier(noise)
    phase = np.unwrap(np.angle(received.astype(np.complex128)))
    for values in (phase, received):
        # An offset must lie well outside the window's main lobe around the carrier, 4 bins of 61 Hz or 8 Hz.
        for length, offsets in ((1 << 15, (1e3, 3e3, 1e4, 3e4, 1e5, 2e5)), (1 << 18, (3e2,))):
            f, p = density(values, RATE, length)
            for offset in offsets:
                assert near(f, p, offset, 0.15) == pytest.approx(noise.density_dbc_hz(offset), abs=0.6), offset


def test_towards_nyquist_the_spectrum_is_that_of_the_warped_offset(density) -> None:
    noise = PhaseNoise(0.0, -80.0, (5e3, 5e4), (2e4,))
    phase = np.angle(carrier(noise).astype(np.complex128))
    f, p = density(phase, RATE, 1 << 14)
    for offset in (3e3, 3e4, 2e5, 5e5, 9e5):
        warped = RATE / math.pi * math.sin(math.pi * offset / RATE)
        assert near(f, p, offset, 0.05) == pytest.approx(noise.density_dbc_hz(warped), abs=0.4)


@pytest.mark.parametrize("linewidth", [20.0, 1000.0])
def test_wiener_phase_has_independent_increments_of_the_right_variance(linewidth: float) -> None:
    """Var of the increment over m samples: 2π·linewidth·m/fs; disjoint increments are Gaussian and uncorrelated."""
    phase = np.unwrap(np.angle(carrier(PhaseNoise(linewidth), 1 << 20).astype(np.complex128)))
    step = 64
    increments = np.diff(phase[::step])
    variance = 2 * math.pi * linewidth * step / RATE
    count = increments.size
    assert np.var(increments) == pytest.approx(variance, rel=4 * math.sqrt(2 / count))
    assert abs(np.mean(increments[1:] * increments[:-1])) < 4 * variance / math.sqrt(count)
    assert kstest(increments / math.sqrt(variance), "norm").pvalue > 1e-3


def test_wiener_spectrum_is_lorentzian(density) -> None:
    """|carrier|² spectrum: (Δν/2π)/(f² + (Δν/2)²), at half width, at full width and far outside."""
    linewidth = 20e3
    received = carrier(PhaseNoise(linewidth), COUNT)
    f, p = density(received, RATE, 1 << 12)
    for offset in (1e4, 2e4, 1e5, 3e5):
        lorentz = linewidth / (2 * math.pi) / (offset**2 + (linewidth / 2) ** 2)
        assert near(f, p, offset, 0.05) == pytest.approx(10 * math.log10(lorentz), abs=0.5)


def test_the_corner_is_met_exactly() -> None:
    """|1 − r·e^−jω|²/(1 − r)² = 1 + (warped f/corner)², for corners far below to far above the sample rate."""
    for corner in (1e-9, 1e-4, 0.01, 0.3, 5.0):
        r = _root(corner)
        assert 0 < r < 1
        omega = np.array([0.5e-9, 1e-4, 0.1, 1.0, math.pi])
        # 1 − r from the defining equation, because 1.0 − r has lost its digits at the lowest corner.
        rest = 2 * math.pi * corner * math.sqrt(r)
        left = (rest**2 + 4 * r * np.sin(omega / 2) ** 2) / rest**2
        right = 1 + (2 * np.sin(omega / 2) / (2 * math.pi * corner)) ** 2
        np.testing.assert_allclose(left, right, rtol=1e-9)


def test_amplitude_is_untouched_and_no_noise_is_no_change() -> None:
    received = carrier(PHASE_NOISE_PRESETS["rtl-sdr"], 50_000)
    np.testing.assert_allclose(np.abs(received), 1.0, atol=1e-6)
    assert np.array_equal(carrier(PhaseNoise(), 20_000), np.ones(20_000))
    assert PhaseNoise().density_dbc_hz(1e3) == -math.inf


def test_wiener_phase_and_mask_are_drawn_independently() -> None:
    """Together they are the product of the two alone; a white mask does not know the steps of the walk: 4/√n."""
    white, walk = PhaseNoise(0.0, -110.0), PhaseNoise(5.0)
    one, other = carrier(white, 100_000).astype(np.complex128), carrier(walk, 100_000).astype(np.complex128)
    np.testing.assert_allclose(carrier(PhaseNoise(5.0, -110.0), 100_000), one * other, atol=1e-6)
    noise, steps = np.angle(one)[1:], np.diff(np.unwrap(np.angle(other)))
    assert abs(np.corrcoef(noise, steps)[0, 1]) < 4 / math.sqrt(steps.size)
