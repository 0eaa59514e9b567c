"""GNU Radio block: received frames of an Image PDU Source as a PNG file."""

from __future__ import annotations

import pmt

from semcom_phy.gr.image_frames import pixels_of, write_png
from semcom_phy.gr.pdu_block import IN, MessageBlock
from semcom_phy.links.frame_pdus import received_from_pdu
from semcom_phy.zmq import Pdu


class ImagePduSink(MessageBlock):
    """Sink ``in`` of received frames. Each image replaces the file before; who opens it finds a whole image.

    A lost frame leaves the file as it is and is counted in `lost`. `path`: the PNG file.
    """

    def __init__(self, path: str) -> None:
        MessageBlock.__init__(self, "Image PDU Sink", [IN], [])
        self._path = path
        self.lost = 0
        self.set_msg_handler(pmt.intern(IN), self.handle)

    def handle(self, message: pmt.pmt_base) -> None:
        """Handle a message at ``in``."""
        self.guarded(message, self._write)

    def _write(self, pdu: Pdu) -> None:
        frame = received_from_pdu(pdu).frame
        if frame.header is None:
            self.lost += 1
        else:
            write_png(self._path, pixels_of(frame))
