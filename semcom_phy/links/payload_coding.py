"""The channel code of a frame's payload: the turbo code of TS 36.212, or nothing but a CRC."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from semcom_phy.coding import crc
from semcom_phy.coding.transport import TurboCode
from semcom_phy.errors import ConfigurationError
from semcom_phy.modulation import hard_decisions


@dataclass(frozen=True)
class DecodedPayload:
    """A payload of n bits after its decoder; damaged ones are delivered all the same.

    `bits`: (n,) uint8. `llrs`: (n,) float32, ``ln P(b=1)/P(b=0)``, a-posteriori where there is a decoder.
    `block_ok`: (C,) bool, the CRC verdict of each code block; without a code the one CRC24A.
    """

    bits: npt.NDArray[np.uint8]
    llrs: npt.NDArray[np.float32]
    block_ok: npt.NDArray[np.bool_]


def payload_coded_length(payload_bits: int, fec: str, turbo: TurboCode) -> int:
    """Return the number of coded bits of a payload of `payload_bits` ≥ 1 with `fec` "turbo" or "none".

    Raises ConfigurationError for a rate that so short a payload cannot have.
    """
    return turbo.coded_length(payload_bits) if fec == "turbo" else payload_bits + crc.CRC24A.length


def encode_payload(
    payload: npt.NDArray[np.uint8], fec: str, turbo: TurboCode, redundancy_version: int = 0
) -> npt.NDArray[np.uint8]:
    """Encode the payload (n,) of 0/1 into ``payload_coded_length(n, fec, turbo)`` bits, uint8.

    Raises ConfigurationError for what is no payload, or a rate or redundancy version that it cannot have.
    """
    if fec == "turbo":
        return turbo.encode(payload, redundancy_version)
    return crc.attach(payload, crc.CRC24A)


def decode_payload(
    llrs: npt.NDArray[np.float32], payload_bits: int, fec: str, turbo: TurboCode, redundancy_version: int = 0
) -> DecodedPayload:
    """Decode a payload of `payload_bits` bits from the LLRs of its coded bits, positive for bit 1.

    Raises ConfigurationError when their number is not ``payload_coded_length(payload_bits, fec, turbo)``.
    """
    if fec == "turbo":
        output = turbo.decode(llrs, payload_bits, redundancy_version)
        return DecodedPayload(output.bits, output.llrs, output.block_ok)
    if llrs.shape != (payload_bits + crc.CRC24A.length,):
        raise ConfigurationError(
            f"{payload_bits} payload bits and their CRC have {payload_bits + crc.CRC24A.length} LLRs, not {llrs.shape}"
        )
    bits = hard_decisions(llrs)
    return DecodedPayload(bits[:payload_bits], llrs[:payload_bits], np.array([bool(crc.check(bits, crc.CRC24A))]))
