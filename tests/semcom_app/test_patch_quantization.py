"""Quantizers of patches: the paper's formulas, round trips, bounds, and soft values against exhaustive sums."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcom_app.allocation import AllocationConfig, allocate, make_distortion
from semcom_app.images import load_image
from semcom_app.patch_quantization import (
    PatchQuantizer,
    estimate_prior,
    patch_fill,
    patch_ranges,
    to_pixels,
)
from semcom_app.patches import extract_patches
from semcom_phy.errors import ConfigurationError


def make(
    bits: list[int] | np.ndarray, patches: np.ndarray, ranges: str = "full", fill: str = "mid-range"
) -> PatchQuantizer:
    low, high = patch_ranges(patches, ranges)
    return PatchQuantizer(np.array(bits, np.uint8), low, high, patch_fill(patches, fill))


@st.composite
def cases(draw: st.DrawFn) -> tuple[PatchQuantizer, np.ndarray]:
    """A quantizer with ranges and fill of any kind, and its patches (n, 12)."""
    n = draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    centre, width = rng.integers(0, 256, (n, 1)), draw(st.sampled_from([0, 1, 20, 255]))
    patches = np.clip(centre + rng.integers(-width, width + 1, (n, 12)), 0, 255).astype(np.uint8)
    bits = rng.integers(0, 9, n)
    ranges = draw(st.sampled_from(["full", "picture", "patch"]))
    return make(bits, patches, ranges, draw(st.sampled_from(["mid-range", "mean", "channel-means"]))), patches


def test_equation_5_in_every_level() -> None:
    """v = min(⌊(u − u_min)/Δ⌋, Q − 1) and û = u_min + (v + ½)Δ for all 256 values and all numbers of bits."""
    samples = np.tile(np.arange(256, dtype=np.uint8), (8, 1))
    quantizer = make(range(1, 9), samples)
    indices = quantizer.quantize(samples)
    values = quantizer.dequantize(indices)
    for bits in range(1, 9):
        step = 255 / 2**bits
        expected = [min(int(u * 2**bits // 255), 2**bits - 1) for u in range(256)]
        assert indices[bits - 1].tolist() == expected
        assert np.allclose(values[bits - 1], (np.array(expected) + 0.5) * step, rtol=1e-6)
        assert np.abs(values[bits - 1] - np.arange(256)).max() <= step / 2 + 1e-4  # eq. 7


def test_the_example_of_natural_binary() -> None:
    quantizer = make([3, 0, 1], np.array([[0, 255], [7, 9], [0, 255]], np.uint8))
    assert quantizer.to_bits(np.array([[5, 3], [0, 0], [1, 0]])).tolist() == [1, 0, 1, 0, 1, 1, 1, 0]


@given(cases())
def test_error_is_at_most_half_a_step(case: tuple[PatchQuantizer, np.ndarray]) -> None:
    quantizer, patches = case
    values = quantizer.dequantize(quantizer.quantize(patches))
    step = (quantizer.high.astype(float) - quantizer.low) / 2.0**quantizer.bits
    sent = quantizer.bits > 0
    error = np.abs(values.astype(float) - patches).max(axis=1)
    assert np.all(error[sent] <= step[sent] / 2 + 1e-4)
    # Levels finer than pixel values lose nothing.
    lossless = sent & (step < 0.99)
    assert np.array_equal(to_pixels(values[lossless]), patches[lossless])


@given(cases())
def test_bits_round_trip(case: tuple[PatchQuantizer, np.ndarray]) -> None:
    quantizer, patches = case
    indices = quantizer.quantize(patches)
    payload = quantizer.to_bits(indices)
    assert payload.dtype == np.uint8
    assert payload.size == 12 * quantizer.total_bits == 12 * int(quantizer.bits.astype(int).sum())
    assert np.array_equal(quantizer.from_bits(payload, 12), indices)
    # Patch after patch: the payload of the first ones alone is the beginning of the whole.
    first = PatchQuantizer(*(part[:1] for part in (quantizer.bits, quantizer.low, quantizer.high, quantizer.fill)))
    assert np.array_equal(first.to_bits(indices[:1]), payload[: first.total_bits * 12])


@given(cases(), st.sampled_from(["uniform", "estimated"]))
def test_certain_llrs_give_the_hard_values(case: tuple[PatchQuantizer, np.ndarray], prior: str) -> None:
    quantizer, patches = case
    indices = quantizer.quantize(patches)
    for certain in (np.inf, 200.0):
        llrs = np.where(quantizer.to_bits(indices) == 1, certain, -certain).astype(np.float32)
        assert np.allclose(quantizer.soft_dequantize(llrs, 12, prior), quantizer.dequantize(indices), atol=1e-2)


@given(cases())
def test_without_any_knowledge_the_middle_is_taken(case: tuple[PatchQuantizer, np.ndarray]) -> None:
    quantizer, _ = case
    nothing = np.zeros(12 * quantizer.total_bits)
    nothing[::2] = np.nan
    values = quantizer.soft_dequantize(nothing, 12)
    middle = (quantizer.low.astype(float) + quantizer.high) / 2
    sent = quantizer.bits > 0
    assert np.allclose(values[sent], middle[sent, None], atol=1e-3)


@pytest.mark.parametrize("bits", [1, 2, 3, 5])
def test_posterior_means_against_a_sum_over_all_indices(bits: int) -> None:
    rng = np.random.default_rng(bits)
    quantizer = make([bits], np.array([[10, 250]], np.uint8), "patch")
    llrs = rng.normal(0, 3, 12 * bits)
    means = quantizer.soft_dequantize(llrs, 12)
    index = np.arange(2**bits)
    digits = (index[:, None] >> np.arange(bits - 1, -1, -1)) & 1
    for sample, received in enumerate(llrs.reshape(12, bits)):
        posterior = np.exp(digits @ received)  # P(index) ∝ Π e^(bit·LLR)
        expected = posterior @ (10 + (index + 0.5) * 240 / 2**bits) / posterior.sum()
        assert means[0, sample] == pytest.approx(expected, rel=1e-5)


def test_the_estimated_prior_finds_the_histogram() -> None:
    """Indices 0 … 7 with a lopsided distribution through a channel that flips 10 % of the bits."""
    rng = np.random.default_rng(0)
    truth = np.array([0.4, 0.3, 0.1, 0.05, 0.05, 0.05, 0.04, 0.01])
    index = rng.choice(8, 20_000, p=truth)
    bits = (index[:, None] >> np.array([2, 1, 0])) & 1
    received = bits ^ (rng.random(bits.shape) < 0.1)
    prior = estimate_prior(np.where(received == 1, 0.9, 0.1).astype(np.float32))
    assert prior.sum() == pytest.approx(1)
    assert np.abs(prior - truth).max() < 0.03
    # What arrives is twice as far off.
    assert np.abs(np.bincount(received @ [4, 2, 1], minlength=8) / 20_000 - truth).max() > 0.06


@pytest.mark.parametrize(("mu", "ranges", "bound"), [(0.05, "full", 0.8), (0.1, "full", 0.7), (0.1, "patch", 0.85)])
def test_with_an_estimated_prior_soft_values_are_closer(mu: float, ranges: str, bound: float, photos: Path) -> None:
    """On a photograph over a binary symmetric channel."""
    rng = np.random.default_rng(1)
    patches = extract_patches(load_image(photos / "astronaut.png", 128).pixels, 16)
    quantizer = make(rng.integers(1, 7, len(patches)), patches, ranges)
    payload = quantizer.to_bits(quantizer.quantize(patches))
    received = payload ^ (rng.random(payload.size) < mu)
    llrs = (2.0 * received - 1.0) * np.log((1 - mu) / mu)

    def error(values: np.ndarray) -> float:
        return float(np.mean((values - patches) ** 2))

    hard = error(quantizer.dequantize(quantizer.from_bits(received, patches.shape[1])))
    uniform = error(quantizer.soft_dequantize(llrs, patches.shape[1]))
    estimated = error(quantizer.soft_dequantize(llrs, patches.shape[1], "estimated"))
    assert estimated < bound * min(hard, uniform)


@pytest.mark.parametrize("mu", [0.0, 0.05, 0.15])
@pytest.mark.parametrize("bits", [1, 3, 6])
def test_the_distortion_models_foretell_the_error(mu: float, bits: int) -> None:
    """Uniform samples through the very quantizer: hard decisions give "all-flips", posterior means "posterior-mean"."""
    rng = np.random.default_rng(bits)
    patches = rng.integers(0, 256, (64, 768), dtype=np.uint8)
    quantizer = make([bits] * 64, patches)
    received = quantizer.to_bits(quantizer.quantize(patches))
    received ^= rng.random(received.size) < mu
    hard = np.mean((quantizer.dequantize(quantizer.from_bits(received, 768)) - patches) ** 2) / 255**2
    assert hard == pytest.approx(float(make_distortion("all-flips", mu).value(bits)), rel=0.03)
    if mu:
        soft = quantizer.soft_dequantize((2.0 * received - 1.0) * np.log((1 - mu) / mu), 768)
        mean = np.mean((soft - patches) ** 2) / 255**2
        assert mean == pytest.approx(float(make_distortion("posterior-mean", mu).value(bits)), rel=0.03)


def test_ranges_are_rounded_outward() -> None:
    patches = np.array([[37, 90], [0, 255], [128, 128]], np.uint8)
    for value_bits in range(1, 9):
        low, high = patch_ranges(patches, "patch", value_bits)
        grid = 1 << (8 - value_bits)
        assert np.all(low % grid == 0)
        assert np.all((high.astype(int) + 1) % grid == 0)
        assert np.all((low <= patches.min(axis=1)) & (low.astype(int) > patches.min(axis=1).astype(int) - grid))
        assert np.all((high >= patches.max(axis=1)) & (high < patches.max(axis=1).astype(int) + grid))
    assert [x.tolist() for x in patch_ranges(patches, "picture")] == [[0] * 3, [255] * 3]


def test_zero_bit_patches() -> None:
    patches = np.array([[10, 20, 100, 101, 200, 210]], np.uint8)
    for fill, expected in (
        ("mid-range", [127.5] * 6),
        ("mean", [107.0] * 6),
        ("channel-means", [15, 15, 100, 100, 205, 205]),
    ):
        quantizer = make([0], patches, "patch", fill)
        assert quantizer.total_bits == 0
        assert quantizer.to_bits(quantizer.quantize(patches)).size == 0
        assert quantizer.dequantize(quantizer.from_bits(np.zeros(0, np.uint8), 6))[0].tolist() == pytest.approx(
            expected, abs=0.51
        )
        assert quantizer.soft_dequantize(np.zeros(0), 6)[0].tolist() == pytest.approx(expected, abs=0.51)
    assert patch_fill(patches, "mean", value_bits=4).tolist() == [[6 * 16 + 8]]


def test_ranges_of_their_own_gain_decibels(photos: Path) -> None:
    """At equal payload, importance uniform: what the header of 16 bits per patch buys."""
    patches = extract_patches(load_image(photos / "astronaut.png", 224).pixels, 16)

    def psnr(ranges: str, fill: str, minimum: int) -> float:
        low, high = patch_ranges(patches, ranges)
        spread = (high.astype(float) - low) / 255
        bits = allocate("ia", np.ones(len(patches)), 392 - 4, AllocationConfig(minimum=minimum), spread)
        quantizer = PatchQuantizer(bits, low, high, patch_fill(patches, fill))
        values = quantizer.dequantize(quantizer.quantize(patches))
        return 10 * np.log10(255**2 / np.mean((values - patches) ** 2))

    assert psnr("patch", "mean", 0) > psnr("full", "mid-range", 1) + 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bits": np.array([9], np.uint8)}, "0 to 8"),
        ({"bits": np.array([3.0])}, "uint8"),
        ({"bits": np.array([3, 4], np.uint8)}, "one entry per patch"),
        ({"low": np.array([9], np.uint8), "high": np.array([8], np.uint8)}, "ends before it begins"),
        ({"fill": np.array([0], np.uint8)}, "one entry per patch"),
    ],
)
def test_impossible_quantizers_are_refused(change: dict, message: str) -> None:
    parts = {
        "bits": np.array([3], np.uint8),
        "low": np.array([0], np.uint8),
        "high": np.array([255], np.uint8),
        "fill": np.zeros((1, 0), np.uint8),
    }
    PatchQuantizer(**parts)
    with pytest.raises(ConfigurationError, match=message):
        PatchQuantizer(**parts | change)


def test_wrong_arguments_are_refused() -> None:
    patches = np.zeros((2, 12), np.uint8)
    quantizer = make([2, 0], patches, fill="channel-means")
    for wrong in (
        lambda: quantizer.quantize(patches[:1]),
        lambda: quantizer.dequantize(np.zeros((2, 13), np.uint8)),
        lambda: quantizer.from_bits(np.zeros(23, np.uint8), 12),
        lambda: quantizer.soft_dequantize(np.zeros(25), 12),
        lambda: quantizer.soft_dequantize(np.zeros(24), 12, "histogram"),
        lambda: patch_ranges(patches, "own"),
        lambda: patch_ranges(patches, "patch", 0),
        lambda: patch_fill(patches, "grey"),
        lambda: patch_fill(patches, "mean", value_bits=9),
    ):
        with pytest.raises(ConfigurationError):
            wrong()
