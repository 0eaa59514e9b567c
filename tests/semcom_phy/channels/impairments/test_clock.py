import math

import numpy as np
import pytest

from semcom_phy.channels.impairments import SampleChannel, SamplingClockOffset
from semcom_phy.channels.impairments.fractional_delay import BEFORE, TAPS, interpolation_taps


def apply(samples: np.ndarray, ppm: float, delay: float = 0.0) -> np.ndarray:
    return SampleChannel(transmitter=(SamplingClockOffset(ppm, delay),)).apply(samples, 1e6, 0)


def multitone(position: np.ndarray, edge: float = 0.8) -> np.ndarray:
    """41 tones of equal power up to `edge` of the Nyquist frequency, evaluated at any position in samples."""
    frequency = np.linspace(-edge / 2, edge / 2, 41)
    phase = np.random.default_rng(1).uniform(0, 2 * np.pi, frequency.size)
    return sum(np.exp(1j * (2 * np.pi * f * position + p)) for f, p in zip(frequency, phase, strict=True)) / np.sqrt(41)


def error_db(received: np.ndarray, ideal: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.abs(received - ideal) ** 2) / np.mean(np.abs(ideal) ** 2)))


@pytest.mark.parametrize("ppm", [12.0, -12.0, 100.0, -10_000.0, 10_000.0])
@pytest.mark.parametrize("delay", [0.0, 0.5, 7.31])
def test_the_samples_are_those_of_an_ideal_resampler(ppm: float, delay: float) -> None:
    """−60 dB is asked for; single-precision taps and samples and the window leave less than −90 dB."""
    count = 60_000
    received = apply(multitone(np.arange(count)), ppm, delay)
    m = np.arange(received.size)
    position = m / (1 + ppm * 1e-6) - delay
    inner = (position > TAPS) & (position < count - TAPS)
    assert np.count_nonzero(inner) > 0.98 * count
    assert error_db(received[inner], multitone(position[inner])) < -90


def test_the_last_of_many_samples_is_where_it_belongs() -> None:
    """After 2 million samples at 20 ppm, 40 samples have come in; correlation finds them to a thousandth."""
    count, ppm = 2_000_000, 20.0
    n = np.arange(count)
    sent = np.exp(2j * np.pi * 0.01 * n)
    received = apply(sent, ppm)
    assert received.size == count + 40
    end = np.arange(received.size - 1000, received.size - 100)
    turned = np.angle(np.mean(received[end] * np.exp(-2j * np.pi * 0.01 * end)))
    assert turned / (2 * np.pi * 0.01) == pytest.approx(-40 * (1 - 500 / count), abs=2e-2)
    ideal = np.exp(2j * np.pi * 0.01 * end / (1 + ppm * 1e-6))
    assert abs(np.angle(np.vdot(ideal, received[end]))) / (2 * np.pi * 0.01) < 1e-3


@pytest.mark.parametrize("ppm", [25.0, -25.0])
def test_clock_offset_by_correlation(ppm: float, gaussian) -> None:
    """The lag of the correlation peak grows by ppm·10⁻⁶ of a sample per sample."""
    sent = gaussian(1_000_000)
    received = apply(sent, ppm)
    lags, starts, length = np.arange(-30, 31), (1000, 950_000), 8192
    found = []
    for start in starts:
        window = sent[start : start + length]
        power = [abs(np.vdot(window, received[start + lag : start + lag + length])) ** 2 for lag in lags]
        peak = int(np.argmax(power))
        # The parabola through the root of the correlation power around the peak.
        a, b, c = np.sqrt(power[peak - 1 : peak + 2])
        found.append(lags[peak] + 0.5 * (a - c) / (a - 2 * b + c))
    assert (found[1] - found[0]) / (starts[1] - starts[0]) * 1e6 == pytest.approx(ppm, abs=0.5)


@pytest.mark.parametrize("delay", [0, 1, 5, 65_536])
def test_whole_delays_are_exact(delay: int, gaussian) -> None:
    sent = gaussian(1000)
    assert np.array_equal(apply(sent, 0.0, delay), np.concatenate([np.zeros(delay), sent]).astype(np.complex64))


@pytest.mark.parametrize("count", [1, 2, 15, 16, 33, 16_384, 40_001])
@pytest.mark.parametrize(("ppm", "delay"), [(0.0, 0.25), (1000.0, 0.0), (-1000.0, 3.5), (10_000.0, 0.0)])
def test_number_of_samples(count: int, ppm: float, delay: float) -> None:
    received = apply(np.ones(count), ppm, delay)
    assert received.size == math.ceil((count + delay) * (1 + ppm * 1e-6) - 1e-9)


def test_nothing_arrives_before_the_signal_does() -> None:
    """The filter's precursor lies within 16 samples; before it there is exactly nothing."""
    received = apply(np.ones(500), 5.0, 100.5)
    assert not np.any(received[:84])
    assert abs(received[130]) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_a_position_on_a_sample_takes_that_sample(fraction: float) -> None:
    taps = interpolation_taps(fraction)
    assert taps[BEFORE + int(fraction)] == pytest.approx(1.0, abs=1e-9)
    assert np.count_nonzero(taps) == 1


def test_interpolation_is_flat_and_linear_in_phase_up_to_0_8_of_nyquist() -> None:
    """Each fraction's frequency response against the ideal e^jωμ: a deterministic bound of −85 dB on the error."""
    omega = np.linspace(0, 0.8 * np.pi, 200)
    mu = np.linspace(0, 1, 101)
    response = interpolation_taps(mu) @ np.exp(1j * np.outer(np.arange(TAPS) - BEFORE, omega))
    worst = np.abs(response - np.exp(1j * np.outer(mu, omega))).max()
    assert 20 * np.log10(worst) < -85
