"""Frames through a GNU Radio flowgraph in a process of its own.

Several frames are under way at a time, so that application and flowgraph work side by side; answers are matched by the
frame's number. What is under way when the flowgraph dies is lost and counted, not sent again: a frame may have been on
the air already.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from semcom_phy.errors import ConfigurationError, FormatError, LinkError
from semcom_phy.flowgraph.connection import READY_TIMEOUT_S, FlowgraphConnection, Launcher, waiting_notice
from semcom_phy.links.accounting import Chain, chain_from_settings
from semcom_phy.links.base import LINKS, Frame, LinkStats, ReceivedFrame, Reception
from semcom_phy.links.frame_pdus import ReceivedPdu, frame_to_pdu, received_from_pdu
from semcom_phy.links.roles import Role, check_role
from semcom_phy.zmq import LinkAddresses, Pdu
from semcom_phy.zmq.waiting import Deadline, checked_timeout

#: Frames under way: enough that neither side waits for the other.
WINDOW: Final = 8
MAX_WINDOW: Final = 64
#: How often a flowgraph that was started here is started again.
RESTARTS: Final = 1
#: Of the longest frame with many iterations on a slow machine.
ANSWER_TIMEOUT_S: Final = 120.0
_NUMBERS_SHOWN: Final = 8


def print_notice(text: str) -> None:
    """One line on standard error."""
    print(f"semcom: {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class GnuRadioLinkConfig:
    """Configuration of the GNU Radio link.

    flowgraph: what to call it in messages.
    launch: starts it; None waits for one that somebody else starts, at `addresses`, and leaves it alone afterwards.
    addresses: where it connects to; None takes free ports of this machine.
    chain: what is inside it, as far as the sending side has to know; None believes what its welcome says.
    capabilities: what its welcome must say, such as ``{"flowgraph": "bpsk_awgn", "seed": 1}``.
    window: frames under way at most, 1 … 64.
    ready_timeout_s: how long it may take to answer first; answer_timeout_s: how long no answer may come while frames
    are under way.

    Raises ConfigurationError for values out of range.
    """

    flowgraph: str
    launch: Launcher | None = None
    addresses: LinkAddresses | None = None
    chain: Chain | None = None
    capabilities: Mapping[str, Any] | None = None
    window: int = WINDOW
    ready_timeout_s: float = READY_TIMEOUT_S
    answer_timeout_s: float = ANSWER_TIMEOUT_S

    def __post_init__(self) -> None:
        if not 1 <= self.window <= MAX_WINDOW:
            raise ConfigurationError(f"window must be from 1 to {MAX_WINDOW} frames, not {self.window}")
        for name in ("ready_timeout_s", "answer_timeout_s"):
            if checked_timeout(name, getattr(self, name)) == 0:
                raise ConfigurationError(f"{name} must be above 0")
        if self.launch is None and self.addresses is None:
            raise ConfigurationError("a flowgraph that is not started here needs addresses to connect to")


@dataclass(frozen=True)
class GnuRadioLinkCounts:
    """What has happened besides the frames themselves.

    `restarts` of the flowgraph; `malformed`: PDUs that were no received frames, and messages that were no PDUs of this
    link; `unexpected`: answers to frames that were not under way, such as late ones.
    """

    restarts: int = 0
    malformed: int = 0
    unexpected: int = 0


@dataclass(frozen=True)
class _Sent:
    """A frame by its number over the life of the link, and its place in the reception."""

    number: int
    place: int
    frame: Frame


@dataclass(frozen=True)
class _Outcome:
    """What has become of a frame that went through a `chain`; `received` is None when nothing came back."""

    chain: Chain
    frame: Frame
    received: ReceivedPdu | None

    def accounted(self) -> ReceivedFrame:
        """With all that is known of it."""
        stats = self.chain.account(self.frame, self.received)
        return ReceivedFrame.lost(stats) if self.received is None else replace(self.received.frame, stats=stats)


@dataclass
class _Transmission:
    """The frames of one `send`: each of them is waiting, under way, or has an outcome (by its place).

    Outcomes are accounted for at the end: while frames are under way, the processor is the flowgraph's.
    """

    count: int
    waiting: deque[_Sent]
    under_way: dict[int, _Sent] = field(default_factory=dict)
    outcomes: dict[int, _Outcome] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether all frames have an outcome."""
        return not self.waiting and not self.under_way

    def reception(self) -> Reception:
        """What has become of the frames, in order; one without an outcome was never handed over."""
        unsent = ReceivedFrame.lost(LinkStats(frames_sent=1, frames_lost=1))  # it took no channel uses
        outcomes = (self.outcomes.pop(place, None) for place in range(self.count))
        return Reception(tuple(unsent if one is None else one.accounted() for one in outcomes))


@LINKS.register("gnuradio")
class GnuRadioLink:
    """Carries frames through a flowgraph; starts it with the first use, or waits for one that is attached.

    Frames are numbered from 0 over the life of the link, and frame k draws from the channel's generator (seed, k): the
    same seed gives what the NumPy link gives.

    A flowgraph that dies, hangs or is stopped: what was under way counts as lost, one line tells it, a flowgraph that
    was started here is started again once, and the rest is sent. When that does not help either, the rest counts
    as lost, and the next `send` raises LinkError.

    `notice`: called with these lines. Use the link as a context manager, or call `close`.
    """

    def __init__(self, config: GnuRadioLinkConfig, notice: Callable[[str], None] = print_notice) -> None:
        self.config = config
        self._notice = notice
        self._connection: FlowgraphConnection | None = None
        self._chain = config.chain
        self._name = config.flowgraph
        self._next = 0
        self._failed: str | None = None
        self._counts = GnuRadioLinkCounts()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()

    def open(self) -> Self:
        """Start the flowgraph, or wait for it; without this, the first `send` does it.

        Raises LinkError if it does not answer in time, is another one, or only transmits or receives.
        """
        self._connected()
        return self

    def close(self) -> None:
        """End the flowgraph if it was started here, and free the ports. The link can be used again afterwards."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._count(malformed=connection.messages_not_understood)
            connection.close()

    @property
    def counts(self) -> GnuRadioLinkCounts:
        """What has happened so far."""
        current = 0 if self._connection is None else self._connection.messages_not_understood
        return replace(self._counts, malformed=self._counts.malformed + current)

    @property
    def connection(self) -> FlowgraphConnection | None:
        """The flowgraph that is in use; None before the first use and after `close`."""
        return self._connection

    def code_rate(self, payload_bits: int) -> float:
        """See `Link.code_rate`."""
        return self._known_chain().code_rate(payload_bits)

    def describe(self) -> dict[str, Any]:
        """See `Link.describe`; starts the flowgraph, or waits for it, if it is to say what it is."""
        described = self._known_chain().describe()
        return {**described, "link": "gnuradio", "flowgraph": self._name, "attached": self.config.launch is None}

    def send(self, frames: Sequence[Frame]) -> Reception:
        """See `Link.send`.

        Raises LinkError if the flowgraph does not start, or has failed for good before; ConfigurationError for
        a frame that it cannot carry.
        """
        if self._failed is not None:
            raise LinkError(self._failed)
        chain = self._known_chain()
        for frame in frames:
            chain.check(frame)
        waiting = deque(_Sent(self._next + place, place, frame) for place, frame in enumerate(frames))
        sent = _Transmission(len(frames), waiting)
        # Before any is sent: should Ctrl-C end this, late answers must not meet other frames of the same numbers.
        self._next += len(frames)
        while not sent.finished:
            connection = self._connected()
            try:
                self._exchange(connection, sent)
            except LinkError as error:
                self._after_failure(connection, connection.failure() or str(error), sent)
        return sent.reception()

    def _known_chain(self) -> Chain:
        if self._chain is None:
            self._connected()
        assert self._chain is not None
        return self._chain

    def _connected(self) -> FlowgraphConnection:
        if self._connection is None:
            config = self.config
            connection = FlowgraphConnection(
                config.flowgraph,
                config.launch,
                addresses=config.addresses,
                timeout_s=config.ready_timeout_s,
                on_waiting=self._tell_what_is_waited_for,
            )
            try:
                check_capabilities(connection.peer.capabilities, config.capabilities or {})
                check_role(connection.peer.capabilities, Role.LOOP)
                # Of one that was started again, too: its settings may be others by now.
                self._chain = config.chain or chain_from_settings(connection.peer.capabilities)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
            self._name = str(connection.peer.capabilities.get("flowgraph", self._name))
        return self._connection

    def _exchange(self, connection: FlowgraphConnection, sent: _Transmission) -> None:
        """Send what waits, and take the answers as they come; raises LinkError if the flowgraph fails meanwhile."""
        silence = Deadline(self.config.answer_timeout_s)
        while not sent.finished:
            while sent.waiting and len(sent.under_way) < self.config.window:
                one = sent.waiting[0]
                connection.send(frame_to_pdu(one.number, one.frame), self.config.answer_timeout_s)
                sent.under_way[one.number] = sent.waiting.popleft()
            pdu = connection.poll(silence.remaining)
            if pdu is None:
                self._after_silence(sent)
            if pdu is None or self._take(pdu, sent):
                silence = Deadline(self.config.answer_timeout_s)

    def _take(self, pdu: Pdu, sent: _Transmission) -> bool:
        """Enter the outcome of a frame; False for a PDU that is no answer to one that is under way."""
        try:
            answer = received_from_pdu(pdu)
        except FormatError:
            self._count(malformed=1)
            return False
        one = sent.under_way.pop(answer.number, None)
        if one is None:
            self._count(unexpected=1)
            return False
        sent.outcomes[one.place] = _Outcome(self._known_chain(), one.frame, answer)
        return True

    def _after_silence(self, sent: _Transmission) -> None:
        waited = f"no answer for {self.config.answer_timeout_s:g} s"
        if not self._known_chain().silence_is_loss:
            raise LinkError(f"it answers the watchdog, but gives {waited}")
        self._tell(f"{waited}; {self._lose_what_is_under_way(sent)}")

    def _after_failure(self, connection: FlowgraphConnection, reason: str, sent: _Transmission) -> None:
        """Count what is lost, and start the flowgraph again, or give up."""
        for pdu in connection.drain():  # answers that it gave before it died
            self._take(pdu, sent)
        self.close()
        parts = [reason]
        if sent.under_way:
            parts.append(self._lose_what_is_under_way(sent))
        if self.config.launch is not None and self._counts.restarts < RESTARTS:
            self._tell("; ".join([*parts, "starting it again"]))
            self._count(restarts=1)
            try:
                self._connected()
                return
            except LinkError as error:
                parts = [str(error)]
        self._failed = f"flowgraph {self._name}: {reason}; see its output and start anew"
        if sent.waiting:
            parts.append(self._lose_what_waits(sent))
        self._tell("; ".join(parts))

    def _lose_what_is_under_way(self, sent: _Transmission) -> str:
        """Enter these frames as lost, and return the words for it."""
        text = _lost(list(sent.under_way))
        for one in sent.under_way.values():
            sent.outcomes[one.place] = _Outcome(self._known_chain(), one.frame, None)
        sent.under_way.clear()
        return text

    def _lose_what_waits(self, sent: _Transmission) -> str:
        """The same for frames that were never handed over, and so took no channel uses."""
        text = _lost([one.number for one in sent.waiting])
        sent.waiting.clear()
        return text

    def _tell_what_is_waited_for(self, addresses: LinkAddresses) -> None:
        if self.config.launch is None:
            self._tell(waiting_notice(addresses, self.config.ready_timeout_s))

    def _tell(self, text: str) -> None:
        self._notice(f"flowgraph {self._name}: {text}")

    def _count(self, restarts: int = 0, malformed: int = 0, unexpected: int = 0) -> None:
        counts = self._counts
        self._counts = GnuRadioLinkCounts(
            counts.restarts + restarts, counts.malformed + malformed, counts.unexpected + unexpected
        )


def check_capabilities(offered: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise LinkError unless the flowgraph has said of itself what is wanted."""
    for key, value in wanted.items():
        if offered.get(key) != value:
            raise LinkError(
                f"the flowgraph that answers has {key} {offered.get(key)!r} and not {value!r}; start the one that has, "
                "or give the options that suit this one"
            )


def _lost(numbers: Sequence[int]) -> str:
    """Which frames are lost, in a few words."""
    shown = ", ".join(map(str, numbers[:_NUMBERS_SHOWN]))
    more = f" and {len(numbers) - _NUMBERS_SHOWN} more" if len(numbers) > _NUMBERS_SHOWN else ""
    return f"frame {shown} is lost" if len(numbers) == 1 else f"frames {shown}{more} are lost"
