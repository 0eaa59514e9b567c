"""Addresses of ZeroMQ sockets: this machine only, unless told otherwise."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import stat
from dataclasses import dataclass

from semcom_phy.errors import ConfigurationError, LinkError

_TCP = re.compile(r"tcp://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._*-]+):(?P<port>\*|[0-9]{1,5})")
_IPC_PATH_BYTES = 107  # sun_path of a Unix socket, less its final zero


@dataclass(frozen=True)
class Address:
    """A checked endpoint: what ZeroMQ is given, and whether it needs IPv6 switched on."""

    endpoint: str
    ipv6: bool = False


def checked_address(
    address: str, *, bind: bool, allow_remote: bool = False, permission: str | None = "allow_remote"
) -> Address:
    """Check a ZeroMQ endpoint, ``tcp://HOST:PORT`` or ``ipc://PATH``.

    A host is 127.0.0.0/8, ::1 in brackets or ``localhost``; with `allow_remote` any other host, address or ``*``.
    Whoever reaches a port can read and write there: PDUs are neither encrypted nor authenticated. To bind, the
    port may be ``*`` (any free one), and ``ipc://*`` makes a path of its own.

    Raises ConfigurationError for anything else. `permission`: what the error calls `allow_remote`, in the words of
    whoever gave the address; None where other machines cannot be allowed.
    """
    if address.startswith("ipc://"):
        return Address(_checked_ipc(address, bind))
    found = _TCP.fullmatch(address)
    if found is None:
        raise ConfigurationError(f"{address!r} is no address; use tcp://127.0.0.1:PORT or ipc:///PATH")
    host, port = found["host"], found["port"]
    if port == "*" or int(port) == 0:
        if not bind:
            raise ConfigurationError(f"{address!r} has no port to connect to; give one from 1 to 65535")
        port = "*"
    elif int(port) > 65535:
        raise ConfigurationError(f"{address!r}: a port is from 1 to 65535")
    if host == "localhost":
        host = "127.0.0.1"  # ZeroMQ resolves no names when it binds
    if not allow_remote and not _is_loopback(host):
        otherwise = "" if permission is None else f", or {permission} in a network you trust"
        raise ConfigurationError(f"{address!r} can be reached from other machines; use 127.0.0.1{otherwise}")
    return Address(f"tcp://{host}:{port}", ipv6=host.startswith("["))


def check_ipc_free(endpoint: str) -> None:
    """Raise LinkError if another process listens on the path of an ipc endpoint.

    ZeroMQ would take the path away from it without a word. A path that a dead process left behind is free.
    """
    path = endpoint.removeprefix("ipc://")
    if path == endpoint or path == "*" or path.startswith("@") or not os.path.lexists(path):
        return
    if not stat.S_ISSOCK(os.stat(path).st_mode):
        raise ConfigurationError(f"{path} is a file and no socket; give another ipc path")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except OSError:
            return
    raise LinkError(f"another process listens on {endpoint}; stop it or give another path")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _checked_ipc(address: str, bind: bool) -> str:
    path = address.removeprefix("ipc://")
    if path == "*":
        if not bind:
            raise ConfigurationError("ipc://* is no path to connect to; give the path that the other side bound")
        return address
    if "\0" in path or not path.lstrip("@") or len(os.fsencode(path)) > _IPC_PATH_BYTES:
        raise ConfigurationError(f"{address!r}: the path of an ipc address has 1 to {_IPC_PATH_BYTES} bytes")
    return address
