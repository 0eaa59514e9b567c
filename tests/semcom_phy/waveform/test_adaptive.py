import math
from collections.abc import Callable

import numpy as np
import pytest

from semcom_phy.channels.impairments.channel import SampleChannel
from semcom_phy.channels.impairments.multipath import Multipath
from semcom_phy.modulation import MODULATIONS
from semcom_phy.waveform import Burst, Receiver, ReceiverConfig, Transmitter, Waveform
from semcom_phy.waveform.adaptive import _all_words, _expected, follow_channel
from semcom_phy.waveform.synchronizer import BurstSampler, Timing
from semcom_phy.waveform.transmitter import shape_pulses

WAVEFORM = Waveform()


@pytest.mark.parametrize("name", ["bpsk", "qpsk", "16qam"])
def test_soft_decisions(name: str) -> None:
    scheme = MODULATIONS[name]
    points = scheme.modulate(_all_words(scheme))
    assert points.size == 2**scheme.bits_per_symbol == np.unique(np.round(points, 6)).size
    np.testing.assert_allclose(_expected(points, points, 1e-3), points, atol=1e-6)
    np.testing.assert_allclose(_expected(points, points, 1e6), 0.0, atol=1e-3)
    if name == "bpsk":
        assert _expected(np.array([0.3 + 5j]), points, 0.8)[0] == pytest.approx(math.tanh(2 * 0.3 / 0.8))
    assert _expected(np.empty(0, np.complex128), points, 1.0).size == 0


def test_moving_paths_are_followed() -> None:
    """Two paths whose relation turns once within the burst: the symbols keep their place and phase."""
    rng = np.random.default_rng(1)
    total = 256 + 128 * 60
    symbols = (rng.choice([-1, 1], (total, 2)) @ np.array([1, 1j])) / math.sqrt(2)
    known = symbols.copy()
    place = np.arange(total)
    data = (place >= 1664) & ((place - 256) % 128 < 120)
    known[data] = 0
    shaped = shape_pulses(symbols, WAVEFORM)
    samples = np.zeros(shaped.size + 200, np.complex128)
    samples[100 : 100 + shaped.size] = shaped
    turning = np.exp(2j * np.pi * np.arange(samples.size) / samples.size)
    samples = samples + 0.6 * turning * np.roll(samples, 4)
    samples += math.sqrt(0.01 / 2) * (rng.standard_normal((samples.size, 2)) @ np.array([1, 1j]))
    timing = Timing(132.0, 0.0)
    sampler = BurstSampler(samples.astype(np.complex64), 0, timing, WAVEFORM)
    qpsk = MODULATIONS["qpsk"]
    output = follow_channel(sampler, timing, known, np.ones(total, np.bool_), (qpsk, qpsk))
    error = np.abs(output - symbols)[1664:-8] ** 2
    assert np.mean(error) < 0.04
    assert np.mean(error[-1000:]) < 0.04


@pytest.mark.slow
def test_independent_fading_of_paths(
    make_burst: Callable[..., Burst], transmitter: Transmitter, add_noise: Callable[..., np.ndarray]
) -> None:
    """Against the fixed equaliser: the receiver changes over by itself and makes a third of the errors or less."""
    paths = Multipath((0.0, 3.0, 7.0), (0.0, -4.0, -8.0), delay_unit="samples", doppler_hz=10.0)
    rng = np.random.default_rng(2)
    wrong = {"auto": 0, "one-tap": 0}
    adaptive = 0
    for seed in range(12):
        burst = make_burst(24_000, "qpsk", seed=seed)
        padded = np.append(transmitter.modulate(burst), np.zeros(100, np.complex64))
        samples = add_noise(SampleChannel(air=(paths,)).apply(padded, 1e6, seed), 18.0, rng)
        for kind in wrong:
            for received in Receiver(ReceiverConfig(equalizer=kind)).push(samples):
                wrong[kind] += np.count_nonzero((received.llrs > 0) != burst.coded)
                adaptive += received.equalizer == "adaptive"
    assert adaptive >= 4
    assert wrong["auto"] < 0.33 * wrong["one-tap"]
