"""A watchdog over a flowgraph: it notices within two seconds that it, or a part of it, is dead, and says which."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Any, Final, Self

import zmq

from semcom_phy.errors import ConfigurationError, FormatError, LinkError, SemcomError
from semcom_phy.zmq.control import FAILURE, PROTOCOL_VERSION, ControlMessage, Kind, parse_control
from semcom_phy.zmq.pmt import PmtValue
from semcom_phy.zmq.processes import ProcessWatch
from semcom_phy.zmq.sockets import PduReceiver, PduSender
from semcom_phy.zmq.waiting import Deadline, WakeSignal, checked_timeout

#: Together less than the two seconds within which a failure is noticed.
PING_INTERVAL_S: Final = 0.25
SILENCE_S: Final = 1.5
_PINGS_REMEMBERED: Final = 4096
#: Characters of what a flowgraph says of its own failure.
_FAILURE_LENGTH: Final = 320


class Verdict(Enum):
    """What the watchdog thinks of the flowgraph."""

    WAITING = "it has not answered yet"
    ALIVE = "it answers"
    PROCESS_ENDED = "its process has ended"
    NOT_ANSWERING = "its ZeroMQ thread no longer answers"
    FAILED = "it answers, but has failed"
    WRONG_PEER = "another flowgraph is connected"
    BROKEN = "the watchdog itself has failed"
    CLOSED = "the watchdog is closed"


@dataclass(frozen=True)
class Peer:
    """Who answered the hello: its process id if known, its own id, the protocol it speaks, what it can do.

    An `echo` only sent the hello back as it was: a plain GNU Radio path of message blocks.
    """

    process: int | None
    instance: str
    version: int
    capabilities: Mapping[str, PmtValue]
    echo: bool = False


@dataclass(frozen=True)
class WatchdogStats:
    """`pings` sent, `pongs` received; `round_trip_s` of the latest, which found `counters` at the flowgraph.

    `foreign`: messages of other sessions; `malformed`: PDUs that were no control messages.
    """

    pings: int
    pongs: int
    round_trip_s: float | None
    counters: Mapping[str, PmtValue]
    foreign: int
    malformed: int


class Watchdog:
    """Says hello to a flowgraph, then asks it again and again whether it is alive, in a thread of its own.

    `sender` and `receiver`: the control channel's sockets, the receiver without a session. The watchdog owns them
    from its making on and closes them. `pid`: the flowgraph's process, of whose end the system tells at once;
    without it, a closed connection is taken for its end. `interval_s`: between two pings. `silence_s`: how long a
    ping may be unanswered. `accept_echo`: take a hello or a ping that comes back as it was for an answer.

    A watchdog is an `Attendant`: sockets that wait under its eye raise its error at once. After a failure it stays
    failed. Use it as a context manager, or call `start` and `close`.

    Raises ConfigurationError for times out of range, or a process id that is none.
    """

    def __init__(
        self,
        sender: PduSender,
        receiver: PduReceiver,
        *,
        pid: int | None = None,
        interval_s: float = PING_INTERVAL_S,
        silence_s: float = SILENCE_S,
        accept_echo: bool = False,
    ) -> None:
        if not 0 < checked_timeout("interval_s", interval_s) <= checked_timeout("silence_s", silence_s):
            raise ConfigurationError(f"interval_s is above 0 and at most silence_s, not {interval_s} and {silence_s}")
        if receiver.session is not None:
            raise ConfigurationError("the watchdog checks sessions itself: give it a receiver without one")
        self.session = sender.session
        self._sender = sender
        self._receiver = receiver
        self._process = None if pid is None else ProcessWatch(pid)
        self._interval_s = interval_s
        self._silence_s = silence_s
        self._accept_echo = accept_echo
        self._changed = threading.Condition(threading.RLock())
        self._alarm = WakeSignal()  # for those who wait under this eye
        self._closing = WakeSignal()  # for the thread
        self._verdict = Verdict.WAITING
        self._failure: str | None = None
        self._condemned: str | None = None
        self._peer: Peer | None = None
        self._number = 0
        self._asked = False
        self._unanswered: deque[tuple[int, float]] = deque(maxlen=_PINGS_REMEMBERED)
        self._pongs = 0
        self._round_trip_s: float | None = None
        self._counters: Mapping[str, PmtValue] = {}
        self._foreign = 0
        self._foreign_text = ""
        self._malformed = 0
        self._thread = threading.Thread(target=self._run, name="flowgraph watchdog", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start to watch."""
        self._thread.start()

    def close(self) -> None:
        """Say bye, end the thread and close the sockets. Closing again changes nothing."""
        with self._changed:
            if self._verdict is Verdict.CLOSED:
                return
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join()
        with self._changed:
            self._verdict = Verdict.CLOSED
            self._failure = self._failure or "the watchdog is closed; make a new one"
            self._changed.notify_all()
        for socket in (self._sender, self._receiver):
            socket.close(linger_s=0.1)
        if self._process is not None:
            self._process.close()
        self._alarm.close()
        self._closing.close()

    @property
    def verdict(self) -> Verdict:
        """What is thought of the flowgraph now."""
        with self._changed:
            return self._verdict

    @property
    def condemned(self) -> str | None:
        """What the flowgraph has said of its failure, or `condemn` was told."""
        with self._changed:
            return self._condemned

    @property
    def stats(self) -> WatchdogStats:
        """What has happened so far."""
        with self._changed:
            return WatchdogStats(
                self._number, self._pongs, self._round_trip_s, self._counters, self._foreign, self._malformed
            )

    @property
    def pollable(self) -> Any:
        """Readable after a failure."""
        return self._alarm.fileno()

    def attend(self) -> None:
        """Raise LinkError if the flowgraph has failed; it says what has."""
        with self._changed:
            if self._failure is not None:
                raise LinkError(self._failure)

    def condemn(self, text: str) -> None:
        """Take the flowgraph for failed, for a reason that somebody else has found. Any thread may call it."""
        with self._changed:
            self._condemned = self._condemned or text
        self._fail(Verdict.FAILED, f"{text}; stop the flowgraph and start it again")

    def wait_ready(self, timeout_s: float = 10.0) -> Peer:
        """Wait until the flowgraph has answered the hello, and return who did.

        Raises LinkError if it does not answer in time, has ended, or belongs to another session.
        """
        deadline = Deadline(timeout_s)
        with self._changed:
            while self._peer is None and self._failure is None:
                if not self._changed.wait(deadline.remaining) and not deadline.remaining:
                    raise LinkError(self._why_not_ready(timeout_s))
            if self._failure is not None:
                raise LinkError(self._failure)
            assert self._peer is not None
            return self._peer

    def _why_not_ready(self, waited: float) -> str:
        text = f"the flowgraph{self._process_text()} did not answer within {waited:g} s"
        if self._foreign_text:
            return f"{text}: {self._foreign_text}"
        return f"{text}; see whether it runs and has the addresses {self._sender.address}, {self._receiver.address}"

    def _process_text(self) -> str:
        return "" if self._process is None else f" (process {self._process.pid})"

    # All below runs in the watchdog's thread.

    def _run(self) -> None:
        try:
            while self._verdict in (Verdict.WAITING, Verdict.ALIVE):
                if not self._watch():
                    break
        except Exception as error:
            self._fail(Verdict.BROKEN, f"the watchdog has failed ({error}); start the link anew")
        if self._peer is not None and not self._peer.echo:
            with contextlib.suppress(SemcomError):
                self._sender.try_send(self._message(Kind.BYE))

    def _watch(self) -> bool:
        """Ping, wait until the next one is due or something happens, and judge; False ends the watch."""
        poller = zmq.Poller()
        poller.register(self._receiver.pollable, zmq.POLLIN)
        poller.register(self._sender.pollable, zmq.POLLIN)
        poller.register(self._closing.fileno(), zmq.POLLIN)
        if self._process is not None and self._process.descriptor is not None:
            poller.register(self._process.descriptor, zmq.POLLIN)
        self._ask()
        due = Deadline(self._interval_s)
        while self._failure is None and due.remaining:
            ready = dict(poller.poll(due.remaining_ms))
            if self._closing.fileno() in ready:
                return False
            # Answers first: this thread itself may have been held up while they waited.
            self._take_answers()
            self._judge()
            if self._peer is None and not self._asked and self._sender.stats.peers:
                break  # it has just connected: no need to wait with the next hello
        return True

    def _message(self, kind: Kind) -> Any:
        return ControlMessage(kind, self._number, self.session, os.getpid()).pdu()

    def _ask(self) -> None:
        with self._changed:
            self._number += 1
            self._unanswered.append((self._number, time.monotonic()))
        try:
            # Sent or not: what cannot be sent is not answered either.
            self._asked = self._sender.try_send(self._message(Kind.HELLO if self._peer is None else Kind.PING))
        except LinkError as error:
            self._fail(Verdict.WRONG_PEER, str(error))

    def _take_answers(self) -> None:
        while (pdu := self._receiver.receive_nowait()) is not None:
            try:
                answer = parse_control(pdu)
            except FormatError:
                with self._changed:
                    self._malformed += 1
                continue
            with self._changed:
                self._take(answer)

    def _take(self, answer: ControlMessage) -> None:
        echo = answer.instance == self.session
        if answer.session != self.session:
            self._foreign += 1
            if answer.kind is Kind.REFUSE:
                self._foreign_text = (
                    f"process {answer.process} answered that it belongs to session {answer.session!r}; stop that "
                    "flowgraph or its application"
                )
            else:
                self._foreign_text = f"messages of session {answer.session!r} came; stop that flowgraph"
            return
        if echo and not self._accept_echo:
            self._foreign_text = "its messages came back as they were; connect the control channel to a responder"
            return
        if not 1 <= answer.number <= self._number:
            self._malformed += 1
            return
        if answer.version != PROTOCOL_VERSION:
            self._fail(
                Verdict.WRONG_PEER,
                f"the flowgraph speaks version {answer.version} of the control protocol and not {PROTOCOL_VERSION}; "
                "use the same release on both sides",
            )
            return
        if self._peer is None:
            if answer.kind is Kind.WELCOME or echo:
                process = answer.process if not echo else self._process.pid if self._process is not None else None
                self._peer = Peer(process, answer.instance, answer.version, answer.details, echo)
                self._verdict = Verdict.ALIVE
                self._changed.notify_all()
        elif answer.instance != self._peer.instance:
            self._fail(
                Verdict.WRONG_PEER,
                f"two flowgraphs answer, processes {self._peer.process} and {answer.process}; stop one of them",
            )
            return
        failure = None if echo else answer.details.get(FAILURE)
        if failure is not None and answer.kind in (Kind.WELCOME, Kind.PONG):
            self.condemn(_readable(failure))
        if answer.kind is Kind.PONG or echo:
            self._pongs += 1
            self._counters = answer.details
        while self._unanswered and self._unanswered[0][0] <= answer.number:
            number, sent = self._unanswered.popleft()
            if number == answer.number:
                self._round_trip_s = time.monotonic() - sent

    def _judge(self) -> None:
        process = self._process
        if process is not None:
            process.update()
            if process.ended is not None:
                self._fail(
                    Verdict.PROCESS_ENDED, f"the flowgraph's process {process.pid} {process.ended}; start it again"
                )
                return
        try:
            self._sender.attend()
        except LinkError as error:
            self._fail(Verdict.WRONG_PEER, str(error))
            return
        if self._peer is None or not self._unanswered:
            return
        silence = time.monotonic() - self._unanswered[0][1]
        if silence <= self._silence_s:
            return
        text = f"has not answered for {silence:.1f} s; stop it and start it again"
        if process is not None:
            text = f"the flowgraph's process {process.pid} lives, but its ZeroMQ thread {text}"
        elif self._sender.stats.peers:  # the system closes the connections of a dead process
            text = f"the flowgraph is connected, but its ZeroMQ thread {text}"
        else:
            self._fail(Verdict.PROCESS_ENDED, f"the flowgraph has closed its connection and {text}")
            return
        self._fail(Verdict.NOT_ANSWERING, text)

    def _fail(self, verdict: Verdict, text: str) -> None:
        """Enter a failure; the first one counts."""
        with self._changed:
            if self._failure is None:
                self._verdict = verdict
                self._failure = text
                self._changed.notify_all()
                self._alarm.set()


def _readable(failure: PmtValue) -> str:
    """What a flowgraph says of its failure, as one line of bounded length."""
    text = failure if isinstance(failure, str) else "it says that it has failed"
    return "".join(letter if letter.isprintable() else "?" for letter in text[:_FAILURE_LENGTH])
