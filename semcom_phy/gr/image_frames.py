"""Images as frames of raw pixels, without a codec: to try a flowgraph out."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from semcom_phy.errors import ConfigurationError, FormatError
from semcom_phy.links.base import Frame, ReceivedFrame
from semcom_phy.links.frame_pdus import MAX_PDU_BITS

Pixels = npt.NDArray[np.uint8]

#: Pixel formats: the modes of Pillow, and bytes per pixel.
FORMATS: Final = {"grey": ("L", 1), "rgb": ("RGB", 3)}
_HEADER: Final = struct.Struct(">4sHHB")  # mark, rows, columns, bytes per pixel
_MARK: Final = b"SPIX"


def frame_of(pixels: Pixels) -> Frame:
    """A frame of an image, uint8 (rows, columns) or (rows, columns, 3); ConfigurationError for too large ones."""
    depth = 1 if pixels.ndim == 2 else pixels.shape[2]
    if not 0 < 8 * pixels.size <= MAX_PDU_BITS or max(pixels.shape[:2]) >= 1 << 16:
        raise ConfigurationError(
            f"an image of {pixels.shape[1]}×{pixels.shape[0]} pixels does not fit a frame of {MAX_PDU_BITS} bits; "
            "take a smaller one, or grey"
        )
    return Frame(_HEADER.pack(_MARK, *pixels.shape[:2], depth), np.unpackbits(pixels))


def pixels_of(frame: ReceivedFrame) -> Pixels:
    """The image of a received frame, with its bit errors. Raises FormatError for a frame that is lost or no image."""
    if frame.header is None:
        raise FormatError("the frame of the image is lost")
    if len(frame.header) != _HEADER.size or not frame.header.startswith(_MARK):
        raise FormatError("a frame that is no image of raw pixels; Image PDU Sink goes with Image PDU Source")
    _, rows, columns, depth = _HEADER.unpack(frame.header)
    if depth not in (1, 3) or 8 * rows * columns * depth != frame.payload_bits.size:
        raise FormatError("a frame of an image whose size contradicts its header")
    pixels = np.packbits(frame.payload_bits)
    return pixels.reshape((rows, columns) if depth == 1 else (rows, columns, depth))


def read_image(path: str | os.PathLike[str], pixel_format: str) -> Pixels:
    """Read an image file as "grey" or "rgb" pixels. Raises ConfigurationError if it is none."""
    if pixel_format not in FORMATS:
        raise ConfigurationError(f"pixel formats are {', '.join(FORMATS)}, not {pixel_format!r}")
    image = _pillow()
    try:
        with image.open(path) as opened:
            return np.asarray(opened.convert(FORMATS[pixel_format][0]))
    except (OSError, ValueError, image.DecompressionBombError) as error:
        raise ConfigurationError(f"cannot read {str(path)!r}: {error}; give an image file") from None


def write_png(path: str | os.PathLike[str], pixels: Pixels) -> None:
    """Write an image; whoever opens the file at any time finds a whole one. Raises ConfigurationError if it cannot."""
    target = Path(path)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        _pillow().fromarray(pixels).save(partial, "PNG")
        partial.replace(target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ConfigurationError(f"cannot write {str(path)!r}: {error.strerror}; give another file") from None


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise ConfigurationError("images need Pillow in GNU Radio's Python: apt-get install python3-pil") from None
    return Image
