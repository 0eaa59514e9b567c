"""From pictures to the blocks of samples that are quantized, and back.

"rgb", the paper's: a block is a patch, K = 3P² samples in (C, P, P) order. The others are ours, three blocks a patch,
each with bits and a range of its own:

- "rgb-planes": one block for each colour, K = P²;
- "ycbcr444": luma, Cb and Cr, K = P²;
- "ycbcr420": chroma with half of the rows and columns, as in JPEG, which leaves half of the samples. K = P²/2: the
  upper half of a patch's luma, the lower half, and its Cb before its Cr.

All first blocks of a picture come first, row by row, then all second ones, then all third ones: each kind makes a map
in which neighbours resemble each other.
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

Colour = Literal["rgb", "ycbcr420", "rgb-planes", "ycbcr444"]
COLOURS: tuple[Colour, ...] = ("rgb", "ycbcr420", "rgb-planes", "ycbcr444")  # places are numbers in the header
CHANNELS = 3
_KINDS = 3  # of blocks, where a patch has several


def check_side(side: int, colour: Colour) -> None:
    """Raise ConfigurationError for a patch side that cannot be halved when it must be."""
    if colour == "ycbcr420" and side % 2:
        raise ConfigurationError(f"colour {colour} needs patches of an even side, not {side}")


def block_samples(side: int, colour: Colour) -> int:
    """K."""
    if colour == "rgb":
        return CHANNELS * side**2
    return side**2 // 2 if colour == "ycbcr420" else side**2


def blocks_per_patch(colour: Colour) -> int:
    """How many blocks a patch has."""
    return 1 if colour == "rgb" else _KINDS


def fill_parts(colour: Colour) -> int:
    """How many means "channel-means" takes for a block: one for each channel in it, of halved chroma for each half."""
    return {"rgb": CHANNELS, "ycbcr420": 2}.get(colour, 1)


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
    if colour == "ycbcr420":
        return np.stack([_halved(picture, side) for picture in pictures])
    if colour == "ycbcr444":
        pictures = np.stack([np.asarray(Image.fromarray(picture).convert("YCbCr")) for picture in pictures])
    by_patch = extract_patches(pictures, side).reshape(len(pictures), -1, CHANNELS, side**2)
    return by_patch.swapaxes(1, 2).reshape(len(pictures), -1, side**2)


def assemble_pictures(
    values: NDArray[np.floating], height: int, width: int, side: int, colour: Colour
) -> NDArray[np.uint8]:
    """Values of blocks (B, n, K) → pictures uint8 (B, height, width, 3), the padding cut off."""
    blocks = to_pixels(values)
    if colour == "rgb":
        return assemble_patches(blocks, height, width, side)
    if colour == "ycbcr420":
        return np.stack([_joined(one, height, width, side) for one in blocks])
    by_patch = blocks.reshape(len(blocks), CHANNELS, -1, side**2).swapaxes(1, 2)
    pictures = assemble_patches(by_patch.reshape(len(blocks), -1, CHANNELS * side**2), height, width, side)
    if colour == "ycbcr444":
        pictures = np.stack([np.asarray(Image.fromarray(one, "YCbCr").convert("RGB")) for one in pictures])
    return pictures


def _halved(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
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


def source_samples(samples: int, colour: Colour) -> int:
    """Samples of the picture that a block of K = `samples` stands for, at least on average."""
    return 2 * samples if colour == "ycbcr420" else samples
