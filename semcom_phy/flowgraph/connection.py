"""A flowgraph that answers: one that is started here, or one that somebody else has started."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final, Self

from semcom_phy.errors import ConfigurationError, LinkError
from semcom_phy.flowgraph.block_failure import BlockFailure
from semcom_phy.flowgraph.process import FlowgraphProcess
from semcom_phy.zmq import ApplicationEnd, LinkAddresses, Pdu, Verdict
from semcom_phy.zmq.addresses import checked_address
from semcom_phy.zmq.waiting import Deadline
from semcom_phy.zmq.watchdog import Peer

#: How long a flowgraph may take to start: Python and GNU Radio.
READY_TIMEOUT_S: Final = 60.0
#: And how long in all, when it says that it compiles: once on a machine, tens of seconds, on a slow one minutes.
COMPILE_TIMEOUT_S: Final = 900.0

#: Starts the flowgraph's process, given the addresses that it is to connect to.
Launcher = Callable[[LinkAddresses], FlowgraphProcess]


def attach_addresses(first: str) -> LinkAddresses:
    """The four addresses at which a flowgraph that somebody starts is waited for: `first` and the three ports above.

    `first`: ``tcp://127.0.0.1:PORT``, PORT from 1 to 65532. Raises ConfigurationError for every other address.
    """
    address = checked_address(first, bind=True, permission=None).endpoint
    host, _, port = address.rpartition(":")
    if not host.startswith("tcp://") or not port.isdecimal() or int(port) + 3 > 65535:
        raise ConfigurationError(
            f"{first!r} is no place to attach a flowgraph to; give the first of four ports, such as "
            "tcp://127.0.0.1:29001"
        )
    return LinkAddresses(*(f"{host}:{int(port) + offset}" for offset in range(4)))


def waiting_notice(addresses: LinkAddresses, timeout_s: float) -> str:
    """What to tell whoever is to start the flowgraph."""
    first, *_, last = addresses.as_arguments()
    return f"waiting {timeout_s:g} s for it to connect to {first} … {last.rpartition(':')[2]}; start it now"


class FlowgraphConnection:
    """The addresses are bound, the flowgraph is running and has answered.

    `name`: what to call it in messages. `launch`: starts it; None waits for one that somebody else starts, at
    `addresses`. `timeout_s`: how long it may take; for one that is started here this begins anew while it says that it
    compiles, up to `COMPILE_TIMEOUT_S` in all. `on_waiting`: called with the addresses when they are bound. Use it as a
    context manager, or call `close`, which ends the flowgraph if it was started here.

    Raises LinkError if it does not answer in time or ends, or an address is taken.
    """

    def __init__(
        self,
        name: str,
        launch: Launcher | None,
        *,
        addresses: LinkAddresses | None = None,
        timeout_s: float = READY_TIMEOUT_S,
        on_waiting: Callable[[LinkAddresses], None] = lambda addresses: None,
    ) -> None:
        self.name = name
        self.process: FlowgraphProcess | None = None
        self._end = ApplicationEnd(addresses)
        try:
            if launch is not None:
                self.process = launch(self._end.addresses)
                self.process.on_block_failure(self._condemn)
            on_waiting(self._end.addresses)
            self.peer: Peer = self._wait_ready(timeout_s)
            if self.process is not None and self.process.block_failure is not None:
                self._condemn(self.process.block_failure)  # it may have died before anybody watched
        except BaseException:
            self.close()
            raise

    def _wait_ready(self, timeout_s: float) -> Peer:
        if self.process is None:
            return self._end.wait_ready(timeout_s)
        began, longest = time.monotonic(), Deadline(max(timeout_s, COMPILE_TIMEOUT_S))
        while True:
            before = self.process.compilations
            try:
                return self._end.wait_ready(min(timeout_s, longest.remaining), pid=self.process.pid)
            except LinkError as error:
                if self._waits_for_a_compiler(before) and longest.remaining:
                    continue
                failure = self._block_failure()
                if failure is not None:
                    raise LinkError(f"flowgraph {self.name} did not start: {failure}") from error
                waited = f"did not answer within {time.monotonic() - began:.3g} s"
                reason = waited if self.process.running else str(self.process.ended)
                words = self.process.last_words()
                raise LinkError(f"flowgraph {self.name} did not start: it {reason}{words}") from error

    def _condemn(self, failure: BlockFailure) -> None:
        """The flowgraph runs on without one of its blocks: who waits for it waits no longer."""
        if self._end.watchdog is not None:
            self._end.watchdog.condemn(str(failure))

    def _block_failure(self) -> str | None:
        """Which block of a flowgraph that is starting has died, by its output or by what it says itself."""
        assert self.process is not None
        if self.process.block_failure is not None:
            return str(self.process.block_failure)
        return None if self._end.watchdog is None else self._end.watchdog.condemned

    def _waits_for_a_compiler(self, before: tuple[int, int]) -> bool:
        """Whether a flowgraph that is well has not answered because it compiles, or has compiled since `before`."""
        assert self.process is not None
        watchdog = self._end.watchdog
        if not self.process.running or watchdog is None or watchdog.verdict is not Verdict.WAITING:
            return False
        begun, ended = self.process.compilations
        return begun > ended or (begun, ended) != before

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()

    def close(self) -> None:
        """Free the addresses, and end the flowgraph if it was started here."""
        try:
            self._end.close()
        finally:
            if self.process is not None:
                self.process.stop()

    def send(self, pdu: Pdu, timeout_s: float) -> None:
        """Send a PDU; raises LinkError if the flowgraph has failed, or takes nothing in time."""
        self._end.send(pdu, timeout_s)

    def receive(self, timeout_s: float) -> Pdu:
        """Return the next PDU; raises LinkError if the flowgraph has failed, or none comes in time."""
        return self._end.receive(timeout_s)

    def poll(self, timeout_s: float) -> Pdu | None:
        """Return the next PDU, None when none comes in time; raises LinkError if the flowgraph has failed."""
        deadline = Deadline(timeout_s)
        try:
            return self.receive(timeout_s)
        except LinkError:
            if deadline.remaining or self.failure() is not None:
                raise
            return None

    def drain(self) -> Iterator[Pdu]:
        """The PDUs that have arrived already, also from a flowgraph that has failed since."""
        self._end.receiver.attend_while_waiting()
        while (pdu := self._end.receiver.receive_nowait()) is not None:
            yield pdu

    def failure(self) -> str | None:
        """What has befallen the flowgraph, in a few words; None if it is well."""
        watchdog = self._end.watchdog
        if watchdog is None or watchdog.verdict is Verdict.ALIVE:
            return None
        if self.process is not None and watchdog.condemned is not None:
            return watchdog.condemned
        if self.process is not None and self.process.ended is not None:
            return f"it {self.process.ended}{self.process.last_words()}"
        if self.process is not None and watchdog.verdict is Verdict.NOT_ANSWERING:
            return watchdog.verdict.value
        try:
            watchdog.attend()
        except LinkError as error:
            return str(error)
        return watchdog.verdict.value

    @property
    def messages_not_understood(self) -> int:
        """Messages that came on the data channel and were no PDUs of this session."""
        stats = self._end.receiver.stats
        return stats.malformed + stats.foreign + stats.unnumbered

    @property
    def messages_lost(self) -> int:
        """Messages on the data channel whose numbers were passed over."""
        return self._end.receiver.stats.lost
