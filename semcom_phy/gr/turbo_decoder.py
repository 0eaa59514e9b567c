"""GNU Radio block: the decoder of the turbo code of 3GPP TS 36.212."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np

from semcom_phy.coding.transport import TurboCode
from semcom_phy.gr.metadata import CODE_KEYS, FEC, MAX_FRAME_BITS, code_of, without
from semcom_phy.gr.pdu_block import PduBlock
from semcom_phy.gr.trial import try_decoder, try_decoder_elsewhere
from semcom_phy.links.frame_pdus import BLOCK_OK, frame_number, llrs_of
from semcom_phy.links.payload_coding import decode_payload
from semcom_phy.zmq import Pdu


class TurboDecoder(PduBlock):
    """LLRs of coded bits in, a-posteriori LLRs of the payload out, with the CRC verdict of each code block.

    Rate and redundancy version are those that the frame names. Frames without a code pass as they are.

    `iterations`: 1 … 1000, at most; `early_stop`: a block is finished as soon as its CRC holds. `algorithm`: one of
    `semcom_phy.coding.decoders.ALGORITHMS`; `backend`: "auto", "numba" or "numpy". All but the back end can be set
    while the flowgraph runs. Raises ConfigurationError for values out of range.
    """

    def __init__(
        self, iterations: int = 5, algorithm: str = "log-map", backend: str = "auto", early_stop: bool = True
    ) -> None:
        PduBlock.__init__(self, "Turbo Decoder")
        self._setting = threading.Lock()
        self._turbo = TurboCode(backend=backend)
        # Names and numbers are checked, and kernels compiled, before a frame comes.
        self._set(iterations=iterations, algorithm=algorithm, early_stop=early_stop)

    def set_iterations(self, iterations: int) -> None:
        """Decoder iterations, at most, from the next frame on."""
        self._set(iterations=iterations)

    def set_algorithm(self, algorithm: str) -> None:
        """How the decoder computes max*, from the next frame on; the first time on a machine, this takes seconds."""
        if algorithm != self._turbo.algorithm:
            try_decoder_elsewhere(replace(self._turbo, algorithm=algorithm))
        self._set(algorithm=algorithm)

    def set_early_stop(self, early_stop: bool) -> None:
        """Whether a block is finished as soon as its CRC holds, from the next frame on."""
        self._set(early_stop=early_stop)

    def process(self, pdu: Pdu) -> Pdu:
        """See `PduBlock.process`."""
        frame_number(pdu)
        if FEC not in pdu.metadata:
            return pdu
        fec, payload_bits, rate_code, redundancy_version = code_of(pdu)
        turbo = self._turbo.with_rate_code(rate_code)
        decoded = decode_payload(llrs_of(pdu, MAX_FRAME_BITS), payload_bits, fec, turbo, redundancy_version)
        return Pdu(without(pdu, *CODE_KEYS) | {BLOCK_OK: decoded.block_ok.astype(np.uint8)}, decoded.llrs)

    def _set(self, **changes: Any) -> None:
        with self._setting:
            turbo = replace(self._turbo, **changes)
            try_decoder(turbo)
            self._turbo = turbo
