import math

import numpy as np
import pytest

from semcom_phy.waveform import Waveform
from semcom_phy.waveform.equalizer import (
    RESPONSE_REACH,
    ChannelEstimate,
    LinearMmse,
    OneTap,
    choose_equalizer,
    design_mmse,
    estimate_channel,
)
from semcom_phy.waveform.pulse import raised_cosine
from semcom_phy.waveform.synchronizer import BurstSampler, Timing
from semcom_phy.waveform.transmitter import shape_pulses

WAVEFORM = Waveform(span_symbols=12)
PATHS = ((0.0, 1.0), (0.75, 0.5 - 0.3j), (1.75, 0.4j))  # delay in symbols, gain
HALVES = np.arange(-RESPONSE_REACH, RESPONSE_REACH + 1) / 2
RESPONSE = sum(gain * raised_cosine(HALVES - delay, 0.35) for delay, gain in PATHS)


def receive(symbols: np.ndarray, paths: tuple, n0: float, seed: int) -> BurstSampler:
    """Symbol 0 at sample 100; paths have whole delays in samples."""
    rng = np.random.default_rng(seed)
    samples = np.zeros(symbols.size * 4 + 400, np.complex128)
    shaped = shape_pulses(symbols, WAVEFORM)
    for delay, gain in paths:
        start = 100 - 48 + round(delay * 4)
        samples[start : start + shaped.size] += gain * shaped
    samples += math.sqrt(n0 / 2) * (rng.standard_normal((samples.size, 2)) @ np.array([1, 1j]))
    return BurstSampler(samples.astype(np.complex64), 0, Timing(100.0, 0.0), WAVEFORM)


def random_symbols(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.choice([-1, 1], (count, 2)) @ np.array([1, 1j])) / math.sqrt(2)


def test_channel_is_estimated_with_the_error_it_states() -> None:
    errors, stated, noise = [], [], []
    for seed in range(60):
        symbols = random_symbols(1000, seed)
        estimate = estimate_channel(receive(symbols, PATHS, 0.1, seed), Timing(100.0, 0.0), symbols)
        errors.append(np.sum(np.abs(estimate.response[::2] - RESPONSE[::2]) ** 2))
        stated.append(estimate.error_power)
        noise.append(estimate.noise_variance)
    assert np.mean(noise) == pytest.approx(0.1, rel=0.03)
    assert np.mean(errors) == pytest.approx(np.mean(stated), rel=0.3)


def test_gain_that_changes_is_taken_out() -> None:
    symbols = random_symbols(1500)
    clean = receive(symbols, PATHS, 1e-6, 1)
    gain = np.exp(2j * np.pi * 2e-4 * np.arange(1500)) * 3
    turned = BurstSampler.__new__(BurstSampler)
    turned.__dict__.update(clean.__dict__)
    turning = 3 * np.exp(2j * np.pi * 2e-4 / 4 * (np.arange(clean._re.size) - 100))
    samples = (clean._re + 1j * clean._im) * turning
    turned._re, turned._im = samples.real.astype(np.float32), samples.imag.astype(np.float32)
    estimate = estimate_channel(turned, Timing(100.0, 0.0), symbols, gain)
    np.testing.assert_allclose(estimate.response, RESPONSE, atol=0.01)


def test_filter_is_the_minimum_of_the_mean_square_error() -> None:
    """On fresh symbols its unbiased SNR is that of theory, and no perturbation of the taps improves it."""
    n0 = 0.05
    filter_ = design_mmse(ChannelEstimate(RESPONSE, n0, 0.0, 99.0), 0.35)
    symbols = random_symbols(20_000, 5)
    sampler = receive(symbols, PATHS, n0, 5)

    def snr(equalizer: LinearMmse) -> float:
        output = equalizer.symbols(sampler, Timing(100.0, 0.0), 50, 19_900)
        sent = symbols[50:19_950]
        gain = np.vdot(sent, output) / sent.size
        return abs(gain) ** 2 / np.mean(np.abs(output - gain * sent) ** 2)

    best = snr(filter_)
    output = filter_.symbols(sampler, Timing(100.0, 0.0), 50, 19_900)
    assert np.vdot(symbols[50:19_950], output) / 19_900 == pytest.approx(1.0, abs=0.01)
    rng = np.random.default_rng(6)
    size = np.linalg.norm(filter_.taps)
    for _ in range(20):
        change = rng.standard_normal((filter_.taps.size, 2)) @ np.array([1, 1j])
        assert snr(LinearMmse(filter_.taps + 0.03 * size * change / np.linalg.norm(change))) < 1.002 * best
    one_tap = OneTap().symbols(sampler, Timing(100.0, 0.0), 50, 19_900)
    gain = np.vdot(symbols[50:19_950], one_tap) / 19_900
    without = abs(gain) ** 2 / np.mean(np.abs(one_tap - gain * symbols[50:19_950]) ** 2)
    assert 10 * math.log10(best / without) > 4


def test_choice() -> None:
    timing = Timing(100.0, 0.0)
    chosen = []
    for seed in range(40):
        symbols = random_symbols(1600, seed)
        flat = receive(symbols, ((0.0, 1.0),), 2.0, seed)
        chosen.append(choose_equalizer("auto", flat, timing, symbols).name)
    assert chosen.count("mmse") <= 1
    symbols = random_symbols(1600, 1)
    echo = receive(symbols, PATHS, 2.0, 1)
    assert choose_equalizer("auto", echo, timing, symbols).name == "mmse"
    assert choose_equalizer("one-tap", echo, timing, symbols).name == "one-tap"
    assert choose_equalizer("mmse", echo, timing, symbols).name == "mmse"


@pytest.mark.filterwarnings("error")
def test_silence_does_no_harm() -> None:
    sampler = BurstSampler(np.zeros(8000, np.complex64), 0, Timing(100.0, 0.0), WAVEFORM)
    equalizer = choose_equalizer("mmse", sampler, Timing(100.0, 0.0), random_symbols(256))
    assert np.all(np.isfinite(equalizer.symbols(sampler, Timing(100.0, 0.0), 0, 100)))
