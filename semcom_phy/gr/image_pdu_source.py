"""GNU Radio block: an image file as frames, to try a flowgraph out without an application."""

from __future__ import annotations

import pmt

from semcom_phy.gr.image_frames import frame_of, read_image
from semcom_phy.gr.messages import message_from_pdu
from semcom_phy.gr.pdu_block import OUT, MessageBlock
from semcom_phy.links.frame_pdus import frame_to_pdu

NEXT = "next"


class ImagePduSource(MessageBlock):
    """Source ``out`` of frames, each the raw pixels of one image; every message at ``next`` asks for the next frame.

    Connect a Message Strobe to ``next`` for frames at an interval, or the end of the chain for the next frame as soon
    as one is through; then `start_at_once` sends the first one.

    `path`: an image file; `pixel_format`: "grey" or "rgb". Raises ConfigurationError for a file that is no image or is
    too large for a frame.
    """

    def __init__(self, path: str, pixel_format: str = "grey", start_at_once: bool = True) -> None:
        MessageBlock.__init__(self, "Image PDU Source", [NEXT], [OUT])
        self._frame = frame_of(read_image(path, pixel_format))
        self._start_at_once = bool(start_at_once)
        self._number = 0
        self.set_msg_handler(pmt.intern(NEXT), self.handle_next)

    def start(self) -> bool:
        """Send the first frame, if nobody is to ask for it."""
        if self._start_at_once:
            self.handle_next(pmt.PMT_NIL)
        return True

    def handle_next(self, message: pmt.pmt_base) -> None:
        """Handle a message at ``next``, whatever it says."""
        frame = frame_to_pdu(self._number, self._frame)
        self._number += 1
        self.message_port_pub(pmt.intern(OUT), message_from_pdu(frame))
