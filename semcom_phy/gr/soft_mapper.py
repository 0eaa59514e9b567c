"""GNU Radio block: bits → symbols."""

from __future__ import annotations

import numpy as np

from semcom_phy.gr.metadata import MAX_FRAME_BITS
from semcom_phy.gr.pdu_block import PduBlock
from semcom_phy.links.frame_pdus import bits_of, frame_number
from semcom_phy.modulation import MODULATIONS
from semcom_phy.zmq import Pdu


class SoftMapper(PduBlock):
    """Bits in, symbols of mean energy 1 out.

    `modulation`: "bpsk", "qpsk" or "16qam" (ConfigurationError for others).
    """

    def __init__(self, modulation: str = "bpsk") -> None:
        PduBlock.__init__(self, "Soft Mapper")
        self._modulation = MODULATIONS[modulation]

    def process(self, pdu: Pdu) -> Pdu:
        """See `PduBlock.process`."""
        frame_number(pdu)
        return Pdu(pdu.metadata, self._modulation.modulate(bits_of(pdu, MAX_FRAME_BITS), np.complex64))
