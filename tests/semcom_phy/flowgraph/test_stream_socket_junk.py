"""Junk at the stock ZeroMQ stream sockets of air_tx and air_rx: what they survive, and that their death is noticed."""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from semcom_phy.errors import LinkError
from semcom_phy.flowgraph import catalogue
from semcom_phy.flowgraph.connection import FlowgraphConnection
from semcom_phy.flowgraph.launch import launcher
from semcom_phy.links import Frame
from semcom_phy.links.frame_pdus import frame_to_pdu, received_from_pdu

Message = list[bytes]
READY_S = 60.0
NOTICED_S = 2.0
ITEM = 8  # bytes of a sample

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("gnuradio")]


def count(samples: int) -> bytes:
    """A request for so many samples."""
    return struct.pack("<i", samples)


#: Replies and requests that end the block: GNU Radio 3.10.5.1 throws.
DEADLY_REPLIES = {
    "no multiple of a sample": ([b"x" * 13], "Incompatible vector sizes: need a multiple of 8 bytes per message"),
    "two parts": ([b"x" * 16, b"y" * 16], "Operation cannot be accomplished in current state"),
}
DEADLY_REQUESTS = {
    "below zero": ([count(-5)], "Cannot allocate memory"),
    "two parts": ([count(10), count(20)], "Operation cannot be accomplished in current state"),
}
NOISE = np.random.default_rng(1).bytes(1 << 20)
HARMLESS_REPLIES: list[Message] = [
    [b""],
    [bytes(ITEM)],
    [np.full(4096, np.nan + 1j * np.inf, np.complex64).tobytes()],
    [np.full(4096, 3e38, np.complex64).tobytes()],
    [NOISE],
] * 3
#: Fewer than four bytes are read beyond their end: such a request is not safe, even if it is answered here.
HARMLESS_REQUESTS: list[Message] = [[count(0)], [count(2**31 - 1)], [count(100) + b"and more"], [count(1) + NOISE]]


@pytest.fixture
def sockets() -> Iterator[Callable[[int], Any]]:
    """Make ZeroMQ sockets."""
    context: zmq.Context[Any] = zmq.Context()
    yield context.socket
    context.destroy(linger=0)


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


def connected(name: str, address: str) -> FlowgraphConnection:
    return FlowgraphConnection(name, launcher(catalogue.find(name), {"address": address}), timeout_s=READY_S)


def assert_it_fails(connection: FlowgraphConnection, block: str, why: str) -> None:
    """Its death is noticed in time, by who waits for data; and it does end, with all that belongs to it."""
    began = time.monotonic()
    with pytest.raises(LinkError, match=why):
        connection.receive(10)
    assert time.monotonic() - began < NOTICED_S
    failure = connection.failure()
    assert failure is not None
    assert failure.startswith(f"block {block}(")
    assert failure.endswith(f") has died: {why}")
    assert connection.process is not None
    assert connection.process.running
    guardian = connection.process.pid
    (program,) = map(int, Path(f"/proc/{guardian}/task/{guardian}/children").read_text().split())
    descriptor = os.pidfd_open(program)
    connection.close()
    assert select.select([descriptor], [], [], 0)[0]
    os.close(descriptor)


@pytest.mark.parametrize("what", DEADLY_REPLIES)
def test_replies_that_end_air_rx(what: str, sockets: Callable[[int], Any]) -> None:
    reply, why = DEADLY_REPLIES[what]
    air = sockets(zmq.REP)
    address = f"tcp://127.0.0.1:{air.bind_to_random_port('tcp://127.0.0.1')}"
    with connected("air_rx", address) as connection:
        assert air.poll(10_000)
        air.recv()
        air.send_multipart(reply)
        assert_it_fails(connection, "req_source", why)


@pytest.mark.parametrize("what", DEADLY_REQUESTS)
def test_requests_that_end_air_tx(what: str, sockets: Callable[[int], Any]) -> None:
    request, why = DEADLY_REQUESTS[what]
    address = free_address()
    air = sockets(zmq.REQ)
    with connected("air_tx", address) as connection:
        air.connect(address)
        air.send(count(64))
        assert air.poll(10_000)
        assert len(air.recv()) in range(ITEM, 65 * ITEM, ITEM)
        air.send_multipart(request)
        assert_it_fails(connection, "rep_sink", why)


def exchange(near: Any, far: Any, junk: Sequence[Message], until: Callable[[], bool]) -> None:
    """Answer requests at `near` with junk, then with what `far` answers to them."""
    deadline = time.monotonic() + READY_S
    waiting = list(junk)
    while not until():
        assert time.monotonic() < deadline
        if not near.poll(50):
            continue
        request = near.recv_multipart()
        if waiting:
            near.send_multipart(waiting.pop(0))
        else:
            far.send_multipart(request)
            assert far.poll(10_000)
            near.send_multipart(far.recv_multipart())
    assert not waiting


def test_a_frame_arrives_after_junk_in_both_directions(sockets: Callable[[int], Any]) -> None:
    near, far, address = sockets(zmq.REP), sockets(zmq.REQ), free_address()
    rng = np.random.default_rng(2)
    frame = Frame(b"header", rng.integers(0, 2, 3000, dtype=np.uint8))
    towards_rx = f"tcp://127.0.0.1:{near.bind_to_random_port('tcp://127.0.0.1')}"
    with connected("air_tx", address) as sending, connected("air_rx", towards_rx) as receiving:
        far.connect(address)
        for request in HARMLESS_REQUESTS:
            far.send_multipart(request)
            assert far.poll(10_000)
            assert len(far.recv()) % ITEM == 0
        sending.send(frame_to_pdu(0, frame), 5)
        arrived = []

        def a_frame_has_arrived() -> bool:
            arrived.extend(receiving.drain())
            return bool(arrived)

        exchange(near, far, HARMLESS_REPLIES, a_frame_has_arrived)
        assert receiving.failure() is sending.failure() is None
    received = received_from_pdu(arrived[0]).frame
    assert received.header == frame.header
    assert np.array_equal(received.payload_bits, frame.payload)
