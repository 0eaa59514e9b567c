"""Reading pictures of every kind into one form, and writing files whole or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import stat
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from semcom_phy.errors import ConfigurationError, SemcomError

# No others: Pillow would start Ghostscript for an EPS file, and knows many formats that nobody has tested.
IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm"}
MAX_PIXELS = 50_000_000
MAX_SIDE = 65_535
MAX_FILE_BYTES = 1 << 29
RESULT_SUFFIXES = (".received.png", ".comparison.png", ".maps.png")  # what a run leaves beside its report
_UPRIGHT = 1
_ORIENTATION = 0x0112


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


def _scaled_to_8_bits(picture: Image.Image, path: Path, notes: list[str]) -> Image.Image:
    """Greyscale of 16 bits, 32 bits or floating point, as 8-bit greyscale; says what the range was."""
    values = np.asarray(picture, dtype=np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        raise ImageError(f"{path} holds no finite value: nothing to send")
    low, high = float(values[finite].min()), float(values[finite].max())
    # Files of 16 bits span 0…65535; Pillow opens some of them as 32-bit integers.
    if picture.mode != "F" and low >= 0.0 and high <= 65535.0:
        low, high = 0.0, 65535.0
        notes.append("16-bit greyscale scaled to 8 bits")
    else:
        low = min(low, 0.0)
        kind = "floating-point" if picture.mode == "F" else "32-bit"
        notes.append(f"{kind} greyscale, {low:g} to {high:g} scaled to 8 bits")
    if not finite.all():
        notes.append(f"pixels without a finite value shown black: {np.count_nonzero(~finite)}")
    # Halved, so that not even the extremes of float64 overflow.
    span = max(high / 2.0 - low / 2.0, np.finfo(np.float64).tiny)
    scaled = np.where(finite, (np.where(finite, values, low) / 2.0 - low / 2.0) / span * 255.0, 0.0)
    return Image.fromarray(np.rint(np.clip(scaled, 0.0, 255.0)).astype(np.uint8))


def _to_rgb(picture: Image.Image, path: Path, notes: list[str]) -> Image.Image:
    if picture.mode in {"I;16", "I;16L", "I;16B", "I", "F"}:
        return _scaled_to_8_bits(picture, path, notes).convert("RGB")
    if picture.mode in {"RGBA", "RGBa", "LA", "La", "PA"} or "transparency" in picture.info:
        notes.append("transparency laid over white")
        rgba = picture.convert("RGBA")
        background = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(background, rgba).convert("RGB")
    if picture.mode != "RGB":
        notes.append(f"converted from {picture.mode} to RGB")
        return picture.convert("RGB")
    return picture


def _has_deep_colour(opened: Image.Image) -> bool:
    """Whether Pillow is about to read 16-bit colour, of which it keeps the upper 8 bits."""
    tiles = getattr(opened, "tile", None) or []
    return not opened.mode.startswith(("I", "F")) and any(";16" in str(tile[3]) for tile in tiles)


def _fit_square(picture: Image.Image, side: int, notes: list[str]) -> Image.Image:
    if picture.size != (side, side):
        notes.append(f"scaled and centre-cropped from {picture.width}×{picture.height} to {side}×{side}")
        return ImageOps.fit(picture, (side, side), Image.Resampling.LANCZOS)
    return picture


def _check_file(path: Path) -> None:
    """Raise ImageError unless this is a regular file of acceptable size that may be read."""
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            raise ImageError(f"{path} is not a regular file")
        if info.st_size > MAX_FILE_BYTES:
            raise ImageError(
                f"{path} has {info.st_size >> 20} MiB; pictures of up to {MAX_FILE_BYTES >> 20} MiB are read"
            )
        if info.st_size == 0:
            raise ImageError(f"{path} is empty")
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise ImageError(f"no file {path}") from None
    except PermissionError:
        raise ImageError(f"{path} may not be read: check its permissions") from None
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise ImageError(f"{path} cannot be opened: {getattr(error, 'strerror', None) or error}") from None


def _read(opened: Image.Image, path: Path, notes: list[str]) -> Image.Image:
    width, height = opened.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise ImageError(
            f"{path} announces {width}×{height} pixels; pictures of up to {MAX_PIXELS} pixels"
            f" and {MAX_SIDE} a side are read: scale it down first"
        )
    if getattr(opened, "n_frames", 1) > 1:
        notes.append("first frame of an animation or of several pages")
    if _has_deep_colour(opened):
        notes.append("16-bit colour reduced to 8 bits")
    opened.load()
    if opened.getexif().get(_ORIENTATION, _UPRIGHT) in range(2, 9):
        notes.append("turned upright as its EXIF orientation says")
    return _to_rgb(ImageOps.exif_transpose(opened), path, notes)


def load_image(path: Path, size: int | None = None) -> LoadedImage:
    """Read a picture file: EXIF orientation applied, greyscale, palette, CMYK, 16-bit and transparent
    pictures converted to 8-bit RGB, the first frame of several; with `size`, scaled and centre-cropped
    to size×size.

    Raises ImageError (one line) for a missing, truncated, oversized or non-image file.
    """
    if size is not None and not 8 <= size <= 8192:
        raise ConfigurationError(f"--size must be from 8 to 8192 pixels, not {size}")
    notes: list[str] = []
    _check_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow finds odd about metadata
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=IMAGE_FORMATS) as opened:
                picture = _read(opened, path, notes)
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(f"{path} announces more than {MAX_PIXELS} pixels: scale it down first") from None
    except UnidentifiedImageError:
        raise ImageError(
            f"{path} is not a picture that can be read; give a JPEG, PNG, WebP, TIFF, GIF, BMP or PPM file"
        ) from None
    except MemoryError:
        raise ImageError(f"{path} does not fit into memory: scale it down first") from None
    except Exception as error:  # Pillow's decoders raise nearly anything when a file is damaged
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ImageError(f"{path} is damaged or truncated ({reason})") from None
    source_size = picture.size
    if size is not None:
        picture = _fit_square(picture, size, notes)
    return LoadedImage(path.name, np.array(picture, np.uint8), source_size, tuple(notes))


def _pictures_in(folder: Path) -> list[Path]:
    try:
        return sorted(
            path
            for path in folder.iterdir()
            if path.suffix.lower() in IMAGE_SUFFIXES
            and not path.name.endswith(RESULT_SUFFIXES)
            and not path.name.startswith(".")
            and path.is_file()
        )
    except OSError as error:
        raise ImageError(f"folder {folder} cannot be read: {error.strerror or error}") from None


def find_images(paths: Sequence[Path]) -> list[Path]:
    """Files as given; a folder stands for the pictures directly in it, in order of name, without those
    that an earlier run with this folder as its --out left there.

    Raises ImageError for a missing path or a folder without pictures.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = _pictures_in(path)
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
        # Whatever went wrong is being reported already.
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


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
    except FileExistsError:
        raise ImageError(f"cannot write to folder {folder}: it is a file; give a folder") from None
    except OSError as error:
        raise ImageError(f"cannot write to folder {folder}: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)
