"""What every measure of the importance of patches has in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from semcom_phy.errors import ConfigurationError
from semcom_phy.registry import Registry


class Importance(Protocol):
    """A measure: pictures to the importance of their patches. Implementations are dataclasses of their parameters."""

    def __call__(self, pictures: NDArray[np.uint8], patch: int) -> NDArray[np.float64]:
        """Pictures uint8 (n, H, W, 3) → importance float64 (n, H/patch·W/patch), row by row, not negative, sum 1.

        Raises ConfigurationError for pictures that patches of that side do not tile.
        """
        ...


IMPORTANCES: Registry[Callable[..., Importance]] = Registry("importance")


def patch_grid(pictures: NDArray[np.uint8], patch: int) -> tuple[int, int]:
    """Rows and columns of patches. Raises ConfigurationError where they do not tile the pictures."""
    if pictures.ndim != 4 or pictures.shape[3] != 3:
        raise ConfigurationError(f"pictures must have the shape (n, H, W, 3), not {pictures.shape}")
    height, width = pictures.shape[1:3]
    if patch < 1 or not height or not width or height % patch or width % patch:
        raise ConfigurationError(f"patches of {patch}×{patch} pixels do not tile {height}×{width} pixels")
    return height // patch, width // patch


def normalised(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Maps (n, patches) scaled to the sum 1; a map without any importance becomes uniform."""
    total = maps.sum(axis=1, keepdims=True)
    uniform = np.full_like(maps, 1.0 / maps.shape[1])
    return np.where(total > 0.0, maps / np.where(total > 0.0, total, 1.0), uniform)


def resample_grid(maps: NDArray[np.float64], grid: tuple[int, int]) -> NDArray[np.float64]:
    """Maps (n, rows, columns) averaged by area onto another grid, (n, rows', columns').

    Every cell of the new grid is the mean of what it covers of the old one, so that the mean of a map stays.
    """
    if maps.shape[1:] == grid:
        return maps
    rows, columns = (_overlaps(old, new) for old, new in zip(maps.shape[1:], grid, strict=True))
    result: NDArray[np.float64] = np.einsum("ij,njk,lk->nil", rows, maps, columns, optimize=True)
    return result


def _overlaps(old: int, new: int) -> NDArray[np.float64]:
    """Share of each of `old` cells in each of `new` cells of the same length, (new, old), rows of sum 1."""
    old_edges, new_edges = np.arange(old + 1) / old, np.arange(new + 1) / new
    low = np.maximum(old_edges[None, :-1], new_edges[:-1, None])
    high = np.minimum(old_edges[None, 1:], new_edges[1:, None])
    return np.clip(high - low, 0.0, None) * new
