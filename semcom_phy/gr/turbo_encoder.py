"""GNU Radio block: the turbo code of 3GPP TS 36.212 over the payloads of frames."""

from __future__ import annotations

import numpy as np

from semcom_phy.coding.rate_matching import REDUNDANCY_VERSIONS
from semcom_phy.coding.transport import TurboCode
from semcom_phy.errors import ConfigurationError
from semcom_phy.gr.metadata import FEC, PAYLOAD_BITS, RATE_CODE, REDUNDANCY_VERSION
from semcom_phy.gr.pdu_block import PduBlock
from semcom_phy.links.frame_pdus import frame_from_pdu
from semcom_phy.links.payload_coding import encode_payload
from semcom_phy.zmq import Pdu, PmtValue


class TurboEncoder(PduBlock):
    """Payload bits in, coded bits out; how they are coded goes along in the metadata.

    `rate`: payload bits per coded bit, 1/8 … 0.95; None or 0 sends the mother code whole, about 1/3.
    `redundancy_version`: 0 … 3, for a code with a rate. Raises ConfigurationError for values out of range.
    """

    def __init__(self, rate: float | None = None, redundancy_version: int = 0) -> None:
        PduBlock.__init__(self, "Turbo Encoder")
        self._turbo = TurboCode(rate=rate or None)
        if redundancy_version not in range(REDUNDANCY_VERSIONS if rate else 1):
            raise ConfigurationError(
                f"redundancy versions 1 to 3 are for a turbo code with a rate, not {redundancy_version} here"
            )
        self._redundancy_version = redundancy_version
        self._turbo.encode(np.zeros(1000, np.uint8), redundancy_version)  # compiles its kernels before a frame comes

    def process(self, pdu: Pdu) -> Pdu:
        """See `PduBlock.process`."""
        _, frame = frame_from_pdu(pdu)
        coded = encode_payload(frame.payload, "turbo", self._turbo, self._redundancy_version)
        code: dict[str, PmtValue] = {
            FEC: "turbo",
            PAYLOAD_BITS: frame.payload.size,
            RATE_CODE: self._turbo.rate_code,
            REDUNDANCY_VERSION: self._redundancy_version,
        }
        return Pdu({**pdu.metadata, **code}, coded)
