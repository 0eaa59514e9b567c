"""Compression ratio, header and what they leave, by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcom_app.allocation.budget import allocatable_bits, bits_per_entry, compression_ratio, header_bits, target_bits
from semcom_phy.errors import ConfigurationError


def test_equation_12() -> None:
    assert header_bits(196) == 196 * 4 + 16 == 800
    assert [bits_per_entry(m) for m in (1, 2, 3, 4, 7, 8)] == [1, 2, 2, 3, 3, 4]


def test_the_paper_at_224() -> None:
    assert target_bits(0.25, 196, 768) == 196 * 768 * 2
    # 301056 − 800 bits leave 390.96 bits per sample and 196 patches: the header costs one bit of the two per sample.
    assert allocatable_bits(301056, 196, 768) == 390
    assert allocatable_bits(301056, 196, 768, overhead=0) == 392
    assert compression_ratio(301056, 196, 768) == 0.25


@pytest.mark.parametrize("ratio", [0.1, 0.2, 0.3, 0.6, 0.7])
def test_decimal_fractions_lose_nothing(ratio: float) -> None:
    """8·K·N·0.1 and the like are whole numbers here, in spite of binary fractions."""
    assert target_bits(ratio, 10, 50) == round(ratio * 10) * 400


@given(
    st.integers(1, 300),
    st.integers(1, 800),
    st.sampled_from([(0, 8), (1, 8), (0, 3), (2, 4)]),
    st.integers(0, 3_000_000),
)
def test_everything_fits(patches: int, samples: int, limits: tuple[int, int], target: int) -> None:
    minimum, maximum = limits
    added = header_bits(patches, maximum)
    try:
        total = allocatable_bits(target, patches, samples, minimum, maximum, clip=True)
    except ConfigurationError:
        assert target < patches * minimum * samples + added
        return
    assert total * samples + added <= target
    assert total == patches * maximum or (total + 1) * samples + added > target
    assert patches * minimum <= total <= patches * maximum


def test_a_budget_below_the_minimum_names_the_smallest_possible() -> None:
    with pytest.raises(ConfigurationError, match=r"smallest 151328 bits, rho=0\.12567") as caught:
        allocatable_bits(target_bits(0.1, 196, 768), 196, 768)
    ratio = float(str(caught.value).rsplit("=", 1)[1])
    assert allocatable_bits(target_bits(ratio, 196, 768), 196, 768) == 196


def test_a_budget_below_the_header_names_the_smallest_possible() -> None:
    with pytest.raises(ConfigurationError, match="smallest 800 bits"):
        allocatable_bits(799, 196, 768, minimum=0)
    assert allocatable_bits(800, 196, 768, minimum=0) == 0


def test_a_budget_above_the_maximum_names_the_largest_possible() -> None:
    target = target_bits(0.6, 196, 768)
    with pytest.raises(ConfigurationError, match=r"largest \d+ bits, rho=0\.50") as caught:
        allocatable_bits(target, 196, 768, maximum=4)
    largest = int(str(caught.value).split("largest ")[1].split()[0])
    assert allocatable_bits(largest, 196, 768, maximum=4) == 196 * 4
    assert allocatable_bits(target, 196, 768, maximum=4, clip=True) == 196 * 4


@pytest.mark.parametrize("ratio", [0.0, -0.1, 2.1, math.nan, math.inf])
def test_impossible_ratios_are_refused(ratio: float) -> None:
    with pytest.raises(ConfigurationError, match="compression ratio"):
        target_bits(ratio, 196, 768)
