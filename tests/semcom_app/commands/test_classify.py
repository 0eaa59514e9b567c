"""`semcom classify`: verdicts at both ends, from one and several views."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from semcom_app.classification import fuse
from semcom_app.cli import run

from .conftest import Refused

COLOURS = {"red": (220, 30, 30), "green": (30, 220, 30), "blue": (30, 30, 220)}
OPTIONS = ("--codec", "iaq-ia", "--importance", "uniform", "--rho", "0.5", "--patch", "4")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vision transformer of 16×16 pixels that tells three colours apart, by construction.

    Its head reads the mean colour from the class token, which attends to all patches alike.
    """
    import torch

    from semcom_app.models.classifiers import InputTransform, own_vit_args, save_classifier
    from semcom_app.models.vit import VitConfig, build_vit

    torch.manual_seed(0)
    config = VitConfig(image_size=16, patch_size=8, width=12, depth=1, heads=1, classes=3)
    network = build_vit(config)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    rng = np.random.default_rng(0)
    transform = InputTransform(16)
    colours = np.array(list(COLOURS.values()))
    for _ in range(60):
        labels = rng.integers(0, 3, 32)
        pictures = colours[labels][:, None, None, :] + rng.normal(0, 40, (32, 16, 16, 3))
        x = transform.normalise(torch.from_numpy(pictures.clip(0, 255)))
        loss = torch.nn.functional.cross_entropy(network(x), torch.from_numpy(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    folder = tmp_path_factory.mktemp("model") / "colours"
    save_classifier(folder, network, "semcom_vit", own_vit_args(config), transform, list(COLOURS))
    return folder


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders class/view: four views of each colour, one of the red ones in truth green."""
    folder, rng = tmp_path_factory.mktemp("views"), np.random.default_rng(1)
    for name, colour in COLOURS.items():
        for view in range(4):
            shown = COLOURS["green"] if (name, view) == ("red", 2) else colour
            pixels = (np.array(shown) + rng.normal(0, 20, (24, 30, 3))).clip(0, 255).astype(np.uint8)
            (folder / name).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(folder / name / f"{view}.png")
    return folder


def classified(out: Path, *arguments: object) -> dict[str, Any]:
    assert run([str(a) for a in ("classify", *arguments, "--out", out, *OPTIONS)]) == 0
    result: dict[str, Any] = json.loads((out / "result.json").read_text())
    return result


def test_single_views(tmp_path: Path, model: Path, tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = classified(tmp_path, tree, "--model", model)
    rows, found = result["images"], result["classification"]
    assert len(rows) == 12
    assert all((row["width"], row["height"]) == (16, 16) for row in rows)  # the classifier's input is what is sent
    assert [row["class_true"] for row in rows] == [name for name in sorted(COLOURS) for _ in range(4)]
    assert sum(row["class_received"] == row["class_true"] for row in rows) == 11
    assert all(1 / 3 < row["confidence_received"] <= 1 for row in rows)
    shares = found["pictures"]
    assert (shares["count"], shares["labelled"], shares["accuracy_sent"]) == (12, 12, 11 / 12)
    assert shares["interval_received"][0] < shares["accuracy_received"] < shares["interval_received"][1]
    assert "objects" not in found
    printed = capsys.readouterr().out
    assert "single view: same verdict at both ends" in printed
    assert "class received" in (tmp_path / "report.html").read_text()


@pytest.mark.slow
def test_several_views(tmp_path: Path, model: Path, tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = classified(tmp_path, tree, "--model", model, "--views", 4)["classification"]
    assert [entry["class_true"] for entry in found["objects"]] == sorted(COLOURS)
    for entry in found["objects"]:
        assert entry["majority_received"] == entry["sum_received"] == entry["class_true"]
        assert len(entry["pictures"]) == 4
        assert entry["views_lost"] == 0
    assert (found["objects_incomplete"], found["objects_assumed"]) == (0, 3)
    assert found["majority"]["accuracy_received"] == found["sum"]["accuracy_sent"] == 1.0
    printed = capsys.readouterr()
    assert "majority vote: same verdict" in printed.out
    assert "3 of 3 objects are pictures of one folder, taken as views of one object" in printed.err


def shades(root: Path, names: Iterable[str]) -> Path:
    """Pictures in the colour that their name begins with, or the folder that they lie in."""
    rng = np.random.default_rng(2)
    for name in names:
        colour = COLOURS[next(key for key in COLOURS if f"/{key}" in f"/{name}")]
        pixels = (np.array(colour) + rng.normal(0, 20, (16, 16, 3))).clip(0, 255).astype(np.uint8)
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / name)
    return root


@pytest.mark.parametrize("given", [pytest.param("folder", marks=pytest.mark.slow), "data"])
def test_several_objects_of_a_class(
    given: str, tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The layout of MVP-N: objects are told apart, and classes known."""
    names = [f"{c}/{o}/{v}.png" for c in ("red", "blue") for o in ("000", "001") for v in range(3)]
    root = shades(tmp_path / "set", names)
    arguments = [root] if given == "folder" else ["--data", root]
    found = classified(tmp_path / "out", *arguments, "--model", model, "--views", 2)["classification"]
    assert found["pictures"]["labelled"] == found["pictures"]["count"]
    assert found["pictures"]["accuracy_sent"] == 1.0
    assert found["objects_assumed"] == 0
    per_object = [2, 1] if given == "folder" else [2]  # the first view of each is for training
    assert [len(entry["pictures"]) for entry in found["objects"]] == per_object * 4
    assert found["majority"]["accuracy_received"] == 1.0
    assert "one folder" not in capsys.readouterr().err


@pytest.mark.parametrize("given", ["folder", pytest.param("data", marks=pytest.mark.slow)])
def test_flat_views(given: str, tmp_path: Path, model: Path) -> None:
    """The layout of COIL: OBJECT__ANGLE tells object and class, and no set holds two objects."""
    root = shades(tmp_path / "set", [f"{c}__{5 * v}.png" for c in ("red", "blue") for v in range(3)])
    arguments = [root] if given == "folder" else ["--data", root, "--train-share", 0.3]
    found = classified(tmp_path / "out", *arguments, "--model", model, "--views", 2)["classification"]
    assert len(found["objects"]) == (4 if given == "folder" else 2)
    for entry in found["objects"]:
        assert {name.partition("__")[0] for name in entry["pictures"]} == {entry["class_true"]}
    assert found["pictures"]["accuracy_sent"] == found["sum"]["accuracy_sent"] == 1.0


def test_numbered_pictures(tmp_path: Path, model: Path) -> None:
    """NNNN_name.jpg: the number is that of the model's class, whatever the name says."""
    root = tmp_path / "set"
    shades(root, ["red.png", "green.png", "blue.png"])
    for number, name in enumerate(COLOURS):
        (root / f"{name}.png").rename(root / f"{number:04}_colour_{name}.png")
    result = classified(tmp_path / "out", "--data", root, "--model", model)
    assert [row["class_true"] for row in result["images"]] == list(COLOURS)
    assert [row["image"] for row in result["images"]] == [f"{n:04}_colour_{c}.png" for n, c in enumerate(COLOURS)]
    assert result["classification"]["pictures"]["accuracy_received"] == 1.0


def test_archives(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Test pictures of an archive, drawn with the seed, scaled where asked; nothing is unpacked."""
    root = shades(tmp_path / "set", [f"{s}/{c}/{i}.png" for s in ("train", "test") for c in COLOURS for i in range(2)])
    archive = tmp_path / "set.tar.xz"
    with tarfile.open(archive, "w:xz") as target:
        target.add(root, ".")
    shutil.rmtree(root)
    out = tmp_path / "out"
    result = classified(out, "--data", archive, "--model", model, "--pictures", 4, "--size", 24, "--seed", 3)
    rows = result["images"]
    assert [(row["width"], row["source_width"]) for row in rows] == [(24, 16)] * 4
    assert all(row["image"].startswith(f"test/{row['class_true']}/") for row in rows)
    assert len({row["image"] for row in rows}) == len({row["received_file"] for row in rows}) == 4
    assert all((out / row["received_file"]).is_file() for row in rows)
    assert result["classification"]["pictures"]["accuracy_sent"] == 1.0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "set.tar.xz"]
    capsys.readouterr()


@pytest.mark.slow
def test_sets_of_views_stay_within_their_folder(tmp_path: Path, model: Path, tree: Path) -> None:
    found = classified(tmp_path, tree, "--model", model, "--views", 3)["classification"]
    assert [len(entry["pictures"]) for entry in found["objects"]] == [3, 1, 3, 1, 3, 1]
    assert found["objects_incomplete"] == 3


def test_fewer_pictures_than_views(tmp_path: Path, model: Path, tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The vote takes place over what there is, and that is said."""
    found = classified(tmp_path, tree / "red" / "0.png", "--model", model, "--views", 4)["classification"]
    assert (len(found["objects"]), found["objects_incomplete"]) == (1, 1)
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1  # nothing is assumed of one picture
    assert "1 of 1 objects have fewer than 4 views: the verdict is of those there are" in printed.err
    assert "1 of 4" in printed.out


@pytest.mark.slow
def test_views_that_are_lost_do_not_vote(tmp_path: Path, model: Path, tree: Path) -> None:
    """Over a channel on which nothing arrives there is a verdict at one end only."""
    arguments = ["classify", tree / "red", "--model", model, "--views", 4, "--out", tmp_path, *OPTIONS]
    assert run([str(a) for a in (*arguments, "--channel", "bsc", "--flip", 0.5)]) == 1
    result = json.loads((tmp_path / "result.json").read_text())
    (entry,) = result["classification"]["objects"]
    assert (entry["views_lost"], entry["majority_sent"], entry["majority_received"]) == (4, "red", None)
    assert result["classification"]["majority"]["accuracy_received"] == 0.0
    assert all(row["class_received"] is None and row["confidence_received"] is None for row in result["images"])


@pytest.mark.slow
def test_other_names_and_sizes(tmp_path: Path, model: Path, tree: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("rouge\nvert\nbleu\n")
    result = classified(
        tmp_path / "out", tree / "blue", "--model", model, "--classes", names, "--size", 24, "--views", 2
    )
    assert {row["class_sent"] for row in result["images"]} == {"bleu"}
    assert all(row["class_true"] is None for row in result["images"])  # the folder is called otherwise
    assert result["images"][0]["width"] == 24
    assert result["classification"]["pictures"]["labelled"] == 0
    assert result["classification"]["sum"]["accuracy_sent"] is None


@pytest.mark.slow
def test_the_verdicts_are_those_of_the_model(tmp_path: Path, model: Path, tree: Path) -> None:
    from semcom_app.models.classifiers import load_classifier

    result = classified(tmp_path, tree / "red", "--model", model, "--views", 4)
    server = load_classifier(str(model), "cpu")
    received = np.stack([np.asarray(Image.open(tmp_path / row["received_file"])) for row in result["images"]])
    numbers = server.log_probabilities(received)
    assert [row["class_received"] for row in result["images"]] == [server.classes[k] for k in numbers.argmax(axis=1)]
    (entry,) = result["classification"]["objects"]
    assert entry["majority_received"] == server.classes[int(fuse("majority", numbers[None])[0])]
    confidence = np.exp(numbers.max(axis=1))
    assert [row["confidence_received"] for row in result["images"]] == pytest.approx(confidence.tolist(), abs=1e-5)


CLASSES: dict[str, tuple[str | None, int, str]] = {
    "missing": (None, 1, "cannot be read"),
    "too few": ("a\nb\n", 2, "2 class names for the 3 classes"),
    "empty line": ("a\n\nc\n", 1, "line 2 is empty"),
    "twice": ("a\nb\na\n", 1, "'a' is there twice"),
}


@pytest.mark.parametrize("case", CLASSES)
def test_wrong_class_names(case: str, tmp_path: Path, model: Path, tree: Path, refused: Refused) -> None:
    content, code, expected = CLASSES[case]
    names = tmp_path / "names.txt"
    if content is not None:
        names.write_text(content)
    refused(["classify", tree / "red", "--model", model, "--classes", names, *OPTIONS], code, expected)


def test_wrong_usage(tmp_path: Path, model: Path, tree: Path, refused: Refused) -> None:
    refused(["classify", tree, "--model", "no-such-model", *OPTIONS], 2, "no-such-model")
    refused(["classify", tree, "--model", model, "--views", "0", *OPTIONS], 2, "--views must be from 1 to 1000")
    refused(["classify", "--model", model, *OPTIONS], 2, "give pictures or folders, or a data set with --data")
    refused(["classify", tree, "--data", tree, "--model", model, *OPTIONS], 2, "one of the two")
    refused(["classify", tree, "--pictures", "3", "--model", model, *OPTIONS], 2, "go with --data")
    refused(["classify", "--data", tree, "--pictures", "3", "--views", "4", *OPTIONS], 2, "at least the 4 of --views")
    refused(["classify", "--data", tree, "--out", tree / "out", *OPTIONS], 2, "lies in the data set")
    refused(["classify", "--data", tree, *OPTIONS], 2, "class 'blue' of", "none of the model's 10")
    refused(["classify", "--data", tree, "--size", "4", "--model", model, *OPTIONS], 2, "--size must be from 8 to 8192")
    refused(["classify", "--data", tmp_path / "none", "--model", model, *OPTIONS], 2, "no data set")
    refused(["classify", tmp_path / "none", "--model", model, *OPTIONS], 1, "no file")
    empty = tmp_path / "empty"
    (empty / "inside").mkdir(parents=True)
    refused(["classify", empty, "--model", model, *OPTIONS], 1, "no pictures in folder")
    shutil.rmtree(empty)
