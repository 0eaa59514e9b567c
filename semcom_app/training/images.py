"""Training images in memory: any folder of photographs, with a held-out part that is never trained on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from semcom_app.images import IMAGE_SUFFIXES, load_image
from semcom_phy.errors import ConfigurationError

SHORT_SIDES = (288, 432, 640)  # a large photograph is trained on at these scales


def list_images(folders: Iterable[Path]) -> list[Path]:
    """All image files below the folders, sorted within each."""
    found: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise ConfigurationError(f"no folder {folder}: give --data a folder of images")
        found += sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
    return found


def is_held_out(path: Path, every: int) -> bool:
    """True when the number that the file name begins with is divisible by `every` (0: nothing held out)."""
    number = re.match(r"\d+", path.name)
    return bool(every and number and int(number.group()) % every == 0)


def load_training_images(paths: Sequence[Path], smallest_side: int) -> list[Tensor]:
    """Decode files into uint8 tensors (3, H, W); large ones at several scales, too small ones not at all."""
    images: list[Tensor] = []
    for path in paths:
        picture = Image.fromarray(load_image(path).pixels)
        short = min(picture.size)
        if short < smallest_side:
            continue
        sides = [s for s in SHORT_SIDES if s < short] if short > SHORT_SIDES[1] else [short]
        for side in sides:
            scale = side / short
            size = (max(side, round(picture.width * scale)), max(side, round(picture.height * scale)))
            scaled = picture if side == short else picture.resize(size, Image.Resampling.LANCZOS)
            images.append(torch.from_numpy(np.array(scaled).transpose(2, 0, 1).copy()))
    return images


def centre_crop(path: Path, side: int) -> np.ndarray:
    """Centre crop (side, side, 3) uint8 of an image file, upscaled first if the image is smaller."""
    picture = Image.fromarray(load_image(path).pixels)
    short = min(picture.size)
    if short < side:
        scale = side / short
        size = (max(side, round(picture.width * scale)), max(side, round(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return np.asarray(picture.crop((left, top, left + side, top + side)))


def random_crops(images: Sequence[Tensor], count: int, side: int, rng: np.random.Generator) -> Tensor:
    """`count` random crops, randomly mirrored → float tensor (count, 3, side, side) in [−1, 1]."""
    crops = []
    for _ in range(count):
        image = images[int(rng.integers(len(images)))]
        top = int(rng.integers(image.shape[1] - side + 1))
        left = int(rng.integers(image.shape[2] - side + 1))
        crop = image[:, top : top + side, left : left + side]
        crops.append(crop.flip(2) if rng.random() < 0.5 else crop)
    return torch.stack(crops).float().div_(127.5).sub_(1.0)
