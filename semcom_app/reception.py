"""Received frames into pictures, by the codec that the container's header names."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semcom_app.codecs import CODECS, Codec, CodecOptions
from semcom_app.container import Header
from semcom_app.images import placeholder
from semcom_phy.errors import FormatError
from semcom_phy.links.air_frames import AirFrame
from semcom_phy.links.base import ReceivedFrame
from semcom_phy.links.frame_pdus import ReceivedPdu

_NO_PICTURE = 96  # side of the placeholder where the picture's size is not known, or nothing but a claim
_LARGEST_PLACEHOLDER = 1 << 22  # pixels


@dataclass(frozen=True)
class ReceivedPicture:
    """A picture off the air: its entry in result.json, and its pixels, uint8 (H, W, 3) (a placeholder if lost)."""

    row: dict[str, Any]
    pixels: NDArray[np.uint8]


def payload_sha256(bits: NDArray[np.uint8]) -> str:
    """SHA-256 of payload bits (n,) packed into bytes, most significant bit first, zero-padded."""
    return hashlib.sha256(np.packbits(bits).tobytes()).hexdigest()


class PictureDecoder:
    """Decodes frames of any codec; a codec and its network are loaded when the first frame asks for them."""

    def __init__(self, options: CodecOptions) -> None:
        self._options = options
        self._codecs: dict[int, Codec] = {}

    def _codec(self, number: int) -> Codec:
        """Raises FormatError for a number that no codec has."""
        if number not in self._codecs:
            for family in map(CODECS.__getitem__, CODECS):
                if family.number == number:
                    # Whichever of a family's presets it was: the header says all that decoding needs.
                    codec = family.from_name(family.presets[0], self._options)
                    assert codec is not None
                    self._codecs[number] = codec
                    break
            else:
                raise FormatError(f"the picture was sent with codec number {number}, which this program does not have")
        return self._codecs[number]

    def decode(self, frame: AirFrame) -> ReceivedPicture:
        """Rebuild the picture of a frame off the air; never raises for what a frame may hold."""
        assembled = frame.assembled
        facts = {
            "image": assembled.image,
            "frame": assembled.frame,
            "link": assembled.link,
            "fec": assembled.fec,
            "payload_bits": assembled.payload_bits,
            "complete": assembled.complete,
            "fragments_expected": frame.fragments_expected,
        }
        return self._rebuild(frame.received, facts, frame.error)

    def decode_pdu(self, received: ReceivedPdu) -> ReceivedPicture:
        """The same of a frame that a flowgraph has received; what its PDU does not tell is None."""
        frame = received.frame
        lost = frame.header is None
        facts = {
            "image": received.number,
            "frame": None,
            "link": None,
            "fec": None,
            "payload_bits": None if lost else int(frame.payload_llrs.size),
            "complete": None,
            "fragments_expected": None,
        }
        return self._rebuild(frame, facts, "lost, as the flowgraph says" if lost else None)

    def _rebuild(self, received: ReceivedFrame, facts: dict[str, Any], error: str | None) -> ReceivedPicture:
        """Decode a frame; `facts`: what is known of it besides, under the names of `ReceivedPicture.row`."""
        start = time.perf_counter()
        header, codec, decoded = None, None, None
        if received.header is not None:
            try:
                header = Header.from_bytes(received.header)
                codec = self._codec(header.codec)
                decoded = codec.decode(received.header, received.payload_bits, received.payload_llrs)
            except FormatError as problem:
                error = str(problem)
        stats = received.stats
        size = (_NO_PICTURE, _NO_PICTURE)
        if header is not None and header.height * header.width <= _LARGEST_PLACEHOLDER:
            size = (header.height, header.width)
        row = {
            "image": facts["image"],
            "frame": facts["frame"],
            "link": facts["link"],
            "codec": None if codec is None else family_name(codec),
            "width": None if header is None else header.width,
            "height": None if header is None else header.height,
            "fec": facts["fec"],
            "payload_bits": facts["payload_bits"],
            "payload_sha256": None if received.header is None else payload_sha256(received.payload_bits),
            "complete": facts["complete"],
            "fragments_expected": facts["fragments_expected"],
            "fragments_received": stats.fragments_received,
            "blocks": stats.blocks,
            "blocks_failed": stats.blocks_failed,
            "esn0_measured_db": stats.esn0_measured_db,
            "cfo_hz": stats.cfo_hz,
            "delivered": decoded is not None,
            "intact": decoded is not None and decoded.intact,
            "error": error,
            "decode_ms": round(1000.0 * (time.perf_counter() - start), 3),
        }
        return ReceivedPicture(row, placeholder(*size) if decoded is None else decoded.pixels)


def family_name(codec: Codec) -> str:
    """Name under which the codec's family is registered."""
    return next(name for name in CODECS if CODECS[name] is type(codec))
