"""Arithmetic coding of masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.ndimage import gaussian_filter

from semcom_app.entropy import decode_mask, encode_mask
from semcom_phy.errors import FormatError

masks = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40))


@settings(max_examples=200)
@given(masks)
def test_masks_round_trip(mask: np.ndarray) -> None:
    assert np.array_equal(decode_mask(encode_mask(mask), mask.shape), mask)


@pytest.mark.parametrize("value", [False, True])
def test_a_flat_mask_costs_a_few_bytes(value: bool) -> None:
    mask = np.full((64, 64), value)
    code = encode_mask(mask)
    assert len(code) <= 16
    assert np.array_equal(decode_mask(code, mask.shape), mask)


def test_compression_against_raw() -> None:
    """A smooth mask takes well under its 4096 raw bits, a random one hardly more than them."""
    rng = np.random.default_rng(3)
    field = rng.standard_normal((64, 64))
    assert 8 * len(encode_mask(gaussian_filter(field, 2) > 0)) < 0.45 * 4096
    assert 8 * len(encode_mask(field > 0)) < 1.08 * 4096


@pytest.mark.parametrize("p", [0.02, 0.1, 0.5])
def test_cost_is_near_the_entropy(p: float) -> None:
    mask = np.random.default_rng(4).random((1, 20_000)) < p
    share = mask.mean()
    entropy = -mask.size * (share * np.log2(share) + (1 - share) * np.log2(1 - share))
    assert entropy * 0.99 < 8 * len(encode_mask(mask)) < entropy * 1.02 + 64


def test_more_bits_of_one_context_than_are_counted() -> None:
    """Counts are halved, so that a mask that changes its kind is not taxed for what it was before."""
    mask = np.zeros((1, 60_000), bool)
    mask[:, 30_000:] = np.random.default_rng(5).random(30_000) < 0.5
    code = encode_mask(mask)
    assert 8 * len(code) < 1.05 * 30_000
    assert np.array_equal(decode_mask(code, mask.shape), mask)


@given(st.binary(max_size=64), st.tuples(st.integers(1, 20), st.integers(1, 20)))
def test_any_bytes_give_a_mask_or_are_refused(code: bytes, shape: tuple[int, int]) -> None:
    try:
        mask = decode_mask(code, shape)
    except FormatError:
        assert len(code) > shape[0] * shape[1] // 4 + 16
        return
    assert mask.shape == shape
    assert mask.dtype == bool
