"""Picking the largest of many numbers, row by row."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def smallest_of_largest(keys: npt.NDArray[np.float64], counts: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """The ``counts[b]``-th largest key of each row b, inf where the count is 0.

    keys: (B, n); counts: (B,), 0 … n. Returns float64 (B,). Expected cost O(B·n) by partition when all counts are
    equal, else O(B·n·log n) by sorting.
    """
    images, size = keys.shape
    if images == 0 or not counts.any():
        return np.full(images, np.inf)
    places = size - counts  # in ascending order
    if np.all(places == places[0]):
        return np.partition(keys, places[0], axis=1)[:, places[0]]
    ascending = np.sort(keys, axis=1)
    found = np.take_along_axis(ascending, np.minimum(places, size - 1)[:, None], axis=1)[:, 0]
    return np.where(counts > 0, found, np.inf)


def mark_largest(keys: npt.NDArray[np.float64], counts: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Mark the ``counts[b]`` largest keys of each row b; among equal keys the first ones.

    keys: (B, n), −inf for what must not be marked. counts: (B,), 0 … n, at most the number of keys above −inf.
    Returns (B, n) bool.
    """
    smallest = smallest_of_largest(keys, counts)
    marked = keys >= smallest[:, None]
    excess = np.count_nonzero(marked, axis=1) - counts
    for row in np.flatnonzero(excess):  # more equal keys than are wanted: drop the last ones
        equal = np.flatnonzero(keys[row] == smallest[row])
        marked[row, equal[equal.size - excess[row] :]] = False
    return marked
