"""Labelled pictures of classification data sets: one form for archives, folders and hubs."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semcom_app.images import load_image
from semcom_phy.errors import ConfigurationError
from semcom_phy.registry import Registry

MAX_TENSOR_BYTES = 1 << 33
DEFAULT_SHARE = 0.25  # of the views of an object, to train on


class Pictures(Protocol):
    """Pictures by number; each uint8 (H, W, 3), sizes may differ."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> NDArray[np.uint8]: ...


@dataclass(frozen=True)
class FilePictures:
    """Pictures in files, decoded when they are asked for."""

    paths: Sequence[Path]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        return load_image(self.paths[index]).pixels


@dataclass(frozen=True)
class Split:
    """One part of a data set.

    pictures: N pictures. labels: int64 (N,), numbers of the classes. objects: int64 (N,), equal for the pictures that
    show one physical object from several views; every picture an object of its own where there are no views. names:
    of the pictures, for reports.
    """

    pictures: Pictures
    labels: NDArray[np.int64]
    objects: NDArray[np.int64]
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: Sequence[int] | NDArray[np.int64]) -> Split:
        """The pictures with these numbers, in this order."""
        chosen = np.asarray(indices, dtype=np.int64)
        return Split(
            _Chosen(self.pictures, chosen),
            self.labels[chosen],
            self.objects[chosen],
            [self.names[i] for i in chosen],
        )

    def tensor(self, side: int, crop: float = 1.0) -> NDArray[np.uint8]:
        """All pictures as uint8 (N, side, side, 3), each fitted by `fit_picture`."""
        if len(self) * side * side * 3 > MAX_TENSOR_BYTES:
            raise ConfigurationError(
                f"{len(self)} pictures of {side}×{side} pixels need more than {MAX_TENSOR_BYTES >> 30} GiB;"
                " take fewer or smaller pictures"
            )
        out = np.empty((len(self), side, side, 3), np.uint8)
        for i in range(len(self)):
            out[i] = fit_picture(self.pictures[i], side, crop)
        return out

    def view_sets(self, views: int, seed: int) -> NDArray[np.int64]:
        """Disjoint sets of `views` pictures of one object each, int64 (sets, views), drawn with `seed`.

        Pictures that are left over are not used. Raises ConfigurationError where no object has enough pictures.
        """
        rng = np.random.default_rng(seed)
        sets = []
        for number in np.unique(self.objects):
            members = rng.permutation(np.flatnonzero(self.objects == number))
            whole = len(members) // views * views
            sets.append(members[:whole].reshape(-1, views))
        found = np.concatenate(sets) if sets else np.empty((0, views), np.int64)
        if not len(found):
            raise ConfigurationError(f"no object of this data set has {views} views; take fewer with --views")
        return found.astype(np.int64)


@dataclass(frozen=True)
class _Chosen:
    pictures: Pictures
    indices: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        return self.pictures[int(self.indices[index])]


@dataclass(frozen=True)
class DataSet:
    """A data set with its published (or seeded) division.

    classes: names in the order of the labels. numbered: the labels are numbers of a classifier's outputs, whatever it
    calls them; otherwise classes are known by their names.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    test: Split
    numbered: bool = False


@dataclass(frozen=True)
class DataSetFormat:
    """A layout of files: `matches(path)` tells whether a file or folder has it, `load(path, share)` reads it.

    share: of the views of each object that are for training, where the layout itself does not say (None: its default);
    other layouts ignore it. general: many things have this layout; it is tried after the particular ones.
    """

    name: str
    summary: str
    matches: Callable[[Path], bool]
    load: Callable[[Path, float | None], DataSet]
    general: bool = False


DATASETS: Registry[DataSetFormat] = Registry("data set format")


def enter(layout: DataSetFormat) -> DataSetFormat:
    """Register a format under its name."""
    return DATASETS.register(layout.name)(layout)


def fit_picture(pixels: NDArray[np.uint8], side: int, crop: float = 1.0) -> NDArray[np.uint8]:
    """Centre of a picture as a square of `side` pixels, bicubic.

    pixels: uint8 (H, W, 3). crop: the share of the short side that is kept (classifiers of ImageNet keep 0.875 to 1).
    """
    if pixels.shape[:2] == (side, side) and crop == 1.0:
        return pixels
    picture = Image.fromarray(pixels)
    scale = round(side / crop) / min(picture.size)
    width, height = (max(side, round(length * scale)) for length in picture.size)
    picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - side) // 2, (height - side) // 2
    return np.asarray(picture.crop((left, top, left + side, top + side)))


def natural_order(name: str) -> tuple[tuple[bool, int, str], ...]:
    """Sort key by which view10 comes after view9."""
    parts = re.findall(r"\d{1,18}|\D+|\d", name)
    return tuple((part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts)


def split_views(
    paths: Sequence[Path], labels: Sequence[int], objects: Sequence[int], share: float | None
) -> tuple[Split, Split]:
    """Training and test split of pictures of the same objects: evenly spaced views of each are for training.

    paths are taken in natural order within each object; a share of 1/4 (the default) trains on views 0, 4, 8, ….
    """
    share = DEFAULT_SHARE if share is None else share
    if not 0.0 < share < 1.0:
        raise ConfigurationError(f"the share of the views to train on must be above 0 and below 1, not {share}")
    by_object: dict[int, list[int]] = {}
    for i, number in enumerate(objects):
        by_object.setdefault(number, []).append(i)
    training: list[int] = []
    test: list[int] = []
    for members in by_object.values():
        members.sort(key=lambda i: natural_order(str(paths[i])))
        for rank, i in enumerate(members):
            chosen = math.ceil(rank * share) != math.ceil((rank + 1) * share)
            (training if chosen else test).append(i)
    whole = Split(
        FilePictures(list(paths)),
        np.array(labels, np.int64),
        np.array(objects, np.int64),
        names_below(paths),
    )
    return whole.subset(training), whole.subset(test)


def names_below(paths: Sequence[Path]) -> list[str]:
    """Names of files from the folder on that they have in common, each there once: CUP/0.png beside DUCK/0.png."""
    if not paths:
        return []
    common = os.path.commonpath([path.parent for path in paths])
    return [path.relative_to(common).as_posix() for path in paths]


def every_picture_an_object(count: int) -> NDArray[np.int64]:
    """Object numbers of a data set without views."""
    return np.arange(count, dtype=np.int64)
