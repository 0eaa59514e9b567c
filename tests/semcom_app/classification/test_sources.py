"""Class and object of pictures, of files and folders and of data sets."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semcom_app.classification.fusion import NO_VERDICT
from semcom_app.classification.sources import Source, sources_of_data_set, sources_of_files
from semcom_app.datasets import load_dataset
from semcom_app.datasets.base import DataSet, Split
from semcom_app.datasets.cifar_binary import ArrayPictures
from semcom_app.images import ImageError
from semcom_phy.errors import ConfigurationError

CLASSES = ("cup", "duck", "obj1")
Tree = Callable[[Iterable[str]], Path]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Makes pictures from names, each of the grey value of its place in the list."""

    def make(names: Iterable[str]) -> Path:
        root = tmp_path / "tree"
        for value, name in enumerate(names):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (value, value, value)).save(root / name)
        return root

    return make


def labels(sources: list[Source]) -> list[int]:
    return [source.label for source in sources]


def groups(sources: list[Source]) -> list[list[str]]:
    """Names of the pictures of each object."""
    found: dict[Hashable, list[str]] = {}
    for source in sources:
        found.setdefault(source.object, []).append(source.path.name)
    return list(found.values())


def test_class_and_view_folders(tree: Tree) -> None:
    sources = sources_of_files([tree(f"{label}/{view}.png" for label in ("cup", "duck") for view in range(2))], CLASSES)
    assert labels(sources) == [0, 0, 1, 1]
    assert groups(sources) == [["0.png", "1.png"], ["0.png", "1.png"]]
    assert all(source.assumed for source in sources)  # nobody says that a class folder holds one object
    assert [int(source.pixels()[0, 0, 0]) for source in sources] == [0, 1, 2, 3]


def test_class_object_and_view_folders(tree: Tree) -> None:
    """The layout of MVP-N, given whole, by class and by object."""
    root = tree(f"{label}/{obj}/{view}.png" for label in ("cup", "duck") for obj in "ab" for view in range(2))
    (root / "cup" / "read me").write_text("no picture")
    (root / "cup" / ".hidden").mkdir()
    for given in ([root], [root / "cup", root / "duck"], sorted(root.glob("*/[ab]")), sorted(root.glob("*/*/*"))):
        sources = sources_of_files(given, CLASSES)
        assert labels(sources) == [0] * 4 + [1] * 4
        assert groups(sources) == [["0.png", "1.png"]] * 4
        assert not any(source.assumed for source in sources)


def test_objects_that_are_called_as_classes(tree: Tree) -> None:
    """Class 0000 has an object 0001, which is not class 0001; a folder of classes alone is none."""
    numbers = ("0000", "0001")
    deep = tree(f"0000/{obj}/{view}.png" for obj in ("0001", "0002") for view in range(2))
    sources = sources_of_files([deep / "0000"], numbers)
    assert (labels(sources), len(groups(sources))) == ([0] * 4, 2)
    (deep / "0000" / "0002").rename(deep / "0000" / "0000")
    assert labels(sources_of_files([deep / "0000"], numbers)) == [0, 0, 1, 1]


def test_objects_in_file_names(tree: Tree) -> None:
    """OBJECT__ANGLE: an object per name, which is its class where the classifier knows it."""
    sources = sources_of_files([tree(f"all/obj{n}__{5 * v}.png" for n in (1, 10) for v in range(3))], CLASSES)
    assert sorted(map(sorted, groups(sources))) == [
        ["obj10__0.png", "obj10__10.png", "obj10__5.png"],
        ["obj1__0.png", "obj1__10.png", "obj1__5.png"],
    ]
    assert {source.path.name[:6]: source.label for source in sources} == {"obj1__": 2, "obj10_": NO_VERDICT}
    assert not any(source.assumed for source in sources)


def test_objects_of_miro(tree: Tree) -> None:
    root = tree(f"cup/cup_{n}_{v:03}.png" for n in (1, 2) for v in range(1, 4))
    sources = sources_of_files([root], CLASSES)
    assert [len(group) for group in groups(sources)] == [3, 3]
    assert labels(sources) == [0] * 6


def test_links_keep_their_names(tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree(["store/1.png", "cup/2.png"])
    (root / "cup" / "1.png").symlink_to(root / "store" / "1.png")
    monkeypatch.chdir(root / "cup")
    assert labels(sources_of_files([Path("1.png"), Path("2.png"), Path("../store/1.png")], CLASSES)) == [
        0,
        0,
        NO_VERDICT,
    ]


def test_trees_that_are_refused(tree: Tree, tmp_path: Path) -> None:
    root = tree(["train/cup/1.png", "test/cup/1.png"])
    with pytest.raises(ConfigurationError, match=r"give .*/test, or --data"):
        sources_of_files([root], CLASSES)
    assert labels(sources_of_files([root / "test"], CLASSES)) == [0]
    deep = tmp_path / "deep"
    (deep / "a" / "b" / "c").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="holds folders, where pictures should be"):
        sources_of_files([deep], CLASSES)
    with pytest.raises(ImageError, match="no pictures in folder"):
        sources_of_files([deep / "a"], CLASSES)
    with pytest.raises(ImageError, match="no file"):
        sources_of_files([tmp_path / "none"], CLASSES)


def data_set(names: list[str], labels: list[int], objects: list[int], numbered: bool = False) -> DataSet:
    pictures = np.arange(len(names), dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    test = Split(ArrayPictures(pictures), np.array(labels, np.int64), np.array(objects, np.int64), names)
    return DataSet("set", ("duck", "cup"), test.subset([]), test, numbered)


def test_classes_of_a_data_set_go_by_name() -> None:
    data = data_set(["a.png", "b.png", "c.png"], [0, 1, 1], [0, 1, 2])
    sources = sources_of_data_set(data, CLASSES)
    assert labels(sources) == [1, 0, 0]
    assert [str(source.path) for source in sources] == ["a.png", "b.png", "c.png"]
    assert [int(source.pixels()[0, 0, 0]) for source in sources] == [0, 1, 2]
    with pytest.raises(ConfigurationError, match=r"class 'cup' of set is none of the model's 2: .* --classes"):
        sources_of_data_set(data, ("duck", "goose"))
    assert labels(sources_of_data_set(data_set(["a.png"], [0], [0]), ("goose", "duck"))) == [1]


def test_numbered_classes_go_by_number() -> None:
    data = data_set(["a.png", "b.png"], [0, 2], [0, 1], numbered=True)
    assert labels(sources_of_data_set(data, CLASSES)) == [0, 2]
    with pytest.raises(ConfigurationError, match="class number 2, the model 2 classes"):
        sources_of_data_set(data, CLASSES[:2])


def test_pictures_are_drawn_with_the_seed() -> None:
    data = data_set([f"{i}.png" for i in range(50)], [0] * 50, list(range(50)))
    first, again, other = (sources_of_data_set(data, CLASSES, count=9, seed=seed) for seed in (1, 1, 2))
    names = [[source.path.name for source in sources] for sources in (first, again, other)]
    assert len(set(names[0])) == 9
    assert names[0] == names[1] != names[2]
    assert len(sources_of_data_set(data, CLASSES, count=99)) == 50


def test_sets_of_views_are_whole_and_of_one_object() -> None:
    objects = [0] * 9 + [1] * 6 + [2] * 2
    data = data_set([f"{i}.png" for i in range(17)], [0] * 17, objects)
    sources = sources_of_data_set(data, CLASSES, views=3, seed=4)
    assert len(sources) == 15  # of object 2 there are too few
    for start in range(0, 15, 3):
        assert len({source.object for source in sources[start : start + 3]}) == 1
    wanted = [int(i) for i in data.test.view_sets(3, seed=4).reshape(-1)]
    assert [int(source.path.stem) for source in sources] == wanted  # the sets that the experiments take
    assert len(sources_of_data_set(data, CLASSES, views=3, count=8)) == 6
    with pytest.raises(ConfigurationError, match="2 pictures are fewer"):
        sources_of_data_set(data, CLASSES, views=3, count=2)
    with pytest.raises(ConfigurationError, match="no object of this data set has 10 views"):
        sources_of_data_set(data, CLASSES, views=10)


def test_names_that_occur_twice_stay_apart() -> None:
    data = data_set(["a.png", "a.png", "a-2.png", "b\0.png"], [0] * 4, [0, 1, 2, 3])
    sources = sources_of_data_set(data, CLASSES)
    assert [str(source.path) for source in sources] == ["a.png", "a-2.png", "a-2-2.png", "b?.png"]
    assert [int(source.pixels()[0, 0, 0]) for source in sources] == [0, 1, 2, 3]


def test_nothing_to_test_with() -> None:
    with pytest.raises(ConfigurationError, match="no pictures to test with"):
        sources_of_data_set(data_set([], [], []), CLASSES)


def test_names_of_pictures_in_class_folders_tell_them_apart(tree: Tree) -> None:
    data = load_dataset(tree(f"{label}/{view}.png" for label in ("cup", "duck") for view in range(4)))
    paths = [str(source.path) for source in sources_of_data_set(data, CLASSES)]
    assert paths == [f"{label}/{view}.png" for label in ("cup", "duck") for view in (1, 2, 3)]
