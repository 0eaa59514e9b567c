import numpy as np
import pytest

pytest.importorskip("numba", reason="the SIMD decoder needs numba: pip install numba")

from semcom_phy.coding.decoders.interface import ALGORITHMS
from semcom_phy.coding.decoders.numba_bcjr.arithmetic import ARITHMETICS_OF, make_arithmetic
from semcom_phy.coding.decoders.numba_bcjr.windows import (
    MOST_WINDOWS,
    SHORTEST_WINDOW,
    geometry,
    interleaver,
    neighbours,
    window_count,
)
from semcom_phy.coding.qpp import BLOCK_SIZES, qpp_interleaver


@pytest.mark.parametrize("size", BLOCK_SIZES)
def test_windows_of_every_size(size: int) -> None:
    count = window_count(size)
    steps = size // count
    assert count <= MOST_WINDOWS
    assert steps * count == size
    assert steps % 2 == 0, "the recursions take two steps at a time"
    assert count == 1 or steps >= SHORTEST_WINDOW
    for lanes in (4, 16, 32, 64):
        layout = geometry(size, lanes, True)
        assert layout.rows * layout.shared == size
        assert layout.windows * layout.steps == layout.rows
        assert lanes % layout.shared == 0
        assert geometry(size, lanes, False)[1:] == (size, 1, size, 1, lanes)


@pytest.mark.parametrize("size", [40, 256, 512, 1056, 3136, 6144])
@pytest.mark.parametrize("lanes", [8, 16, 32, 64])
def test_interleaver_is_a_row_and_a_permutation(size: int, lanes: int) -> None:
    layout = geometry(size, lanes, True)
    order = interleaver(layout)
    blocks = lanes // layout.shared
    message = np.arange(blocks * size).reshape(blocks, layout.shared, layout.rows)
    rows = message.transpose(2, 0, 1).reshape(layout.rows, lanes)  # [k, lane]
    expected = (np.arange(blocks)[:, None] * size + qpp_interleaver(size)).reshape(blocks, layout.shared, layout.rows)
    expected = expected.transpose(2, 0, 1).reshape(layout.rows, lanes)
    for k, at in enumerate(order.rows):
        row = rows[at // lanes]
        if order.gather is not None and order.scatter is not None:
            gather, scatter = (index[k * lanes : (k + 1) * lanes] for index in (order.gather, order.scatter))
            np.testing.assert_array_equal(row[gather][scatter], row)
            row = row[gather]
        np.testing.assert_array_equal(row, expected[k])


def test_neighbours_stay_within_the_block() -> None:
    layout = geometry(512, 8, True)
    assert layout.shared == 4
    before, after = neighbours(layout).reshape(2, 8)
    assert before.tolist() == [0, 0, 1, 2, 4, 4, 5, 6]
    assert after.tolist() == [1, 2, 3, 3, 5, 6, 7, 7]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_acquisition_runs_fit_into_the_shortest_window(algorithm: str) -> None:
    for dtype in ARITHMETICS_OF[algorithm]:
        steps = make_arithmetic(algorithm, dtype, 512, "test").acquisition
        assert steps % 2 == 0
        assert 0 < steps < SHORTEST_WINDOW
