import math
from collections.abc import Callable

import numpy as np
import pytest

from semcom_phy.channels.impairments.additive_noise import AdditiveNoise
from semcom_phy.channels.impairments.channel import SampleChannel
from semcom_phy.channels.impairments.interference import Interferer
from semcom_phy.errors import ConfigurationError
from semcom_phy.waveform import Burst, Transmitter, Waveform
from semcom_phy.waveform import detector as module
from semcom_phy.waveform.buffer import SampleBuffer
from semcom_phy.waveform.detector import (
    Detection,
    DetectorConfig,
    PreambleDetector,
    coherent_statistic,
    coherent_threshold,
    search_frequencies,
)
from semcom_phy.waveform.preamble import preamble


def search(samples: np.ndarray, config: DetectorConfig | None = None, sps: int = 4) -> list[Detection]:
    detector, buffer = PreambleDetector(Waveform(samples_per_symbol=sps), config), SampleBuffer()
    found = []
    for part in np.array_split(samples.astype(np.complex64), max(samples.size // 65536, 1)):
        buffer.append(part)
        found += detector.search(buffer)
    return found + detector.flush(buffer)


def white(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.standard_normal(count) + 1j * rng.standard_normal(count)


def test_share_of_the_energy_follows_the_beta_law() -> None:
    """At one frequency exactly (1 − t)^254, whatever the noise power; over all of them below the sum of them."""
    rng = np.random.default_rng(1)
    windows = white(rng, 256 * 40_000).reshape(-1, 256) * rng.uniform(1e-3, 1e3, (40_000, 1))
    one, _ = coherent_statistic(windows, 0.0)
    most, frequency = coherent_statistic(windows[:20_000], 0.05)
    assert set(frequency) <= set(search_frequencies(0.05))
    for t in (0.005, 0.01, 0.02, 0.03):
        p = (1 - t) ** 254
        assert abs(np.count_nonzero(one > t) - p * one.size) < 4 * math.sqrt(p * one.size)
    for t in (0.04, 0.045, 0.05):
        bound = 105 * (1 - t) ** 254 * most.size
        count = np.count_nonzero(most > t)
        assert 0.5 * bound - 4 * math.sqrt(bound) < count < bound + 4 * math.sqrt(bound)


def test_threshold_is_the_law_solved() -> None:
    config = DetectorConfig()
    threshold = coherent_threshold(config)
    assert threshold == pytest.approx(0.111, abs=5e-4)
    assert search_frequencies(0.05).size * (1 - threshold) ** 254 == pytest.approx(1e-11)
    assert coherent_threshold(DetectorConfig(false_alarm=1e-6)) < threshold


@pytest.mark.slow
def test_rate_of_false_alarms_in_a_stream_of_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threshold set for 3e-5 per timing and the first stage open: theory promises less than 22 in 750 000 timings."""
    monkeypatch.setattr(module, "DIFFERENTIAL_THRESHOLD", -1.0)
    rng = np.random.default_rng(2)
    samples = white(rng, 1_500_000)
    expected = 3e-5 * 750_000
    found = search(samples, DetectorConfig(false_alarm=3e-5))
    # Neighbouring timings are correlated and count once; the bound over frequencies is a little above the truth.
    assert 0.2 * expected < len(found) < expected
    monkeypatch.undo()
    assert search(samples, DetectorConfig()) == []


def test_first_stage_passes_what_its_constant_says() -> None:
    rng = np.random.default_rng(3)
    detector, buffer = PreambleDetector(Waveform()), SampleBuffer()
    buffer.append(white(rng, 2_000_000).astype(np.complex64))
    assert detector.search(buffer) == []
    assert detector.examined / 1_000_000 == pytest.approx(9e-4, rel=0.3)


@pytest.mark.slow
@pytest.mark.parametrize("esn0_db", [-3.0, -4.0])
def test_detection_in_noise(
    make_burst: Callable[..., Burst], transmitter: Transmitter, add_noise: Callable[..., np.ndarray], esn0_db: float
) -> None:
    """1500 preambles at random offsets of ±10 kHz and random fractions of a sample: none missed, no false one."""
    rng = np.random.default_rng(4)
    samples = transmitter.modulate(make_burst())[: 64 + 4 * 300].astype(np.complex128)
    spectrum = np.fft.fft(samples, 4096)
    frequency = np.fft.fftfreq(4096)
    parts, truth = [], []
    for number in range(1500):
        delay, cfo = rng.uniform(100, 900), rng.uniform(-0.01, 0.01)
        one = np.fft.ifft(spectrum * np.exp(-2j * np.pi * frequency * delay))
        parts.append(one * np.exp(2j * np.pi * (cfo * np.arange(4096) + rng.random())))
        truth.append((4096 * number + delay + 32, 4 * cfo))
    found = search(add_noise(np.concatenate(parts), esn0_db, rng))
    assert len(found) == len(truth)
    for detection, (position, cfo) in zip(found, truth, strict=True):
        assert abs(detection.position - position) <= 2.6
        assert abs(detection.cfo - cfo) < 2.1e-3


@pytest.mark.parametrize("level", [1e-3, 1.0])
def test_no_trigger_on_steady_signals(level: float) -> None:
    """DC, and carriers over the whole band, with and without noise 10 dB below."""
    rng = np.random.default_rng(5)
    n = np.arange(60_000)
    for noise in (0.0, 0.3):
        assert search(level * (1.0 + noise * white(rng, n.size))) == []
        assert search(level * (100.0 + noise * white(rng, n.size))) == []
        for frequency in (1e-4, 0.003, 0.01, 0.0123, 0.05, 0.1, 0.125, 0.3):
            assert search(level * (np.exp(2j * np.pi * frequency * n) + noise * white(rng, n.size))) == []
    sweep = np.exp(2j * np.pi * 0.15 * n * n / n.size)
    assert search(level * sweep) == []
    assert search(np.zeros(20_000)) == []
    step = np.where(n > 30_000, 1.0, 1e-6)
    assert search(level * step * white(rng, n.size)) == []


@pytest.mark.parametrize("kind", ["gsm", "ofdm", "qpsk"])
def test_no_trigger_on_other_transmitters(kind: str) -> None:
    """10 dB above the noise in the whole band."""
    channel = SampleChannel(
        air=(
            AdditiveNoise(power_db=0.0),
            Interferer(kind=kind, level_db=10.0, relative_to="noise", samples_per_symbol=8),
        )
    )
    assert search(channel.apply(np.zeros(1_500_000, np.complex64), 1e6, 6)) == []


@pytest.mark.parametrize("sps", [2, 3, 5, 16])
def test_any_number_of_samples_per_symbol(sps: int) -> None:
    from semcom_phy.waveform.transmitter import shape_pulses

    waveform = Waveform(samples_per_symbol=sps)
    samples = shape_pulses(preamble().astype(np.complex128), waveform)
    rng = np.random.default_rng(7)
    stream = np.concatenate([np.zeros(1111), samples, np.zeros(500)])
    found = search(stream + 0.5 * white(rng, stream.size), sps=sps)
    assert len(found) == 1
    assert abs(found[0].position - (1111 + 8 * sps)) <= sps / 4 + 0.01


def test_the_strongest_of_close_detections_counts() -> None:
    """An echo 5 symbols later, 6 dB weaker, is no second burst; a burst 40 symbols later is."""
    from semcom_phy.waveform.transmitter import shape_pulses

    samples = shape_pulses(preamble().astype(np.complex128), Waveform())
    stream = np.zeros(6000, np.complex128)
    stream[1000 : 1000 + samples.size] += samples
    stream[1020 : 1020 + samples.size] += 0.5 * samples
    rng = np.random.default_rng(8)
    assert [d.position for d in search(stream + 0.05 * white(rng, stream.size))] == [1032.0]
    stream[1160 : 1160 + samples.size] += 1.2 * samples
    assert [d.position for d in search(stream)] == [1032.0, 1192.0]


def test_settings_have_bounds() -> None:
    for bad in ({"max_cfo": 0.06}, {"max_cfo": -1.0}, {"false_alarm": 0.0}, {"false_alarm": math.nan}):
        with pytest.raises(ConfigurationError):
            DetectorConfig(**bad)


@pytest.mark.parametrize("level", [1.0, 30.0])
def test_a_constant_hides_no_preamble(level: float) -> None:
    """DC up to 30 dB above the burst, and any amount of noise before it."""
    from semcom_phy.waveform.transmitter import shape_pulses

    rng = np.random.default_rng(9)
    samples = shape_pulses(preamble().astype(np.complex128), Waveform())
    loud = 1e4 * white(rng, 5000)
    stream = np.concatenate([loud, samples + level * np.exp(1j) / 2, np.full(2000, level * np.exp(1j) / 2)])
    found = search(stream + 0.3 * white(rng, stream.size))
    assert [d.position for d in found] == [5032.0]
