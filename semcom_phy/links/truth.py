"""What only the side that sent a frame can say of its fate: channel uses, and errors by comparison with the truth.

Links whose two ends are one program use it, and those that get their frames back from a flowgraph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from semcom_phy.links import framing
from semcom_phy.links.base import Frame, LinkStats, ReceivedFrame
from semcom_phy.waveform import Burst
from semcom_phy.waveform.layout import burst_symbols

Bits = npt.NDArray[np.uint8]


@lru_cache(maxsize=4)
def payload_places(total: int, header_bytes: int) -> npt.NDArray[np.int64]:
    """Where the payload lies in a frame of `total` symbols; frames of one transmission are often alike."""
    return framing.frame_layout(total, header_bytes).payload


def with_payload_errors(stats: LinkStats, frame: Frame, received: ReceivedFrame) -> LinkStats:
    """The counts `stats` of a frame that was sent, with the wrong ones among its decoded payload bits.

    A payload that is lost, or has another length, cannot be compared: 0 bits.
    """
    if received.header is None or received.payload_bits.size != frame.payload.size:
        return replace(stats, frames_sent=1, decoded_bits=0, decoded_errors=0)
    errors = int(np.count_nonzero(received.payload_bits != frame.payload))
    return replace(stats, frames_sent=1, decoded_bits=frame.payload.size, decoded_errors=errors)


def symbol_stats(frame: Frame, received: ReceivedFrame, coded_payload: Bits, hard: Bits | None) -> LinkStats:
    """All counts of a frame that was sent symbol by symbol (`semcom_phy.links.framing`).

    `coded_payload`: coded bits (n,) of the payload as they were sent. `hard`: hard decisions on all symbols of the
    frame, in order; None, or another number of them, where they are not known.
    """
    overhead = framing.SIGNALLING_SYMBOLS + framing.header_symbols(len(frame.header))
    uses = overhead + coded_payload.size
    stats = replace(received.stats, channel_uses=uses, overhead_uses=overhead)
    if hard is not None and hard.size == uses:
        raw = hard[payload_places(uses, len(frame.header))]
        errors = int(np.count_nonzero(raw != coded_payload))
        stats = replace(stats, raw_bits=coded_payload.size, raw_errors=errors)
    return with_payload_errors(stats, frame, received)


def burst_stats(frame: Frame, received: ReceivedFrame, bursts: Sequence[Burst]) -> LinkStats:
    """All counts of a frame that was sent in these bursts, but for the raw errors: each burst has its own."""
    uses = sum(burst_symbols(burst.header.data_symbols) for burst in bursts)
    payload = sum(burst.header.payload_symbols for burst in bursts)
    stats = replace(received.stats, channel_uses=uses, overhead_uses=uses - payload, fragments_sent=len(bursts))
    return with_payload_errors(stats, frame, received)
