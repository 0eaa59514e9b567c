from collections.abc import Callable

import numpy as np
import pytest

from semcom_phy.errors import ConfigurationError
from semcom_phy.waveform import Burst, Transmitter, TransmitterConfig, Waveform
from semcom_phy.waveform.layout import burst_symbols
from semcom_phy.waveform.transmitter import modulate_burst, shape_pulses


@pytest.mark.parametrize("sps", [2, 3, 4, 5, 8, 16])
@pytest.mark.parametrize("modulation", ["bpsk", "qpsk", "16qam"])
def test_matched_filter_returns_the_symbols(make_burst: Callable[..., Burst], sps: int, modulation: str) -> None:
    waveform = Waveform(samples_per_symbol=sps, span_symbols=16)
    symbols = modulate_burst(make_burst(1001, modulation))
    samples = shape_pulses(symbols, waveform)
    assert samples.size == (symbols.size - 1 + 2 * 16) * sps + 1
    filtered = np.convolve(samples, waveform.taps())[2 * 16 * sps :: sps][: symbols.size]
    # Not the first and last: the ramp bends the outer half of the pulses' tails.
    error = filtered - symbols
    assert np.sqrt(np.mean(np.abs(error[8:-8]) ** 2)) < 3e-3
    assert np.abs(error).max() < 0.05


@pytest.mark.parametrize("modulation", ["bpsk", "qpsk", "16qam"])
def test_level_and_peak(make_burst: Callable[..., Burst], modulation: str) -> None:
    burst = make_burst(40_000, modulation)
    samples = Transmitter().modulate(burst)
    assert samples.dtype == np.complex64
    assert np.abs(samples).max() <= 0.9
    inside = samples[64:-64]
    assert 10 * np.log10(np.mean(np.abs(inside) ** 2)) == pytest.approx(-9.0, abs=0.1)
    loud = Transmitter(TransmitterConfig(level_dbfs=0.0, peak=0.5)).modulate(burst)
    assert 0.4999 < np.abs(loud).max() <= 0.5
    np.testing.assert_allclose(loud / np.abs(loud).max(), samples / np.abs(samples).max(), atol=1e-5)


def test_edges_are_ramped(make_burst: Callable[..., Burst]) -> None:
    samples = np.abs(Transmitter().modulate(make_burst()))
    middle = np.sqrt(np.mean(samples**2))
    assert max(samples[0], samples[-1]) < 1e-4 * middle
    assert np.all(samples[:8] < 0.02 * middle)
    assert np.all(samples[-8:] < 0.02 * middle)


def test_spectrum_stays_within_the_band(make_burst: Callable[..., Burst]) -> None:
    """Occupied bandwidth (1 + 0.35)·Rs; what a hard edge would add is absent."""
    samples = Transmitter().modulate(make_burst(20_000, "qpsk")).astype(np.complex128)
    power = np.abs(np.fft.fft(samples)) ** 2
    frequency = np.abs(np.fft.fftfreq(samples.size))
    outside = power[frequency > 0.5 * 1.35 / 4].sum() / power.sum()
    far = power[frequency > 1.5 / 4].sum() / power.sum()
    assert outside < 10**-4.0
    assert far < 10**-5.0


def test_equal_bursts_give_equal_samples(make_burst: Callable[..., Burst]) -> None:
    a, b = (Transmitter().modulate(make_burst(seed=4)) for _ in range(2))
    assert a.tobytes() == b.tobytes()


def test_train_has_gaps(make_burst: Callable[..., Burst], transmitter: Transmitter) -> None:
    bursts = [make_burst(seed=1), make_burst(seed=2)]
    train = transmitter.modulate_train(bursts)
    one = transmitter.modulate(bursts[0])
    np.testing.assert_array_equal(train[: one.size], one)
    assert not train[one.size : one.size + 128].any()
    assert train.size == 2 * (one.size + 128)
    assert transmitter.modulate_train([]).size == 0
    assert modulate_burst(bursts[0]).size == burst_symbols(bursts[0].header.data_symbols)


def test_bad_requests(make_burst: Callable[..., Burst]) -> None:
    burst = make_burst()
    with pytest.raises(ConfigurationError, match="coded bits"):
        Burst(burst.header, b"head", burst.coded[:-1])
    with pytest.raises(ConfigurationError, match="header"):
        Burst(burst.header, b"heads", burst.coded)
    for bad in ({"level_dbfs": 3.0}, {"peak": 0.0}, {"gap_symbols": -1}):
        with pytest.raises(ConfigurationError):
            TransmitterConfig(**bad)
