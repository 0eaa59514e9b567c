import hashlib

import numpy as np
import pytest

from semcom_phy.coding.qpp import BLOCK_SIZES, QPP_TABLE, qpp_interleaver
from semcom_phy.errors import ConfigurationError

# Of "K,f1,f2;K,f1,f2;…", after a row-by-row comparison with two public transcriptions of Table 5.1.3-3.
TABLE_SHA256 = "de0a502d351632b14c8693614f505efcaff99f7d10ebf4ad24c50f438e0121ea"


def prime_factors(number: int) -> set[int]:
    factors, candidate = set(), 2
    while number > 1:
        while number % candidate == 0:
            factors.add(candidate)
            number //= candidate
        candidate += 1
    return factors


def test_table_is_the_verified_one() -> None:
    text = ";".join(f"{size},{f1},{f2}" for size, f1, f2 in QPP_TABLE)
    assert hashlib.sha256(text.encode()).hexdigest() == TABLE_SHA256


@pytest.mark.parametrize(
    "row", [(40, 3, 10), (512, 31, 64), (1024, 31, 64), (1504, 49, 846), (4352, 477, 408), (6144, 263, 480)]
)
def test_rows_checked_by_hand(row: tuple[int, int, int]) -> None:
    assert row in QPP_TABLE


def test_block_sizes() -> None:
    expected = [
        *range(40, 513, 8),
        *range(528, 1025, 16),
        *range(1056, 2049, 32),
        *range(2112, 6145, 64),
    ]
    assert list(BLOCK_SIZES) == expected
    assert len(BLOCK_SIZES) == 188


@pytest.mark.parametrize(("size", "f1", "f2"), QPP_TABLE)
def test_every_row_is_a_permutation_polynomial(size: int, f1: int, f2: int) -> None:
    # Every K is a multiple of 4 (of 8 even): then f1 must be prime to K and f2 divisible by each prime of K.
    assert all(f1 % prime and f2 % prime == 0 for prime in prime_factors(size))
    permutation = qpp_interleaver(size)
    assert permutation.dtype == np.int64
    np.testing.assert_array_equal(np.sort(permutation), np.arange(size))
    for i in (0, 1, 2, size // 2, size - 1):
        assert permutation[i] == (f1 * i + f2 * i * i) % size


def test_first_indices_of_the_smallest_block() -> None:
    # 3 i + 10 i² mod 40
    assert qpp_interleaver(40)[:8].tolist() == [0, 13, 6, 19, 12, 25, 18, 31]


def test_interleaver_is_cached_and_read_only() -> None:
    assert qpp_interleaver(64) is qpp_interleaver(64)
    with pytest.raises(ValueError, match="read-only"):
        qpp_interleaver(64)[0] = 1


@pytest.mark.parametrize("size", [0, 39, 41, 520, 6145])
def test_illegal_sizes(size: int) -> None:
    with pytest.raises(ConfigurationError, match="BLOCK_SIZES"):
        qpp_interleaver(size)
