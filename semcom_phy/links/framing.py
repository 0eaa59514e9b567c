"""Symbol-level frame of the links that need no synchronisation: where each symbol of a frame lies.

A frame has three parts, each with its own protection:

* *signalling*, a field of fixed size that says how to read the rest (code, sizes, interleaver);
  CRC24A, turbo code, whole codeword sent four times (rate 1/12 before tails);
* *header*, the application's protected bytes; CRC24A, turbo code, sent twice (rate 1/6);
* *payload*, coded as the signalling field says.

Signalling and header symbols are spread evenly over the whole frame, so that no single fade can take
them; their places follow from the number of received symbols alone. A receiver needs nothing else.

With more than one bit per symbol each part fills whole symbols, its last one with zeros: 0 … `bits_per_symbol` − 1
of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from semcom_phy.coding.header import decode_header, encode_header, header_coded_length
from semcom_phy.coding.transport import FEC_CODES, MAX_RATE_CODE, MIN_RATE_CODE, TurboCode
from semcom_phy.errors import ConfigurationError, FormatError
from semcom_phy.interleaving import deinterleave, interleave, permutation, remaining_positions, spread_positions
from semcom_phy.links.payload_coding import payload_coded_length
from semcom_phy.modulation import Modulation

SIGNALLING_VERSION = 2
SIGNALLING_REPETITION = 4
HEADER_REPETITION = 2

#: Both ends derive the same permutation of the coded payload from it and the payload's length.
INTERLEAVER_SEED = 36212

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
    """Places (int64 indices of symbols in the frame) of the three parts."""

    signalling: npt.NDArray[np.int64]
    header: npt.NDArray[np.int64]
    payload: npt.NDArray[np.int64]


def signalling_positions(total: int, bits_per_symbol: int = 1) -> npt.NDArray[np.int64]:
    """Places of the signalling symbols in a frame of `total` symbols."""
    return spread_positions(total, -(-SIGNALLING_SYMBOLS // bits_per_symbol))


def frame_layout(total: int, header_bytes: int, bits_per_symbol: int = 1) -> FrameLayout:
    """Places of all parts in a frame of `total` symbols whose header has so many bytes.

    Raises ConfigurationError when the frame is too short for its signalling and header.
    """
    signalling = signalling_positions(total, bits_per_symbol)
    free = remaining_positions(total, signalling)
    in_free = spread_positions(free.size, -(-header_symbols(header_bytes) // bits_per_symbol))
    return FrameLayout(signalling, free[in_free], free[remaining_positions(free.size, in_free)])


def assemble_frame(
    signalling: Signalling, header: bytes, coded_payload: npt.NDArray[np.uint8], bits_per_symbol: int = 1
) -> npt.NDArray[np.uint8]:
    """Coded bits of a whole frame, uint8 (symbols · bits_per_symbol,), in the order in which they are sent.

    `coded_payload` comes from `encode_payload` with the code that `signalling` names; it is interleaved here if
    `signalling` says so. Raises ConfigurationError for an empty or too large header or payload, and for parts that
    contradict the signalling field.
    """
    if not 0 < len(header) <= MAX_HEADER_BYTES:
        raise ConfigurationError(f"a frame header has 1 to {MAX_HEADER_BYTES} bytes")
    if not 0 < signalling.payload_bits <= MAX_PAYLOAD_BITS:
        raise ConfigurationError(f"a frame payload has 1 to {MAX_PAYLOAD_BITS} bits")
    if len(header) != signalling.header_bytes or coded_payload.shape != (_coded_payload_bits(signalling),):
        raise ConfigurationError(
            f"header ({len(header)} bytes) or coded payload ({coded_payload.shape}) contradict the frame's signalling "
            f"field, which announces {signalling.header_bytes} and {_coded_payload_bits(signalling)}"
        )
    if signalling.interleaved:
        coded_payload = interleave(coded_payload, permutation(coded_payload.size, INTERLEAVER_SEED))
    parts = [
        _whole_symbols(part, bits_per_symbol)
        for part in (encode_signalling(signalling), encode_header_bytes(header), coded_payload)
    ]
    total = sum(len(part) for part in parts)
    layout = frame_layout(total, len(header), bits_per_symbol)
    coded = np.empty((total, bits_per_symbol), np.uint8)
    for places, part in zip((layout.signalling, layout.header, layout.payload), parts, strict=True):
        coded[places] = part
    return coded.reshape(-1)


@dataclass(frozen=True)
class FrameParts:
    """What a receiver has read of a frame: everything but its payload, which is still coded.

    `payload_llrs`: float32, ``ln P(b=1)/P(b=0)`` of the coded payload bits, interleaving undone. `known_symbols`:
    (m,) int64, places of the symbols of signalling and header, whose bits `known_bits` (m · bits_per_symbol,) are
    now certain.
    """

    signalling: Signalling
    header: bytes
    payload_llrs: npt.NDArray[np.float32]
    known_symbols: npt.NDArray[np.int64]
    known_bits: npt.NDArray[np.uint8]


def disassemble_frame(llrs: npt.NDArray[np.float32], bits_per_symbol: int = 1) -> FrameParts | None:
    """Read signalling field and header of a frame from the LLRs of all its coded bits; uses nothing else.

    None for a lost frame: one whose signalling or header cannot be read, or whose sizes contradict the number of
    LLRs.
    """
    total, rest = divmod(llrs.size, bits_per_symbol)
    if rest or total < -(-SIGNALLING_SYMBOLS // bits_per_symbol):
        return None
    symbols = llrs.reshape(total, bits_per_symbol)
    signalling_places = signalling_positions(total, bits_per_symbol)
    signalling = decode_signalling(symbols[signalling_places].reshape(-1)[:SIGNALLING_SYMBOLS])
    if signalling is None:
        return None
    try:
        coded_payload_bits = _coded_payload_bits(signalling)
    except ConfigurationError:  # a rate that so short a payload cannot have
        return None
    header_bits = header_symbols(signalling.header_bytes)
    if sum(-(-bits // bits_per_symbol) for bits in (SIGNALLING_SYMBOLS, header_bits, coded_payload_bits)) != total:
        return None
    layout = frame_layout(total, signalling.header_bytes, bits_per_symbol)
    header = decode_header_bytes(symbols[layout.header].reshape(-1)[:header_bits], signalling.header_bytes)
    if header is None:
        return None
    payload_llrs = symbols[layout.payload].reshape(-1)[:coded_payload_bits]
    if signalling.interleaved:
        payload_llrs = deinterleave(payload_llrs, permutation(payload_llrs.size, INTERLEAVER_SEED))
    known = [
        _whole_symbols(part, bits_per_symbol) for part in (encode_signalling(signalling), encode_header_bytes(header))
    ]
    return FrameParts(
        signalling,
        header,
        payload_llrs,
        np.concatenate([layout.signalling, layout.header]),
        np.concatenate(known).reshape(-1),
    )


def measured_esn0_db(
    received: npt.NDArray[np.complexfloating],
    gain: npt.ArrayLike,
    parts: FrameParts,
    modulation: Modulation,
) -> float | None:
    """Es/N0 in dB over the symbols of a frame that its receiver knows: those of the header it has decoded.

    `received`: complex (N,), all symbols of the frame; `gain`: that of the channel, a scalar or (N,). None where
    there is no noise or no signal.
    """
    gains = np.broadcast_to(np.asarray(gain), received.shape)
    expected = gains[parts.known_symbols] * modulation.modulate(parts.known_bits)
    noise = float(np.mean(np.abs(received[parts.known_symbols] - expected) ** 2))
    signal = float(np.mean(np.abs(expected) ** 2))
    return 10.0 * math.log10(signal / noise) if noise > 0.0 and signal > 0.0 else None


def _coded_payload_bits(signalling: Signalling) -> int:
    turbo = TurboCode().with_rate_code(signalling.rate_code)
    return payload_coded_length(signalling.payload_bits, signalling.fec, turbo)


def _whole_symbols(bits: npt.NDArray[np.uint8], bits_per_symbol: int) -> npt.NDArray[np.uint8]:
    """The bits in rows of symbols, the last one filled up with zeros."""
    return np.pad(bits, (0, -bits.size % bits_per_symbol)).reshape(-1, bits_per_symbol)
