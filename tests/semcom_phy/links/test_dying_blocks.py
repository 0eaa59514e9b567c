"""A block that dies in a flowgraph that runs on: noticed, told, and mended where the flowgraph was started here."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from semcom_phy.errors import LinkError
from semcom_phy.flowgraph import catalogue
from semcom_phy.flowgraph.compiler import compile_flowgraph
from semcom_phy.flowgraph.launch import parameter_options
from semcom_phy.flowgraph.process import FlowgraphProcess
from semcom_phy.flowgraph.python import GnuRadio, environment
from semcom_phy.links import Frame, GnuRadioLink, GnuRadioLinkConfig
from semcom_phy.zmq import ApplicationEnd, LinkAddresses

NothingLeft = Callable[[list[LinkAddresses]], None]
SCRIPT = Path(__file__).parent / "scripts" / "dying_flowgraph.py"
#: Within which it is to be known that a block has died.
NOTICED_S = 2.0
#: What is said of each block that dies; the number is GNU Radio's.
SAID = {
    "work": r"block stream\(\d+\) has died: RuntimeError: no such antenna",
    "start": r"block stream\(\d+\) has died: RuntimeError: no such antenna",
    "handler": r"block copy_frames\(\d+\) has died: KeyError: 'no such key'",
    "tags": r"block tagged_stream_to_pdu\(\d+\) has died: Missing length tag\.",
}

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("gnuradio")]


def some_frames(count: int, bits: int = 1000) -> list[Frame]:
    rng = np.random.default_rng(7)
    return [Frame(bytes([number + 1]), rng.integers(0, 2, bits, dtype=np.uint8)) for number in range(count)]


class Dying:
    """A launcher of the flowgraph in which `what` ends with frame `last`; remembers what it has started.

    `quiet`: GNU Radio logs to a file, so that the output does not tell.
    """

    def __init__(self, gnuradio: GnuRadio, what: str, last: int, quiet: Path | None = None) -> None:
        self._command = [str(gnuradio.python), str(SCRIPT)]
        self._last = [what, str(last)]
        self._environment = environment() if quiet is None else {**environment(), "GR_CONF_LOG_LOG_FILE": str(quiet)}
        self.addresses: list[LinkAddresses] = []
        self.processes: list[FlowgraphProcess] = []

    def __call__(self, addresses: LinkAddresses) -> FlowgraphProcess:
        self.addresses.append(addresses)
        command = [*self._command, *addresses.as_arguments(), *self._last]
        self.processes.append(FlowgraphProcess(command, name="dying", environment=self._environment))
        return self.processes[-1]


class Notices(list[tuple[float, str]]):
    """Takes the link's notices, and when they came."""

    def __call__(self, text: str) -> None:
        self.append((time.monotonic(), text))


def send_for(seconds: float, link: GnuRadioLink, frames: list[Frame]) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        link.send(frames)


@pytest.mark.parametrize("what", ["work", "handler", "tags"])
@pytest.mark.parametrize("quiet", [False, True], ids=["told by the output", "told by the Application block"])
def test_it_is_noticed_told_and_mended(
    what: str, quiet: bool, gnuradio: GnuRadio, nothing_left: NothingLeft, tmp_path: Path
) -> None:
    launch, notices = Dying(gnuradio, what, 3, tmp_path / "log" if quiet else None), Notices()
    frames = some_frames(6)
    # Frames that the second flowgraph is given have numbers above 3: it lives.
    with GnuRadioLink(GnuRadioLinkConfig("dying", launch, window=2), notices) as link:
        link.send(frames[:3])
        began = time.monotonic()
        reception = link.send(frames)
        assert [frame.header is None for frame in reception.frames] == [True, True, False, False, False, False]
        for sent, got in zip(frames[2:], reception.frames[2:], strict=True):
            assert np.array_equal(got.payload_bits, sent.payload)
        (told_at, told), *more = notices
        assert more == []
        assert told_at - began < NOTICED_S
        assert link.counts.restarts == 1
        text = told.removeprefix("flowgraph dying: ")
        why, lost, mended = text.split("; ")[0], text.split("; ")[-2], text.split("; ")[-1]
        assert re.fullmatch(SAID[what], why), told
        assert (lost, mended) == ("frames 3, 4 are lost", "starting it again")
        output = "\n".join(launch.processes[0].lines)
        assert ("thread_body_wrapper" in output) is not quiet
    nothing_left(launch.addresses)


def test_a_block_that_is_done_is_no_failure(gnuradio: GnuRadio, nothing_left: NothingLeft) -> None:
    launch, notices, frames = Dying(gnuradio, "done", 1), Notices(), some_frames(4)
    with GnuRadioLink(GnuRadioLinkConfig("dying", launch), notices) as link:
        link.send(frames)
        connection = link.connection
        assert connection is not None
        watchdog = connection._end.watchdog
        assert watchdog is not None
        threads = Path(f"/proc/{connection.peer.process}/task")
        deadline = time.monotonic() + 10
        while any("null_sink" in thread.read_text() for thread in threads.glob("*/comm")):
            assert time.monotonic() < deadline, "the stream has not come to its end"
        # Since then the flowgraph has been asked whether it is well.
        pongs = watchdog.stats.pongs
        while watchdog.stats.pongs < pongs + 2:
            assert time.monotonic() < deadline
        assert connection.failure() is None
        assert link.send(frames).stats.frames_received == 4
    assert notices == []
    nothing_left(launch.addresses)


def test_a_block_that_dies_at_the_start(gnuradio: GnuRadio, nothing_left: NothingLeft) -> None:
    """Before or after the flowgraph has answered: either way both of them are given up."""
    launch, notices, frames = Dying(gnuradio, "start", 0), Notices(), some_frames(4)
    with GnuRadioLink(GnuRadioLinkConfig("dying", launch), notices) as link:
        with pytest.raises(LinkError, match=SAID["start"]):
            send_for(20, link, frames)
        assert len(launch.addresses) <= 2
    nothing_left(launch.addresses)


@pytest.mark.parametrize("what", ["work", "handler", "tags"])
def test_an_attached_flowgraph_says_it_itself(what: str, gnuradio: GnuRadio, nothing_left: NothingLeft) -> None:
    """Nobody reads its output; it tells this application, and the next one that attaches."""
    with ApplicationEnd() as free:
        addresses = free.addresses
    launch, notices, frames = Dying(gnuradio, what, 3), Notices(), some_frames(6)
    config = GnuRadioLinkConfig("dying", addresses=addresses, window=1)
    with launch(addresses) as process:
        with GnuRadioLink(config, notices) as link:
            link.send(frames[:3])
            notices.clear()
            began = time.monotonic()
            reception = link.send(frames)
            assert time.monotonic() - began < NOTICED_S
            assert reception.stats.frames_lost == 6
            ((_, told),) = notices
            assert re.search(SAID[what], told)
            assert told.endswith("; frame 3 is lost; frames 4, 5, 6, 7, 8 are lost")
            with pytest.raises(LinkError, match=f"dying: {SAID[what]}; stop the flowgraph and start it again"):
                link.send(frames)
        with GnuRadioLink(config, notices) as link, pytest.raises(LinkError, match=SAID[what]):
            link.open()
        assert process.running
    nothing_left([addresses])


#: Runs a flowgraph's program with a Burst Receiver that fails when it has handed over two frames.
WRAPPER = """
import runpy, sys
from semcom_phy.gr.burst_receiver import BurstReceiver
work, publish, handed_over = BurstReceiver.general_work, BurstReceiver.publish, []
def fail_in_time(self, input_items, output_items):
    if len(handed_over) >= 2:
        raise MemoryError("no room for samples")
    return work(self, input_items, output_items)
def count(self, port, pdu):
    handed_over.append(pdu)
    publish(self, port, pdu)
BurstReceiver.general_work, BurstReceiver.publish = fail_in_time, count
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_burst_loopback_waits_for_nobody(gnuradio: GnuRadio, nothing_left: NothingLeft) -> None:
    """Where silence is a loss on the air, each frame after the death would take 120 s."""
    flowgraph, started = catalogue.find("burst_loopback"), []
    program = compile_flowgraph(flowgraph.form(False), gnuradio).program
    names = ("data_to_flowgraph", "data_from_flowgraph", "control_to_flowgraph", "control_from_flowgraph")

    def launch(addresses: LinkAddresses) -> FlowgraphProcess:
        started.append(addresses)
        options = parameter_options(flowgraph, dict(zip(names, addresses.as_arguments(), strict=True)))
        # The first fails; the second is whole.
        wrapper = ["-c", WRAPPER] if len(started) == 1 else []
        command = [gnuradio.python, "-u", *wrapper, program, *options]
        return FlowgraphProcess(command, name="burst_loopback", environment=environment())

    notices, frames = Notices(), some_frames(6)
    with GnuRadioLink(GnuRadioLinkConfig("burst_loopback", launch, window=1), notices) as link:
        link.open()
        began = time.monotonic()
        reception = link.send(frames)
        assert time.monotonic() - began < 60
        assert 1 <= reception.stats.frames_lost <= 2
        assert link.counts.restarts == 1
        ((told_at, told),) = notices
        assert told_at - began < 30  # two frames come first
        assert re.search(r"block Burst Receiver\(\d+\) has died: MemoryError: no room for samples; frame", told), told
    nothing_left(started)
