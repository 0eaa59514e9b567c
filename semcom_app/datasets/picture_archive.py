"""Tar archives of pictures, `train/CLASS/FILE` and `test/CLASS/FILE` (CIFAR as JPEG files is published so)."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from semcom_app.datasets.archives import member_names, tar_members
from semcom_app.datasets.base import DataSet, DataSetFormat, Split, enter, every_picture_an_object
from semcom_app.images import IMAGE_FORMATS, IMAGE_SUFFIXES, MAX_PIXELS
from semcom_phy.errors import FormatError

_SPLITS = {"train": "train", "test": "test", "val": "test", "valid": "test", "validation": "test"}


@dataclass(frozen=True)
class EncodedPictures:
    """Pictures as the bytes of their files, decoded when they are asked for."""

    names: list[str]
    contents: list[bytes]

    def __len__(self) -> int:
        return len(self.contents)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        return decode_picture(self.contents[index], self.names[index])


def decode_picture(content: bytes, name: str) -> NDArray[np.uint8]:
    """Bytes of an image file → uint8 (H, W, 3). Raises FormatError when they are none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=IMAGE_FORMATS) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise FormatError(f"{name} has more than {MAX_PIXELS} pixels")
                return np.asarray(picture.convert("RGB"))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombWarning) as error:
        raise FormatError(f"{name} is no readable picture ({error})") from None


def _place(name: str) -> tuple[str, str] | None:
    """Split and class of a member, None for one that is no picture of a class."""
    parts = PurePosixPath(name).parts
    if len(parts) < 3 or PurePosixPath(name).suffix.lower() not in IMAGE_SUFFIXES or parts[-3] not in _SPLITS:
        return None
    return _SPLITS[parts[-3]], parts[-2]


def _matches(path: Path) -> bool:
    return path.is_file() and any(_place(name) for name in member_names(path, 64))


def _load(path: Path, _: float | None) -> DataSet:
    found: dict[str, list[tuple[str, str, bytes]]] = {"train": [], "test": []}
    for name, content in tar_members(path):
        place = _place(name)
        if place is not None:
            found[place[0]].append((name, place[1], content))
    if not found["train"] or not found["test"]:
        raise FormatError(f"{path} holds no pictures train/CLASS/FILE and test/CLASS/FILE")
    classes = sorted({label for _, label, _ in found["train"]})
    unknown = {label for _, label, _ in found["test"]} - set(classes)
    if unknown:
        raise FormatError(f"{path}: class {min(unknown)} has test pictures but none to train on")
    number = {label: i for i, label in enumerate(classes)}
    splits = {}
    for split, entries in found.items():
        entries.sort()  # the archive's own order is that of somebody's file system
        names = [name for name, _, _ in entries]
        splits[split] = Split(
            EncodedPictures(names, [content for _, _, content in entries]),
            np.array([number[label] for _, label, _ in entries], np.int64),
            every_picture_an_object(len(entries)),
            names,
        )
    return DataSet(path.name.split(".")[0], tuple(classes), splits["train"], splits["test"])


enter(DataSetFormat("picture-archive", "tar archive of train/CLASS/FILE and test/CLASS/FILE", _matches, _load))
