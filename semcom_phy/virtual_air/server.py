"""The virtual air at work: asks transmitters, lets time pass, answers receivers.

Who has nothing, or takes nothing, holds the others up for a bounded time only; who disappears, not at all. Time passes
at the pace of the sample rate, or as fast as transmitters deliver and receivers take (`AirConfig.fast`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import zmq

from semcom_phy.virtual_air.configuration import AirConfig
from semcom_phy.virtual_air.medium import Medium
from semcom_phy.virtual_air.ports import AnsweringPort, AskingPort, Port
from semcom_phy.virtual_air.protocol import MAX_CHUNK, Samples
from semcom_phy.virtual_air.queue import SampleQueue

#: In real time a transmitter that was asked may think for so long before it counts as silent: receivers wait meanwhile.
REALTIME_PATIENCE_S: Final = 0.2
#: Real time that the machine could not keep up with, beyond this, is left out.
MAX_BEHIND_S: Final = 1.0
_TICK_S: Final = 0.005
_AHEAD_S: Final = 0.1
_MIN_AHEAD: Final = 1 << 13
_FAST_AHEAD: Final = 1 << 17
_STEP: Final = 1 << 15
_FAST_BUFFER: Final = 1 << 18
#: How soon a transmitter that said it has nothing is asked again.
_ASK_AGAIN_S: Final = 0.02
_LONGEST_WAIT_S: Final = 0.25
#: How long receivers may take to fetch what was waiting for them when the air ends, from one request to the next
#: and together.
_LEAVE_S: Final = 3.0
_LONGEST_LEAVE_S: Final = 10.0


@dataclass
class TransmitterCounts:
    """`samples` came; `gaps` times none came although it was connected, `gap_samples` zeros were sent instead.

    `absent_samples`: zeros sent while it was not connected. `invalid_samples`: not finite or absurdly large, sent as
    zero. `malformed`: replies that were not understood. `connections`, `disconnections`, `handshake_failures`: see
    `Port`.
    """

    samples: int = 0
    gaps: int = 0
    gap_samples: int = 0
    absent_samples: int = 0
    invalid_samples: int = 0
    malformed: int = 0
    connections: int = 0
    disconnections: int = 0
    handshake_failures: int = 0


@dataclass
class ReceiverCounts:
    """`samples` were handed over. Not handed over: `dropped_samples`, in `overruns` events, because the receiver did
    not ask in time; `undelivered_samples`, which it had not fetched when it left; `unheard_samples`, while there was
    none.

    `refused`: requests of others while one was served. `malformed`, `connections`, …: see `TransmitterCounts`.
    """

    samples: int = 0
    overruns: int = 0
    dropped_samples: int = 0
    undelivered_samples: int = 0
    unheard_samples: int = 0
    refused: int = 0
    malformed: int = 0
    connections: int = 0
    disconnections: int = 0
    handshake_failures: int = 0


@dataclass
class _Transmitter:
    """A transmitter as the air sees it.

    `silent`: it has nothing to send for now, and nobody waits for it. `waiting_since`: first request since it last sent
    samples.
    """

    name: str
    port: AskingPort
    counts: TransmitterCounts
    silent: bool = True
    was_there: bool = False
    ended: bool = False
    in_gap: bool = False
    waiting_since: float | None = None
    ask_again_at: float = 0.0


@dataclass
class _Receiver:
    """A receiver as the air sees it. `last_served`: when it last took samples, or had nothing to take."""

    name: str
    port: AnsweringPort
    counts: ReceiverCounts
    waiting: SampleQueue
    served: bool = False
    was_there: bool = False
    stalled: bool = False
    in_overrun: bool = False
    last_served: float = 0.0


class VirtualAir:
    """Binds the receivers' addresses and connects to the transmitters'; `run` does the rest, in one thread.

    `on_event` is given one line when somebody comes or goes, and for the first message of each that was not understood.

    Raises LinkError when an address is taken.
    """

    def __init__(self, config: AirConfig, on_event: Callable[[str], None] = lambda line: None) -> None:
        self.config = config
        self._say = on_event
        self._medium = Medium(config)
        self._started = time.monotonic()
        self._slipped_s = 0.0
        self._begun = not config.fast
        rate = config.sample_rate_hz
        self._ahead = _FAST_AHEAD if config.fast else max(int(rate * _AHEAD_S), _MIN_AHEAD)
        self._ask_for = min(self._ahead // 4, MAX_CHUNK)
        self._tick = max(int(rate * _TICK_S), 1)
        self._buffer = max(int(rate * config.buffer_s), _STEP * 2) if not config.fast else _FAST_BUFFER
        self._patience_s = config.patience_s if config.fast else REALTIME_PATIENCE_S
        self._transmitters: list[_Transmitter] = []
        self._receivers: list[_Receiver] = []
        self._poller = zmq.Poller()
        try:
            for number, address in enumerate(config.receivers, 1):
                answering = AnsweringPort(address, config.allow_remote)
                self._receivers.append(_Receiver(f"rx{number}", answering, ReceiverCounts(), SampleQueue()))
            for number, address in enumerate(config.transmitters, 1):
                asking = AskingPort(address, config.allow_remote)
                self._transmitters.append(_Transmitter(f"tx{number}", asking, TransmitterCounts()))
        except BaseException:
            self.close()
            raise
        for port in self._ports():
            self._poller.register(port.socket, zmq.POLLIN)
            self._poller.register(port.events, zmq.POLLIN)

    @property
    def receiver_addresses(self) -> list[str]:
        """Where receivers connect to, with the ports that were chosen."""
        return [one.port.address for one in self._receivers]

    def _ports(self) -> list[Port]:
        return [*(one.port for one in self._transmitters), *(one.port for one in self._receivers)]

    def close(self) -> None:
        """Free the addresses; harmless when repeated."""
        for port in self._ports():
            port.close()

    def __enter__(self) -> VirtualAir:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, stop: Callable[[], bool], duration_s: float | None = None) -> None:
        """Let time pass until `stop()`, which is asked four times a second at least, or so many seconds of air time."""
        last = None if duration_s is None else round(duration_s * self.config.sample_rate_hz)
        self._started = time.monotonic()
        while not stop():
            self._take_in()
            passed = self._let_time_pass(last)
            self._answer()
            self._ask()
            if last is not None and self._medium.time >= last:
                break
            if not passed:
                self._poller.poll(math.ceil(1000.0 * self._idle_s()))
        self._take_leave()

    def _take_leave(self) -> None:
        """Hand over what is waiting, then tell each receiver that the stream has ended; bounded in time."""
        now = time.monotonic()
        deadline, last_deadline = now + _LEAVE_S, now + _LONGEST_LEAVE_S
        told: set[str] = set()
        while (remaining := min(deadline, last_deadline) - time.monotonic()) > 0.0:
            for receiver in self._receivers:
                self._hear_receiver(receiver)
            if self._answer():
                deadline = time.monotonic() + _LEAVE_S
            here = [one for one in self._receivers if one.served]
            for receiver in here:
                if receiver.port.wanted and not receiver.waiting:
                    receiver.port.finish()
                    told.add(receiver.name)
            if all(one.name in told for one in here):
                break
            self._poller.poll(math.ceil(1000.0 * min(remaining, _LONGEST_WAIT_S)))
        for receiver in self._receivers:
            receiver.counts.undelivered_samples += receiver.waiting.clear()

    def _served(self) -> list[_Receiver]:
        return [one for one in self._receivers if one.served and not one.stalled]

    # --- what comes in -----------------------------------------------------------------------------

    def _take_in(self) -> None:
        for number, transmitter in enumerate(self._transmitters):
            self._hear_transmitter(number, transmitter)
        for receiver in self._receivers:
            self._hear_receiver(receiver)
        everybody = [one.was_there for one in self._transmitters] + [one.was_there for one in self._receivers]
        if not self._begun and all(everybody):
            self._begun = True
            self._say("everybody has been there: time begins")

    def _hear_transmitter(self, number: int, transmitter: _Transmitter) -> None:
        port, counts, now = transmitter.port, transmitter.counts, time.monotonic()
        port.update()
        for samples in port.take():
            counts.samples += samples.size
            transmitter.waiting_since = None
            self._medium.feed(number, samples)
        transmitter.ended = port.ended
        if transmitter.ended or port.malformed > counts.malformed:
            transmitter.ask_again_at = now + _ASK_AGAIN_S
        if not port.connected:
            transmitter.waiting_since = None
        self._report(transmitter.name, counts, port)
        counts.invalid_samples = self._medium.invalid_samples(number)
        transmitter.was_there |= port.connected
        asked = transmitter.waiting_since
        transmitter.silent = (
            not port.connected or transmitter.ended or (asked is not None and now - asked > self._patience_s)
        )

    def _hear_receiver(self, receiver: _Receiver) -> None:
        port, counts, now = receiver.port, receiver.counts, time.monotonic()
        lost = port.lost
        port.update()
        self._report(receiver.name, counts, port)
        counts.refused = port.refused
        if port.lost > lost:
            counts.undelivered_samples += receiver.waiting.clear()
        receiver.served = port.served
        receiver.was_there |= port.served
        if port.wanted or not receiver.waiting:
            receiver.last_served = now
        stalled = receiver.served and now - receiver.last_served > self._patience_s
        if stalled and not receiver.stalled and self.config.fast and len(self._receivers) > 1:
            self._say(f"{receiver.name} has not asked for {self._patience_s:g} s: the others go on without it")
        receiver.stalled = stalled

    def _report(self, name: str, counts: TransmitterCounts | ReceiverCounts, port: Port) -> None:
        """Bring the counts up to date, and say what is new."""
        if port.connections > counts.connections:
            self._say(f"{name}: connected at {port.address}")
        if port.disconnections > counts.disconnections and port.connections:
            self._say(f"{name}: a connection at {port.address} has ended")
        if port.malformed and not counts.malformed:
            self._say(f"{name}: messages at {port.address} that are not understood; they are counted and left out")
        if port.handshake_failures and not counts.handshake_failures:
            self._say(f"{name}: something at {port.address} does not speak ZeroMQ, or not as a radio")
        counts.malformed, counts.connections = port.malformed, port.connections
        counts.disconnections, counts.handshake_failures = port.disconnections, port.handshake_failures

    # --- time --------------------------------------------------------------------------------------

    def _let_time_pass(self, last: int | None) -> bool:
        """One step of time, if it is due and nobody is waited for."""
        count = self._due() if self._begun else 0
        if last is not None:
            count = min(count, last - self._medium.time)
        for number, transmitter in enumerate(self._transmitters):
            ready = self._medium.ready(number)
            if ready or not transmitter.silent:
                count = min(count, ready)
        if count <= 0:
            return False
        received, silences = self._medium.advance(count)
        for transmitter, silence in zip(self._transmitters, silences, strict=True):
            self._count_silence(transmitter, silence)
        for receiver, samples in zip(self._receivers, received, strict=True):
            self._keep(receiver, samples)
        return True

    def _due(self) -> int:
        """How many samples of time may pass now, but for transmitters that have yet to deliver."""
        if self.config.fast:
            delivering = any(self._medium.ready(number) for number in range(len(self._transmitters)))
            room = min((self._buffer - len(one.waiting) for one in self._served()), default=0)
            return min(_STEP, room) if delivering else 0
        rate = self.config.sample_rate_hz
        elapsed = time.monotonic() - self._started - self._slipped_s
        behind = elapsed - self._medium.time / rate
        if behind > MAX_BEHIND_S:
            self._slipped_s += behind - MAX_BEHIND_S
        due = int(min(behind, MAX_BEHIND_S) * rate)
        return min(due, _STEP) if due >= self._tick else 0

    def _count_silence(self, transmitter: _Transmitter, silence: int) -> None:
        counts = transmitter.counts
        if not silence:
            transmitter.in_gap = False
        elif not transmitter.port.connected:
            counts.absent_samples += silence
        else:
            counts.gap_samples += silence
            counts.gaps += not transmitter.in_gap
            transmitter.in_gap = True

    def _keep(self, receiver: _Receiver, samples: Samples) -> None:
        counts = receiver.counts
        if not receiver.served:
            counts.unheard_samples += samples.size
        elif len(receiver.waiting) + samples.size > self._buffer + (_STEP if self.config.fast else 0):
            counts.dropped_samples += samples.size
            counts.overruns += not receiver.in_overrun
            receiver.in_overrun = True
        else:
            receiver.waiting.put(samples)
            receiver.in_overrun = False

    # --- what goes out -----------------------------------------------------------------------------

    def _answer(self) -> bool:
        """Give receivers that ask what there is for them; whether there was any."""
        answered = False
        for receiver in self._receivers:
            if receiver.port.wanted and receiver.waiting:
                samples = receiver.waiting.take(receiver.port.wanted)
                if receiver.port.reply(np.ascontiguousarray(samples)):
                    receiver.counts.samples += samples.size
                else:
                    receiver.counts.undelivered_samples += samples.size + receiver.waiting.clear()
                receiver.last_served = time.monotonic()
                answered = True
        return answered

    def _ask(self) -> None:
        now = time.monotonic()
        for number, transmitter in enumerate(self._transmitters):
            if self._medium.ready(number) >= self._ahead or now < transmitter.ask_again_at:
                continue
            if transmitter.port.ask(self._ask_for) and transmitter.waiting_since is None:
                transmitter.waiting_since = now

    def _idle_s(self) -> float:
        """How long nothing will be due unless something comes."""
        now = time.monotonic()
        wait = _LONGEST_WAIT_S
        if not self.config.fast:
            due = self._started + self._slipped_s + (self._medium.time + self._tick) / self.config.sample_rate_hz
            if due > now:
                wait = min(wait, due - now)
        for transmitter in self._transmitters:
            if transmitter.waiting_since is not None and not transmitter.silent:
                wait = min(wait, transmitter.waiting_since + self._patience_s - now)
            wait = min(wait, transmitter.port.longest_wait_s)
            if transmitter.port.connected and transmitter.ask_again_at > now:
                wait = min(wait, transmitter.ask_again_at - now)
        return max(wait, 0.001)

    def describe(self) -> dict[str, Any]:
        """What has happened so far, units in the key names."""
        rate = self.config.sample_rate_hz
        return {
            "samples": self._medium.time,
            "air_time_s": self._medium.time / rate,
            "elapsed_s": time.monotonic() - self._started,
            "slipped_s": self._slipped_s,
            "transmitters": {
                one.name: {"address": one.port.address, **asdict(one.counts)} for one in self._transmitters
            },
            "receivers": {
                one.name: {"address": one.port.address, **asdict(one.counts), "waiting_samples": len(one.waiting)}
                for one in self._receivers
            },
        }
