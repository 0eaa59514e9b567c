"""`semcom tx --attach` and `semcom rx --attach` with flowgraph doubles: pictures, what is refused, and how they end."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from semcom_app.cli import run
from semcom_app.codecs import CodecOptions, make_codec
from semcom_app.commands import link_options
from semcom_app.images import load_image
from semcom_phy.links import Frame, LinkStats, ReceivedFrame
from semcom_phy.links.frame_pdus import ReceivedPdu, frame_from_pdu, lost_pdu, received_to_pdu
from semcom_phy.zmq import ApplicationEnd, FlowgraphEnd, LinkAddresses, Pdu, UInt64

from .conftest import Refused, free_ports

CODEC = "vcsc-4bit"
TRANSMITTER = {
    "flowgraph": "my_tx",
    "version": "1",
    "channel": "radio",
    "fec": "turbo",
    "interleave": False,
    "modulation": "qpsk",
    "samples_per_symbol": 4,
    "sample_rate_hz": 1e6,
}
RECEIVER = {
    "flowgraph": "my_rx",
    "channel": "radio",
    "fec": "turbo",
    "interleave": False,
    "samples_per_symbol": 4,
    "sample_rate_hz": 1e6,
}
LOOP = {**TRANSMITTER, "flowgraph": "my_loop", "channel": "channel_model"}

Handler = Callable[[Pdu], Iterable[Pdu] | None]


class Double:
    """A flowgraph without GNU Radio, at the four ports from `first` on, in threads of this process."""

    def __init__(self, first: int, settings: dict[str, Any], handler: Handler) -> None:
        self.addresses = LinkAddresses(*(f"tcp://127.0.0.1:{first + number}" for number in range(4)))
        self.end = FlowgraphEnd(self.addresses, capabilities=settings)
        self._threads = [threading.Thread(target=self.end.serve, args=(handler,), daemon=True)]
        self._stopped = threading.Event()
        self._threads[0].start()

    def play(self, pdus: Iterable[Pdu], pause_s: float = 0.0) -> None:
        """Send these to the application, once there is one."""

        def work() -> None:
            while self.end.responder.session is None:
                if self._stopped.wait(0.01):
                    return
            for pdu in pdus:
                if self._stopped.wait(pause_s):
                    return
                self.end.post(pdu)

        self._threads.append(threading.Thread(target=work, daemon=True))
        self._threads[-1].start()

    def stop(self) -> None:
        if not self._stopped.is_set():
            self._stopped.set()
            self.end.stop()
            for thread in self._threads:
                if thread is not threading.current_thread():
                    thread.join()
            self.end.close()


@contextmanager
def double(first: int, settings: dict[str, Any], handler: Handler = lambda pdu: None) -> Iterator[Double]:
    made = Double(first, settings, handler)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def first() -> int:
    return free_ports(1)[0]


def address(first: int) -> str:
    return f"tcp://127.0.0.1:{first}"


def semcom(*arguments: object) -> int:
    return run([str(argument) for argument in arguments])


def sent_answer(number: int, bursts: int = 2) -> Pdu:
    return lost_pdu(number, {"fragments_sent": bursts})


def encoded(picture: Path) -> Frame:
    coded = make_codec(CODEC, CodecOptions()).encode(load_image(picture).pixels)
    return Frame(coded.header, coded.bits)


def decoded(frame: Frame) -> np.ndarray:
    llrs = np.where(frame.payload == 1, 9.0, -9.0).astype(np.float32)
    return make_codec(CODEC, CodecOptions()).decode(frame.header, frame.payload, llrs).pixels


def as_received(image: int, frame: Frame) -> Pdu:
    llrs = np.where(frame.payload == 1, 9.0, -9.0).astype(np.float32)
    stats = LinkStats(frames_received=1, fragments_received=3, esn0_measured_db=11.5, cfo_hz=-250.0)
    return received_to_pdu(
        ReceivedPdu(image, ReceivedFrame(frame.header, frame.payload, llrs, np.ones(2, np.bool_), stats))
    )


def result_of(out: Path) -> dict[str, Any]:
    return json.loads((out / "result.json").read_bytes())


def pixels_of(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


# --- transmitting --------------------------------------------------------------------------------------


def test_pictures_are_sent_at_the_pace_of_the_flowgraph(
    first: int, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One is answered when it is out, a few wait behind it; what was handed over is what decodes to the picture."""
    taken: list[Frame] = []
    waiting: list[int] = []
    most = 0

    def take(pdu: Pdu) -> list[Pdu]:
        nonlocal most
        number, frame = frame_from_pdu(pdu)
        taken.append(frame)
        waiting.append(number)
        most = max(most, len(waiting))
        if len(taken) < 3:
            return []
        # The last ones are answered at once: nobody will come any more.
        return [sent_answer(waiting.pop(0)) for _ in range(len(waiting) if len(taken) == 7 else 1)]

    with double(first, TRANSMITTER, take):
        code = semcom("tx", *[picture] * 7, "--codec", CODEC, "--attach", address(first), "--json")
    captured = capsys.readouterr()
    assert code == 0, captured.err
    told = json.loads(captured.out)
    assert told["summary"]["pictures"] == len(taken) == 7
    assert told["summary"]["bursts"] == 14
    assert (told["summary"]["refused"], told["summary"]["under_way"], told["summary"]["interrupted"]) == (0, 0, False)
    assert most == 3
    assert told["radio"]["flowgraph"] == "my_tx"
    assert (told["radio"]["modulation"], told["config"]["codec"]) == ("qpsk", CODEC)
    assert [row["file"] for row in told["sent"]] == ["a.png"] * 7
    assert told["counts"] == {"malformed": 0, "unexpected": 0}
    np.testing.assert_array_equal(decoded(taken[0]), decoded(encoded(picture)))
    (line,) = captured.err.splitlines()
    assert line.startswith(f"semcom: transmitter flowgraph: waiting 120 s for it to connect to {address(first)} … ")


def test_what_is_refused_and_what_is_no_answer(first: int, picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def take(pdu: Pdu) -> list[Pdu]:
        number, _ = frame_from_pdu(pdu)
        junk = [
            Pdu({"frame": UInt64(number), "header": "a symbol"}, np.ones(3, np.float32)),
            Pdu({}, np.ones(3, np.float32)),
            sent_answer(1 << 60),
        ]
        return [*junk, lost_pdu(number) if number == 1 else sent_answer(number)]

    with double(first, TRANSMITTER, take):
        assert semcom("tx", *[picture] * 3, "--codec", CODEC, "--attach", address(first)) == 1
    captured = capsys.readouterr()
    assert captured.out == "2 pictures in 4 bursts sent by flowgraph my_tx; 1 refused\n"
    assert captured.err.splitlines()[1:] == [
        "a.png: 2 bursts",
        "a.png: refused by flowgraph my_tx; see its output",
        "a.png: 2 bursts",
    ]


def test_a_loop_that_is_stopped(first: int, picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def take(pdu: Pdu) -> list[Pdu]:
        number, _ = frame_from_pdu(pdu)
        if number == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return [sent_answer(number)] if number < 4 else []

    with double(first, TRANSMITTER, take):
        code = semcom("tx", picture, "--codec", CODEC, "--loop", "--attach", address(first), "--json")
    told = json.loads(capsys.readouterr().out)
    assert code == 0
    total = told["summary"]
    assert total["interrupted"]
    assert total["pictures"] == len(told["sent"]) <= 4
    # Every picture that was handed over is accounted for, and more than three were never under way.
    assert total["under_way"] <= 3
    assert 5 <= total["pictures"] + total["under_way"] <= 7


def test_a_transmitter_that_dies(first: int, picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def take(pdu: Pdu) -> list[Pdu]:
        number, _ = frame_from_pdu(pdu)
        if number == 1:
            threading.Thread(target=one.stop, daemon=True).start()
            return []
        return [sent_answer(number)]

    with double(first, TRANSMITTER, take) as one:
        assert semcom("tx", *[picture] * 3, "--codec", CODEC, "--attach", address(first), "--json") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[1].startswith("semcom: flowgraph my_tx: the flowgraph has closed its connection")
    assert re.search(r"; 1 pictures were sent, of [12] more it is not known\n$", captured.err)


def test_a_transmitter_that_does_not_get_on(first: int, picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is well, but its radio takes nothing: no answer beyond --timeout and the time that the frame takes."""
    began = time.monotonic()
    with double(first, TRANSMITTER):
        assert semcom("tx", picture, "--codec", CODEC, "--timeout", 0.3, "--attach", address(first)) == 1
    assert "it has not said for 0.3 s and the time on the air that a frame is out" in capsys.readouterr().err
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"sample_rate_hz": "fast"}, "flowgraph my_tx does not say how fast it sends"),
        ({"sample_rate_hz": None}, "flowgraph my_tx does not say how fast it sends"),
        ({"fec": "ldpc"}, "the flowgraph says of itself what cannot be"),
        ({"samples_per_symbol": "x"}, "flowgraph my_tx does not say how fast it sends"),
    ],
)
def test_a_transmitter_that_talks_nonsense(
    first: int, picture: Path, capsys: pytest.CaptureFixture[str], wrong: dict[str, Any], text: str
) -> None:
    with double(first, {**TRANSMITTER, **wrong}):
        assert semcom("tx", picture, "--codec", CODEC, "--attach", address(first)) == 1
    assert text in capsys.readouterr().err


# --- receiving -----------------------------------------------------------------------------------------


def test_pictures_are_written_as_they_come(
    first: int, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = encoded(picture)
    junk = [
        Pdu({"frame": UInt64(3), "header": "a symbol"}, np.ones(3, np.float32)),
        Pdu({"frame": -1}, np.ones(3, np.float32)),
        Pdu({"frame": UInt64(4), "header": np.ones(9, np.uint8)}, np.full(3, np.nan, np.float32)),
    ]
    with double(first, RECEIVER) as one:
        one.play([*junk, as_received(77, frame), as_received(78, frame), as_received(79, frame)])
        arguments = ("--attach", address(first), "--count", 2, "--out", tmp_path, "--json")
        assert semcom("rx", *arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == result_of(tmp_path)
    assert told["summary"]["frames_intact"] == told["summary"]["frames"] == 2
    assert told["counts"]["malformed"] == 3
    assert told["radio"]["flowgraph"] == "my_rx"
    assert [row["image"] for row in told["images"]] == [77, 78]
    row = told["images"][0]
    assert (row["fragments_received"], row["esn0_measured_db"], row["cfo_hz"]) == (3, 11.5, -250.0)
    assert (row["payload_bits"], row["codec"], row["blocks"], row["blocks_failed"]) == (
        frame.payload.size,
        "vcsc",
        2,
        0,
    )
    for number in (1, 2):
        np.testing.assert_array_equal(pixels_of(tmp_path / f"frame-00000{number}.received.png"), decoded(frame))
    assert json.loads((tmp_path / "statistics.json").read_bytes())["summary"]["frames"] == 2


def test_frames_that_are_lost_or_hold_no_picture(
    first: int, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = encoded(picture)
    rng = np.random.default_rng(3)
    strange = Frame(rng.bytes(40), rng.integers(0, 2, 500, dtype=np.uint8))
    with double(first, RECEIVER) as one:
        one.play([lost_pdu(5), as_received(6, strange), as_received(7, Frame(frame.header, frame.payload[:50]))])
        assert semcom("rx", "--attach", address(first), "--count", 3, "--out", tmp_path) == 1
    captured = capsys.readouterr()
    assert "3 frames, 0 delivered, 0 intact" in captured.out
    assert f"result: {tmp_path / 'result.json'}" in captured.out
    assert captured.err.splitlines()[1:] == [f"frame {number}: image {number + 4}, lost" for number in (1, 2, 3)]
    rows = result_of(tmp_path)["images"]
    assert rows[0]["error"] == "lost, as the flowgraph says"
    assert all(row["error"] for row in rows)
    assert (tmp_path / "frame-000003.received.png").is_file()


def test_a_receiver_that_dies(first: int, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What it gave before is there, one line says what has happened."""
    frame = encoded(picture)
    with double(first, RECEIVER) as one:

        def then_die() -> Iterator[Pdu]:
            yield as_received(1, frame)
            deadline = time.monotonic() + 30
            while not (tmp_path / "frame-000001.received.png").exists() and time.monotonic() < deadline:
                threading.Event().wait(0.02)
            threading.Thread(target=one.stop, daemon=True).start()

        one.play(then_die())
        assert semcom("rx", "--attach", address(first), "--out", tmp_path) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[1] == "frame 1: image 1, intact"
    assert lines[2].startswith("semcom: flowgraph my_rx: the flowgraph has closed its connection and has not answered")
    assert len(lines) == 3
    found = result_of(tmp_path)
    assert found["summary"]["problem"].startswith("flowgraph my_rx: ")
    assert found["summary"]["frames_intact"] == 1


def test_silence(first: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with double(first, RECEIVER) as one:
        # Junk is no frame.
        one.play((Pdu({"frame": "x"}) for _ in range(1000)), pause_s=0.05)
        for option, text in (
            (("--timeout", 0.4), "no picture: the flowgraph has given no frame for 0.4 s"),
            (("--duration", 0.4), "no picture: flowgraph my_rx gave no frame in 0.4"),
        ):
            assert semcom("rx", "--attach", address(first), *option, "--out", tmp_path) == 1
            assert text in capsys.readouterr().err.splitlines()[-1]
            assert result_of(tmp_path)["counts"]["malformed"] > 0


def test_a_reception_that_is_stopped(
    first: int, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = encoded(picture)
    with double(first, RECEIVER) as one:

        def then_interrupt() -> Iterator[Pdu]:
            yield as_received(1, frame)
            deadline = time.monotonic() + 30
            while not (tmp_path / "frame-000001.received.png").exists() and time.monotonic() < deadline:
                threading.Event().wait(0.02)
            os.kill(os.getpid(), signal.SIGINT)

        one.play(then_interrupt())
        assert semcom("rx", "--attach", address(first), "--out", tmp_path) == 0
    assert result_of(tmp_path)["summary"]["interrupted"]
    with ApplicationEnd(one.addresses):  # the ports are free again
        pass


# --- the wrong one, nobody, wrong usage ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "settings", "text"),
    [
        ("tx", RECEIVER, "flowgraph my_rx receives and does not transmit: pictures go through it with `semcom rx"),
        ("tx", LOOP, "flowgraph my_loop gives back what it is sent: pictures go through it with `semcom send --link"),
        ("rx", TRANSMITTER, "flowgraph my_tx transmits and does not receive: pictures go through it with `semcom tx"),
        ("rx", LOOP, "flowgraph my_loop gives back what it is sent"),
        ("rx", {"flowgraph": "mine"}, "flowgraph mine gives back what it is sent"),
        ("send", TRANSMITTER, "flowgraph my_tx transmits and does not receive: pictures go through it with `semcom tx"),
        ("send", RECEIVER, "flowgraph my_rx receives and does not transmit: pictures go through it with `semcom rx"),
    ],
)
def test_another_role(
    first: int,
    picture: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    command: str,
    settings: dict[str, Any],
    text: str,
) -> None:
    arguments = {
        "tx": ("tx", picture, "--codec", CODEC),
        "rx": ("rx", "--out", tmp_path / "out"),
        "send": ("send", picture, "--codec", CODEC, "--link", "gnuradio", "--out", tmp_path / "out"),
    }[command]
    with double(first, settings) as one:
        assert semcom(*arguments, "--attach", address(first)) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 2, lines
    assert lines[1].startswith(f"semcom: {text}")
    with ApplicationEnd(one.addresses):  # the ports are free again
        pass


@pytest.mark.parametrize("command", ["tx", "rx"])
def test_nobody_attaches(
    first: int,
    command: str,
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(link_options, "ATTACH_TIMEOUT_S", 0.3)
    arguments = ("tx", picture, "--codec", CODEC) if command == "tx" else ("rx", "--out", tmp_path)
    assert semcom(*arguments, "--attach", address(first)) == 1
    notice, line = capsys.readouterr().err.splitlines()
    assert notice.endswith(f"waiting 0.3 s for it to connect to {address(first)} … {first + 3}; start it now")
    assert line.startswith("semcom: the flowgraph did not answer within 0.3 s; see whether it runs")


def test_ctrl_c_while_waiting(first: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt() -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", first + 3)) == 0:  # the last one is bound: somebody waits
                    break
            threading.Event().wait(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    assert semcom("rx", "--attach", address(first), "--out", tmp_path) == 130
    thread.join()
    assert capsys.readouterr().err.splitlines()[-1] == "semcom: interrupted"
    with socket.socket() as again:
        assert again.connect_ex(("127.0.0.1", first)) != 0


def test_ports_that_are_taken(first: int, tmp_path: Path, refused: Refused) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first + 2))
        taken.listen()
        refused(["rx", "--attach", address(first), "--out", tmp_path], 1, str(first + 2))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("rx --radio air", "--attach stands in place of --radio; give one of them"),
        ("rx --frequency 868e6", "--frequency is for --radio"),
        ("rx --sample-rate 1e6", "--sample-rate is for --radio"),
        ("rx --gain 3", "--gain is for --radio"),
        ("rx --antenna RX", "--antenna is for --radio"),
        ("rx --radio-channel 0", "--radio-channel is for --radio"),
        ("rx --record x", "--record is for --radio"),
        ("rx --datatype ci8", "--datatype is for --radio"),
        ("rx --overwrite", "--overwrite is for --radio"),
        ("rx --sps 4", "--sps is for --radio"),
        ("rx --link-id 0", "--link-id is for --radio"),
        ("rx --iterations 5", "--iterations is for --radio"),
        ("rx --algorithm log-map", "--algorithm is for --radio"),
        ("rx --count 0", "--count must be at least 1"),
        ("rx --duration -1", "--duration must be a number of seconds above 0"),
        ("tx PICTURE --radio air", "--attach stands in place of --radio; give one of them"),
        ("tx PICTURE --frequency 868e6", "--frequency is for --radio"),
        ("tx PICTURE --modulation qpsk", "--modulation is for --radio"),
        ("tx PICTURE --fec turbo", "--fec is for --radio"),
        ("tx PICTURE --rate 1/2", "--rate is for --radio"),
        ("tx PICTURE --repeat 2", "--repeat is for --radio"),
        ("tx PICTURE --interleave", "--interleave is for --radio"),
        ("tx PICTURE --fragment-symbols 99", "--fragment-symbols is for --radio"),
        ("tx PICTURE --level -9", "--level is for --radio"),
        ("tx PICTURE --first-image 1", "--first-image is for --radio"),
        ("tx PICTURE --link-id 1", "--link-id is for --radio"),
        ("tx PICTURE --sps 4", "--sps is for --radio"),
        ("tx PICTURE --timeout -1", "--timeout"),
    ],
)
def test_wrong_usage(arguments: str, text: str, picture: Path, refused: Refused) -> None:
    words = [picture if word == "PICTURE" else word for word in arguments.split()]
    refused([*words, "--attach", "tcp://127.0.0.1:29001"], 2, text)


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("29001", "'29001' is no address"),
        ("tcp://127.0.0.1:65533", "the first of four ports"),
        ("tcp://192.0.2.1:29001", "can be reached from other machines"),
        ("", "no address"),
    ],
)
@pytest.mark.parametrize("command", ["tx", "rx"])
def test_no_place_to_attach(
    command: str, place: str, text: str, picture: Path, tmp_path: Path, refused: Refused
) -> None:
    arguments = ["tx", picture, "--codec", CODEC] if command == "tx" else ["rx", "--out", tmp_path]
    refused([*arguments, "--attach", place], 2, text)
