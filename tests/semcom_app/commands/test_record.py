"""`semcom record`: pictures and raw samples into SigMF."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from semcom_app.cli import run
from semcom_phy.capture import open_recording

Refused = Callable[..., None]


def record(*arguments: object) -> int:
    return run(["record", *map(str, arguments)])


@pytest.fixture(scope="session")
def recording(picture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One picture as ci16_le: stem of the recording."""
    stem = tmp_path_factory.mktemp("recording") / "one"
    options = "--codec vcsc-4bit --impair cfo=500,esn0=15 --modulation qpsk --rate 1/3 --fragment-symbols 150"
    assert record(picture, *options.split(), "--out", stem) == 0
    return stem


@pytest.mark.parametrize("datatype", ["cf32_le", "ci16_le", "ci8"])
def test_pictures_are_recorded_and_annotated(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], datatype: str
) -> None:
    stem = tmp_path / "two"
    assert record(picture, picture, "--datatype", datatype, "--snr", 12, "--sample-rate", 2e6, "--out", stem) == 0
    printed = capsys.readouterr()
    assert "2 bursts annotated, 2 frames decoded, 0 of them lost" in printed.out
    assert printed.err == ""
    from sigmf import sigmffile

    sigmffile.fromfile(f"{stem}.sigmf-meta").validate()
    with open_recording(stem) as opened:
        assert opened.verify()
        assert opened.datatype == datatype
        assert opened.sample_rate_hz == 2e6
        assert opened.hardware == "simulated"
        assert opened.global_fields["semcom:saturated_samples"] == 0
        first, second = opened.bursts()
        power = np.mean(np.abs(opened.read(0, opened.sample_count)) ** 2)
    assert first.crc_ok
    assert second.crc_ok
    assert second.image == first.image + 1
    assert -15 < 10 * np.log10(power) < -11.5


def test_json(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert record(picture, "--out", tmp_path / "r", "--json") == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    result = json.loads(printed.out)
    assert set(result) == {"config", "recording", "sent", "versions", "receiver", "summary", "bursts"}
    assert result["summary"] == {"bursts": 1, "frames": 1, "frames_lost": 0}
    assert result["config"]["codec"] == "vcsc-8bit"
    assert result["config"]["snr_db"] == 10
    (sent,) = result["sent"]
    assert sent["file"] == "a.png"
    assert sent["image"] == result["bursts"][0]["image"]
    assert sent["payload_bits"] == 4 * 3 * 4 * 8
    assert result["recording"]["samples"] == os.path.getsize(tmp_path / "r.sigmf-data") // 4


def test_same_seed_same_samples(picture: Path, tmp_path: Path) -> None:
    options = ["--impair", "fading=10,cheap-sdr", "--codec", "vcsc-2bit"]
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert record(picture, *options, "--seed", seed, "--out", tmp_path / name) == 0
    a, b, c = ((tmp_path / f"{name}.sigmf-data").read_bytes() for name in "abc")
    assert a == b != c


def test_raw_samples_are_annotated(recording: Path, tmp_path: Path) -> None:
    """The same bursts, whether the samples come from SigMF, a raw file or a pipe."""
    with open_recording(recording) as opened:
        expected = [(b.fragment, b.sample_start, b.crc_ok) for b in opened.bursts()]
    assert len(expected) == 2
    raw = tmp_path / "raw.bin"
    raw.write_bytes(recording.with_suffix(".sigmf-data").read_bytes() + b"\1\2\3")
    given = ["--sample-rate", 1e6, "--input-datatype", "ci16_le"]
    assert record("--from-file", recording, "--out", tmp_path / "a") == 0
    assert record("--from-file", raw, *given, "--out", tmp_path / "b", "--datatype", "ci8") == 0
    for name, datatype in (("a", "ci16_le"), ("b", "ci8")):
        with open_recording(tmp_path / name) as opened:
            assert opened.datatype == datatype
            found = opened.bursts()
            assert [(b.fragment, b.crc_ok) for b in found] == [(f, ok) for f, _, ok in expected]
            assert all(abs(b.sample_start - start) <= 1 for b, (_, start, _) in zip(found, expected, strict=True))
    assert (tmp_path / "a.sigmf-data").read_bytes() == recording.with_suffix(".sigmf-data").read_bytes()


def test_standard_input(recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = recording.with_suffix(".sigmf-data").read_bytes()

    class Dribble(io.RawIOBase):
        """A pipe that gives odd numbers of bytes."""

        def __init__(self) -> None:
            self._rest = raw + b"\0"

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            count = min(len(buffer), 9_973, len(self._rest))
            buffer[:count] = self._rest[:count]
            self._rest = self._rest[count:]
            return count

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BufferedReader(Dribble())))
    options = ["--sample-rate", 1e6, "--input-datatype", "ci16_le", "--frequency", 868e6]
    assert record("--from-file", "-", *options, "--out", tmp_path / "p") == 0
    assert (tmp_path / "p.sigmf-data").read_bytes() == raw
    with open_recording(tmp_path / "p") as opened:
        assert [b.crc_ok for b in opened.bursts()] == [True, True]
        assert opened.segments[0].center_frequency_hz == 868e6


@pytest.mark.slow
def test_ctrl_c_keeps_what_came_through_a_pipe(recording: Path, tmp_path: Path) -> None:
    """A real process on a pipe that stays open, ended by SIGINT."""
    raw = recording.with_suffix(".sigmf-data").read_bytes()
    command = [sys.executable, "-m", "semcom_app.cli", "record", "--from-file", "-", "--out", str(tmp_path / "p")]
    process = subprocess.Popen(
        [*command, "--sample-rate", "1e6", "--input-datatype", "ci16_le"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(raw)
    process.stdin.flush()
    deadline = time.monotonic() + 120
    stored = 0
    while stored < len(raw) // 2:
        assert time.monotonic() < deadline
        assert process.poll() is None
        stored = sum(path.stat().st_size for path in tmp_path.glob(".p.data-*"))
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    output, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    assert b"ended by Ctrl-C" in output
    with open_recording(tmp_path / "p") as opened:
        assert stored <= 4 * opened.sample_count <= len(raw)
        assert opened.read(0, opened.sample_count).size == opened.sample_count
        assert opened.verify()


def test_nan_samples_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = np.full(5000, 0.1 + 0.1j, np.complex64)
    samples[::100] = np.nan
    (tmp_path / "x.cf32").write_bytes(samples.tobytes())
    assert record("--from-file", tmp_path / "x.cf32", "--sample-rate", 1e6, "--out", tmp_path / "r") == 0
    assert "0 bursts annotated" in capsys.readouterr().out
    with open_recording(tmp_path / "r") as opened:
        assert np.all(opened.read(0, 5000)[::100] == 0)


def test_wrong_usage(picture: Path, recording: Path, tmp_path: Path, refused: Refused) -> None:
    out = ["--out", tmp_path / "r"]
    raw = tmp_path / "x.bin"
    raw.write_bytes(b"12345678")
    (tmp_path / "empty.cf32").write_bytes(b"")
    cases: list[tuple[list[object], int, str]] = [
        ([picture], 2, "give the recording a name with --out"),
        ([*out], 2, "give either pictures or --from-file"),
        ([picture, "--from-file", "-", *out], 2, "and not both"),
        ([picture, "--input-datatype", "ci8", *out], 2, "--input-datatype and --channel are for --from-file"),
        ([picture, "--datatype", "cu8", *out], 2, "recordings are written as cf32_le, ci16_le, ci8, not 'cu8'"),
        ([picture, "--sps", 1, *out], 2, "--sps must be"),
        ([picture, "--seed", -1, *out], 2, "--seed must be"),
        ([picture, "--codec", "vcsc-9bit", *out], 2, "1…8, not 9"),
        ([picture, "--frequency", "nan", *out], 2, "--frequency must be"),
        ([picture, "--out", tmp_path / "no" / "folder"], 2, "cannot record to"),
        ([picture, "--out", recording], 2, "exists; choose another name"),
        ([tmp_path / "missing.png", *out], 1, "no file"),
        (["--from-file", tmp_path / "missing", *out], 1, "there is no recording"),
        (["--from-file", raw, *out], 1, "datatype, such as --input-datatype cf32_le"),
        (["--from-file", raw, "--input-datatype", "ci8", *out], 1, "give it as --sample-rate"),
        (["--from-file", raw, "--input-datatype", "rf32_le", *out], 2, "real-valued"),
        (["--from-file", tmp_path / "empty.cf32", "--sample-rate", 1e6, *out], 1, "no samples arrived"),
        (["--from-file", "-", *out], 2, "need --sample-rate and --input-datatype"),
        (["--from-file", "-", "--sample-rate", 1e6, "--input-datatype", "rf32", *out], 2, "real-valued"),
        (["--from-file", recording, "--channel", 1, *out], 2, "--channel must be"),
        (["--from-file", "-", "--channel", 0, *out], 2, "leave --channel out"),
        (["--from-file", recording, "--impair", "cfo=3", *out], 2, "leave out what is for sending"),
        (["--from-file", recording, "--size", 64, *out], 2, "leave out what is for pictures"),
    ]
    for arguments, code, expected in cases:
        refused(["record", *arguments], code, expected)
    assert not list(tmp_path.glob("r.*"))
    assert not list(tmp_path.glob(".r.*"))


def test_overwrite(picture: Path, tmp_path: Path) -> None:
    for seed in (1, 2):
        arguments = [picture, "--codec", "vcsc-2bit", "--seed", seed, "--out", tmp_path / "r"]
        assert record(*arguments, *(["--overwrite"] if seed == 2 else [])) == 0
    with open_recording(tmp_path / "r") as opened:
        assert opened.verify()
