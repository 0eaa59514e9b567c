"""Cutting pictures into patches, against slices by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from semcom_app.patches import assemble_patches, extract_patches, patch_grid
from semcom_phy.errors import ConfigurationError

pictures = hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3])))


def test_every_patch_is_a_slice() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 7, 10, 3), dtype=np.uint8)
    patches = extract_patches(pixels, 4)
    assert patches.shape == (2, 6, 48)
    padded = np.pad(pixels, ((0, 0), (0, 1), (0, 2), (0, 0)), mode="edge")
    for image in range(2):
        for number in range(6):
            y, x = number // 3 * 4, number % 3 * 4
            expected = padded[image, y : y + 4, x : x + 4].transpose(2, 0, 1).reshape(-1)
            assert np.array_equal(patches[image, number], expected)


@given(pictures, st.integers(1, 12))
def test_there_and_back(pixels: np.ndarray, side: int) -> None:
    height, width, channels = pixels.shape
    patches = extract_patches(pixels, side)
    rows, columns = patch_grid(height, width, side)
    assert patches.shape == (rows * columns, channels * side**2)
    assert np.array_equal(assemble_patches(patches, height, width, side, channels), pixels)


def test_the_paper_geometry() -> None:
    assert extract_patches(np.zeros((224, 224, 3), np.uint8), 16).shape == (196, 768)


@pytest.mark.parametrize("side", [0, -1, 256])
def test_impossible_sides_are_refused(side: int) -> None:
    with pytest.raises(ConfigurationError, match="patch side"):
        extract_patches(np.zeros((4, 4, 3), np.uint8), side)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="do not make a picture"):
        assemble_patches(np.zeros((6, 48), np.uint8), 8, 8, 4)
    with pytest.raises(ConfigurationError, match="without pixels"):
        extract_patches(np.zeros((0, 4, 3), np.uint8), 4)
