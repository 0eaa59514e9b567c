"""Data sets of the Hugging Face hub, `hf:OWNER/NAME`, through the `datasets` package where it is installed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semcom_app.datasets.base import DataSet, DataSetFormat, Split, enter, every_picture_an_object
from semcom_phy.errors import ConfigurationError, SemcomError

PREFIX = "hf:"
_LABELS = ("label", "fine_label", "labels")
_IMAGES = ("image", "img", "picture")
_TESTS = ("test", "validation", "valid")


@dataclass(frozen=True)
class _Column:
    """Pictures of a column, decoded by the package when they are asked for."""

    rows: Any
    column: str

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        return np.asarray(self.rows[index][self.column].convert("RGB"))


def _only(known: tuple[str, ...], present: Any, what: str, name: str) -> str:
    for candidate in known:
        if candidate in present:
            return candidate
    raise ConfigurationError(f"{name} has no {what} (looked for {', '.join(known)}; it has {', '.join(present)})")


def _load(path: Path, _: float | None) -> DataSet:
    name = str(path).removeprefix(PREFIX)
    try:
        from datasets import load_dataset  # type: ignore[import-not-found]  # an optional package
    except ImportError:
        raise SemcomError("data sets of the hub need the package datasets: pip install datasets") from None
    try:
        parts = load_dataset(name)
    except Exception as error:  # the package raises errors of several libraries
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise SemcomError(f"cannot load {name} from the hub: {reason}") from None
    test = _only(_TESTS, parts, "test part", name)
    features = parts[test].features
    label = _only(_LABELS, features, "labels", name)
    image = _only(_IMAGES, features, "pictures", name)
    if not hasattr(features[label], "names"):
        raise ConfigurationError(f"the labels of {name} are not classes")
    splits = []
    for part in (_only(("train",), parts, "training part", name), test):
        rows = parts[part]
        labels = np.asarray(rows[label], np.int64)
        names = [f"{part}/{i}" for i in range(len(labels))]
        splits.append(Split(_Column(rows, image), labels, every_picture_an_object(len(labels)), names))
    return DataSet(name, tuple(features[label].names), splits[0], splits[1])


enter(DataSetFormat("hugging-face", "hf:OWNER/NAME of the hub", lambda path: str(path).startswith(PREFIX), _load))
