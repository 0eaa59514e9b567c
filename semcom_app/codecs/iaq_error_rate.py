"""What the modified allocations must know of the link: the probability that a payload bit arrives flipped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semcom_phy.links import Frame, Link

PILOT_FRAMES = 4
PILOT_BITS = 1 << 13  # of each
_SEED = 0x1A9
_HEADER = b"IAQ pilot"


@dataclass(frozen=True)
class ErrorRate:
    """Outcome of a measurement: `errors` of `bits` pilot bits arrived flipped; what that cost, in channel uses.

    mu: errors/bits, at most ½. A pilot frame that is lost counts half of its bits as errors.
    """

    bits: int
    errors: int
    channel_uses: int

    @property
    def mu(self) -> float:
        """The measured bit flip probability."""
        return min(self.errors / self.bits, 0.5)


def measure_error_rate(link: Link, frames: int = PILOT_FRAMES, bits: int = PILOT_BITS) -> ErrorRate:
    """Send pilot frames, whose pseudorandom payload both ends know, and count the bits that differ.

    The receiver needs its own hard decisions and the pilot for it, so that any link can be measured; that it tells the
    transmitter is taken for free and error free, as the paper takes it. Several frames, for channels that fade.
    """
    payload = np.random.default_rng(_SEED).integers(0, 2, (frames, bits), dtype=np.uint8)
    reception = link.send([Frame(_HEADER, pilot) for pilot in payload])
    errors = 0
    for pilot, received in zip(payload, reception.frames, strict=True):
        arrived = received.header is not None and received.payload_bits.size == pilot.size
        errors += int(np.count_nonzero(received.payload_bits != pilot)) if arrived else bits // 2
    return ErrorRate(frames * bits, errors, reception.stats.channel_uses)
