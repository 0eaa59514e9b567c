"""From pictures to the blocks of samples that are quantized, and back.

"rgb", the paper's: a block is a patch, K = 3P² samples in (C, P, P) order. "ycbcr420", ours: luma and chroma apart,
chroma with half of the rows and columns, as in JPEG, which leaves half of the samples. Three blocks a patch, K = P²/2
samples each: the upper and the lower half of its luma, and its Cb before its Cr. All upper halves of a picture come
first, row by row, then all lower ones, then all chroma: each kind makes a map in which neighbours resemble each other.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semcom_app.images import pad_to_multiple
from semcom_app.patch_quantization import to_pixels
from semcom_app.patches import assemble_patches, extract_patches, patch_grid
from semcom_phy.errors import ConfigurationError

Colour = Literal["rgb", "ycbcr420"]
COLOURS: tuple[Colour, ...] = ("rgb", "ycbcr420")  # their places are their numbers in the header
CHANNELS = 3
_KINDS = 3  # of blocks, with separate luma and chroma


def check_side(side: int, colour: Colour) -> None:
    """Raise ConfigurationError for a patch side that cannot be halved when it must be."""
    if colour != "rgb" and side % 2:
        raise ConfigurationError(f"colour {colour} needs patches of an even side, not {side}")


def block_samples(side: int, colour: Colour) -> int:
    """K."""
    return CHANNELS * side**2 if colour == "rgb" else side**2 // 2


def blocks_per_patch(colour: Colour) -> int:
    """How many blocks a patch has."""
    return 1 if colour == "rgb" else _KINDS


def fill_parts(colour: Colour) -> int:
    """How many means "channel-means" takes for a block: one for each channel, with chroma apart one for each half."""
    return CHANNELS if colour == "rgb" else 2


def header_size(height: int, width: int, side: int, colour: Colour) -> tuple[int, int]:
    """Height and width of a picture whose patches are as many as the blocks: the maps of the kinds stacked."""
    if colour == "rgb":
        return height, width
    rows, columns = patch_grid(height, width, side)
    return _KINDS * rows * side, columns * side


def extract_blocks(pictures: NDArray[np.uint8], side: int, colour: Colour) -> NDArray[np.uint8]:
    """Pictures (B, H, W, 3) → blocks uint8 (B, n, K), padded as `extract_patches` does."""
    check_side(side, colour)
    if colour == "rgb":
        return extract_patches(pictures, side)
    return np.stack([_separated(picture, side) for picture in pictures])


def assemble_pictures(
    values: NDArray[np.floating], height: int, width: int, side: int, colour: Colour
) -> NDArray[np.uint8]:
    """Values of blocks (B, n, K) → pictures uint8 (B, height, width, 3), the padding cut off."""
    if colour == "rgb":
        return assemble_patches(to_pixels(values), height, width, side)
    return np.stack([_joined(to_pixels(one), height, width, side) for one in values])


def _separated(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    luma, *chroma = Image.fromarray(pad_to_multiple(picture, side)).convert("YCbCr").split()
    half = (luma.width // 2, luma.height // 2)
    small = [np.asarray(plane.resize(half, Image.Resampling.BOX)) for plane in chroma]
    upper_lower = extract_patches(np.asarray(luma)[..., None], side).reshape(-1, 2, side**2 // 2)
    both = np.concatenate([extract_patches(plane[..., None], side // 2) for plane in small], axis=1)
    return np.concatenate([upper_lower[:, 0], upper_lower[:, 1], both])


def _joined(blocks: NDArray[np.uint8], height: int, width: int, side: int) -> NDArray[np.uint8]:
    rows, columns = patch_grid(height, width, side)
    upper, lower, both = blocks.reshape(_KINDS, rows * columns, -1)
    size = (rows * side, columns * side)
    luma = assemble_patches(np.concatenate([upper, lower], axis=1), *size, side, 1)[..., 0]
    planes = [Image.fromarray(luma)]
    for half in np.split(both, 2, axis=1):
        small = assemble_patches(half, size[0] // 2, size[1] // 2, side // 2, 1)[..., 0]
        planes.append(Image.fromarray(small).resize((size[1], size[0]), Image.Resampling.BICUBIC))
    return np.asarray(Image.merge("YCbCr", planes).convert("RGB"))[:height, :width]


def importance_of_blocks(importance: NDArray[np.float64], colour: Colour) -> NDArray[np.float64]:
    """Importance of patches (B, N) → of blocks (B, n): all blocks of a patch matter as it does."""
    return np.tile(importance, (1, blocks_per_patch(colour)))


def bits_of_patches(bits: NDArray[np.uint8], side: int, colour: Colour) -> NDArray[np.float64] | NDArray[np.uint8]:
    """Bits per sample of blocks (n,) → bits per sample of the picture for each patch, (N,)."""
    if colour == "rgb":
        return bits
    share = block_samples(side, colour) / (CHANNELS * side**2)
    total: NDArray[np.float64] = bits.reshape(_KINDS, -1).sum(axis=0) * share
    return total
