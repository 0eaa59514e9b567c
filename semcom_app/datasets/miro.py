"""MIRO (Kanezaki et al., 2018): 12 classes, 10 objects each, 160 views each, `CLASS/CLASS_OBJECT_VIEW.png`.

The set is published without a division. The paper trains on 32 views of each object and tests on the other 128: here
every fifth view, evenly spaced over the sphere of views, is for training, unless another share is asked for.
"""

from __future__ import annotations

import re
from pathlib import Path

from semcom_app.datasets.base import DataSet, DataSetFormat, enter, split_views
from semcom_phy.errors import FormatError

PAPER_SHARE = 32 / 160
_FILE = re.compile(r"(.+)_(\d{1,3})_(\d{3})\.png")


def object_of(path: Path) -> str | None:
    """CLASS_OBJECT of a file, None where the name is not MIRO's."""
    found = _FILE.fullmatch(path.name)
    return f"{found[1]}_{found[2]}" if found and found[1] == path.parent.name else None


def _classes(path: Path) -> list[Path]:
    return sorted(entry for entry in path.iterdir() if entry.is_dir()) if path.is_dir() else []


def _matches(path: Path) -> bool:
    folders = _classes(path)
    return bool(folders) and all(any(object_of(file) for file in folder.glob("*.png")) for folder in folders)


def _load(path: Path, share: float | None) -> DataSet:
    folders = _classes(path)
    files: list[Path] = []
    labels: list[int] = []
    names: list[str] = []
    for number, folder in enumerate(folders):
        for file in sorted(folder.glob("*.png")):
            name = object_of(file)
            if name is None:
                raise FormatError(f"{file} is not named CLASS_OBJECT_VIEW.png as the pictures of MIRO are")
            files.append(file)
            labels.append(number)
            names.append(name)
    number_of = {name: i for i, name in enumerate(sorted(set(names)))}
    train, test = split_views(
        files, labels, [number_of[name] for name in names], PAPER_SHARE if share is None else share
    )
    return DataSet("MIRO", tuple(folder.name for folder in folders), train, test)


enter(DataSetFormat("miro", "MIRO: CLASS/CLASS_OBJECT_VIEW.png", _matches, _load))
