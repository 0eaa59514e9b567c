"""Augmentation: seeded, within bounds, and exactly the quantizer of the codec where it shows quantization."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from semcom_app.training.augment import cut_out, pad_pictures, quantize_patches, random_crops
from semcom_phy.errors import ConfigurationError


def pictures(count: int, side: int = 16) -> NDArray[np.uint8]:
    return np.random.default_rng(7).integers(256, size=(count, side, side, 3), dtype=np.uint8)


def test_crops_are_windows_of_their_picture() -> None:
    x = pictures(6)
    padded = pad_pictures(x, 3)
    assert padded.shape == (6, 22, 22, 3)
    np.testing.assert_array_equal(padded[:, 3:-3, 3:-3], x)
    chosen = np.array([5, 0, 0, 3])
    crops = random_crops(padded, chosen, 16, False, np.random.default_rng(1))
    for crop, number in zip(crops, chosen, strict=True):
        windows = [padded[number, i : i + 16, j : j + 16] for i in range(7) for j in range(7)]
        assert any(np.array_equal(crop, window) for window in windows)
    again = random_crops(padded, chosen, 16, False, np.random.default_rng(1))
    np.testing.assert_array_equal(crops, again)


def test_half_of_the_pictures_are_mirrored() -> None:
    x = pictures(1).repeat(400, axis=0)
    crops = random_crops(x, np.arange(400), 16, True, np.random.default_rng(1))
    mirrored = np.array([np.array_equal(crop, x[0, :, ::-1]) for crop in crops])
    straight = np.array([np.array_equal(crop, x[0]) for crop in crops])
    assert (mirrored ^ straight).all()
    assert 150 < mirrored.sum() < 250


def test_without_padding_and_mirror_nothing_changes() -> None:
    x = pictures(3)
    assert pad_pictures(x, 0) is x
    np.testing.assert_array_equal(random_crops(x, np.arange(3), 16, False, np.random.default_rng(1)), x)


def test_quantized_pictures_are_those_of_the_codec() -> None:
    """Every patch is what the codec's quantizer makes of it at one of the depths 0 to 8."""
    from semcom_app.patch_quantization import PatchQuantizer

    x = pictures(20)
    shown = quantize_patches(x, 4, 1.0, np.random.default_rng(3))
    assert shown.dtype == np.float32
    seen = set()
    for i, row, column in np.ndindex(20, 4, 4):
        window = (i, slice(4 * row, 4 * row + 4), slice(4 * column, 4 * column + 4))
        sent, got = x[window].reshape(1, 48), shown[window].reshape(48)
        depths = []
        for bits in range(9):
            one = np.array([bits], np.uint8)
            quantizer = PatchQuantizer(
                one, np.zeros(1, np.uint8), np.full(1, 255, np.uint8), np.zeros((1, 0), np.uint8)
            )
            indices = quantizer.quantize(sent).astype(float)
            decoded = (indices + 0.5) * 255.0 / 2.0**bits
            if np.allclose(got, decoded, atol=1e-3):
                depths.append(bits)
        if np.allclose(got.reshape(16, 3), sent.reshape(16, 3).mean(axis=0), atol=1e-3):
            depths.append(0)
        assert depths, (i, row, column)
        seen |= set(depths)
    assert {0, 1, 2, 3, 4, 5} <= seen


def test_a_share_of_the_pictures_is_left_alone() -> None:
    x = pictures(400, 8)
    shown = quantize_patches(x, 4, 0.25, np.random.default_rng(3))
    same = (shown == x).all(axis=(1, 2, 3))
    assert 260 < same.sum() < 340
    np.testing.assert_array_equal(quantize_patches(x, 4, 0.0, np.random.default_rng(3)), x)
    with pytest.raises(ConfigurationError, match="do not tile"):
        quantize_patches(x, 3, 1.0, np.random.default_rng(3))


def test_cut_out_blanks_one_square() -> None:
    x = torch.ones(50, 3, 16, 16)
    blanked = cut_out(x, 6, np.random.default_rng(1))
    areas = (blanked == 0).sum(dim=(1, 2, 3)) // 3
    assert areas.max() == 36
    assert areas.min() >= 9  # no more than half of a side reaches over the border
    for picture in blanked:
        rows, columns = (picture[0] == 0).any(dim=1), (picture[0] == 0).any(dim=0)
        assert int(rows.sum() * columns.sum()) == int((picture[0] == 0).sum())
    assert torch.equal(cut_out(torch.ones(2, 3, 8, 8), 0, np.random.default_rng(1)), torch.ones(2, 3, 8, 8))
