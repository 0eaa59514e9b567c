"""Every layout: found by itself, read with the right classes, labels, pictures and division, refused when damaged."""

from __future__ import annotations

import io
import pickle
import sys
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from semcom_app.datasets import DATASETS, load_dataset
from semcom_app.datasets.base import DataSet
from semcom_phy.errors import ConfigurationError, FormatError, SemcomError

Tree = Callable[[Mapping[str, int]], Path]
Archive = Callable[..., Path]


def greys(split: Any) -> list[int]:
    return [int(split.pictures[i][0, 0, 0]) for i in range(len(split))]


def png(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (value, value, value)).save(buffer, format="PNG")
    return buffer.getvalue()


def layout_of(path: Path) -> list[str]:
    return [name for name in DATASETS if DATASETS[name].matches(path)]


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.xz"])
def test_archives_of_pictures(archive: Archive, suffix: str) -> None:
    files = {
        "README.md": b"text",
        "train/cat/2.png": png(2),
        "train/cat/1.png": png(1),
        "test/dog/1.png": png(4),
        "train/dog/1.png": png(3),
        "test/cat/1.png": png(5),
    }
    data = load_dataset(archive(files, suffix))
    assert data.classes == ("cat", "dog")
    assert greys(data.train) == [1, 2, 3]  # in order of name, whatever the order in the archive
    assert data.train.labels.tolist() == [0, 0, 1]
    assert greys(data.test) == [5, 4]
    assert data.test.labels.tolist() == [0, 1]
    assert data.train.labels.dtype == np.int64


def test_damaged_archives_are_refused(archive: Archive, tmp_path: Path) -> None:
    good = archive({"train/a/1.png": png(1), "test/a/1.png": png(1)})
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(good.read_bytes()[:-60])
    with pytest.raises(FormatError):
        load_dataset(cut, "picture-archive")
    with pytest.raises(FormatError, match="class b has test pictures"):
        load_dataset(archive({"train/a/1.png": png(1), "test/b/1.png": png(1)}))
    broken = load_dataset(archive({"train/a/1.png": b"no picture", "test/a/1.png": png(1)}))
    with pytest.raises(FormatError, match=r"train/a/1\.png"):
        broken.train.pictures[0]


def cifar10(count: int, rng: np.random.Generator) -> tuple[dict[str, bytes], np.ndarray, np.ndarray]:
    """Files of the binary version, `count` records in each, the pictures (N, 32, 32, 3) and labels of all of them."""
    labels = rng.integers(10, size=(6, count), dtype=np.uint8)
    pictures = rng.integers(256, size=(6, count, 32, 32, 3), dtype=np.uint8)
    files = {}
    for i, name in enumerate([f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]):
        planes = pictures[i].transpose(0, 3, 1, 2).reshape(count, -1)
        files[f"cifar-10-batches-bin/{name}"] = np.concatenate([labels[i][:, None], planes], axis=1).tobytes()
    names = "airplane automobile bird cat deer dog frog horse ship truck"
    files["cifar-10-batches-bin/batches.meta.txt"] = names.replace(" ", "\n").encode() + b"\n\n"
    return files, pictures, labels


def test_cifar10_binary(archive: Archive, tmp_path: Path) -> None:
    files, pictures, labels = cifar10(3, np.random.default_rng(1))
    packed = archive(files)
    unpacked = tmp_path / "folder"
    unpacked.mkdir()
    for name, content in files.items():
        (unpacked / name.rpartition("/")[2]).write_bytes(content)
    for path in (packed, unpacked):
        assert layout_of(path) == ["cifar-binary"]
        data = load_dataset(path)
        assert data.name == "CIFAR-10"
        assert data.classes[:2] == ("airplane", "automobile")
        assert (len(data.train), len(data.test)) == (15, 3)
        np.testing.assert_array_equal(data.train.labels, labels[:5].reshape(-1))
        np.testing.assert_array_equal(data.train.tensor(32), pictures[:5].reshape(-1, 32, 32, 3))
        np.testing.assert_array_equal(data.test.tensor(32), pictures[5])


def test_cifar100_takes_the_fine_labels(archive: Archive) -> None:
    rng = np.random.default_rng(2)
    record = rng.integers(256, size=3072, dtype=np.uint8).tobytes()
    files = {
        "cifar-100-binary/train.bin": bytes([3, 77]) + record + bytes([19, 5]) + record,
        "cifar-100-binary/test.bin": bytes([0, 99]) + record,
        "cifar-100-binary/coarse_label_names.txt": b"",
        "cifar-100-binary/fine_label_names.txt": "\n".join(f"class{i}" for i in range(100)).encode(),
    }
    data = load_dataset(archive(files))
    assert data.name == "CIFAR-100"
    assert data.train.labels.tolist() == [77, 5]
    assert data.test.labels.tolist() == [99]
    assert data.classes[77] == "class77"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data_batch_1.bin", b"\x01" * 3074, "whole number of records"),
        ("data_batch_1.bin", b"", "whole number of records"),
        ("data_batch_1.bin", b"\x0a" + b"\x00" * 3072, "label 10"),
        ("batches.meta.txt", b"cat dog", "2 classes"),
    ],
)
def test_damaged_cifar_is_refused(archive: Archive, name: str, content: bytes, message: str) -> None:
    files, _, _ = cifar10(1, np.random.default_rng(3))
    files[f"cifar-10-batches-bin/{name}"] = content
    with pytest.raises(FormatError, match=message):
        load_dataset(archive(files))


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return (Path.touch, (self.mark,))


def test_pickled_cifar_is_refused_and_not_read(archive: Archive, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    bomb = pickle.dumps(Bomb(mark))
    names = ("batches.meta", *(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
    packed = archive({f"cifar-10-batches-py/{name}": bomb for name in names})
    with pytest.raises(ConfigurationError, match=r"take the binary version \(cifar-10-binary.tar.gz"):
        load_dataset(packed)
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for name in ("meta", "train", "test"):
        (folder / name).write_bytes(bomb)
    with pytest.raises(ConfigurationError, match="binary version"):
        load_dataset(folder)
    assert not mark.exists()
    pickle.loads(bomb)  # the trap does work
    assert mark.exists()


def test_miro_divides_the_views_of_each_object(tree: Tree) -> None:
    files = {
        f"{label}/{label}_{obj}_{view:03}.png": 100 * number + 10 * obj + view
        for number, label in enumerate(("bus", "tape_cutter"))
        for obj in (1, 2)
        for view in range(1, 11)
    }
    root = tree(files)
    data = load_dataset(root)
    assert data.name == "MIRO"
    assert data.classes == ("bus", "tape_cutter")
    assert (len(data.train), len(data.test)) == (8, 32)  # one view in five, as 32 of 160
    assert sorted(greys(data.train)) == [11, 16, 21, 26, 111, 116, 121, 126]
    assert data.train.labels.tolist().count(0) == 4
    assert len(set(data.test.objects.tolist())) == 4
    for views in data.test.view_sets(4, seed=1):
        assert len({int(data.test.objects[i]) for i in views}) == 1
    assert len(load_dataset(root, share=0.5).train) == 20


def test_mvp_n_sets_are_objects(tree: Tree) -> None:
    """data/{train,valid,test}/CLASS/SET/NAME_MARK.png; the test split is taken where there is also a valid one."""
    files = {
        f"{split}/{label}/{number:03}/{view}_1.png": 10 * number + view
        for split, sets in (("train", 2), ("valid", 1), ("test", 3))
        for label in ("0000", "0001")
        for number in range(sets)
        for view in range(2)
    }
    data = load_dataset(tree(files))
    assert data.classes == ("0000", "0001")
    assert (len(data.train), len(data.test)) == (8, 12)
    assert data.test.objects.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert data.test.view_sets(2, seed=1).shape == (6, 2)


def test_divided_folders_of_pictures(tree: Tree) -> None:
    root = tree({"train/a/1.png": 1, "train/a/10.png": 3, "train/a/2.png": 2, "train/b/1.png": 4, "val/b/1.png": 5})
    data = load_dataset(root)
    assert greys(data.train) == [1, 2, 3, 4]
    assert data.train.objects.tolist() == [0, 1, 2, 3]
    assert data.test.labels.tolist() == [1]
    with pytest.raises(FormatError, match="class c is not among"):
        load_dataset(tree({"val/c/1.png": 6}))


def test_views_without_a_division(tree: Tree) -> None:
    one_object = {f"{label}/{10 * view}.png": view for label in ("cup", "duck") for view in range(8)}
    data = load_dataset(tree(one_object))
    assert data.classes == ("cup", "duck")
    assert greys(data.train) == [0, 4, 0, 4]  # views 0 and 4 of 0, 10, …, 70 in natural order
    assert greys(data.test) == [1, 2, 3, 5, 6, 7] * 2
    assert data.test.objects.tolist() == [0] * 6 + [1] * 6


def test_several_objects_of_a_class(tree: Tree) -> None:
    files = {f"{label}/{obj}/{view}.png": view for label in ("cup", "duck") for obj in "ab" for view in range(4)}
    data = load_dataset(tree(files))
    assert data.train.labels.tolist() == [0, 0, 1, 1]
    assert sorted(data.test.objects.tolist()) == sorted([0, 1, 2, 3] * 3)


def test_flat_views(tree: Tree) -> None:
    root = tree({f"obj{n}__{5 * v}.png": 10 * n + v for n in (2, 10) for v in range(4)})
    data = load_dataset(root)
    assert data.classes == ("obj2", "obj10")
    assert greys(data.train) == [100, 20]
    assert data.train.labels.tolist() == [1, 0]
    assert data.test.objects.tolist() == data.test.labels.tolist()


def test_numbered_pictures_are_for_testing_alone(tree: Tree) -> None:
    data = load_dataset(tree({"0000_tench.png": 1, "0002.png": 3, "notes__.png": 0}), "numbered")
    assert data.classes == ("tench", "1", "2")
    assert data.test.labels.tolist() == [0, 2]
    assert len(data.train) == 0


def test_what_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no data set"):
        load_dataset(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match=r"no known layout.*cifar-binary"):
        load_dataset(tmp_path / "empty")
    (tmp_path / "junk.tar.gz").write_bytes(b"\x1f\x8b junk")
    with pytest.raises(ConfigurationError, match="no known layout"):
        load_dataset(tmp_path / "junk.tar.gz")
    with pytest.raises(ConfigurationError, match="Did you mean 'miro'"):
        load_dataset(tmp_path, "mirro")


class _Feature:
    names = ("cat", "dog")


class _Rows:
    """A part of a data set of the hub: rows by number, columns by name."""

    features: Mapping[str, object] = {"img": object(), "label": _Feature()}

    def __init__(self, values: list[tuple[int, int]]) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, key: int | str) -> Any:
        if isinstance(key, str):
            return [label for _, label in self.values]
        value, label = self.values[key]
        return {"img": Image.new("L", (4, 4), value), "label": label}


def test_hub_data_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def load(name: str) -> dict[str, _Rows]:
        asked.append(name)
        return {"train": _Rows([(7, 1), (8, 0)]), "validation": _Rows([(9, 1)])}

    module = types.ModuleType("datasets")
    module.load_dataset = load  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", module)
    data: DataSet = load_dataset("hf:owner/name")
    assert asked == ["owner/name"]
    assert data.classes == ("cat", "dog")
    assert greys(data.train) == [7, 8]
    assert data.train.labels.tolist() == [1, 0]
    assert greys(data.test) == [9]

    def fail(name: str) -> dict[str, _Rows]:
        raise ConnectionError("no route to host\nmore")

    module.load_dataset = fail  # type: ignore[attr-defined]
    with pytest.raises(SemcomError, match=r"cannot load owner/name from the hub: no route to host$"):
        load_dataset("hf:owner/name")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(SemcomError, match="pip install datasets"):
        load_dataset("hf:owner/name")
