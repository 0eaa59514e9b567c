"""The watchdog: what it notices, how soon, and what it says."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from semcom_phy.errors import ConfigurationError, LinkError
from semcom_phy.zmq.control import ControlMessage, Kind, Responder
from semcom_phy.zmq.ends import ApplicationEnd
from semcom_phy.zmq.pdu import Pdu
from semcom_phy.zmq.sockets import PduReceiver, PduSender
from semcom_phy.zmq.waiting import Deadline
from semcom_phy.zmq.watchdog import Verdict, Watchdog

Spawn = Callable[..., "subprocess.Popen[str]"]
ANY = "tcp://127.0.0.1:*"


@pytest.fixture
def link() -> Iterator[ApplicationEnd]:
    with ApplicationEnd() as opened:
        yield opened


def killed(process: subprocess.Popen[str], number: signal.Signals) -> float:
    process.send_signal(number)
    return time.monotonic()


def use_until_it_fails(link: ApplicationEnd, waiting_in: str) -> None:
    while True:
        if waiting_in == "send":
            link.send(Pdu({}), 10)
        else:
            link.receive(10)


@pytest.mark.parametrize("know_pid", [True, False])
@pytest.mark.parametrize("waiting_in", ["send", "receive", "nothing"])
@pytest.mark.slow
def test_a_killed_process(link: ApplicationEnd, spawn: Spawn, know_pid: bool, waiting_in: str) -> None:
    process = spawn("echo_end.py", *link.addresses.as_arguments())
    link.wait_ready(20, pid=process.pid if know_pid else None)
    link.send(Pdu({}))
    link.receive()
    at = killed(process, signal.SIGKILL)
    says = f"process {process.pid} was killed by SIGKILL" if know_pid else "has closed its connection"
    assert link.watchdog is not None
    if waiting_in == "nothing":
        while link.watchdog.verdict is Verdict.ALIVE:
            assert time.monotonic() - at < 5
    with pytest.raises(LinkError, match=says):
        use_until_it_fails(link, waiting_in)
    assert time.monotonic() - at < (0.5 if know_pid else 2)
    assert link.watchdog.verdict is Verdict.PROCESS_ENDED


@pytest.mark.parametrize("know_pid", [True, False])
@pytest.mark.parametrize("how", ["hang", "stop"])
@pytest.mark.slow
def test_a_dead_thread_in_a_live_process(link: ApplicationEnd, spawn: Spawn, know_pid: bool, how: str) -> None:
    process = spawn("echo_end.py", *link.addresses.as_arguments())
    link.wait_ready(20, pid=process.pid if know_pid else None)
    if how == "hang":
        link.send(Pdu({"hang": True}))
        at = time.monotonic()
    else:
        at = killed(process, signal.SIGSTOP)
    says = rf"process {process.pid} lives, but" if know_pid else "is connected, but"
    with pytest.raises(LinkError, match=rf"{says} its ZeroMQ thread has not answered for 1\.[5-9] s"):
        link.receive(10)
    assert time.monotonic() - at < 2
    assert link.watchdog is not None
    assert link.watchdog.verdict is Verdict.NOT_ANSWERING
    assert process.poll() is None
    with pytest.raises(LinkError):  # it stays failed
        link.send(Pdu({}))


@pytest.mark.slow
def test_a_process_that_ends_before_it_answers(link: ApplicationEnd, spawn: Spawn) -> None:
    process = spawn("echo_end.py", "too", "few")
    started = time.monotonic()
    with pytest.raises(LinkError, match=rf"process {process.pid} ended with exit code 1"):
        link.wait_ready(20, pid=process.pid)
    assert time.monotonic() - started < 10


@pytest.mark.slow
def test_a_held_up_watchdog_raises_no_alarm(link: ApplicationEnd, spawn: Spawn) -> None:
    process = spawn("echo_end.py", *link.addresses.as_arguments())
    link.wait_ready(20, pid=process.pid, interval_s=0.05, silence_s=0.4)
    held_up, exponent = 0.0, 200_000
    while held_up < 0.6:
        began = time.monotonic()
        pow(3, exponent)  # one long step of the interpreter, which lets no other thread run
        held_up = time.monotonic() - began
        exponent = exponent * 3 // 2
        link.send(Pdu({}))
        link.receive()
    assert link.watchdog is not None
    assert link.watchdog.verdict is Verdict.ALIVE


def test_answers_are_taken_before_it_judges() -> None:
    """Held up for longer than its patience, with the answer waiting, the watchdog must look at that first."""
    requests, answers = PduReceiver(ANY, bind=True), PduReceiver(ANY, bind=True)
    asker, answerer = PduSender(requests.address, bind=False, session="s"), PduSender(answers.address, bind=False)
    responder = Responder(requests, answerer)
    watchdog = Watchdog(asker, answers, interval_s=0.1, silence_s=0.5)
    deadline = Deadline(5)
    while not (asker.stats.peers and answerer.stats.peers):
        assert deadline.remaining
    for ask in (watchdog._ask, watchdog._ask):  # hello, then ping
        ask()
        assert requests.pollable.poll(5000)
        responder.attend()
        assert answers.pollable.poll(5000)
        if watchdog.verdict is Verdict.WAITING:
            watchdog._take_answers()
    held_up = Deadline(0.6)
    while held_up.remaining:
        pass
    assert watchdog._watch()
    assert watchdog.verdict is Verdict.ALIVE
    assert watchdog.stats.pongs == 1
    for _ in range(20):  # and now nobody answers
        watchdog._watch()
    assert watchdog.verdict is Verdict.NOT_ANSWERING
    watchdog.close()
    requests.close()
    answerer.close()


class Puppet:
    """A flowgraph that says what it is told."""

    def __init__(self, link: ApplicationEnd) -> None:
        self.requests = PduReceiver(link.addresses.control_to_flowgraph, bind=False)
        self.answers = PduSender(link.addresses.control_from_flowgraph, bind=False, session=link.session)

    def next_request(self) -> int:
        return int(self.requests.receive().metadata["number"])  # type: ignore[arg-type]

    def say(self, kind: Kind, number: int, **changes: Any) -> None:
        self.answers.send(replace(ControlMessage(kind, number, "puppet", 77), **changes).pdu())

    def close(self) -> None:
        self.requests.close()
        self.answers.close()


@pytest.fixture
def puppet(link: ApplicationEnd) -> Iterator[Puppet]:
    with pytest.raises(LinkError, match="did not answer"):
        link.wait_ready(0.0)
    opened = Puppet(link)
    opened.say(Kind.WELCOME, opened.next_request())
    yield opened
    opened.close()


def test_two_responders(link: ApplicationEnd, puppet: Puppet) -> None:
    assert link.wait_ready().process == 77
    puppet.say(Kind.PONG, puppet.next_request(), instance="other", process=78)
    with pytest.raises(LinkError, match="two flowgraphs answer, processes 77 and 78"):
        link.receive(5)
    assert link.watchdog is not None
    assert link.watchdog.verdict is Verdict.WRONG_PEER


def test_another_version(link: ApplicationEnd, puppet: Puppet) -> None:
    link.wait_ready()
    puppet.say(Kind.PONG, puppet.next_request(), version=2)
    with pytest.raises(LinkError, match="version 2 of the control protocol"):
        link.receive(5)


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        ("block x(1) has died: no room", "^block x\\(1\\) has died: no room; stop the flowgraph and start it again$"),
        ("a\nb\x1b[31m" + "c" * 1000, r"^a\?b\?\[31mc{312}; stop"),
        (7, "^it says that it has failed; stop"),
    ],
    ids=["text", "unprintable", "number"],
)
def test_a_flowgraph_that_says_it_has_failed(link: ApplicationEnd, puppet: Puppet, failure: Any, says: str) -> None:
    link.wait_ready()
    puppet.say(Kind.PONG, puppet.next_request(), details={"failure": failure})
    with pytest.raises(LinkError, match=says):
        link.receive(5)
    assert link.watchdog is not None
    assert link.watchdog.verdict is Verdict.FAILED
    assert link.watchdog.condemned is not None
    link.watchdog.condemn("something else")  # the first failure counts
    assert "something" not in link.watchdog.condemned
    with pytest.raises(LinkError, match=says):
        link.watchdog.attend()


def test_a_flowgraph_that_has_failed_before_is_not_ready(link: ApplicationEnd) -> None:
    with pytest.raises(LinkError, match="did not answer"):
        link.wait_ready(0.0)
    puppet = Puppet(link)
    puppet.say(Kind.WELCOME, puppet.next_request(), details={"failure": "block x(1) has died"})
    with pytest.raises(LinkError, match=r"block x\(1\) has died; stop the flowgraph"):
        link.wait_ready(5)
    puppet.close()


def test_one_that_is_condemned_is_waited_for_no_longer(link: ApplicationEnd, puppet: Puppet) -> None:
    link.wait_ready()
    assert link.watchdog is not None
    assert link.watchdog.condemned is None
    began = time.monotonic()
    somebody = threading.Timer(0.05, link.watchdog.condemn, ("block x(1) has died",))
    somebody.start()
    with pytest.raises(LinkError, match=r"block x\(1\) has died; stop the flowgraph"):
        link.receive(10)
    assert time.monotonic() - began < 2
    somebody.join()
    link.close()
    assert link.watchdog.verdict is Verdict.CLOSED
    link.watchdog.condemn("too late")
    assert link.watchdog.verdict is Verdict.CLOSED


def test_answers_that_were_not_asked_for(link: ApplicationEnd, puppet: Puppet) -> None:
    link.wait_ready()
    puppet.say(Kind.PONG, 10**9)
    puppet.answers.send(Pdu({"not": "control"}))
    puppet.say(Kind.PONG, puppet.next_request())
    assert link.watchdog is not None
    while not link.watchdog.stats.pongs:
        link.watchdog.attend()
    assert link.watchdog.stats.malformed == 2
    assert link.watchdog.verdict is Verdict.ALIVE


def test_an_echo_is_no_answer_unless_accepted(link: ApplicationEnd) -> None:
    requests = PduReceiver(link.addresses.control_to_flowgraph, bind=False)
    answers = PduSender(link.addresses.control_from_flowgraph, bind=False, session=link.session)
    with pytest.raises(LinkError, match="did not answer"):
        link.wait_ready(0.0)
    answers.send(requests.receive())
    with pytest.raises(LinkError, match="came back as they were"):
        link.wait_ready(0.5)
    requests.close()
    answers.close()


def test_closing_says_bye(link: ApplicationEnd, puppet: Puppet) -> None:
    link.wait_ready()
    link.close()
    while True:
        if puppet.requests.receive().metadata["control"] == "bye":
            break
    assert link.watchdog is not None
    assert link.watchdog.verdict is Verdict.CLOSED
    with pytest.raises(LinkError, match="closed"):
        link.watchdog.attend()


def test_arguments_are_checked() -> None:
    with PduSender(ANY, bind=True) as sender, PduReceiver(ANY, bind=True) as receiver:
        for times in ({"interval_s": 0.0}, {"interval_s": 2.0, "silence_s": 1.0}, {"silence_s": float("inf")}):
            with pytest.raises(ConfigurationError):
                Watchdog(sender, receiver, **times)
        with pytest.raises(ConfigurationError, match="process id"):
            Watchdog(sender, receiver, pid=-1)
        receiver.start_session("s")
        with pytest.raises(ConfigurationError, match="without one"):
            Watchdog(sender, receiver)


def test_one_that_was_never_started_can_be_closed() -> None:
    watchdog = Watchdog(PduSender(ANY, bind=True), PduReceiver(ANY, bind=True))
    watchdog.close()
    watchdog.close()
    assert watchdog.verdict is Verdict.CLOSED
