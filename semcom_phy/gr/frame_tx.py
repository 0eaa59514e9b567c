"""GNU Radio block: puts signalling field, header and coded payload of a frame together."""

from __future__ import annotations

from semcom_phy.coding.transport import TurboCode
from semcom_phy.errors import FormatError
from semcom_phy.gr.metadata import CODE_KEYS, FEC, MAX_FRAME_BITS, code_of, without
from semcom_phy.gr.pdu_block import PduBlock
from semcom_phy.links.frame_pdus import HEADER, bits_of, frame_from_pdu, frame_number, header_bytes
from semcom_phy.links.framing import Signalling, assemble_frame
from semcom_phy.links.payload_coding import encode_payload
from semcom_phy.modulation import MODULATIONS
from semcom_phy.zmq import Pdu


class FrameTx(PduBlock):
    """Payload or coded bits in, all bits of the frame out, in the order in which they are sent.

    A payload that no encoder has coded gets a CRC and no other protection (fec "none"). Header and code leave the
    metadata here: the receiver has to read them from the frame.

    `interleave`: permute the coded payload over the whole frame. `modulation`: that of the mapper, whose symbols the
    frame fills. Raises ConfigurationError for an unknown modulation.
    """

    def __init__(self, interleave: bool = False, modulation: str = "bpsk") -> None:
        PduBlock.__init__(self, "Frame TX")
        self._interleave = bool(interleave)
        self._bits_per_symbol = MODULATIONS[modulation].bits_per_symbol

    def process(self, pdu: Pdu) -> Pdu:
        """See `PduBlock.process`."""
        frame_number(pdu)
        header = header_bytes(pdu)
        if header is None:
            raise FormatError("the PDU of a frame to be sent needs a header, a u8vector")
        if FEC in pdu.metadata:
            fec, payload_bits, rate_code, redundancy_version = code_of(pdu)
            coded = bits_of(pdu, MAX_FRAME_BITS)
        else:
            _, frame = frame_from_pdu(pdu)
            fec, payload_bits, rate_code, redundancy_version = "none", frame.payload.size, 0, 0
            coded = encode_payload(frame.payload, fec, TurboCode())
        signalling = Signalling(fec, self._interleave, len(header), payload_bits, rate_code, redundancy_version)
        bits = assemble_frame(signalling, header, coded, self._bits_per_symbol)
        return Pdu(without(pdu, HEADER, *CODE_KEYS), bits)
