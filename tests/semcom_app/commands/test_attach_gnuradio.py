"""Pictures into one flowgraph and out of another one: `semcom tx --attach`, `semcom rx --attach`, GNU Radio between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from semcom_app.codecs import CodecOptions, make_codec
from semcom_app.images import load_image
from semcom_phy.flowgraph import catalogue
from semcom_phy.flowgraph.connection import attach_addresses
from semcom_phy.flowgraph.launch import ParameterValue, launcher
from semcom_phy.flowgraph.process import FlowgraphProcess

from .conftest import Start, free_ports, outcome

ROOT = Path(__file__).parents[3]
CODEC, SIZE = "vcsc-4bit", 64

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("gnuradio")]

StartFlowgraph = Callable[[str, str, "dict[str, ParameterValue]"], FlowgraphProcess]


@pytest.fixture
def flowgraph() -> Iterator[StartFlowgraph]:
    """Start a flowgraph as a person would: it connects to ports where somebody may wait, or not yet."""
    started: list[FlowgraphProcess] = []

    def run(name: str, attach: str, values: dict[str, ParameterValue]) -> FlowgraphProcess:
        started.append(launcher(catalogue.find(name), values)(attach_addresses(attach)))
        return started[-1]

    yield run
    for process in started:
        process.stop()


def expected(picture: Path) -> np.ndarray:
    """What an error-free link delivers."""
    coder = make_codec(CODEC, CodecOptions())
    encoded = coder.encode(load_image(picture, SIZE).pixels)
    return coder.decode(encoded.header, encoded.bits, np.where(encoded.bits == 1, 9.0, -9.0).astype(np.float32)).pixels


def check_arrived(sent: dict[str, Any], received: dict[str, Any], folder: Path, pictures: list[Path]) -> None:
    """Bit for bit, in order, and each picture file is what an error-free link delivers."""
    assert [row["payload_sha256"] for row in received["images"]] == [row["payload_sha256"] for row in sent["sent"]]
    assert all(row["intact"] for row in received["images"])
    assert [row["fragments_received"] for row in received["images"]] == [row["bursts"] for row in sent["sent"]]
    for row, picture in zip(received["images"], pictures, strict=True):
        with Image.open(folder / row["received_file"]) as image:
            np.testing.assert_array_equal(np.array(image.convert("RGB")), expected(picture))
    total = sent["summary"]
    assert (total["pictures"], total["refused"], total["under_way"]) == (len(pictures), 0, 0)


def test_pictures_from_radio_to_radio(
    loopback: Any, start: Start, flowgraph: StartFlowgraph, photos: Path, tmp_path: Path
) -> None:
    """Over a carrier offset, a clock offset and noise."""

    def device(**arguments: object) -> dict[str, ParameterValue]:
        driver, _, rest = loopback.device(pace="none", **arguments).partition(",")
        return {
            "antenna": "TX/RX",
            "frequency": 433.92e6,
            "driver": driver.removeprefix("driver="),
            "device": rest,
        }

    pictures = [photos / "coffee.png", photos / "astronaut.png"]
    listening, sending = [f"tcp://127.0.0.1:{first}" for first in free_ports(2)]
    rx = start("rx", "--attach", listening, "--count", 2, "--out", tmp_path, "--json")
    flowgraph("soapy_rx", listening, device(noise=-40, cfo=2000, ppm=15))
    flowgraph("soapy_tx", sending, device(seed=1))
    wait_for(rx, tmp_path / "statistics.json")  # they are attached to each other
    tx = start("tx", *pictures, "--size", SIZE, "--codec", CODEC, "--attach", sending, "--json")
    sent, received = outcome(tx), outcome(rx)
    check_arrived(sent, received, tmp_path, pictures)
    assert (sent["radio"]["flowgraph"], received["radio"]["flowgraph"]) == ("soapy_tx", "soapy_rx")
    assert [row["cfo_hz"] for row in received["images"]] == pytest.approx([2000, 2000], abs=20)


def test_pictures_over_the_virtual_air_and_a_receiver_that_is_killed(
    start: Start, flowgraph: StartFlowgraph, photos: Path, tmp_path: Path
) -> None:
    listening, sending, air = [f"tcp://127.0.0.1:{first}" for first in free_ports(3)]
    tx_address, rx_address = (f"tcp://127.0.0.1:{int(air.rpartition(':')[2]) + number}" for number in range(2))
    rx = start("rx", "--attach", listening, "--out", tmp_path, "--json")
    receiver = flowgraph("air_rx", listening, {"address": rx_address})
    flowgraph("air_tx", sending, {"address": tx_address})
    start("air", "--tx", tx_address, "--rx", rx_address, "--fast", "--impair", "esn0=12,cfo=1500")
    wait_for(rx, tmp_path / "statistics.json")
    tx = start("tx", photos / "coffee.png", "--size", SIZE, "--codec", CODEC, "--attach", sending, "--json")
    sent = outcome(tx)
    wait_for(rx, tmp_path / "frame-000001.received.png")
    os.kill(receiver.pid, signal.SIGKILL)
    printed, errors = rx.communicate(timeout=30)
    assert rx.returncode == 1
    _, line = errors.splitlines()
    assert line.startswith("semcom: flowgraph air_rx: ")
    received = json.loads(printed)
    check_arrived(sent, received, tmp_path, [photos / "coffee.png"])
    assert received["summary"]["problem"].startswith("flowgraph air_rx: ")


def wait_for(rx: subprocess.Popen[str], file: Path) -> None:
    """Wait until a receiver that runs has written this file."""
    for _ in range(1200):
        if file.exists():
            return
        try:
            rx.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
        pytest.fail(f"rx has ended: {rx.communicate()}")
    pytest.fail(f"rx has not written {file.name} within 120 s")


def test_a_recording_and_ctrl_c(start: Start, flowgraph: StartFlowgraph, tmp_path: Path) -> None:
    """sigmf_replay begins again and again; rx is ended as by a person, with exit code 0."""
    (listening,) = [f"tcp://127.0.0.1:{first}" for first in free_ports(1)]
    replay = flowgraph("sigmf_replay", listening, {"recording": str(ROOT / "captures" / "cheap-sdr"), "realtime": 0})
    rx = start("rx", "--attach", listening, "--out", tmp_path, "--json")
    wait_for(rx, tmp_path / "frame-000002.received.png")
    rx.send_signal(signal.SIGINT)
    received = outcome(rx)
    assert received["summary"]["interrupted"]
    assert received["summary"]["frames_intact"] >= 2
    assert replay.running
