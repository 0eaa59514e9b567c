import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import trapezoid

from semcom_phy.errors import ConfigurationError
from semcom_phy.waveform.pulse import (
    INTERPOLATION_PHASES,
    Waveform,
    interpolation_bank,
    raised_cosine,
    rrc_pulse,
    rrc_taps,
)


@given(st.sampled_from([0.05, 0.2, 0.25, 0.35, 0.5, 1.0]))
def test_pulse_is_the_inverse_transform_of_its_spectrum(roll_off: float) -> None:
    """Root of the raised-cosine spectrum, integrated numerically, also at the formula's singular points."""
    t = np.array([0.0, 0.13, 0.5, 1 / (4 * roll_off), 1.0, 2.7])
    edge = (1 + roll_off) / 2
    f = np.linspace(-edge, edge, 400_001)
    inner = np.abs(f) <= (1 - roll_off) / 2
    shape = np.where(inner, 1.0, 0.5 * (1 + np.cos(np.pi / roll_off * (np.abs(f) - (1 - roll_off) / 2))))
    expected = [trapezoid(np.sqrt(shape) * np.cos(2 * np.pi * f * x), f) for x in t]
    np.testing.assert_allclose(rrc_pulse(t, roll_off), expected, atol=1e-6)


@pytest.mark.parametrize("sps", [2, 3, 4, 7, 16])
def test_two_pulses_make_a_nyquist_pulse(sps: int) -> None:
    taps = rrc_taps(sps, 0.35, 16)
    assert np.sum(taps**2) == pytest.approx(1.0)
    both = np.convolve(taps, taps)
    middle = both.size // 2
    times = np.arange(-4 * sps, 4 * sps + 1)
    np.testing.assert_allclose(both[middle + times], raised_cosine(times / sps, 0.35), atol=2e-3)
    assert np.abs(both[middle + sps * np.array([-3, -2, -1, 1, 2, 3])]).max() < 1e-3


@pytest.mark.parametrize("roll_off", [0.25, 0.35, 0.5, 1.0])
def test_raised_cosine_at_its_singular_point(roll_off: float) -> None:
    around = raised_cosine(1 / (2 * roll_off) + np.array([-1e-4, 0.0, 1e-4]), roll_off)
    assert around[1] == pytest.approx((around[0] + around[2]) / 2, abs=1e-6)
    assert raised_cosine(0.0, roll_off) == pytest.approx(1.0)


def test_interpolation_bank_delays_by_fractions_of_a_sample() -> None:
    waveform = Waveform()
    bank = interpolation_bank(waveform)
    assert bank.shape == (INTERPOLATION_PHASES + 1, 65)
    np.testing.assert_allclose(bank[0], waveform.taps(), atol=1e-7)
    np.testing.assert_allclose(bank[-1][1:], bank[0][:-1], atol=1e-7)
    np.testing.assert_allclose(bank[16], rrc_taps(4, 0.35, 8, 0.25), atol=1e-7)


@pytest.mark.parametrize(
    "bad",
    [
        {"samples_per_symbol": 1},
        {"samples_per_symbol": 17},
        {"samples_per_symbol": 4.0},
        {"samples_per_symbol": True},
        {"roll_off": 0.0},
        {"roll_off": float("nan")},
        {"span_symbols": 3},
        {"sample_rate_hz": 0.0},
    ],
)
def test_bad_waveforms_are_refused(bad: dict) -> None:
    with pytest.raises(ConfigurationError):
        Waveform(**bad)


def test_symbol_rate() -> None:
    assert Waveform().symbol_rate_hz == 250_000
