"""Code block segmentation and CRC attachment, 3GPP TS 36.212 §5.1.2."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from semcom_phy.coding.crc import CRC24B, attach, check
from semcom_phy.coding.qpp import BLOCK_SIZES
from semcom_phy.errors import ConfigurationError

Bits = npt.NDArray[np.uint8]

#: Z of §5.1.2, the largest code block.
MAX_BLOCK_SIZE: Final = BLOCK_SIZES[-1]


@dataclass(frozen=True)
class SegmentationPlan:
    """How B bits are cut into code blocks; the names follow §5.1.2.

    `bits`: B, the input length including the transport block CRC. `blocks`: C. `large_size`, `large_blocks`:
    K+ and C+. `small_size`, `small_blocks`: K− and C− (both 0 when unused). `filler`: F, the zeros put in
    front of the first block. `crc_length`: L, 24 when C > 1 and 0 otherwise. The C− small blocks come first.
    """

    bits: int
    blocks: int
    large_size: int
    large_blocks: int
    small_size: int
    small_blocks: int
    filler: int
    crc_length: int

    @property
    def sizes(self) -> tuple[int, ...]:
        """K_r of every block r = 0 … C−1, block CRC and filler included."""
        return (self.small_size,) * self.small_blocks + (self.large_size,) * self.large_blocks

    @property
    def groups(self) -> tuple[tuple[int, int], ...]:
        """Runs of equal blocks in order, as (number of blocks, block size): one or two of them."""
        runs = ((self.small_blocks, self.small_size), (self.large_blocks, self.large_size))
        return tuple(run for run in runs if run[0])


@lru_cache(maxsize=1024)
def plan(bits: int) -> SegmentationPlan:
    """Return the segmentation of `bits` = B ≥ 1 bits (transport block CRC included), §5.1.2.

    Raises ConfigurationError when `bits` is below 1.
    """
    if bits < 1:
        raise ConfigurationError(f"cannot segment {bits} bits; give at least one")
    crc_length = 0 if bits <= MAX_BLOCK_SIZE else CRC24B.length
    blocks = 1 if crc_length == 0 else -(-bits // (MAX_BLOCK_SIZE - crc_length))
    total = bits + blocks * crc_length
    position = bisect_left(BLOCK_SIZES, -(-total // blocks))
    large_size = BLOCK_SIZES[position]
    small_size = small_blocks = 0
    if blocks > 1:
        previous = BLOCK_SIZES[position - 1]
        small_blocks = (blocks * large_size - total) // (large_size - previous)
        small_size = previous if small_blocks else 0
    large_blocks = blocks - small_blocks
    filler = large_blocks * large_size + small_blocks * small_size - total
    return SegmentationPlan(bits, blocks, large_size, large_blocks, small_size, small_blocks, filler, crc_length)


def segment_groups(bits: npt.ArrayLike, plan: SegmentationPlan) -> list[Bits]:
    """Cut `bits` (B,) into code blocks, blocks of one size stacked: arrays (n, K) for each of `plan.groups`.

    Filler bits are zeros at the start of the first block; CRC24B is attached to every block when C > 1.
    """
    message = np.asarray(bits, dtype=np.uint8)
    if message.shape != (plan.bits,):
        raise ConfigurationError(f"the plan is for {plan.bits} bits, got an array of shape {message.shape}")
    padded = np.concatenate([np.zeros(plan.filler, np.uint8), message])
    stacked, start = [], 0
    for count, size in plan.groups:
        payload = size - plan.crc_length
        rows = padded[start : start + count * payload].reshape(count, payload)
        stacked.append(attach(rows, CRC24B) if plan.crc_length else rows)
        start += count * payload
    return stacked


def join_groups(groups: Sequence[npt.NDArray], plan: SegmentationPlan) -> npt.NDArray:
    """Undo `segment_groups`, for bits or LLRs: drop filler and block CRCs, return (B,) of the groups' dtype.

    Raises ConfigurationError when the arrays do not have the planned shapes (n, K).
    """
    shapes = tuple(group.shape for group in groups)
    if shapes != plan.groups:
        raise ConfigurationError(f"the plan has blocks of shapes {plan.groups}, got {shapes}")
    padded = np.empty(plan.filler + plan.bits, groups[0].dtype)
    start = 0
    for group in groups:
        payload = group[:, : group.shape[1] - plan.crc_length]
        padded[start : start + payload.size].reshape(payload.shape)[:] = payload
        start += payload.size
    return padded[plan.filler :]


def block_checks(block_bits: Bits, plan: SegmentationPlan) -> npt.NDArray[np.bool_]:
    """Tell for blocks of one size, (n, K), which pass CRC24B; all True when C = 1 carries none.

    (A single block has no CRC of its own: that of the transport block speaks for it.)
    """
    return check(block_bits, CRC24B) if plan.crc_length else np.ones(len(block_bits), np.bool_)
