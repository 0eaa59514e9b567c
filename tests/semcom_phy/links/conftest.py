"""Flowgraphs for the tests of the GNU Radio link, what is left of them, and junk for their sockets."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from semcom_phy.flowgraph.process import FlowgraphProcess
from semcom_phy.zmq import LinkAddresses, Pdu, UInt64, encode_pdu

ROOT = Path(__file__).parents[3]
DOUBLE = Path(__file__).parent / "doubles" / "flowgraph_double.py"

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

    `addresses`: those to be given to the flowgraph.
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


class Doubles:
    """Starts flowgraph doubles, all with the same options, and remembers them."""

    def __init__(self, proxied: bool, **options: Any) -> None:
        self.options = options
        self.processes: list[FlowgraphProcess] = []
        self.addresses: list[LinkAddresses] = []
        self.proxies: list[JunkProxy] = []
        self.proxied = proxied

    def __call__(self, addresses: LinkAddresses) -> FlowgraphProcess:
        """Start one."""
        self.addresses.append(addresses)
        if self.proxied:
            self.proxies.append(JunkProxy(addresses, seed=len(self.proxies)))
            addresses = self.proxies[-1].addresses
        options = json.dumps({**self.options, "addresses": addresses.as_arguments()})
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, str(DOUBLE), options]
        self.processes.append(FlowgraphProcess(command, name="double", environment=environment, terminate_s=1.0))
        return self.processes[-1]


@pytest.fixture
def doubles() -> Iterator[Callable[..., Doubles]]:
    """Make a launcher of flowgraph doubles; what is left of them at the end of the test is ended."""
    made: list[Doubles] = []

    def make(proxied: bool = False, **options: Any) -> Doubles:
        made.append(Doubles(proxied, **options))
        return made[-1]

    yield make
    for one in made:
        for process in one.processes:
            process.stop()
        for proxy in one.proxies:
            proxy.close()


def processes_with(text: str) -> list[int]:
    """Processes, this one excepted, that have this text on their command line and are no zombies of somebody else."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(folder.name) != os.getpid() and text.encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


@pytest.fixture
def nothing_left() -> Callable[[list[LinkAddresses]], None]:
    """Check that no process knows these addresses any more, and that nobody listens there."""

    def check(addresses: list[LinkAddresses]) -> None:
        assert addresses
        for four in addresses:
            assert processes_with(four.data_to_flowgraph) == []
            for address in four.as_arguments():
                host, _, port = address.removeprefix("tcp://").rpartition(":")
                with pytest.raises(ConnectionRefusedError), socket.create_connection((host, int(port)), timeout=5):
                    pass

    return check


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
