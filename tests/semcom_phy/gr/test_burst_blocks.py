"""Burst Transmitter and Burst Receiver give what the modules behind them give, however GNU Radio cuts the stream."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from semcom_phy.channels.impairments import parse_impairments
from semcom_phy.coding.transport import TurboCode
from semcom_phy.flowgraph.python import GnuRadio
from semcom_phy.links import Frame, FrameFormat
from semcom_phy.links.air_frames import MAX_BURST_SYMBOLS, AirFrame, AirReceiver, frame_bursts
from semcom_phy.links.air_link import GAP_SYMBOLS, LEAD_SYMBOLS, TAIL_SYMBOLS, AirTransmitter
from semcom_phy.links.frame_pdus import ReceivedPdu, frame_to_pdu, lost_pdu, received_from_pdu
from semcom_phy.waveform import ReceivedBurst, ReceiverConfig, Transmitter, TransmitterConfig, Waveform
from semcom_phy.zmq import Pdu, UInt64

_spec = importlib.util.spec_from_file_location("stream_harness", Path(__file__).with_name("stream_harness.py"))
assert _spec is not None
assert _spec.loader is not None
harness = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(harness)

Samples = npt.NDArray[np.complex64]

SPS = 4


def some_frames(count: int, bits: int, seed: int = 0) -> list[Frame]:
    rng = np.random.default_rng(seed)
    return [Frame(bytes([number, 7]), rng.integers(0, 2, bits, dtype=np.uint8)) for number in range(count)]


def on_the_air(frames: Sequence[Frame], frame_format: FrameFormat, impairments: str, seed: int = 3) -> Samples:
    """What reaches a receiver: frames one after the other through a channel."""
    transmitter = AirTransmitter(Waveform(SPS), frame_format, seed)
    parts = [part for frame in frames for part in transmitter.stream(transmitter.bursts(frame))]
    channel = parse_impairments(impairments)
    return channel.apply(np.concatenate(parts), 1e6, seed)


def heard(samples: Samples) -> tuple[list[AirFrame], list[ReceivedBurst]]:
    """What the receiver of the air link makes of the samples, all at once."""
    bursts: list[ReceivedBurst] = []
    receiver = AirReceiver(ReceiverConfig(max_burst_symbols=MAX_BURST_SYMBOLS), on_burst=bursts.append)
    return receiver.push(samples) + receiver.flush(), bursts


def assert_same(received: Sequence[ReceivedPdu], expected: Sequence[AirFrame]) -> None:
    """Same frames, same decisions; the measurements differ by what two versions of NumPy round differently."""
    assert [one.number for one in received] == [frame.assembled.image for frame in expected]
    for got, want in zip((one.frame for one in received), (frame.received for frame in expected), strict=True):
        assert got.header == want.header
        np.testing.assert_array_equal(got.block_ok, want.block_ok)
        intact = bool(want.block_ok.all())
        agreement = np.mean(got.payload_bits == want.payload_bits) if want.payload_bits.size else 1.0
        assert agreement == 1.0 if intact else agreement > 0.98
        assert got.stats.fragments_received == want.stats.fragments_received
        assert got.stats.esn0_measured_db == pytest.approx(want.stats.esn0_measured_db, abs=0.01)
        assert got.stats.cfo_hz == pytest.approx(want.stats.cfo_hz, abs=0.5)


# --- receiver ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_items", [333, 1 << 16])
def test_same_frames_as_the_air_receiver(max_items: int, tmp_path: Path, gnuradio: GnuRadio) -> None:
    frames = some_frames(4, 3000)
    frame_format = FrameFormat(modulation="qpsk", turbo=TurboCode(rate=0.5), fragment_symbols=1500)
    # Some of the code blocks fail.
    samples = on_the_air(frames, frame_format, "cfo=3000,ppm=15,multipath=short,fading=40,esn0=5")
    np.save(tmp_path / "samples.npy", samples)
    (line,) = harness.run_block(gnuradio, "receive", tmp_path, block={}, max_items=max_items)
    expected, bursts = heard(samples)
    received = [received_from_pdu(pdu) for pdu in harness.read_pdus(tmp_path, "received")]
    assert 0 < line["frames"] <= len(expected)
    assert line["failed"] == 0
    assert_same(received, expected)

    told = harness.read_pdus(tmp_path, "bursts")
    assert [pdu.metadata["image"] for pdu in told] == [burst.header.image for burst in bursts]
    for pdu, burst in zip(told, bursts, strict=True):
        assert pdu.metadata["position"] == pytest.approx(burst.position, abs=0.05)
        assert pdu.metadata["esn0_db"] == pytest.approx(burst.esn0_db, abs=0.01)
    status = harness.read_pdus(tmp_path, "status")[-1].metadata
    assert status["bursts"] == len(bursts)
    # Told after the last burst; what comes behind it is not.
    assert bursts[-1].position < status["samples"] <= samples.size


def test_symbols_for_the_display(tmp_path: Path, gnuradio: GnuRadio) -> None:
    (frame,) = some_frames(1, 700)
    samples = on_the_air([frame], FrameFormat(modulation="16qam"), "esn0=25,cfo=-2000")
    np.save(tmp_path / "samples.npy", samples)
    harness.run_block(gnuradio, "receive", tmp_path, block={})
    (pdu,) = harness.read_pdus(tmp_path, "symbols")
    assert pdu.vector.dtype == np.complex64
    assert pdu.vector.size == FrameFormat(modulation="16qam").coded_length(700) // 4
    levels = np.array([-3, -1, 1, 3]) / np.sqrt(10)
    for rail in (pdu.vector.real, pdu.vector.imag):
        distance = np.abs(rail[:, None] - levels).min(axis=1)
        assert np.sqrt(np.mean(distance**2)) == pytest.approx(10 ** (-25 / 20) / np.sqrt(2), rel=0.2)


def test_noise_and_samples_that_are_none(tmp_path: Path, gnuradio: GnuRadio) -> None:
    frames = some_frames(1, 500)
    samples = on_the_air(frames, FrameFormat(), "esn0=10")
    rng = np.random.default_rng(0)
    noise = (rng.standard_normal(30_000) + 1j * rng.standard_normal(30_000)).astype(np.complex64)
    noise[100:200] = np.nan
    noise[200:300] = np.inf
    np.save(tmp_path / "samples.npy", np.concatenate([noise, samples]))
    (line,) = harness.run_block(gnuradio, "receive", tmp_path, block={}, max_items=5000)
    assert line == {"failed": 0, "frames": 1}
    assert harness.read_pdus(tmp_path, "status")[-1].metadata["samples_damaged"] == 200


def test_a_recording_that_begins_again(tmp_path: Path, gnuradio: GnuRadio) -> None:
    """At the end of a stream what was cut off comes out, and the same frames may come once more."""
    (frame,) = some_frames(1, 2000)
    whole = on_the_air([frame], FrameFormat(), "esn0=10")
    cut = whole[: whole.size * 3 // 4]
    np.save(tmp_path / "samples.npy", np.concatenate([cut, cut, whole]))
    tags = [[cut.size - 1, "stream_end"], [2 * cut.size - 1, "stream_end"]]
    harness.run_block(gnuradio, "receive", tmp_path, block={}, tags=tags, max_items=4000)
    received = [received_from_pdu(pdu) for pdu in harness.read_pdus(tmp_path, "received")]
    (expected,), _ = heard(cut)
    assert [one.frame.header for one in received] == [frame.header] * 3
    assert_same(received[:1], [expected])
    assert_same(received[1:2], [expected])
    np.testing.assert_array_equal(received[2].frame.payload_bits, frame.payload)
    marks = [pdu.metadata for pdu in harness.read_pdus(tmp_path, "annotations")]
    starts = [int(mark["sample_start"]) for mark in marks]  # type: ignore[call-overload]
    assert [start - starts[0] for start in starts] == pytest.approx([0, cut.size, 2 * cut.size], abs=1)
    assert all(mark["sample_start"] + mark["sample_count"] <= 2 * cut.size + whole.size for mark in marks)  # type: ignore[operator]


# --- transmitter ---------------------------------------------------------------------------------------------


def transmit(
    folder: Path, gnuradio: GnuRadio, pdus: list[Pdu], answers: dict[str, int], symbols: bool = False, **block: Any
) -> Samples:
    harness.write_pdus(folder, pdus)
    tail = TAIL_SYMBOLS * SPS // 2
    harness.run_block(gnuradio, "transmit", folder, block=block, answers=answers, symbols=symbols, tail=tail)
    samples: Samples = np.load(folder / "samples.npy")
    return samples


def test_samples_of_the_transmitter(tmp_path: Path, gnuradio: GnuRadio) -> None:
    frames = some_frames(3, 4000)
    frame_format = FrameFormat("qpsk", turbo=TurboCode(rate=0.75), passes=2, interleave=True, fragment_symbols=1200)
    block = {
        "modulation": "qpsk",
        "rate": 0.75,
        "passes": 2,
        "interleave": True,
        "fragment_symbols": 1200,
        "level_dbfs": -15.0,
        "continuous": False,
        "burst_tags": True,
        "first_image": (1 << 32) - 1,
    }
    pdus = [frame_to_pdu(number, frame) for number, frame in enumerate(frames)]
    samples = transmit(tmp_path, gnuradio, pdus, {"sent": 3}, **block)
    transmitter = Transmitter(TransmitterConfig(Waveform(SPS), -15.0))

    def silence(symbols: int) -> Samples:
        return np.zeros(symbols * SPS, np.complex64)

    parts: list[Samples] = []
    tags: list[tuple[int, str]] = []
    for image, frame in zip([(1 << 32) - 1, 0, 1], frames, strict=True):
        at = sum(part.size for part in parts)
        tags += [(at, "frame_begin"), (at, "tx_sob")]
        parts.append(silence(LEAD_SYMBOLS))
        for burst in frame_bursts(frame, frame_format, image):
            tags.append((sum(part.size for part in parts), "burst"))
            parts += [transmitter.modulate(burst), silence(GAP_SYMBOLS)]
        at = sum(part.size for part in parts)
        tags += [(at + TAIL_SYMBOLS * SPS // 2, "frame_end"), (at + TAIL_SYMBOLS * SPS - 1, "tx_eob")]
        parts.append(silence(TAIL_SYMBOLS))
    np.testing.assert_allclose(samples, np.concatenate(parts), atol=1e-6)
    found = harness.read_tags(tmp_path)
    assert sorted((offset, key) for offset, key, _ in found) == sorted(tags)
    sent = harness.read_pdus(tmp_path, "sent")
    assert [(pdu.metadata["frame"], pdu.metadata["fragments_sent"]) for pdu in sent] == [(0, 6), (1, 6), (2, 6)]


def test_what_the_transmitter_shows(tmp_path: Path, gnuradio: GnuRadio) -> None:
    """Symbols as a receiver without noise sees them, and the level that the samples have."""
    frames = some_frames(2, 1200)
    pdus = [frame_to_pdu(0, frames[0]), Pdu({"frame": UInt64(1)}, np.ones(10, np.uint8)), frame_to_pdu(2, frames[1])]
    block = {"modulation": "16qam", "rate": 0.5, "level_dbfs": -3.0, "continuous": False}
    samples = transmit(tmp_path, gnuradio, pdus, {"sent": 2, "status": 5}, symbols=True, **block)
    np.save(tmp_path / "samples.npy", samples)
    shown = [pdu.vector for pdu in harness.read_pdus(tmp_path, "symbols")]
    (tmp_path / "received").mkdir()
    np.save(tmp_path / "received" / "samples.npy", samples)
    harness.run_block(gnuradio, "receive", tmp_path / "received", block={})
    heard_symbols = [pdu.vector for pdu in harness.read_pdus(tmp_path / "received", "symbols")]
    assert [one.size for one in shown] == [FrameFormat("16qam", turbo=TurboCode(rate=0.5)).coded_length(1200) // 4] * 2
    for sent, received in zip(shown, heard_symbols, strict=True):
        np.testing.assert_allclose(sent, received, atol=0.05)

    status = [pdu.metadata for pdu in harness.read_pdus(tmp_path, "status")]
    assert len(status) == 5  # after each of two bursts and of three frames
    counts = ("frames_sent", "frames_refused", "frames_waiting", "bursts_sent")
    assert [status[-1][key] for key in counts] == [2, 1, 0, 2]
    # Its peak would pass 0.9 of full scale: the burst is sent with less.
    assert status[-1]["peak_dbfs"] == pytest.approx(20 * np.log10(0.9), abs=0.01)
    assert status[-1]["peak_dbfs"] == pytest.approx(20 * np.log10(np.abs(samples).max()), abs=0.01)
    level = harness.read_pdus(tmp_path / "received", "bursts")[-1].metadata["level_dbfs"]
    assert status[-1]["level_dbfs"] == pytest.approx(level, abs=0.1)
    assert level < -5.0


def test_without_frames_zeros_come(tmp_path: Path, gnuradio: GnuRadio) -> None:
    (frame,) = some_frames(1, 100)
    samples = transmit(tmp_path, gnuradio, [frame_to_pdu(5, frame)], {"sent": 1}, continuous=True, first_image=9)
    begins = [offset for offset, key, _ in harness.read_tags(tmp_path) if key == "frame_begin"]
    ends = [offset for offset, key, _ in harness.read_tags(tmp_path) if key == "frame_end"]
    received, _ = heard(samples)
    assert [one.received.header for one in received] == [frame.header]
    assert received[0].assembled.image == 9
    assert not samples[: begins[0]].any()
    assert not samples[ends[0] :].any()


def test_junk_among_the_frames(tmp_path: Path, gnuradio: GnuRadio) -> None:
    good = some_frames(2, 500)
    header = np.frombuffer(b"h", np.uint8)
    pdus = [
        Pdu({}, np.empty(0, np.uint8)),
        frame_to_pdu(10, good[0]),
        Pdu({"frame": UInt64(11)}, np.ones(10, np.uint8)),
        Pdu({"frame": UInt64(12), "header": header}, np.full(10, 2, np.uint8)),
        Pdu({"frame": UInt64(13), "header": header}, np.ones(10, np.float32)),
        Pdu({"frame": -1, "header": header}, np.ones(10, np.uint8)),
        frame_to_pdu(14, Frame(b"x" * 5000, np.ones(10, np.uint8))),  # a header too long for the air
        frame_to_pdu(15, Frame(b"x", np.ones(3, np.uint8))),  # too short for any rate
        frame_to_pdu(16, good[1]),
    ]
    samples = transmit(tmp_path, gnuradio, pdus, {"sent": 2, "refused": 5}, continuous=False)
    received, _ = heard(samples)
    assert [one.received.header for one in received] == [frame.header for frame in good]
    assert [pdu.metadata["frame"] for pdu in harness.read_pdus(tmp_path, "refused")] == [11, 12, 13, 14, 15]
    assert [pdu.metadata["frame"] for pdu in harness.read_pdus(tmp_path, "sent")] == [10, 16]
    assert all(received_from_pdu(pdu).frame.header is None for pdu in harness.read_pdus(tmp_path, "refused"))


def test_more_frames_than_may_wait(tmp_path: Path, gnuradio: GnuRadio) -> None:
    """All at once: whatever the transmitter has taken by then, every frame is either sent or refused."""
    frames = some_frames(90, 30)
    pdus = [frame_to_pdu(number, frame) for number, frame in enumerate(frames)]
    harness.write_pdus(tmp_path, pdus)
    harness.run_block(gnuradio, "flood", tmp_path, block={"continuous": False}, answers=len(frames))
    sent = [pdu.metadata["frame"] for pdu in harness.read_pdus(tmp_path, "sent")]
    refused = [pdu.metadata["frame"] for pdu in harness.read_pdus(tmp_path, "refused")]
    assert len(sent) == 64
    assert sorted([*sent, *refused]) == list(range(90))  # type: ignore[type-var, list-item]


# --- both ----------------------------------------------------------------------------------------------------


def test_a_loop_in_which_frames_are_lost(tmp_path: Path, gnuradio: GnuRadio) -> None:
    """Frames that nothing came of are reported as lost, in their turn, with the application's numbers."""
    frames = some_frames(6, 1500)
    pdus = [frame_to_pdu(100 + number, frame) for number, frame in enumerate(frames)]
    pdus = [Pdu({**pdu.metadata, "session": "mine"}, pdu.vector) for pdu in pdus]
    harness.write_pdus(tmp_path, pdus)
    harness.run_block(gnuradio, "loop", tmp_path, block={"continuous": False}, drowned=[1, 4], answers=len(frames))
    answers = harness.read_pdus(tmp_path, "received")
    assert [pdu.metadata["session"] for pdu in answers] == ["mine"] * 6
    received = [received_from_pdu(pdu) for pdu in answers]
    assert [one.number for one in received] == list(range(100, 106))
    assert [one.frame.header is None for one in received] == [number in (1, 4) for number in range(6)]
    for number in (0, 2, 3, 5):
        np.testing.assert_array_equal(received[number].frame.payload_bits, frames[number].payload)
    assert answers[1] == Pdu({**lost_pdu(101).metadata, "session": "mine"}, np.empty(0, np.float32))
