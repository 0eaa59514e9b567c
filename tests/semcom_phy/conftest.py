"""Junk for the sockets between the application and the processes of GNU Radio."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import zmq

from semcom_phy.zmq import LinkAddresses, Pdu, UInt64, encode_pdu

#: Some of them valid PDUs, but of nobody: no session, another session, no number.
STRANGERS = [
    encode_pdu(Pdu({"frame": UInt64(0)}, np.zeros(100, np.float32))),
    encode_pdu(Pdu({"frame": UInt64(1), "session": "somebody", "seq": UInt64(0)}, np.ones(9, np.uint8))),
    encode_pdu(
        Pdu({"control": "bye", "version": 1, "number": 1, "instance": "x", "process": 1, "session": "somebody"})
    ),
]
#: A header that announces 4 G elements, two bytes on which GNU Radio's own reader aborts, and other nonsense.
NONSENSE = [b"", b"\x09\x00", b"\x07\x06", b"\xff" * 100, b"\x0a\x00" + b"\xff" * 8, b"GET / HTTP/1.1\r\n\r\n"]


class JunkProxy:
    """Stands between application and flowgraph, on all four channels, and throws junk in before every message.

    `addresses`: those to be given to the flowgraph. `thrown`: how many at each channel.
    """

    def __init__(self, application: LinkAddresses, seed: int) -> None:
        self.thrown = dict.fromkeys(("data_to", "data_from", "control_to", "control_from"), 0)
        self._rng = np.random.default_rng(seed)
        self._context: zmq.Context[Any] = zmq.Context()
        self._stop, stopped = self._pair()
        bound = []
        self._paths: dict[Any, tuple[str, Any]] = {}
        for name, address in zip(self.thrown, application.as_arguments(), strict=True):
            pull, push = self._context.socket(zmq.PULL), self._context.socket(zmq.PUSH)
            near, far = (pull, push) if name.endswith("to") else (push, pull)
            near.connect(address)
            push.sndhwm = 0  # nothing is lost here, however slow the reader
            far.bind("tcp://127.0.0.1:*")
            bound.append(far.get_string(zmq.LAST_ENDPOINT))
            self._paths[pull] = (name, push)
        self.addresses = LinkAddresses(*bound)
        self._thread = threading.Thread(target=self._forward, args=(stopped,), daemon=True)
        self._thread.start()

    def _pair(self) -> tuple[Any, Any]:
        ends = self._context.socket(zmq.PAIR), self._context.socket(zmq.PAIR)
        ends[0].bind("inproc://stop")
        ends[1].connect("inproc://stop")
        return ends

    def _forward(self, stopped: Any) -> None:
        poller = zmq.Poller()
        for pull in (stopped, *self._paths):
            poller.register(pull, zmq.POLLIN)
        while True:
            ready = dict(poller.poll())
            if stopped in ready:
                return
            for pull in ready:
                name, push = self._paths[pull]
                message = pull.recv()
                with contextlib.suppress(zmq.Again):  # nobody is there any more
                    for junk in self._junk(message):
                        push.send(junk, zmq.NOBLOCK)
                        self.thrown[name] += 1
                    push.send(message, zmq.NOBLOCK)

    def _junk(self, message: bytes) -> list[bytes]:
        """Random bytes, nonsense, strangers, and the beginning of the message itself."""
        rng = self._rng
        pool = [*NONSENSE, *STRANGERS, rng.bytes(int(rng.integers(1, 200))), message[: int(rng.integers(len(message)))]]
        return [pool[i] for i in rng.integers(len(pool), size=int(rng.integers(1, 4)))]

    def close(self) -> None:
        """Stop forwarding."""
        self._stop.send(b"")
        self._thread.join()
        self._context.destroy(linger=0)


def throw_bytes(addresses: LinkAddresses, rng: np.random.Generator) -> None:
    """Connect to each address without speaking ZeroMQ, and send what comes to mind."""
    for address in addresses.as_arguments():
        host, _, port = address.removeprefix("tcp://").rpartition(":")
        for junk in (rng.bytes(300), NONSENSE[-1], b"\xff\0\0\0\0\0\0\0\x01\x7f\x03", b""):
            with socket.create_connection((host, int(port)), timeout=5) as connection, contextlib.suppress(OSError):
                connection.sendall(junk)


def throw_messages(addresses: LinkAddresses, rng: np.random.Generator) -> int:
    """Push junk messages at the two addresses where the application reads; returns how many at each."""
    junk = [*NONSENSE, *STRANGERS, *(rng.bytes(50) for _ in range(20))]
    with zmq.Context() as context:
        for address in (addresses.data_from_flowgraph, addresses.control_from_flowgraph):
            with context.socket(zmq.PUSH) as push:
                push.connect(address)
                for message in junk:
                    push.send(message)
    return len(junk)


@pytest.fixture(scope="session")
def junk_proxy() -> type[JunkProxy]:
    """A man in the middle who throws junk in."""
    return JunkProxy


@pytest.fixture(scope="session")
def throw_junk() -> Callable[[LinkAddresses, np.random.Generator], None]:
    """Throw bytes at all four addresses of the application, and messages at the two where it reads."""

    def throw(addresses: LinkAddresses, rng: np.random.Generator) -> None:
        throw_bytes(addresses, rng)
        throw_messages(addresses, rng)

    return throw
