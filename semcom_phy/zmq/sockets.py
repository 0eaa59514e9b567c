"""PDU sockets over ZeroMQ PUSH and PULL, for processes with and without GNU Radio.

A sender numbers its PDUs and writes the number and its session into their metadata; a receiver checks both. A
sender whose peer does not read waits, and gives up with an error: PDUs are never dropped to make room.

Sockets belong to one thread at a time.
"""

from __future__ import annotations

import re
import secrets
import tempfile
import time
from dataclasses import dataclass
from typing import Any, Final, Self

import zmq

from semcom_phy.errors import ConfigurationError, FormatError, LinkError
from semcom_phy.zmq.addresses import check_ipc_free, checked_address
from semcom_phy.zmq.monitor import PeerMonitor
from semcom_phy.zmq.pdu import Pdu, decode_pdu, encode_pdu, with_entries
from semcom_phy.zmq.pmt import DEFAULT_LIMITS, PmtLimits, PmtValue, UInt64
from semcom_phy.zmq.sequence import SequenceCounter
from semcom_phy.zmq.waiting import Attendant, Deadline, checked_timeout

#: Keys of the metadata that a sender sets: the PDU's number, and the session that it belongs to.
SEQUENCE_KEY: Final = "seq"
SESSION_KEY: Final = "session"
#: PDUs that may wait in each of ZeroMQ's queues.
HIGH_WATER_MARK: Final = 64
# A Ctrl-C that comes just before a poll begins does not end it.
_LONGEST_POLL_MS: Final = 250
_SESSION = re.compile(r"[0-9A-Za-z_-]{1,64}")


def new_session() -> str:
    """Return a session id that no other run has: 16 hexadecimal digits."""
    return secrets.token_hex(8)


def checked_session(session: str) -> str:
    """Return `session`; raises ConfigurationError unless it is 1 to 64 letters, digits, ``-`` and ``_``."""
    if not _SESSION.fullmatch(session):
        raise ConfigurationError(f"a session id is 1 to 64 letters, digits, '-' and '_', not {session!r}")
    return session


@dataclass(frozen=True)
class SocketOptions:
    """What senders and receivers have in common.

    `timeout_s`: how long a call waits unless it says otherwise. `high_water_mark`: PDUs that may wait in the
    queue of the socket; the other side and the operating system hold more. `linger_s`: how long `close` waits
    for PDUs to leave. `allow_remote`: see `checked_address`.
    """

    timeout_s: float = 5.0
    high_water_mark: int = HIGH_WATER_MARK
    linger_s: float = 1.0
    limits: PmtLimits = DEFAULT_LIMITS
    allow_remote: bool = False

    def __post_init__(self) -> None:
        checked_timeout("timeout_s", self.timeout_s)
        checked_timeout("linger_s", self.linger_s)
        if not 1 <= self.high_water_mark <= 100_000:  # for ZeroMQ, 0 is no limit at all
            raise ConfigurationError(f"high_water_mark is from 1 to 100000, not {self.high_water_mark}")


DEFAULT_OPTIONS: Final = SocketOptions()


@dataclass(frozen=True)
class SenderStats:
    """`sent` PDUs and `sent_bytes` went to ZeroMQ; `timeouts` were not sent for want of a reader.

    `blocked_s`: time waited for readers. `peers`, `disconnects`, `handshake_failures`: see `PeerMonitor`.
    """

    sent: int
    sent_bytes: int
    timeouts: int
    blocked_s: float
    peers: int
    disconnects: int
    handshake_failures: int


@dataclass(frozen=True)
class ReceiverStats:
    """`received` PDUs were delivered. Not delivered: `malformed`, `foreign` and `duplicates`.

    `foreign`: of another session, or of none, where one was asked for; `foreign_session` is the latest of them.
    `unnumbered`: delivered without a number. `lost`, `duplicates`, `reordered`: see `SequenceCounter`.
    `peers`, `disconnects`, `handshake_failures`: see `PeerMonitor`.
    """

    received: int
    received_bytes: int
    malformed: int
    foreign: int
    foreign_session: str | None
    unnumbered: int
    lost: int
    duplicates: int
    reordered: int
    peers: int
    disconnects: int
    handshake_failures: int


class _PduSocket:
    """A ZeroMQ socket with a context of its own, so that closing it waits until its port is free again."""

    def __init__(self, kind: int, address: str, bind: bool, options: SocketOptions) -> None:
        checked = checked_address(address, bind=bind, allow_remote=options.allow_remote)
        self.bound = bind
        self.options = options
        self.closed = False
        self._attendants: tuple[Attendant, ...] = ()
        endpoint = checked.endpoint
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        if endpoint == "ipc://*":  # a folder that only this user may enter
            self._folder = tempfile.TemporaryDirectory(prefix="semcom-")
            endpoint = f"ipc://{self._folder.name}/socket"
        elif bind:
            check_ipc_free(endpoint)
        self._context: zmq.Context[Any] = zmq.Context()
        self._socket: zmq.Socket[Any] = self._context.socket(kind)
        self._socket.linger = round(options.linger_s * 1000)
        self._socket.ipv6 = checked.ipv6
        self._socket.maxmsgsize = options.limits.message_bytes if kind == zmq.PULL else 1024
        self._socket.rcvhwm = options.high_water_mark if kind == zmq.PULL else 1
        self._socket.sndhwm = options.high_water_mark
        # No queue for a peer that is not there. For senders only: a receiver would throw away what has come but was not
        # read yet when the other side goes.
        self._socket.immediate = kind == zmq.PUSH
        # Whoever sends anything but ZMTP's first byte would be taken for a peer of its first version, which has no
        # handshake, and so be given every second PDU. In a domain of authentication only version 3 may talk; nobody is
        # asked who they are.
        self._socket.setsockopt(zmq.ZAP_DOMAIN, b"semcom")
        self._monitor = PeerMonitor(self._context, self._socket)
        try:
            if bind:
                self._socket.bind(endpoint)
            else:
                self._socket.connect(endpoint)
        except zmq.ZMQError as error:
            self.close(linger_s=0)
            reason = (error.strerror or "unknown error").lower()
            raise LinkError(f"cannot use {address}: {reason}; give a free address of this machine") from error
        self.attend_while_waiting()
        #: Where the other side connects to: `address` with the port or path that was chosen.
        self.address = self._socket.get_string(zmq.LAST_ENDPOINT) if bind else endpoint

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(linger_s=None if kind is None else 0)

    def close(self, linger_s: float | None = None) -> None:
        """Close the socket, and return when its port is free again; `linger_s` overrides that of the options."""
        if self.closed:
            return
        self.closed = True
        self._monitor.close()
        self._socket.close(None if linger_s is None else round(checked_timeout("linger_s", linger_s) * 1000))
        self._context.term()
        if self._folder is not None:
            self._folder.cleanup()

    def attend_while_waiting(self, *attendants: Attendant) -> None:
        """Look after `attendants` before each call and while it waits; what they raise ends the call."""
        self._attendants = attendants
        self._pollers = {event: self._poller(event) for event in (zmq.POLLIN, zmq.POLLOUT)}

    def _poller(self, event: zmq.PollEvent) -> zmq.Poller:
        """For the socket, and for whatever else may happen meanwhile."""
        poller = zmq.Poller()
        poller.register(self._socket, event)
        poller.register(self._monitor.socket, zmq.POLLIN)
        for attendant in self._attendants:
            poller.register(attendant.pollable, zmq.POLLIN)
        return poller

    def _open_socket(self) -> zmq.Socket[Any]:
        if self.closed:
            raise LinkError(f"the PDU socket at {self.address} is closed; open a new one")
        return self._socket

    def _look_after(self) -> None:
        for attendant in self._attendants:
            attendant.attend()

    def _wait(self, event: zmq.PollEvent, deadline: Deadline) -> bool:
        """Wait for the socket to be ready, or for anything else to happen; whether the socket is."""
        # Asking sockets what has happened costs more than to be told by the poll.
        ready = dict(self._pollers[event].poll(min(deadline.remaining_ms, _LONGEST_POLL_MS)))
        for attendant in self._attendants:
            if attendant.pollable in ready:
                attendant.attend()
        if self._monitor.socket in ready:
            self._monitor.update()
        return self._socket in ready


class PduSender(_PduSocket):
    """Sends PDUs through a PUSH socket, to one reader.

    `address`: see `checked_address`; `bind`: whether this side binds it or connects to it. `session`: goes with
    every PDU, together with a number from 0 on; any under these keys before is replaced.

    PUSH deals out its messages among all that are connected: a forgotten flowgraph that still reads here gets
    every second one. So a second reader is an error, as soon as it is there (a socket that connects has one peer).

    Raises ConfigurationError for a wrong address or session, LinkError if the address is taken.
    """

    def __init__(
        self, address: str, *, bind: bool, session: str | None = None, options: SocketOptions = DEFAULT_OPTIONS
    ) -> None:
        self.session = checked_session(session) if session is not None else new_session()
        self._next = 0
        self._sent = 0
        self._sent_bytes = 0
        self._timeouts = 0
        self._blocked_s = 0.0
        super().__init__(zmq.PUSH, address, bind, options)

    def start_session(self, session: str) -> None:
        """Send for another session from now on, and number from 0 again."""
        self.session = checked_session(session)
        self._next = 0

    @property
    def stats(self) -> SenderStats:
        """What has happened so far."""
        monitor = self._monitor
        if not self.closed:
            monitor.update()
        return SenderStats(
            self._sent,
            self._sent_bytes,
            self._timeouts,
            self._blocked_s,
            monitor.peers,
            monitor.disconnects,
            monitor.handshake_failures,
        )

    @property
    def pollable(self) -> Any:
        """Readable when connections come or go: a sender is an `Attendant` of the receiver that waits for answers."""
        return self._monitor.socket

    @property
    def writable(self) -> Any:
        """Ready for writing when the reader has room: to be polled together with other things."""
        return self._socket

    def attend(self) -> None:
        """Raise LinkError if a second reader is connected."""
        self._open_socket()
        if not self.bound:
            return
        self._monitor.update()
        if self._monitor.peers > 1:
            raise LinkError(
                f"{self._monitor.peers} readers are connected to {self.address}, and each would get a part of the "
                "messages; stop the flowgraph that was left running"
            )

    def send(self, pdu: Pdu, timeout_s: float | None = None) -> int:
        """Send `pdu` and return its number; waits while the reader's queues are full.

        Raises LinkError when the reader has not made room in time or a second one is there, ConfigurationError for
        metadata that PMT cannot express. After an error the PDU is not sent, and its number is used for the next.
        """
        if not self._try(pdu, Deadline(self.options.timeout_s if timeout_s is None else timeout_s)):
            self._timeouts += 1
            raise LinkError(self._why_blocked())
        return self._next - 1

    def try_send(self, pdu: Pdu) -> bool:
        """Send `pdu` if the reader has room for it, and say whether it had. Raises as `send` does otherwise."""
        return self._try(pdu, None)

    def _try(self, pdu: Pdu, deadline: Deadline | None) -> bool:
        socket = self._open_socket()
        self._look_after()
        number = self._next
        message = self._stamped(pdu, number)
        while True:
            self.attend()
            # Counted before it is sent: should Ctrl-C come during the sending, the next PDU must not have the same
            # number, or it might be taken for a duplicate. At worst a number is left out.
            self._next = number + 1
            try:
                socket.send(message, zmq.NOBLOCK)  # not copy=False: pyzmq's frames can swallow a Ctrl-C
            except zmq.Again:
                self._next = number
            else:
                self._sent += 1
                self._sent_bytes += len(message)
                return True
            if deadline is None or not deadline.remaining:
                return False
            began = time.monotonic()
            try:
                self._wait(zmq.POLLOUT, deadline)
            finally:
                self._blocked_s += time.monotonic() - began

    def _stamped(self, pdu: Pdu, number: int) -> bytes:
        """The message: `pdu` with session and number in its metadata."""
        limits = self.options.limits
        stamp: dict[str, PmtValue] = {SESSION_KEY: self.session, SEQUENCE_KEY: UInt64(number)}
        if pdu.metadata.get(SESSION_KEY) == self.session:
            del stamp[SESSION_KEY]
        if pdu.serialized is not None and not stamp.keys() & pdu.metadata.keys():
            message = with_entries(pdu.serialized, stamp)
            if len(message) <= limits.message_bytes:
                return message
        return encode_pdu(Pdu({**pdu.metadata, **stamp}, pdu.vector), limits)

    def _why_blocked(self) -> str:
        if not self._monitor.peers:
            return f"nobody reads from {self.address}: no peer is connected; start the flowgraph or check its address"
        return (
            f"the peer at {self.address} is connected but does not read: its queues and {self.options.high_water_mark} "
            "PDUs of this side are full; see whether the flowgraph hangs"
        )


class PduReceiver(_PduSocket):
    """Receives PDUs through a PULL socket.

    `address`, `bind`: as for `PduSender`. With a `session`, PDUs of other sessions, and PDUs without one, are
    counted and not delivered; numbers are checked. Without, everything that is a PDU is delivered, and nothing is
    said about loss. What is no PDU is counted and survived. `keep`: see `decode_pdu`.

    Raises ConfigurationError for a wrong address or session, LinkError if the address is taken.
    """

    def __init__(
        self,
        address: str,
        *,
        bind: bool,
        session: str | None = None,
        options: SocketOptions = DEFAULT_OPTIONS,
        keep: bool = False,
    ) -> None:
        self.session = checked_session(session) if session is not None else None
        self._keep = keep
        self._sequence = SequenceCounter()
        self._received = 0
        self._received_bytes = 0
        self._malformed = 0
        self._foreign = 0
        self._foreign_session: str | None = None
        self._unnumbered = 0
        super().__init__(zmq.PULL, address, bind, options)

    def start_session(self, session: str) -> None:
        """Accept another session from now on. Its numbers begin with 0, and those counters too."""
        self.session = checked_session(session)
        self._sequence = SequenceCounter()

    @property
    def stats(self) -> ReceiverStats:
        """What has happened so far."""
        monitor = self._monitor
        if not self.closed:
            monitor.update()
        return ReceiverStats(
            self._received,
            self._received_bytes,
            self._malformed,
            self._foreign,
            self._foreign_session,
            self._unnumbered,
            self._sequence.lost,
            self._sequence.duplicates,
            self._sequence.reordered,
            monitor.peers,
            monitor.disconnects,
            monitor.handshake_failures,
        )

    @property
    def pollable(self) -> Any:
        """Readable when a message waits: to be polled together with other things."""
        return self._socket

    def receive(self, timeout_s: float | None = None) -> Pdu:
        """Return the next PDU, with the sender's number and session in its metadata.

        Raises LinkError when none came in time; it says what came instead.
        """
        deadline = Deadline(self.options.timeout_s if timeout_s is None else timeout_s)
        waited = self.options.timeout_s if timeout_s is None else timeout_s
        self._open_socket()
        self._look_after()
        while True:
            pdu = self._wait(zmq.POLLIN, deadline) and self._next_message()
            if isinstance(pdu, Pdu):
                return pdu
            if not deadline.remaining:  # a flood of junk never makes the socket wait
                raise LinkError(self._why_nothing(waited))

    def receive_nowait(self) -> Pdu | None:
        """Return the next PDU if there is one; passes over at most 100 messages that are none."""
        self._open_socket()
        self._look_after()
        for _ in range(100):
            pdu = self._next_message()
            if isinstance(pdu, Pdu):
                return pdu
            if not pdu:
                break
        return None

    def _next_message(self) -> Pdu | bool:
        """Take one message: a PDU, True for one that was not to be delivered, False if there was none."""
        try:
            message = self._socket.recv(zmq.NOBLOCK)
        except zmq.Again:
            return False
        if self._socket.get(zmq.RCVMORE):
            while self._socket.get(zmq.RCVMORE):
                self._socket.recv(zmq.NOBLOCK)
            self._malformed += 1
            return True
        try:
            pdu = decode_pdu(message, self.options.limits, keep=self._keep)
            accepted = self._accept(pdu)
        except FormatError:
            self._malformed += 1
            return True
        if not accepted:
            return True
        self._received += 1
        self._received_bytes += len(message)
        return pdu

    def _accept(self, pdu: Pdu) -> bool:
        """Check session and number; False if the PDU is not to be delivered."""
        if self.session is None:
            return True
        session = pdu.metadata.get(SESSION_KEY)
        if session != self.session:
            self._foreign += 1
            self._foreign_session = session[:64] if isinstance(session, str) else None
            return False
        number = pdu.metadata.get(SEQUENCE_KEY)
        if number is None:
            self._unnumbered += 1
            return True
        if isinstance(number, bool) or not isinstance(number, int):
            raise FormatError("the number of a PDU is an integer")
        return self._sequence.accept(number)

    def _why_nothing(self, waited: float) -> str:
        stats = self.stats
        text = f"no PDU came at {self.address} within {waited:g} s"
        if stats.foreign:
            owner = f"of session {stats.foreign_session!r}" if stats.foreign_session else "without a session"
            return f"{text}, but {stats.foreign} {owner}; stop the flowgraph that was left running"
        if not stats.peers:
            return f"{text}: no peer is connected; start the flowgraph or check its address"
        if stats.malformed:
            return f"{text}, but {stats.malformed} messages that are no PDUs; see what is connected there"
        return f"{text} from the peer that is connected; see whether the flowgraph hangs"
