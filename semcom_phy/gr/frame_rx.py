"""GNU Radio block: takes a received frame apart."""

from __future__ import annotations

from typing import Any

import numpy as np

from semcom_phy.coding.transport import TurboCode
from semcom_phy.gr.metadata import (
    CHANNEL_KEYS,
    CODE_KEYS,
    FEC,
    MAX_FRAME_BITS,
    PAYLOAD_BITS,
    RATE_CODE,
    REDUNDANCY_VERSION,
    SYMBOLS,
    gain_of,
    symbols_of,
    without,
)
from semcom_phy.gr.pdu_block import PduBlock
from semcom_phy.links.frame_pdus import (
    BLOCK_OK,
    HEADER,
    frame_number,
    hard_metadata,
    llrs_of,
    lost_pdu,
)
from semcom_phy.links.framing import SIGNALLING_SYMBOLS, FrameParts, disassemble_frame, measured_esn0_db
from semcom_phy.links.payload_coding import decode_payload
from semcom_phy.modulation import MODULATIONS, hard_decisions
from semcom_phy.zmq import Pdu, PmtValue


class FrameRx(PduBlock):
    """LLRs of all bits of a frame in; LLRs of the payload out, or of its coded bits, for a decoder to follow.

    What it needs to know stands in the frame: code, sizes, header. Without a code it checks the payload's CRC itself. A
    frame whose signalling field or header cannot be read is lost, and goes on as such. The hard decisions of all bits
    go along, and Es/N0 measured over the symbols of the header.

    `modulation`: that of the mapper (ConfigurationError for unknown ones).
    """

    def __init__(self, modulation: str = "bpsk") -> None:
        PduBlock.__init__(self, "Frame RX")
        self._modulation = MODULATIONS[modulation]
        # So that the kernels of the headers' decoder are compiled (seconds, the first time) before a frame comes.
        disassemble_frame(np.ones(SIGNALLING_SYMBOLS, np.float32))

    def process(self, pdu: Pdu) -> Pdu:
        """See `PduBlock.process`."""
        number = frame_number(pdu)
        llrs = llrs_of(pdu, MAX_FRAME_BITS)
        metadata = without(pdu, HEADER, BLOCK_OK, *CODE_KEYS, *CHANNEL_KEYS) | hard_metadata(hard_decisions(llrs))
        parts = disassemble_frame(llrs, self._modulation.bits_per_symbol)
        if parts is None:
            return lost_pdu(number, metadata)
        metadata |= self._measured(pdu, parts)
        metadata[HEADER] = np.frombuffer(parts.header, np.uint8)
        signalling = parts.signalling
        if signalling.fec == "none":
            decoded = decode_payload(parts.payload_llrs, signalling.payload_bits, signalling.fec, TurboCode())
            return Pdu(metadata | {BLOCK_OK: decoded.block_ok.astype(np.uint8)}, decoded.llrs)
        code: dict[str, PmtValue] = {
            FEC: signalling.fec,
            PAYLOAD_BITS: signalling.payload_bits,
            RATE_CODE: signalling.rate_code,
            REDUNDANCY_VERSION: signalling.redundancy_version,
        }
        return Pdu(metadata | code, parts.payload_llrs)

    def _measured(self, pdu: Pdu, parts: FrameParts) -> dict[str, Any]:
        """Es/N0, where the symbols are at hand."""
        if SYMBOLS not in pdu.metadata:
            return {}
        received = symbols_of(pdu.metadata[SYMBOLS], pdu.vector.size // self._modulation.bits_per_symbol)
        gain = gain_of(Pdu(pdu.metadata, received))
        esn0_db = measured_esn0_db(received, gain, parts, self._modulation)
        return {} if esn0_db is None else {"esn0_measured_db": esn0_db}
