"""Sliders that are moved while frames run through the window's flowgraph: what is measured and shown follows."""

from __future__ import annotations

import json
import queue
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semcom_phy.channels import make_channel
from semcom_phy.flowgraph import catalogue
from semcom_phy.flowgraph.compiler import compile_flowgraph
from semcom_phy.flowgraph.launch import ParameterValue, parameter_options
from semcom_phy.flowgraph.python import GnuRadio, environment
from semcom_phy.links import Frame, LinkStats, NumpyLink, NumpyLinkConfig, ReceivedFrame
from semcom_phy.links.frame_pdus import frame_to_pdu, received_from_pdu
from semcom_phy.zmq import ApplicationEnd

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parent / "scripts" / "sliders.py"
ENDS = ("data_to_flowgraph", "data_from_flowgraph", "control_to_flowgraph", "control_from_flowgraph")
#: What a window prints when something is amiss.
COMPLAINT = re.compile(r"Traceback|Error|warn|:error:", re.IGNORECASE)
START_S = 120.0
ANSWER_S = 60.0


class Window:
    """A flowgraph's window off screen, with the application that sends frames through it."""

    def __init__(self, name: str, gnuradio: GnuRadio, application: ApplicationEnd, **values: ParameterValue) -> None:
        flowgraph = catalogue.find(name)
        values |= dict(zip(ENDS, application.addresses.as_arguments(), strict=True))
        program = compile_flowgraph(flowgraph.form(gui=True), gnuradio).program
        self._application = application
        self._number = 0
        self._told: dict[str, queue.SimpleQueue[str]] = {}
        self.process = subprocess.Popen(
            [gnuradio.python, "-u", SCRIPT, program, *parameter_options(flowgraph, values)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**environment(), "QT_QPA_PLATFORM": "offscreen"},
        )
        for key in ("level", "tables", *(parameter.id for parameter in flowgraph.parameters)):
            self._told[key] = queue.SimpleQueue()
        self.printed: list[str] = []
        listeners = (self._listen, self._listen_to_errors)
        self._threads = [threading.Thread(target=listener, daemon=True) for listener in listeners]
        for thread in self._threads:
            thread.start()
        application.wait_ready(START_S, pid=self.process.pid)

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            name, _, value = line.partition(" ")
            if name in self._told:
                self._told[name].put(value)
            else:
                self.printed.append(line)

    def _listen_to_errors(self) -> None:
        assert self.process.stderr is not None
        self.printed += self.process.stderr

    def told(self, name: str) -> float:
        """The next value of this name that the window tells."""
        return float(self._told[name].get(timeout=ANSWER_S))

    def hear(self, level: float) -> None:
        """Wait until a burst of this level is told; all that were sent before have other ones."""
        while abs(self.told("level") - level) > 0.5:
            pass

    def _ask(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def move(self, name: str, value: float) -> None:
        """Move a slider, and wait until the flowgraph has its value."""
        self._ask(f"{name} {value}")
        assert self.told(name) == pytest.approx(value)

    def shows(self, **rows: str) -> None:
        """Wait until the tables in the window show these values, whatever share in brackets comes behind one.

        `_` stands for a space in the names of rows.
        """
        wanted = {name.replace("_", " "): value for name, value in rows.items()}
        deadline = time.monotonic() + ANSWER_S
        while True:
            self._ask("tables")
            rows_shown = json.loads(self._told["tables"].get(timeout=ANSWER_S))
            table = {name.rstrip(":"): value.partition(" (")[0] for name, value in rows_shown}
            if all(table[name] == value for name, value in wanted.items()):
                return
            assert time.monotonic() < deadline, f"{table} instead of {wanted}"

    def send(self, frame: Frame) -> ReceivedFrame:
        """One frame to and fro."""
        self._application.send(frame_to_pdu(self._number, frame), ANSWER_S)
        answer = received_from_pdu(self._application.receive(ANSWER_S))
        assert answer.number == self._number
        self._number += 1
        return answer.frame

    def receive(self) -> ReceivedFrame:
        """The next frame from elsewhere."""
        return received_from_pdu(self._application.receive(ANSWER_S)).frame

    def end(self) -> None:
        """Close the window as a person does: it has nothing to complain of."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(ANSWER_S) == 0
        for thread in self._threads:
            thread.join(ANSWER_S)
        assert not [line for line in self.printed if COMPLAINT.search(line)]


Opened = Callable[..., Window]


@pytest.fixture
def opened(gnuradio: GnuRadio) -> Iterator[Opened]:
    """Open windows, which must close well at the end."""
    windows: list[Window] = []
    with ExitStack() as ends:

        def make(name: str, **values: ParameterValue) -> Window:
            windows.append(Window(name, gnuradio, ends.enter_context(ApplicationEnd()), **values))
            return windows[-1]

        yield make
        try:
            for window in reversed(windows):  # a transmitter waits for its receiver, not the other way round
                window.end()
        finally:
            for window in windows:
                window.process.kill()
                window.process.wait()


def random_frame(bits: int, seed: int = 0) -> Frame:
    return Frame(b"slider", np.random.default_rng(seed).integers(0, 2, bits, dtype=np.uint8))


def over(sender: Window, receiver: Window, frame: Frame) -> LinkStats:
    """The measurements of a frame from one window to another, which arrives whole."""
    assert sender.send(frame).header is None  # the transmitter cannot know more than that it is out
    got = receiver.receive()
    assert got.header == frame.header
    np.testing.assert_array_equal(got.payload_bits, frame.payload)
    return got.stats


def test_bursts_follow_the_sliders(opened: Opened) -> None:
    """The channel is multipath: the equaliser takes a part of Es/N0, the more the less noise there is."""
    window = opened("burst_loopback", modulation="qpsk")
    frame = random_frame(4000)

    def measure(esn0_db: float, cfo_hz: float) -> None:
        """Check the second frame from now on.

        Oscillator and noise source have filled their buffers before the slider was moved: the step comes within the
        first frame, which may not survive it.
        """
        window.send(frame)
        got = window.send(frame)
        assert got.header == frame.header
        np.testing.assert_array_equal(got.payload_bits, frame.payload)
        assert got.stats.cfo_hz == pytest.approx(cfo_hz, abs=10)
        assert got.stats.esn0_measured_db is not None
        assert esn0_db - 2.0 < got.stats.esn0_measured_db < esn0_db + 0.7

    measure(12.0, 2000.0)
    level = window.told("level")
    window.move("cfo_hz", -3500.0)
    measure(12.0, -3500.0)
    window.move("esn0_db", 6.0)
    measure(6.0, -3500.0)
    window.move("esn0_db", 16.0)
    measure(16.0, -3500.0)
    # Gain comes after the noise: all gets weaker alike.
    window.move("gain_db", -17.0)
    measure(16.0, -3500.0)
    window.hear(level - 17.0)
    window.move("cfo_hz", 800.0)
    window.move("gain_db", 5.0)
    measure(16.0, 800.0)
    window.hear(level + 5.0)
    window.shows(Modulation="qpsk", Equaliser="mmse")


@pytest.mark.parametrize(
    ("name", "fec", "points"), [("bpsk_awgn", "none", (8.0, 1.5)), ("turbo_awgn", "turbo", (0.0, -4.5))]
)
def test_symbols_follow_the_slider(name: str, fec: str, points: tuple[float, ...], opened: Opened) -> None:
    """Every frame is that of a NumPy link which has had the slider's Es/N0 from the beginning."""
    window = opened(name, seed=9)
    frames = [random_frame(6000, seed) for seed in range(2 * len(points))]
    for place, snr_db in enumerate(points):
        window.move("snr_db", snr_db)
        link = NumpyLink(NumpyLinkConfig(make_channel("awgn", snr_db=snr_db), fec=fec, seed=9))
        expected = link.send(frames).frames
        for number in (2 * place, 2 * place + 1):
            got, wanted = window.send(frames[number]), expected[number]
            assert got.stats.esn0_measured_db == pytest.approx(wanted.stats.esn0_measured_db, abs=1e-4)
            assert got.stats.esn0_measured_db == pytest.approx(snr_db, abs=0.5)
            np.testing.assert_allclose(got.payload_llrs, wanted.payload_llrs, rtol=1e-4, atol=1e-3)
    window.shows(Frames_received=str(len(frames)))


def test_stock_blocks_follow_the_sliders(opened: Opened) -> None:
    window = opened("native_rayleigh", seed=1)
    window.move("doppler_hz", 20e3)
    frame = random_frame(60_000)
    for snr_db in (0.0, 20.0, 10.0):
        window.move("snr_db", snr_db)
        window.send(frame)  # meets the noise that its source has ready, a buffer full
        got = window.send(frame)
        assert got.stats.esn0_db == snr_db
        snr = 10 ** (snr_db / 10)
        expected = 0.5 * (1 - np.sqrt(snr / (1 + snr)))
        assert np.mean(got.payload_bits != frame.payload) == pytest.approx(expected, rel=0.25)
    window.shows(Frames_received="6", Frames_lost="0")


@pytest.mark.parametrize(("name", "blocks"), [("native_bpsk", "1"), ("native_turbo", "6")])
def test_windows_of_stock_blocks_count_frames(name: str, blocks: str, opened: Opened) -> None:
    window = opened(name)
    window.move("snr_db", 9.5)
    assert window.send(random_frame(6000)).header == b"slider"
    window.shows(Frames_received="1", Frames_lost="0", Code_blocks_received=blocks)


def test_the_virtual_air_s_receiver_follows_the_sliders(opened: Opened, tmp_path: Path) -> None:
    """Noise, carrier offset and gain are the receiver's own here: the transmitter is heard as it sends."""
    address = {"address": f"ipc://{tmp_path}/air"}
    sender, receiver = opened("air_tx", **address), opened("air_rx", **address)
    frame = random_frame(4000)

    def measure(cfo_hz: float, level: float, esn0_db: float | None = None) -> None:
        stats = over(sender, receiver, frame)
        assert stats.cfo_hz == pytest.approx(cfo_hz, abs=10)
        if esn0_db is not None:
            assert stats.esn0_measured_db == pytest.approx(esn0_db, abs=1.0)
        receiver.hear(level)

    measure(0.0, -9.0)
    sender.move("level_dbfs", -12.0)
    measure(0.0, -12.0)
    receiver.move("cfo_hz", -2500.0)
    # Four samples per symbol; before the noise, nothing but rounding disturbs.
    receiver.move("noise_dbfs", -22.0)
    over(sender, receiver, frame)  # meets the noise that its source has ready, a buffer full
    measure(-2500.0, -12.0, -12 + 22 + 6)
    receiver.move("gain_db", 7.0)
    measure(-2500.0, -5.0, -12 + 22 + 6)
    sender.shows(Frames_sent="5", Level="-12.0 dBFS")
    receiver.shows(Frames_received="5", Frames_lost="0")


@pytest.mark.parametrize("kind", ["soapy", "uhd"])
def test_radios_follow_the_sliders(kind: str, opened: Opened, loopback: Any) -> None:
    """The windows of both ends over the driver that takes the radios' place: gains, level and tuning reach it."""

    def radio(end: str, **arguments: object) -> Window:
        # Without the clock: transmitter and receiver wait for each other, however slow the machine is.
        if kind == "uhd":
            return opened(end, antenna="TX/RX", device=loopback.uhd_device(pace="none", **arguments))
        driver, _, device = loopback.device(pace="none", **arguments).partition(",")
        return opened(end, antenna="TX/RX", driver=driver.removeprefix("driver="), device=device)

    receiver = radio(f"{kind}_rx", cfo=1500, noise=-45)
    sender = radio(f"{kind}_tx")
    frame = random_frame(4000)

    def measure(cfo_hz: float, level: float) -> None:
        """Check what arrives from now on: with the level, all that was under way has passed."""
        stats = over(sender, receiver, frame)
        assert stats.cfo_hz == pytest.approx(cfo_hz, abs=20)
        receiver.hear(level)

    # The loopback driver loses 60 dB between both gains.
    measure(1500.0, -9.0 + 20 + 30 - 60)
    receiver.move("gain_db", 38.0)
    measure(1500.0, -11.0)
    receiver.move("tuning_khz", 2.5)
    measure(-1000.0, -11.0)
    sender.move("level_dbfs", -15.0)
    measure(-1000.0, -17.0)
    sender.move("gain_db", 26.0)
    measure(-1000.0, -11.0)
    sender.move("tuning_khz", -1.2)
    measure(-2200.0, -11.0)
    sender.shows(Frames_sent="6", Frames_refused="0", Level="-15.0 dBFS", Modulation="qpsk")
    receiver.shows(Frames_received="6", Frames_intact="6", Level="-11.0 dBFS")
