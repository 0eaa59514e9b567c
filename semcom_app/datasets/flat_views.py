"""Flat folders of views, `OBJECT__ANGLE.EXT` (the Columbia object image library is published so)."""

from __future__ import annotations

import re
from pathlib import Path

from semcom_app.datasets.base import DataSet, DataSetFormat, enter, natural_order, split_views
from semcom_app.images import IMAGE_SUFFIXES
from semcom_phy.errors import FormatError

_FILE = re.compile(r"(.+?)__(\d{1,5})\.[A-Za-z]+")


def object_of(path: Path) -> str | None:
    """Object of a file, None where the name is not OBJECT__ANGLE."""
    found = _FILE.fullmatch(path.name)
    return found[1] if found else None


def _views(path: Path) -> list[tuple[Path, str]]:
    """Pictures of a folder with their objects."""
    if not path.is_dir():
        return []
    found = ((e, object_of(e)) for e in path.iterdir() if e.suffix.lower() in IMAGE_SUFFIXES)
    return sorted((e, name) for e, name in found if name is not None)


def _matches(path: Path) -> bool:
    return len({name for _, name in _views(path)}) >= 2


def _load(path: Path, share: float | None) -> DataSet:
    views = _views(path)
    if not views:
        raise FormatError(f"{path} holds no pictures OBJECT__ANGLE")
    classes = tuple(sorted({name for _, name in views}, key=natural_order))
    number = {name: i for i, name in enumerate(classes)}
    labels = [number[name] for _, name in views]
    train, test = split_views([p for p, _ in views], labels, labels, share)
    return DataSet(path.name, classes, train, test)


enter(DataSetFormat("flat-views", "pictures OBJECT__ANGLE in one folder (COIL)", _matches, _load))
