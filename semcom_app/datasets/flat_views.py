"""Flat folders of views, `OBJECT__ANGLE.EXT` (the Columbia object image library is published so)."""

from __future__ import annotations

import re
from pathlib import Path

from semcom_app.datasets.base import DataSet, DataSetFormat, enter, natural_order, split_views
from semcom_app.images import IMAGE_SUFFIXES
from semcom_phy.errors import FormatError

_FILE = re.compile(r"(.+?)__(\d{1,5})\.[A-Za-z]+")


def _views(path: Path) -> list[tuple[Path, str]]:
    """Pictures of a folder with their objects."""
    if not path.is_dir():
        return []
    found = ((e, _FILE.fullmatch(e.name)) for e in path.iterdir() if e.suffix.lower() in IMAGE_SUFFIXES)
    return sorted((e, match[1]) for e, match in found if match)


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
