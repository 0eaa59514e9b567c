"""The two ends of the connection between the application and a flowgraph: a data and a control channel.

The application binds four addresses, any free ones, starts the flowgraph with them, and waits for its answer::

    with ApplicationEnd() as link:
        process = subprocess.Popen(["/usr/bin/python3", "flowgraph.py", *link.addresses.as_arguments()])
        link.wait_ready(pid=process.pid)
        link.send(Pdu({"frame": 1}, llrs))
        answer = link.receive()

New addresses every time mean that no flowgraph of an earlier run can be connected to them.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import astuple, dataclass
from typing import Any, Final, Self

import zmq

from semcom_phy.errors import ConfigurationError, LinkError
from semcom_phy.zmq.control import LEASE_S, Responder
from semcom_phy.zmq.pdu import Pdu
from semcom_phy.zmq.pmt import PmtValue, UInt64
from semcom_phy.zmq.sockets import DEFAULT_OPTIONS, PduReceiver, PduSender, SocketOptions, checked_session, new_session
from semcom_phy.zmq.waiting import Deadline, WakeSignal
from semcom_phy.zmq.watchdog import PING_INTERVAL_S, SILENCE_S, Peer, Watchdog

#: PDUs that `FlowgraphEnd.post` takes before it makes its callers wait.
POSTED: Final = 64


@dataclass(frozen=True)
class LinkAddresses:
    """The four endpoints, each named by the direction in which PDUs travel."""

    data_to_flowgraph: str = "tcp://127.0.0.1:*"
    data_from_flowgraph: str = "tcp://127.0.0.1:*"
    control_to_flowgraph: str = "tcp://127.0.0.1:*"
    control_from_flowgraph: str = "tcp://127.0.0.1:*"

    def as_arguments(self) -> list[str]:
        """Return them in the order of the fields, for a command line."""
        return list(astuple(self))

    @classmethod
    def from_arguments(cls, arguments: Sequence[str]) -> LinkAddresses:
        """Read what `as_arguments` gave; raises ConfigurationError for another number of them."""
        if len(arguments) != 4:
            raise ConfigurationError(f"four addresses make a link, not {len(arguments)}")
        return cls(*arguments)


class ApplicationEnd:
    """The application's end: binds the addresses, sends and receives PDUs, watches the flowgraph.

    `session`: an id that no other run has; None makes one. Use it as a context manager, or call `close`.

    Raises ConfigurationError for wrong arguments, LinkError if an address is taken.
    """

    def __init__(
        self,
        addresses: LinkAddresses | None = None,
        *,
        session: str | None = None,
        options: SocketOptions = DEFAULT_OPTIONS,
    ) -> None:
        wanted = addresses or LinkAddresses()
        self.session = new_session() if session is None else checked_session(session)
        self.watchdog: Watchdog | None = None
        with ExitStack() as opened:
            self._sender = opened.enter_context(
                PduSender(wanted.data_to_flowgraph, bind=True, session=self.session, options=options)
            )
            self._receiver = opened.enter_context(
                PduReceiver(wanted.data_from_flowgraph, bind=True, session=self.session, options=options)
            )
            self._control_sender = opened.enter_context(
                PduSender(wanted.control_to_flowgraph, bind=True, session=self.session, options=options)
            )
            self._control_receiver = opened.enter_context(
                PduReceiver(wanted.control_from_flowgraph, bind=True, options=options)
            )
            self._opened = opened.pop_all()
        #: Where the flowgraph connects to.
        self.addresses = LinkAddresses(
            self._sender.address, self._receiver.address, self._control_sender.address, self._control_receiver.address
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: Any) -> None:
        if self.watchdog is not None:
            self.watchdog.close()
        self._opened.__exit__(*exception)

    def close(self) -> None:
        """Say bye to the flowgraph and free the addresses."""
        self.__exit__(None, None, None)

    def wait_ready(
        self,
        timeout_s: float = 10.0,
        *,
        pid: int | None = None,
        interval_s: float = PING_INTERVAL_S,
        silence_s: float = SILENCE_S,
        accept_echo: bool = False,
    ) -> Peer:
        """Wait until the flowgraph answers and watch it from now on; the arguments are those of `Watchdog`.

        Calling it again only waits again: the arguments of the first call hold.

        Raises LinkError if it does not answer in time, has ended, or belongs to another session.
        """
        if self.watchdog is None:
            self.watchdog = Watchdog(
                self._control_sender,
                self._control_receiver,
                pid=pid,
                interval_s=interval_s,
                silence_s=silence_s,
                accept_echo=accept_echo,
            )
            self.watchdog.start()
            self._sender.attend_while_waiting(self.watchdog)
            # While it waits for an answer, a second reader may come and take the question.
            self._receiver.attend_while_waiting(self.watchdog, self._sender)
        return self.watchdog.wait_ready(timeout_s)

    @property
    def sender(self) -> PduSender:
        """The socket of the data to the flowgraph."""
        return self._sender

    @property
    def receiver(self) -> PduReceiver:
        """The socket of the data from the flowgraph."""
        return self._receiver

    def send(self, pdu: Pdu, timeout_s: float | None = None) -> int:
        """Send `pdu` and return its number; raises LinkError if the flowgraph fails, or takes nothing in time."""
        return self._sender.send(pdu, timeout_s)

    def receive(self, timeout_s: float | None = None) -> Pdu:
        """Return the next PDU from the flowgraph; raises LinkError if it fails, or none comes in time."""
        return self._receiver.receive(timeout_s)


Handler = Callable[[Pdu], Iterable[Pdu] | None]


class FlowgraphEnd:
    """The flowgraph's end: one thread that runs `serve` does all the ZeroMQ work and answers the watchdog.

    `addresses`: those of the application, which bound them. `session`: the only one to take part in; None takes
    the one that says hello. `capabilities` go with the welcome. `failure`: asked with every ping, in the thread of
    `serve`; a text, of 1024 bytes at most, tells the application that the flowgraph has failed, and why. The pongs
    count the data: ``received``, ``sent``, ``lost``, ``malformed``, ``foreign``, ``waiting`` to be sent, and
    ``discarded``: what waited when another session began. `keep`: PDUs of data that come keep their messages, see
    `decode_pdu`; those that are sent need not be serialized anew where they still have theirs.

    Raises ConfigurationError for wrong arguments.
    """

    def __init__(
        self,
        addresses: LinkAddresses,
        *,
        session: str | None = None,
        capabilities: Mapping[str, PmtValue] | None = None,
        failure: Callable[[], str | None] = lambda: None,
        options: SocketOptions = DEFAULT_OPTIONS,
        lease_s: float = LEASE_S,
        keep: bool = False,
    ) -> None:
        # Until a session begins, one that nobody has: nothing is taken from a stranger.
        first = new_session() if session is None else checked_session(session)
        self._queue: deque[Pdu] = deque()
        self._room = threading.Condition()
        self._wake = WakeSignal()
        self._discarded = 0
        self._stopped = False
        with ExitStack() as opened:
            self._receiver = opened.enter_context(
                PduReceiver(addresses.data_to_flowgraph, bind=False, session=first, options=options, keep=keep)
            )
            self._sender = opened.enter_context(
                PduSender(addresses.data_from_flowgraph, bind=False, session=first, options=options)
            )
            control_receiver = opened.enter_context(
                PduReceiver(addresses.control_to_flowgraph, bind=False, options=options)
            )
            control_sender = opened.enter_context(
                PduSender(addresses.control_from_flowgraph, bind=False, session=first, options=options)
            )
            self._opened = opened.pop_all()
        self.responder = Responder(
            control_receiver,
            control_sender,
            session=session,
            capabilities=capabilities,
            counters=self._counters,
            failure=failure,
            on_session=self._start_session,
            lease_s=lease_s,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.stop()
        self._opened.__exit__(*exception)
        self._wake.close()

    def close(self) -> None:
        """Close the sockets, after `serve` has returned."""
        self.__exit__(None, None, None)

    def stop(self) -> None:
        """Make `serve` return, and `post` fail. Any thread may call it."""
        with self._room:
            self._stopped = True
            self._room.notify_all()
        self._wake.set()

    def post(self, pdu: Pdu, timeout_s: float = 5.0) -> None:
        """Send `pdu` to the application; any thread but that of `serve` may call it.

        Sends at once where it can: to wake another thread for it costs more than the sending, where many threads want
        Python's lock. What the application has no room for is left to `serve`; waits while 64 are left already. Raises
        LinkError if the application does not read in time, or the end is stopped.
        """
        deadline = Deadline(timeout_s)
        with self._room:
            while len(self._queue) >= POSTED and not self._stopped:
                if not self._room.wait(deadline.remaining) and not deadline.remaining:
                    raise LinkError(f"the application has not read for {timeout_s:g} s; see whether it hangs")
            if self._stopped:
                raise LinkError("the flowgraph's end of the link is stopped")
            if not self._queue and self._in_session and self._sender.try_send(pdu):
                return
            self._queue.append(pdu)
        self._wake.set()

    def serve(self, handler: Handler) -> None:
        """Do the work until `stop`: give `handler` the PDUs that come, send those that it returns and `post` left.

        `handler` runs in this thread, so that answers to the watchdog wait for it: it should hand over long work.
        While the application does not read, nothing is read from it either, except for its control messages.
        """
        # Each call into ZeroMQ gives Python's lock away and has to wait for it afterwards: only what is ready is asked.
        poller = zmq.Poller()
        poller.register(self.responder.pollable, zmq.POLLIN)
        poller.register(self._wake.fileno(), zmq.POLLIN)
        while True:
            blocked = self._send_waiting()
            with self._room:
                if self._stopped:
                    return
                full = len(self._queue) >= POSTED
            poller.register(self._receiver.pollable, 0 if full else zmq.POLLIN)
            # Only while something waits to be sent: then nobody but this thread sends.
            poller.register(self._sender.writable, zmq.POLLOUT if blocked else 0)
            ready = dict(poller.poll())
            if self._wake.fileno() in ready:
                self._wake.clear()
            if self.responder.pollable in ready:
                self.responder.attend()
            if self._receiver.pollable in ready:
                self._handle(handler)

    def _handle(self, handler: Handler) -> None:
        """Give the handler the PDU that has come, unless it was none for us."""
        pdu = self._receiver.receive_nowait()
        answers = None if pdu is None else handler(pdu)
        if answers is not None:
            with self._room:
                self._queue.extend(answers)

    def _send_waiting(self) -> bool:
        """Send what the application has room for; True if some of it has to wait."""
        with self._room:
            while self._queue and self._in_session:
                if not self._sender.try_send(self._queue[0]):
                    return True
                self._queue.popleft()
                self._room.notify()
        return False

    @property
    def _in_session(self) -> bool:
        """Whether somebody is there to be sent to; between two sessions the socket still has the earlier one."""
        return self.responder.session is not None and self.responder.session == self._sender.session

    def _start_session(self, session: str) -> None:
        self._receiver.start_session(session)
        with self._room:
            self._sender.start_session(session)
            self._discarded += len(self._queue)  # answers to somebody else
            self._queue.clear()
            self._room.notify_all()

    def _counters(self) -> dict[str, PmtValue]:
        received, sent = self._receiver.stats, self._sender.stats
        return {
            "received": UInt64(received.received),
            "sent": UInt64(sent.sent),
            "lost": UInt64(received.lost),
            "malformed": UInt64(received.malformed),
            "foreign": UInt64(received.foreign),
            "waiting": UInt64(len(self._queue)),
            "discarded": UInt64(self._discarded),
        }
