"""Pictures cut into square patches and put together again (Section II of the IAQ paper, before eq. 1)."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from semcom_phy.errors import ConfigurationError

MAX_SIDE = 255  # of a patch; one byte in the header
_Number = TypeVar("_Number", bound=np.generic)


def patch_grid(height: int, width: int, side: int) -> tuple[int, int]:
    """Rows and columns of patches that cover a picture: ⌈height/P⌉, ⌈width/P⌉."""
    if not 1 <= side <= MAX_SIDE:
        raise ConfigurationError(f"patch side must be 1 to {MAX_SIDE} pixels, not {side}")
    return -(-height // side), -(-width // side)


def extract_patches(pixels: NDArray[_Number], side: int) -> NDArray[_Number]:
    """Pictures (..., H, W, C) → patches (..., N, K), N = ⌈H/P⌉·⌈W/P⌉ row by row, K = P²·C.

    Samples of a patch are in (C, P, P) order. A picture that P does not divide is padded at the right and at the bottom
    by repeating its last column and row.
    """
    *batch, height, width, channels = pixels.shape
    if height == 0 or width == 0:
        raise ConfigurationError("a picture without pixels has no patches")
    rows, columns = patch_grid(height, width, side)
    padding = [(0, 0)] * len(batch) + [(0, rows * side - height), (0, columns * side - width), (0, 0)]
    padded = np.pad(pixels, padding, mode="edge")
    tiles = padded.reshape(*batch, rows, side, columns, side, channels)
    ordered = np.moveaxis(tiles, (-4, -1), (-2, -3))  # (..., rows, columns, C, P, P)
    return ordered.reshape(*batch, rows * columns, channels * side * side)


def assemble_patches(
    patches: NDArray[_Number], height: int, width: int, side: int, channels: int = 3
) -> NDArray[_Number]:
    """Inverse of `extract_patches`: patches (..., N, K) → pictures (..., H, W, C), the padding cut off."""
    rows, columns = patch_grid(height, width, side)
    *batch, count, samples = patches.shape
    if (count, samples) != (rows * columns, channels * side * side):
        raise ConfigurationError(
            f"{count} patches of {samples} samples do not make a picture of {width}×{height} pixels and {channels} "
            f"channels in patches of {side}×{side}"
        )
    tiles = patches.reshape(*batch, rows, columns, channels, side, side)
    ordered = np.moveaxis(tiles, (-2, -3), (-4, -1))
    return ordered.reshape(*batch, rows * side, columns * side, channels)[..., :height, :width, :]
