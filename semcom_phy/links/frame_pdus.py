"""Frames as PDUs: what the application and a GNU Radio flowgraph exchange.

===================  ==========================================================  ====================================
PDU                  metadata                                                    vector
===================  ==========================================================  ====================================
frame                ``frame`` (number), ``header`` (u8vector)                   payload bits, u8, 0/1
received             ``frame``; ``header`` and ``block_ok`` (u8vectors), unless  payload LLRs, f32; empty when lost
                     the frame is lost; ``hard`` (u8vector), ``hard_bits``
===================  ==========================================================  ====================================

``block_ok`` holds the CRC verdict of each code block, 0/1. ``hard`` holds the hard decisions of all coded bits of the
frame as received, eight to a byte, most significant bit first, and ``hard_bits`` says how many they are; a flowgraph
may leave both out. What the receiver measured is there under the names of `LinkStats`: see `MEASUREMENTS`. Keys that
are not in this table are for somebody else and are passed over.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeGuard

import numpy as np
import numpy.typing as npt

from semcom_phy.errors import ConfigurationError, FormatError
from semcom_phy.links.base import Frame, LinkStats, ReceivedFrame
from semcom_phy.links.framing import MAX_HEADER_BYTES
from semcom_phy.modulation import hard_decisions
from semcom_phy.zmq.pdu import Pdu
from semcom_phy.zmq.pmt import PmtValue, UInt64

FRAME: Final = "frame"
HEADER: Final = "header"
BLOCK_OK: Final = "block_ok"
HARD: Final = "hard"
HARD_BITS: Final = "hard_bits"
#: Fields of `LinkStats` that a receiver can know, and their types; what it does not know is absent.
MEASUREMENTS: Final[Mapping[str, type]] = {
    "esn0_db": float,
    "esn0_measured_db": float,
    "cfo_hz": float,
    "timing_offset_samples": float,
    "fragments_sent": int,
    "fragments_received": int,
}
#: Payload bits of a frame in a PDU. Its LLRs, and its hard decisions at rate 1/8, then fit the 64 MiB of a message.
MAX_PDU_BITS: Final = 13_000_000
_MAX_HARD_BITS: Final = 1 << 28
_MAX_NUMBER: Final = (1 << 64) - 1
_MAX_COUNT: Final = 1 << 32
_EXPONENT: Final = 0x7F80_0000  # of a float32

Bits = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class ReceivedPdu:
    """What came back for the frame of this number.

    `hard`: uint8 (n,), the hard decisions of all coded bits of the frame as they were received, or None where the
    flowgraph does not tell them; they exist for lost frames, too. `frame.stats` has the receiver's measurements and
    its counts of frames and blocks.
    """

    number: int
    frame: ReceivedFrame
    hard: Bits | None = None


def frame_to_pdu(number: int, frame: Frame) -> Pdu:
    """The PDU of a frame to be sent. Raises ConfigurationError for a frame that does not fit into one."""
    if not 0 <= number <= _MAX_NUMBER:
        raise ConfigurationError(f"the number of a frame is from 0 to 2^64 − 1, not {number}")
    if not 1 <= len(frame.header) <= MAX_HEADER_BYTES:
        raise ConfigurationError(f"a frame header has 1 to {MAX_HEADER_BYTES} bytes, not {len(frame.header)}")
    payload = frame.payload
    if payload.ndim != 1 or not 1 <= payload.size <= MAX_PDU_BITS or payload.dtype != np.uint8 or payload.max() > 1:
        raise ConfigurationError(f"a frame payload is a uint8 array of 1 to {MAX_PDU_BITS} bits 0/1")
    return Pdu({FRAME: UInt64(number), HEADER: np.frombuffer(frame.header, np.uint8)}, payload)


def frame_from_pdu(pdu: Pdu) -> tuple[int, Frame]:
    """Number and frame from the PDU of a frame to be sent. Raises FormatError for every other PDU."""
    number = frame_number(pdu)
    header = header_bytes(pdu)
    if header is None:
        raise FormatError("the PDU of a frame to be sent needs a header, a u8vector")
    return number, Frame(header, bits_of(pdu, MAX_PDU_BITS))


def received_to_pdu(received: ReceivedPdu) -> Pdu:
    """The PDU of a received frame. Raises ConfigurationError for a number out of range."""
    if not 0 <= received.number <= _MAX_NUMBER:
        raise ConfigurationError(f"the number of a frame is from 0 to 2^64 − 1, not {received.number}")
    metadata: dict[str, PmtValue] = {FRAME: UInt64(received.number)}
    frame = received.frame
    if frame.header is not None:
        metadata[HEADER] = np.frombuffer(frame.header, np.uint8)
        metadata[BLOCK_OK] = frame.block_ok.astype(np.uint8)
    if received.hard is not None:
        metadata |= hard_metadata(received.hard)
    metadata |= measurements_metadata(frame.stats)
    return Pdu(metadata, frame.payload_llrs)


def received_from_pdu(pdu: Pdu) -> ReceivedPdu:
    """The received frame of a PDU. Raises FormatError for every other PDU.

    The counts of frames and blocks in the statistics follow from header and `block_ok`; those of channel uses and of
    errors are for whoever knows what was sent.
    """
    parts = _received_parts(pdu)
    number, measured = parts.number, parts.measured
    hard = None if parts.hard is None else np.unpackbits(parts.hard, count=parts.hard_bits)
    if parts.header is None:
        return ReceivedPdu(number, ReceivedFrame.lost(LinkStats(frames_lost=1, **measured)), hard)
    header, llrs, verdicts = parts.header, pdu.vector.astype(np.float32, copy=False), parts.block_ok.astype(np.bool_)
    stats = LinkStats(
        frames_received=1, blocks=verdicts.size, blocks_failed=int(np.count_nonzero(~verdicts)), **measured
    )
    return ReceivedPdu(number, ReceivedFrame(header, hard_decisions(llrs), llrs, verdicts, stats), hard)


def check_received(pdu: Pdu) -> None:
    """Raise FormatError unless a PDU is that of a received frame; takes less time than to make the frame of it."""
    _received_parts(pdu)


def lost_pdu(number: int, metadata: Mapping[str, PmtValue] | None = None) -> Pdu:
    """The received PDU that says: the frame of this number is lost. `metadata`: measurements and hard decisions."""
    kept = {key: value for key, value in (metadata or {}).items() if key not in (HEADER, BLOCK_OK)}
    return Pdu(kept | {FRAME: UInt64(number)}, np.empty(0, np.float32))


def hard_metadata(hard: Bits) -> dict[str, PmtValue]:
    """The entries of a received PDU that hold the hard decisions (n,) of all coded bits."""
    return {HARD: np.packbits(hard), HARD_BITS: UInt64(hard.size)}


def measurements_metadata(stats: LinkStats) -> dict[str, PmtValue]:
    """The entries of a received PDU that hold what the receiver measured."""
    values = {name: getattr(stats, name) for name in MEASUREMENTS}
    # Zero bursts is what links without bursts count.
    return {
        name: kind(values[name])
        for name, kind in MEASUREMENTS.items()
        if values[name] is not None and not (kind is int and values[name] == 0)
    }


def frame_number(pdu: Pdu) -> int:
    """The number of the frame that a PDU belongs to; FormatError where there is none."""
    value = pdu.metadata.get(FRAME)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_NUMBER:
        raise FormatError(f"the PDU needs {FRAME!r} in its metadata, a number from 0 to 2^64 − 1")
    return int(value)


def header_bytes(pdu: Pdu) -> bytes | None:
    """The application's header in the metadata of a PDU, None where there is none; FormatError for wrong ones."""
    value = pdu.metadata.get(HEADER)
    if value is None:
        return None
    if not _is_vector(value, np.uint8, 1, MAX_HEADER_BYTES):
        raise FormatError(f"the {HEADER!r} of a frame is a u8vector of 1 to {MAX_HEADER_BYTES} bytes")
    return bytes(value.tobytes())


def bits_of(pdu: Pdu, most: int) -> Bits:
    """The vector of a PDU as bits: u8vector (n,) of 0/1, n from 1 to `most`. Raises FormatError for other vectors."""
    vector = pdu.vector
    if not _is_vector(vector, np.uint8, 1, most) or vector.max() > 1:
        raise FormatError(f"the PDU needs a u8vector of 1 to {most} bits, 0 or 1, one a byte")
    return vector


def llrs_of(pdu: Pdu, most: int) -> npt.NDArray[np.float32]:
    """The vector of a PDU as LLRs: f32vector (n,), finite, n from 1 to `most`. Raises FormatError for other vectors."""
    vector = pdu.vector
    if not _is_vector(vector, np.float32, 1, most) or not _all_finite(vector):
        raise FormatError(f"the PDU needs an f32vector of 1 to {most} finite LLRs")
    return vector


def _is_vector(value: object, dtype: npt.DTypeLike, fewest: int, most: int) -> TypeGuard[npt.NDArray[Any]]:
    return (
        isinstance(value, np.ndarray)
        and value.dtype.newbyteorder("=") == dtype
        and value.ndim == 1
        and fewest <= value.size <= most
    )


def _all_finite(values: npt.NDArray[np.float32]) -> bool:
    """Whether no value (n,) is infinite or NaN, in whatever byte order."""
    if values.dtype.isnative:
        return bool(np.isfinite(values).all())
    # Infinity and NaN have all bits of the exponent; to turn them all round would take three times as long.
    exponent = np.uint32(_EXPONENT).byteswap()
    return not ((values.view(np.uint32) & exponent) == exponent).any()


@dataclass(frozen=True)
class _ReceivedParts:
    """What the PDU of a received frame holds besides its vector, checked; `header` None: the frame is lost."""

    number: int
    hard: Bits | None
    hard_bits: int
    measured: dict[str, Any]
    header: bytes | None = None
    block_ok: Bits = field(default_factory=lambda: np.empty(0, np.uint8))


def _received_parts(pdu: Pdu) -> _ReceivedParts:
    known = (frame_number(pdu), *_hard(pdu), _measurements(pdu))
    header = header_bytes(pdu)
    if header is None:
        if pdu.vector.size:
            raise FormatError("the PDU of a lost frame has an empty vector; a received one needs its header")
        return _ReceivedParts(*known)
    llrs = llrs_of(pdu, MAX_PDU_BITS)
    block_ok = pdu.metadata.get(BLOCK_OK)
    if not _is_vector(block_ok, np.uint8, 1, llrs.size) or block_ok.max() > 1:
        raise FormatError(
            f"the PDU of a received frame needs {BLOCK_OK}, a u8vector of 0/1 for each of its code blocks"
        )
    return _ReceivedParts(*known, header, block_ok)


def _hard(pdu: Pdu) -> tuple[Bits | None, int]:
    """The packed hard decisions, and how many they are."""
    packed = pdu.metadata.get(HARD)
    if packed is None:
        return None, 0
    count = pdu.metadata.get(HARD_BITS)
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= _MAX_HARD_BITS:
        raise FormatError(f"the PDU of a received frame needs {HARD_BITS!r}, how many decisions there are")
    if not _is_vector(packed, np.uint8, 0, _MAX_HARD_BITS) or packed.size != -(-count // 8):
        raise FormatError(f"{HARD!r} is a u8vector of ⌈{HARD_BITS}/8⌉ bytes")
    return packed, count


def _measurements(pdu: Pdu) -> dict[str, Any]:
    measured: dict[str, Any] = {}
    for name, kind in MEASUREMENTS.items():
        value = pdu.metadata.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise FormatError(f"{name!r} in the metadata of a received frame is a finite number")
        if kind is int and not (isinstance(value, int) and 0 <= value < _MAX_COUNT):
            raise FormatError(f"{name!r} in the metadata of a received frame is a count")
        measured[name] = kind(value)
    return measured
