"""Blocks of samples and back: sizes, places, and colour by the standard's numbers."""

from __future__ import annotations

import numpy as np
import pytest

from semcom_app.codecs.iaq_samples import (
    COLOURS,
    assemble_pictures,
    bits_of_patches,
    block_samples,
    blocks_per_patch,
    check_side,
    extract_blocks,
    header_size,
    importance_of_blocks,
    source_samples,
)
from semcom_app.patches import extract_patches, patch_grid
from semcom_phy.errors import ConfigurationError


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize(("height", "width", "side"), [(8, 12, 4), (13, 18, 6), (1, 1, 2), (16, 16, 16)])
def test_as_many_blocks_as_the_header_has_places(height: int, width: int, side: int, colour: str) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    blocks = extract_blocks(pictures, side, colour)  # type: ignore[arg-type]
    rows, columns = patch_grid(height, width, side)
    count = rows * columns * blocks_per_patch(colour)  # type: ignore[arg-type]
    assert blocks.shape == (2, count, block_samples(side, colour))  # type: ignore[arg-type]
    assert blocks.dtype == np.uint8
    of_header = patch_grid(*header_size(height, width, side, colour), side)  # type: ignore[arg-type]
    assert of_header[0] * of_header[1] == count
    back = assemble_pictures(blocks.astype(np.float32), height, width, side, colour)  # type: ignore[arg-type]
    assert back.shape == pictures.shape
    if colour.startswith("rgb"):
        assert np.array_equal(back, pictures)


def test_rgb_blocks_are_patches() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, 12, 8, 3), dtype=np.uint8)
    assert np.array_equal(extract_blocks(pictures, 4, "rgb"), extract_patches(pictures, 4))


def test_places_and_colours_of_separate_blocks() -> None:
    """A picture of one colour for each patch: ITU-T T.871, and each block where it belongs."""
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [90, 90, 90]])
    picture = np.repeat(np.repeat(colours.reshape(2, 2, 3), 4, axis=0), 4, axis=1).astype(np.uint8)
    picture[:2, :4] = 255  # the upper half of the first patch is white
    (blocks,) = extract_blocks(picture[None], 4, "ycbcr420").astype(int)
    luma = colours @ [0.299, 0.587, 0.114]
    assert blocks.shape == (12, 8)
    assert (blocks[0] == 255).all()
    assert np.abs(blocks[1:4] - luma[1:, None]).max() <= 1
    assert np.abs(blocks[4:8] - luma[:, None]).max() <= 1
    blue = 128 + (colours[:, 2] - luma) / 1.772
    red = 128 + (colours[:, 0] - luma) / 1.402
    assert np.abs(blocks[9:, :4] - np.clip(blue, 0, 255)[1:, None]).max() <= 1
    assert np.abs(blocks[9:, 4:] - np.clip(red, 0, 255)[1:, None]).max() <= 1
    assert np.abs(blocks[8, 4:6] - 128).max() <= 1  # white above
    assert np.abs(blocks[8, 6:] - red[0].clip(0, 255)).max() <= 1


@pytest.mark.parametrize("colour", ["rgb-planes", "ycbcr444"])
def test_places_and_colours_of_whole_planes(colour: str) -> None:
    """A patch after another of the first plane, then of the second, then of the third."""
    pictures = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3), dtype=np.uint8)
    blocks = extract_blocks(pictures, 2, colour)  # type: ignore[arg-type]
    planes = pictures.astype(float)
    if colour == "ycbcr444":
        r, g, b = np.moveaxis(planes, -1, 0)
        luma = 0.299 * r + 0.587 * g + 0.114 * b
        planes = np.stack([luma, 128 + (b - luma) / 1.772, 128 + (r - luma) / 1.402], axis=-1)
    for k in range(3):
        for i in range(6):
            row, column = 2 * (i // 3), 2 * (i % 3)
            expected = planes[:, row : row + 2, column : column + 2, k].reshape(2, 4)
            assert np.abs(blocks[:, 6 * k + i] - expected).max() <= (1 if colour == "ycbcr444" else 0)


def test_colours_survive_whole_chroma(astronaut: np.ndarray) -> None:
    """What is lost is the rounding to bytes on both ways, 45 dB."""
    blocks = extract_blocks(astronaut[None], 8, "ycbcr444")
    (back,) = assemble_pictures(blocks.astype(np.float32), *astronaut.shape[:2], 8, "ycbcr444")
    assert np.mean((back.astype(float) - astronaut) ** 2) < 2.1


def test_smooth_pictures_come_back(astronaut: np.ndarray) -> None:
    y, x = np.mgrid[0:50, 0:70]
    smooth = np.stack([3 * x, 4 * y, 2 * x + y], axis=-1).clip(0, 255).astype(np.uint8)
    for picture, psnr in ((smooth, 38.0), (astronaut, 30.0)):
        blocks = extract_blocks(picture[None], 8, "ycbcr420")
        (back,) = assemble_pictures(blocks.astype(np.float32), *picture.shape[:2], 8, "ycbcr420")
        error = np.mean((back.astype(float) - picture) ** 2)
        assert 10 * np.log10(255**2 / error) > psnr


def test_importance_and_bits() -> None:
    importance = np.array([[1.0, 2.0]])
    assert importance_of_blocks(importance, "rgb").tolist() == [[1, 2]]
    assert importance_of_blocks(importance, "ycbcr420").tolist() == [[1, 2, 1, 2, 1, 2]]
    bits = np.array([8, 1, 8, 2, 8, 3], np.uint8)
    # Half of the samples are left: 8 bits each are 4 for each sample of the picture.
    assert bits_of_patches(bits, 4, "ycbcr420").tolist() == [4.0, 1.0]
    assert bits_of_patches(bits, 4, "rgb").tolist() == bits.tolist()
    assert bits_of_patches(bits, 4, "rgb-planes").tolist() == [8.0, 2.0]
    for colour in COLOURS:
        samples = block_samples(4, colour)
        assert source_samples(samples, colour) * blocks_per_patch(colour) == 3 * 16


def test_odd_sides_cannot_be_halved() -> None:
    for colour in ("rgb", "rgb-planes", "ycbcr444"):
        check_side(3, colour)
    with pytest.raises(ConfigurationError, match="even side, not 3"):
        check_side(3, "ycbcr420")
