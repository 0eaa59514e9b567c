"""Images as frames of raw pixels: what goes in comes out, and nothing else is taken for an image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from semcom_phy.errors import ConfigurationError, FormatError
from semcom_phy.gr.image_frames import frame_of, pixels_of, read_image, write_png
from semcom_phy.links.base import Frame, LinkStats, ReceivedFrame

images = hnp.arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20))) | hnp.arrays(
    np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12), st.just(3))
)


def received(header: bytes | None, bits: np.ndarray) -> ReceivedFrame:
    return ReceivedFrame(header, bits, (2.0 * bits - 1.0).astype(np.float32), np.ones(1, np.bool_))


@given(images)
def test_images_survive(pixels: np.ndarray) -> None:
    frame = frame_of(pixels)
    np.testing.assert_array_equal(pixels_of(received(frame.header, frame.payload)), pixels)


@given(images, st.integers(0, 10**6))
def test_a_bit_error_is_a_pixel_error(pixels: np.ndarray, place: int) -> None:
    frame = frame_of(pixels)
    damaged = frame.payload.copy()
    damaged[place % damaged.size] ^= 1
    wrong = pixels_of(received(frame.header, damaged)) != pixels
    assert np.count_nonzero(wrong) == 1
    assert np.flatnonzero(wrong)[0] == place % damaged.size // 8


def changed(frame: Frame, header: bytes) -> ReceivedFrame:
    return received(header, frame.payload)


def test_other_frames_are_no_images() -> None:
    frame = frame_of(np.zeros((4, 5), np.uint8))
    for header in (b"", b"x", frame.header + b"\0", b"XPIX" + frame.header[4:], frame.header[:-1] + b"\2"):
        with pytest.raises(FormatError):
            pixels_of(changed(frame, header))
    with pytest.raises(FormatError, match="size"):
        pixels_of(received(frame.header, frame.payload[:-8]))
    with pytest.raises(FormatError, match="lost"):
        pixels_of(ReceivedFrame.lost(LinkStats()))


def test_files(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (11, 7, 3), dtype=np.uint8)
    path = tmp_path / "image.png"
    for _ in range(2):  # the second replaces the first
        write_png(path, pixels)
        np.testing.assert_array_equal(read_image(path, "rgb"), pixels)
    assert read_image(path, "grey").shape == (11, 7)
    assert [file.name for file in tmp_path.iterdir()] == ["image.png"]
    with Image.open(path) as image:
        assert image.format == "PNG"


def test_errors_are_said(tmp_path: Path) -> None:
    text = tmp_path / "text.png"
    text.write_text("no image")
    for path in (text, tmp_path / "missing.png"):
        with pytest.raises(ConfigurationError, match="give an image file"):
            read_image(path, "grey")
    with pytest.raises(ConfigurationError, match="pixel formats"):
        read_image(text, "cmyk")
    with pytest.raises(ConfigurationError, match="give another file"):
        write_png(tmp_path / "no" / "folder.png", np.zeros((2, 2), np.uint8))
    with pytest.raises(ConfigurationError, match="smaller"):
        frame_of(np.zeros((2000, 2000), np.uint8))
    with pytest.raises(ConfigurationError, match="smaller"):
        frame_of(np.zeros((1, 1 << 16), np.uint8))
