"""`semcom tx`, `semcom rx`, `semcom air`: pictures through radios, what is refused, and how they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from semcom_app.cli import run
from semcom_app.codecs import CodecOptions, make_codec
from semcom_app.images import ImageError, load_image
from semcom_app.streaming import PictureSource, StopSignals
from semcom_phy import radios
from semcom_phy.capture import open_recording
from semcom_phy.errors import ConfigurationError

from .conftest import Refused

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
}


def semcom(*arguments: object) -> int:
    return run([str(argument) for argument in arguments])


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "semcom_app.cli", *map(str, arguments)]
    return subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )


def result_of(out: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((out / "result.json").read_bytes())
    return result


def expected(picture: Path, codec: str = "vcsc-4bit") -> np.ndarray:
    """What an error-free link delivers."""
    coder = make_codec(codec, CodecOptions())
    encoded = coder.encode(load_image(picture).pixels)
    return coder.decode(encoded.header, encoded.bits, np.where(encoded.bits == 1, 9.0, -9.0).astype(np.float32)).pixels


# --- through a file, in one process ------------------------------------------------------------------


def test_pictures_through_a_file(
    picture: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The picture that comes out is the one that an error-free link delivers; recording and statistics agree."""
    sent = tmp_path / "sent"
    options = ("--codec", "vcsc-4bit", "--sample-rate", "5e5", "--frequency", "868e6", "--first-image", "41")
    assert semcom("tx", picture, picture, "--radio", f"file:{sent}", *options, "--link-id", "9", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["summary"]["pictures"] == 2
    assert [row["image"] for row in told["sent"]] == [41, 42]
    assert told["summary"]["samples"] == told["counts"]["samples"]

    out, again = tmp_path / "out", tmp_path / "again"
    recorded = ("--record", again, "--datatype", "cf32_le")
    assert semcom("rx", "--radio", f"file:{sent}", "--out", out, *recorded, "--link-id", "9") == 0
    printed = capsys.readouterr()
    assert "2 frames, 2 delivered, 2 intact" in printed.out
    assert "frame 2: image 42, intact" in printed.err
    result = result_of(out)
    assert [row["payload_sha256"] for row in result["images"]] == [row["payload_sha256"] for row in told["sent"]]
    assert result["counts"]["samples"] == told["summary"]["samples"]
    assert json.loads((out / "statistics.json").read_bytes())["summary"]["frames"] == 2
    for row in result["images"]:
        np.testing.assert_array_equal(np.array(Image.open(out / row["received_file"])), expected(picture))
    with open_recording(again) as copy, open_recording(sent) as original:
        np.testing.assert_array_equal(copy.read(0, copy.sample_count), original.read(0, original.sample_count))
        assert [burst.crc_ok for burst in copy.bursts()] == [True] * told["summary"]["bursts"]
        assert copy.sample_rate_hz == 5e5

    # Limits: a picture, and some seconds.
    assert semcom("rx", "--radio", f"file:{sent}", "--out", tmp_path / "one", "--count", 1, "--json") == 0
    assert json.loads(capsys.readouterr().out)["summary"]["frames"] == 1
    assert semcom("rx", "--radio", f"file:{sent}", "--out", tmp_path / "three", "--count", 3) == 1
    capsys.readouterr()
    assert semcom("rx", "--radio", f"file:{sent}", "--out", tmp_path / "short", "--duration", 0.001) == 1
    assert "no picture: no burst in 0.001 s" in capsys.readouterr().err
    assert semcom("rx", "--radio", f"file:{sent}", "--out", tmp_path / "other", "--link-id", "8") == 1
    assert "no picture" in capsys.readouterr().err


def test_raw_samples_of_a_file(
    picture: Path, tmp_path: Path, refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    """Samples without metadata: datatype and rate are said; what is missing is asked for as it is to be given."""
    sent, raw = tmp_path / "sent", tmp_path / "raw.bin"
    assert semcom("tx", picture, "--radio", f"file:{sent},datatype=ci16_le", "--codec", "vcsc-4bit") == 0
    raw.write_bytes(sent.with_name("sent.sigmf-data").read_bytes())
    out = ("--out", tmp_path / "out")
    radio = f"file:{raw},datatype=ci16_le"
    assert semcom("rx", "--radio", radio, "--sample-rate", "5e5", "--count", 1, *out) == 0
    result = result_of(tmp_path / "out")
    assert (result["radio"]["datatype"], result["radio"]["sample_rate_hz"]) == ("ci16_le", 5e5)
    (frame,) = result["images"]
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "out" / frame["received_file"])), expected(picture))
    with open_recording(sent) as recording:
        assert 0 < result["counts"]["samples"] <= recording.sample_count
    capsys.readouterr()
    refused(["rx", "--radio", f"file:{raw}", *out], 1, "such as --radio file:…,datatype=cf32_le")
    refused(["rx", "--radio", radio, *out], 1, "give it as --sample-rate")
    refused(["rx", "--radio", f"file:{sent},datatype=ci16_le", *out], 2, "leave datatype out")


@pytest.mark.parametrize(("lost", "text"), [(None, "unknown"), (700, "700")])
def test_losses_of_the_radio(
    picture: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    lost: int | None,
    text: str,
) -> None:
    """What nobody knows is said to be unknown; verdicts reach bursts that were listed long before their frame ended."""
    sent, out, again = tmp_path / "sent", tmp_path / "out", tmp_path / "again"
    options = ("--codec", "vcsc-4bit", "--modulation", "qpsk", "--fragment-symbols", 150)
    assert semcom("tx", picture, "--radio", f"file:{sent}", *options) == 0

    def open_lossy(radio: str, config: radios.RadioConfig) -> radios.ReceiveRadio:
        opened = open_receiver(radio, config)
        opened.counts.overruns, opened.counts.lost_samples = 2, lost
        return opened

    open_receiver = radios.open_receiver
    monkeypatch.setattr(radios, "open_receiver", open_lossy)
    monkeypatch.setattr("semcom_app.commands.rx._CHUNK", 500)
    capsys.readouterr()
    assert semcom("rx", "--radio", f"file:{sent}", "--out", out, "--record", again) == 0
    printed = capsys.readouterr()
    assert printed.err.splitlines()[0] == f"overruns: 2, samples lost: {text}"
    assert f"radio: 2 overruns, samples lost: {text}, 0 errors\n" in printed.out
    result = result_of(out)
    assert result["counts"]["lost_samples"] == lost
    bursts = result["summary"]["bursts"]
    assert bursts == result["summary"]["bursts_intact"] == result["recording"]["bursts"] > 1
    assert [burst["crc_ok"] for burst in result["bursts"]] == [True] * bursts
    with open_recording(again) as copy:
        assert [burst.crc_ok for burst in copy.bursts()] == [True] * bursts
        assert copy.segments[0].global_index == lost


# --- wrong usage ---------------------------------------------------------------------------------------


def test_pictures_of_the_importance_aware_codec(
    picture: Path, tmp_path: Path, refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    sent, out = tmp_path / "sent", tmp_path / "received"
    options = ("--codec", "iaq-wf", "--rho", 0.3, "--importance", "uniform", "--preset", "improved")
    assert semcom("tx", picture, "--radio", f"file:{sent}", *options, "--modulation", "qpsk") == 0
    assert semcom("rx", "--radio", f"file:{sent}", "--out", out, "--dequantize", "hard") == 0
    (frame,) = result_of(out)["images"]
    assert (frame["codec"], frame["intact"]) == ("iaq", True)
    capsys.readouterr()
    refused(["tx", picture, "--radio", f"file:{tmp_path / 'no'}", "--rho", 0.3], 2, "--rho")
    refused(["rx", "--radio", f"file:{sent}", "--dequantize", "softly"], 2, "softly")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["rx", "--radio", "sopy:x"], "Did you mean 'soapy'"),
        (["rx", "--radio", "air:tcp://10.0.0.1:5"], "or air:tcp://10.0.0.1:5,remote=yes in a network you trust"),
        (["tx", "PICTURE", "--radio", "air:tcp://0.0.0.0:5,wait=1"], "or air:tcp://0.0.0.0:5,remote=yes in a network"),
        (["rx", "--count", "0"], "--count must be"),
        (["rx", "--duration", "-1"], "--duration must be"),
        (["rx", "--timeout", "nan"], "--timeout must be"),
        (["rx", "--datatype", "ci8"], "are for --record"),
        (["rx", "--gain", "999"], "--gain must be"),
        (["rx", "--radio", "soapy:driver=rtlsdr"], "radio soapy needs --frequency, the centre frequency"),
        (["tx", "PICTURE", "--radio", "uhd"], "radio uhd needs --frequency, the centre frequency"),
        (["rx", "--sample-rate", "0"], "--sample-rate must be"),
        (["rx", "--frequency", "-1"], "--frequency must be"),
        (["rx", "--bandwidth", "0"], "--bandwidth must be"),
        (["rx", "--clock-source", ""], "--clock-source must be"),
        (["rx", "--radio-channel", "99"], "--radio-channel must be"),
        (["rx", "--link-id", "70000"], "--link-id must be"),
        (["rx", "--iterations", "0"], "--iterations"),
        (["rx", "--radio", "air", "--radio-channel", "3"], "no channel 3"),
        (["tx", "PICTURE", "--first-image", "-1"], "--first-image"),
        (["tx", "PICTURE", "--every", "0"], "--every must be"),
        (["tx", "PICTURE", "--modulation", "8psk"], "modulation"),
        (["tx", "PICTURE", "--link-id", "70000"], "--link-id must be"),
        (["tx", "PICTURE", "--level", "3", "--radio", "file:sent"], "--level must be"),
        (["tx", "PICTURE", "--codec", "iaq-mia", "--patch-header", "thin"], "unknown --patch-header 'thin'"),
        (["tx", "PICTURE", "--codec", "iaq-mia", "--rho", "3"], "--rho must be"),
        (["tx", "PICTURE", "--radio", "file:"], "file:PATH"),
        (["tx", "PICTURE", "--timeout", "-2"], "--timeout"),
        (["air", "--tx", "tcp://0.0.0.0:5"], "use 127.0.0.1, or --allow-remote in a network you trust"),
        (["air", "--buffer", "1e9"], "--buffer must be"),
        (["air", "--patience", "0"], "--patience must be"),
        (["air", "--level", "3"], "--level must be"),
        (["air", "--sample-rate", "0"], "--sample-rate must be"),
        (["air", "--impair", "tx9:esn0=1"], "impairments for tx9, but there are 1 transmitters"),
        (["air", "--tx", "5", "--rx", "5"], "of its own"),
        (["air", "--impair", "tx9:tx.cfo=1"], "1 transmitters"),
        (["air", "--impair", "cfoo=1"], "Did you mean 'cfo'"),
        (["air", "--impair", "esn0=3", "--snr", "5"], "leave --snr out"),
        (["air", "--sps", "1"], "--sps must be"),
        (["air", "--duration", "0"], "--duration must be"),
    ],
)
def test_wrong_usage(
    refused: Refused, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    refused([picture if argument == "PICTURE" else argument for argument in arguments], 2, text)


def test_nobody_there(refused: Refused, picture: Path, tmp_path: Path) -> None:
    refused(["tx", tmp_path / "none.png"], 1, "no file")
    refused(["rx", "--radio", f"file:{tmp_path / 'none'}"], 1, "there is no recording")
    refused(["tx", picture, "--radio", "air:0,wait=0.2"], 1, "nobody asked for samples", "start 'semcom air --tx")


def test_an_air_for_a_while(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--rx", "tcp://127.0.0.1:*", "--tx", "1", "--impair", "cfo=5", "--duration", 0.05)
    assert semcom("air", *arguments, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["samples"] == 50_000
    assert told["transmitters"]["tx1"]["absent_samples"] == 50_000
    assert told["receivers"]["rx1"]["unheard_samples"] == 50_000
    assert semcom("air", *arguments) == 0
    captured = capsys.readouterr()
    assert "rx1: 0 samples" in captured.out
    assert "semcom rx --radio air:tcp://127.0.0.1:" in captured.err


# --- pictures and videos, signals ----------------------------------------------------------------------


def test_pictures_of_folders(picture: Path, tmp_path: Path) -> None:
    for name in ("b.png", "a.png"):
        Image.open(picture).save(tmp_path / name)
    source = PictureSource([tmp_path, picture])
    assert [image.name for image in source] == ["a.png", "b.png", "a.png"]
    assert len(list(source)) == source.count == 3
    (tmp_path / "c.png").write_bytes(b"no picture")
    with pytest.raises(ImageError):
        PictureSource([tmp_path])
    with pytest.raises(ImageError, match="no pictures"):
        PictureSource([tmp_path / "empty"] if (tmp_path / "empty").mkdir() is None else [])


def make_film(path: Path, levels: list[int], codec: str, pixels: str) -> None:
    """A film of grey frames, 48×32."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 32, pixels
        for level in levels:
            frame = av.VideoFrame.from_ndarray(np.full((32, 48, 3), level, np.uint8), format="rgb24")
            for packet in stream.encode(frame.reformat(format=pixels)):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def test_a_film_through_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every second frame is sent, and as many pictures come out, in order: each as bright as its frame."""
    film, sent, out = tmp_path / "film.mp4", tmp_path / "sent", tmp_path / "out"
    levels = [30, 60, 90, 120, 150, 180, 210]
    make_film(film, levels, "mpeg4", "yuv420p")
    options = ("--codec", "iaq-ia", "--importance", "uniform", "--rho", 0.5, "--patch", 8, "--modulation", "qpsk")
    arguments = ("tx", film, "--every", 2, "--first-image", 7, "--radio", f"file:{sent}", *options, "--json")
    assert semcom(*arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["file"] for row in told["sent"]] == [f"film.mp4#{number}" for number in (0, 2, 4, 6)]
    assert semcom("rx", "--radio", f"file:{sent}", "--out", out) == 0
    result = result_of(out)
    assert result["summary"]["frames_intact"] == told["summary"]["pictures"] == 4
    assert [row["image"] for row in result["images"]] == [7, 8, 9, 10]
    shown = [np.array(Image.open(out / row["received_file"])) for row in result["images"]]
    assert {picture.shape for picture in shown} == {(32, 48, 3)}
    np.testing.assert_allclose([picture.mean() for picture in shown], levels[::2], atol=8)


def test_frames_of_a_video(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    levels = list(range(20, 220, 20))
    make_film(path, levels, "ffv1", "bgr0")
    frames = list(PictureSource([path]))
    assert [int(frame.pixels.mean()) for frame in frames] == levels
    assert frames[3].name == "film.mkv#3"
    assert frames[3].pixels.shape == (32, 48, 3)
    some = list(PictureSource([tmp_path], size=16, every=4))
    assert [frame.name for frame in some] == ["film.mkv#0", "film.mkv#4", "film.mkv#8"]
    assert some[1].pixels.shape == (16, 16, 3)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ImageError):
        PictureSource([path])


def test_videos_without_their_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "film.mp4").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'semcom\[video\]'"):
        PictureSource([tmp_path / "film.mp4"])


def test_stop_signals() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopSignals() as signals:
        assert not signals.stopped()
        signal.raise_signal(signal.SIGTERM)
        assert signals.stopped()
        signal.raise_signal(signal.SIGTERM)  # at once: the same Ctrl-C again
    assert signal.getsignal(signal.SIGTERM) is before


# --- three processes -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_pictures_through_three_processes_ended_by_signals(picture: Path, tmp_path: Path) -> None:
    """A picture again and again through an air with offsets and noise; SIGTERM and Ctrl-C end everything cleanly."""
    out = tmp_path / "out"
    impair = "cheap-sdr,cfo=3000,rx.ppm=-8,esn0=8"
    ports = [f"tcp://127.0.0.1:{port}" for port in free_ports(2)]
    transmitter = start("tx", picture, "--loop", "--codec", "vcsc-4bit", "--radio", f"air:{ports[0]}", "--json")
    air = start("air", "--tx", ports[0], "--rx", ports[1], "--fast", "--impair", impair, "--json")
    receiver = start("rx", "--radio", f"air:{ports[1]}", "--out", out, "--record", out / "heard", "--json")
    try:
        deadline = time.monotonic() + 120.0
        while not (out / "frame-000003.received.png").exists():
            assert time.monotonic() < deadline
            assert all(process.poll() is None for process in (transmitter, air, receiver))
            time.sleep(0.05)
        receiver.send_signal(signal.SIGINT)
        received = json.loads(receiver.communicate(timeout=60)[0])
        transmitter.send_signal(signal.SIGTERM)
        sent = json.loads(transmitter.communicate(timeout=60)[0])
        air.send_signal(signal.SIGTERM)
        carried = json.loads(air.communicate(timeout=60)[0])
    finally:
        for process in (transmitter, air, receiver):
            process.kill()
            process.communicate()
    assert (receiver.returncode, transmitter.returncode, air.returncode) == (0, 0, 0)
    assert received["summary"]["interrupted"]
    assert received["counts"]["lost_samples"] is None  # only the air knows
    assert received["summary"]["frames"] >= 3
    payloads = {row["image"]: row["payload_sha256"] for row in sent["sent"]}
    complete = [row for row in received["images"] if row["intact"]]
    assert len(complete) >= 3
    assert all(row["payload_sha256"] == payloads.get(row["image"], row["payload_sha256"]) for row in complete)
    assert abs(complete[0]["cfo_hz"] - 3000.0) < 10.0
    np.testing.assert_array_equal(np.array(Image.open(out / complete[0]["received_file"])), expected(picture))
    assert carried["transmitters"]["tx1"]["gap_samples"] == 0
    with open_recording(out / "heard") as recording:
        assert recording.sample_count == received["summary"]["samples"]


def free_ports(count: int) -> list[int]:
    import socket

    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports: list[int] = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
