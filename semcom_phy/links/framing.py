"""Symbol-level frame of the links that need no synchronisation: where each symbol of a frame lies.

A frame has three parts, each with its own protection:

* *signalling*, a field of fixed size that says how to read the rest (code, sizes, interleaver);
  CRC24A, turbo code, whole codeword sent four times (rate 1/12 before tails);
* *header*, the application's protected bytes; CRC24A, turbo code, sent twice (rate 1/6);
* *payload*, coded as the signalling field says.

Signalling and header symbols are spread evenly over the whole frame, so that no single fade can take
them; their places follow from the number of received symbols alone. A receiver needs nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from semcom_phy.coding.header import decode_header, encode_header, header_coded_length
from semcom_phy.coding.transport import MAX_RATE_CODE, MIN_RATE_CODE
from semcom_phy.errors import FormatError
from semcom_phy.interleaving import remaining_positions, spread_positions

SIGNALLING_VERSION = 2
SIGNALLING_REPETITION = 4
HEADER_REPETITION = 2

FEC_CODES = {"none": 0, "turbo": 1}
_FEC_NAMES = {code: name for name, code in FEC_CODES.items()}
_FIELD_BITS = {
    "version": 4,
    "fec": 4,
    "interleaved": 1,
    "redundancy_version": 2,
    "rate_code": 10,
    "header_bytes": 19,
    "payload_bits": 32,
}
SIGNALLING_BITS = sum(_FIELD_BITS.values())
MAX_HEADER_BYTES = (1 << _FIELD_BITS["header_bytes"]) - 1
MAX_PAYLOAD_BITS = (1 << _FIELD_BITS["payload_bits"]) - 1


@dataclass(frozen=True)
class Signalling:
    """The signalling field: 72 bits, most significant bit first, in the order of `_FIELD_BITS`.

    `rate_code` and `redundancy_version` say how a turbo code is rate-matched: see `TurboCode.rate_code`.
    """

    fec: str
    interleaved: bool
    header_bytes: int
    payload_bits: int
    rate_code: int = 0
    redundancy_version: int = 0

    def to_bits(self) -> npt.NDArray[np.uint8]:
        """Return the field as bits (SIGNALLING_BITS,)."""
        values = {
            "version": SIGNALLING_VERSION,
            "fec": FEC_CODES[self.fec],
            "interleaved": int(self.interleaved),
            "redundancy_version": self.redundancy_version,
            "rate_code": self.rate_code,
            "header_bytes": self.header_bytes,
            "payload_bits": self.payload_bits,
        }
        bits = [values[name] >> i & 1 for name, size in _FIELD_BITS.items() for i in range(size - 1, -1, -1)]
        return np.array(bits, np.uint8)

    @classmethod
    def from_bits(cls, bits: npt.NDArray[np.uint8]) -> Signalling:
        """Parse a received field; raises FormatError for another version or impossible values."""
        values, start = {}, 0
        for name, size in _FIELD_BITS.items():
            values[name] = int("".join(map(str, bits[start : start + size].tolist())), 2)
            start += size
        if values["version"] != SIGNALLING_VERSION:
            raise FormatError(f"frame of version {values['version']}; this receiver reads version 2")
        if values["fec"] not in _FEC_NAMES:
            raise FormatError("signalling field names an unknown code")
        rate_code = values["rate_code"]
        if rate_code and (_FEC_NAMES[values["fec"]] != "turbo" or not MIN_RATE_CODE <= rate_code <= MAX_RATE_CODE):
            raise FormatError("signalling field names a code rate that does not exist")
        if values["redundancy_version"] and not rate_code:
            raise FormatError("signalling field names a redundancy version of a code that has none")
        if values["payload_bits"] == 0 or values["header_bytes"] == 0:
            raise FormatError("signalling field announces an empty header or payload")
        return cls(
            _FEC_NAMES[values["fec"]],
            bool(values["interleaved"]),
            values["header_bytes"],
            values["payload_bits"],
            rate_code,
            values["redundancy_version"],
        )


SIGNALLING_SYMBOLS = header_coded_length(SIGNALLING_BITS, SIGNALLING_REPETITION)


def header_symbols(header_bytes: int) -> int:
    """BPSK symbols that a header of so many bytes takes."""
    return header_coded_length(8 * header_bytes, HEADER_REPETITION)


def encode_signalling(signalling: Signalling) -> npt.NDArray[np.uint8]:
    """Coded bits of the signalling field (SIGNALLING_SYMBOLS,)."""
    return encode_header(signalling.to_bits(), SIGNALLING_REPETITION)


def decode_signalling(llrs: npt.NDArray[np.floating]) -> Signalling | None:
    """Signalling field from its LLRs, None when its CRC fails or it makes no sense."""
    bits, ok = decode_header(llrs, SIGNALLING_BITS, SIGNALLING_REPETITION)
    if not ok:
        return None
    try:
        return Signalling.from_bits(bits)
    except FormatError:
        return None


def encode_header_bytes(header: bytes) -> npt.NDArray[np.uint8]:
    """Coded bits of the application's header."""
    return encode_header(np.unpackbits(np.frombuffer(header, np.uint8)), HEADER_REPETITION)


def decode_header_bytes(llrs: npt.NDArray[np.floating], header_bytes: int) -> bytes | None:
    """Header from its LLRs, None when its CRC fails."""
    bits, ok = decode_header(llrs, 8 * header_bytes, HEADER_REPETITION)
    return np.packbits(bits).tobytes() if ok else None


@dataclass(frozen=True)
class FrameLayout:
    """Places (int64 indices into the frame) of the three parts."""

    signalling: npt.NDArray[np.int64]
    header: npt.NDArray[np.int64]
    payload: npt.NDArray[np.int64]


def signalling_positions(total: int) -> npt.NDArray[np.int64]:
    """Places of the signalling symbols in a frame of `total` symbols."""
    return spread_positions(total, SIGNALLING_SYMBOLS)


def frame_layout(total: int, header_bytes: int) -> FrameLayout:
    """Places of all parts in a frame of `total` symbols whose header has so many bytes.

    Raises ConfigurationError when the frame is too short for its signalling and header.
    """
    signalling = signalling_positions(total)
    free = remaining_positions(total, signalling)
    in_free = spread_positions(free.size, header_symbols(header_bytes))
    return FrameLayout(signalling, free[in_free], free[remaining_positions(free.size, in_free)])
