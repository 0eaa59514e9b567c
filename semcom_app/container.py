"""The self-describing payload: a header that says everything the receiver needs, and the data bits.

Specification: docs/payload-format.md. The header travels in the link's protected part, the data bits in
its payload. Every field is checked against bounds before anything is allocated from it.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semcom_phy.errors import FormatError

MAGIC = b"SC"
VERSION = 1
MAX_PIXELS = 50_000_000
_FIXED = struct.Struct(">2sBBHHIII")  # magic, version, codec, height, width, data bits, data CRC, body bytes
_CHECK = struct.Struct(">I")


@dataclass(frozen=True)
class Header:
    """Parsed header.

    codec: number of the codec. height, width: the picture, in pixels. data_bits: length of the payload.
    data_crc: CRC-32 of the payload bits packed into bytes. body: the codec's own part.
    """

    codec: int
    height: int
    width: int
    data_bits: int
    data_crc: int
    body: bytes

    def to_bytes(self) -> bytes:
        """Serialise, with the header's own CRC-32 at the end."""
        fixed = _FIXED.pack(
            MAGIC, VERSION, self.codec, self.height, self.width, self.data_bits, self.data_crc, len(self.body)
        )
        content = fixed + self.body
        return content + _CHECK.pack(zlib.crc32(content))

    @classmethod
    def from_bytes(cls, raw: bytes) -> Header:
        """Parse and check; raises FormatError saying what is wrong."""
        if len(raw) < _FIXED.size + _CHECK.size:
            raise FormatError(f"header of {len(raw)} bytes is too short")
        magic, version, codec, height, width, data_bits, data_crc, body_size = _FIXED.unpack_from(raw)
        if magic != MAGIC:
            raise FormatError("header does not begin with the magic bytes 'SC'")
        if version != VERSION:
            raise FormatError(f"header of version {version}; this program reads version {VERSION}")
        if len(raw) != _FIXED.size + body_size + _CHECK.size:
            raise FormatError(f"header announces {body_size} bytes of codec data but has {len(raw)} bytes")
        if _CHECK.unpack_from(raw, len(raw) - _CHECK.size)[0] != zlib.crc32(raw[: -_CHECK.size]):
            raise FormatError("header CRC does not match")
        if height == 0 or width == 0 or height * width > MAX_PIXELS:
            raise FormatError(f"header announces a picture of {width}×{height} pixels")
        return cls(codec, height, width, data_bits, data_crc, raw[_FIXED.size : -_CHECK.size])


def data_crc(bits: NDArray[np.uint8]) -> int:
    """CRC-32 of payload bits (n,), packed into bytes, most significant bit first, zero-padded."""
    return zlib.crc32(np.packbits(bits).tobytes())
