"""How code blocks are laid into vectors: windows of a block, and blocks, side by side.

A block of K steps is cut into P windows of W = K/P steps. The state metrics that enter a window are found by an
acquisition run over the neighbouring window's nearest steps, which starts from the metrics that the iteration before
had there (in the first iteration, from all states alike), so that all windows can be decoded at the same time. P
follows from K alone, so a block decodes to the same bits on every machine and in every batch.

In a vector of L lanes, Q = min(P, L) neighbouring lanes hold one block, and lane q of a block walks through its windows
q·P/Q … (q + 1)·P/Q − 1, one after the other. L/Q blocks share a vector. A QPP interleaver is free of contention: for
every Q that divides K, the Q lanes of a block read from one row (π(k + q·R) mod R is the same for all q, with R = K/Q),
each from another lane. So interleaving is a row address and a permutation of lanes.
"""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from semcom_phy.coding.qpp import qpp_interleaver

#: A window has at least this many steps …
SHORTEST_WINDOW: Final = 128
#: … and a block at most this many windows.
MOST_WINDOWS: Final = 32


class Geometry(NamedTuple):
    """Sizes for kernels: `size` K, `rows` R = K/Q, `windows` P/Q, `steps` W = K/P, `shared` Q, `lanes` L."""

    size: int
    rows: int
    windows: int
    steps: int
    shared: int
    lanes: int


class Interleaver(NamedTuple):
    """π as row and lane: `rows` (R,) int64; `gather`, `scatter` (R·L,) int8, or None.

    Step k of the interleaved order reads the row that begins at ``rows[k]``; ``gather[k·L + l]`` is the lane that lane
    l reads from, and `scatter` undoes it. Both are None where every lane reads from itself (Q = 1).
    """

    rows: npt.NDArray[np.int64]
    gather: npt.NDArray[np.int8] | None
    scatter: npt.NDArray[np.int8] | None


def window_count(size: int) -> int:
    """Return P for K = `size`: the largest power of two up to `MOST_WINDOWS` that leaves `SHORTEST_WINDOW` steps."""
    count = 1
    while count < MOST_WINDOWS and size % (2 * count) == 0 and size // (2 * count) >= SHORTEST_WINDOW:
        count *= 2
    return count


@cache
def geometry(size: int, lanes: int, windows: bool) -> Geometry:
    """Return the layout of blocks of K = `size` bits on vectors of `lanes` lanes."""
    count = window_count(size) if windows else 1
    shared = min(count, lanes)
    return Geometry(size, size // shared, count // shared, size // count, shared, lanes)


@cache
def interleaver(layout: Geometry) -> Interleaver:
    """Return the interleaver for a layout."""
    rows, shared, lanes = layout.rows, layout.shared, layout.lanes
    position = qpp_interleaver(layout.size).reshape(shared, rows)  # [q, k] = π(q·R + k)
    row = (position[0] % rows * lanes).astype(np.int64)
    if shared == 1:
        return Interleaver(row, None, None)
    assert (position % rows == position[0] % rows).all()
    within = (position // rows).T  # [k, q]: the lane of the block that lane q reads from
    first = np.arange(0, lanes, shared)
    gather = (first[:, None] + within[:, None, :]).reshape(rows, lanes)
    scatter = np.argsort(gather, axis=1)
    return Interleaver(row, gather.astype(np.int8).ravel(), scatter.astype(np.int8).ravel())


@cache
def neighbours(layout: Geometry) -> npt.NDArray[np.int8]:
    """Return (2·L,) lane numbers: for each lane the one before it, then for each the one after it.

    The first lane of a block has none before it and the last none after it; they get their own.
    """
    lane = np.arange(layout.lanes)
    inner = lane % layout.shared
    before = np.where(inner > 0, lane - 1, lane)
    after = np.where(inner < layout.shared - 1, lane + 1, lane)
    return np.concatenate([before, after]).astype(np.int8)
