"""Samples recorded while a receiver listens."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from semcom_phy.capture import Recorder, RecordingInfo, open_recording
from semcom_phy.channels.impairments import parse_impairments
from semcom_phy.coding.transport import TurboCode
from semcom_phy.links import AirLinkConfig, Frame, FrameFormat
from semcom_phy.links.air_link import AirTransmitter, for_symbols
from semcom_phy.links.burst_log import BurstLog
from semcom_phy.links.recording import listen, record, recording_gain
from semcom_phy.waveform import Waveform
from semcom_phy.waveform.layout import burst_symbols

CONFIG = AirLinkConfig(
    parse_impairments("cfo=2000,ppm=20,esn0=12"),
    frames=FrameFormat("qpsk", turbo=TurboCode(rate=0.5), fragment_symbols=500),
    seed=4,
)


@pytest.fixture(scope="module")
def stream() -> np.ndarray:
    """A frame in four bursts, as it comes out of the channel, 12 dB below full scale."""
    transmitter = AirTransmitter(CONFIG.waveform, CONFIG.frames, CONFIG.seed)
    bits = np.random.default_rng(0).integers(0, 2, 2000, dtype=np.uint8)
    clean = np.concatenate(list(transmitter.stream(transmitter.bursts(Frame(b"header", bits)))))
    return recording_gain(CONFIG.channel, 1e6) * CONFIG.channel.apply(clean, 1e6, 4)


def in_chunks(samples: np.ndarray, size: int = 10_000) -> Iterator[np.ndarray]:
    for start in range(0, samples.size, size):
        yield samples[start : start + size].astype(np.complex64)


@pytest.mark.parametrize("datatype", ["cf32_le", "ci16_le", "ci8"])
def test_every_burst_is_annotated(stream: np.ndarray, tmp_path: Path, datatype: str) -> None:
    with Recorder(tmp_path / "r", RecordingInfo(1e6, datatype)) as recorder:
        heard = record(in_chunks(stream), recorder, CONFIG.receiver)
    assert (heard.frames, heard.frames_lost, heard.interrupted) == (1, 0, False)
    assert recorder.saturated_samples == 0
    with open_recording(tmp_path / "r") as recording:
        assert recording.verify()
        bursts = recording.bursts()
        assert recording.sample_count == stream.size
    assert [burst.fragment for burst in bursts] == [0, 1, 2, 3]
    for burst, entry in zip(bursts, heard.log.bursts, strict=True):
        assert burst.crc_ok
        assert burst.fragments == 4
        assert burst.modulation == "qpsk"
        assert burst.code_rate == 0.5
        assert burst.redundancy_version == 0
        assert burst.cfo_hz == pytest.approx(2000, abs=10)
        assert burst.clock_offset_ppm == pytest.approx(20, abs=15)
        assert burst.es_n0_db == pytest.approx(12, abs=1)
        assert burst.evm_rms == pytest.approx(10 ** (-burst.es_n0_db / 20), rel=1e-3)
        # The annotation spans the burst with the tails of its first and last pulse.
        assert burst.sample_start == pytest.approx(entry.position - 32, abs=1)
        assert burst.sample_count == pytest.approx(4 * (burst_symbols(entry.header.data_symbols) + 16), abs=2)
    gaps = [b.sample_start - a.sample_start - a.sample_count for a, b in pairwise(bursts)]
    assert all(100 < gap < 160 for gap in gaps)


def test_a_replay_finds_what_was_annotated(stream: np.ndarray, tmp_path: Path) -> None:
    with Recorder(tmp_path / "r", RecordingInfo(1e6, "ci16_le")) as recorder:
        record(in_chunks(stream), recorder, CONFIG.receiver)
    with open_recording(tmp_path / "r") as recording:
        heard = listen(recording.chunks(4096), CONFIG.receiver)
        annotated = recording.bursts()
        found = [entry.annotation(CONFIG.waveform, recording.sample_count) for entry in heard.log.bursts]
    assert [(b.image, b.fragment, b.crc_ok) for b in found] == [(b.image, b.fragment, b.crc_ok) for b in annotated]
    assert all(abs(a.sample_start - b.sample_start) <= 1 for a, b in zip(found, annotated, strict=True))


def test_truncated_bursts_are_annotated_within_the_recording(stream: np.ndarray, tmp_path: Path) -> None:
    cut = stream[: stream.size - 5000]
    with Recorder(tmp_path / "r", RecordingInfo(1e6)) as recorder:
        heard = record(in_chunks(cut), recorder, CONFIG.receiver)
    assert [entry.symbols_missing > 0 for entry in heard.log.bursts] == [False, False, False, True]
    with open_recording(tmp_path / "r") as recording:
        last = recording.bursts()[-1]
        assert recording.problems == ()
    assert last.sample_start + last.sample_count == cut.size


def test_ctrl_c_ends_a_recording_and_keeps_it(stream: np.ndarray, tmp_path: Path) -> None:
    def interrupted() -> Iterator[np.ndarray]:
        for number, chunk in enumerate(in_chunks(stream)):
            if number == 3:
                signal.raise_signal(signal.SIGINT)
            yield chunk

    with Recorder(tmp_path / "r", RecordingInfo(1e6)) as recorder:
        heard = record(interrupted(), recorder, CONFIG.receiver)
    assert heard.interrupted
    with open_recording(tmp_path / "r") as recording:
        assert recording.sample_count == 30_000
        assert len(recording.bursts()) == len(heard.log.bursts) >= 1


def test_ctrl_c_while_samples_are_stored_waits_for_the_chunk(stream: np.ndarray) -> None:
    taken = []

    def take(samples: np.ndarray) -> None:
        if len(taken) == 2:
            signal.raise_signal(signal.SIGINT)
        taken.append(samples.size)

    heard = listen(in_chunks(stream), CONFIG.receiver, take, until_interrupted=True)
    assert heard.interrupted
    assert heard.receiver.receiver.counts.samples == sum(taken) == 30_000
    taken.clear()
    with pytest.raises(KeyboardInterrupt):
        listen(in_chunks(stream), CONFIG.receiver, take)


def test_levels_leave_headroom() -> None:
    """Mean power comes to lie 12 dB below full scale, whatever the noise; channels with levels are left alone."""
    clean = np.exp(2j * np.pi * 0.01 * np.arange(200_000)).astype(np.complex64)
    for text in ("esn0=20", "esn0=-5", "cw=10/1000,esn0=3", "noise=20,qpsk=-3/0/noise"):
        channel = for_symbols(parse_impairments(text), 4)
        samples = recording_gain(channel, 1e6) * channel.apply(clean, 1e6, 0)
        assert 10 * np.log10(np.mean(np.abs(samples) ** 2)) == pytest.approx(-12, abs=0.3)
        assert np.mean(np.maximum(np.abs(samples.real), np.abs(samples.imag)) > 1) < 1e-4
    assert recording_gain(parse_impairments("gain=-20,esn0=3"), 1e6) == 1.0
    assert recording_gain(parse_impairments("bits=8,esn0=3"), 1e6) == 1.0


def test_late_copies_have_no_verdict(stream: np.ndarray) -> None:
    heard = listen(in_chunks(np.concatenate([stream, stream])), CONFIG.receiver)
    assert [entry.crc_ok for entry in heard.log.bursts] == [True] * 4 + [None] * 4
    assert not heard.log.bursts[-1].annotation(Waveform(), 10**7).crc_ok
    assert BurstLog().bursts == []
