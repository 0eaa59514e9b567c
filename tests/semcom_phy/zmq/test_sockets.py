"""PDU sockets: order, back-pressure, loss, strangers, junk, and clean ends."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import zmq

from semcom_phy.errors import ConfigurationError, LinkError
from semcom_phy.zmq.pdu import Pdu, decode_pdu, encode_pdu
from semcom_phy.zmq.pmt import PmtLimits, UInt64
from semcom_phy.zmq.sockets import PduReceiver, PduSender, SocketOptions
from semcom_phy.zmq.waiting import Deadline, WakeSignal

ANY = "tcp://127.0.0.1:*"
QUICK = SocketOptions(timeout_s=0.2, high_water_mark=4)


def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Turn until `condition` holds; for what ZeroMQ's own threads do and no descriptor tells."""
    deadline = Deadline(seconds)
    while not condition():
        assert deadline.remaining, "it did not happen in time"
        os.sched_yield()


def send_until_it_fails(sender: PduSender, pdu: Pdu, timeout_s: float = 0.2) -> None:
    for _ in range(1000):
        sender.send(pdu, timeout_s)


def stamped(number: int, session: str = "s", **metadata: Any) -> bytes:
    return encode_pdu(Pdu({**metadata, "session": session, "seq": UInt64(number)}))


@pytest.fixture
def receiver() -> Iterator[PduReceiver]:
    with PduReceiver(ANY, bind=True, session="s", options=QUICK) as opened:
        yield opened


@pytest.fixture
def raw(receiver: PduReceiver) -> Iterator[Callable[[bytes], None]]:
    """Send any bytes as a ZeroMQ message to `receiver`."""
    context = zmq.Context()
    push = context.socket(zmq.PUSH)
    push.connect(receiver.address)
    yield push.send
    push.close(0)
    context.term()


@pytest.mark.parametrize("address", [ANY, "ipc://*", "tcp://[::1]:*"])
@pytest.mark.parametrize("sender_binds", [True, False])
def test_pdus_arrive_in_order(address: str, sender_binds: bool) -> None:
    if "[::1]" in address:
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            pytest.skip("this machine has no IPv6")
    first: Any = PduSender if sender_binds else PduReceiver
    second: Any = PduReceiver if sender_binds else PduSender
    with first(address, bind=True, session="s") as one, second(one.address, bind=False, session="s") as other:
        sender, receiver = (one, other) if sender_binds else (other, one)
        for number in range(50):
            pdu = Pdu({"n": number}, np.arange(number, dtype=np.float32))
            assert sender.send(pdu) == number
            back = receiver.receive()
            assert back == Pdu({"n": number, "session": "s", "seq": UInt64(number)}, pdu.vector)
        assert sender.stats.sent == receiver.stats.received == 50
        assert sender.stats.sent_bytes == receiver.stats.received_bytes > 50 * 4
        assert sender.stats.peers == receiver.stats.peers == 1
        assert receiver.stats.lost == receiver.stats.malformed == receiver.stats.foreign == 0


@pytest.mark.parametrize("sender_binds", [True, False])
def test_a_peer_that_does_not_read_blocks_the_sender(sender_binds: bool) -> None:
    options = SocketOptions(timeout_s=0.2, high_water_mark=2)
    pdu = Pdu({}, np.zeros(2**18, np.uint8))
    first: Any = PduSender if sender_binds else PduReceiver
    second: Any = PduReceiver if sender_binds else PduSender
    with (
        first(ANY, bind=True, session="s", options=options) as one,
        second(one.address, bind=False, session="s", options=options) as other,
    ):
        sender, receiver = (one, other) if sender_binds else (other, one)
        with pytest.raises(LinkError, match=r"tcp://127\.0\.0\.1:\d+ is connected but does not read"):
            send_until_it_fails(sender, pdu)
        sent = sender.stats.sent
        assert 4 <= sent < 100
        assert not sender.try_send(pdu)
        assert sender.stats.timeouts == 1
        assert sender.stats.blocked_s >= 0.2
        # Nothing was dropped, and the refused PDU leaves no hole in the numbers.
        for number in range(sent):
            assert receiver.receive().metadata["seq"] == number
        wait_until(lambda: sender.try_send(pdu))
        assert receiver.receive().metadata["seq"] == sent
        assert receiver.stats.lost == 0


def test_a_slow_peer_slows_the_sender_down_and_loses_nothing() -> None:
    count, pdu = 200, Pdu({}, np.zeros(2**16, np.uint8))
    with PduReceiver(ANY, bind=True, session="s", options=QUICK) as receiver:

        def produce() -> None:
            with PduSender(receiver.address, bind=False, session="s", options=QUICK) as sender:
                for _ in range(count):
                    sender.send(pdu, timeout_s=10)

        thread = threading.Thread(target=produce)
        thread.start()
        for number in range(count):
            assert receiver.receive(10).metadata["seq"] == number
            time.sleep(0.001)  # the slow peer
        thread.join()
        assert receiver.stats.lost == 0


@pytest.mark.parametrize("bind", [True, False])
def test_nobody_there(bind: bool) -> None:
    address = ANY if bind else f"tcp://127.0.0.1:{free_port()}"
    with PduSender(address, bind=bind, options=QUICK) as sender:
        started = time.monotonic()
        with pytest.raises(LinkError, match="no peer is connected"):
            sender.send(Pdu({}))
        assert 0.2 <= time.monotonic() - started < 1
        assert not sender.try_send(Pdu({}))
        assert sender.stats.sent == 0
    with PduReceiver(address, bind=bind, options=QUICK) as receiver:
        with pytest.raises(LinkError, match=r"within 0\.2 s: no peer is connected"):
            receiver.receive()
        assert receiver.receive_nowait() is None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_loss_duplicates_and_disorder_are_counted(receiver: PduReceiver, raw: Callable[[bytes], None]) -> None:
    for number in (0, 1, 5, 3, 3, 1, 6):
        raw(stamped(number))
    assert [receiver.receive().metadata["seq"] for _ in range(5)] == [0, 1, 5, 3, 6]
    stats = receiver.stats
    assert (stats.lost, stats.duplicates, stats.reordered, stats.received) == (2, 2, 1, 5)


def test_foreign_pdus_are_counted_and_named(receiver: PduReceiver, raw: Callable[[bytes], None]) -> None:
    raw(encode_pdu(Pdu({"no": "session"})))
    raw(encode_pdu(Pdu({"session": 5, "seq": 0})))
    raw(stamped(0, "stale"))
    with pytest.raises(LinkError, match="3 of session 'stale'; stop the flowgraph that was left running"):
        receiver.receive()
    raw(stamped(0))
    assert receiver.receive().metadata["seq"] == 0
    assert receiver.stats.foreign == 3
    assert receiver.stats.lost == 0


def test_without_a_session_everything_is_taken(receiver: PduReceiver) -> None:
    with (
        PduReceiver(ANY, bind=True, options=QUICK) as anybody,
        PduSender(anybody.address, bind=False, session="one") as one,
        PduSender(anybody.address, bind=False, session="two") as two,
    ):
        one.send(Pdu({}))
        two.send(Pdu({}))
        assert {anybody.receive().metadata["session"] for _ in range(2)} == {"one", "two"}


def test_a_new_session_counts_from_zero(receiver: PduReceiver) -> None:
    with PduSender(receiver.address, bind=False, session="s") as sender:
        for _ in range(3):
            sender.send(Pdu({}))
            receiver.receive()
        sender.start_session("next")
        receiver.start_session("next")
        assert sender.send(Pdu({})) == 0
        assert receiver.receive().metadata == {"session": "next", "seq": 0}
        assert receiver.stats.lost == receiver.stats.foreign == 0


JUNK = [b"", b"\0", b"\x07" * 1000, b"\xff" * 100, b"hello", encode_pdu(Pdu({}))[:-1], b"\x0a\0\xff\xff\xff\xff\x01\0"]


def test_junk_messages_are_counted_and_survived(receiver: PduReceiver, raw: Callable[[bytes], None]) -> None:
    rng = np.random.default_rng(3)
    junk = [*JUNK, *(rng.bytes(int(size)) for size in rng.integers(0, 300, 200))]
    junk += [stamped(0, seq_is_no_number=1).replace(b"\x0b\0\0\0\0\0\0\0\0", b"\x04\0\0\0\0\0\0\0\0")]
    junk += [encode_pdu(Pdu({"session": "s", "seq": UInt64(2**63)})), encode_pdu(Pdu({"session": "s", "seq": -1}))]

    def feed() -> None:  # more than the queues hold
        for message in junk:
            raw(message)
        raw(stamped(0))

    thread = threading.Thread(target=feed)
    thread.start()
    assert receiver.receive(5).metadata["seq"] == 0
    thread.join()
    assert receiver.stats.malformed == len(junk)
    assert receiver.stats.foreign == 0


def test_a_flood_of_junk_does_not_hold_up_the_deadline() -> None:
    options = SocketOptions(high_water_mark=10_000)
    with (
        PduReceiver(ANY, bind=True, options=options) as receiver,
        zmq.Context() as context,
        context.socket(zmq.PUSH) as push,
    ):
        push.connect(receiver.address)
        for _ in range(1000):
            push.send(b"junk")
        assert receiver.pollable.poll(5000)
        with pytest.raises(LinkError, match="but 1 messages that are no PDUs"):
            receiver.receive(0)
        assert receiver.receive_nowait() is None
        assert receiver.stats.malformed <= 101
        wait_until(lambda: receiver.receive_nowait() is None and receiver.stats.malformed == 1000)


def test_messages_of_several_parts_are_no_pdus(receiver: PduReceiver) -> None:
    with zmq.Context() as context, context.socket(zmq.PUSH) as push:
        push.connect(receiver.address)
        push.send_multipart([stamped(0), stamped(1), b""])
        push.send(stamped(0))
        assert receiver.receive(5).metadata["seq"] == 0
        assert receiver.stats.malformed == 1
        assert receiver.stats.duplicates == 0


def test_too_long_a_message_is_never_held_in_memory() -> None:
    options = SocketOptions(timeout_s=5, limits=PmtLimits(message_bytes=10_000))
    with (
        PduReceiver(ANY, bind=True, session="s", options=options) as receiver,
        PduSender(receiver.address, bind=False, session="s") as sender,
    ):
        sender.send(Pdu({}))
        assert receiver.receive().metadata["seq"] == 0
        sender.send(Pdu({}, np.zeros(100_000, np.uint8)))
        wait_until(lambda: receiver.stats.disconnects == 1)
        wait_until(lambda: receiver.stats.peers == 1)
        sender.send(Pdu({}))
        assert receiver.receive().metadata["seq"] == 2
        assert receiver.stats.lost == 1


@pytest.mark.parametrize("junk", [b"GET / HTTP/1.1\r\n\r\n", b"\xff" + bytes(8) + b"\x7f" + b"\xaa" * 200, b"\0" * 500])
@pytest.mark.parametrize("kind", ["sender", "receiver"])
def test_junk_on_the_port_itself(junk: bytes, kind: str) -> None:
    binder: Any = PduSender if kind == "sender" else PduReceiver
    connector: Any = PduReceiver if kind == "sender" else PduSender
    with binder(ANY, bind=True, session="s") as bound:
        port = int(bound.address.rsplit(":", 1)[1])
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", port)) as intruder:
                intruder.sendall(junk)
        wait_until(lambda: bound.stats.disconnects == 20)
        with connector(bound.address, bind=False, session="s") as other:
            sender, receiver = (bound, other) if kind == "sender" else (other, bound)
            wait_until(lambda: sender.stats.peers == 1)
            for number in range(10):
                assert sender.send(Pdu({})) == number
                assert receiver.receive().metadata["seq"] == number
            assert bound.stats.peers == 1


def test_a_connection_that_says_nothing_is_no_reader() -> None:
    with (
        PduSender(ANY, bind=True, session="s", options=QUICK) as sender,
        socket.create_connection(("127.0.0.1", int(sender.address.rsplit(":", 1)[1]))),
    ):
        wait_until(lambda: len(sender._monitor._open) == sender.stats.peers + 1)
        with pytest.raises(LinkError, match="no peer is connected"):
            sender.send(Pdu({}))
        with PduReceiver(sender.address, bind=False, session="s") as receiver:
            for number in range(10):
                sender.send(Pdu({}), timeout_s=5)
                assert receiver.receive().metadata["seq"] == number
            assert sender.stats.peers == 1


@pytest.mark.parametrize(
    "greeting",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x01\x00" + bytes(20), b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x07\0\0"],
    ids=["web browser", "ZMTP 1", "ZMTP 2"],
)
def test_whoever_speaks_without_a_handshake_gets_nothing(greeting: bytes) -> None:
    """ZeroMQ takes such connections for peers of its first versions, which would be given every second PDU."""
    with (
        PduSender(ANY, bind=True, session="s", options=QUICK) as sender,
        PduReceiver(sender.address, bind=False, session="s") as receiver,
    ):
        wait_until(lambda: sender.stats.peers == 1)
        host, _, port = sender.address.removeprefix("tcp://").rpartition(":")
        with socket.create_connection((host, int(port)), timeout=5) as stranger:
            stranger.sendall(greeting)
            for number in range(10):
                sender.send(Pdu({}), timeout_s=5)
                assert receiver.receive(5).metadata["seq"] == number
            with contextlib.suppress(ConnectionResetError):
                while stranger.recv(100):  # ZeroMQ's own greeting, until it hangs up
                    pass
            assert sender.stats.peers == 1


def test_a_second_reader_is_an_error() -> None:
    with (
        PduSender(ANY, bind=True, session="s", options=QUICK) as sender,
        PduReceiver(sender.address, bind=False, session="s") as first,
    ):
        sender.send(Pdu({}))
        assert first.receive().metadata["seq"] == 0
        with PduReceiver(sender.address, bind=False, session="stale"):
            wait_until(lambda: sender.stats.peers == 2)
            with pytest.raises(LinkError, match="2 readers are connected"):
                sender.send(Pdu({}))
        wait_until(lambda: sender.stats.peers == 1)
        assert sender.send(Pdu({})) == 1
        assert first.receive().metadata["seq"] == 1


def test_a_second_reader_ends_the_waiting_for_an_answer() -> None:
    with (
        PduSender(ANY, bind=True, session="s") as sender,
        PduReceiver(ANY, bind=True, session="s") as receiver,
        PduReceiver(sender.address, bind=False, session="s"),
    ):
        wait_until(lambda: sender.stats.peers == 1)
        receiver.attend_while_waiting(sender)
        stale: list[PduReceiver] = []
        timer = threading.Timer(0.1, lambda: stale.append(PduReceiver(sender.address, bind=False)))
        timer.start()
        started = time.monotonic()
        with pytest.raises(LinkError, match="2 readers"):
            receiver.receive(10)
        assert time.monotonic() - started < 2
        timer.join()
        stale[0].close()


class Alarm:
    def __init__(self) -> None:
        self.signal = WakeSignal()
        self.raised = False

    @property
    def pollable(self) -> int:
        return self.signal.fileno()

    def attend(self) -> None:
        if self.raised:
            raise LinkError("alarm")

    def ring(self) -> None:
        self.raised = True
        self.signal.set()


@pytest.mark.parametrize("kind", ["send", "receive"])
def test_an_attendant_ends_the_waiting(kind: str) -> None:
    alarm = Alarm()
    with PduSender(ANY, bind=True) as sender, PduReceiver(ANY, bind=True) as receiver:
        sender.attend_while_waiting(alarm)
        receiver.attend_while_waiting(alarm)
        timer = threading.Timer(0.1, alarm.ring)
        timer.start()
        started = time.monotonic()
        with pytest.raises(LinkError, match="alarm"):
            sender.send(Pdu({}), 10) if kind == "send" else receiver.receive(10)
        assert time.monotonic() - started < 2
        timer.join()
        with pytest.raises(LinkError, match="alarm"):
            receiver.receive_nowait()
    alarm.signal.close()


def test_taken_and_free_ports() -> None:
    with PduReceiver(ANY, bind=True) as receiver:
        for kind in (PduReceiver, PduSender):
            with pytest.raises(LinkError, match="address already in use"):
                kind(receiver.address, bind=True)
        address = receiver.address
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(20):
        with (
            PduReceiver(address, bind=True, session="s") as again,
            PduSender(address, bind=False, session="s") as sender,
        ):
            sender.send(Pdu({}))
            again.receive()
    if before:
        assert len(os.listdir("/proc/self/fd")) == before


def test_ipc_paths_are_not_taken_away(tmp_path: Any) -> None:
    address = f"ipc://{tmp_path}/socket"
    with PduReceiver(address, bind=True, session="s") as receiver:
        with pytest.raises(LinkError, match="another process listens"):
            PduReceiver(address, bind=True)
        with PduSender(address, bind=False, session="s") as sender:
            sender.send(Pdu({}))
            receiver.receive()
    with PduReceiver(address, bind=True):
        pass


def test_ipc_wildcard_leaves_nothing_behind() -> None:
    with PduReceiver("ipc://*", bind=True) as receiver:
        path = receiver.address.removeprefix("ipc://")
        assert os.stat(os.path.dirname(path)).st_mode & 0o077 == 0
    assert not os.path.exists(os.path.dirname(path))


def test_closing_lets_the_last_pdus_go() -> None:
    with PduReceiver(ANY, bind=True, session="s") as receiver:
        with PduSender(receiver.address, bind=False, session="s") as sender:
            for _ in range(50):
                sender.send(Pdu({}, np.zeros(10_000)))
        assert [receiver.receive().metadata["seq"] for _ in range(50)] == list(range(50))


@pytest.mark.parametrize("sender_binds", [True, False])
def test_what_has_come_is_read_after_the_sender_is_gone(sender_binds: bool) -> None:
    first: Any = PduSender if sender_binds else PduReceiver
    second: Any = PduReceiver if sender_binds else PduSender
    with first(ANY, bind=True, session="s") as one, second(one.address, bind=False, session="s") as other:
        sender, receiver = (one, other) if sender_binds else (other, one)
        for number in range(5):
            sender.send(Pdu({"n": number}, np.zeros(10, np.uint8)))
        sender.close()
        wait_until(lambda: receiver.stats.disconnects == 1)
        assert [receiver.receive().metadata["n"] for _ in range(5)] == list(range(5))
        assert receiver.stats.lost == 0


def test_closed_sockets_say_so() -> None:
    sender, receiver = PduSender(ANY, bind=True), PduReceiver(ANY, bind=True)
    for opened in (sender, receiver):
        opened.close()
        opened.close()
        assert opened.stats.peers == 0
    with pytest.raises(LinkError, match="closed"):
        sender.send(Pdu({}))
    with pytest.raises(LinkError, match="closed"):
        receiver.receive()


def test_arguments_are_checked() -> None:
    for kind in (PduSender, PduReceiver):
        with pytest.raises(ConfigurationError, match="allow_remote"):
            kind("tcp://0.0.0.0:*", bind=True)
        with pytest.raises(ConfigurationError, match="session"):
            kind(ANY, bind=True, session="a b")
    with pytest.raises(ConfigurationError, match="high_water_mark"):
        SocketOptions(high_water_mark=0)
    for seconds in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigurationError, match="timeout_s"):
            SocketOptions(timeout_s=seconds)
    with PduReceiver(ANY, bind=True) as receiver, pytest.raises(ConfigurationError, match="timeout"):
        receiver.receive(float("nan"))


def test_remote_addresses_when_told() -> None:
    with PduReceiver("tcp://0.0.0.0:*", bind=True, options=SocketOptions(allow_remote=True)) as receiver:
        assert receiver.address.startswith("tcp://0.0.0.0:")


@pytest.mark.parametrize("metadata", [{}, {"a": 1}, {"session": "s"}, {"session": "old", "seq": 77}, {"seq": 5}])
def test_a_pdu_that_is_passed_on_is_stamped_anew(receiver: PduReceiver, metadata: dict[str, Any]) -> None:
    """As it is, but for session and number: whoever had it before may have left theirs."""
    pdu = Pdu(metadata, np.array([1.5, -2.0], np.float32))
    kept = decode_pdu(encode_pdu(pdu), keep=True)
    with PduSender(receiver.address, bind=False, session="s") as sender:
        for number, one in enumerate((kept, pdu, kept)):
            sender.send(one)
            arrived = receiver.receive()
            assert arrived == Pdu({**metadata, "session": "s", "seq": UInt64(number)}, pdu.vector)
            assert arrived.vector.dtype.isnative
    assert receiver.stats.lost == receiver.stats.foreign == receiver.stats.malformed == 0


def test_a_receiver_that_keeps_messages() -> None:
    with (
        PduReceiver(ANY, bind=True, session="s", options=QUICK, keep=True) as keeper,
        PduSender(keeper.address, bind=False, session="s") as sender,
    ):
        sender.send(Pdu({"a": 1}, np.ones(3, np.float32)))
        arrived = keeper.receive()
        assert arrived.serialized is not None
        assert decode_pdu(arrived.serialized) == arrived


def test_passing_on_keeps_to_the_limits(receiver: PduReceiver) -> None:
    kept = decode_pdu(encode_pdu(Pdu({}, np.zeros(200, np.uint8))), keep=True)
    tight = replace(QUICK, limits=PmtLimits(message_bytes=220))
    with PduSender(receiver.address, bind=False, session="s", options=tight) as sender:
        with pytest.raises(ConfigurationError, match="220 bytes"):
            sender.send(kept)
        assert sender.send(Pdu({})) == 0


def test_what_cannot_be_sent_uses_no_number(receiver: PduReceiver) -> None:
    with PduSender(receiver.address, bind=False, session="s") as sender:
        with pytest.raises(ConfigurationError):
            sender.send(Pdu({"a": b"bytes"}))  # type: ignore[dict-item]
        assert sender.send(Pdu({})) == 0


@pytest.mark.parametrize("call", ["send", "receive"])
def test_ctrl_c(call: str, spawn: Callable[..., subprocess.Popen[str]]) -> None:
    process = spawn("interrupted.py", call)
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=10)
    assert output.strip() == "interrupted"
    assert process.returncode == 0
    PduReceiver(address, bind=True).close()
