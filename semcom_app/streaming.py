"""What runs until it is told to stop: the stop signal, and pictures one after the other, video frames among them."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final, Self

import numpy as np
from PIL import Image, ImageOps

from semcom_app.images import IMAGE_SUFFIXES, MAX_PIXELS, ImageError, LoadedImage, find_images, load_image
from semcom_phy.errors import ConfigurationError

VIDEO_SUFFIXES: Final = {".mp4", ".mkv", ".webm", ".mov", ".avi", ".m4v", ".mpg", ".mpeg", ".ts", ".ogv"}
_IMPATIENCE_S: Final = 1.0


class StopSignals:
    """Inside the block, Ctrl-C and SIGTERM do not interrupt anything: `stopped()` becomes true, for loops to ask.

    Another one, a second or more after the first, has the effect that it had before. In other threads than the main one
    there are no signals to catch, and `stopped()` stays false.
    """

    def __init__(self) -> None:
        self._arrived: float | None = None
        self._before: dict[int, Any] = {}

    def stopped(self) -> bool:
        """Whether to stop."""
        return self._arrived is not None

    def _stop(self, number: int, frame: FrameType | None) -> None:
        # Shells and `timeout` send one Ctrl-C to the process and to its group: that is not impatience.
        if self._arrived is None:
            self._arrived = time.monotonic()
        elif time.monotonic() - self._arrived >= _IMPATIENCE_S:
            signal.signal(number, self._before[number] or signal.SIG_DFL)
            signal.raise_signal(number)

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.getsignal(number)
                signal.signal(number, self._stop)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler or signal.SIG_DFL)


class PictureSource:
    """Pictures of files, folders and videos in order: each iteration begins anew.

    `size`: scale and crop to size×size. `every`: of a video, take each so many-th frame. All files are looked at when
    this is made, so that a damaged picture is found then and not halfway through.

    Raises ImageError for files that cannot be read, ConfigurationError for `every` below 1 or when videos need a
    package that is not installed.
    """

    def __init__(self, paths: Sequence[Path], size: int | None = None, every: int = 1) -> None:
        if every < 1:
            raise ConfigurationError(f"--every must be at least 1, not {every}")
        self._size, self._every = size, every
        self._paths = _find(paths)
        for path in self._paths:
            if is_video(path):
                next(_video_frames(path, size, every))
            else:
                load_image(path, size)

    @property
    def count(self) -> int | None:
        """How many pictures one iteration has, None where a video does not tell without being read."""
        return None if any(map(is_video, self._paths)) else len(self._paths)

    def __iter__(self) -> Iterator[LoadedImage]:
        for path in self._paths:
            if is_video(path):
                yield from _video_frames(path, self._size, self._every)
            else:
                yield load_image(path, self._size)


def is_video(path: Path) -> bool:
    """Whether the name says that this is a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def _find(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        videos = sorted(p for p in path.iterdir() if is_video(p) and p.is_file()) if path.is_dir() else []
        pictures = not path.is_dir() or not videos or any(p.suffix.lower() in IMAGE_SUFFIXES for p in path.iterdir())
        found += [*(find_images([path]) if pictures else []), *videos]
    return found


def _video_frames(path: Path, size: int | None, every: int) -> Iterator[LoadedImage]:
    """Frames of a video's first video stream, uint8 RGB; numbered from 0 in their names."""
    if size is not None and not 8 <= size <= 8192:
        raise ConfigurationError(f"--size must be from 8 to 8192 pixels, not {size}")
    try:
        av: Any = importlib.import_module("av")
    except ImportError:
        raise ConfigurationError("videos need the package av: pip install 'semcom[video]'") from None
    try:
        with contextlib.closing(av.open(str(path))) as container:
            if not container.streams.video:
                raise ImageError(f"{path} holds no video")
            stream = container.streams.video[0]
            if stream.codec_context.width * stream.codec_context.height > MAX_PIXELS:
                raise ImageError(f"{path}: frames of up to {MAX_PIXELS} pixels are read: scale it down first")
            frames = itertools.islice(enumerate(container.decode(stream)), 0, None, every)
            number = None
            for number, frame in frames:
                yield _as_picture(frame.to_ndarray(format="rgb24"), f"{path.name}#{number}", size)
            if number is None:
                raise ImageError(f"{path} holds no frame that can be decoded")
    except (ImageError, ConfigurationError):
        raise
    except (OSError, ValueError, RuntimeError) as error:  # av's errors are among these
        raise ImageError(f"{path} cannot be read as a video ({str(error).splitlines()[0][:200]})") from None


def _as_picture(pixels: np.ndarray, name: str, size: int | None) -> LoadedImage:
    height, width = pixels.shape[:2]
    if size is None or (width, height) == (size, size):
        return LoadedImage(name, pixels, (width, height))
    picture = ImageOps.fit(Image.fromarray(pixels), (size, size), Image.Resampling.LANCZOS)
    note = f"scaled and centre-cropped from {width}×{height} to {size}×{size}"
    return LoadedImage(name, np.array(picture, np.uint8), (width, height), (note,))
