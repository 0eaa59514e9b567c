"""Pictures of known content, and archives and folders made of them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from PIL import Image


def picture(value: int, size: tuple[int, int] = (8, 8)) -> bytes:
    """A PNG file of one grey value."""
    buffer = io.BytesIO()
    Image.new("RGB", size, (value, value, value)).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.fixture
def tree(tmp_path: Path) -> Callable[[Mapping[str, int]], Path]:
    """Makes a folder of pictures from names and grey values."""

    def make(files: Mapping[str, int]) -> Path:
        root = tmp_path / "tree"
        for name, value in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(picture(value))
        return root

    return make


@pytest.fixture
def archive(tmp_path: Path) -> Callable[[Mapping[str, bytes], str], Path]:
    """Makes a tar archive from names and contents; the suffix tells the compression."""

    def make(files: Mapping[str, bytes], suffix: str = ".tar.gz") -> Path:
        path = tmp_path / f"archive{suffix}"
        with tarfile.open(path, f"w:{suffix.rpartition('.')[2]}") as target:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                target.addfile(entry, io.BytesIO(content))
        return path

    return make
