"""Frames through bursts, samples, impairments and the streaming receiver."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semcom_phy.channels.impairments import SampleChannel, parse_impairments
from semcom_phy.channels.impairments.additive_noise import AdditiveNoise
from semcom_phy.coding import segmentation
from semcom_phy.coding.transport import TurboCode
from semcom_phy.errors import ConfigurationError
from semcom_phy.links import LINKS, AirLink, AirLinkConfig, Frame, FrameFormat
from semcom_phy.links.air_frames import (
    MAX_BURST_SYMBOLS,
    AirFrame,
    AirReceiver,
    burst_verdicts,
    decode_frame,
    frame_bursts,
)
from semcom_phy.links.air_link import AirTransmitter, asked_esn0_db, for_symbols
from semcom_phy.links.burst_log import BurstLog
from semcom_phy.waveform import (
    AssemblerConfig,
    Burst,
    BurstHeader,
    FrameAssembler,
    ReceivedBurst,
    ReceiverConfig,
    Waveform,
)
from semcom_phy.waveform.layout import burst_symbols


def make_frame(bits: int, seed: int = 0, header: bytes = b"any header") -> Frame:
    return Frame(header, np.random.default_rng(seed).integers(0, 2, bits, dtype=np.uint8))


def make_format(modulation: str = "bpsk", rate: float | None = None, fec: str = "turbo", **fields: Any) -> FrameFormat:
    return FrameFormat(modulation=modulation, fec=fec, turbo=TurboCode(rate=rate), **fields)


def make_link(impairments: str = "esn0=15", sps: int = 4, seed: int = 0, **fields: Any) -> AirLink:
    return AirLink(AirLinkConfig(parse_impairments(impairments), Waveform(sps), make_format(**fields), seed=seed))


def arriving(burst: Burst, position: float = 0.0, **fields: Any) -> ReceivedBurst:
    """A burst as a receiver would deliver it after a clean channel."""
    coded = burst.coded.astype(np.float32)
    values: dict[str, Any] = {
        "header": burst.header,
        "llrs": 20.0 * coded - 10.0,
        "application_llrs": application_llrs(burst),
        "position": position,
        "cfo_hz": 1.0,
        "clock_offset_ppm": 0.0,
        "esn0_db": 10.0,
        "evm_percent": 31.6,
        "level_dbfs": -9.0,
        "equalizer": "one-tap",
        "process": ("band", 0.0),
    }
    return ReceivedBurst(**(values | fields))


def application_llrs(burst: Burst) -> np.ndarray:
    from semcom_phy.waveform.burst_header import encode_application_header

    return 20.0 * encode_application_header(burst.application_header, 1).astype(np.float32) - 10.0


def same(a: Any, b: Any) -> bool:
    return (
        a.header == b.header
        and a.payload_llrs.tobytes() == b.payload_llrs.tobytes()
        and a.block_ok.tobytes() == b.block_ok.tobytes()
        and a.stats == b.stats
    )


# --- end to end -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sps", "fields"),
    [
        (4, {}),
        (2, {"modulation": "qpsk", "rate": 0.5}),
        (3, {"modulation": "16qam", "rate": 0.8, "passes": 2}),
        (4, {"modulation": "qpsk", "rate": 0.5, "interleave": True, "passes": 3, "fragment_symbols": 700}),
        (4, {"fec": "none", "modulation": "qpsk"}),
        (2, {"fec": "none", "passes": 2, "interleave": True}),
    ],
)
def test_frames_come_out_as_they_went_in(sps: int, fields: dict[str, Any]) -> None:
    frames = [make_frame(n, n, header=bytes([n % 256]) * (n % 50 + 1)) for n in (100, 2500, 1234)]
    link = make_link("esn0=20", sps, **fields)
    reception = link.send(frames)
    for sent, got in zip(frames, reception.frames, strict=True):
        assert got.header == sent.header
        assert np.array_equal(got.payload_bits, sent.payload)
        assert got.payload_llrs.dtype == np.float32
        assert np.array_equal(got.payload_llrs > 0, sent.payload == 1)
        assert got.block_ok.all()
    stats = reception.stats
    assert (stats.frames_sent, stats.frames_received, stats.frames_lost) == (3, 3, 0)
    assert stats.fragments_received == stats.fragments_sent >= 3
    assert stats.decoded_bits == sum(frame.payload.size for frame in frames)
    assert stats.decoded_errors == 0


def test_the_stated_esn0_is_that_of_the_received_symbols() -> None:
    """Against theory: measured Es/N0, and the bit error rate of uncoded QPSK, Q(√(Es/N0))."""
    from scipy.stats import norm

    for sps, esn0_db in ((2, 7.0), (5, 7.0), (4, 4.0)):
        link = make_link(f"esn0={esn0_db}", sps, fec="none", modulation="qpsk")
        stats = link.send([make_frame(60_000)]).stats
        assert stats.esn0_db == esn0_db
        assert stats.esn0_measured_db == pytest.approx(esn0_db, abs=0.3)
        expected = norm.sf(np.sqrt(10 ** (esn0_db / 10)))
        assert stats.raw_bits == 60_024
        assert stats.ber_raw == pytest.approx(expected, rel=0.12)
        # The CRC aside, uncoded payload bits are raw bits.
        assert stats.ber_decoded == pytest.approx(stats.ber_raw, rel=0.02)


def test_what_the_receiver_measures() -> None:
    link = make_link("cheap-sdr,cfo=3000,esn0=12", modulation="qpsk", rate=0.5, fragment_symbols=2000)
    stats = link.send([make_frame(9000)]).frames[0].stats
    assert stats.frames_received == 1
    assert stats.cfo_hz == pytest.approx(3000, abs=5)
    assert stats.esn0_measured_db == pytest.approx(12, abs=0.7)
    assert stats.timing_offset_samples == pytest.approx(0.0, abs=0.2)


def test_delay_and_clock_offset_show_in_the_timing() -> None:
    link = make_link("ppm=100/3.25,esn0=25")
    first, second = link.send([make_frame(9000), make_frame(100)]).frames
    assert first.stats.timing_offset_samples is not None
    assert second.stats.timing_offset_samples is not None
    # 1024 samples of silence stand before the first, and 134 500 lie between them: 100 ppm make both later.
    assert first.stats.timing_offset_samples == pytest.approx(3.25 + 0.1, abs=0.1)
    late = second.stats.timing_offset_samples - first.stats.timing_offset_samples
    assert late == pytest.approx(134_500e-4, abs=0.3)


def test_channel_uses_are_all_symbols() -> None:
    link = make_link("esn0=20", modulation="qpsk", rate=0.5, passes=2, fragment_symbols=500)
    frame = make_frame(2000)
    stats = link.send([frame]).stats
    bursts = frame_bursts(frame, link.config.frames, image=0)
    waveform = link.config.waveform
    assert len(bursts) == stats.fragments_sent == 8  # 2000 symbols in fragments of 500, twice
    assert stats.channel_uses == sum(burst_symbols(burst.header.data_symbols) for burst in bursts)
    assert stats.channel_uses - stats.overhead_uses == 2 * 2000
    # And the samples agree: a burst has its symbols and the tails of the pulse.
    transmitter = AirTransmitter(waveform, link.config.frames, seed=0)
    samples = transmitter.modulate(bursts[0])
    symbols = burst_symbols(bursts[0].header.data_symbols)
    assert samples.size == 4 * symbols + 2 * 8 * 4 - 4 + 1 + 32 * 4
    power = np.sum(np.abs(samples) ** 2) / (4 * symbols)
    assert power == pytest.approx(1.0, abs=0.03)
    assert samples.dtype == np.complex64


def test_code_rate_counts_all_passes() -> None:
    assert make_link(rate=0.5).code_rate(1000) == pytest.approx(0.5)
    assert make_link(rate=0.5, passes=4).code_rate(1000) == pytest.approx(0.125)
    assert make_link().code_rate(999) == pytest.approx(1 / 3)
    assert make_link(fec="none").code_rate(1000) == 1000 / 1024


def test_same_seed_same_reception_another_seed_another() -> None:
    frames = [make_frame(500, seed) for seed in range(2)]
    runs = [make_link("fading=20,esn0=3", seed=seed, passes=2).send(frames).frames for seed in (5, 5, 6)]
    assert all(same(a, b) for a, b in zip(runs[0], runs[1], strict=True))
    assert not any(same(a, b) for a, b in zip(runs[0], runs[2], strict=True))


def test_the_air_goes_on_between_calls() -> None:
    """Two calls are one stream: other noise, other image numbers, and nothing of the first in the second."""
    link = make_link("ppm=200,esn0=3")
    frame = make_frame(300)
    first, second = link.send([frame]).frames[0], link.send([frame]).frames[0]
    assert first.header == second.header == frame.header
    assert first.payload_llrs.tobytes() != second.payload_llrs.tobytes()
    assert first.stats.timing_offset_samples != second.stats.timing_offset_samples
    assert first.stats.fragments_received == second.stats.fragments_received == 1
    assert link.send([]).frames == ()


def test_equal_frames_are_told_apart() -> None:
    frames = [make_frame(300)] * 12  # more than the assembler holds open at a time
    reception = make_link("esn0=10").send(frames)
    assert reception.stats.frames_received == 12
    assert all(np.array_equal(got.payload_bits, frames[0].payload) for got in reception.frames)


def test_nothing_arrives() -> None:
    reception = make_link("esn0=-20", passes=2).send([make_frame(300), make_frame(400)])
    for got in reception.frames:
        assert got.header is None
        assert got.payload_bits.size == got.payload_llrs.size == got.block_ok.size == 0
        assert got.stats.frames_lost == got.stats.frames_sent == 1
        assert got.stats.esn0_measured_db is None
        assert got.stats.cfo_hz is None
        assert got.stats.ber_raw is None
        assert got.stats.fragments_sent == 2
        assert got.stats.channel_uses > 0


def test_lost_frames_keep_their_places() -> None:
    """In deep fading some frames are lost; the others stand where they were sent."""
    frames = [make_frame(300, seed, header=bytes([seed])) for seed in range(30)]
    reception = make_link("fading=50,esn0=3", seed=3).send(frames)
    assert 0 < reception.stats.frames_lost < 30
    for sent, got in zip(frames, reception.frames, strict=True):
        assert got.header in (None, sent.header)
        if got.block_ok.all() and got.header is not None:
            assert np.array_equal(got.payload_bits, sent.payload)
    assert reception.stats.frames_received + reception.stats.frames_lost == 30


def test_a_second_pass_brings_what_the_first_one_left_out() -> None:
    """Rate 0.8 at −0.5 dB is hopeless; with redundancy versions 0 and 2 it is rate 0.4, and easy."""
    frames = [make_frame(2000, seed) for seed in range(2)]
    once = make_link("esn0=-0.5", rate=0.8).send(frames).stats
    twice = make_link("esn0=-0.5", rate=0.8, passes=2).send(frames).stats
    assert once.blocks_failed == once.blocks == 2
    assert once.decoded_errors > 0
    assert twice.blocks_failed == twice.decoded_errors == 0


def test_uncoded_passes_add_up() -> None:
    frame = make_frame(20_000)
    once = make_link("esn0=3", fec="none").send([frame]).stats
    four = make_link("esn0=3", fec="none", passes=4).send([frame]).stats
    assert once.ber_raw == pytest.approx(four.ber_raw, rel=0.15)
    assert once.decoded_errors > 200
    assert four.decoded_errors < 3
    assert once.blocks_failed == 1


@pytest.mark.parametrize(
    "impairments",
    ["multipath=short,esn0=15", "fading=10,esn0=18", "cw=0/300000,esn0=15", "tx.gain=-20,esn0=12", "dc=0,iq=2/8"],
)
def test_impaired_links_deliver(impairments: str) -> None:
    frame = make_frame(4000)
    got = make_link(impairments, modulation="qpsk", rate=1 / 3, passes=2, interleave=True).send([frame]).frames[0]
    assert got.header == frame.header
    assert np.array_equal(got.payload_bits, frame.payload)


@pytest.mark.parametrize("impairments", ["overflow=200/3000,esn0=15", "underrun=200/5000,esn0=15"])
def test_gaps_do_no_harm_beyond_what_they_take(impairments: str) -> None:
    frames = [make_frame(1000, seed) for seed in range(8)]
    reception = make_link(impairments, rate=1 / 3).send(frames)
    assert reception.stats.fragments_received < reception.stats.fragments_sent or reception.stats.ber_raw
    for sent, got in zip(frames, reception.frames, strict=True):
        if got.header is not None and got.block_ok.all():
            assert np.array_equal(got.payload_bits, sent.payload)


# --- configuration ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: make_format("qam16"), "Did you mean '16qam'?"),
        (lambda: make_format(fec="turbp"), "Did you mean 'turbo'?"),
        (lambda: make_format(fec="none", rate=0.5), "leave it out"),
        (lambda: make_format(passes=0), "passes must be from 1 to 8"),
        (lambda: make_format(passes=9), "passes must be from 1 to 8"),
        (lambda: make_format(fragment_symbols=0), "fragment_symbols must be from 1"),
        (lambda: make_format(link=65536), "link must be from 0 to 65535"),
        (lambda: AirLinkConfig(seed=-1), "seed must be"),
        (lambda: AirLink(AirLinkConfig(equalizer="zf")), "unknown equaliser 'zf'"),
        (lambda: AirLinkConfig(parse_impairments("esn0=3/8")), "8 samples per symbol, the link has 4"),
        (lambda: make_link().send([Frame(b"", np.ones(9, np.uint8))]), "1 to 4096 bytes, got 0"),
        (lambda: make_link().send([Frame(bytes(4097), np.ones(9, np.uint8))]), "1 to 4096 bytes, got 4097"),
        (lambda: make_link().send([Frame(b"a", np.empty(0, np.uint8))]), "at least 1 bit"),
        (lambda: make_link(rate=0.9).send([Frame(b"a", np.ones(9, np.uint8))]), "lower the rate"),
        (lambda: make_link().send([Frame(b"a", np.ones(3, np.uint8))]), "3 payload bits"),
    ],
)
def test_wrong_configuration(make: Any, expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        make()


@pytest.mark.parametrize("bits", [4, 12, 13, 23, 24])
@pytest.mark.parametrize("modulation", ["bpsk", "16qam"])
def test_the_shortest_payloads(bits: int, modulation: str) -> None:
    frame = make_frame(bits)
    got = make_link("esn0=20", modulation=modulation).send([frame]).frames[0]
    assert np.array_equal(got.payload_bits, frame.payload)
    assert got.block_ok.all()


@pytest.mark.slow
def test_the_longest_header_fits() -> None:
    frame = make_frame(100, header=bytes(range(256)) * 16)
    assert make_link("esn0=10").send([frame]).frames[0].header == frame.header


def test_es_n0_is_stated_for_the_symbols_of_the_link() -> None:
    channel = parse_impairments("tx.gain=-10,esn0=5,cfo=100")
    adapted = for_symbols(channel, 8)
    (noise,) = (i for i in adapted.air if isinstance(i, AdditiveNoise))
    assert noise == AdditiveNoise(5.0, 8.0, signal_power_db=-10.0)
    assert adapted.transmitter == channel.transmitter
    assert adapted.receiver == channel.receiver
    assert for_symbols(parse_impairments("esn0=5/8"), 8) == SampleChannel(air=(AdditiveNoise(5.0, 8.0),))
    assert for_symbols(parse_impairments("noise=3"), 8) == parse_impairments("noise=3")
    assert asked_esn0_db(channel) == 5.0
    assert asked_esn0_db(parse_impairments("noise=3")) is None


def test_description() -> None:
    link = make_link("cfo=100,esn0=5", modulation="qpsk", rate=0.5, passes=2)
    described = json.loads(json.dumps(link.describe()))
    assert described["link"] == "air"
    assert described["channel"] == "noise+cfo"
    assert described["snr_db"] == 5.0
    assert described["bits_per_symbol"] == 2
    assert described["turbo_rate"] == 0.5
    assert described["symbol_rate_hz"] == 250e3
    assert SampleChannel.from_description(described["impairments"]) == link.config.channel
    assert make_link("").describe()["channel"] == "clean"
    assert "turbo_rate" not in make_link(fec="none").describe()
    assert LINKS["air"] is AirLink


# --- the receiving half on its own ------------------------------------------------------------------


def samples_of(bursts: list[Burst], frames: FrameFormat) -> np.ndarray:
    return np.concatenate(list(AirTransmitter(Waveform(), frames, seed=0).stream(bursts)))


def test_missing_fragments_take_only_the_blocks_they_carry() -> None:
    """40 000 bits are 7 code blocks in 20 fragments; without fragments 4 and 5 just their blocks fail."""
    frames = make_format("qpsk", rate=0.8, fragment_symbols=1250)
    frame = make_frame(40_000)
    bursts = frame_bursts(frame, frames, image=9)
    assert len(bursts) == 20
    missing = {4, 5}
    receiver = AirReceiver()
    sent = [burst for burst in bursts if burst.header.fragment not in missing]
    received = receiver.push(samples_of(sent, frames)) + receiver.flush()
    (got,) = received
    ok = got.received.block_ok
    blocks = ok.size
    lost_bits = np.concatenate([np.arange(*bursts[fragment].header.fragment_range) for fragment in missing])
    hit = np.unique(lost_bits * blocks // bursts[0].header.coded_bits)
    assert 0 < hit.size < blocks
    assert set(np.flatnonzero(~ok)) <= set(hit)
    assert not ok.all()
    wrong = np.flatnonzero(got.received.payload_bits != frame.payload)
    assert wrong.size > 0
    layout = segmentation.plan(frame.payload.size + 24)
    carried = np.concatenate([np.full(count, size - 24) for count, size in layout.groups])
    carried[0] -= layout.filler
    assert set(np.searchsorted(np.cumsum(carried), wrong, side="right")) <= set(hit)
    assert got.received.stats.fragments_received == 18
    assert got.fragments_expected == 20
    assert not got.assembled.complete
    assert got.error is None
    # A burst is as good as the blocks that it carries.
    verdicts = burst_verdicts(got)
    for entry, verdict in zip(got.assembled.bursts, verdicts, strict=True):
        start, stop = entry.header.fragment_range
        first, last = start * blocks // entry.header.coded_bits, (stop - 1) * blocks // entry.header.coded_bits
        touched = [ok[b] for b in range(first, last + 1)]
        assert verdict == all(touched)
    assert 0 < sum(verdicts) < 18


def test_missing_fragments_do_not_matter_at_a_low_rate() -> None:
    frames = make_format("qpsk", rate=1 / 3, interleave=True, fragment_symbols=1000)
    frame = make_frame(5000)
    bursts = frame_bursts(frame, frames, image=9)
    receiver = AirReceiver()
    (got,) = receiver.push(samples_of(bursts[2:], frames)) + receiver.flush()
    assert got.received.stats.fragments_received == len(bursts) - 2 == 6
    assert np.array_equal(got.received.payload_bits, frame.payload)
    assert all(burst_verdicts(got))


def test_uncoded_bits_that_did_not_arrive_are_not_intact() -> None:
    """Zeros for erasures satisfy a CRC of zeros."""
    frames = make_format(fec="none", fragment_symbols=100)
    frame = Frame(b"zeros", np.zeros(300, np.uint8))
    assembler = FrameAssembler()
    bursts = frame_bursts(frame, frames, image=0)
    for burst in bursts[:-1]:
        assembler.push(arriving(burst))
    (assembled,) = assembler.flush()
    got = decode_frame(assembled, TurboCode())
    assert got.received.header == b"zeros"
    assert not got.received.block_ok.any()
    assert got.received.stats.blocks_failed == 1


def test_duplicates_and_strangers() -> None:
    """A frame that comes again is no second frame, and other links' bursts are not ours."""
    ours, theirs = make_format(link=3), make_format(link=4)
    frame = make_frame(500)
    mine, strange = frame_bursts(frame, ours, image=1), frame_bursts(frame, theirs, image=1)
    samples = samples_of([*mine, *strange, *mine, *mine], ours)
    receiver = AirReceiver(ReceiverConfig(link=3))
    frames = receiver.push(samples) + receiver.flush()
    assert len(frames) == 1
    assert np.array_equal(frames[0].received.payload_bits, frame.payload)
    assert receiver.receiver.counts.foreign == 1
    assert receiver.assembler.counts.late == 2
    everyone = AirReceiver()
    frames = everyone.push(samples) + everyone.flush()
    assert [one.assembled.link for one in frames] == [3, 4]


def test_damaged_samples_do_no_harm() -> None:
    frames = make_format()
    frame = make_frame(800)
    bursts = frame_bursts(frame, frames, image=1)
    samples = samples_of(bursts, frames)
    samples[::1000] = np.nan
    samples[5::2000] = np.inf
    receiver = AirReceiver()
    (got,) = receiver.push(samples) + receiver.flush()
    assert np.array_equal(got.received.payload_bits, frame.payload)
    assert receiver.receiver.counts.samples_damaged == np.count_nonzero(~np.isfinite(samples))


def test_chunks_make_no_difference() -> None:
    frames = make_format("qpsk", rate=0.5, fragment_symbols=600)
    frame = make_frame(2000)
    samples = samples_of(frame_bursts(frame, frames, image=1), frames)
    for size in (313, 5000):
        receiver = AirReceiver()
        got = [one for at in range(0, samples.size, size) for one in receiver.push(samples[at : at + size])]
        got += receiver.flush()
        assert len(got) == 1
        assert np.array_equal(got[0].received.payload_bits, frame.payload)


IDLE = 12_000.0


@lru_cache(maxsize=8)
def scene(seed: int) -> tuple[np.ndarray, tuple[tuple[int, ...], ...]]:
    """Bursts of four frames in disorder, some missing, with pauses up to what a frame is waited for and beyond.

    Returns the samples and, by the bursts' true places, which fragments each frame is made of, in order of delivery.
    """
    rng = np.random.default_rng(seed)
    frames = make_format("qpsk", rate=0.5, fragment_symbols=200)
    transmitter = AirTransmitter(Waveform(), frames, seed=0)
    bursts = [burst for image in range(4) for burst in frame_bursts(make_frame(500, image), frames, image)]
    order = [bursts[i] for i in np.lexsort((rng.uniform(0, 6, len(bursts)) + np.repeat(range(4), 3) * 3,))]
    parts, at = [transmitter.silence(64)], 256
    waiting: dict[int, tuple[int, list[int]]] = {}  # image → beginning of its last burst, fragments
    done: list[tuple[int, ...]] = []
    given_up: set[int] = set()

    def give_up(position: float) -> None:
        for image in sorted(waiting, key=lambda image: waiting[image][0]):
            if waiting[image][0] < position - IDLE:
                done.append((image, *sorted(waiting.pop(image)[1])))
                given_up.add(image)

    for burst in order:
        if rng.random() < 0.1:
            continue
        image, fragment = burst.header.image, burst.header.fragment
        give_up(at)
        if image not in given_up:
            waiting[image] = (at, [*waiting.get(image, (0, []))[1], fragment])
            if len(waiting[image][1]) == burst.header.fragments:
                done.append((image, *sorted(waiting.pop(image)[1])))
                given_up.add(image)
        parts += [transmitter.modulate(burst), transmitter.silence(int(rng.choice([1, 300, 1500])))]
        at += parts[-2].size + parts[-1].size
    give_up(float("inf"))
    return np.concatenate(parts), tuple(done)


@lru_cache(maxsize=8)
def heard_in(seed: int, *cuts: int) -> list[AirFrame]:
    receiver = AirReceiver(assembler=AssemblerConfig(idle_samples=IDLE))
    got = [frame for part in np.split(scene(seed)[0], cuts) for frame in receiver.push(part)]
    return got + receiver.flush()


def fragments_of(frames: list[AirFrame]) -> tuple[tuple[int, ...], ...]:
    return tuple(
        (one.assembled.image, *sorted(burst.header.fragment for burst in one.assembled.bursts)) for one in frames
    )


def test_frames_are_given_up_by_the_time_of_the_samples() -> None:
    """In one piece, a stream gives what the true places of its bursts say, late bursts and all."""
    late = 0
    for seed in range(6):
        _, expected = scene(seed)
        assert fragments_of(heard_in(seed)) == expected
        late += any(0 < len(fragments) - 1 < 3 for _, *fragments in expected)
    assert late >= 3


@settings(max_examples=15)
@given(seed=st.integers(0, 2), data=st.data())
def test_cuts_make_no_difference_to_frames_that_are_given_up(seed: int, data: st.DataObject) -> None:
    samples, expected = scene(seed)
    cuts = data.draw(st.lists(st.integers(0, samples.size), max_size=12).map(sorted))
    whole, pieces = heard_in(seed), heard_in(seed, *cuts)
    assert fragments_of(pieces) == expected
    for one, other in zip(whole, pieces, strict=True):
        assert same(one.received, other.received)
        assert one.assembled.complete == other.assembled.complete


def test_frames_that_nobody_finishes_are_given_up() -> None:
    frames = make_format(fragment_symbols=500)
    bursts = frame_bursts(make_frame(1000), frames, image=1)
    receiver = AirReceiver()
    assert receiver.push(samples_of(bursts[:2], frames)) == []
    idle = receiver.assembler.config.idle_samples
    got = []
    while not got and receiver.receiver.counts.samples < 2 * idle:
        got = receiver.push(np.zeros(1 << 18, np.complex64))
    assert len(got) == 1
    assert got[0].received.header == b"any header"
    assert not got[0].received.block_ok.all()
    assert receiver.flush() == []


@pytest.mark.parametrize(
    "change",
    [{"payload_bits": 4_000_000_000}, {"payload_bits": 1}, {"modulation": "16qam"}, {"fec": "none"}],
)
def test_headers_that_contradict_themselves(change: dict[str, Any]) -> None:
    (burst,) = frame_bursts(make_frame(101), make_format(rate=0.5), image=1)
    lying = replace(burst.header, **change)
    assembler = FrameAssembler()
    (assembled,) = assembler.push(arriving(burst, header=lying))
    got = decode_frame(assembled, TurboCode())
    assert got.received.header is None
    assert got.received.stats.frames_lost == 1
    assert got.error is not None
    assert "contradicting headers" in got.error
    assert burst_verdicts(got) == [False]


def test_a_lost_application_header_loses_the_frame() -> None:
    (burst,) = frame_bursts(make_frame(100), make_format(), image=1)
    (assembled,) = FrameAssembler().push(arriving(burst, application_llrs=0 * application_llrs(burst)))
    got = decode_frame(assembled, TurboCode())
    assert got.received.header is None
    assert got.error == "header lost"


headers = st.builds(
    lambda fragments, coded, number, **fields: BurstHeader(
        fragment=number % fragments, fragments=fragments, coded_bits=coded + fragments, **fields
    ),
    st.integers(1, 5),
    st.integers(0, 700),
    st.integers(0, 100),
    image=st.integers(0, 1),
    frame=st.just(0),
    payload_bits=st.one_of(st.integers(1, 400), st.integers(1, 2**32 - 1)),
    header_bytes=st.integers(1, 3),
    modulation=st.sampled_from(["bpsk", "qpsk", "16qam"]),
    fec=st.sampled_from(["turbo", "none"]),
    redundancy=st.integers(0, 3),
    interleaved=st.booleans(),
    passes=st.integers(1, 3),
)


@settings(max_examples=60)
@given(st.lists(headers, min_size=1, max_size=8), st.integers(0, 2**32))
def test_no_bursts_make_the_receiver_fail(found: list[BurstHeader], seed: int) -> None:
    """Whatever intact headers claim, frames come out, decoded or lost, and logs take their verdicts."""
    rng = np.random.default_rng(seed)
    assembler, log, frames = FrameAssembler(), BurstLog(), []
    for number, header in enumerate(found):
        size = BurstHeader(0, 0, 0, 1, 1, 1, header.header_bytes).application_symbols // 2
        burst = ReceivedBurst(
            header=header,
            llrs=rng.normal(0, 5, header.fragment_bits).astype(np.float32),
            application_llrs=rng.normal(0, 5, size).astype(np.float32),
            position=100.0 * number,
            cfo_hz=0.0,
            clock_offset_ppm=0.0,
            esn0_db=-300.0,
            evm_percent=1e17,
            level_dbfs=-9.0,
            equalizer="one-tap",
            process=("band", 0.0),
        )
        log.take(burst)
        frames += assembler.push(burst)
    for assembled in frames + assembler.flush():
        log.settle(decode_frame(assembled, TurboCode(iterations=1)))
    for entry in log.bursts:
        json.dumps(entry.describe(Waveform()))
        annotation = entry.annotation(Waveform(), 1000)
        assert 0 <= annotation.sample_start < annotation.sample_start + annotation.sample_count <= 1000


def test_longest_burst_is_accepted() -> None:
    header = BurstHeader(0, 0, 0, 1, 1 << 16, 1, 4096)
    assert burst_symbols(header.data_symbols) <= MAX_BURST_SYMBOLS
