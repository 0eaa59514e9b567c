"""Arithmetic coding of masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.ndimage import gaussian_filter

from semcom_app.entropy import AdaptiveBit, BinaryDecoder, BinaryEncoder, decode_mask, encode_mask
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


def test_cost_is_near_the_entropy() -> None:
    rng = np.random.default_rng(4)
    for p in (0.02, 0.1, 0.5):
        bits = (rng.random(20_000) < p).astype(int).tolist()
        encoder, context = BinaryEncoder(), AdaptiveBit()
        for bit in bits:
            encoder.encode(bit, context)
        code = encoder.finish()
        share = np.mean(bits)
        entropy = -len(bits) * (share * np.log2(share) + (1 - share) * np.log2(1 - share))
        assert entropy * 0.99 < 8 * len(code) < entropy * 1.02 + 32
        decoder, context = BinaryDecoder(code), AdaptiveBit()
        assert [decoder.decode(context) for _ in bits] == bits


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3)), max_size=400))
def test_contexts_are_independent(steps: list[tuple[int, int]]) -> None:
    encoder, contexts = BinaryEncoder(), [AdaptiveBit() for _ in range(4)]
    for bit, context in steps:
        encoder.encode(bit, contexts[context])
    decoder, contexts = BinaryDecoder(encoder.finish()), [AdaptiveBit() for _ in range(4)]
    assert [decoder.decode(contexts[context]) for _, context in steps] == [bit for bit, _ in steps]


@given(st.binary(max_size=64), st.tuples(st.integers(1, 20), st.integers(1, 20)))
def test_any_bytes_give_a_mask_or_are_refused(code: bytes, shape: tuple[int, int]) -> None:
    try:
        mask = decode_mask(code, shape)
    except FormatError:
        assert len(code) > shape[0] * shape[1] // 4 + 16
        return
    assert mask.shape == shape
    assert mask.dtype == bool
