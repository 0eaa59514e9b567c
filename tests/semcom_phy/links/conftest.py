"""Flowgraphs for the tests of the GNU Radio link, and what is left of them."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from semcom_phy.flowgraph.process import FlowgraphProcess
from semcom_phy.zmq import LinkAddresses

ROOT = Path(__file__).parents[3]
DOUBLE = Path(__file__).parent / "doubles" / "flowgraph_double.py"


class Doubles:
    """Starts flowgraph doubles, all with the same options, and remembers them."""

    def __init__(self, junk_proxy: Callable[..., Any] | None, **options: Any) -> None:
        self.options = options
        self.processes: list[FlowgraphProcess] = []
        self.addresses: list[LinkAddresses] = []
        self.proxies: list[Any] = []
        self._junk_proxy = junk_proxy

    def __call__(self, addresses: LinkAddresses) -> FlowgraphProcess:
        """Start one."""
        self.addresses.append(addresses)
        if self._junk_proxy is not None:
            self.proxies.append(self._junk_proxy(addresses, seed=len(self.proxies)))
            addresses = self.proxies[-1].addresses
        options = json.dumps({**self.options, "addresses": addresses.as_arguments()})
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, str(DOUBLE), options]
        self.processes.append(FlowgraphProcess(command, name="double", environment=environment, terminate_s=1.0))
        return self.processes[-1]


@pytest.fixture
def doubles(junk_proxy: Callable[..., Any]) -> Iterator[Callable[..., Doubles]]:
    """Make a launcher of flowgraph doubles; what is left of them at the end of the test is ended."""
    made: list[Doubles] = []

    def make(proxied: bool = False, **options: Any) -> Doubles:
        made.append(Doubles(junk_proxy if proxied else None, **options))
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
