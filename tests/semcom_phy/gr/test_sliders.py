"""Sliders that are moved while frames run through the window's flowgraph: what is measured follows."""

from __future__ import annotations

import queue
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from semcom_phy.channels import make_channel
from semcom_phy.flowgraph import catalogue
from semcom_phy.flowgraph.compiler import compile_flowgraph
from semcom_phy.flowgraph.launch import ParameterValue, parameter_options
from semcom_phy.flowgraph.python import GnuRadio, environment
from semcom_phy.links import Frame, NumpyLink, NumpyLinkConfig, ReceivedFrame
from semcom_phy.links.frame_pdus import frame_to_pdu, received_from_pdu
from semcom_phy.zmq import ApplicationEnd

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parent / "scripts" / "sliders.py"
ENDS = ("data_to_flowgraph", "data_from_flowgraph", "control_to_flowgraph", "control_from_flowgraph")
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
        self._told: dict[str, queue.SimpleQueue[float]] = {}
        self.process = subprocess.Popen(
            [gnuradio.python, "-u", SCRIPT, program, *parameter_options(flowgraph, values)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**environment(), "QT_QPA_PLATFORM": "offscreen"},
        )
        for key in ("level", *(parameter.id for parameter in flowgraph.parameters)):
            self._told[key] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()
        application.wait_ready(START_S, pid=self.process.pid)

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            name, _, value = line.partition(" ")
            if name in self._told:
                self._told[name].put(float(value))

    def told(self, name: str) -> float:
        """The next value of this name that the window tells."""
        return self._told[name].get(timeout=ANSWER_S)

    def move(self, name: str, value: float) -> None:
        """Move a slider, and wait until the flowgraph has its value."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{name} {value}\n")
        self.process.stdin.flush()
        assert self.told(name) == pytest.approx(value)

    def send(self, frame: Frame) -> ReceivedFrame:
        """One frame to and fro."""
        self._application.send(frame_to_pdu(self._number, frame), ANSWER_S)
        answer = received_from_pdu(self._application.receive(ANSWER_S))
        assert answer.number == self._number
        self._number += 1
        return answer.frame

    def end(self) -> None:
        """Close the window as a person does."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(ANSWER_S) == 0


Opened = Callable[..., Window]


@pytest.fixture
def opened(gnuradio: GnuRadio) -> Iterator[Opened]:
    """Open one window, which must close well at the end."""
    windows: list[Window] = []
    with ApplicationEnd() as application:

        def make(name: str, **values: ParameterValue) -> Window:
            windows.append(Window(name, gnuradio, application, **values))
            return windows[-1]

        yield make
        try:
            for window in windows:
                window.end()
        finally:
            for window in windows:
                window.process.kill()
                window.process.wait()


def random_frame(bits: int, seed: int = 0) -> Frame:
    return Frame(b"slider", np.random.default_rng(seed).integers(0, 2, bits, dtype=np.uint8))


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

    def hear(level: float) -> None:
        """Wait until a burst of this level is told; all that were sent before have other ones."""
        while abs(window.told("level") - level) > 0.5:
            pass

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
    hear(level - 17.0)
    window.move("cfo_hz", 800.0)
    window.move("gain_db", 5.0)
    measure(16.0, 800.0)
    hear(level + 5.0)


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
