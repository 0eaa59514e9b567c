"""Windows of a block, where their steps lie in memory, and what the tail bits say.

**Windows.** A block of K bits is cut into P windows of W steps that are decoded side by side. A window needs the
state metrics at its two edges: before each constituent decoding all windows run their last `APPROACH` steps forward
and their first ones backward and hand the result to their neighbours. These short runs start from the metrics
that the iteration before had at those places, in the first iteration with all states alike. (Metrics of the
iteration before taken at the edge itself cost about half an iteration.)

**Layout.** A stream of K values for B blocks is a tensor (W, P, B), step first, so that one step of all
windows of all blocks ("lanes", P·B of them) is contiguous. As a matrix (W·P, B) its row (k mod W)·P + k div W
holds time k. The interleaver is free of contention: at each step all windows read rows of one step.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from semcom_phy.coding.qpp import qpp_interleaver
from semcom_phy.coding.turbo import INPUT_BIT, MEMORY, NEXT_STATE, PARITY_BIT, STATES

if TYPE_CHECKING:
    from torch import Tensor

#: A window has at least this many steps …
MIN_WINDOW: Final = 64
#: … and a multiple of this many (the kernels of `triton_kernels` work on groups of four).
WINDOW_MULTIPLE: Final = 4
#: Steps of its neighbour that a window's metrics at the edge rest on in any case. A multiple of four, too.
APPROACH: Final = 32


@dataclass(frozen=True)
class Windows:
    """How the `size` steps of a block are cut: `count` windows of `length` steps."""

    size: int
    length: int

    @property
    def count(self) -> int:
        return self.size // self.length

    def row_of_time(self) -> npt.NDArray[np.int64]:
        """Row of the matrix (W·P, B) that holds time k, for k = 0 … K − 1."""
        time = np.arange(self.size)
        return (time % self.length) * self.count + time // self.length

    def time_of_row(self) -> npt.NDArray[np.int64]:
        row = np.arange(self.size)
        return (row % self.count) * self.length + row // self.count

    def interleaved_rows(self) -> npt.NDArray[np.int64]:
        """Row that holds, in natural order, what the second constituent has in row 0, 1 …"""
        return self.row_of_time()[qpp_interleaver(self.size)[self.time_of_row()]]


@cache
def windows_of(size: int, windows: bool = True) -> Windows:
    """Cut a block of `size` bits; one window if `windows` is False or the block is short.

    The window length is the smallest divisor of K that is at least `MIN_WINDOW` and a multiple of
    `WINDOW_MULTIPLE`; K = 6144 has 96 windows of 64 steps.
    """
    lengths = range(MIN_WINDOW, size, WINDOW_MULTIPLE) if windows else ()
    return Windows(size, next((length for length in lengths if size % length == 0), size))


@cache
def _tail_signs() -> tuple[tuple[float, ...], ...]:
    """For x_K, z_K, x_K+1 … the signs with which it enters the metric of the one tail path out of each state."""
    signs = np.empty((2 * MEMORY, STATES))
    for first in range(STATES):
        state = first
        for step in range(MEMORY):
            signs[2 * step, first] = 2 * INPUT_BIT[state, 0] - 1
            signs[2 * step + 1, first] = 2 * PARITY_BIT[state, 0] - 1
            state = NEXT_STATE[state, 0]
    return tuple(tuple(row) for row in signs.tolist())


def tail_metrics(tail: Tensor) -> Tensor:
    """Log-probabilities (8, B), largest 0, of the states at time K, from `tail` (6, B): x_K z_K x_K+1 …"""
    total = tail.new_zeros(STATES, tail.shape[1])
    # Term by term, because the order in which a matrix product adds depends on the batch.
    for row, signs in zip(tail, _tail_signs(), strict=True):
        total += tail.new_tensor(signs)[:, None] * (0.5 * row)
    return total - total.amax(0)
