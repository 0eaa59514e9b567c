"""Pictures that are to be judged: which class each shows, and which are views of one object.

Of files and folders the names say it; of data sets their published layouts do (`semcom_app.datasets`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semcom_app.classification.fusion import NO_VERDICT
from semcom_app.datasets import DataSet, flat_views, miro
from semcom_app.datasets.folders import division
from semcom_app.images import IMAGE_SUFFIXES, ImageError, find_images, load_image
from semcom_phy.errors import ConfigurationError

LEVELS = 2  # CLASS/OBJECT below a folder that is given


@dataclass(frozen=True)
class Source:
    """One picture.

    path: of its file; in a data set its name there. label: number of its class among the classifier's, `NO_VERDICT`
    where nothing says it. object: pictures with the same one are views of one object. assumed: only because they lie
    in one folder. pixels: reads it, uint8 (H, W, 3).
    """

    path: Path
    label: int
    object: Hashable
    assumed: bool
    pixels: Callable[[], NDArray[np.uint8]]


def sources_of_files(given: Iterable[Path], classes: Sequence[str]) -> list[Source]:
    """Pictures of files and folders; a folder without pictures stands for the folders in it, down to CLASS/OBJECT.

    Class: the folder, or the one that it lies in, where it is called as one of the `classes`; or the object in the
    file's name. Object: as the file's name says it (OBJECT__ANGLE, or CLASS_OBJECT_VIEW as in MIRO), otherwise the
    folder. Raises ImageError for missing paths and folders without pictures, ConfigurationError for deeper trees.
    """
    number = {name: i for i, name in enumerate(classes)}
    paths = find_images([folder for path in given for folder in _picture_folders(path, LEVELS)])
    named_as_classes: dict[Path, bool] = {}
    sources = []
    for path in paths:
        place = Path(os.path.abspath(path))  # links keep the names that they have here
        folder, outer = place.parent, place.parent.parent
        named = miro.object_of(place) or flat_views.object_of(place)
        in_class_folder = outer.name in number
        if in_class_folder and folder.name in number:
            # Both are called as classes, as 0000/0001 may be: a folder of classes holds nothing else.
            if outer not in named_as_classes:
                named_as_classes[outer] = all(inner.name in number for inner in _folders(outer))
            in_class_folder = not named_as_classes[outer]
        names = (outer.name,) if in_class_folder else (folder.name, named)
        label = next((number[name] for name in names if name in number), NO_VERDICT)
        assumed = named is None and not in_class_folder
        sources.append(Source(path, label, (folder, named), assumed, partial(_pixels, path)))
    return sources


def _pixels(path: Path) -> NDArray[np.uint8]:
    return load_image(path).pixels


def _folders(path: Path) -> list[Path]:
    return sorted(entry for entry in _entries(path) if entry.is_dir() and not entry.name.startswith("."))


def _entries(path: Path) -> list[Path]:
    try:
        return list(path.iterdir())
    except OSError as error:
        raise ImageError(f"folder {path} cannot be read: {error.strerror or error}") from None


def _picture_folders(path: Path, levels: int) -> list[Path]:
    """A folder without pictures stands for the folders in it, in order of name."""
    if not path.is_dir():
        return [path]
    inside = _folders(path)
    if not inside or any(e.suffix.lower() in IMAGE_SUFFIXES and e.is_file() for e in _entries(path)):
        return [path]
    parts = division(path)
    if parts is not None:
        raise ConfigurationError(
            f"{path} is divided into training and test pictures: give {parts[1]}, or --data {path}"
        )
    if not levels:
        raise ConfigurationError(
            f"{path} holds folders, where pictures should be: give folders CLASS/OBJECT, or --data"
        )
    return [folder for inner in inside for folder in _picture_folders(inner, levels - 1)]


def sources_of_data_set(
    data: DataSet, classes: Sequence[str], views: int = 1, count: int | None = None, seed: int = 0
) -> list[Source]:
    """Test pictures of a data set, each with a path of its own.

    views: of one object, 2 or more: whole sets of so many, one after the other, as `Split.view_sets` draws them with
    `seed`; views that fill no set are left out. count: at most so many pictures, drawn with `seed` (with several views:
    sets of them). Raises ConfigurationError where the classifier's `classes` are not those of the pictures, and where
    no object has so many views.
    """
    test = data.test
    labels = _labels(data, classes)
    rng = np.random.default_rng(seed)
    if views == 1:
        order = np.arange(len(test)) if count is None else np.sort(rng.permutation(len(test))[:count])
    else:
        sets = test.view_sets(views, seed)
        if count is not None:
            if count < views:
                raise ConfigurationError(f"{count} pictures are fewer than a set of {views} views")
            sets = sets[np.sort(rng.permutation(len(sets))[: count // views])]
        order = sets.reshape(-1)
    if not len(order):
        raise ConfigurationError(f"{data.name} has no pictures to test with")
    sources: dict[Path, Source] = {}
    for index in map(int, order):
        path = _unused(test.names[index], sources)
        pixels = partial(test.pictures.__getitem__, index)
        sources[path] = Source(path, int(labels[index]), int(test.objects[index]), False, pixels)
    return list(sources.values())


def _labels(data: DataSet, classes: Sequence[str]) -> NDArray[np.int64]:
    """Labels of the test pictures among the classifier's classes."""
    labels = data.test.labels
    if data.numbered:
        if len(labels) and labels.max() >= len(classes):
            raise ConfigurationError(
                f"{data.name} has pictures of class number {labels.max()}, the model {len(classes)} classes:"
                " take the --model that the numbers are of"
            )
        return labels
    number = {name: i for i, name in enumerate(classes)}
    unknown = [data.classes[label] for label in np.unique(labels) if data.classes[label] not in number]
    if unknown:
        raise ConfigurationError(
            f"class {unknown[0]!r} of {data.name} is none of the model's {len(classes)}:"
            " take another --model, or name its classes with --classes"
        )
    places = np.array([number.get(name, NO_VERDICT) for name in data.classes], np.int64)
    return places[labels]


def _unused(name: str, taken: dict[Path, Source]) -> Path:
    """The name as a path that nobody has: archives may hold a name twice."""
    plain = Path("".join(c if c.isprintable() else "?" for c in name))
    path, number = plain, 1
    while path in taken:
        number += 1
        path = plain.with_name(f"{plain.stem}-{number}{plain.suffix}")
    return path
