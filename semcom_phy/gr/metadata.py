"""Metadata of the PDUs between the blocks: names, and reading with bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from semcom_phy.coding.transport import FEC_CODES, MAX_RATE_CODE
from semcom_phy.errors import FormatError
from semcom_phy.links.frame_pdus import BLOCK_OK, FRAME, HEADER
from semcom_phy.links.framing import MAX_PAYLOAD_BITS
from semcom_phy.zmq import Pdu, PmtValue

FEC: Final = "fec"
PAYLOAD_BITS: Final = "payload_bits"
RATE_CODE: Final = "rate_code"
REDUNDANCY_VERSION: Final = "redundancy_version"
NOISE_VARIANCE: Final = "noise_variance"
GAIN: Final = "gain"
SYMBOLS: Final = "symbols"
ESN0_DB: Final = "esn0_db"
#: Set by the application's socket: whose frame it is. It goes round with the frame.
SESSION: Final = "session"

#: What says how a payload is coded; it lies between the encoder and Frame TX, and between Frame RX and the decoder.
CODE_KEYS: Final = (FEC, PAYLOAD_BITS, RATE_CODE, REDUNDANCY_VERSION)
#: What describes the channel to the receiver, up to Frame RX.
CHANNEL_KEYS: Final = (NOISE_VARIANCE, GAIN, SYMBOLS)
#: Coded bits of a frame, at most: the longest payload at the lowest rate, and more.
MAX_FRAME_BITS: Final = 1 << 28


def without(pdu: Pdu, *keys: str) -> dict[str, PmtValue]:
    """The metadata of a PDU but for these keys."""
    return {key: value for key, value in pdu.metadata.items() if key not in keys}


def is_lost(pdu: Pdu) -> bool:
    """Tell whether a PDU says that its frame is lost: a number, and an empty vector."""
    return FRAME in pdu.metadata and pdu.vector.size == 0


def lost(pdu: Pdu) -> Pdu:
    """The PDU of a lost frame as it goes on from block to block; `pdu` is one already, or became one here."""
    kept = without(pdu, HEADER, BLOCK_OK, *CODE_KEYS, *CHANNEL_KEYS)
    return Pdu(kept, np.empty(0, np.float32))


def integer(pdu: Pdu, key: str, low: int, high: int) -> int:
    """An integer from the metadata, or FormatError."""
    value = pdu.metadata.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise FormatError(f"the PDU needs {key!r} in its metadata, from {low} to {high}")
    return int(value)


def number(metadata: Mapping[str, PmtValue], key: str) -> float:
    """A real number, not NaN, from the metadata, or FormatError."""
    value = metadata.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise FormatError(f"the PDU needs {key!r} in its metadata, a number")
    return float(value)


def code_of(pdu: Pdu) -> tuple[str, int, int, int]:
    """How the payload of a PDU is coded: fec, payload bits, rate code, redundancy version; or FormatError."""
    fec = pdu.metadata.get(FEC)
    if not isinstance(fec, str) or fec not in FEC_CODES:
        raise FormatError(f"{FEC!r} in the metadata of a PDU is one of {', '.join(FEC_CODES)}")
    return (
        fec,
        integer(pdu, PAYLOAD_BITS, 1, MAX_PAYLOAD_BITS),
        integer(pdu, RATE_CODE, 0, MAX_RATE_CODE),
        integer(pdu, REDUNDANCY_VERSION, 0, 3),
    )


def symbols_of(vector: object, count: int | None = None) -> npt.NDArray[np.complex64]:
    """A c32vector (n,) of finite symbols, n ≥ 1 or = `count`, from a PDU, or FormatError."""
    if (
        not isinstance(vector, np.ndarray)
        or vector.dtype != np.complex64
        or not 1 <= vector.size <= MAX_FRAME_BITS
        or count not in (None, vector.size)
        or not np.isfinite(vector).all()
    ):
        raise FormatError(f"the PDU needs a c32vector of {count or '1 or more'} finite symbols")
    return vector


def gain_of(pdu: Pdu) -> npt.NDArray[Any] | complex:
    """The channel gain of each symbol of a PDU of symbols: one of each, or 1 where the metadata tell none."""
    value = pdu.metadata.get(GAIN)
    return 1.0 + 0.0j if value is None else symbols_of(value, pdu.vector.size)
