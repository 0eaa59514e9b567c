"""The header of a burst: 192 bits that say where its payload belongs and how to read it.

Coded as every strong header of the project (`semcom_phy.coding.header`): CRC24A, turbo code, the codeword sent
twice: 1320 BPSK symbols, which decode down to about −6 dB Es/N0.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import numpy.typing as npt

from semcom_phy.coding.header import decode_header, encode_header, header_coded_length
from semcom_phy.coding.transport import FEC_CODES
from semcom_phy.errors import ConfigurationError, FormatError
from semcom_phy.modulation import MODULATIONS, Modulation

Bits = npt.NDArray[np.uint8]

BURST_VERSION: Final = 1
HEADER_REPETITION: Final = 2
MODULATION_CODES: Final = {"bpsk": 0, "qpsk": 1, "16qam": 2}
MAX_APPLICATION_HEADER_BYTES: Final = 4096
MAX_PASSES: Final = 8

_MODULATION_NAMES = {code: name for name, code in MODULATION_CODES.items()}
_FEC_NAMES = {code: name for name, code in FEC_CODES.items()}

#: Name and width of each field, in the order sent, most significant bit first. `header_bytes` and `passes` are sent
#: less one.
FIELD_BITS: Final = {
    "version": 8,
    "link": 16,
    "image": 32,
    "frame": 16,
    "fragment": 16,
    "fragments": 16,
    "coded_bits": 32,
    "payload_bits": 32,
    "header_bytes": 12,
    "modulation": 3,
    "fec": 3,
    "redundancy": 2,
    "interleaved": 1,
    "passes": 3,
}
HEADER_BITS: Final = sum(FIELD_BITS.values())
HEADER_SYMBOLS: Final = header_coded_length(HEADER_BITS, HEADER_REPETITION)
_LESS_ONE = ("header_bytes", "passes")


@dataclass(frozen=True)
class BurstHeader:
    """Where a burst's payload belongs, and how to read it.

    `link`: identity of the sender, 16 bits; receivers drop the bursts of others. `image`, `frame`: numbers of the
    image (32 bits) and of the frame within it (16 bits). `fragment` of `fragments`: which part of the
    frame's coded bits this burst carries. `coded_bits`: length of all parts together, G. `payload_bits`:
    length of the payload before coding, A, so that A/G is the code rate. `header_bytes`: length of
    the application's header, 1 … 4096. `modulation`, `fec`: names. `redundancy`: redundancy version 0 … 3 of
    the rate matching. `interleaved`: whether the coded bits are permuted over the frame. `passes`: how
    many times, 1 … 8, the transmitter sends the frame in all (each pass with a redundancy version of its
    own or again).

    Raises ConfigurationError for values that do not fit.
    """

    image: int
    frame: int
    fragment: int
    fragments: int
    coded_bits: int
    payload_bits: int
    header_bytes: int
    link: int = 0
    modulation: str = "bpsk"
    fec: str = "turbo"
    redundancy: int = 0
    interleaved: bool = False
    passes: int = 1

    def __post_init__(self) -> None:
        if self.modulation not in MODULATION_CODES:
            raise ConfigurationError(
                f"bursts carry the modulations {', '.join(MODULATION_CODES)}, not {self.modulation!r}"
            )
        if self.fec not in FEC_CODES:
            raise ConfigurationError(f"bursts know the codes {', '.join(FEC_CODES)}, not {self.fec!r}")
        for name, value in self._values().items():
            if not 0 <= value < 1 << FIELD_BITS[name]:
                raise ConfigurationError(f"burst header: {name} does not fit its {FIELD_BITS[name]} bits")
        if self.fragment >= self.fragments:
            raise ConfigurationError(f"burst header: fragment {self.fragment} of {self.fragments}")
        if self.fragments > self.coded_bits:
            raise ConfigurationError(f"burst header: {self.coded_bits} coded bits in {self.fragments} fragments")
        if self.payload_bits < 1:
            raise ConfigurationError("burst header: the payload has at least 1 bit")

    def _values(self) -> dict[str, int]:
        values = {name: int(getattr(self, name)) for name in FIELD_BITS if name not in ("version", "modulation", "fec")}
        for name in _LESS_ONE:
            values[name] -= 1
        codes = {"modulation": MODULATION_CODES[self.modulation], "fec": FEC_CODES[self.fec]}
        return {"version": BURST_VERSION, **codes, **values}

    @property
    def scheme(self) -> Modulation:
        """The modulation of the payload."""
        return MODULATIONS[self.modulation]

    @property
    def fragment_range(self) -> tuple[int, int]:
        """First and one past the last coded bit that this burst carries: fragments differ by one bit at most."""
        return (
            self.fragment * self.coded_bits // self.fragments,
            (self.fragment + 1) * self.coded_bits // self.fragments,
        )

    @property
    def fragment_bits(self) -> int:
        """Coded bits in this burst."""
        start, stop = self.fragment_range
        return stop - start

    @property
    def header_copies(self) -> int:
        """Codewords of the application's header in this burst: two when the frame has fewer than three fragments."""
        return 2 if self.fragments < 3 else 1

    @property
    def application_symbols(self) -> int:
        """BPSK symbols of the application's header in this burst."""
        return header_coded_length(8 * self.header_bytes, self.header_copies)

    @property
    def payload_symbols(self) -> int:
        """Symbols of the fragment."""
        return -(-self.fragment_bits // self.scheme.bits_per_symbol)

    @property
    def data_symbols(self) -> int:
        """Symbols after the preamble, pilots not counted."""
        return HEADER_SYMBOLS + self.application_symbols + self.payload_symbols

    def to_bits(self) -> Bits:
        """The header as bits (HEADER_BITS,)."""
        values = self._values()
        bits = [values[name] >> i & 1 for name, size in FIELD_BITS.items() for i in range(size - 1, -1, -1)]
        return np.array(bits, np.uint8)

    @classmethod
    def from_bits(cls, bits: npt.ArrayLike) -> BurstHeader:
        """Parse a received header; FormatError for another version or values that make no sense."""
        received = np.asarray(bits, np.uint8)
        if received.shape != (HEADER_BITS,) or received.max() > 1:
            raise FormatError(f"a burst header has {HEADER_BITS} bits")
        values: dict[str, int] = {}
        start = 0
        for name, size in FIELD_BITS.items():
            values[name] = int("".join(map(str, received[start : start + size].tolist())), 2)
            start += size
        version = values.pop("version")
        if version != BURST_VERSION:
            raise FormatError(f"burst of version {version}; this receiver reads version {BURST_VERSION}")
        modulation = _MODULATION_NAMES.get(values.pop("modulation"))
        fec = _FEC_NAMES.get(values.pop("fec"))
        if modulation is None or fec is None:
            raise FormatError("burst header names an unknown modulation or code")
        interleaved = bool(values.pop("interleaved"))
        for name in _LESS_ONE:
            values[name] += 1
        try:
            return cls(modulation=modulation, fec=fec, interleaved=interleaved, **values)
        except ConfigurationError as error:
            raise FormatError(str(error)) from None

    def describe(self) -> dict[str, int | str | bool]:
        """All fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def encode_burst_header(header: BurstHeader) -> Bits:
    """Coded bits of the header (HEADER_SYMBOLS,), one per BPSK symbol."""
    return encode_header(header.to_bits(), HEADER_REPETITION)


def decode_burst_header(llrs: npt.ArrayLike) -> BurstHeader | None:
    """Header from the LLRs (HEADER_SYMBOLS,) of its symbols, None when its CRC fails.

    Raises FormatError for a header that is intact but of another version or without sense.
    """
    bits, intact = decode_header(llrs, HEADER_BITS, HEADER_REPETITION)
    return BurstHeader.from_bits(bits) if intact else None


def encode_application_header(header: bytes, copies: int) -> Bits:
    """Coded bits of the application's header for one burst; ConfigurationError unless it has 1 … 4096 bytes."""
    if not 1 <= len(header) <= MAX_APPLICATION_HEADER_BYTES:
        raise ConfigurationError(
            f"the application's header has 1 to {MAX_APPLICATION_HEADER_BYTES} bytes on the air, got {len(header)}"
        )
    return encode_header(np.unpackbits(np.frombuffer(header, np.uint8)), copies)


def decode_application_header(llrs: npt.ArrayLike, header_bytes: int) -> bytes | None:
    """The application's header from the LLRs of one codeword (copies summed), None when its CRC fails."""
    bits, intact = decode_header(llrs, 8 * header_bytes, 1)
    return np.packbits(bits).tobytes() if intact else None
