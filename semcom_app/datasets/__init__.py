"""Classification data sets in their published layouts (EQUATIONS §2, the paper's and others).

One module per layout. Every module of this package is imported here and enters its layout in :data:`DATASETS`; adding a
layout means adding one file. Nothing is unpickled and nothing is unpacked to disk.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from semcom_app.datasets.base import DATASETS, DataSet, DataSetFormat, Split, fit_picture
from semcom_phy.errors import ConfigurationError

for _module in pkgutil.iter_modules(__path__, prefix=f"{__name__}."):
    importlib.import_module(_module.name)


def load_dataset(spec: str | Path, layout: str = "auto", share: float | None = None) -> DataSet:
    """Read a data set.

    spec: an archive or a folder, or `hf:OWNER/NAME` for one of the Hugging Face hub. layout: a name of `DATASETS`, or
    "auto" for the first that the file or folder has. share: of the views of each object to train on, where the layout
    has no division of its own; None: the layout's default. Raises ConfigurationError when there is none, FormatError
    when the data are damaged.
    """
    path = Path(spec)
    if layout != "auto":
        return DATASETS[layout].load(path, share)
    for candidate in sorted((DATASETS[name] for name in DATASETS), key=lambda entry: entry.general):
        if candidate.matches(path):
            return candidate.load(path, share)
    if not str(spec).startswith("hf:") and not path.exists():
        raise ConfigurationError(f"no data set {spec}: give an archive, a folder or hf:OWNER/NAME")
    known = "; ".join(f"{entry.name}: {entry.summary}" for entry in (DATASETS[name] for name in DATASETS))
    raise ConfigurationError(f"{spec} has no known layout. Known: {known}")


__all__ = ["DATASETS", "DataSet", "DataSetFormat", "Split", "fit_picture", "load_dataset"]
