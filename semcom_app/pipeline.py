"""The main job: pictures through a codec and a link, measured."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from semcom_app.codecs import Codec
from semcom_app.images import LoadedImage, placeholder
from semcom_app.metrics import measure
from semcom_app.results import ImageResult
from semcom_phy.errors import FormatError
from semcom_phy.links import Frame, Link, ReceivedFrame
from semcom_phy.units import ebn0_db

BITS_PER_SAMPLE = 8


def _milliseconds(start: float) -> float:
    return round(1000.0 * (time.perf_counter() - start), 3)


def send_image(image: LoadedImage, codec: Codec, link: Link, seed: int, device: str) -> ImageResult:
    """Encode a picture, send it over the link, rebuild it from what arrived, and measure.

    The receiving half sees the received frame only. `seed` and `device` are recorded in the row.
    """
    codec.adapt(link)
    start = time.perf_counter()
    encoded = codec.encode(image.pixels)
    encode_ms = _milliseconds(start)

    start = time.perf_counter()
    reception = link.send([Frame(encoded.header, encoded.bits)])
    link_ms = _milliseconds(start)
    frame = reception.frames[0]

    start = time.perf_counter()
    decoded, error = None, None
    if frame.header is None:
        error = "header lost"
    else:
        try:
            decoded = codec.decode(frame.header, frame.payload_bits, frame.payload_llrs)
        except FormatError as problem:
            error = str(problem)
    decode_ms = _milliseconds(start)

    height, width = image.pixels.shape[:2]
    received = placeholder(height, width) if decoded is None else decoded.pixels
    row: dict[str, Any] = {
        "image": image.name,
        "width": width,
        "height": height,
        "source_width": image.source_size[0],
        "source_height": image.source_size[1],
        "notes": [*image.notes, *encoded.notes],
        **_identity(codec, link, frame, encoded.bits.size),
        **_costs(image, encoded.header, encoded.bits.size, frame),
        **encoded.figures,
        "ber_raw": frame.stats.ber_raw,
        "ber_decoded": frame.stats.ber_decoded,
        "blocks": frame.stats.blocks,
        "blocks_failed": frame.stats.blocks_failed,
        "delivered": decoded is not None,
        "intact": decoded is not None and decoded.intact,
        "error": error,
        **measure(image.pixels, None if decoded is None else decoded.pixels),
        "encode_ms": encode_ms,
        "link_ms": link_ms,
        "decode_ms": decode_ms,
        "seed": seed,
        "device": device,
    }
    return ImageResult(
        row,
        image.pixels,
        received,
        encoded.artifacts,
        {} if decoded is None else {**decoded.artifacts, "block_ok": frame.block_ok},
    )


def _identity(codec: Codec, link: Link, frame: ReceivedFrame, payload_bits: int) -> dict[str, Any]:
    described = link.describe()
    rate = link.code_rate(payload_bits)
    asked = frame.stats.esn0_db
    return {
        "codec": codec.describe()["codec"],
        "link": described["link"],
        "channel": described["channel"],
        "snr_db": asked,
        "ebn0_db": None if asked is None else ebn0_db(asked, rate, described.get("bits_per_symbol", 1)),
        "esn0_measured_db": frame.stats.esn0_measured_db,
        "fec": described["fec"],
        "rate": rate,
        **(_bursts(described, frame) if frame.stats.fragments_sent else {}),
    }


def _bursts(described: dict[str, Any], frame: ReceivedFrame) -> dict[str, Any]:
    """What only links with bursts have to tell."""
    return {
        "modulation": described["modulation"],
        "fragments_sent": frame.stats.fragments_sent,
        "fragments_lost": frame.stats.fragments_sent - frame.stats.fragments_received,
        "cfo_hz": frame.stats.cfo_hz,
        "timing_offset_samples": frame.stats.timing_offset_samples,
    }


def _costs(image: LoadedImage, header: bytes, payload_bits: int, frame: ReceivedFrame) -> dict[str, Any]:
    samples = int(np.prod(image.pixels.shape))
    header_bits = 8 * len(header)
    return {
        "payload_bits": payload_bits,
        "header_bits": header_bits,
        "channel_uses": frame.stats.channel_uses,
        "overhead_uses": frame.stats.overhead_uses,
        "cbr": frame.stats.channel_uses / samples,
        "compression_rate": payload_bits / (samples * BITS_PER_SAMPLE),
        "compression_rate_with_header": (payload_bits + header_bits) / (samples * BITS_PER_SAMPLE),
    }
