"""The control channel from the flowgraph's side: sessions, refusals, junk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcom_phy.errors import FormatError
from semcom_phy.zmq.control import ControlMessage, Kind, Responder, parse_control
from semcom_phy.zmq.pdu import Pdu
from semcom_phy.zmq.sockets import PduReceiver, PduSender, SocketOptions
from semcom_phy.zmq.waiting import Deadline

ANY = "tcp://127.0.0.1:*"


def test_messages_come_back() -> None:
    message = ControlMessage(Kind.PONG, 7, "instance", 123, "s", details={"received": 5})
    stamped = Pdu({**message.pdu().metadata, "session": "s", "seq": 0})
    assert parse_control(stamped) == message


GOOD: dict[str, Any] = {
    "control": "ping",
    "version": 1,
    "number": 1,
    "instance": "i",
    "process": 1,
    "session": "s",
    "details": None,
}


@pytest.mark.parametrize(
    "change",
    [
        {"control": "boo"},
        {"control": 1},
        {"control": [1]},
        {"version": "1"},
        {"version": True},
        {"number": -1},
        {"number": 2**63},
        {"number": 1.5},
        {"instance": ""},
        {"instance": "a" * 65},
        {"instance": "a\n"},
        {"process": None},
        {"session": 3},
        {"details": 3},
        {"details": {1: 2}},
    ],
    ids=str,
)
def test_malformed_messages(change: dict[str, Any]) -> None:
    parse_control(Pdu(GOOD))
    with pytest.raises(FormatError):
        parse_control(Pdu({**GOOD, **change}))
    for key in change.keys() - {"details"}:
        with pytest.raises(FormatError):
            parse_control(Pdu({name: value for name, value in GOOD.items() if name != key}))


def test_a_control_message_has_no_vector() -> None:
    with pytest.raises(FormatError):
        parse_control(Pdu(GOOD, np.zeros(1)))


@given(st.dictionaries(st.sampled_from(sorted(GOOD)), st.one_of(st.none(), st.integers(), st.text(), st.floats())))
def test_random_metadata(metadata: dict[str, Any]) -> None:
    try:
        message = parse_control(Pdu(metadata))
    except FormatError:
        return
    assert message.version >= 0


class Channel:
    """A responder and an application that speaks to it by hand."""

    def __init__(self, **options: Any) -> None:
        self.sessions: list[str] = []
        self.requests = PduReceiver(ANY, bind=True)
        self.answers = PduReceiver(ANY, bind=True)
        self.requester = PduSender(self.requests.address, bind=False, session="app")
        self.answerer = PduSender(self.answers.address, bind=False)
        self.responder = Responder(self.requests, self.answerer, on_session=self.sessions.append, **options)
        # The responder does not wait for connections.
        deadline = Deadline(5)
        while not (self.requester.stats.peers and self.answerer.stats.peers):
            assert deadline.remaining

    def send(self, pdu: Pdu) -> None:
        self.requester.send(pdu)
        assert self.requests.pollable.poll(5000)
        self.responder.attend()

    def ask(self, kind: Kind, session: str = "app", number: int = 1) -> ControlMessage:
        self.requester.start_session(session)
        self.send(ControlMessage(kind, number, session, 1).pdu())
        return parse_control(self.answers.receive(5))

    def close(self) -> None:
        for opened in (self.requester, self.answerer, self.requests, self.answers):
            opened.close()


@pytest.fixture
def channel() -> Iterator[Channel]:
    opened = Channel(capabilities={"echo": True}, counters=lambda: {"received": 3}, lease_s=0.2)
    yield opened
    opened.close()


def test_hello_and_ping(channel: Channel) -> None:
    welcome = channel.ask(Kind.HELLO, number=4)
    assert (welcome.kind, welcome.number, welcome.session) == (Kind.WELCOME, 4, "app")
    assert welcome.details == {"echo": True}
    pong = channel.ask(Kind.PING, number=5)
    assert (pong.kind, pong.number, pong.details) == (Kind.PONG, 5, {"received": 3})
    assert pong.instance == welcome.instance == channel.responder.instance
    assert channel.sessions == ["app"]
    assert channel.responder.stats.answered == 2


def test_a_failure_goes_with_every_answer() -> None:
    failures: list[str | None] = [None, "a block has died", "a block has died"]
    channel = Channel(capabilities={"echo": True}, counters=lambda: {"received": 3}, failure=lambda: failures.pop(0))
    assert channel.ask(Kind.HELLO).details == {"echo": True}
    assert channel.ask(Kind.PING).details == {"received": 3, "failure": "a block has died"}
    assert channel.ask(Kind.HELLO).details == {"echo": True, "failure": "a block has died"}
    assert channel.ask(Kind.PING, "other").details == {}  # a refusal: no business of theirs
    channel.close()


def test_a_ping_without_a_hello_is_refused(channel: Channel) -> None:
    assert channel.ask(Kind.PING).kind is Kind.REFUSE
    assert channel.responder.stats.refused == 1


def test_another_session_waits_for_the_lease(channel: Channel) -> None:
    channel.ask(Kind.HELLO)
    refusal = channel.ask(Kind.HELLO, "other")
    assert (refusal.kind, refusal.session) == (Kind.REFUSE, "app")
    assert channel.ask(Kind.PING, "app").kind is Kind.PONG
    deadline = Deadline(5)
    while channel.ask(Kind.HELLO, "other").kind is Kind.REFUSE:
        assert deadline.remaining
    assert 4.5 < deadline.remaining < 4.81
    assert channel.sessions == ["app", "other"]
    assert channel.ask(Kind.PING, "app").kind is Kind.REFUSE


def test_bye_ends_the_lease(channel: Channel) -> None:
    channel.ask(Kind.HELLO)
    channel.send(ControlMessage(Kind.BYE, 2, "app", 1).pdu())
    assert channel.ask(Kind.HELLO, "other").kind is Kind.WELCOME


def test_a_fixed_session_stays() -> None:
    channel = Channel(session="mine", lease_s=0.0)
    channel.answerer.start_session("mine")
    assert channel.ask(Kind.HELLO, "other").kind is Kind.REFUSE
    assert channel.ask(Kind.HELLO, "mine").kind is Kind.WELCOME
    channel.send(ControlMessage(Kind.BYE, 2, "mine", 1).pdu())
    assert channel.ask(Kind.HELLO, "other").kind is Kind.REFUSE
    channel.close()


def test_junk_is_counted(channel: Channel) -> None:
    channel.ask(Kind.HELLO)
    for pdu in (Pdu({}), Pdu({"control": "ping"}), Pdu({"control": "ping", "number": 1}, np.zeros(3))):
        channel.send(pdu)
    assert channel.responder.stats.malformed == 3
    assert channel.ask(Kind.PING).kind is Kind.PONG


def test_it_never_waits_for_an_application_that_does_not_read() -> None:
    options = SocketOptions(high_water_mark=1)
    requests, answerer = PduReceiver(ANY, bind=True), PduSender(ANY, bind=True, options=options)
    requester = PduSender(requests.address, bind=False, session="app")
    responder = Responder(requests, answerer)  # nobody reads its answers
    for number in range(20):
        requester.send(ControlMessage(Kind.HELLO, number, "app", 1).pdu())
    deadline = Deadline(5)
    while responder.stats.unanswered < 20 and deadline.remaining:
        responder.attend()
    assert responder.stats.unanswered == 20
    assert responder.stats.answered == 0
    for opened in (requests, answerer, requester):
        opened.close(0)
