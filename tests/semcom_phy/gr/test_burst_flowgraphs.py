"""The flowgraphs with bursts: they compile without warnings, and those that need no radio carry frames."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from semcom_phy.capture import open_recording
from semcom_phy.flowgraph import catalogue
from semcom_phy.flowgraph.compiler import compile_flowgraph
from semcom_phy.flowgraph.headless import derive_text
from semcom_phy.flowgraph.launch import ParameterValue, launcher, parameter_options
from semcom_phy.flowgraph.python import GnuRadio, environment
from semcom_phy.links import Frame, GnuRadioLink, GnuRadioLinkConfig
from semcom_phy.links.frame_pdus import frame_to_pdu, received_from_pdu
from semcom_phy.zmq import ApplicationEnd

NAMES = (
    "burst_loopback",
    "sigmf_replay",
    "sigmf_record",
    "soapy_tx",
    "soapy_rx",
    "uhd_tx",
    "uhd_rx",
    "air_tx",
    "air_rx",
)
ENDS = ("data_to_flowgraph", "data_from_flowgraph", "control_to_flowgraph", "control_from_flowgraph")

Start = Callable[..., subprocess.Popen[str]]


def some_frames(count: int, bits: int) -> list[Frame]:
    rng = np.random.default_rng(2)
    return [Frame(bytes([number, 7]), rng.integers(0, 2, bits, dtype=np.uint8)) for number in range(count)]


@pytest.fixture
def start(gnuradio: GnuRadio, popen: Callable[..., subprocess.Popen[str]]) -> Start:
    """Start a flowgraph's headless form by itself; whatever still runs at the end of the test is killed."""

    def run(name: str, end: ApplicationEnd, **values: ParameterValue) -> subprocess.Popen[str]:
        flowgraph = catalogue.find(name)
        addresses = dict(zip(ENDS, end.addresses.as_arguments(), strict=True))
        program = compile_flowgraph(flowgraph.form(gui=False), gnuradio).program
        return popen(
            [gnuradio.python, program, *parameter_options(flowgraph, {**values, **addresses})],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment(),
        )

    return run


def link(name: str, **values: ParameterValue) -> GnuRadioLink:
    return GnuRadioLink(GnuRadioLinkConfig(name, launcher(catalogue.find(name), values)))


def intact(sent: Sequence[Frame], reception: object) -> list[bool]:
    frames = reception.frames  # type: ignore[attr-defined]
    return [
        got.header == frame.header and np.array_equal(got.payload_bits, frame.payload)
        for frame, got in zip(sent, frames, strict=True)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_both_forms_compile_without_a_warning(name: str, gnuradio: GnuRadio, tmp_path: Path) -> None:
    flowgraph = catalogue.find(name)
    for gui in (False, True):
        assert compile_flowgraph(flowgraph.form(gui), gnuradio, tmp_path).warnings == ()


@pytest.mark.parametrize("name", NAMES)
def test_headless_forms_are_those_that_are_derived(name: str) -> None:
    flowgraph = catalogue.find(name)
    assert flowgraph.form(gui=False).read_text() == derive_text(flowgraph.form(gui=True).read_text())
    assert flowgraph.attaches


@pytest.mark.slow
def test_an_image_through_the_loop(gnuradio: GnuRadio) -> None:
    """A payload as large as that of a picture comes back bit for bit, and the numbers are those of the channel."""
    frames = [*some_frames(1, 300_000), *some_frames(2, 2_000)]
    with link("burst_loopback", esn0_db=12.0, cfo_hz=-1500.0, clock_ppm=20.0, modulation="qpsk") as loop:
        reception = loop.send(frames)
        assert intact(frames, reception) == [True] * 3
        stats = reception.stats
        assert stats.cfo_hz == pytest.approx(-1500, abs=5)
        assert stats.fragments_received == stats.fragments_sent > 70
        # The equaliser pays for the paths.
        assert 9 < (stats.esn0_measured_db or 0) < 12.5
        assert loop.describe()["modulation"] == "qpsk"


@pytest.mark.slow
def test_below_what_can_be_heard_frames_are_lost_at_once(gnuradio: GnuRadio) -> None:
    frames = some_frames(10, 500)
    with link("burst_loopback", esn0_db=-20.0) as loop:
        reception = loop.send(frames)
    assert [one.header for one in reception.frames] == [None] * 10
    assert reception.stats.frames_lost == 10


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_amid_frames_is_clean(end: signal.Signals, start: Start) -> None:
    frames = some_frames(8, 20_000)
    with ApplicationEnd() as application:
        process = start("burst_loopback", application)
        application.wait_ready(60, pid=process.pid)
        for number, frame in enumerate(frames):
            application.send(frame_to_pdu(number, frame), 5)
        assert received_from_pdu(application.receive(30)).number == 0
        process.send_signal(end)
        process.communicate(timeout=15)
    assert process.returncode == 0


@pytest.mark.slow
def test_a_replay_gives_what_the_recording_holds(start: Start) -> None:
    with ApplicationEnd() as application:
        process = start("sigmf_replay", application, recording="captures/cheap-sdr", realtime=1, repeat=1)
        application.wait_ready(60, pid=process.pid)
        # Whatever comes first is the end of one round or the whole of the next.
        received = [received_from_pdu(application.receive(30)) for _ in range(3)]
        # A flowgraph that only receives answers a frame that it is given.
        application.send(frame_to_pdu(2**40, some_frames(1, 100)[0]), 5)
        # Those of the recording that are on their way, a round or two, come first.
        numbers = (received_from_pdu(application.receive(30)).number for _ in range(100))
        assert 2**40 in numbers
    assert all(one.frame.header is not None and one.frame.block_ok.all() for one in received)


@pytest.mark.slow
def test_a_recording_of_what_was_sent(start: Start, tmp_path: Path) -> None:
    frames = some_frames(3, 3_000)
    with ApplicationEnd() as application:
        process = start("sigmf_record", application, recording=str(tmp_path / "made"), datatype="ci16_le")
        application.wait_ready(60, pid=process.pid)
        for number, frame in enumerate(frames):
            application.send(frame_to_pdu(number, frame), 5)
        received = [received_from_pdu(application.receive(30)) for _ in frames]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=15)
    assert process.returncode == 0
    assert [one.frame.header for one in received] == [frame.header for frame in frames]
    with open_recording(tmp_path / "made") as recording:
        assert recording.verify()
        bursts = recording.bursts()
        assert len(bursts) == sum(one.frame.stats.fragments_received for one in received)
        assert all(burst.crc_ok for burst in bursts)


@pytest.mark.slow
def test_the_window_with_bursts(gnuradio: GnuRadio) -> None:
    """The form with a GUI carries frames, too; drawn off screen."""
    flowgraph = catalogue.find("burst_loopback")
    frames = some_frames(3, 3_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QT_QPA_PLATFORM", "offscreen")
        launch = launcher(flowgraph, {}, gui=True)
        with GnuRadioLink(GnuRadioLinkConfig("burst_loopback", launch)) as loop:
            assert intact(frames, loop.send(frames)) == [True] * 3


@pytest.mark.slow
def test_from_one_flowgraph_to_another(start: Start, tmp_path: Path) -> None:
    """What Air TX answers to requests for samples, Air RX asks for: connected to each other, they need no air."""
    frames = some_frames(3, 3_000)
    address = f"ipc://{tmp_path}/air"
    with ApplicationEnd() as sender, ApplicationEnd() as listener:
        receiving = start("air_rx", listener, address=address)
        listener.wait_ready(60, pid=receiving.pid)
        sending = start("air_tx", sender, address=address, modulation="qpsk")
        sender.wait_ready(60, pid=sending.pid)
        for number, frame in enumerate(frames):
            sender.send(frame_to_pdu(number, frame), 5)
        received = [received_from_pdu(listener.receive(60)).frame for _ in frames]
        answers = [received_from_pdu(sender.receive(30)) for _ in frames]
    assert [one.header for one in received] == [frame.header for frame in frames]
    for got, frame in zip(received, frames, strict=True):
        np.testing.assert_array_equal(got.payload_bits, frame.payload)
    # The transmitter cannot know more than that a frame is out.
    assert [(one.number, one.frame.header, one.frame.stats.fragments_sent) for one in answers] == [
        (number, None, 1) for number in range(3)
    ]
