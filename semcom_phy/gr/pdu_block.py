"""The base of the blocks that take and give PDUs: no message, whatever it is, may end a flowgraph."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any, Final

import pmt
from gnuradio import gr

from semcom_phy.errors import FormatError, SemcomError
from semcom_phy.gr.messages import message_from_pdu, pdu_from_message
from semcom_phy.gr.metadata import SESSION, is_lost, lost
from semcom_phy.links.frame_pdus import frame_number, lost_pdu
from semcom_phy.zmq import Pdu

IN: Final = "in"
OUT: Final = "out"


class MessageBlock(gr.basic_block):
    """A block with message ports `inputs` and `outputs`, and, with signatures as GNU Radio has them, sample streams.

    In GNU Radio 3.10.5 an exception in a message handler ends the block's thread with a line in the log, and the
    flowgraph runs on, deaf. Handlers of subclasses do their work in `guarded`, which counts, logs and goes on.
    """

    def __init__(
        self, name: str, inputs: Iterable[str], outputs: Iterable[str], in_sig: Any = None, out_sig: Any = None
    ) -> None:
        gr.basic_block.__init__(self, name=name, in_sig=in_sig, out_sig=out_sig)
        self.log = gr.logger(f"semcom {name}")
        #: Messages that were handled, and messages that were none for this block or made it fail.
        self.handled = 0
        self.failed = 0
        for port in inputs:
            self.message_port_register_in(pmt.intern(port))
        for port in outputs:
            self.message_port_register_out(pmt.intern(port))

    def publish(self, port: str, pdu: Pdu) -> None:
        """Send a PDU to whoever is connected to an output."""
        self.message_port_pub(pmt.intern(port), message_from_pdu(pdu))

    def heard(self, port: str) -> bool:
        """Whether anything is connected to an output, once the flowgraph has started."""
        return bool(pmt.is_pair(self.to_basic_block().message_subscribers(pmt.intern(port))))

    def guarded(
        self,
        message: pmt.pmt_base,
        work: Callable[[Pdu], None],
        lose: Callable[[Pdu], None] = lambda pdu: None,
        *,
        keep: bool = False,
    ) -> None:
        """Give the PDU that a message is to `work`. Where that fails, give `lose` the PDU that says: frame lost.

        `lose` is called only if the message says which frame it belongs to. `keep`: see `decode_pdu`.
        """
        pdu = None
        try:
            pdu = pdu_from_message(message, keep=keep)
            work(pdu)
            self.handled += 1
        except SemcomError as error:
            self.report(str(error))
            self._lose(pdu, lose)
        except Exception as error:  # a fault of ours: as loud, but no end of the flowgraph
            self.report(f"{type(error).__name__}: {error}")
            self._lose(pdu, lose)

    def report(self, text: str) -> None:
        """Count a message that came to nothing; log the 1st, 2nd, 4th, 8th … of them, for there may be many."""
        self.failed += 1
        if self.failed & (self.failed - 1) == 0:
            self.log.warn(f"message not handled ({self.failed} in all): {text}")

    def _lose(self, pdu: Pdu | None, lose: Callable[[Pdu], None]) -> None:
        if pdu is None:
            return
        with contextlib.suppress(FormatError):  # no number: nobody waits for it
            session = pdu.metadata.get(SESSION)
            # What else stands there may be what is wrong with it.
            kept = {SESSION: session} if isinstance(session, str) else {}
            lose(lost_pdu(frame_number(pdu), kept))


class PduBlock(MessageBlock):
    """A block that makes one PDU of another: input ``in``, output ``out``. Subclasses say how, in `process`.

    Lost frames are passed on; a frame that `process` refuses is lost from here on.
    """

    def __init__(self, name: str) -> None:
        MessageBlock.__init__(self, name, [IN], [OUT])
        # GNU Radio finds the handler by the name of the method.
        self.set_msg_handler(pmt.intern(IN), self.handle)

    def process(self, pdu: Pdu) -> Pdu:
        """Return what leaves the block; SemcomError for what does not belong here."""
        raise NotImplementedError

    def handle(self, message: pmt.pmt_base) -> None:
        """Handle a message at ``in``."""
        self.guarded(message, self._work, self._publish)

    def _work(self, pdu: Pdu) -> None:
        if is_lost(pdu):
            frame_number(pdu)  # or else it is junk
            self._publish(lost(pdu))
        else:
            self._publish(self.process(pdu))

    def _publish(self, pdu: Pdu) -> None:
        self.publish(OUT, pdu)
