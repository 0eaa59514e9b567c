"""The two ends of a request for samples as ZeroMQ sockets that do not lose their step when the other side dies.

REQ and REP sockets wait for each other in lock-step, for ever if one of them disappears. Here the asking side is a
DEALER and the answering side a ROUTER, which look the same on the wire; both follow their connections, and heartbeats
end a connection whose other side has stopped. Ports belong to one thread.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, Final, Self

import zmq
from zmq.utils.monitor import recv_monitor_message

from semcom_phy.errors import FormatError, LinkError
from semcom_phy.virtual_air.protocol import (
    ENDING_REPLIES,
    MAX_REPLY_BYTES,
    MAX_REQUEST_BYTES,
    Samples,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
)
from semcom_phy.zmq.addresses import check_ipc_free, checked_address

_HEARTBEAT_INTERVAL_MS: Final = 1000
_HEARTBEAT_PATIENCE_MS: Final = 4000
_RECONNECT_MS: Final = 50
_LONGEST_RECONNECT_MS: Final = 500
_LINGER_MS: Final = 1000
_EVENTS_WAITING: Final = 100_000
_MAX_ENVELOPE: Final = 4
#: Requests that may still be answered although newer ones were sent.
_MAX_OPEN: Final = 3
#: Between a reply without samples and the next request.
_PAUSE_S: Final = 0.005
#: A flood of messages must not keep its reader from everything else.
_MOST_AT_ONCE: Final = 64
_REMEMBERED: Final = 64
# A Ctrl-C that comes just before a poll begins does not end it.
_LONGEST_POLL_S: Final = 0.25
_FOLLOWED: Final = (
    zmq.EVENT_ACCEPTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_DISCONNECTED
)


class Port:
    """What both kinds of port share: a socket in a context of its own, so that closing it frees its address.

    `malformed`: messages that were not understood. `connections`, `disconnections`, `handshake_failures`: of the
    socket so far; the last are connections that do not speak ZeroMQ, or as a socket of the wrong kind.
    """

    def __init__(self, kind: int, address: str, bind: bool, largest_message: int, allow_remote: bool) -> None:
        checked = checked_address(address, bind=bind, allow_remote=allow_remote)
        if bind:
            check_ipc_free(checked.endpoint)
        self.malformed = 0
        self.connections = 0
        self.disconnections = 0
        self.handshake_failures = 0
        self.closed = False
        self._context: zmq.Context[Any] = zmq.Context()
        self.socket: zmq.Socket[Any] = self._context.socket(kind)
        socket = self.socket
        socket.linger = _LINGER_MS
        socket.ipv6 = checked.ipv6
        socket.maxmsgsize = largest_message
        socket.rcvhwm = socket.sndhwm = 16
        socket.heartbeat_ivl = _HEARTBEAT_INTERVAL_MS
        socket.heartbeat_timeout = _HEARTBEAT_PATIENCE_MS
        socket.reconnect_ivl = _RECONNECT_MS
        socket.reconnect_ivl_max = _LONGEST_RECONNECT_MS
        # Not `immediate`: with it, ZeroMQ throws away what had come from a side that disappears and was not read yet.
        if kind == zmq.ROUTER:
            socket.router_mandatory = True
        endpoint = f"inproc://events-{id(self)}"
        socket.monitor(endpoint, _FOLLOWED)
        self.events = self._context.socket(zmq.PAIR)
        self.events.linger = 0
        self.events.rcvhwm = _EVENTS_WAITING
        self.events.connect(endpoint)
        try:
            if bind:
                socket.bind(checked.endpoint)
            else:
                socket.connect(checked.endpoint)
        except zmq.ZMQError as error:
            self.close()
            reason = (error.strerror or "unknown error").lower()
            raise LinkError(f"cannot use {address}: {reason}; give a free address of this machine") from error
        #: The address with the port that was chosen.
        self.address = socket.get_string(zmq.LAST_ENDPOINT) if bind else checked.endpoint

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let what was sent leave, for a second at most, and free the address; harmless when repeated."""
        if self.closed:
            return
        self.closed = True
        self.socket.disable_monitor()
        self.events.close()
        self.socket.close()
        self._context.term()

    def update(self) -> None:
        """Take in all that has come, without waiting."""
        for _ in range(_MOST_AT_ONCE):
            if not int(self.events.get(zmq.EVENTS)) & zmq.POLLIN:
                break
            event = recv_monitor_message(self.events, zmq.NOBLOCK)
            kind = event["event"]
            if kind == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self.connections += 1
                self._connected()
            elif kind == zmq.EVENT_DISCONNECTED:
                self.disconnections += 1
                self._disconnected(int(event["value"]))
            elif kind != zmq.EVENT_ACCEPTED:
                self.handshake_failures += 1
        self._read_messages()

    def wait(self, timeout_s: float, ready: Callable[[], bool]) -> bool:
        """Take in what comes until `ready()`, at most so long; return whether it is."""
        deadline = time.monotonic() + timeout_s
        poller = zmq.Poller()
        poller.register(self.socket, zmq.POLLIN)
        poller.register(self.events, zmq.POLLIN)
        while True:
            self.update()
            if ready():
                return True
            remaining = deadline - time.monotonic()
            if remaining <= 0.0:
                return False
            poller.poll(math.ceil(1000.0 * min(remaining, self.longest_wait_s)))

    @property
    def longest_wait_s(self) -> float:
        """After how long there may be something to do although nothing has come."""
        return _LONGEST_POLL_S

    def _read_messages(self) -> None:
        for _ in range(_MOST_AT_ONCE):
            if not int(self.socket.get(zmq.EVENTS)) & zmq.POLLIN:
                break
            self._read_message()

    def _read_parts(self) -> list[bytes]:
        """All parts of a message; of one with too many parts only the first."""
        parts: list[bytes] = [self.socket.recv(zmq.NOBLOCK)]
        while self.socket.get(zmq.RCVMORE):
            part: bytes = self.socket.recv(zmq.NOBLOCK)
            if len(parts) <= _MAX_ENVELOPE + 2:
                parts.append(part)
        return parts

    def _read_message(self) -> None:
        raise NotImplementedError

    def _connected(self) -> None:
        pass

    def _disconnected(self, descriptor: int) -> None:
        pass


class AskingPort(Port):
    """Connects to a side that has samples, and asks it for them.

    `connected`: the other side is there. `asked_at`: when the request that is not yet answered was sent
    (`time.monotonic`), None when there is none. `ended`: the other side has said that its stream has ended. `malformed`
    counts replies of an odd length, too long ones and those that nobody asked for.

    Raises ConfigurationError for a wrong address.
    """

    def __init__(self, address: str, allow_remote: bool = False) -> None:
        self.connected = False
        self.asked_at: float | None = None
        self._replies: list[Samples] = []
        self._number = 0
        self._open: list[bytes] = []
        self._empty = 0
        self._ask_again_at = 0.0
        super().__init__(zmq.DEALER, address, False, MAX_REPLY_BYTES, allow_remote)

    def ask(self, count: int) -> bool:
        """Ask for samples; False if the other side is not there, still owes a reply, or has just replied with none.

        GNU Radio's ``rep_sink`` replies with none when its buffer is empty, and fills it only when nobody has asked.
        """
        if not self.connected or self.asked_at is not None or time.monotonic() < self._ask_again_at:
            return False
        try:
            self._number += 1
            number = self._number.to_bytes(8, "big")
            self.socket.send_multipart([number, b"", encode_request(count)], zmq.NOBLOCK)
        except zmq.Again:
            return False
        self._open = [*self._open[-_MAX_OPEN:], number]
        self.asked_at = time.monotonic()
        return True

    def take(self) -> list[Samples]:
        """Samples of all replies that have come, in order."""
        replies, self._replies = self._replies, []
        return replies

    @property
    def longest_wait_s(self) -> float:
        """See `Port.longest_wait_s`."""
        return _PAUSE_S if self._empty and self.connected else _LONGEST_POLL_S

    @property
    def ended(self) -> bool:
        """See the class."""
        return self._empty >= ENDING_REPLIES or (self._empty > 0 and not self.connected)

    def _read_message(self) -> None:
        parts = self._read_parts()
        if len(parts) != 3 or parts[1] or parts[0] not in self._open:
            self.malformed += 1
            return
        # A request that waited for a side to come back is answered after it was given up: its samples are as good.
        if parts[0] == self._open[-1]:
            self.asked_at = None
        self._open.remove(parts[0])
        try:
            samples = decode_reply(parts[2])
        except FormatError:
            self.malformed += 1
            return
        self._empty = 0 if samples.size else self._empty + 1
        self._ask_again_at = 0.0 if samples.size else time.monotonic() + _PAUSE_S
        if samples.size:
            self._replies.append(samples)

    def _connected(self) -> None:
        self.connected = True
        self._empty = 0

    def _disconnected(self, descriptor: int) -> None:
        self._read_messages()  # a reply that came before the end counts
        self.connected = False
        self.asked_at = None


class AnsweringPort(Port):
    """Binds an address and answers one client that asks for samples.

    The first that asks is the client until its connection ends; others get empty replies, a few, and are counted as
    `refused`. `wanted`: how many samples the client asks for, 0 when no request is open. `served`: there is a client.
    `lost`: clients whose connection has ended. `malformed` counts messages that are no requests.

    Raises ConfigurationError for a wrong address, LinkError if it is taken.
    """

    def __init__(self, address: str, allow_remote: bool = False) -> None:
        self.wanted = 0
        self.refused = 0
        self.lost = 0
        self._told: dict[bytes, int] = {}
        self._client: bytes | None = None
        self._descriptor = -1
        self._envelope: list[bytes] = []
        super().__init__(zmq.ROUTER, address, True, MAX_REQUEST_BYTES, allow_remote)

    @property
    def served(self) -> bool:
        """Whether there is a client."""
        return self._client is not None

    def reply(self, samples: Samples) -> bool:
        """Answer the open request; False if the client has gone, and the samples did not leave."""
        envelope, self._envelope, self.wanted = self._envelope, [], 0
        if self._client is None or not envelope or not self._send(envelope, encode_reply(samples)):
            self._forget()
            return False
        return True

    def finish(self) -> None:
        """Tell the client, if it is waiting, that the stream has ended."""
        if self.wanted:
            self._send(self._envelope, b"")
            self._envelope, self.wanted = [], 0

    def _send(self, envelope: list[bytes], payload: bytes) -> bool:
        try:
            self.socket.send_multipart([*envelope, payload], zmq.NOBLOCK)
        except zmq.ZMQError:  # no such client any more
            return False
        return True

    def _read_message(self) -> None:
        # The frame tells by which connection it came; the monitor tells which one ends.
        first = self.socket.recv(zmq.NOBLOCK, copy=False)
        descriptor, identity = int(first.get(zmq.SRCFD)), bytes(first.buffer)
        parts = self._read_parts() if self.socket.get(zmq.RCVMORE) else []
        try:
            split = parts.index(b"") + 1
            if split > _MAX_ENVELOPE or len(parts) != split + 1:
                raise ValueError
            wanted = decode_request(parts[split])
        except (ValueError, FormatError):  # FormatError is a ValueError, and meant as such
            self.malformed += 1
            return
        envelope = [identity, *parts[:split]]
        if self._client is not None and identity != self._client:
            self.refused += 1
            self._refuse(envelope)
            return
        self._client, self._descriptor = identity, descriptor
        self._envelope, self.wanted = envelope, wanted

    def _refuse(self, envelope: list[bytes]) -> None:
        """Say often enough that there is nothing here, and no more: GNU Radio asks again and again."""
        identity = envelope[0]
        told = self._told.pop(identity, 0)
        if told < ENDING_REPLIES:
            self._send(envelope, b"")
        self._told[identity] = told + 1
        if len(self._told) > _REMEMBERED:
            del self._told[next(iter(self._told))]

    def _disconnected(self, descriptor: int) -> None:
        if self._client is not None and descriptor == self._descriptor:
            self._forget()

    def _forget(self) -> None:
        if self._client is not None:
            self.lost += 1
        self._client, self._descriptor, self._envelope, self.wanted = None, -1, [], 0
