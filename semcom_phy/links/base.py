"""The one seam of the testbed: frames go into a `Link`, a `Reception` comes out.

Everything above (codecs, metrics, reports) is the same for the NumPy link, GNU Radio, a radio or a
recorded capture; everything below (coding, modulation, channel, radio) is the link's own business.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from semcom_phy.registry import Registry


@dataclass(frozen=True)
class Frame:
    """What the application hands over for one image.

    `header`: bytes without which the payload means nothing; the link protects them more strongly than
    the payload and never delivers them damaged. `payload`: bits, uint8 0/1 of shape (n,), n ≥ 1.
    """

    header: bytes
    payload: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class LinkStats:
    """Counts of one frame, or summed over several. Counts of errors exist only where the truth is known.

    `channel_uses` is every symbol that was sent for the frame, `overhead_uses` its part for signalling
    and header. `esn0_db` is what was asked for, `esn0_measured_db` what the receiver measured; both are
    None where they do not exist (no noise, no radio channel), as are carrier-frequency offset and
    timing where nothing is off. `fragments_*`: bursts that carry parts of the frame, every copy counted;
    0 on links without bursts. `raw_*` counts coded bits at the demodulator's output, `decoded_*`
    payload bits after the decoder.
    """

    channel_uses: int = 0
    overhead_uses: int = 0
    frames_sent: int = 0
    frames_received: int = 0
    frames_lost: int = 0
    fragments_sent: int = 0
    fragments_received: int = 0
    esn0_db: float | None = None
    esn0_measured_db: float | None = None
    cfo_hz: float | None = None
    timing_offset_samples: float | None = None
    raw_bits: int = 0
    raw_errors: int = 0
    decoded_bits: int = 0
    decoded_errors: int = 0
    blocks: int = 0
    blocks_failed: int = 0

    @property
    def ber_raw(self) -> float | None:
        """Bit error rate before decoding, None where the truth is not known."""
        return self.raw_errors / self.raw_bits if self.raw_bits else None

    @property
    def ber_decoded(self) -> float | None:
        """Payload bit error rate after decoding, None where nothing was decoded or the truth is unknown."""
        return self.decoded_errors / self.decoded_bits if self.decoded_bits else None


@dataclass(frozen=True)
class ReceivedFrame:
    """What came out of the link for one frame.

    `header` is None when it was lost: the frame then counts as lost and its payload is empty.
    `payload_llrs` float32 (n,), ``ln P(b=1)/P(b=0)`` (after the decoder where there is one);
    `payload_bits` uint8 (n,) their hard decisions; `block_ok` bool (C,) the CRC verdict of each block.
    """

    header: bytes | None
    payload_bits: npt.NDArray[np.uint8]
    payload_llrs: npt.NDArray[np.float32]
    block_ok: npt.NDArray[np.bool_]
    stats: LinkStats = field(default_factory=LinkStats)

    @classmethod
    def lost(cls, stats: LinkStats) -> ReceivedFrame:
        """A frame of which nothing usable arrived."""
        return cls(None, np.empty(0, np.uint8), np.empty(0, np.float32), np.empty(0, np.bool_), stats)


@dataclass(frozen=True)
class Reception:
    """Outcome of one `Link.send`: one entry per frame sent, in order, and the sums over them."""

    frames: tuple[ReceivedFrame, ...]

    @property
    def stats(self) -> LinkStats:
        """Counts summed over the frames; measured Es/N0 (linear) and CFO are means over those that have one."""
        return merge_stats([frame.stats for frame in self.frames])


class Link(Protocol):
    """Carries frames. Implementations are registered in `LINKS`.

    One that holds a process or sockets has the methods `open` and `close`: see `opened`.
    """

    def send(self, frames: Sequence[Frame]) -> Reception:
        """Send the frames and return what arrived, one `ReceivedFrame` per frame, in order."""

    def code_rate(self, payload_bits: int) -> float:
        """Payload bits per coded bit for a payload of this length (1 without FEC)."""

    def describe(self) -> dict[str, Any]:
        """Configuration for result.json: link, channel, fec … with units in the key names."""


def open_link(link: Link) -> None:
    """Start what a link holds, by its method `open`, so that its first frame does not wait for it; others need nothing.

    Raises LinkError if it does not start.
    """
    start = getattr(link, "open", None)
    if start is not None:
        start()


def link_counts(link: Link) -> dict[str, int]:
    """What has happened on a link besides its frames, such as restarts, by name; empty where there is nothing to count.

    The fields of the dataclass in its attribute `counts`.
    """
    counts = getattr(link, "counts", None)
    return {} if counts is None else asdict(counts)


@contextmanager
def opened(link: Link) -> Iterator[Link]:
    """Context that closes a link which holds a process or sockets, by its method `close`; others need none."""
    try:
        yield link
    finally:
        close = getattr(link, "close", None)
        if close is not None:
            close()


LINKS: Registry[Any] = Registry("link")

_SUMMED = (
    "channel_uses",
    "overhead_uses",
    "frames_sent",
    "frames_received",
    "frames_lost",
    "fragments_sent",
    "fragments_received",
    "raw_bits",
    "raw_errors",
    "decoded_bits",
    "decoded_errors",
    "blocks",
    "blocks_failed",
)


def merge_stats(stats: Sequence[LinkStats]) -> LinkStats:
    """Sum the counts of several frames."""
    sums = {name: sum(getattr(s, name) for s in stats) for name in _SUMMED}
    asked = {s.esn0_db for s in stats}
    offsets = [s.cfo_hz for s in stats if s.cfo_hz is not None]
    measured = [10 ** (s.esn0_measured_db / 10) for s in stats if s.esn0_measured_db is not None]
    return LinkStats(
        **sums,
        esn0_db=asked.pop() if len(asked) == 1 else None,
        esn0_measured_db=float(10 * np.log10(np.mean(measured))) if measured else None,
        cfo_hz=float(np.mean(offsets)) if offsets else None,
    )
