"""Both ends of a link in one process: data, sessions, back-pressure, strangers, junk."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import zmq

from semcom_phy.errors import ConfigurationError, LinkError
from semcom_phy.zmq.ends import POSTED, ApplicationEnd, FlowgraphEnd, LinkAddresses
from semcom_phy.zmq.pdu import Pdu
from semcom_phy.zmq.sockets import SocketOptions
from semcom_phy.zmq.waiting import Deadline
from semcom_phy.zmq.watchdog import Verdict


def echo(pdu: Pdu) -> list[Pdu]:
    return [pdu]


def send_until_it_fails(link: ApplicationEnd, pdu: Pdu) -> None:
    for _ in range(1000):
        link.send(pdu, timeout_s=1)


@contextmanager
def flowgraph(
    addresses: LinkAddresses, handler: Callable[[Pdu], Iterable[Pdu] | None] = echo, **options: Any
) -> Iterator[FlowgraphEnd]:
    with FlowgraphEnd(addresses, **options) as end:
        thread = threading.Thread(target=end.serve, args=(handler,))
        thread.start()
        try:
            yield end
        finally:
            end.stop()
            thread.join()


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:*", "ipc://*"])
def test_pdus_go_round(address: str) -> None:
    rng = np.random.default_rng(1)
    with ApplicationEnd(LinkAddresses(*[address] * 4)) as link, flowgraph(link.addresses, capabilities={"x": 1}):
        peer = link.wait_ready()
        assert peer.capabilities == {"x": 1}
        assert not peer.echo
        for number in range(100):
            pdu = Pdu({"n": number}, rng.normal(size=number).astype(np.complex64))
            link.send(pdu)
            back = link.receive()
            assert back == Pdu({**back.metadata, "n": number}, pdu.vector)
        assert link.receiver.stats.lost == link.receiver.stats.foreign == 0
        assert link.watchdog is not None
        assert link.watchdog.verdict is Verdict.ALIVE


def test_pongs_carry_counters() -> None:
    with ApplicationEnd() as link, flowgraph(link.addresses):
        link.wait_ready(interval_s=0.02)
        for _ in range(10):
            link.send(Pdu({}))
            link.receive()
        deadline = Deadline(5)
        assert link.watchdog is not None
        while link.watchdog.stats.counters.get("sent") != 10:
            assert deadline.remaining
        stats = link.watchdog.stats
        assert stats.counters == {
            "received": 10,
            "sent": 10,
            "lost": 0,
            "malformed": 0,
            "foreign": 0,
            "waiting": 0,
            "discarded": 0,
        }
        assert stats.round_trip_s is not None
        assert 0 < stats.round_trip_s < 1


def test_nobody_answers() -> None:
    with ApplicationEnd() as link:
        with pytest.raises(LinkError, match=r"did not answer within 0\.2 s; see whether it runs"):
            link.wait_ready(0.2)
        with flowgraph(link.addresses):  # late, but there
            link.wait_ready(10)


def test_two_flowgraphs() -> None:
    with ApplicationEnd() as link, flowgraph(link.addresses):
        link.wait_ready()
        with flowgraph(link.addresses), pytest.raises(LinkError, match="2 readers are connected"):
            link.receive(5)


def test_a_flowgraph_of_another_session() -> None:
    with ApplicationEnd() as link, flowgraph(link.addresses, session="stale") as end:
        with pytest.raises(LinkError, match=r"process \d+ answered that it belongs to session 'stale'"):
            link.wait_ready(0.5)
        end.post(Pdu({}))
        with pytest.raises(LinkError, match="1 of session 'stale'"):
            link.receive(0.5)
        assert link.receiver.stats.foreign == 1


def test_the_next_application_takes_over() -> None:
    seen: list[str] = []

    def handler(pdu: Pdu) -> list[Pdu]:
        seen.append(str(pdu.metadata["session"]))
        return [pdu]

    with ApplicationEnd() as link:
        addresses = link.addresses
        with flowgraph(addresses, handler) as end:
            link.wait_ready()
            link.send(Pdu({}))
            link.receive()
            link.close()  # says bye
            with ApplicationEnd(addresses, session="second") as second:
                second.wait_ready()
                for number in range(3):
                    assert second.send(Pdu({})) == number
                    assert second.receive().metadata["seq"] == number
                assert end.responder.session == "second"
    assert seen == [link.session, "second", "second", "second"]


def test_what_was_posted_to_nobody_is_discarded_and_counted() -> None:
    with ApplicationEnd() as link, flowgraph(link.addresses) as end:
        for _ in range(3):
            end.post(Pdu({"for": "somebody else"}))
        link.wait_ready(interval_s=0.02)
        link.send(Pdu({"for": "me"}))
        assert link.receive().metadata["for"] == "me"
        deadline = Deadline(5)
        assert link.watchdog is not None
        while not link.watchdog.stats.counters:
            assert deadline.remaining
        assert link.watchdog.stats.counters["discarded"] == 3
        assert link.receiver.stats.foreign == 0


def test_post_from_other_threads() -> None:
    with ApplicationEnd() as link, flowgraph(link.addresses, lambda pdu: None) as end:
        link.wait_ready()
        threads = [
            threading.Thread(target=lambda first=first: [end.post(Pdu({"n": first + n})) for n in range(100)])
            for first in (0, 1000, 2000)
        ]
        for thread in threads:
            thread.start()
        numbers = [int(link.receive().metadata["n"]) for _ in range(300)]  # type: ignore[arg-type]
        for thread in threads:
            thread.join()
        for first in (0, 1000, 2000):  # each thread's in order
            assert [n - first for n in numbers if first <= n < first + 1000] == list(range(100))


@pytest.mark.slow
def test_an_application_that_does_not_read_is_waited_for() -> None:
    options = SocketOptions(high_water_mark=1, timeout_s=0.3)
    big = np.zeros(2**20, np.uint8)
    with ApplicationEnd(options=options) as link, flowgraph(link.addresses, options=options) as end:
        link.wait_ready(interval_s=0.1, silence_s=0.5)
        with pytest.raises(LinkError, match="connected but does not read"):
            send_until_it_fails(link, Pdu({}, big))
        sent = link.sender.stats.sent
        assert sent > POSTED
        with pytest.raises(LinkError, match="the application has not read"):
            end.post(Pdu({}), 0.1)
        # For longer than the watchdog's patience, and yet it gets its answers.
        started = Deadline(1.5)
        assert link.watchdog is not None
        while started.remaining:
            link.watchdog.attend()
        assert link.watchdog.verdict is Verdict.ALIVE
        for number in range(sent):
            back = link.receive(5)
            assert back.metadata["seq"] == number
            assert back.vector.size == big.size
        assert link.receiver.stats.lost == 0


def test_junk_at_every_socket() -> None:
    with ApplicationEnd() as link, flowgraph(link.addresses):
        link.wait_ready(interval_s=0.05)
        link.send(Pdu({}))
        link.receive()
        # To the application, from a second connection.
        junk = [b"", b"\xff" * 10, b"\x07\x06", *(np.random.default_rng(2).bytes(50) for _ in range(50))]
        assert link.watchdog is not None
        with zmq.Context() as context:
            for address in (link.addresses.data_from_flowgraph, link.addresses.control_from_flowgraph):
                with context.socket(zmq.PUSH) as push:
                    push.connect(address)
                    for message in junk:
                        push.send(message)
        # To the flowgraph, in place of the application's own messages.
        for message in junk:
            link.sender._socket.send(message)
        for _ in range(20):
            link.send(Pdu({}))
            link.receive()
        deadline = Deadline(5)
        while link.watchdog.stats.counters.get("malformed") != len(junk):
            assert deadline.remaining
        assert link.watchdog.verdict is Verdict.ALIVE
        while link.receiver.stats.malformed < len(junk):
            assert deadline.remaining
            with pytest.raises(LinkError):
                link.receive(0.01)
        assert link.receiver.stats.malformed == len(junk)
        assert link.receiver.stats.lost == 0


def test_junk_at_the_flowgraphs_control_socket() -> None:
    with ApplicationEnd() as link, flowgraph(link.addresses) as end:
        junk = [b"", b"\xff" * 10, b"\x07\x06", *(np.random.default_rng(2).bytes(50) for _ in range(50))]
        for message in junk:
            link._control_sender._socket.send(message)
        link.wait_ready()
        assert end.responder._receiver.stats.malformed == len(junk)


def test_addresses() -> None:
    addresses = LinkAddresses("a", "b", "c", "d")
    assert addresses.as_arguments() == ["a", "b", "c", "d"]
    assert LinkAddresses.from_arguments(["a", "b", "c", "d"]) == addresses
    with pytest.raises(ConfigurationError, match="four"):
        LinkAddresses.from_arguments(["a"])


def test_an_address_that_is_taken_frees_the_others() -> None:
    with ApplicationEnd() as link:
        a, b, c, _ = link.addresses.as_arguments()
    with ApplicationEnd(LinkAddresses(control_from_flowgraph=c)):
        for _ in range(2):
            with pytest.raises(LinkError, match="already in use"):
                ApplicationEnd(LinkAddresses(a, b, c))


def test_a_stopped_end_takes_nothing() -> None:
    with ApplicationEnd() as link, FlowgraphEnd(link.addresses) as end:
        end.stop()
        with pytest.raises(LinkError, match="stopped"):
            end.post(Pdu({}))
        end.serve(echo)
