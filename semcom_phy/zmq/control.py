"""Control PDUs: who is there, which session is on, and are you still alive.

============  ===========================  =================================================================
kind          from                         meaning
============  ===========================  =================================================================
``hello``     application → flowgraph      take part in this session
``welcome``   flowgraph → application      yes; what it can do
``refuse``    flowgraph → application      no: it belongs to the session with which this is stamped
``ping``      application → flowgraph      once in a while
``pong``      flowgraph → application      answers the ping of the same number; counters
``bye``       application → flowgraph      the session is over
============  ===========================  =================================================================

They travel through PDU sockets of their own, so that no data can be in their way. Everything is in the metadata:
``control`` (the kind), ``version``, ``number``, ``process`` (process id of the sender), ``instance`` (an id that
every responder makes for itself) and ``details`` (a dict: capabilities or counters). A flowgraph that is alive but can
no longer do its work says in `FAILURE`, one of the details of a welcome or a pong, what has befallen it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from semcom_phy.errors import FormatError
from semcom_phy.zmq.pdu import Pdu
from semcom_phy.zmq.pmt import PmtValue
from semcom_phy.zmq.sockets import SESSION_KEY, PduReceiver, PduSender, checked_session, new_session
from semcom_phy.zmq.waiting import checked_timeout

PROTOCOL_VERSION: Final = 1
#: A flowgraph that has not heard of its application for so long lets another one take over.
LEASE_S: Final = 3.0
#: The key of the details under which a flowgraph says that it has failed, and why; absent while it is well.
FAILURE: Final = "failure"
_MAX_ID: Final = 64


class Kind(Enum):
    """What a control PDU says."""

    HELLO = "hello"
    WELCOME = "welcome"
    REFUSE = "refuse"
    PING = "ping"
    PONG = "pong"
    BYE = "bye"


@dataclass(frozen=True)
class ControlMessage:
    """A control PDU; `session` is that of the sender's socket."""

    kind: Kind
    number: int
    instance: str
    process: int
    session: str = ""
    version: int = PROTOCOL_VERSION
    details: Mapping[str, PmtValue] = field(default_factory=dict)

    def pdu(self) -> Pdu:
        """Return the PDU; the sending socket adds the session."""
        return Pdu(
            {
                "control": self.kind.value,
                "version": self.version,
                "number": self.number,
                "instance": self.instance,
                "process": self.process,
                "details": dict(self.details),
            }
        )


def parse_control(pdu: Pdu) -> ControlMessage:
    """Read a control PDU; raises FormatError for every other one."""
    metadata = pdu.metadata
    try:
        kind = Kind(metadata.get("control"))
    except ValueError:
        raise FormatError("a PDU that is no control message") from None
    # An empty dict travels as null.
    details = {} if metadata.get("details") is None else metadata["details"]
    if not isinstance(details, dict) or not all(isinstance(key, str) for key in details) or pdu.vector.size:
        raise FormatError("a control PDU whose details are no dict with symbols for keys, or that has a vector")
    return ControlMessage(
        kind,
        _integer(metadata, "number"),
        _identifier(metadata, "instance"),
        _integer(metadata, "process"),
        _identifier(metadata, SESSION_KEY),
        _integer(metadata, "version"),
        details,
    )


def _integer(metadata: Mapping[str, PmtValue], key: str) -> int:
    value = metadata.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise FormatError(f"a control PDU needs a {key} from 0 to 2^63 − 1")
    return int(value)


def _identifier(metadata: Mapping[str, PmtValue], key: str) -> str:
    value = metadata.get(key)
    if not isinstance(value, str) or not 1 <= len(value) <= _MAX_ID or not value.isprintable():
        raise FormatError(f"a control PDU needs a {key} of 1 to {_MAX_ID} letters")
    return value


@dataclass(frozen=True)
class ResponderStats:
    """`answered` requests; `malformed` PDUs that were none; `refused` requests of other sessions.

    `unanswered`: the answer found no room, because the application does not read.
    """

    answered: int
    malformed: int
    refused: int
    unanswered: int


class Responder:
    """The flowgraph's end of the control channel; an `Attendant` of the thread that does the ZeroMQ work.

    It must be looked after by that very thread, for its answers testify that the thread is alive. It never waits.

    `receiver` and `sender`: the sockets of the control channel, the receiver without a session. `session`: the
    only one to take part in; None takes part in the first that says hello, and in another one once that has said
    bye or has been silent for `lease_s`. `capabilities`: go with the welcome. `counters`: asked for every pong.
    `failure`: asked for every welcome and pong; a text goes with it as `FAILURE`, None says that all is well.
    `on_session`: called with the id of every session that begins.

    Raises ConfigurationError for a wrong session or lease.
    """

    def __init__(
        self,
        receiver: PduReceiver,
        sender: PduSender,
        *,
        session: str | None = None,
        capabilities: Mapping[str, PmtValue] | None = None,
        counters: Callable[[], Mapping[str, PmtValue]] = dict,
        failure: Callable[[], str | None] = lambda: None,
        on_session: Callable[[str], None] = lambda session: None,
        lease_s: float = LEASE_S,
    ) -> None:
        self.instance = new_session()
        self.session = None if session is None else checked_session(session)
        self._fixed = session is not None
        self._receiver = receiver
        self._sender = sender
        self._capabilities = dict(capabilities or {})
        self._counters = counters
        self._failure = failure
        self._on_session = on_session
        self._lease_s = checked_timeout("lease_s", lease_s)
        self._heard = time.monotonic()
        self._answered = 0
        self._malformed = 0
        self._refused = 0
        self._unanswered = 0

    @property
    def stats(self) -> ResponderStats:
        """What has happened so far; see the sockets' own statistics for what was no PDU at all."""
        return ResponderStats(self._answered, self._malformed, self._refused, self._unanswered)

    @property
    def pollable(self) -> Any:
        """Readable when a request waits."""
        return self._receiver.pollable

    def attend(self) -> None:
        """Answer the requests that wait."""
        while (pdu := self._receiver.receive_nowait()) is not None:
            try:
                request = parse_control(pdu)
                checked_session(request.session)
            except ValueError:  # FormatError, or a session id with other characters
                self._malformed += 1
                continue
            self._answer(request)

    def _answer(self, request: ControlMessage) -> None:
        if request.kind is Kind.HELLO and self._may_begin(request.session):
            self._begin(request.session)
        if request.session != self.session:
            self._refused += 1
            self._reply(Kind.REFUSE, request, {})
            return
        self._heard = time.monotonic()
        if request.kind is Kind.HELLO:
            self._reply(Kind.WELCOME, request, self._with_failure(self._capabilities))
        elif request.kind is Kind.PING:
            self._reply(Kind.PONG, request, self._with_failure(self._counters()))
        elif request.kind is Kind.BYE and not self._fixed:
            self.session = None

    def _with_failure(self, details: Mapping[str, PmtValue]) -> Mapping[str, PmtValue]:
        failure = self._failure()
        return details if failure is None else {**details, FAILURE: failure}

    def _may_begin(self, session: str) -> bool:
        if self._fixed or session == self.session:
            return False
        return self.session is None or time.monotonic() - self._heard > self._lease_s

    def _begin(self, session: str) -> None:
        self.session = session
        self._sender.start_session(session)
        self._on_session(session)

    def _reply(self, kind: Kind, request: ControlMessage, details: Mapping[str, PmtValue]) -> None:
        answer = ControlMessage(kind, request.number, self.instance, os.getpid(), details=details)
        if self._sender.try_send(answer.pdu()):
            self._answered += 1
        else:
            self._unanswered += 1
