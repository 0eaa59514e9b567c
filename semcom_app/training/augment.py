"""Augmentation of small square pictures, vectorised over a batch and seeded."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semcom_phy.errors import ConfigurationError

LARGEST_DEPTH = 8


def pad_pictures(pictures: NDArray[np.uint8], padding: int) -> NDArray[np.uint8]:
    """Mirror the borders of uint8 (N, S, S, 3) by `padding` pixels, so that crops need no further work."""
    if not padding:
        return pictures
    return np.pad(pictures, ((0, 0), (padding, padding), (padding, padding), (0, 0)), mode="reflect")


def random_crops(
    padded: NDArray[np.uint8], chosen: NDArray[np.int64], side: int, mirror: bool, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Random crops of side `side` from the pictures numbered `chosen`, half of them mirrored where `mirror`.

    padded: uint8 (N, S + 2·padding, …, 3) → uint8 (len(chosen), side, side, 3).
    """
    count, freedom = len(chosen), padded.shape[1] - side + 1
    rows = rng.integers(freedom, size=(count, 1)) + np.arange(side)
    columns = rng.integers(freedom, size=(count, 1)) + np.arange(side)
    flips = rng.random(count) < 0.5
    if mirror:
        columns[flips] = columns[flips, ::-1]
    crops: NDArray[np.uint8] = padded[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]
    return crops


def quantize_patches(
    pictures: NDArray[np.uint8], patch: int, share: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Importance-aware quantization as a receiver sees it, with random depths, for a share of the pictures.

    Every patch of a chosen picture gets a depth of 0 to 8 bits: its picture's mean depth, uniform in 0.25…4 bits, plus
    a uniform spread of ±3 bits. Values are decoded at the middle of their interval (EQUATIONS (5)); a patch of zero
    bits shows mid-range in one half of the pictures and the mean of its channels in the other. pictures: uint8
    (N, S, S, 3), patches of `patch` pixels tile them → float32 of that shape, 0…255.
    """
    count, side = pictures.shape[:2]
    if side % patch:
        raise ConfigurationError(f"patches of {patch} pixels do not tile pictures of {side} pixels")
    grid = side // patch
    centre = rng.uniform(0.25, 4.0, size=(count, 1, 1))
    depth = np.rint(centre + rng.uniform(-3.0, 3.0, size=(count, grid, grid))).clip(0, LARGEST_DEPTH)
    shown_as_mean: NDArray[np.bool_] = np.asarray(rng.random(count) < 0.5)
    left_alone: NDArray[np.bool_] = np.asarray(rng.random(count) >= share)
    values = pictures.astype(np.float32).reshape(count, grid, patch, grid, patch, 3)
    step = (255.0 / 2.0**depth).astype(np.float32)[:, :, None, :, None, None]
    decoded = (np.minimum(np.floor(values / step), 255.0 / step - 1.0) + 0.5) * step
    means = values.mean(axis=(2, 4), keepdims=True)
    as_mean = (depth == 0)[:, :, None, :, None, None] & shown_as_mean[:, None, None, None, None, None]
    decoded = np.where(as_mean, means, decoded)
    decoded[left_alone] = values[left_alone]
    result: NDArray[np.float32] = decoded.reshape(pictures.shape).astype(np.float32)
    return result


def cut_out(x: Tensor, side: int, rng: np.random.Generator) -> Tensor:
    """Blank a square of `side` pixels at a random place of every picture (it may reach over the border).

    x: float (N, 3, S, S), normalised: blank is the mean. Returns x, changed in place.
    """
    if side:
        size = x.shape[-1]
        positions = torch.arange(size)
        top, left = (torch.from_numpy(rng.integers(-side // 2, size - side // 2, size=(len(x), 1))) for _ in range(2))
        rows = (positions >= top) & (positions < top + side)
        columns = (positions >= left) & (positions < left + side)
        x.masked_fill_((rows[:, :, None] & columns[:, None, :])[:, None].to(x.device), 0.0)
    return x
