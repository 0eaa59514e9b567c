"""The flowgraphs with a radio, over the loopback driver: what one of them is given to send, another one receives."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semcom_phy.errors import LinkError
from semcom_phy.flowgraph import catalogue
from semcom_phy.flowgraph.launch import ParameterValue, launcher
from semcom_phy.flowgraph.process import FlowgraphProcess
from semcom_phy.links import Frame
from semcom_phy.links.frame_pdus import ReceivedPdu, frame_to_pdu, received_from_pdu
from semcom_phy.zmq import ApplicationEnd

READY_S = 60.0
RECEIVE_S = 60.0
END_S = 20.0

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("gnuradio")]


def some_frames(*bits: int) -> list[Frame]:
    rng = np.random.default_rng(5)
    return [Frame(bytes([number, 7]), rng.integers(0, 2, size, dtype=np.uint8)) for number, size in enumerate(bits)]


def parameters(name: str, loopback: Any, **arguments: object) -> dict[str, ParameterValue]:
    """Of a flowgraph that uses the loopback driver; `arguments` are the device's.

    Without the clock: transmitter and receiver wait for each other, however slow the machine is.
    """
    if name.startswith("uhd"):
        device = {"device": loopback.uhd_device(pace="none", **arguments)}
    else:
        driver, _, rest = loopback.device(pace="none", **arguments).partition(",")
        device = {"driver": driver.removeprefix("driver="), "device": rest}
    return {**device, "antenna": "TX/RX", "frequency": 433.92e6}


@dataclass
class Running:
    """A flowgraph, the application's end of the link to it, and what its process prints."""

    application: ApplicationEnd
    process: FlowgraphProcess
    lines: list[str]

    def wait_ready(self) -> None:
        peer = self.application.wait_ready(READY_S, pid=self.process.pid)
        assert peer.capabilities["flowgraph"] == self.process.name

    def receive(self) -> ReceivedPdu:
        return received_from_pdu(self.application.receive(RECEIVE_S))

    def terminate(self) -> None:
        """Send the program SIGTERM: it ends by itself and without a complaint."""
        guardian = self.process.pid
        (program,) = Path(f"/proc/{guardian}/task/{guardian}/children").read_text().split()
        os.kill(int(program), signal.SIGTERM)
        deadline = time.monotonic() + END_S
        while self.process.running:
            assert time.monotonic() < deadline, f"{self.process.name} has not ended within {END_S} s"
            threading.Event().wait(0.02)
        assert self.process.ended == "ended with exit code 0", self.lines
        assert not any("Traceback" in line or ":error:" in line for line in self.lines), self.lines


@contextmanager
def running(name: str, values: dict[str, ParameterValue]) -> Iterator[Running]:
    lines: list[str] = []
    launch = launcher(catalogue.find(name), values, on_line=lines.append)
    with ApplicationEnd() as application, launch(application.addresses) as process:
        yield Running(application, process, lines)


@pytest.mark.parametrize(
    ("sender", "receiver"), [("soapy_tx", "soapy_rx"), ("uhd_tx", "uhd_rx"), ("uhd_tx", "soapy_rx")]
)
def test_frames_arrive_as_they_were_sent(sender: str, receiver: str, loopback: Any) -> None:
    frames = some_frames(3_000, 60_000, 500)
    impaired = parameters(receiver, loopback, noise=-40, cfo=2000, ppm=15)
    with (
        running(receiver, impaired) as receiving,
        running(sender, parameters(sender, loopback, seed=1)) as sending,
    ):
        receiving.wait_ready()
        sending.wait_ready()
        for number, frame in enumerate(frames):
            sending.application.send(frame_to_pdu(number, frame), 5)
        received = [receiving.receive().frame for _ in frames]
        answers = [sending.receive() for _ in frames]
        sending.terminate()
        receiving.terminate()
    assert [one.header for one in received] == [frame.header for frame in frames]
    for got, frame in zip(received, frames, strict=True):
        np.testing.assert_array_equal(got.payload_bits, frame.payload)
        assert got.block_ok.all()
        assert got.stats.cfo_hz == pytest.approx(2000, abs=20)
        # Level of −9 dBFS, gains of 20 + 30 dB, 60 dB lost; 4 samples per symbol; noise of −40 dBFS. A clock offset
        # costs something, and a short burst is a short measurement.
        assert got.stats.esn0_measured_db == pytest.approx(-9 - 10 + 40 + 6, abs=3)
    # The transmitter cannot know more than that a frame is out.
    assert [(one.number, one.frame.header) for one in answers] == [(number, None) for number in range(len(frames))]
    fragments = [one.stats.fragments_received for one in received]
    assert fragments == [one.frame.stats.fragments_sent for one in answers]
    assert fragments[1] > 10


@pytest.mark.parametrize("name", ["soapy_tx", "soapy_rx", "uhd_tx", "uhd_rx"])
def test_a_radio_that_is_not_there_ends_the_flowgraph(name: str, loopback: Any) -> None:
    values = {**parameters(name, loopback), "device": "type=soapy,driver=nosuch"}
    if name.startswith("soapy"):
        values |= {"driver": "nosuch", "device": ""}
    launch = launcher(catalogue.find(name), values)
    with (
        ApplicationEnd() as application,
        launch(application.addresses) as process,
        pytest.raises(LinkError, match="ended with exit code 1"),
    ):
        application.wait_ready(READY_S, pid=process.pid)
    printed = "\n".join(process.lines)
    assert ("No devices found" if name.startswith("uhd") else "make() no match") in printed
