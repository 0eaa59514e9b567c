"""Flat folders whose file names begin with the number of the class, `0207_golden_retriever.jpg` or `0207.jpg`.

Such a folder is for testing alone: there is nothing in it to train on.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from semcom_app.datasets.base import DataSet, DataSetFormat, FilePictures, Split, enter, every_picture_an_object
from semcom_app.images import IMAGE_SUFFIXES
from semcom_phy.errors import FormatError

MAX_CLASSES = 100_000
_FILE = re.compile(r"(\d{1,5})(?:_(.+))?\.[A-Za-z]+")


def _numbered(path: Path) -> list[tuple[Path, int, str]]:
    """Pictures of a folder, the numbers of their classes and what the name says of them."""
    if not path.is_dir():
        return []
    found = ((e, _FILE.fullmatch(e.name)) for e in path.iterdir() if e.suffix.lower() in IMAGE_SUFFIXES)
    return sorted((e, int(match[1]), match[2] or "") for e, match in found if match)


def _matches(path: Path) -> bool:
    return len(_numbered(path)) >= 2


def _load(path: Path, _: float | None) -> DataSet:
    entries = _numbered(path)
    if not entries:
        raise FormatError(f"{path} holds no pictures whose names begin with the number of their class")
    names = {number: name for _, number, name in entries}
    classes = tuple(names.get(number) or str(number) for number in range(max(names) + 1))
    test = Split(
        FilePictures([p for p, _, _ in entries]),
        np.array([number for _, number, _ in entries], np.int64),
        every_picture_an_object(len(entries)),
        [p.name for p, _, _ in entries],
    )
    return DataSet(path.name, classes, test.subset([]), test, numbered=True)


enter(DataSetFormat("numbered", "pictures NNNN… in one folder, class = number", _matches, _load))
