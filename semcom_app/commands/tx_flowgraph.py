"""`semcom tx --attach`: pictures through a flowgraph that transmits."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import typer
from numpy.typing import NDArray

from semcom_app.codecs import Codec
from semcom_app.commands.attaching import command_line, describe_flowgraph, wait_for_flowgraph
from semcom_app.images import LoadedImage
from semcom_app.progress import printable
from semcom_app.results import json_bytes
from semcom_app.sent_pictures import SentPictures
from semcom_app.streaming import StopSignals
from semcom_phy.errors import FormatError, LinkError
from semcom_phy.flowgraph.connection import FlowgraphConnection
from semcom_phy.links import BurstChain, Frame
from semcom_phy.links.accounting import chain_from_settings
from semcom_phy.links.frame_pdus import frame_to_pdu, received_from_pdu
from semcom_phy.links.roles import Role
from semcom_phy.waveform import Waveform
from semcom_phy.zmq import Pdu

#: Frames at the flowgraph: one on the air, and enough behind it that there is no pause; no more, for pictures that are
#: there already are sent after Ctrl-C, too.
WINDOW: Final = 3
_SLICE_S: Final = 0.25
#: Messages that are looked at when all is over: a flowgraph that talks without end does not keep us.
_MOST_AT_THE_END: Final = 1000


def send_attached(
    attach: str,
    pictures: Iterator[LoadedImage],
    codec: Codec,
    timeout_s: float,
    config: dict[str, Any],
    endless: bool,
    as_json: bool,
) -> int:
    """Wait for the flowgraph and send the pictures, at its pace; exit code as of `semcom tx`.

    `timeout_s`: how long the flowgraph may give no answer, besides the time that frames take on the air. `config`: what
    is to be remembered of the options. `endless`: to be interrupted is its regular end.

    Raises LinkError if the flowgraph does not come, is no transmitter or fails; ConfigurationError for a picture that
    it cannot send.
    """
    with wait_for_flowgraph(attach, Role.TRANSMITTER) as connection, StopSignals() as signals:
        sent = SentPictures(lines=not as_json)
        sender = _Sender(connection, timeout_s, signals.stopped, sent)
        finished = sender.send_all(pictures, codec)
        summary = {
            "config": {"command": command_line(), **codec.describe(), **config},
            "radio": describe_flowgraph(connection),
            "counts": sender.counts,
            **sent.describe(finished, refused=sender.refused, under_way=sender.under_way),
        }
    if as_json:
        typer.echo(json_bytes(summary), nl=False)
    else:
        typer.echo(printable(_line(summary)))
    return 0 if (finished or endless) and not sender.refused else 1


def _line(summary: dict[str, Any]) -> str:
    total = summary["summary"]
    parts = [
        f"{total['pictures']} pictures in {total['bursts']} bursts sent by flowgraph {summary['radio']['flowgraph']}"
    ]
    if total["refused"]:
        parts.append(f"{total['refused']} refused")
    if total["interrupted"]:
        parts.append("ended before the last one")
    if total["under_way"]:
        parts.append(f"{total['under_way']} more are with the flowgraph")
    return "; ".join(parts)


@dataclass(frozen=True)
class _UnderWay:
    """A picture that the flowgraph has and has not answered, and how long it takes on the air."""

    name: str
    payload: NDArray[np.uint8]
    airtime_s: float


class _Sender:
    """Turns pictures into frames and hands these to a flowgraph, which answers each when it is out."""

    def __init__(
        self, connection: FlowgraphConnection, timeout_s: float, stopped: Callable[[], bool], sent: SentPictures
    ) -> None:
        chain = chain_from_settings(connection.peer.capabilities)
        if not isinstance(chain, BurstChain):
            raise LinkError(f"flowgraph {connection.name} says that it transmits, but not its samples_per_symbol")
        self._chain = chain
        self._symbol_rate_hz = _symbol_rate_hz(connection)
        self._connection, self._timeout_s, self._stopped, self._sent = connection, timeout_s, stopped, sent
        self._next = 0
        self._under_way: dict[int, _UnderWay] = {}
        self._until = 0.0
        self._malformed = self._unexpected = 0
        #: Pictures that the flowgraph did not send.
        self.refused = 0

    @property
    def under_way(self) -> int:
        """Pictures that the flowgraph has not answered yet."""
        return len(self._under_way)

    @property
    def counts(self) -> dict[str, int]:
        """What came from the flowgraph besides its answers."""
        malformed = self._malformed + self._connection.messages_not_understood
        return {"malformed": malformed, "unexpected": self._unexpected}

    def send_all(self, pictures: Iterator[LoadedImage], codec: Codec) -> bool:
        """Send until the end, and all are answered, True; or until stopped, False."""
        try:
            finished = self._send_while_not_stopped(pictures, codec)
            if not finished:
                self._take_what_is_there()
            return finished
        except LinkError as error:
            reason = self._connection.failure() or str(error)
            self._take_what_is_there()
            raise LinkError(
                f"flowgraph {self._connection.name}: {reason}; {self._sent.pictures} pictures were sent, of "
                f"{self.under_way} more it is not known"
            ) from error

    def _send_while_not_stopped(self, pictures: Iterator[LoadedImage], codec: Codec) -> bool:
        for picture in pictures:
            # Encoded while the ones before are on the air.
            if self._stopped() or not self._send(picture, codec):
                return False
        return self._wait_for_answers(most=0)

    def _take_what_is_there(self) -> None:
        """Take the answers that have come, also of a flowgraph that has died since."""
        for pdu in itertools.islice(self._connection.drain(), _MOST_AT_THE_END):
            self._take(pdu)

    def _send(self, picture: LoadedImage, codec: Codec) -> bool:
        encoded = codec.encode(picture.pixels)
        frame = Frame(encoded.header, encoded.bits)
        self._chain.check(frame)
        symbols = self._chain.account(frame, None).channel_uses
        if not self._wait_for_answers(most=WINDOW - 1):
            return False
        self._connection.send(frame_to_pdu(self._next, frame), self._timeout_s)
        self._under_way[self._next] = _UnderWay(picture.name, encoded.bits, symbols / self._symbol_rate_hz)
        self._next += 1
        self._begin_to_wait()
        return True

    def _begin_to_wait(self) -> None:
        airtime = sum(one.airtime_s for one in self._under_way.values())
        self._until = time.monotonic() + self._timeout_s + airtime

    def _wait_for_answers(self, most: int) -> bool:
        """Wait until no more than so many pictures are under way; False when told to stop."""
        while len(self._under_way) > most:
            if self._stopped():
                return False
            pdu = self._connection.poll(_SLICE_S)
            if pdu is not None and self._take(pdu):
                self._begin_to_wait()
            elif time.monotonic() > self._until:
                raise LinkError(
                    f"it has not said for {self._timeout_s:g} s and the time on the air that a frame is out; "
                    "see whether its radio takes samples"
                )
        return True

    def _take(self, pdu: Pdu) -> bool:
        """Enter the outcome of a picture; False for a PDU that is no answer."""
        try:
            answer = received_from_pdu(pdu)
        except FormatError:
            self._malformed += 1
            return False
        one = self._under_way.pop(answer.number, None)
        if one is None:
            self._unexpected += 1
            return False
        # A transmitter cannot know what arrives; it says how many bursts it has sent, or none of them.
        bursts = answer.frame.stats.fragments_sent
        self._sent.bursts += bursts
        if bursts:
            self._sent.add(one.name, None, bursts, one.payload)
        else:
            self.refused += 1
            typer.echo(printable(f"{one.name}: refused by flowgraph {self._connection.name}; see its output"), err=True)
        return True


def _symbol_rate_hz(connection: FlowgraphConnection) -> float:
    """Symbols per second, by what the flowgraph says; raises LinkError where that makes no sense."""
    settings = connection.peer.capabilities
    try:
        waveform = Waveform(settings["samples_per_symbol"], settings["sample_rate_hz"])  # type: ignore[arg-type]
        return waveform.sample_rate_hz / waveform.samples_per_symbol
    except (KeyError, TypeError, ValueError) as error:
        raise LinkError(f"flowgraph {connection.name} does not say how fast it sends ({error})") from None
