import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcom_phy.errors import ConfigurationError
from semcom_phy.interleaving import (
    deinterleave,
    interleave,
    permutation,
    remaining_positions,
    splitmix64,
    spread_positions,
)

MASK = 2**64 - 1


def splitmix64_by_definition(state: int, count: int) -> list[int]:
    """The generator in Python integers, one output after the other."""
    outputs = []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        outputs.append(z ^ (z >> 31))
    return outputs


def test_splitmix64_matches_its_published_outputs() -> None:
    # The widely published first outputs for the seed 1234567.
    assert splitmix64(1234567, 5).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


@given(st.integers(0, MASK), st.integers(0, 200))
def test_permutation_is_the_order_of_splitmix64_outputs(seed: int, length: int) -> None:
    keys = splitmix64_by_definition(seed, length)
    assert splitmix64(seed, length).tolist() == keys
    assert permutation(length, seed).tolist() == sorted(range(length), key=keys.__getitem__)


def test_permutation_known_vectors() -> None:
    # Fixed on the air: a change breaks every recording and every peer of another version.
    assert permutation(10, 1).tolist() == [8, 4, 3, 7, 0, 1, 5, 9, 6, 2]
    assert permutation(16, MASK).tolist() == [12, 9, 10, 14, 2, 7, 3, 15, 4, 8, 11, 5, 13, 0, 1, 6]
    assert permutation(0, 7).tolist() == []
    assert permutation(1, 7).tolist() == [0]
    assert permutation(3, 7).dtype == np.int64


def test_long_permutation_is_one_and_scatters_neighbours() -> None:
    length = 100_000
    order = permutation(length, 5)
    assert np.array_equal(np.sort(order), np.arange(length))
    # |difference| of two independent uniform indices has mean length/3 and deviation length/√18.
    distance = np.abs(np.diff(order)).mean()
    assert distance == pytest.approx(length / 3, abs=4 * length / math.sqrt(18 * length) * math.sqrt(2))
    # A random permutation has Poisson(1) fixed points.
    assert np.count_nonzero(order == np.arange(length)) <= 8


def test_neighbouring_seeds_give_unrelated_permutations() -> None:
    first, second = permutation(20_000, 1), permutation(20_000, 2)
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / math.sqrt(20_000)
    assert np.array_equal(first, permutation(20_000, 1))


@given(st.integers(0, 500), st.integers(0, MASK))
def test_interleaver_round_trip(length: int, seed: int) -> None:
    x = np.arange(length, dtype=np.float32) * 2 - 7
    order = permutation(length, seed)
    mixed = interleave(x, order)
    assert mixed.dtype == x.dtype
    assert np.array_equal(np.sort(mixed), x)
    assert np.array_equal(deinterleave(mixed, order), x)
    assert np.array_equal(interleave(deinterleave(x, order), order), x)


def test_interleaver_direction_and_rows() -> None:
    x = np.array([[10, 11], [20, 21], [30, 31]], dtype=np.uint8)
    order = np.array([2, 0, 1])
    assert interleave(x, order).tolist() == [[30, 31], [10, 11], [20, 21]]
    assert deinterleave(x, order).tolist() == [[20, 21], [30, 31], [10, 11]]
    assert deinterleave(x, order).dtype == np.uint8


@pytest.mark.parametrize("function", [interleave, deinterleave])
@pytest.mark.parametrize(
    ("order", "message"),
    [
        (np.array([0, 1]), "made for 2 values and got 3"),
        (np.array([0, 1, 1]), "distinct"),
        (np.array([0, 1, 3]), "from 0 to 2"),
        (np.array([0, 1, -1]), "from 0 to 2"),
        (np.array([0.0, 1.0, 2.0]), "integers"),
    ],
)
def test_a_wrong_order_is_refused(function: Callable, order: np.ndarray, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        function(np.zeros(3), order)


@given(st.data())
def test_spread_positions_follow_the_formula(data: st.DataObject) -> None:
    total = data.draw(st.integers(0, 10**6))
    count = data.draw(st.integers(0, min(total, 300)))
    positions = spread_positions(total, count)
    assert positions.dtype == np.int64
    assert positions.tolist() == [i * total // count for i in range(count)]
    gaps = np.diff(np.append(positions, total)) if count else np.array([], dtype=int)
    assert np.all((gaps == total // max(count, 1)) | (gaps == -(-total // max(count, 1))))
    assert np.all(gaps >= 1)


def test_spread_positions_of_a_huge_total_do_not_overflow() -> None:
    total = 2**62
    assert spread_positions(total, 7).tolist() == [i * total // 7 for i in range(7)]


@given(st.data())
def test_remaining_positions_are_the_complement(data: st.DataObject) -> None:
    total = data.draw(st.integers(0, 400))
    taken = data.draw(st.sets(st.integers(0, total - 1)) if total else st.just(set()))
    positions = np.array(sorted(taken, reverse=True), dtype=np.int64)
    remaining = remaining_positions(total, positions)
    assert remaining.dtype == np.int64
    assert remaining.tolist() == [i for i in range(total) if i not in taken]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: permutation(-1, 0), "count"),
        (lambda: permutation(3, -1), "seed"),
        (lambda: permutation(3, 2**64), "seed"),
        (lambda: permutation(3, 1.5), "integer"),  # type: ignore[arg-type]
        (lambda: spread_positions(3, 4), "count must be from 0 to 3"),
        (lambda: spread_positions(-1, 0), "total"),
        (lambda: spread_positions(3, -1), "count"),
        (lambda: remaining_positions(3, np.array([1, 1])), "distinct"),
        (lambda: remaining_positions(3, np.array([3])), "from 0 to 2"),
    ],
)
def test_bad_arguments_are_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        call()
