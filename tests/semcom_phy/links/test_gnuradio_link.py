"""The GNU Radio link against a flowgraph double: statistics, losses, restarts, junk, kills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semcom_phy.channels import make_channel
from semcom_phy.errors import ConfigurationError, LinkError
from semcom_phy.flowgraph.connection import FlowgraphConnection, attach_addresses
from semcom_phy.flowgraph.process import FlowgraphProcess
from semcom_phy.links import (
    BurstChain,
    Frame,
    FrameFormat,
    GnuRadioLink,
    GnuRadioLinkConfig,
    NumpyLink,
    NumpyLinkConfig,
    Reception,
    SymbolChain,
)
from semcom_phy.zmq import LinkAddresses

Doubles = Callable[..., Any]
NothingLeft = Callable[[list[LinkAddresses]], None]
ROOT = Path(__file__).parents[3]


def numpy_config(snr_db: float = 0.0, seed: int = 3) -> NumpyLinkConfig:
    return NumpyLinkConfig(make_channel("awgn", snr_db=snr_db), fec="none", seed=seed)


def some_frames(count: int, bits: int = 200) -> list[Frame]:
    rng = np.random.default_rng(5)
    return [Frame(bytes([number + 1, 7]), rng.integers(0, 2, bits, dtype=np.uint8)) for number in range(count)]


def not_to_be_started(addresses: LinkAddresses) -> Any:
    pytest.fail("started")


class Notices(list[str]):
    """Takes the link's notices."""

    __call__ = list.append


def make(launch: Any, notices: Notices | None = None, **options: Any) -> GnuRadioLink:
    options.setdefault("chain", SymbolChain(numpy_config()))
    config = GnuRadioLinkConfig("double", launch, **options)
    return GnuRadioLink(config, Notices() if notices is None else notices)


def assert_accounted_for(frames: list[Frame], reception: Reception) -> list[int]:
    """Every frame is there, as it was sent, or as lost; returns the numbers of those lost."""
    assert len(reception.frames) == len(frames)
    lost = []
    for number, (sent, got) in enumerate(zip(frames, reception.frames, strict=True)):
        assert got.stats.frames_sent == 1
        if got.header is None:
            lost.append(number)
            assert got.payload_bits.size == 0
            assert (got.stats.frames_received, got.stats.frames_lost) == (0, 1)
        else:
            assert got.header == sent.header
            assert np.array_equal(got.payload_bits, sent.payload)
            assert (got.stats.frames_received, got.stats.frames_lost) == (1, 0)
    assert reception.stats.frames_lost == len(lost)
    return lost


# --- what the link delivers --------------------------------------------------------------------------------


def test_same_reception_as_numpy_link(doubles: Doubles) -> None:
    config = numpy_config()
    frames = some_frames(12)
    twin = NumpyLink(config)
    with make(doubles(chain="numpy", snr_db=0.0, seed=3)) as link:
        for part in (frames[:7], [], frames[7:]):  # the numbers run on
            ours, theirs = link.send(part), twin.send(part)
            assert ours.stats == theirs.stats
            for mine, other in zip(ours.frames, theirs.frames, strict=True):
                assert mine.header == other.header
                assert mine.stats == other.stats
                for name in ("payload_bits", "payload_llrs", "block_ok"):
                    assert np.array_equal(getattr(mine, name), getattr(other, name))
        assert link.counts.restarts == link.counts.malformed == link.counts.unexpected == 0
        assert link.code_rate(200) == twin.code_rate(200)


def test_lost_headers_are_counted_as_numpy_link_does(doubles: Doubles) -> None:
    frames = some_frames(6)
    twin = NumpyLink(numpy_config(-9.0))
    with make(doubles(chain="numpy", snr_db=-9.0, seed=3), chain=SymbolChain(numpy_config(-9.0))) as link:
        ours, theirs = link.send(frames), twin.send(frames)
    assert ours.stats == theirs.stats
    assert ours.stats.frames_lost > 0
    assert ours.stats.raw_errors > 0


def test_describe() -> None:
    link = make(not_to_be_started)
    described = link.describe()
    assert described["link"] == "gnuradio"
    assert described["flowgraph"] == "double"
    assert described["channel"] == "awgn"
    assert described["snr_db"] == 0.0
    assert not described["attached"]
    link.close()


def test_a_window_of_one(doubles: Doubles) -> None:
    frames = some_frames(5)
    with make(doubles(chain="copy"), window=1) as link:
        assert assert_accounted_for(frames, link.send(frames)) == []


@pytest.mark.slow
def test_it_can_be_used_again_after_close(doubles: Doubles, nothing_left: NothingLeft) -> None:
    launch = doubles(chain="numpy", snr_db=0.0, seed=3)
    frames = some_frames(4)
    link = make(launch)
    first = link.send(frames[:2])
    link.close()
    nothing_left(launch.addresses)
    second = link.send(frames[2:])
    link.close()
    link.close()
    nothing_left(launch.addresses)
    assert len(launch.addresses) == 2
    theirs = NumpyLink(numpy_config()).send(frames)
    assert [frame.stats for frame in (*first.frames, *second.frames)] == [frame.stats for frame in theirs.frames]


# --- refusals ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"window": 0}, "window must be from 1 to 64"),
        ({"window": 65}, "window must be from 1 to 64"),
        ({"answer_timeout_s": 0.0}, "answer_timeout_s must be above 0"),
        ({"ready_timeout_s": float("nan")}, "ready_timeout_s is from 0 to 86400"),
    ],
)
def test_wrong_options(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        GnuRadioLinkConfig("x", not_to_be_started, **options)


def test_attaching_needs_addresses() -> None:
    with pytest.raises(ConfigurationError, match="needs addresses"):
        GnuRadioLinkConfig("x")


def test_a_frame_that_is_too_large_is_refused_before_anything_is_sent() -> None:
    link = make(not_to_be_started)
    frames = [*some_frames(2), Frame(b"h", np.zeros(13_000_001, np.uint8))]
    with pytest.raises(ConfigurationError, match="13000001 payload bits does not fit"):
        link.send(frames)


@pytest.mark.slow
def test_the_largest_frame(doubles: Doubles) -> None:
    frames = [Frame(b"h", np.random.default_rng(0).integers(0, 2, 13_000_000, dtype=np.uint8))]
    with make(doubles(chain="copy")) as link:
        assert assert_accounted_for(frames, link.send(frames)) == []


def test_a_program_that_does_not_start(nothing_left: NothingLeft) -> None:
    seen = []

    def launch(addresses: LinkAddresses) -> FlowgraphProcess:
        seen.append(addresses)
        return FlowgraphProcess([sys.executable, "-c", "raise ImportError('no gnuradio')"], name="double")

    with (
        make(launch) as link,
        pytest.raises(LinkError, match=r"double did not start: it ended with exit code 1; .* ImportError: no gnuradio"),
    ):
        link.send(some_frames(1))
    nothing_left(seen)


COMPILER = """
import sys, threading
from semcom_phy.zmq import FlowgraphEnd, LinkAddresses
print("compiling the turbo decoder for this machine (x); it is kept on disk …", flush=True)
if sys.argv[1] == "for ever":
    threading.Event().wait()
threading.Event().wait(2.5)  # longer than the application waits for one that does not compile
print("compiled in 2 s", flush=True)
if sys.argv[1] == "in vain":
    threading.Event().wait()
with FlowgraphEnd(LinkAddresses(*sys.argv[2:]), capabilities={"flowgraph": "double"}) as end:
    end.serve(lambda pdu: None)
"""


def compiler(how: str) -> Any:
    """Launches a flowgraph that compiles; returns when it has begun to."""

    def launch(addresses: LinkAddresses) -> FlowgraphProcess:
        begun = threading.Event()
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", COMPILER, how, *addresses.as_arguments()]
        process = FlowgraphProcess(command, name="x", environment=environment, on_line=lambda line: begun.set())
        assert begun.wait(60)
        return process

    return launch


@pytest.mark.slow
def test_a_flowgraph_that_compiles_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with FlowgraphConnection("x", compiler("then serve"), timeout_s=1.0) as connection:
        assert connection.peer.capabilities["flowgraph"] == "double"
        assert connection.process is not None
        assert connection.process.compilations == (1, 1)
    # One that does not answer when it has compiled, and one that never has.
    with pytest.raises(LinkError, match=r"did not start: it did not answer within [345]\S* s; its .* compiled in 2 s"):
        FlowgraphConnection("x", compiler("in vain"), timeout_s=1.0)
    monkeypatch.setattr("semcom_phy.flowgraph.connection.COMPILE_TIMEOUT_S", 1.5)
    with pytest.raises(LinkError, match=r"did not answer within 1\.5\d* s; its last words: compiling the turbo"):
        FlowgraphConnection("x", compiler("for ever"), timeout_s=0.4)


def test_another_flowgraph_than_wanted(doubles: Doubles, nothing_left: NothingLeft) -> None:
    launch = doubles(chain="copy")
    link = make(launch, capabilities={"flowgraph": "turbo_awgn"})
    with pytest.raises(LinkError, match="has flowgraph 'double' and not 'turbo_awgn'"):
        link.send(some_frames(1))
    assert link.connection is None
    nothing_left(launch.addresses)


def test_attach_addresses() -> None:
    assert attach_addresses("tcp://127.0.0.1:29001").as_arguments() == [
        f"tcp://127.0.0.1:{port}" for port in range(29001, 29005)
    ]
    assert attach_addresses("tcp://localhost:65532").control_from_flowgraph == "tcp://127.0.0.1:65535"
    for wrong in ("tcp://127.0.0.1:65533", "tcp://127.0.0.1:*", "ipc:///tmp/x", "29001", "tcp://10.0.0.1:29001", ""):
        with pytest.raises(ConfigurationError):
            attach_addresses(wrong)


# --- answers that are wrong, missing, or too many ------------------------------------------------------------


def test_malformed_and_unexpected_answers_are_counted_and_survived(doubles: Doubles) -> None:
    frames = some_frames(10)
    with make(doubles(chain="copy", on={3: "junk", 6: "twice"})) as link:
        assert assert_accounted_for(frames, link.send(frames)) == []
        assert link.counts.malformed == 2
        assert link.counts.unexpected == 2  # an absurd number, a second answer


def test_silence_on_a_symbol_chain_is_a_hang(doubles: Doubles, nothing_left: NothingLeft) -> None:
    notices = Notices()
    frames = some_frames(6)
    launch = doubles(chain="copy", on={2: "silence"})
    with make(launch, notices, window=3, answer_timeout_s=0.3) as link:
        lost = assert_accounted_for(frames, link.send(frames))
        assert lost == [2]
        assert notices == [
            "flowgraph double: it answers the watchdog, but gives no answer for 0.3 s; frame 2 is lost; "
            "starting it again"
        ]
    nothing_left(launch.addresses)


def test_silence_on_a_burst_chain_is_loss(doubles: Doubles) -> None:
    notices = Notices()
    frames = some_frames(6)
    chain = BurstChain(FrameFormat(), {"channel": "clean", "fec": "turbo"})
    launch = doubles(chain="copy", on={2: "silence", 5: "silence"})
    with make(launch, notices, chain=chain, window=3, answer_timeout_s=0.3) as link:
        reception = link.send(frames)
        assert assert_accounted_for(frames, reception) == [2, 5]
        assert link.counts.restarts == 0
    assert notices == ["flowgraph double: no answer for 0.3 s; frames 2, 5 are lost"]
    assert reception.stats.fragments_sent == 6
    assert reception.frames[2].stats.channel_uses == reception.frames[3].stats.channel_uses > 600


@pytest.mark.slow
def test_a_zeromq_thread_that_hangs(doubles: Doubles, nothing_left: NothingLeft) -> None:
    notices = Notices()
    frames = some_frames(6)
    launch = doubles(chain="copy", on={3: "hang"})
    with make(launch, notices, window=2) as link:
        began = time.monotonic()
        lost = assert_accounted_for(frames, link.send(frames))
        assert time.monotonic() - began < 5
        assert 3 in lost
        assert set(lost) <= {2, 3, 4}
        assert "its ZeroMQ thread no longer answers" in notices[0]
    nothing_left(launch.addresses)


# --- a flowgraph that dies -----------------------------------------------------------------------------------


def test_a_crash_is_told_and_mended_once(doubles: Doubles, nothing_left: NothingLeft) -> None:
    notices = Notices()
    frames = some_frames(10)
    launch = doubles(chain="copy", on={4: "crash"})
    with make(launch, notices, window=2) as link:
        reception = link.send(frames)
        lost = assert_accounted_for(frames, reception)
        assert 4 in lost
        assert len(lost) <= 2
        assert link.counts.restarts == 1
        numbers = ", ".join(map(str, lost))
        assert len(notices) == 1
        assert notices[0].startswith("flowgraph double: it ended with exit code 3; its last words: no such antenna; ")
        assert f" {numbers} " in notices[0]
        assert notices[0].endswith("lost; starting it again")
        for number in lost:  # handed over, but nobody knows what became of it
            stats = reception.frames[number].stats
            assert stats.channel_uses > 200
            assert stats.raw_bits == stats.decoded_bits == 0
    nothing_left(launch.addresses)


DEAD_BLOCK = "block sink(4) has died: no such antenna"


@pytest.mark.parametrize("how", ["log", "tell"])
def test_a_dead_block_is_mended_as_a_crash_is(how: str, doubles: Doubles, nothing_left: NothingLeft) -> None:
    """By its output, or by what it says itself: nobody waits for the answers that do not come."""
    notices, frames = Notices(), some_frames(10)
    launch = doubles(chain="copy", on={4: how, 7: how})
    with make(launch, notices, window=1) as link:
        link.open()
        began = time.monotonic()
        reception = link.send(frames)
        assert time.monotonic() - began < 10
        assert assert_accounted_for(frames, reception) == [4, 7, 8, 9]
        assert notices == [
            f"flowgraph double: {DEAD_BLOCK}; frame 4 is lost; starting it again",
            f"flowgraph double: {DEAD_BLOCK}; frame 7 is lost; frames 8, 9 are lost",
        ]
        with pytest.raises(LinkError, match=r"double: block sink.* see its output and start anew"):
            link.send(frames)
    nothing_left(launch.addresses)


def test_a_block_that_dies_before_the_flowgraph_answers(nothing_left: NothingLeft) -> None:
    seen = []

    def launch(addresses: LinkAddresses) -> FlowgraphProcess:
        seen.append(addresses)
        line = "thread_body_wrapper :error: ERROR thread[thread-per-block[1]: <block sink(4)>]: no such antenna"
        code = f"import signal; print({line!r}, flush=True); print('and on', flush=True); signal.pause()"
        return FlowgraphProcess([sys.executable, "-c", code, *addresses.as_arguments()], name="double")

    began = time.monotonic()
    with (
        make(launch, ready_timeout_s=60) as link,
        pytest.raises(LinkError, match=r"flowgraph double did not start: block sink\(4\) has died: no such antenna"),
    ):
        link.open()
    assert time.monotonic() - began < 10
    nothing_left(seen)


def test_an_attached_flowgraph_says_that_a_block_has_died(doubles: Doubles, nothing_left: NothingLeft) -> None:
    addresses, notices, frames = free_addresses(), Notices(), some_frames(4)
    process = doubles(chain="copy", on={1: "tell"})(addresses)
    with make(None, notices, addresses=addresses, window=1) as link:
        assert assert_accounted_for(frames, link.send(frames)) == [1, 2, 3]
        assert f"{DEAD_BLOCK}; stop the flowgraph and start it again; frame 1 is lost" in notices[-1]
        with pytest.raises(LinkError, match=r"double: block sink\(4\) has died"):
            link.send(frames)
    with make(None, addresses=addresses) as link, pytest.raises(LinkError, match=r"block sink\(4\) has died"):
        link.open()
    assert process.running
    process.stop()
    nothing_left([addresses])


def test_a_second_crash_is_the_last(doubles: Doubles, nothing_left: NothingLeft) -> None:
    notices = Notices()
    frames = some_frames(10)
    launch = doubles(chain="copy", on={2: "crash", 6: "crash"})
    with make(launch, notices, window=1) as link:
        reception = link.send(frames)
        assert assert_accounted_for(frames, reception) == [2, 6, 7, 8, 9]
        assert [text.split("; ")[2:] for text in notices] == [
            ["frame 2 is lost", "starting it again"],
            ["frame 6 is lost", "frames 7, 8, 9 are lost"],
        ]
        assert reception.frames[6].stats.channel_uses > 0
        assert reception.frames[7].stats.channel_uses == 0  # never handed over
        with pytest.raises(LinkError, match=r"flowgraph double: it ended with exit code 3.* start anew"):
            link.send(frames)
    nothing_left(launch.addresses)
    assert len(launch.addresses) == 2


def test_a_restart_that_fails(doubles: Doubles, nothing_left: NothingLeft) -> None:
    notices = Notices()
    frames = some_frames(5)
    launch = doubles(chain="copy", on={1: "crash"})
    tried = []

    def launch_once(addresses: LinkAddresses) -> Any:
        tried.append(addresses)
        if len(tried) == 2:
            raise LinkError("cannot start it a second time")
        return launch(addresses)

    with make(launch_once, notices, window=1) as link:
        assert assert_accounted_for(frames, link.send(frames)) == [1, 2, 3, 4]
        assert notices[1] == "flowgraph double: cannot start it a second time; frames 2, 3, 4 are lost"
    nothing_left(tried)


# --- a flowgraph that somebody else has started --------------------------------------------------------------


def free_addresses() -> LinkAddresses:
    """Addresses that nobody uses now."""
    from semcom_phy.zmq import ApplicationEnd

    with ApplicationEnd() as end:
        return end.addresses


def test_an_attached_flowgraph_is_left_running(doubles: Doubles) -> None:
    addresses = free_addresses()
    process = doubles(chain="copy")(addresses)
    frames = some_frames(4)
    for _ in range(2):  # one application after the other
        with make(None, addresses=addresses, capabilities={"flowgraph": "double"}) as link:
            assert assert_accounted_for(frames, link.send(frames)) == []
            assert link.describe()["attached"]
        assert process.running


@pytest.mark.slow
def test_an_attached_flowgraph_that_dies_is_not_started_again(doubles: Doubles, nothing_left: NothingLeft) -> None:
    addresses, notices = free_addresses(), Notices()
    process = doubles(chain="copy", on={1: "crash"})(addresses)
    frames = some_frames(4)
    with make(None, notices, addresses=addresses, window=1) as link:
        assert assert_accounted_for(frames, link.send(frames)) == [1, 2, 3]
        assert len(notices) == 2
        assert "waiting 60 s for it to connect to tcp://127.0.0.1:" in notices[0]
        assert "frame 1 is lost; frames 2, 3 are lost" in notices[1]
        with pytest.raises(LinkError, match="double: the flowgraph has closed its connection"):
            link.send(frames)
    process.stop()
    nothing_left([addresses])


def test_nobody_attaches() -> None:
    addresses = free_addresses()
    with (
        make(None, addresses=addresses, ready_timeout_s=0.2) as link,
        pytest.raises(LinkError, match=r"did not answer within 0\.2 s.*has the addresses tcp://127"),
    ):
        link.send(some_frames(1))


# --- junk ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_junk_on_every_channel_while_a_transmission_runs(doubles: Doubles, nothing_left: NothingLeft) -> None:
    launch = doubles(proxied=True, chain="numpy", snr_db=0.0, seed=3)
    frames = some_frames(40)
    with make(launch) as link:
        reception = link.send(frames)
        (proxy,) = launch.proxies
        assert reception.stats == NumpyLink(numpy_config()).send(frames).stats
        assert link.counts.restarts == 0
        assert min(proxy.thrown["data_to"], proxy.thrown["data_from"]) >= 40
        assert min(proxy.thrown["control_to"], proxy.thrown["control_from"]) >= 1
        assert link.counts.malformed == proxy.thrown["data_from"]
    nothing_left(launch.addresses)


def test_strangers_at_the_applications_ports(
    doubles: Doubles, nothing_left: NothingLeft, throw_junk: Callable[..., None]
) -> None:
    launch = doubles(chain="copy", pause_s=0.002)
    frames = some_frames(100)
    with make(launch) as link:
        link.open()
        stranger = threading.Thread(target=throw_junk, args=(launch.addresses[0], np.random.default_rng(1)))
        stranger.start()
        assert assert_accounted_for(frames, link.send(frames)) == []
        stranger.join()
        link.send(frames[:1])
        assert link.counts.malformed > 0
        assert link.counts.restarts == 0
    nothing_left(launch.addresses)


# --- kills ---------------------------------------------------------------------------------------------------


def kill_within(connection: FlowgraphConnection, seconds: float) -> threading.Timer:
    """Kill the flowgraph itself, not its guardian, in so many seconds."""
    assert connection.peer.process is not None
    timer = threading.Timer(seconds, os.kill, (connection.peer.process, signal.SIGKILL))
    timer.start()
    return timer


def survive_a_kill(seed: int, doubles: Doubles, nothing_left: NothingLeft) -> int:
    """Kill the flowgraph in the middle of a transmission; returns how many frames that cost."""
    rng = np.random.default_rng(seed)
    launch, notices, frames = doubles(chain="copy", pause_s=0.002), Notices(), some_frames(60)
    window = int(rng.integers(1, 9))
    with make(launch, notices, window=window) as link:
        link.open()
        assert link.connection is not None
        timer = kill_within(link.connection, float(rng.uniform(0, 0.15)))
        began = time.monotonic()
        first = link.send(frames)
        timer.join()
        second = link.send(frames[:10])  # the kill may have come in between
        assert time.monotonic() - began < 20
        lost = assert_accounted_for(frames, first)
        assert assert_accounted_for(frames[:10], second) == [] or not lost
        total = first.stats.frames_lost + second.stats.frames_lost
        assert total <= window
        assert link.counts.restarts == len(notices) <= 1
        if lost:
            assert (
                f"{', '.join(map(str, lost))} {'is' if len(lost) == 1 else 'are'} lost; starting it again" in notices[0]
            )
    nothing_left(launch.addresses)
    return total


@pytest.mark.parametrize("seed", range(2))
def test_a_kill_at_a_random_moment(seed: int, doubles: Doubles, nothing_left: NothingLeft) -> None:
    survive_a_kill(seed, doubles, nothing_left)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 36))
def test_many_kills_at_random_moments(seed: int, doubles: Doubles, nothing_left: NothingLeft) -> None:
    survive_a_kill(seed, doubles, nothing_left)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_two_kills(seed: int, doubles: Doubles, nothing_left: NothingLeft) -> None:
    rng = np.random.default_rng(seed)
    launch, notices, frames = doubles(chain="copy", pause_s=0.02), Notices(), some_frames(40)
    with make(launch, notices) as link:
        for place in range(2):
            link.open()
            assert link.connection is not None
            timer = kill_within(link.connection, float(rng.uniform(0, 0.1)))
            lost = assert_accounted_for(frames, link.send(frames))
            timer.join()
            assert 1 <= len(lost) <= 8 if place == 0 else len(lost) >= 30
        assert len(notices) == 2
        with pytest.raises(LinkError, match="was killed by SIGKILL"):
            link.send(frames)
    nothing_left(launch.addresses)


def test_a_kill_between_two_sends(doubles: Doubles) -> None:
    launch, notices, frames = doubles(chain="copy"), Notices(), some_frames(3)
    with make(launch, notices) as link:
        link.send(frames)
        assert link.connection is not None
        assert link.connection.peer.process is not None
        os.kill(link.connection.peer.process, signal.SIGKILL)
        os.waitid(os.P_PID, launch.processes[0].pid, os.WEXITED | os.WNOWAIT)
        assert len(assert_accounted_for(frames, link.send(frames))) == 0  # nothing was under way
        assert notices == ["flowgraph double: it was killed by SIGKILL; starting it again"]


APPLICATION = """
import sys
from semcom_phy.flowgraph.connection import FlowgraphConnection
from semcom_phy.flowgraph.process import FlowgraphProcess
import json
def launch(addresses):
    options = json.dumps({"chain": "copy", "addresses": addresses.as_arguments()})
    return FlowgraphProcess([sys.executable, sys.argv[1], options], name="double")
connection = FlowgraphConnection("double", launch)
print(connection.peer.process, connection.process.pid, flush=True)
import signal
signal.pause()
"""


def test_the_flowgraph_ends_with_the_application() -> None:
    double = Path(__file__).parent / "doubles" / "flowgraph_double.py"
    application = subprocess.Popen(
        [sys.executable, "-c", APPLICATION, str(double)],
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
    import select

    for descriptor in descriptors:
        assert select.select([descriptor], [], [], 5)[0]
        os.close(descriptor)


def test_ctrl_c_leaves_a_usable_link(doubles: Doubles, nothing_left: NothingLeft) -> None:
    launch, frames = doubles(chain="copy", pause_s=0.003), some_frames(100)
    rng = np.random.default_rng(2)
    with make(launch) as link:
        link.send(frames[:1])  # numba, half imported, would not be usable
        for _ in range(5):
            timer = threading.Timer(float(rng.uniform(0, 0.2)), os.kill, (os.getpid(), signal.SIGINT))
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                link.send(frames)
            timer.join()
            # Other payloads than those whose late answers are still to come.
            assert assert_accounted_for(frames[50:60], link.send(frames[50:60])) == []
        assert link.counts.unexpected <= 5 * 8
        assert link.counts.restarts == 0
    nothing_left(launch.addresses)


def test_replaced_configuration_is_checked() -> None:
    config = GnuRadioLinkConfig("x", not_to_be_started)
    with pytest.raises(ConfigurationError, match="window"):
        replace(config, window=99)
