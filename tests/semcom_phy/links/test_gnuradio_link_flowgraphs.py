"""The GNU Radio link through the flowgraphs themselves: agreement with the NumPy link, junk, kills."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semcom_phy.channels import make_channel
from semcom_phy.coding.transport import TurboCode
from semcom_phy.errors import LinkError
from semcom_phy.flowgraph import catalogue
from semcom_phy.flowgraph.launch import launcher
from semcom_phy.flowgraph.process import FlowgraphProcess
from semcom_phy.flowgraph.python import GnuRadio
from semcom_phy.links import Frame, GnuRadioLink, GnuRadioLinkConfig, NumpyLink, NumpyLinkConfig, Reception
from semcom_phy.zmq import LinkAddresses

NothingLeft = Callable[[list[LinkAddresses]], None]
ROOT = Path(__file__).parents[3]
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("gnuradio")]


def some_frames(count: int, bits: int = 5000) -> list[Frame]:
    rng = np.random.default_rng(7)
    return [Frame(rng.bytes(int(rng.integers(1, 40))), rng.integers(0, 2, bits, dtype=np.uint8)) for _ in range(count)]


class Started:
    """A launcher that remembers what it has started."""

    def __init__(self, name: str, **parameters: Any) -> None:
        self._launch = launcher(catalogue.find(name), parameters)
        self.addresses: list[LinkAddresses] = []
        self.processes: list[FlowgraphProcess] = []

    def __call__(self, addresses: LinkAddresses) -> FlowgraphProcess:
        self.addresses.append(addresses)
        self.processes.append(self._launch(addresses))
        return self.processes[-1]


def make(name: str, launch: Callable[[LinkAddresses], FlowgraphProcess], notices: list[str], **options: Any) -> Any:
    config = GnuRadioLinkConfig(name, launch, capabilities={"flowgraph": name}, **options)
    return GnuRadioLink(config, notices.append)


def assert_same(ours: Reception, theirs: Reception) -> None:
    """Equal but for the rounding of symbols to single precision on their way between the blocks."""
    for mine, other in zip(ours.frames, theirs.frames, strict=True):
        assert mine.header == other.header
        assert np.array_equal(mine.payload_bits, other.payload_bits)
        assert np.array_equal(mine.block_ok, other.block_ok)
        np.testing.assert_allclose(mine.payload_llrs, other.payload_llrs, rtol=1e-4, atol=1e-3)
        one, two = vars(mine.stats).copy(), vars(other.stats).copy()
        assert one.pop("esn0_measured_db") == pytest.approx(two.pop("esn0_measured_db"), abs=1e-5)
        assert one == two


# --- agreement -----------------------------------------------------------------------------------------------

CASES: list[tuple[str, NumpyLinkConfig, Mapping[str, Any]]] = [
    (
        "bpsk_awgn",
        NumpyLinkConfig(make_channel("awgn", snr_db=2.5), fec="none", interleave=True, seed=11),
        {"snr_db": 2.5, "interleave": True, "seed": 11},
    ),
    # Some headers do not survive this.
    (
        "bpsk_awgn",
        NumpyLinkConfig(make_channel("awgn", snr_db=-8.5), fec="none", seed=2**63 + 1),
        {"snr_db": -8.5, "seed": 2**63 + 1},
    ),
    # Here some blocks fail and some do not.
    (
        "turbo_awgn",
        NumpyLinkConfig(make_channel("awgn", snr_db=-4.75), turbo=TurboCode(iterations=3), seed=12),
        {"snr_db": -4.75, "iterations": 3, "seed": 12},
    ),
    (
        "turbo_awgn",
        NumpyLinkConfig(
            make_channel("awgn", snr_db=0.0),
            turbo=TurboCode(rate=2 / 3, algorithm="max-log"),
            interleave=True,
            seed=13,
            redundancy_version=1,
        ),
        {"rate": 2 / 3, "algorithm": "max-log", "interleave": True, "seed": 13, "redundancy_version": 1}
        | {"snr_db": 0.0},
    ),
    (
        "turbo_rayleigh",
        NumpyLinkConfig(
            make_channel("rayleigh", snr_db=1.0, doppler_hz=55.5, symbol_rate_hz=2.5e4, scatterers=24),
            turbo=TurboCode(rate=0.5),
            interleave=True,
            seed=14,
        ),
        {"snr_db": 1.0, "doppler_hz": 55.5, "symbol_rate_hz": 2.5e4, "scatterers": 24}
        | {"rate": 0.5, "interleave": True, "seed": 14},
    ),
]


@pytest.mark.parametrize(("name", "config", "parameters"), CASES)
def test_a_flowgraph_gives_what_the_numpy_link_gives(
    name: str, config: NumpyLinkConfig, parameters: Mapping[str, Any], nothing_left: NothingLeft
) -> None:
    notices: list[str] = []
    launch, frames, twin = Started(name, **parameters), some_frames(10), NumpyLink(config)
    with make(name, launch, notices) as link:
        for part in (frames[:7], frames[7:]):
            assert_same(link.send(part), twin.send(part))
        ours, theirs = link.describe(), twin.describe()
        assert ours["flowgraph"] == name
        shared = (set(ours) & set(theirs)) - {"link"}
        assert shared >= {"channel", "snr_db", "modulation", "fec", "interleave", "seed"}
        assert {key: ours[key] for key in shared} == {key: theirs[key] for key in shared}
        assert link.code_rate(5000) == twin.code_rate(5000)
    assert notices == []
    nothing_left(launch.addresses)


@pytest.mark.parametrize(
    ("name", "parameters", "uses"),
    [
        ("native_bpsk", {"snr_db": 13.0}, NumpyLinkConfig(make_channel("ideal"), fec="none")),
        ("native_turbo", {"snr_db": 0.5, "block_bits": 512}, 3 * 512 * 11),  # ⌈5000 / (512 − 24)⌉ blocks
        ("burst_loopback", {}, None),
    ],
)
def test_other_flowgraphs(name: str, parameters: Mapping[str, Any], uses: Any) -> None:
    notices: list[str] = []
    frames = some_frames(4)
    with make(name, Started(name, **parameters), notices) as link:
        reception = link.send(frames)
        rate, described = link.code_rate(5000), link.describe()
    for sent, got in zip(frames, reception.frames, strict=True):
        assert got.header == sent.header
        assert np.array_equal(got.payload_bits, sent.payload)
    if isinstance(uses, NumpyLinkConfig):
        assert reception.stats.channel_uses == NumpyLink(uses).send(frames).stats.channel_uses
    elif uses is not None:
        assert reception.frames[0].stats.channel_uses == uses
        assert rate == 5000 / uses
    else:
        assert reception.stats.fragments_sent == reception.stats.fragments_received > 0
        assert reception.stats.channel_uses > 4 * 5000 / described["bits_per_symbol"]
    assert {"channel", "fec", "modulation"} <= set(described)
    assert notices == []


# --- junk ----------------------------------------------------------------------------------------------------


def test_junk_on_every_channel_while_a_transmission_runs(junk_proxy: Any, throw_junk: Any) -> None:
    config = NumpyLinkConfig(make_channel("awgn", snr_db=2.5), fec="none", seed=1)
    proxies, addresses = [], []
    start = Started("bpsk_awgn", snr_db=2.5, seed=1)

    def launch(wanted: LinkAddresses) -> FlowgraphProcess:
        addresses.append(wanted)
        proxies.append(junk_proxy(wanted, seed=8))
        return start(proxies[-1].addresses)

    notices: list[str] = []
    frames = some_frames(60, bits=2000)
    with make("bpsk_awgn", launch, notices) as link:
        link.open()
        stranger = threading.Thread(target=throw_junk, args=(addresses[0], np.random.default_rng(3)))
        stranger.start()
        reception = link.send(frames)
        stranger.join()
        assert notices == []
        assert_same(reception, NumpyLink(config).send(frames))
        assert link.counts.restarts == 0
        assert link.counts.malformed >= proxies[0].thrown["data_from"] >= 60
    for proxy in proxies:
        assert min(proxy.thrown.values()) >= 1
        proxy.close()
    assert notices == []


def test_frames_that_are_none_are_answered_as_lost() -> None:
    """What a flowgraph cannot make sense of, but knows the number of, is not met with silence."""
    from semcom_phy.flowgraph.connection import FlowgraphConnection
    from semcom_phy.links.frame_pdus import received_from_pdu
    from semcom_phy.zmq import Pdu, UInt64

    with FlowgraphConnection("bpsk_awgn", Started("bpsk_awgn")) as connection:
        header = np.ones(3, np.uint8)
        wrong = [
            Pdu({"frame": UInt64(0), "header": header}, np.full(10, 2, np.uint8)),
            Pdu({"frame": UInt64(1), "header": header}, np.zeros(10, np.float32)),
            Pdu({"frame": UInt64(2)}, np.zeros(10, np.uint8)),
            Pdu({"frame": UInt64(3), "header": "text"}, np.zeros(10, np.uint8)),
            Pdu({"frame": "text", "header": header}, np.zeros(10, np.uint8)),
            Pdu({"frame": UInt64(5), "header": header}, np.zeros(10, np.uint8)),
        ]
        for pdu in wrong:
            connection.send(pdu, 5)
        answers = [received_from_pdu(connection.receive(30)) for _ in range(5)]
        assert [answer.number for answer in answers] == [0, 1, 2, 3, 5]
        assert [answer.frame.header is None for answer in answers] == [True] * 4 + [False]


# --- kills ---------------------------------------------------------------------------------------------------


#: Each so clean that no frame is damaged by its channel; a transmission of so many frames takes about a second.
KILLED: dict[str, tuple[Mapping[str, Any], int, int]] = {
    "bpsk_awgn": ({"snr_db": 13.0}, 150, 2000),
    "turbo_awgn": ({"snr_db": 2.0}, 60, 2000),
    "burst_loopback": ({"esn0_db": 18.0}, 30, 1000),
}


def kill_within(link: Any, seconds: float) -> threading.Timer:
    """Kill the flowgraph itself, not its guardian, in so many seconds."""
    timer = threading.Timer(seconds, os.kill, (link.connection.peer.process, signal.SIGKILL))
    timer.start()
    return timer


def lost_of(sent: list[Frame], reception: Reception) -> list[int]:
    """The places of the lost frames; all others must be what was sent, and all of them counted."""
    lost = [place for place, got in enumerate(reception.frames) if got.header is None]
    for place, (got, frame) in enumerate(zip(reception.frames, sent, strict=True)):
        if place not in lost:
            assert got.header == frame.header
            assert np.array_equal(got.payload_bits, frame.payload)
    stats = reception.stats
    assert (stats.frames_sent, stats.frames_lost) == (len(sent), len(lost))
    assert stats.frames_received == len(sent) - len(lost)
    return lost


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", KILLED)
def test_kills_at_random_moments(name: str, seed: int, nothing_left: NothingLeft) -> None:
    """Two in the life of a link: the first costs what is under way, the second all that has not arrived."""
    rng = np.random.default_rng(seed)
    parameters, count, bits = KILLED[name]
    launch, notices, frames = Started(name, **parameters), [], some_frames(count, bits)
    transmissions = 0

    def send_until_killed() -> list[int]:
        """Transmit again and again, for the kill may come late; the numbers of the frames that it has cost."""
        nonlocal transmissions
        told, deadline, lost = len(notices), time.monotonic() + 60, []
        timer = kill_within(link, float(rng.uniform(0, 0.8)))
        while len(notices) == told:
            assert lost == [], "frames are lost while nobody is killed"
            assert time.monotonic() < deadline
            lost = [count * transmissions + place for place in lost_of(frames, link.send(frames))]
            transmissions += 1
        timer.join()
        assert len(notices) == told + 1
        assert "it was killed by SIGKILL" in notices[told]
        return lost

    with make(name, launch, notices, window=int(rng.integers(1, 9))) as link:
        link.open()
        lost = send_until_killed()
        assert link.counts.restarts == 1
        assert len(lost) <= link.config.window
        named = f"{', '.join(map(str, lost))} {'is' if len(lost) == 1 else 'are'} lost; " if lost else "; "
        assert f"{named}starting it again" in notices[0]

        lost = send_until_killed()
        assert lost == list(range(lost[0], count * transmissions))
        assert re.search(rf"frames? {lost[0]}\b.* lost$", notices[1])
        with pytest.raises(LinkError, match="was killed by SIGKILL"):
            link.send(frames)
        assert link.counts.restarts == 1
        assert len(launch.processes) == 2
    nothing_left(launch.addresses)


def test_a_flowgraph_that_is_stopped_is_started_again(nothing_left: NothingLeft) -> None:
    launch, notices, frames = Started("bpsk_awgn", snr_db=9.0), [], some_frames(6)
    with make("bpsk_awgn", launch, notices, window=2) as link:
        link.send(frames[:1])
        os.kill(link.connection.peer.process, signal.SIGSTOP)
        began = time.monotonic()
        reception = link.send(frames)
        assert time.monotonic() - began < 20
        assert [got.header is None for got in reception.frames] == [True, True, False, False, False, False]
        assert notices == [
            "flowgraph bpsk_awgn: its ZeroMQ thread no longer answers; frames 1, 2 are lost; starting it again"
        ]
    nothing_left(launch.addresses)


APPLICATION = """
import signal, sys
import numpy as np
from semcom_phy.flowgraph import catalogue
from semcom_phy.flowgraph.launch import launcher
from semcom_phy.links import Frame, GnuRadioLink, GnuRadioLinkConfig
link = GnuRadioLink(GnuRadioLinkConfig("bpsk_awgn", launcher(catalogue.find("bpsk_awgn"), {})))
link.send([Frame(b"h", np.zeros(1000, np.uint8))])
print(link.connection.peer.process, link.connection.process.pid, flush=True)
while True:
    link.send([Frame(b"h", np.zeros(1000, np.uint8))])
"""


def test_a_flowgraph_ends_with_its_application() -> None:
    application = subprocess.Popen(
        [sys.executable, "-c", APPLICATION],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert application.stdout is not None
    with application.stdout:
        pids = [int(pid) for pid in application.stdout.readline().split()]
    descriptors = [os.pidfd_open(pid) for pid in pids]
    application.kill()
    application.wait()
    for descriptor in descriptors:
        assert select.select([descriptor], [], [], 5)[0]
        os.close(descriptor)


def test_the_flowgraph_runs_under_gnu_radios_python(gnuradio: GnuRadio) -> None:
    with make("bpsk_awgn", Started("bpsk_awgn"), []) as link:
        link.open()
        command = Path(f"/proc/{link.connection.peer.process}/cmdline").read_text().split("\0")
        assert Path(command[0]) == gnuradio.python
