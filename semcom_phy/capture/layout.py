"""Where in a dataset the samples lie: between the headers of its captures and before its footer."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from semcom_phy.capture.metadata import Capture


@dataclass(frozen=True)
class Extent:
    """`sample_count` samples from `sample_start` on, stored without a gap from byte `byte_start`."""

    sample_start: int
    sample_count: int
    byte_start: int


@dataclass(frozen=True)
class Layout:
    """All extents in order, `sample_count` samples together, and the bytes that are left over at the end.

    `segments`: for each capture that has a place in the data, its number of samples (0 possible). `sample_bytes`: bytes
    of one sample of all channels.
    """

    extents: tuple[Extent, ...]
    sample_count: int
    trailing_bytes: int
    segments: tuple[int, ...]
    sample_bytes: int

    def pieces(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Yield (byte offset, samples) of each stored piece of the samples `start` … `stop` − 1."""
        first = bisect.bisect_right(self.extents, start, key=lambda extent: extent.sample_start) - 1
        for number in range(max(first, 0), len(self.extents)):
            extent = self.extents[number]
            begin = max(start, extent.sample_start)
            end = min(stop, extent.sample_start + extent.sample_count)
            if extent.sample_start >= stop:
                return
            if begin < end:
                yield extent.byte_start + (begin - extent.sample_start) * self.sample_bytes, end - begin


def lay_out(
    captures: Sequence[Capture], data_bytes: int, sample_bytes: int, footer_bytes: int = 0, first_index: int = 0
) -> Layout:
    """Place the samples of `captures` in a dataset of `data_bytes`.

    A capture's samples follow its ``core:header_bytes``, which follow the samples of the capture before. Samples
    before the first capture's start are samples, too. `sample_bytes`: bytes of one sample of all channels.
    `first_index`: what the captures call the first sample. Captures beyond the end of the data have no segment.
    """
    usable = max(data_bytes - footer_bytes, 0)
    starts = [capture.sample_start - first_index for capture in captures]
    headers = [capture.header_bytes for capture in captures]
    if not starts or starts[0] > 0:
        starts, headers = [0, *starts], [0, *headers]
    extents: list[Extent] = []
    counts: list[int] = []
    position = 0
    for number, (start, header) in enumerate(zip(starts, headers, strict=True)):
        position += header
        if position > usable:
            position -= header
            break
        room = (usable - position) // sample_bytes
        count = room if number + 1 == len(starts) else min(starts[number + 1] - start, room)
        counts.append(count)
        if count:
            extents.append(Extent(start, count, position))
            position += count * sample_bytes
        if number + 1 < len(starts) and start + count < starts[number + 1]:
            break
    total = extents[-1].sample_start + extents[-1].sample_count if extents else 0
    added = len(starts) - len(captures)
    return Layout(tuple(extents), total, usable - position, tuple(counts[added:]), sample_bytes)
