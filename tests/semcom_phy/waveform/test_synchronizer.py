import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcom_phy.channels.impairments.channel import SampleChannel
from semcom_phy.channels.impairments.clock import SamplingClockOffset
from semcom_phy.waveform import Waveform
from semcom_phy.waveform.detector import Detection
from semcom_phy.waveform.preamble import preamble
from semcom_phy.waveform.synchronizer import (
    BurstSampler,
    KnownSymbols,
    Timing,
    acquire,
    image_ratio,
    parabola_peak,
    refine_clock,
    residual_frequency,
    rotate,
)
from semcom_phy.waveform.transmitter import shape_pulses

WAVEFORM = Waveform()


def white(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.standard_normal((count, 2)) @ np.array([1, 1j]) / math.sqrt(2)


def delayed(samples: np.ndarray, delay: float) -> np.ndarray:
    """Exact for a band-limited signal with silence around it."""
    frequency = np.fft.fftfreq(samples.size)
    return np.fft.ifft(np.fft.fft(samples) * np.exp(-2j * np.pi * frequency * delay))


@given(st.integers(0, 3000), st.floats(-0.5, 0.5), st.floats(-1e6, 1e6))
def test_rotation(count: int, frequency: float, start: float) -> None:
    expected = np.exp(-2j * np.pi * frequency * (start + np.arange(count)))
    np.testing.assert_allclose(rotate(np.ones(count, np.complex64), frequency, start), expected, atol=1e-5)


@given(st.floats(-0.45, 0.45), st.floats(0.1, 10.0))
def test_parabola(place: float, height: float) -> None:
    values = [height - (x - place) ** 2 for x in (-1, 0, 1)]
    assert parabola_peak(*values) == pytest.approx(place, abs=1e-9)
    assert parabola_peak(1.0, 1.0, 1.0) == 0.0


def test_acquisition_reaches_the_bounds() -> None:
    """At −3 dB Es/N0, against the Cramér-Rao bounds of 256 known symbols, over all offsets of a detection.

    Timing: 1/(8π²·B²·P·γ) symbols² with the pulse's mean-square bandwidth B²; frequency: 6/((2π)²·γ·P³).
    """
    rng = np.random.default_rng(1)
    gamma, trials = 10**-0.3, 400
    f = np.linspace(-0.675, 0.675, 20001)
    shape = np.where(np.abs(f) < 0.325, 1.0, 0.5 * (1 + np.cos(np.pi / 0.35 * (np.abs(f) - 0.325))))
    timing_bound = math.sqrt(1 / (8 * math.pi**2 * np.sum(f**2 * shape) / np.sum(shape) * 256 * gamma))
    frequency_bound = math.sqrt(6 / ((2 * math.pi) ** 2 * gamma * 256**3))
    # Random symbols behind the preamble, as in a burst.
    tail = rng.choice([-1.0, 1.0], 30)
    clean = np.zeros(2048, np.complex128)
    shaped = shape_pulses(np.concatenate([preamble(), tail]).astype(np.complex128), WAVEFORM)
    clean[400 : 400 + shaped.size] = shaped
    errors = []
    for _ in range(trials):
        shift, cfo = rng.uniform(-1, 1), rng.uniform(-0.04, 0.04)
        samples = delayed(clean, shift) * np.exp(2j * np.pi * (cfo / 4 * np.arange(2048) + rng.random()))
        samples += math.sqrt(1 / gamma) * white(rng, 2048)
        coarse = Detection(432.0, round(cfo * 1024) / 1024, 0.3)
        timing, _ = acquire(samples.astype(np.complex64), 0, coarse, WAVEFORM)
        errors.append(((timing.position - 432 - shift) / 4, timing.cfo - cfo))
    deviation = np.sqrt(np.mean(np.square(errors), axis=0))
    assert deviation[0] < 1.35 * timing_bound
    assert deviation[1] < 1.25 * frequency_bound
    assert np.all(np.abs(np.mean(errors, axis=0)) < 4 * deviation / math.sqrt(trials))


@pytest.mark.parametrize("ppm", [-40.0, 0.0, 40.0])
def test_clock_offset_over_a_long_burst(ppm: float) -> None:
    """20000 symbols at 0 dB, 1000 of them known: 40 ppm are 0.8 symbols at the end."""
    rng = np.random.default_rng(2)
    symbols = rng.choice([-1.0, 1.0], 20_000)
    samples = np.zeros(81_000, np.complex128)
    shaped = shape_pulses(symbols.astype(np.complex128), WAVEFORM)
    samples[200 : 200 + shaped.size] = shaped
    stretched = SampleChannel(receiver=(SamplingClockOffset(ppm),)).apply(samples.astype(np.complex64), 1e6, 1)
    position = 232 * (1 + ppm * 1e-6)
    places = (np.arange(0, 20_000 - 8, 128)[:, None] + np.arange(8)).reshape(-1)
    known = KnownSymbols(places, symbols[places].astype(np.complex128), np.arange(0, places.size, 8))
    noisy = (stretched + white(rng, stretched.size)).astype(np.complex64)
    # The acquisition may have been off by a tenth of a symbol.
    start = Timing(position + 0.4, 0.0)
    timing = refine_clock(BurstSampler(noisy, 0, start, WAVEFORM), start, known)
    assert timing.clock_offset * 1e6 == pytest.approx(ppm, abs=6)
    drift = timing.times([0, 20_000], 4) - replace(timing, position=position, clock_offset=ppm * 1e-6).times(
        [0, 20_000], 4
    )
    assert np.abs(drift).max() < 0.4


def test_residual_frequency_is_unbiased() -> None:
    rng = np.random.default_rng(3)
    times = 128.0 * np.arange(120) + 5
    found = []
    for _ in range(200):
        gains = np.exp(2j * np.pi * (3.21e-4 * times + rng.random())) + 0.5 * white(rng, 120)
        found.append(residual_frequency(gains, np.ones(120), times))
    bound = math.sqrt(6 / ((2 * math.pi) ** 2 * 4 * 120**3)) / 128
    assert np.mean(found) == pytest.approx(3.21e-4, abs=4 * bound / math.sqrt(200))
    assert np.std(found) < 1.3 * bound


@pytest.mark.parametrize("cfo", [0.0, 0.013])
def test_image_is_measured(cfo: float) -> None:
    rng = np.random.default_rng(4)
    known = (rng.choice([-1, 1], (1000, 2)) @ np.array([1, 1j])) / math.sqrt(2)
    phase = cfo * np.arange(1000)
    kappa, gain = 0.05 - 0.03j, np.full(1000, 0.4j)
    turned = gain * known + kappa * np.conj(gain * known) * np.exp(-4j * np.pi * phase)
    received = turned + 0.04 * white(rng, 1000)
    assert image_ratio(received, known, gain, phase, 0.0016) == pytest.approx(kappa, abs=0.012)
    clean = gain * known + 0.04 * white(rng, 1000)
    assert image_ratio(clean, known, gain, phase, 0.0016) == 0
    assert image_ratio(received, known, 0 * gain, phase, 0.0016) == 0
