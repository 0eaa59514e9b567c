"""Seeded permutations and evenly spread positions: how a frame is mixed over time.

The two ends of a link may run different numpy versions and must agree on every position, so nothing
here draws from numpy's generators: NEP 19 lets the stream of `Generator.permutation` change between
versions. The permutation is the order of the outputs of SplitMix64 (Steele, Lea and Flood, "Fast
splittable pseudorandom number generators", OOPSLA 2014), which is integer arithmetic only.
"""

from __future__ import annotations

import operator
from typing import SupportsIndex

import numpy as np
import numpy.typing as npt

from semcom_phy.errors import ConfigurationError

_GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def splitmix64(seed: int, count: int) -> npt.NDArray[np.uint64]:
    """Return the first `count` outputs of SplitMix64 whose state starts at `seed` (uint64, all distinct).

    Raises ConfigurationError for a seed outside 0 … 2^64 − 1 or a negative count.
    """
    start = _integer("seed", seed, 0, 2**64 - 1)
    steps = np.arange(1, _integer("count", count, 0) + 1, dtype=np.uint64)
    # Array arithmetic on uint64 wraps modulo 2^64, as the generator is defined.
    mixed = steps * _GOLDEN_GAMMA + np.uint64(start)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX_1
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX_2
    return mixed ^ (mixed >> np.uint64(31))


def permutation(length: int, seed: int) -> npt.NDArray[np.int64]:
    """Return a pseudo-random permutation of 0 … length−1 (int64), a function of its arguments alone.

    Raises ConfigurationError for a negative length or a seed outside 0 … 2^64 − 1.
    """
    # The mixer is a bijection of distinct states, so the keys have no ties and every sorting
    # algorithm returns the same order.
    return np.argsort(splitmix64(seed, length)).astype(np.int64)


def interleave(x: npt.NDArray, order: npt.NDArray[np.integer]) -> npt.NDArray:
    """Return `y` with ``y[i] = x[order[i]]`` along the first axis; dtype and shape are those of `x`.

    Raises ConfigurationError when `order` is not a permutation of the indices of `x`.
    """
    _check_order(x, order)
    return x[order]


def deinterleave(y: npt.NDArray, order: npt.NDArray[np.integer]) -> npt.NDArray:
    """Undo :func:`interleave`: return `x` with ``x[order[i]] = y[i]`` along the first axis.

    Raises ConfigurationError when `order` is not a permutation of the indices of `y`.
    """
    _check_order(y, order)
    x = np.empty_like(y)
    x[order] = y
    return x


def spread_positions(total: int, count: int) -> npt.NDArray[np.int64]:
    """Return `count` positions ⌊i·total/count⌋ in range(total): int64, sorted, distinct, evenly spread.

    Neighbours are ⌊total/count⌋ or ⌈total/count⌉ apart. Used for pilots and side information.
    Raises ConfigurationError unless 0 ≤ count ≤ total.
    """
    total = _integer("total", total, 0)
    count = _integer("count", count, 0, total)
    if count == 0:
        return np.empty(0, dtype=np.int64)
    step, rest = divmod(total, count)
    index = np.arange(count, dtype=np.int64)
    # i·total/count = i·step + i·rest/count: the products stay below count² instead of total·count.
    return index * step + index * rest // count


def remaining_positions(total: int, positions: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Return range(total) without `positions`, sorted (int64): where the payload goes around pilots.

    Raises ConfigurationError when a position lies outside range(total) or occurs twice.
    """
    total = _integer("total", total, 0)
    taken = np.zeros(total, dtype=bool)
    positions = np.asarray(positions)
    if positions.size and not np.issubdtype(positions.dtype, np.integer):
        raise ConfigurationError(f"positions must be integers, got {positions.dtype}")
    if positions.size and (positions.min() < 0 or positions.max() >= total):
        raise ConfigurationError(f"positions must lie from 0 to {total - 1}")
    positions = positions.astype(np.int64)
    taken[positions] = True
    free = np.flatnonzero(~taken).astype(np.int64)
    if free.size + positions.size != total:
        raise ConfigurationError("positions must be distinct; a position was given twice")
    return free


def _check_order(x: npt.NDArray, order: npt.NDArray[np.integer]) -> None:
    if order.ndim != 1 or x.ndim == 0 or len(order) != len(x):
        raise ConfigurationError(
            f"the interleaver is made for {order.size} values and got {len(x) if x.ndim else 'a scalar'};"
            " make it with permutation(len(x), seed)"
        )
    # A wrong order would lose values without a trace.
    remaining_positions(len(x), order)


def _integer(name: str, value: SupportsIndex, low: int, high: int | None = None) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise ConfigurationError(f"{name} must be an integer, got {value!r}") from None
    if number < low or (high is not None and number > high):
        upper = "up" if high is None else f"to {high}"
        raise ConfigurationError(f"{name} must be from {low} {upper}, got {number}")
    return number
