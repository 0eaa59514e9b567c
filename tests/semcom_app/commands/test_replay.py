"""`semcom replay`: what a recording holds, and one clear line when it holds nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from semcom_app.cli import run
from semcom_app.codecs import CodecOptions, make_codec
from semcom_app.reception import PictureDecoder, payload_sha256
from semcom_phy.capture import Recorder, RecordingInfo, open_recording
from semcom_phy.coding.transport import TurboCode
from semcom_phy.links import AirLinkConfig, Frame, FrameFormat
from semcom_phy.links.air_frames import AirFrame, AirReceiver
from semcom_phy.links.air_link import AirTransmitter

Refused = Callable[..., None]
BURST_KEYS = {
    "time_s",
    "position_samples",
    "link",
    "image",
    "frame",
    "fragment",
    "fragments",
    "coded_bits",
    "payload_bits",
    "header_bytes",
    "modulation",
    "fec",
    "redundancy",
    "interleaved",
    "passes",
    "symbols",
    "symbols_missing",
    "esn0_db",
    "cfo_hz",
    "clock_offset_ppm",
    "evm_percent",
    "level_dbfs",
    "equalizer",
    "crc_ok",
}


def replay(*arguments: object) -> int:
    return run(["replay", *map(str, arguments)])


def result_of(out: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((out / "result.json").read_bytes())
    return result


@pytest.fixture(scope="module")
def recording(picture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures as ci16_le, in two bursts each."""
    stem = tmp_path_factory.mktemp("recording") / "two"
    options = "--codec vcsc-4bit --impair cfo=500,ppm=15,esn0=15 --modulation qpsk --rate 1/3 --fragment-symbols 150"
    assert run(["record", str(picture), str(picture), *options.split(), "--out", str(stem)]) == 0
    return stem


def frames_of(recording: Path) -> list[AirFrame]:
    receiver = AirReceiver()
    with open_recording(recording) as opened:
        return receiver.push(opened.read(0, opened.sample_count)) + receiver.flush()


def test_pictures_come_out_by_the_codec_that_they_name(
    picture: Path, recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert replay(recording, "--out", out) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "4 bursts, 2 frames, 2 delivered, 2 intact" in printed.out
    assert max(len(line) for line in printed.out.splitlines() if "report:" not in line) <= 100
    assert sorted(path.name for path in out.iterdir()) == [
        "frame-001.received.png",
        "frame-002.received.png",
        "report.html",
        "result.json",
    ]
    result = result_of(out)
    assert result["summary"] == {
        "bursts": 4,
        "bursts_intact": 4,
        "frames": 2,
        "frames_delivered": 2,
        "frames_intact": 2,
    }
    assert all(set(burst) == BURST_KEYS for burst in result["bursts"])
    assert [burst["fragment"] for burst in result["bursts"]] == [0, 1, 0, 1]
    for burst in result["bursts"]:
        assert burst["crc_ok"] is True
        assert burst["cfo_hz"] == pytest.approx(500, abs=20)
        assert burst["esn0_db"] == pytest.approx(15, abs=1)
        assert burst["time_s"] == burst["position_samples"] / 1e6
    # What a codec makes of an undamaged payload is what must come out here.
    codec = make_codec("vcsc-4bit", CodecOptions(device="cpu"))
    encoded = codec.encode(np.array(Image.open(picture)))
    expected = codec.decode(encoded.header, encoded.bits, np.empty(0, np.float32)).pixels
    for row in result["images"]:
        assert row["codec"] == "vcsc"
        assert (row["width"], row["height"]) == (32, 24)
        assert row["payload_sha256"] == payload_sha256(encoded.bits)
        assert (row["fragments_received"], row["fragments_expected"]) == (2, 2)
        assert row["complete"]
        assert np.array_equal(np.array(Image.open(out / row["received_file"])), expected)
    page = (out / "report.html").read_text()
    assert page.count('<span class="pill ok">ok</span>') == 4
    assert page.count("<article") == 2
    assert "data:image/" in page


def test_json_is_the_file_and_nothing_else(
    recording: Path, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert replay(recording, "--out", tmp_path / "out", "--json") == 0
    captured = capsysbinary.readouterr()
    assert captured.err == b""
    assert captured.out == (tmp_path / "out" / "result.json").read_bytes()
    assert set(json.loads(captured.out)) == {
        "config",
        "recording",
        "versions",
        "receiver",
        "assembler",
        "summary",
        "bursts",
        "images",
    }


def test_raw_files_need_their_rate_and_type(recording: Path, tmp_path: Path, refused: Refused) -> None:
    raw = tmp_path / "raw.bin"
    raw.write_bytes(recording.with_suffix(".sigmf-data").read_bytes() + b"odd")
    given = ["--sample-rate", 2e6, "--datatype", "ci16_le"]
    out = tmp_path / "out"
    assert replay(raw, *given, "--out", out) == 0
    result = result_of(out)
    assert result["summary"]["frames_intact"] == 2
    # Twice the rate: half the time, twice the frequencies.
    assert result["bursts"][0]["cfo_hz"] == pytest.approx(1000, abs=40)
    assert result["recording"]["problems"] == ["3 bytes after the last whole sample are not used"]
    assert "3 bytes after" in (out / "report.html").read_text()


def test_real_time_takes_its_time(recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import time

    with open_recording(recording) as opened:
        duration = opened.duration_s
    start = time.monotonic()
    assert replay(recording, "--realtime", "--out", tmp_path / "out") == 0
    assert time.monotonic() - start >= duration
    assert capsys.readouterr().err.splitlines() == [
        f"frame {number}: image {row['image']}, intact"
        for number, row in enumerate(result_of(tmp_path / "out")["images"], 1)
    ]


def test_a_truncated_recording(recording: Path, tmp_path: Path) -> None:
    """Cut within the second picture's first burst: one frame whole, one not delivered whole, no crash."""
    with open_recording(recording) as opened:
        starts = [burst.sample_start for burst in opened.bursts()]
        samples = opened.read(0, starts[2] + 9000)
    (tmp_path / "cut.cf32").write_bytes(samples.tobytes()[:-3])
    out = tmp_path / "out"
    code = replay(tmp_path / "cut.cf32", "--sample-rate", 1e6, "--out", out)
    result = result_of(out)
    assert result["images"][0]["intact"]
    assert result["bursts"][-1]["symbols_missing"] > 0
    assert not result["images"][1]["complete"]
    assert code == (0 if result["images"][1]["delivered"] else 1)


def test_a_lost_frame_gives_exit_code_1(recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Cut within the application's header: the burst is found, its picture is not."""
    with open_recording(recording) as opened:
        first = opened.bursts()[0].sample_start
        samples = opened.read(0, first + 4 * 1750)
    (tmp_path / "cut.cf32").write_bytes(samples.tobytes())
    out = tmp_path / "out"
    assert replay(tmp_path / "cut.cf32", "--sample-rate", 1e6, "--out", out) == 1
    (row,) = result_of(out)["images"]
    assert not row["delivered"]
    assert row["error"] == "header lost"
    assert row["payload_sha256"] is None
    assert (out / row["received_file"]).is_file()
    assert "header lost" in capsys.readouterr().out
    assert "This picture was lost" in (out / "report.html").read_text()


def test_damaged_samples_are_counted(recording: Path, tmp_path: Path) -> None:
    with open_recording(recording) as opened:
        samples = opened.read(0, opened.sample_count)
    samples[::500] = np.nan
    samples[7::5000] = np.inf
    (tmp_path / "nan.cf32").write_bytes(samples.tobytes())
    assert replay(tmp_path / "nan.cf32", "--sample-rate", 1e6, "--out", tmp_path / "out") == 0
    result = result_of(tmp_path / "out")
    assert result["recording"]["non_finite_samples"] == np.count_nonzero(~np.isfinite(samples))
    assert result["summary"]["frames_intact"] == 2


def test_foreign_bursts_and_copies(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Frames that hold no picture are reported as lost, copies as late, and the picture is delivered."""
    config = AirLinkConfig(frames=FrameFormat(turbo=TurboCode(rate=1 / 2)), seed=1)
    transmitter = AirTransmitter(config.waveform, config.frames, config.seed)
    encoded = make_codec("vcsc-2bit", CodecOptions(device="cpu")).encode(np.array(Image.open(picture)))
    ours = transmitter.bursts(Frame(encoded.header, encoded.bits))
    strange = transmitter.bursts(Frame(b"not a picture at all", encoded.bits))
    other_length = transmitter.bursts(Frame(encoded.header, encoded.bits[:-8]))
    bursts = [*strange, *ours, *ours, *other_length]
    with Recorder(tmp_path / "mixed", RecordingInfo(1e6)) as recorder:
        for samples in transmitter.stream(bursts):
            recorder.append(0.2 * samples)
    assert replay(tmp_path / "mixed", "--out", tmp_path / "out") == 1
    result = result_of(tmp_path / "out")
    assert [row["delivered"] for row in result["images"]] == [False, True, False]
    assert "too short" in result["images"][0]["error"]
    assert "payload bits" in result["images"][2]["error"]
    assert [burst["crc_ok"] for burst in result["bursts"]] == [True, True, None, True]
    assert result["assembler"]["late"] == 1
    assert "also: 1 bursts of frames that were complete" in capsys.readouterr().out
    assert "1 bursts of frames that were complete" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (np.zeros(20_000, np.complex64), "no signal: no burst in 20000 samples"),
        (0.3 * np.exp(0.3j * np.arange(20_000)).astype(np.complex64), "no signal: no burst"),
        (np.zeros(1, np.complex64), "no signal: no burst in 1 sample ("),
        (np.empty(0, np.complex64), "holds no samples"),
        (np.full(9000, np.nan, np.complex64), "no signal"),
    ],
)
def test_no_signal(samples: np.ndarray, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.cf32").write_bytes(samples.tobytes())
    assert replay(tmp_path / "x.cf32", "--sample-rate", 1e6, "--out", tmp_path / "out", "--json") == 1
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("semcom: ")
    assert expected in captured.err
    result = json.loads(captured.out)
    assert result["bursts"] == result["images"] == []
    assert "no frame was found" in (tmp_path / "out" / "report.html").read_text()


def test_another_symbol_rate_is_no_signal(recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay(recording, "--sps", 5, "--out", tmp_path / "out") == 1
    assert "at 5 samples per symbol; check --sps" in capsys.readouterr().err


def test_wrong_usage(recording: Path, tmp_path: Path, refused: Refused) -> None:
    out = ["--out", tmp_path / "out"]
    raw = tmp_path / "x.bin"
    raw.write_bytes(bytes(1000))
    (tmp_path / "file").write_bytes(b"")
    cases: list[tuple[list[object], int, str]] = [
        ([tmp_path / "missing", *out], 1, "there is no recording"),
        ([tmp_path, *out], 1, "is not a file"),
        ([raw, *out], 1, "a raw file needs its datatype, such as --datatype cf32_le"),
        ([raw, "--datatype", "ci16_le", *out], 1, "sample rate is not known; give it as --sample-rate"),
        ([raw, "--datatype", "ci16", "--sample-rate", 1e6, *out], 2, "lacks its byte order"),
        ([raw, "--datatype", "ci16_le", "--sample-rate", 0, *out], 2, "--sample-rate must be"),
        ([raw, "--datatype", "ci16_le", "--sample-rate", 0.5, *out], 2, "--sample-rate must be"),
        ([recording, "--channel", 1, *out], 2, "--channel must be"),
        ([recording, "--sps", 17, *out], 2, "--sps must be an integer from 2 to 16"),
        ([recording, "--vae", "compct", *out], 2, "Did you mean 'compact'?"),
        ([recording, "--device", "gpu", *out], 2, "unknown device 'gpu'"),
        ([recording, "--out", tmp_path / "file"], 1, "it is a file"),
        ([*out], 2, "(see `semcom replay --help`)"),
    ]
    for arguments, code, expected in cases:
        refused(["replay", *arguments], code, expected)


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        (b"{", "two: "),
        (b"[]", "two: the metadata has no 'global' object"),
        (b'{"global": {"core:datatype": "cf32_le", "core:version": "1.2.0"}}', "sample rate"),
        (b'{"global": {"core:datatype": "ci16_le", "core:sample_rate": -1, "core:version": "1.2.0"}}', "sample_rate"),
    ],
)
def test_lying_metadata(metadata: bytes, expected: str, recording: Path, tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "two.sigmf-meta").write_bytes(metadata)
    (tmp_path / "two.sigmf-data").write_bytes(recording.with_suffix(".sigmf-data").read_bytes())
    refused(["replay", tmp_path / "two", "--out", tmp_path / "out"], 1, expected)


def test_metadata_that_names_another_datatype(recording: Path, tmp_path: Path) -> None:
    """Wrong metadata that can be read gives noise, not a crash."""
    meta = json.loads(recording.with_suffix(".sigmf-meta").read_text())
    meta["global"]["core:datatype"] = "cf64_be"
    meta["captures"] = [{"core:sample_start": 10**12}, {"core:sample_start": 3, "core:global_index": -5}]
    meta["annotations"] = [{"core:sample_start": 0, "core:sample_count": 10**15, "semcom:crc_ok": "yes"}]
    (tmp_path / "lie.sigmf-meta").write_text(json.dumps(meta))
    (tmp_path / "lie.sigmf-data").write_bytes(recording.with_suffix(".sigmf-data").read_bytes())
    assert replay(tmp_path / "lie", "--out", tmp_path / "out") == 1


def test_random_bytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number, datatype in enumerate(("cf32_le", "ci8", "cu16_be", "cf64_le")):
        path = tmp_path / f"{number}.bin"
        path.write_bytes(rng.bytes(60_001))
        out = tmp_path / "out"
        assert replay(path, "--sample-rate", 1e6, "--datatype", datatype, "--out", out) == 1


def test_pictures_of_unknown_codecs_are_refused(recording: Path) -> None:
    """A container that is intact but of a codec, or with a network, that this program does not have."""
    from semcom_app.container import Header

    frame = frames_of(recording)[0]
    assert frame.received.header is not None
    decoder = PictureDecoder(CodecOptions(device="cpu"))
    header = Header.from_bytes(frame.received.header)
    for change, expected in (
        ({"codec": 250}, "codec number 250"),
        ({"width": 4000}, "payload bits"),
        ({"width": 50_000, "height": 1000}, "payload bits"),
        ({"body": bytes(len(header.body))}, "fingerprint 00000000"),
        ({"body": b""}, "too short"),
        ({"data_bits": 5}, "payload bits"),
    ):
        received = replace(frame.received, header=replace(header, **change).to_bytes())
        lost = decoder.decode(replace(frame, received=received))
        assert not lost.row["delivered"]
        assert expected in lost.row["error"]
        assert lost.pixels.size < 1_000_000
    assert decoder.decode(frame).row["intact"]
