import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semcom_phy.channels.impairments.channel import SampleChannel
from semcom_phy.channels.impairments.clock import SamplingClockOffset
from semcom_phy.channels.impairments.dc_offset import DcOffset
from semcom_phy.channels.impairments.iq_imbalance import IqImbalance
from semcom_phy.channels.impairments.multipath import Multipath
from semcom_phy.errors import ConfigurationError
from semcom_phy.waveform import (
    Burst,
    BurstHeader,
    ReceivedBurst,
    Receiver,
    ReceiverConfig,
    Transmitter,
    TransmitterConfig,
    Waveform,
    burst_header,
    kernels,
    numpy_kernels,
)
from semcom_phy.waveform.transmitter import modulate_burst, shape_pulses

MakeBurst = Callable[..., Burst]
AddNoise = Callable[..., np.ndarray]


def errors(received: ReceivedBurst, sent: Burst) -> int:
    return int(np.count_nonzero((received.llrs > 0) != sent.coded))


def same(a: ReceivedBurst, b: ReceivedBurst) -> bool:
    numbers = ("position", "cfo_hz", "clock_offset_ppm", "esn0_db", "evm_percent", "level_dbfs", "symbols_missing")
    return (
        a.header == b.header
        and all(getattr(a, name) == getattr(b, name) for name in numbers)
        and a.llrs.tobytes() == b.llrs.tobytes()
        and a.application_llrs.tobytes() == b.application_llrs.tobytes()
    )


@pytest.fixture(scope="module")
def stream(make_burst: MakeBurst, transmitter: Transmitter, add_noise: AddNoise) -> tuple[list[Burst], np.ndarray]:
    """Five bursts with frequency offset in noise, and garbage between them."""
    rng = np.random.default_rng(1)
    modulations = ("bpsk", "qpsk", "16qam", "bpsk", "qpsk")
    bursts = [make_burst(600 + 300 * i, m, seed=i, image=i) for i, m in enumerate(modulations)]
    parts = []
    for burst in bursts:
        parts += [np.zeros(rng.integers(0, 3000)), transmitter.modulate(burst)]
    samples = np.concatenate([*parts, np.zeros(200)])
    samples = samples * np.exp(2j * np.pi * 0.0071 * np.arange(samples.size))
    return bursts, add_noise(samples, 14.0, rng)


def test_bursts_come_out_as_they_went_in(stream: tuple[list[Burst], np.ndarray]) -> None:
    bursts, samples = stream
    receiver = Receiver()
    received = receiver.push(samples)
    assert [r.header for r in received] == [b.header for b in bursts]
    for one, burst in zip(received, bursts, strict=True):
        assert errors(one, burst) <= (3 if one.header.modulation == "16qam" else 0) * burst.coded.size / 100
        assert one.llrs.dtype == np.float32
        assert one.cfo_hz == pytest.approx(7100, abs=20)
        assert one.esn0_db == pytest.approx(14.0, abs=0.7)
        assert one.evm_percent == pytest.approx(20.0, abs=2.0)
        assert one.level_dbfs == pytest.approx(-9.0, abs=0.3)
        assert abs(one.clock_offset_ppm) < 60
        assert one.symbols_missing == 0
        header = burst_header.decode_application_header(one.application_llrs, 4)
        assert header == b"head"
    assert receiver.counts.detections == receiver.counts.bursts == 5
    assert receiver.counts.samples == samples.size
    assert receiver.flush() == []


@settings(max_examples=15)
@given(st.lists(st.integers(0, 9000), max_size=8), st.sampled_from([0, 1, 7, 999, 4096, 30_000]))
def test_chunks_make_no_difference(stream: tuple[list[Burst], np.ndarray], sizes: list[int], rest: int) -> None:
    _, samples = stream
    whole = Receiver().push(samples)
    receiver, start, received = Receiver(), 0, []
    for size in sizes:
        received += receiver.push(samples[start : start + size])
        start += size
    size = max(rest, 2000) if rest else samples.size
    while start < samples.size:
        received += receiver.push(samples[start : start + size])
        start += size
    assert len(received) == len(whole)
    assert all(same(a, b) for a, b in zip(received, whole, strict=True))


def test_single_samples(make_burst: MakeBurst, transmitter: Transmitter) -> None:
    samples = np.concatenate([np.zeros(10), transmitter.modulate(make_burst())])
    one_by_one, whole = Receiver(), Receiver().push(samples)
    received = [burst for x in samples for burst in one_by_one.push([x])]
    assert len(received) == len(whole) == 1
    assert same(received[0], whole[0])


@pytest.mark.parametrize("ppm", [-40.0, 0.0, 40.0])
@pytest.mark.parametrize("coded_bits", [240, 16384])
def test_no_flush_tail(make_burst: MakeBurst, transmitter: Transmitter, ppm: float, coded_bits: int) -> None:
    """A burst is delivered with its last sample, also when its clock runs fast or slow."""
    burst = make_burst(coded_bits)
    samples = SampleChannel(receiver=(SamplingClockOffset(ppm),)).apply(
        np.concatenate([np.zeros(777, np.complex64), transmitter.modulate(burst)]), 1e6, 1
    )
    end = 777 + math.floor((samples.size - 777) * 1.0)
    receiver = Receiver()
    assert receiver.push(samples[: end - 100]) == []
    (received,) = receiver.push(samples[end - 100 : end])
    assert errors(received, burst) == 0
    assert received.symbols_missing == 0
    if coded_bits > 1000:
        assert received.clock_offset_ppm == pytest.approx(ppm, abs=1.5)


@pytest.mark.parametrize("level_dbfs", [-60.0, -20.0, 0.0])
def test_amplitude_does_not_matter(make_burst: MakeBurst, transmitter: Transmitter, level_dbfs: float) -> None:
    burst = make_burst(2000, "16qam")
    scale = 10 ** ((level_dbfs + 9.0) / 20)
    (received,) = Receiver().push(scale * transmitter.modulate(burst))
    assert errors(received, burst) == 0
    assert received.level_dbfs == pytest.approx(level_dbfs, abs=0.1)


@pytest.mark.parametrize("sps", [2, 3, 8, 16])
def test_samples_per_symbol(make_burst: MakeBurst, add_noise: AddNoise, sps: int) -> None:
    config = TransmitterConfig(Waveform(samples_per_symbol=sps))
    burst = make_burst(1000, "qpsk")
    samples = np.concatenate([np.zeros(100 + sps), Transmitter(config).modulate(burst)])
    samples = samples * np.exp(0.12j / sps * np.arange(samples.size))
    noisy = add_noise(samples, 15.0, np.random.default_rng(2), config)
    (received,) = Receiver(ReceiverConfig(config.waveform)).push(noisy)
    assert errors(received, burst) == 0
    assert received.esn0_db == pytest.approx(15.0, abs=0.8)
    assert received.cfo_hz == pytest.approx(0.12 / (2 * math.pi) / sps * 1e6, rel=0.01)


@pytest.mark.parametrize(("modulation", "esn0_db"), [("bpsk", 0.0), ("qpsk", 4.0), ("16qam", 12.0)])
def test_uncoded_error_rate_is_that_of_coherent_reception(
    make_burst: MakeBurst, transmitter: Transmitter, add_noise: AddNoise, modulation: str, esn0_db: float
) -> None:
    """The whole chain with unknown delay, frequency and phase against the textbook, 0.15 dB allowed."""
    rng = np.random.default_rng(3)
    wrong = total = 0
    for seed in range(6):
        burst = make_burst(16_000, modulation, seed=seed)
        samples = np.concatenate([np.zeros(50 + seed), transmitter.modulate(burst)])
        samples = samples * np.exp(1j * (rng.uniform(-0.06, 0.06) * np.arange(samples.size) + seed))
        (received,) = Receiver().push(add_noise(samples, esn0_db, rng))
        wrong += errors(received, burst)
        total += burst.coded.size

    def q(x: float) -> float:
        return 0.5 * math.erfc(x / math.sqrt(2))

    def rate(db: float) -> float:
        gamma = 10 ** (db / 10)
        if modulation == "16qam":
            d = math.sqrt(0.2 * gamma)
            return 0.25 * (3 * q(d) + 2 * q(3 * d) - q(5 * d))
        return q(math.sqrt((2 if modulation == "bpsk" else 1) * gamma))

    deviation = 3 * math.sqrt(rate(esn0_db) * total)
    assert rate(esn0_db) * total - deviation < wrong < rate(esn0_db - 0.15) * total + deviation


def test_llrs_are_calibrated(make_burst: MakeBurst, transmitter: Transmitter, add_noise: AddNoise) -> None:
    """Of the bits with LLR L a share 1/(1+e^−L) is one: the measured noise scales them."""
    rng = np.random.default_rng(4)
    bits, llrs = [], []
    for seed in range(8):
        burst = make_burst(16_000, seed=seed)
        (received,) = Receiver().push(add_noise(transmitter.modulate(burst), -2.0, rng))
        bits.append(burst.coded)
        llrs.append(received.llrs)
    b, llr = np.concatenate(bits).astype(float), np.concatenate(llrs).astype(float)
    slope = np.sum((2 * b - 1) * llr) / np.sum(llr * np.tanh(llr / 2))
    assert slope == pytest.approx(1.0, abs=0.02)


def test_interference_for_a_part_of_the_time(
    make_burst: MakeBurst, transmitter: Transmitter, add_noise: AddNoise
) -> None:
    """Noise 20 dB up for a sixth of the burst: the LLRs there say little, the others as much as before."""
    rng = np.random.default_rng(10)
    burst = make_burst(16_000)
    samples = add_noise(transmitter.modulate(burst), 3.0, rng)
    (quiet,) = Receiver().push(samples)
    hit = slice(30_000, 42_000)
    loud = samples.copy()
    loud[hit] = add_noise(transmitter.modulate(burst)[hit], -17.0, rng)
    (received,) = Receiver().push(loud)
    size, before = np.abs(received.llrs), np.abs(quiet.llrs)
    inside = slice(6000, 7800)
    outside = np.r_[1000:4500, 9500:15500]
    assert size[inside].mean() < 0.15 * before[inside].mean()
    assert size[outside].mean() == pytest.approx(before[outside].mean(), rel=0.15)
    signed = (2.0 * burst.coded - 1) * received.llrs
    slope = np.sum(signed) / np.sum(received.llrs * np.tanh(received.llrs / 2))
    assert slope == pytest.approx(1.0, abs=0.05)


def test_front_end_of_a_cheap_receiver(make_burst: MakeBurst, transmitter: Transmitter, add_noise: AddNoise) -> None:
    """1 dB and 5° of IQ imbalance and DC at −20 dBc, without frequency offset: hardest to tell apart."""
    rng = np.random.default_rng(5)
    burst = make_burst(32_000, "16qam")
    level = 10 ** (9 / 20)
    noisy = add_noise(np.concatenate([np.zeros(500), transmitter.modulate(burst)]), 18.0, rng)
    channel = SampleChannel(receiver=(IqImbalance(1.0, 5.0), DcOffset(-20.0)))
    samples = channel.apply(level * noisy, 1e6, 1)
    (received,) = Receiver().push(samples)
    assert received.esn0_db == pytest.approx(18.0, abs=1.0)
    d = math.sqrt(0.2 * 10**1.8)
    expected = 0.75 * 0.5 * math.erfc(d / math.sqrt(2)) * 32_000
    assert errors(received, burst) < 3 * expected + 20


@pytest.mark.parametrize("modulation", ["bpsk", "qpsk"])
def test_multipath_is_equalised(
    make_burst: MakeBurst, transmitter: Transmitter, add_noise: AddNoise, modulation: str
) -> None:
    channel = SampleChannel(
        air=(Multipath((0.0, 3.0, 7.0), (0.0, -4.0, -8.0), (0.0, 150.0, 80.0), delay_unit="samples"),)
    )
    burst = make_burst(8000, modulation)
    samples = channel.apply(np.append(transmitter.modulate(burst), np.zeros(64, np.complex64)), 1e6, 1)
    noisy = add_noise(samples, 12.0, np.random.default_rng(6))
    (equalised,) = Receiver().push(noisy)
    (plain,) = Receiver(ReceiverConfig(equalizer="one-tap")).push(noisy)
    assert equalised.equalizer == "mmse"
    gamma = 10 ** (equalised.esn0_db / 10)
    rate = 0.5 * math.erfc(math.sqrt(gamma if modulation == "bpsk" else gamma / 2))
    assert errors(equalised, burst) < 1.3 * rate * 8000 + 5
    assert equalised.esn0_db > plain.esn0_db + 3


def test_truncated_burst_is_delivered_on_flush(make_burst: MakeBurst, transmitter: Transmitter) -> None:
    burst = make_burst(8000)
    samples = transmitter.modulate(burst)
    receiver = Receiver()
    assert receiver.push(samples[: samples.size // 2]) == []
    (received,) = receiver.flush()
    present = received.llrs != 0
    assert 0.25 < present.mean() < 0.5
    assert not present[int(present.sum()) :].any()
    assert np.all((received.llrs > 0)[present] == burst.coded[present])
    assert received.symbols_missing > 3000
    assert receiver.counts.bursts_truncated == 1
    # The stream goes on: nothing is lost behind the cut.
    (after,) = receiver.push(transmitter.modulate(burst))
    assert errors(after, burst) == 0
    assert receiver.flush() == []


def test_cut_header_is_no_burst(make_burst: MakeBurst, transmitter: Transmitter) -> None:
    receiver = Receiver()
    receiver.push(transmitter.modulate(make_burst())[:2000])
    assert receiver.flush() == []
    assert receiver.counts.headers_failed == 1


@pytest.mark.filterwarnings("error")
def test_damaged_samples(make_burst: MakeBurst, transmitter: Transmitter) -> None:
    burst = make_burst(4000)
    samples = transmitter.modulate(burst)
    clean = np.concatenate([samples, np.zeros(500, np.complex64), samples])
    clean[9000:9100] = np.nan
    clean[11000] = complex(np.inf, 0)
    clean[11010] = complex(0, -1e30)
    clean[11020] = complex(np.nan, np.nan)
    receiver = Receiver()
    first, second = receiver.push(clean)
    assert receiver.counts.samples_damaged == 103
    assert errors(first, burst) < 40
    assert np.all(np.isfinite(first.llrs))
    assert errors(second, burst) == 0
    everything_bad = Receiver()
    assert everything_bad.push(np.full(20_000, np.nan)) == []
    assert everything_bad.push(np.full(20_000, 1e308)) == []
    assert everything_bad.counts.samples_damaged == 40_000


@pytest.mark.parametrize("garbage", ["noise", "loud-noise", "carrier", "steps", "preambles", "cut-bursts"])
def test_recovers_with_the_next_burst(make_burst: MakeBurst, transmitter: Transmitter, garbage: str) -> None:
    rng = np.random.default_rng(7)
    white = (rng.standard_normal((30_000, 2)) @ np.array([1, 1j])).astype(np.complex64)
    burst = make_burst(900)
    samples = transmitter.modulate(burst)
    junk = {
        "noise": 0.1 * white,
        "loud-noise": 1000 * white,
        "carrier": 3 * np.exp(0.02j * np.arange(30_000)),
        "steps": np.where(np.arange(30_000) // 1000 % 2, 50.0, 0.0),
        "preambles": np.tile(samples[:1056], 20),
        "cut-bursts": np.tile(samples[:6000], 4),
    }[garbage]
    receiver = Receiver()
    received = receiver.push(np.concatenate([junk, samples]))
    assert received
    assert errors(received[-1], burst) == 0
    assert received[-1].position == pytest.approx(junk.size + 32, abs=0.1)


def test_a_stronger_burst_on_top_of_another(make_burst: MakeBurst, transmitter: Transmitter) -> None:
    """The search goes on while a burst is being received."""
    weak, strong = make_burst(12_000, seed=1, image=1), make_burst(300, seed=2, image=2)
    samples = transmitter.modulate(weak).copy()
    over = transmitter.modulate(strong)
    samples[20_000 : 20_000 + over.size] += 10 * over
    received = Receiver().push(np.append(samples, np.zeros(100)))
    assert [r.header.image for r in received] == [2, 1]
    assert errors(received[0], strong) == 0


def test_foreign_and_oversized_bursts_are_dropped(make_burst: MakeBurst, transmitter: Transmitter) -> None:
    mine, other = make_burst(link=5), make_burst(link=6)
    long_ = make_burst(3000, link=5)
    samples = transmitter.modulate_train([other, long_, mine])
    receiver = Receiver(ReceiverConfig(link=5, max_burst_symbols=3000))
    (received,) = receiver.push(samples)
    assert received.header == mine.header
    assert (receiver.counts.foreign, receiver.counts.oversized, receiver.counts.bursts) == (1, 1, 1)
    assert len(Receiver().push(samples)) == 3


def test_absurd_lengths_cost_nothing(make_burst: MakeBurst, transmitter: Transmitter) -> None:
    """An intact header that announces 2^32 − 1 bits in one burst."""
    honest = make_burst()
    symbols = modulate_burst(honest)
    liar = BurstHeader(image=0, frame=0, fragment=0, fragments=1, coded_bits=2**32 - 1, payload_bits=1, header_bytes=4)
    forged = symbols.copy()
    from semcom_phy.waveform.layout import HEADER_LAYOUT
    from semcom_phy.waveform.preamble import scrambling_sequence

    bits = burst_header.encode_burst_header(liar) ^ scrambling_sequence(burst_header.HEADER_SYMBOLS)
    forged[HEADER_LAYOUT.data] = 2.0 * bits - 1.0
    receiver = Receiver()
    samples = np.concatenate([shape_pulses(forged, Waveform()), transmitter.modulate(honest)])
    (received,) = receiver.push(samples)
    assert received.header == honest.header
    assert receiver.counts.oversized == 1


def test_bursts_of_another_version(
    make_burst: MakeBurst, transmitter: Transmitter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(burst_header, "BURST_VERSION", 9)
    future = transmitter.modulate(make_burst())
    monkeypatch.undo()
    receiver = Receiver()
    (received,) = receiver.push(np.concatenate([future, transmitter.modulate(make_burst(seed=3))]))
    assert errors(received, make_burst(seed=3)) == 0
    assert receiver.counts.headers_invalid == 1


def test_flood_of_announcements_is_bounded(make_burst: MakeBurst, transmitter: Transmitter) -> None:
    """Headers of long bursts that never come: at most max_pending are waited for."""
    start = transmitter.modulate(make_burst(50_000))[:7000]
    flood = np.tile(start, 40)
    receiver = Receiver(ReceiverConfig(max_pending=3))
    receiver.push(flood[: 4 << 16])
    assert len(receiver._pending) == 3
    assert receiver.counts.overflowed > 10
    assert receiver._buffer.stop - receiver._buffer.start < 2 << 16
    in_chunks = Receiver(ReceiverConfig(max_pending=3))
    for part in np.array_split(flood[: 4 << 16], 77):
        in_chunks.push(part)
    assert in_chunks.counts == receiver.counts


@given(st.binary(max_size=2000))
def test_random_bytes_as_samples(data: bytes) -> None:
    receiver = Receiver()
    values = np.frombuffer(data[: len(data) // 8 * 8], np.complex64)
    assert receiver.push(values) == []
    assert receiver.flush() == []
    assert receiver.counts.samples == values.size


def test_memory_is_bounded() -> None:
    rng = np.random.default_rng(8)
    receiver = Receiver()
    for _ in range(20):
        receiver.push(rng.standard_normal((50_000, 2)) @ np.array([1, 1j]))
    assert receiver._buffer.stop - receiver._buffer.start < 20_000


def test_dump(make_burst: MakeBurst, transmitter: Transmitter, tmp_path: Path) -> None:
    import json

    burst = make_burst()
    samples = np.concatenate([np.zeros(100), transmitter.modulate(burst)])
    receiver = Receiver(ReceiverConfig(dump_path=tmp_path / "signals"))
    receiver.push(samples[:5000])
    (received,) = receiver.push(samples[5000:])
    folder = tmp_path / "signals"
    assert np.fromfile(folder / "samples.cf32", np.complex64).size == samples.size
    statistic = np.fromfile(folder / "search-statistic.f32", np.float32).reshape(-1, 2)
    assert statistic.max() > 0.5
    np.testing.assert_array_equal(np.load(folder / "burst-00000-llrs.npy"), received.llrs)
    for name in ("header-symbols", "header-llrs", "symbols", "gain"):
        assert np.load(folder / f"burst-00000-{name}.npy").size > 1000
    (line,) = (folder / "bursts.jsonl").read_text().splitlines()
    facts = json.loads(line)
    assert facts["esn0_db"] == received.esn0_db
    assert facts["image"] == burst.header.image
    with pytest.raises(ConfigurationError, match="folder"):
        Receiver(ReceiverConfig(dump_path=folder / "samples.cf32"))


def test_numpy_alone(stream: tuple[list[Burst], np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without numba the same bursts come out, to the precision of float32."""
    pytest.importorskip("numba", reason="nothing to compare with: pip install numba")
    bursts, samples = stream
    compiled = Receiver().push(samples)
    for name in ("detector", "synchronizer"):
        monkeypatch.setattr(f"semcom_phy.waveform.{name}.kernels", lambda: numpy_kernels)
    plain = Receiver().push(samples)
    assert [r.header for r in plain] == [b.header for b in bursts]
    for a, b in zip(plain, compiled, strict=True):
        np.testing.assert_allclose(a.llrs, b.llrs, rtol=0.05, atol=0.5)
        assert a.esn0_db == pytest.approx(b.esn0_db, abs=0.05)
    assert kernels.kernels().__name__.endswith("numba_kernels")


@pytest.mark.parametrize("bad", [[[1.0]], ["a"], np.array([None])])
def test_only_samples_are_taken(bad: object) -> None:
    with pytest.raises(ConfigurationError, match="one-dimensional"):
        Receiver().push(bad)


@pytest.mark.parametrize(
    "bad",
    [{"equalizer": "dfe"}, {"max_burst_symbols": 10}, {"max_pending": 0}],
)
def test_settings_have_bounds(bad: dict) -> None:
    with pytest.raises(ConfigurationError):
        ReceiverConfig(**bad)


@pytest.mark.slow
def test_very_long_bursts(make_burst: MakeBurst, transmitter: Transmitter, add_noise: AddNoise) -> None:
    """120 000 symbols, fading and a clock offset of 30 ppm: the gain is tracked in windows."""
    from semcom_phy.channels.impairments.fading import JakesFading

    burst = make_burst(110_000)
    samples = np.append(transmitter.modulate(burst), np.zeros(300, np.complex64))
    channel = SampleChannel(air=(JakesFading(20.0),), receiver=(SamplingClockOffset(30.0),))
    noisy = add_noise(channel.apply(samples, 1e6, 3), 15.0, np.random.default_rng(9))
    (received,) = Receiver(ReceiverConfig(max_burst_symbols=1 << 18)).push(noisy)
    # Rayleigh: ½(1 − √(γ/(1+γ))) = 0.77 % of the bits.
    assert errors(received, burst) / 110_000 < 0.012
    assert received.clock_offset_ppm == pytest.approx(30.0, abs=0.5)
