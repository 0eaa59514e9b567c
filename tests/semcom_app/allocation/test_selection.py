"""The largest of each row against sorting by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from semcom_app.allocation.selection import mark_largest, smallest_of_largest


@given(st.data(), st.integers(1, 12), st.integers(0, 6), st.booleans())
def test_like_a_stable_sort(data: st.DataObject, size: int, rows: int, same: bool) -> None:
    # Few different values: ties everywhere.
    keys = np.array(
        data.draw(st.lists(st.lists(st.integers(0, 4), min_size=size, max_size=size), min_size=rows, max_size=rows))
    )
    keys = keys.reshape(rows, size).astype(float)
    counts = np.array(data.draw(st.lists(st.integers(0, size), min_size=rows, max_size=rows)), np.int64)
    if same and rows:
        counts[:] = counts[0]
    marked = mark_largest(keys, counts)
    for row in range(rows):
        expected = sorted(range(size), key=lambda i, row=row: (-keys[row, i], i))[: counts[row]]
        assert np.flatnonzero(marked[row]).tolist() == sorted(expected)
        threshold = smallest_of_largest(keys, counts)[row]
        assert threshold == (keys[row, expected[-1]] if expected else np.inf)


def test_what_is_out_stays_out() -> None:
    marked = mark_largest(np.array([[-np.inf, 1.0, -np.inf, 0.0]]), np.array([2]))
    assert marked.tolist() == [[False, True, False, True]]
