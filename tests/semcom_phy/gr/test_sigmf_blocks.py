"""SigMF Source and SigMF Sink: the samples of a recording, and recordings that are whole or do not exist."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from semcom_phy.capture import Recorder, RecordingInfo, open_recording
from semcom_phy.flowgraph.python import GnuRadio

_spec = importlib.util.spec_from_file_location("stream_harness", Path(__file__).with_name("stream_harness.py"))
assert _spec is not None
assert _spec.loader is not None
harness = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(harness)


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A recording of 30 000 samples in 16 bits."""
    rng = np.random.default_rng(1)
    samples = 0.2 * (rng.standard_normal(30_000) + 1j * rng.standard_normal(30_000))
    with Recorder(tmp_path / "input", RecordingInfo(sample_rate_hz=2e6, datatype="ci16_le")) as recorder:
        recorder.append(samples)
    return tmp_path / "input"


def test_a_copy(recorded: Path, tmp_path: Path, gnuradio: GnuRadio) -> None:
    annotations = [
        {"sample_start": 100, "sample_count": 50, "crc_ok": True, "image": 4},
        {"sample_start": 0, "sample_count": 0, "crc_ok": True},  # refused
        {"sample_start": 1, "volume": 3},  # refused
        {"sample_start": 29_999, "sample_count": 2, "crc_ok": False},  # beyond the end: left out
    ]
    sink = {"path": str(tmp_path / "copy"), "sample_rate_hz": 2e6, "datatype": "ci16_le", "description": "a copy"}
    (line,) = harness.run_block(
        gnuradio, "replay", tmp_path, source={"path": str(recorded)}, sink=sink, annotations=annotations, max_items=777
    )
    assert line == {"failed": 2}
    with open_recording(recorded) as before, open_recording(tmp_path / "copy") as after:
        assert after.verify()
        assert after.description == "a copy"
        assert (after.sample_rate_hz, after.datatype) == (2e6, "ci16_le")
        np.testing.assert_array_equal(after.read(0, 30_000), before.read(0, 30_000))
        assert after.sample_count == 30_000
        assert [(burst.sample_start, burst.image) for burst in after.bursts()] == [(100, 4)]


def test_again_and_again(recorded: Path, tmp_path: Path, gnuradio: GnuRadio) -> None:
    sink = {"path": str(tmp_path / "copy"), "sample_rate_hz": 2e6}
    source = {"path": str(recorded), "repeat": True}
    harness.run_block(gnuradio, "replay", tmp_path, source=source, sink=sink, head=70_001)
    with open_recording(recorded) as before, open_recording(tmp_path / "copy") as after:
        samples = before.read(0, 30_000)
        expected = np.concatenate([samples, samples, samples[:10_001]])
        np.testing.assert_array_equal(after.read(0, after.sample_count), expected)


def test_in_real_time(recorded: Path, tmp_path: Path, gnuradio: GnuRadio) -> None:
    """The samples are the same; that they are held back is tested with `Pacer`."""
    sink = {"path": str(tmp_path / "copy"), "sample_rate_hz": 2e6}
    harness.run_block(gnuradio, "replay", tmp_path, source={"path": str(recorded), "realtime": True}, sink=sink)
    with open_recording(recorded) as before, open_recording(tmp_path / "copy") as after:
        np.testing.assert_array_equal(after.read(0, after.sample_count), before.read(0, 30_000))


def test_a_recording_of_the_project_by_its_relative_path(tmp_path: Path, gnuradio: GnuRadio) -> None:
    sink = {"path": str(tmp_path / "copy"), "datatype": "ci8"}
    harness.run_block(gnuradio, "replay", tmp_path, source={"path": "captures/no-signal"}, sink=sink)
    with open_recording(harness.ROOT / "captures" / "no-signal") as before, open_recording(tmp_path / "copy") as after:
        assert after.sample_count == before.sample_count


def test_an_existing_recording_stays(recorded: Path, tmp_path: Path, gnuradio: GnuRadio) -> None:
    before = recorded.with_suffix(".sigmf-data").read_bytes()
    sink = {"path": str(recorded), "sample_rate_hz": 1e6}
    harness.run_block(gnuradio, "replay", tmp_path, source={"path": "captures/no-signal"}, sink=sink)
    assert recorded.with_suffix(".sigmf-data").read_bytes() == before
    assert {path.suffix for path in tmp_path.iterdir()} == {".sigmf-data", ".sigmf-meta"}


def test_without_samples_there_is_no_recording(recorded: Path, tmp_path: Path, gnuradio: GnuRadio) -> None:
    sink = {"path": str(tmp_path / "copy"), "sample_rate_hz": 2e6}
    harness.run_block(gnuradio, "replay", tmp_path, source={"path": str(recorded)}, sink=sink, head=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["input.sigmf-data", "input.sigmf-meta"]


def test_what_cannot_be_opened(tmp_path: Path, gnuradio: GnuRadio) -> None:
    sink = {"path": str(tmp_path / "copy")}
    (line,) = harness.run_block(
        gnuradio, "replay", tmp_path, check=False, source={"path": str(tmp_path / "none")}, sink=sink
    )
    assert "LinkError: there is no recording" in line["error"]
    assert not list(tmp_path.iterdir())
