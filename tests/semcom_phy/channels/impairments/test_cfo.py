from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcom_phy.channels.impairments import CarrierFrequencyOffset, SampleChannel
from semcom_phy.channels.impairments.oscillator import chirp


def exact(cfo: float, drift: float, phase_deg: float, rate: float, n: np.ndarray) -> np.ndarray:
    """Phases in rational arithmetic, reduced modulo one cycle before they become floating point."""
    cycles = []
    for k in n.tolist():
        t = Fraction(k) / Fraction(rate)
        cycles.append(float((Fraction(cfo) * t + Fraction(drift) * t * t / 2) % 1))
    return np.exp(2j * np.pi * (np.array(cycles) + phase_deg / 360))


@pytest.mark.parametrize("cfo", [0.0, 5000.0, -123456.789, 499_999.0, 0.001, 3.7e6])
@pytest.mark.parametrize("drift", [0.0, 1e3, -2.5e7])
def test_rotation_is_exact(cfo: float, drift: float) -> None:
    impairment = CarrierFrequencyOffset(cfo, drift, 33.0)
    received = SampleChannel(receiver=(impairment,)).apply(np.ones(300_000), 1e6, 0)
    n = np.array([0, 1, 2, 1000, 16_383, 16_384, 16_385, 123_456, 299_999])
    np.testing.assert_allclose(received[n], exact(cfo, drift, 33.0, 1e6, n), atol=3e-7)


@given(
    st.integers(0, 10**13),
    st.fractions(-1, 1, max_denominator=10**9),
    st.fractions(Fraction(-1, 10**6), Fraction(1, 10**6), max_denominator=10**12),
)
def test_phase_stays_exact_for_ever(start: int, frequency: Fraction, drift: Fraction) -> None:
    values = chirp(frequency, drift, start, 5)
    for k in range(5):
        n = start + k
        cycles = float((frequency * n + drift * n * n / 2) % 1)
        assert abs(values[k] - np.exp(2j * np.pi * cycles)) < 3e-7


def test_a_positive_offset_raises_the_frequency() -> None:
    n = np.arange(10_000)
    sent = np.exp(2j * np.pi * 0.01 * n)
    received = SampleChannel(receiver=(CarrierFrequencyOffset(20_000.0),)).apply(sent, 1e6, 0)
    assert np.argmax(np.abs(np.fft.fft(received))) == 300


def test_instantaneous_frequency_drifts_linearly() -> None:
    rate, drift = 1e5, 2000.0
    received = SampleChannel(receiver=(CarrierFrequencyOffset(100.0, drift),)).apply(np.ones(200_000), rate, 0)
    frequency = np.angle(received[1:] * received[:-1].conj()).astype(float) * rate / (2 * np.pi)
    t = (np.arange(frequency.size) + 0.5) / rate
    slope, start = np.polyfit(t, frequency, 1)
    assert slope == pytest.approx(drift, rel=1e-4)
    assert start == pytest.approx(100.0, abs=0.05)


def test_power_is_kept(gaussian) -> None:
    sent = gaussian(50_000)
    received = SampleChannel(receiver=(CarrierFrequencyOffset(777.0, 5.0),)).apply(sent, 1e6, 0)
    np.testing.assert_allclose(np.abs(received), np.abs(sent), rtol=1e-6, atol=1e-9)
