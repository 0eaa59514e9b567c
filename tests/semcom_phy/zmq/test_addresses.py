"""Which addresses are taken, and which are not."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from semcom_phy.errors import ConfigurationError, LinkError
from semcom_phy.zmq.addresses import Address, check_ipc_free, checked_address


@pytest.mark.parametrize(
    ("address", "endpoint"),
    [
        ("tcp://127.0.0.1:5555", "tcp://127.0.0.1:5555"),
        ("tcp://127.1.2.3:1", "tcp://127.1.2.3:1"),
        ("tcp://localhost:65535", "tcp://127.0.0.1:65535"),
        ("ipc:///tmp/a", "ipc:///tmp/a"),
        ("ipc://@name", "ipc://@name"),
    ],
)
@pytest.mark.parametrize("bind", [True, False])
def test_this_machine(address: str, endpoint: str, bind: bool) -> None:
    assert checked_address(address, bind=bind) == Address(endpoint)


def test_ipv6() -> None:
    assert checked_address("tcp://[::1]:5555", bind=True) == Address("tcp://[::1]:5555", ipv6=True)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:*", "tcp://127.0.0.1:0", "ipc://*"])
def test_wildcards_are_for_binding(address: str) -> None:
    assert checked_address(address, bind=True).endpoint.endswith("*")
    with pytest.raises(ConfigurationError, match="connect to"):
        checked_address(address, bind=False)


@pytest.mark.parametrize(
    "address",
    ["tcp://*:5555", "tcp://0.0.0.0:5555", "tcp://192.168.1.2:5555", "tcp://eth0:5555", "tcp://host.example:5555"],
)
def test_remote_only_when_told(address: str) -> None:
    with pytest.raises(ConfigurationError, match="allow_remote"):
        checked_address(address, bind=True)
    assert checked_address(address, bind=True, allow_remote=True).endpoint == address
    with pytest.raises(ConfigurationError, match=r"use 127.0.0.1, or --there in a network you trust$"):
        checked_address(address, bind=True, permission="--there")
    with pytest.raises(ConfigurationError, match=r"use 127.0.0.1$"):
        checked_address(address, bind=True, permission=None)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "127.0.0.1:5555",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:",
        "tcp://127.0.0.1:70000",
        "tcp://127.0.0.1:-1",
        "tcp://127.0.0.1:5555;10.0.0.1:5",
        "tcp://127.0.0.1:5555\n",
        "udp://127.0.0.1:5555",
        "inproc://a",
        "ipc://",
        "ipc://@",
        "ipc:///a\0b",
        "ipc:///" + "a" * 107,
    ],
)
def test_not_an_address(address: str) -> None:
    with pytest.raises(ConfigurationError):
        checked_address(address, bind=True, allow_remote=True)


def test_ipc_paths_in_use(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    check_ipc_free(f"ipc://{path}")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with pytest.raises(LinkError, match="another process listens"):
            check_ipc_free(f"ipc://{path}")
    check_ipc_free(f"ipc://{path}")  # left behind
    path.unlink()
    path.write_text("precious")
    with pytest.raises(ConfigurationError, match="no socket"):
        check_ipc_free(f"ipc://{path}")
