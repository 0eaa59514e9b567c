"""Quantizers of VCSC: round trips, bounds, and the regions that must not crash."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from semcom_app.quantization import (
    UniformQuantizer,
    attention_map,
    attention_mask,
    bits_to_indices,
    indices_to_bits,
)
from semcom_phy.errors import ConfigurationError

latents = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=8),
    elements=st.floats(-1e4, 1e4, width=32),
)
bit_counts = st.integers(1, 8)


@given(latents, bit_counts)
def test_error_is_at_most_half_a_step(z: np.ndarray, bits: int) -> None:
    quantizer = UniformQuantizer.fit(z, bits)
    index = quantizer.quantize(z)
    assert index.shape == z.shape
    assert index.min() >= 0
    assert index.max() < 2**bits
    error = np.abs(quantizer.dequantize(index).astype(np.float64) - z)
    rounding = np.finfo(np.float32).eps * np.abs(z).max()
    assert error.max() <= 0.5 * quantizer.step + rounding


@given(latents, bit_counts)
def test_levels_are_fixed_points(z: np.ndarray, bits: int) -> None:
    quantizer = UniformQuantizer.fit(z, bits)
    index = quantizer.quantize(z)
    if quantizer.step > 1e-2:  # finer steps of a range far from zero are below float32's resolution
        assert np.array_equal(quantizer.quantize(quantizer.dequantize(index)), index)


def test_hand_computed_example() -> None:
    z = np.array([-1.0, -0.4, 0.0, 0.9, 2.0], np.float32)
    quantizer = UniformQuantizer.fit(z, 2)
    assert (quantizer.z_min, quantizer.z_max, quantizer.step) == (-1.0, 2.0, 1.0)
    assert quantizer.quantize(z).tolist() == [0, 1, 1, 2, 3]
    assert quantizer.dequantize(np.array([0, 1, 2, 3])).tolist() == [-1.0, 0.0, 1.0, 2.0]


@given(latents, bit_counts)
def test_extrema_are_exact(z: np.ndarray, bits: int) -> None:
    quantizer = UniformQuantizer.fit(z, bits)
    back = quantizer.dequantize(quantizer.quantize(z))
    assert back.min() == np.float32(quantizer.z_min)
    assert back.max() == pytest.approx(quantizer.z_max, rel=1e-6)


@pytest.mark.parametrize("bits", range(1, 9))
def test_constant_and_empty_regions(bits: int) -> None:
    constant = np.full((4, 3, 3), 1.25, np.float32)
    quantizer = UniformQuantizer.fit(constant, bits)
    assert np.array_equal(quantizer.dequantize(quantizer.quantize(constant)), constant)
    empty = np.empty((4, 0), np.float32)
    quantizer = UniformQuantizer.fit(empty, bits)
    assert quantizer.quantize(empty).shape == (4, 0)
    assert quantizer.dequantize(quantizer.quantize(empty)).shape == (4, 0)


@pytest.mark.parametrize("bits", [0, 9, -1])
def test_impossible_bit_counts_are_refused(bits: int) -> None:
    with pytest.raises(ConfigurationError):
        UniformQuantizer(bits, 0.0, 1.0)


@pytest.mark.parametrize(("low", "high"), [(1.0, 0.0), (float("nan"), 1.0), (0.0, float("inf"))])
def test_impossible_ranges_are_refused(low: float, high: float) -> None:
    with pytest.raises(ConfigurationError):
        UniformQuantizer(4, low, high)


@given(latents)
def test_attention_map_spans_zero_to_one(z: np.ndarray) -> None:
    attention = attention_map(z)
    assert attention.shape == z.shape[1:]
    assert attention.min() == 0.0
    assert attention.max() in (0.0, 1.0)


@given(latents, st.floats(0, 1), st.floats(0, 1))
def test_a_lower_threshold_marks_more(z: np.ndarray, a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert np.all(attention_mask(z, low) >= attention_mask(z, high))
    assert attention_mask(z, 0.0).all()


def test_constant_attention_marks_nothing() -> None:
    z = np.stack([np.full((3, 3), 2.0), np.full((3, 3), -2.0)]).astype(np.float32)
    assert not attention_mask(z, 0.2).any()


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_impossible_thresholds_are_refused(threshold: float) -> None:
    with pytest.raises(ConfigurationError):
        attention_mask(np.zeros((1, 2, 2), np.float32), threshold)


def test_bits_are_natural_binary_msb_first() -> None:
    assert indices_to_bits(np.array([5, 2]), 3).tolist() == [1, 0, 1, 0, 1, 0]


@given(st.integers(1, 8).flatmap(lambda b: st.tuples(st.just(b), st.lists(st.integers(0, 2**b - 1), max_size=50))))
def test_bits_round_trip(case: tuple[int, list[int]]) -> None:
    bits, indices = case
    packed = indices_to_bits(np.array(indices, np.int64), bits)
    assert packed.dtype == np.uint8
    assert bits_to_indices(packed, bits).tolist() == indices


def test_a_broken_index_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        bits_to_indices(np.zeros(7, np.uint8), 4)
