"""CIFAR-10 and CIFAR-100 in the published binary version: the archive, or the folder that it unpacks to.

The records are described on the data sets' page: one label byte (CIFAR-100: coarse, then fine label), then 3072 bytes,
the red, green and blue plane of 32×32 pixels. The "python version" holds pickles, which run code when they are read; it
is refused with a line that says what to take instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from semcom_app.datasets.archives import MAX_MEMBER_BYTES, member_names, tar_members
from semcom_app.datasets.base import DataSet, DataSetFormat, Split, enter, every_picture_an_object
from semcom_phy.errors import ConfigurationError, FormatError

SIDE = 32
PIXEL_BYTES = 3 * SIDE * SIDE


@dataclass(frozen=True)
class _Version:
    """Files of one data set; label_bytes per record, of which the last is the class."""

    name: str
    label_bytes: int
    train: tuple[str, ...]
    test: tuple[str, ...]
    class_names: str
    classes: int

    @property
    def files(self) -> tuple[str, ...]:
        return (*self.train, *self.test, self.class_names)


_VERSIONS = (
    _Version(
        "CIFAR-10",
        1,
        tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
        ("test_batch.bin",),
        "batches.meta.txt",
        10,
    ),
    _Version("CIFAR-100", 2, ("train.bin",), ("test.bin",), "fine_label_names.txt", 100),
)
_PICKLES = {"batches.meta", "data_batch_1", "meta"}


@dataclass(frozen=True)
class ArrayPictures:
    """Pictures of one size in memory, uint8 (N, H, W, 3)."""

    array: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        return self.array[index]


def _names(path: Path) -> set[str]:
    if path.is_dir():
        return {entry.name for entry in path.iterdir()}
    return {PurePosixPath(name).name for name in member_names(path, 16)} if path.is_file() else set()


def _version(names: set[str]) -> _Version | None:
    for version in _VERSIONS:
        if names >= set(version.files):
            return version
    return None


def _contents(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_file():
        for name, content in tar_members(path):
            yield PurePosixPath(name).name, content
        return
    wanted = {name for version in _VERSIONS for name in version.files}
    for entry in sorted(path.iterdir()):
        if entry.name in wanted and entry.is_file():
            if entry.stat().st_size > MAX_MEMBER_BYTES:
                raise FormatError(f"{entry} is larger than any file of CIFAR")
            yield entry.name, entry.read_bytes()


def _records(version: _Version, name: str, content: bytes) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    size = version.label_bytes + PIXEL_BYTES
    if not content or len(content) % size:
        raise FormatError(f"{name} has {len(content)} bytes: not a whole number of records of {size} bytes")
    records = np.frombuffer(content, np.uint8).reshape(-1, size)
    labels = records[:, version.label_bytes - 1].astype(np.int64)
    if labels.max() >= version.classes:
        raise FormatError(f"{name} has a label {labels.max()}; {version.name} has {version.classes} classes")
    planes = records[:, version.label_bytes :].reshape(-1, 3, SIDE, SIDE)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels


def _split(version: _Version, files: dict[str, bytes], names: tuple[str, ...]) -> Split:
    parts = [_records(version, name, files[name]) for name in names]
    labels = np.concatenate([part[1] for part in parts])
    return Split(
        ArrayPictures(np.concatenate([part[0] for part in parts])),
        labels,
        every_picture_an_object(len(labels)),
        [f"{i:05}" for i in range(len(labels))],
    )


def _matches(path: Path) -> bool:
    names = _names(path)
    return _version(names) is not None or bool(names & _PICKLES and names & {"data_batch_1", "meta"})


def _load(path: Path, _: float | None) -> DataSet:
    files = dict(_contents(path))
    version = _version(set(files))
    if version is None:
        if (path.is_dir() and _names(path) & _PICKLES) or set(files) & _PICKLES:
            raise ConfigurationError(
                f"{path} is the Python version of CIFAR, pickled files that run code when read:"
                " take the binary version (cifar-10-binary.tar.gz, cifar-100-binary.tar.gz)"
            )
        raise FormatError(f"{path} lacks files of the binary version of CIFAR")
    classes = files[version.class_names].decode("ascii", errors="replace").split()
    if len(classes) != version.classes:
        raise FormatError(f"{version.class_names} names {len(classes)} classes, not {version.classes}")
    train, test = (_split(version, files, names) for names in (version.train, version.test))
    return DataSet(version.name, tuple(classes), train, test)


enter(DataSetFormat("cifar-binary", "CIFAR-10 or CIFAR-100, binary version", _matches, _load))
