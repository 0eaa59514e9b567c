"""Folder trees: with `train` and `test` folders (MVP-N is published so), or classes with views and no division.

Below a split, or at the top, come the classes; in a class either pictures, or one folder of pictures per object (the
views of the object; MVP-N calls it a set).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from semcom_app.datasets.base import (
    DataSet,
    DataSetFormat,
    FilePictures,
    Split,
    enter,
    natural_order,
    split_views,
)
from semcom_app.images import IMAGE_SUFFIXES
from semcom_phy.errors import ConfigurationError, FormatError

_TEST_NAMES = ("test", "val", "valid", "validation")


def _folders(path: Path) -> list[Path]:
    return sorted(e for e in path.iterdir() if e.is_dir() and not e.name.startswith("."))


def _pictures(path: Path) -> list[Path]:
    found = (e for e in path.iterdir() if e.suffix.lower() in IMAGE_SUFFIXES and e.is_file())
    return sorted(found, key=lambda e: natural_order(e.name))


def _has_classes(path: Path) -> bool:
    return any(_pictures(folder) or any(_pictures(inner) for inner in _folders(folder)) for folder in _folders(path))


def _test_folder(path: Path) -> Path | None:
    return next((path / name for name in _TEST_NAMES if (path / name).is_dir()), None)


def _entries(path: Path, classes: dict[str, int], views: bool) -> tuple[list[Path], list[int], list[int]]:
    """Pictures below a folder of classes, their labels and the numbers of their objects.

    views: the pictures directly in a class folder are views of one object; otherwise each is an object of its own.
    """
    paths: list[Path] = []
    labels: list[int] = []
    objects: list[int] = []
    count = 0
    for folder in _folders(path):
        if folder.name not in classes:
            raise FormatError(f"{folder}: class {folder.name} is not among those to train on")
        groups = [[picture] for picture in _pictures(folder)]
        if views and groups:
            groups = [[picture for group in groups for picture in group]]
        groups += [_pictures(inner) for inner in _folders(folder)]
        for group in groups:
            paths += group
            labels += [classes[folder.name]] * len(group)
            objects += [count] * len(group)
            count += 1
    return paths, labels, objects


def _split(path: Path, classes: dict[str, int]) -> Split:
    paths, labels, objects = _entries(path, classes, views=False)
    names = [str(p.relative_to(path)) for p in paths]
    return Split(FilePictures(paths), np.array(labels, np.int64), np.array(objects, np.int64), names)


def division(path: Path) -> tuple[Path, Path] | None:
    """The folders to train and to test on; None for a folder without a division."""
    train, test = path / "train", _test_folder(path)
    return (train, test) if train.is_dir() and test is not None else None


def _divided_matches(path: Path) -> bool:
    return division(path) is not None and _has_classes(path / "train")


def _load_divided(path: Path, _: float | None) -> DataSet:
    parts = division(path)
    if parts is None:
        raise ConfigurationError(f"{path} has no folders train and test")
    train, test = parts
    names = tuple(folder.name for folder in _folders(train))
    classes = {name: i for i, name in enumerate(names)}
    return DataSet(path.name, names, _split(train, classes), _split(test, classes))


def _views_match(path: Path) -> bool:
    return path.is_dir() and len(_folders(path)) >= 2 and _has_classes(path)


def _load_views(path: Path, share: float | None) -> DataSet:
    names = tuple(folder.name for folder in _folders(path))
    paths, labels, objects = _entries(path, {name: i for i, name in enumerate(names)}, views=True)
    train, test = split_views(paths, labels, objects, share)
    return DataSet(path.name, names, train, test)


enter(
    DataSetFormat(
        "divided-folders", "train/CLASS/… and test/CLASS/…, pictures or OBJECT/VIEW", _divided_matches, _load_divided
    )
)
enter(
    DataSetFormat(
        "views", "CLASS/VIEW or CLASS/OBJECT/VIEW without a division", _views_match, _load_views, general=True
    )
)
