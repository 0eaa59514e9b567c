"""GNU Radio block: the application's frames come in here, and what was received goes back to it."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import pmt

from semcom_phy import __version__
from semcom_phy.errors import LinkError, SemcomError
from semcom_phy.gr.block_watch import BlockWatch
from semcom_phy.gr.messages import message_from_pdu, without_entry
from semcom_phy.gr.metadata import SESSION
from semcom_phy.gr.pdu_block import MessageBlock
from semcom_phy.links.frame_pdus import check_received, frame_from_pdu, frame_number, lost_pdu
from semcom_phy.zmq import FlowgraphEnd, LinkAddresses, Pdu, PmtValue, encode
from semcom_phy.zmq.addresses import checked_address
from semcom_phy.zmq.sockets import SEQUENCE_KEY

FRAMES = "frames"
RECEIVED = "received"
#: How long a received frame waits for an application that does not read, before it is dropped.
PATIENCE_S = 2.0


class Application(MessageBlock):
    """Source ``frames`` and sink ``received``: the flowgraph's end of the link to the application.

    It connects to the four addresses, which the application has bound or will bind, and takes part in the session of
    whoever says hello. A thread of its own does the ZeroMQ work and answers the application's watchdog, whatever the
    other blocks are doing. Frames and answers are checked and go on as they are; what is neither is counted and, if it
    says which frame it was, reported as lost. Answers to frames of an earlier session are dropped. When any block of
    the flowgraph has died, the application is told so with the next answer to its watchdog.

    `flowgraph`: its name, which the application is told, together with `settings`: a dict of what the link needs to
    know (keys as in `Link.describe`, values str, int, float, bool or None). Addresses: ``tcp://127.0.0.1:PORT`` or
    ``ipc://PATH``.
    """

    def __init__(
        self,
        flowgraph: str,
        data_to_flowgraph: str = "tcp://127.0.0.1:29001",
        data_from_flowgraph: str = "tcp://127.0.0.1:29002",
        control_to_flowgraph: str = "tcp://127.0.0.1:29003",
        control_from_flowgraph: str = "tcp://127.0.0.1:29004",
        settings: Mapping[str, PmtValue] | None = None,
    ) -> None:
        MessageBlock.__init__(self, "Application", [RECEIVED], [FRAMES])
        self._addresses = LinkAddresses(
            data_to_flowgraph, data_from_flowgraph, control_to_flowgraph, control_from_flowgraph
        )
        self._capabilities = {"flowgraph": flowgraph, "version": __version__, **(settings or {})}
        self._watch = BlockWatch()
        self._end: FlowgraphEnd | None = None
        self._thread: threading.Thread | None = None
        #: Answers that nobody waits for: no session, or another one than that of the frame.
        self.unclaimed = 0
        self.set_msg_handler(pmt.intern(RECEIVED), self.handle_received)
        # Wrong addresses and settings are to be known now, not when the flowgraph starts.
        for address in self._addresses.as_arguments():
            checked_address(address, bind=False)
        encode(self._capabilities)

    def start(self) -> bool:
        """Connect. GNU Radio calls it when the flowgraph starts."""
        self._end = FlowgraphEnd(
            self._addresses, capabilities=self._capabilities, failure=self._watch.failure, keep=True
        )
        self._thread = threading.Thread(target=self._serve, args=(self._end,), name="application", daemon=True)
        self._thread.start()
        return True

    def stop(self) -> bool:
        """Disconnect. GNU Radio calls it when the flowgraph stops."""
        if self._end is not None and self._thread is not None:
            self._end.stop()
            self._thread.join()
            self._end.close()
            self._end = self._thread = None
            self._watch.forget()
        return True

    def handle_received(self, message: pmt.pmt_base) -> None:
        """Handle a message at ``received``."""
        self.guarded(message, self._answer, self._hand_over, keep=True)

    def _serve(self, end: FlowgraphEnd) -> None:
        try:
            end.serve(self._take)
        except Exception as error:
            self.log.error(f"the link to the application has failed, start the flowgraph again: {error}")

    def _take(self, pdu: Pdu) -> list[Pdu]:
        """Pass on a frame that has come, in the thread of the link; return the answer to what is none."""
        try:
            frame_from_pdu(pdu)
            # The answer will have a number of its own, to be put in without looking for this one.
            self.message_port_pub(pmt.intern(FRAMES), without_entry(message_from_pdu(pdu), SEQUENCE_KEY))
        except SemcomError as error:
            self.report(str(error))
            try:
                return [lost_pdu(frame_number(pdu))]
            except SemcomError:
                return []  # nobody knows which frame that was
        return []

    def _answer(self, pdu: Pdu) -> None:
        check_received(pdu)
        self._hand_over(pdu)

    def _hand_over(self, pdu: Pdu) -> None:
        end = self._end
        session = None if end is None else end.responder.session
        if end is None or session is None or pdu.metadata.get(SESSION, session) != session:
            self.unclaimed += 1
            return
        try:
            end.post(pdu, PATIENCE_S)
        except LinkError as error:
            self.report(str(error))
