"""Reading pictures of every kind into one form, and writing files whole or not at all."""

from __future__ import annotations

import io
import os
import secrets
import stat
import struct
import warnings
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from semcom_phy.errors import ConfigurationError, SemcomError

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm"}
MAX_PIXELS = 50_000_000
MAX_SIDE = 65_535
MAX_FILE_BYTES = 1 << 29


class ImageError(SemcomError):
    """A picture cannot be read, or a result cannot be written."""


@dataclass(frozen=True)
class LoadedImage:
    """A picture as the testbed sees it.

    `pixels`: uint8 (H, W, 3) RGB. `notes`: what was done to the file's content to get there, for the
    report. `source_size`: (width, height) of the file.
    """

    name: str
    pixels: NDArray[np.uint8]
    source_size: tuple[int, int]
    notes: tuple[str, ...] = ()


def _to_rgb(picture: Image.Image, notes: list[str]) -> Image.Image:
    if picture.mode in {"I;16", "I;16L", "I;16B", "I", "F"}:
        values = np.asarray(picture, dtype=np.float64)
        # 16-bit files span 0…65535; Pillow also opens them as 32-bit integers.
        top = 65535.0 if picture.mode != "F" else max(float(np.nanmax(values, initial=0.0)), 1e-12)
        scaled = np.clip(np.nan_to_num(values) * (255.0 / top), 0, 255)
        notes.append("16-bit greyscale scaled to 8 bits" if picture.mode != "F" else "float scaled to 8 bits")
        return Image.fromarray(np.rint(scaled).astype(np.uint8)).convert("RGB")
    if "A" in picture.getbands() or "transparency" in picture.info:
        notes.append("transparency laid over white")
        rgba = picture.convert("RGBA")
        background = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(background, rgba).convert("RGB")
    if picture.mode != "RGB":
        notes.append(f"converted from {picture.mode} to RGB")
        return picture.convert("RGB")
    return picture


def _fit_square(picture: Image.Image, side: int, notes: list[str]) -> Image.Image:
    if picture.size != (side, side):
        notes.append(f"scaled and centre-cropped from {picture.width}×{picture.height} to {side}×{side}")
        return ImageOps.fit(picture, (side, side), Image.Resampling.LANCZOS)
    return picture


def load_image(path: Path, size: int | None = None) -> LoadedImage:
    """Read a picture file: EXIF orientation applied, greyscale, palette, CMYK, 16-bit and transparent
    pictures converted to 8-bit RGB, the first frame of several; with `size`, scaled and centre-cropped
    to size×size.

    Raises ImageError (one line) for a missing, truncated, oversized or non-image file.
    """
    if size is not None and not 8 <= size <= 8192:
        raise ConfigurationError(f"--size must be from 8 to 8192 pixels, not {size}")
    notes: list[str] = []
    try:
        info = path.stat()
        if stat.S_ISDIR(info.st_mode) or not stat.S_ISREG(info.st_mode):
            raise ImageError(f"{path} is not a regular file")
        if info.st_size > MAX_FILE_BYTES:
            raise ImageError(
                f"{path} has {info.st_size >> 20} MiB; pictures of up to {MAX_FILE_BYTES >> 20} MiB are read"
            )
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                width, height = opened.size
                if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
                    raise ImageError(
                        f"{path} announces {width}×{height} pixels; pictures of up to {MAX_PIXELS} pixels"
                        f" and {MAX_SIDE} a side are read: scale it down first"
                    )
                if getattr(opened, "n_frames", 1) > 1:
                    notes.append("first frame of an animation or of several pages")
                opened.load()
                upright = ImageOps.exif_transpose(opened)
                if upright.size != opened.size or opened.getexif().get(0x0112, 1) not in (0, 1):
                    notes.append("turned upright as its EXIF orientation says")
                picture = _to_rgb(upright, notes)
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(f"no file {path}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(f"{path} announces more than {MAX_PIXELS} pixels: scale it down first") from None
    except UnidentifiedImageError:
        raise ImageError(f"{path} is not a picture that can be read; give a JPEG, PNG, WebP or TIFF file") from None
    except PermissionError:
        raise ImageError(f"{path} may not be read: check its permissions") from None
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        IndexError,
        TypeError,
        struct.error,
        zlib.error,
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ImageError(f"{path} is damaged or truncated ({reason})") from None
    source_size = picture.size
    if size is not None:
        picture = _fit_square(picture, size, notes)
    return LoadedImage(path.name, np.array(picture, np.uint8), source_size, tuple(notes))


def find_images(paths: Sequence[Path]) -> list[Path]:
    """Files as given; a folder stands for the pictures directly in it, in order of name.

    Raises ImageError for a missing path or a folder without pictures.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
            if not inside:
                raise ImageError(f"no pictures in folder {path}")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise ImageError(f"no file {path}")
    return found


def pad_to_multiple(pixels: NDArray[np.uint8], multiple: int) -> NDArray[np.uint8]:
    """Repeat the last row and column until both sides are multiples; (H, W, 3) → (H', W', 3)."""
    height, width = pixels.shape[:2]
    return np.pad(pixels, ((0, -height % multiple), (0, -width % multiple), (0, 0)), mode="edge")


def placeholder(height: int, width: int) -> NDArray[np.uint8]:
    """The picture shown for a lost image: mid-grey with a diagonal cross, uint8 (height, width, 3)."""
    picture = np.full((height, width, 3), 128, np.uint8)
    y, x = np.mgrid[0:height, 0:width]
    u, v = (y + 0.5) / height, (x + 0.5) / width
    line = max(1.5 / max(1, min(height, width)), 0.008)
    picture[(np.abs(u - v) < line) | (np.abs(u + v - 1) < line)] = 96
    return picture


def png_bytes(pixels: NDArray[np.uint8]) -> bytes:
    """Encode (H, W, 3) or (H, W) uint8 as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def _write_through_partial(path: Path, write: Callable[[Path], None]) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(partial)
        partial.replace(path)
    except OSError as error:
        raise ImageError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        partial.unlink(missing_ok=True) if partial.parent.is_dir() else None


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all (written under another name, then renamed).

    Raises ImageError when the place cannot be written.
    """
    _write_through_partial(path, lambda partial: _write_synced(partial, content))


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def check_writable(folder: Path) -> None:
    """Create the folder and prove that a file can be written there, before any long work.

    Raises ImageError when not.
    """
    probe = folder / f".probe-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise ImageError(f"cannot write to folder {folder}: {error.strerror or error}") from None
