"""`semcom rx --attach`: pictures out of a flowgraph that receives."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from semcom_app.commands.attaching import command_line, describe_flowgraph, wait_for_flowgraph
from semcom_app.received_pictures import Limits, PictureFolder, frames_text
from semcom_app.reception import PictureDecoder
from semcom_app.streaming import StopSignals
from semcom_phy.errors import FormatError, LinkError
from semcom_phy.flowgraph.connection import FlowgraphConnection
from semcom_phy.links.frame_pdus import received_from_pdu
from semcom_phy.links.roles import Role
from semcom_phy.zmq import Pdu

_SLICE_S: Final = 0.25


def receive_attached(
    attach: str, decoder: PictureDecoder, folder: PictureFolder, limits: Limits, config: dict[str, Any]
) -> int:
    """Wait for the flowgraph and receive until a limit or a signal; exit code as of `semcom rx`.

    `config`: what is to be remembered of the options. Raises LinkError if the flowgraph does not come, is no receiver
    or fails, and when there was no frame.
    """
    with wait_for_flowgraph(attach, Role.RECEIVER) as connection, StopSignals() as signals:
        reception = _Reception(connection, decoder, folder)
        failure = reception.listen(limits, signals.stopped)
        summary = folder.write_result({"command": command_line(), **config}, reception.statistics, {})
    total, counts = summary["summary"], summary["counts"]
    lines = [f"{total['elapsed_s']:.3g} s at flowgraph {connection.name}; {frames_text(total)}"]
    if any(counts.values()):
        lines.append(f"flowgraph: {counts['malformed']} messages not understood, {counts['lost']} lost")
    reason = total["problem"] or f"flowgraph {connection.name} gave no frame in {total['elapsed_s']:.3g} s"
    return folder.conclude(summary, lines, limits, failure, f"no picture: {reason}")


class _Reception:
    """The PDUs of a flowgraph, to pictures and statistics as they come."""

    def __init__(self, connection: FlowgraphConnection, decoder: PictureDecoder, folder: PictureFolder) -> None:
        self._connection, self._decoder, self._folder = connection, decoder, folder
        self._malformed = 0
        self._interrupted = False
        self._problem: str | None = None
        self._began = time.monotonic()

    def listen(self, limits: Limits, stopped: Callable[[], bool]) -> LinkError | None:
        """Receive until a limit or `stopped()`; return what the flowgraph failed of, if it did."""
        heard = self._began
        while not self._folder.enough(limits):
            if stopped():
                self._interrupted = True
                break
            now = time.monotonic()
            if limits.duration_s is not None and now - self._began >= limits.duration_s:
                break
            if limits.timeout_s is not None and now - heard > limits.timeout_s:
                self._problem = f"the flowgraph has given no frame for {limits.timeout_s:g} s"
                break
            self._folder.write_statistics(self.statistics)
            try:
                pdu = self._connection.poll(_SLICE_S)
            except LinkError as error:
                return self._after_failure(limits, self._connection.failure() or str(error))
            if pdu is not None and self._take(pdu):
                heard = time.monotonic()
        return None

    def _after_failure(self, limits: Limits, reason: str) -> LinkError:
        for pdu in self._connection.drain():  # what it gave before it died
            if self._folder.enough(limits):
                break
            self._take(pdu)
        self._problem = f"flowgraph {self._connection.name}: {reason}"
        return LinkError(self._problem)

    def _take(self, pdu: Pdu) -> bool:
        """Decode and write the picture of a received frame; False for a PDU that is none."""
        try:
            received = received_from_pdu(pdu)
        except FormatError:
            self._malformed += 1
            return False
        self._folder.keep(self._decoder.decode_pdu(received))
        return True

    def statistics(self) -> dict[str, Any]:
        """What has happened so far."""
        connection = self._connection
        elapsed = time.monotonic() - self._began
        return {
            "radio": describe_flowgraph(connection),
            "counts": {
                "malformed": self._malformed + connection.messages_not_understood,
                "lost": connection.messages_lost,
            },
            "summary": {
                **self._folder.totals,
                "elapsed_s": elapsed,
                "interrupted": self._interrupted,
                "problem": self._problem,
            },
        }
