"""Training of vision transformers: losses, determinism, resume, starting points, the command, and that it learns."""

from __future__ import annotations

import io
import itertools
import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

from semcom_app.cli import run
from semcom_app.models import vit as shapes
from semcom_app.models.classifiers import load_classifier, own_vit_args, save_classifier
from semcom_app.models.vit import VitConfig, build_vit
from semcom_app.models.weights import WeightsError
from semcom_app.training.vit import (
    Pupil,
    VitTrainingConfig,
    evaluate,
    learning_rate,
    loss_of,
    make_pupil,
    train,
    unfuse_attention,
)
from semcom_phy.errors import ConfigurationError

SHAPE = VitConfig(image_size=8, patch_size=4, width=12, depth=1, heads=2, mlp_ratio=2.0)
CONFIG = VitTrainingConfig(epochs=2, batch=8, padding=1, mirror=True, cutout=2, quantized=0.5)
CLASSES = ("red", "green", "blue")


@pytest.fixture(autouse=True)
def small_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(shapes.SHAPES, "small", SHAPE)


def pictures(count: int, seed: int = 1, side: int = 8) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Noise with one colour channel brighter; the class is which."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=count)
    noise = rng.integers(120, size=(count, side, side, 3))
    noise[np.arange(count), :, :, labels] += 60
    return noise.astype(np.uint8), labels.astype(np.int64)


def trained(
    out: Path, config: VitTrainingConfig = CONFIG, pupil: Pupil | None = None, **options: Any
) -> dict[str, Any]:
    x, y = pictures(40)
    tx, ty = pictures(20, seed=2)
    return train(pupil or make_pupil("small", CLASSES), x, y, tx, ty, out, config, **options)


def weights(out: Path) -> bytes:
    return (out / "model.safetensors").read_bytes()


def test_the_papers_settings_are_the_defaults() -> None:
    config = VitTrainingConfig()
    assert config.optimizer == "adam"
    assert (config.weight_decay, config.label_smoothing, config.quantized, config.cutout) == (0.0, 0.0, 0.0, 0)
    assert (config.schedule, config.mirror, config.padding) == ("constant", False, 0)


def test_schedules() -> None:
    constant = VitTrainingConfig(learning_rate=1e-3)
    assert {learning_rate(step, 100, constant) for step in range(100)} == {1e-3}
    cycle = replace(constant, schedule="one-cycle", warmup=0.1)
    rates = [learning_rate(step, 100, cycle) for step in range(101)]
    assert rates[0] == pytest.approx(1e-4)
    assert max(rates) == pytest.approx(1e-3)
    assert rates[10] == pytest.approx(1e-3)
    assert rates[100] == 0.0
    assert all(a > b for a, b in itertools.pairwise(rates[10:]))


def test_loss_with_a_teacher_by_hand() -> None:
    config = VitTrainingConfig(teacher_weight=0.25, temperature=3.0, label_smoothing=0.1)
    rng = np.random.default_rng(1)
    pupil, teacher = (torch.from_numpy(rng.normal(size=(5, 4))) for _ in range(2))
    labels = torch.tensor([0, 1, 2, 3, 0])
    p, q = (functional.softmax(s / 3.0, dim=1).numpy() for s in (teacher, pupil))
    divergence = (p * np.log(p / q)).sum(axis=1).mean()
    smooth = 0.9 * np.eye(4)[labels] + 0.1 / 4
    entropy = -(smooth * functional.log_softmax(pupil, dim=1).numpy()).sum(axis=1).mean()
    assert float(loss_of(pupil, labels, None, config)) == pytest.approx(entropy)
    wanted = 0.75 * entropy + 0.25 * 9.0 * divergence
    assert float(loss_of(pupil, labels, teacher, config)) == pytest.approx(wanted)


def test_training_is_deterministic_and_resumes(tmp_path: Path) -> None:
    """Stopped within an epoch and resumed, the weights and the curve are those of an uninterrupted run."""
    whole = trained(tmp_path / "whole")
    again = trained(tmp_path / "again")
    assert weights(tmp_path / "whole") == weights(tmp_path / "again")
    assert whole["curve"] == again["curve"]
    other = trained(tmp_path / "other", replace(CONFIG, seed=2))
    assert other["curve"] != whole["curve"]

    class StoppedError(Exception):
        pass

    def stop(step: int, steps: int, line: str) -> None:
        assert steps == 10
        if step == 7:
            raise StoppedError

    with pytest.raises(StoppedError):
        trained(tmp_path / "cut", report=stop, checkpoint_every=3)
    assert not (tmp_path / "cut" / "model.safetensors").exists()
    lines: list[str] = []
    cut = trained(tmp_path / "cut", report=lambda step, steps, line: lines.append(line), checkpoint_every=3)
    assert lines[0] == "resumed at step 6"
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")
    assert [e["accuracy"] for e in cut["curve"]] == [e["accuracy"] for e in whole["curve"]]


def test_what_training_leaves_behind_loads(tmp_path: Path) -> None:
    result = trained(tmp_path)
    assert result == json.loads((tmp_path / "training.json").read_text())
    assert result["training_pictures"] == 40
    assert [entry["epoch"] for entry in result["curve"]] == [1, 2]
    loaded = load_classifier(str(tmp_path), "cpu")
    assert loaded.classes == CLASSES
    x, y = pictures(20, seed=2)
    share = float(np.mean(loaded.logits(x).argmax(axis=1) == y))
    assert share == pytest.approx(result["test"]["accuracy"])


def test_adam_step_by_hand(tmp_path: Path) -> None:
    """One step of Adam moves every weight by the learning rate against its gradient's sign (first step, ε small)."""
    config = VitTrainingConfig(epochs=1, batch=40, learning_rate=1e-2, gradient_clip=0.0)
    pupil = make_pupil("small", CLASSES)
    before = {n: p.detach().clone() for n, p in pupil.model.named_parameters()}
    x, y = pictures(40)
    pupil.model.train()
    loss_of(pupil.model(pupil.transform.normalise(torch.from_numpy(x))), torch.from_numpy(y), None, config).backward()
    gradients = {n: p.grad.clone() for n, p in pupil.model.named_parameters()}
    trained(tmp_path, config, make_pupil("small", CLASSES))
    after = load_classifier(str(tmp_path), "cpu").model.state_dict()
    for name, gradient in gradients.items():
        moved, clear = after[name] - before[name], gradient.abs() > 1e-4
        wanted = -1e-2 * gradient.sign()
        torch.testing.assert_close(moved[clear], wanted[clear], atol=2e-3, rtol=0.0)


def test_unfused_attention_is_the_same_function() -> None:
    torch.manual_seed(1)
    model = build_vit(SHAPE).eval()
    x = torch.randn(3, 3, 8, 8)
    with torch.inference_mode():
        fused = model(x)
        unfuse_attention(model)
        assert not model.blocks[0].attn.fused_attn
        torch.testing.assert_close(model(x), fused, atol=1e-5, rtol=1e-5)


def test_bfloat16_is_close_to_float32() -> None:
    pupil = make_pupil("small", CLASSES)
    x, y = pictures(50)
    exact = evaluate(pupil, x, y, CONFIG)
    rough = evaluate(pupil, x, y, replace(CONFIG, precision="bfloat16"))
    assert rough["cross_entropy"] == pytest.approx(exact["cross_entropy"], abs=0.02)
    assert rough["cross_entropy"] != exact["cross_entropy"]


def test_a_teacher_leads(tmp_path: Path) -> None:
    """With nothing but a teacher that knows one class alone, the pupil learns that class."""
    torch.manual_seed(1)
    model = build_vit(replace(SHAPE, classes=3))
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.copy_(torch.tensor([0.0, 9.0, 0.0]))
    transform = make_pupil("small", CLASSES).transform
    save_classifier(
        tmp_path / "teacher", model, "semcom_vit", own_vit_args(replace(SHAPE, classes=3)), transform, CLASSES
    )
    teacher = load_classifier(str(tmp_path / "teacher"), "cpu")
    config = replace(CONFIG, epochs=6, learning_rate=1e-2, teacher_weight=1.0)
    trained(tmp_path / "pupil", config, teacher=teacher)
    x, _ = pictures(20, seed=2)
    assert (load_classifier(str(tmp_path / "pupil"), "cpu").logits(x).argmax(axis=1) == 1).all()


def test_training_goes_on_from_saved_weights(tmp_path: Path) -> None:
    """With a learning rate of zero the weights that come out are those that went in; other classes get a new head."""
    trained(tmp_path / "first")
    still = replace(CONFIG, learning_rate=0.0)
    pupil = make_pupil("ignored", CLASSES, init=str(tmp_path / "first"))
    trained(tmp_path / "second", still, pupil)
    states = [load_classifier(str(tmp_path / n), "cpu").model.state_dict() for n in ("first", "second")]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    more = make_pupil("ignored", (*CLASSES, "white"), init=str(tmp_path / "first"))
    first = load_classifier(str(tmp_path / "first"), "cpu").model
    assert more.model.head.out_features == 4
    assert torch.equal(more.model.pos_embed, first.pos_embed)
    with pytest.raises(ConfigurationError, match="leave out --side"):
        make_pupil("ignored", CLASSES, init=str(tmp_path / "first"), side=16)
    with pytest.raises(WeightsError):
        make_pupil("ignored", CLASSES, init=str(tmp_path))


def test_pupils_by_name() -> None:
    wide = make_pupil("small", CLASSES, side=16, drop_path=0.1)
    assert wide.transform.side == 16
    assert wide.model_args["image_size"] == 16
    assert make_pupil("small", CLASSES, seed=1).model.head.weight.equal(make_pupil("small", CLASSES).model.head.weight)
    timm = make_pupil("deit_tiny_patch16_224", CLASSES)
    assert (timm.architecture, timm.transform.side) == ("deit_tiny_patch16_224", 224)
    assert timm.transform.mean == (0.485, 0.456, 0.406)
    with pytest.raises(ConfigurationError, match="embedded shapes: device, server"):
        make_pupil("serve", CLASSES)
    with pytest.raises(ConfigurationError, match="leave out --side"):
        make_pupil("deit_tiny_patch16_224", CLASSES, side=32)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epochs": 0}, "epochs"),
        ({"batch": 0}, "batch"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"label_smoothing": 1.5}, "label_smoothing"),
        ({"quantized": -0.1}, "quantized"),
        ({"optimizer": "sgd"}, "Known: adam, adamw"),
        ({"schedule": "cosine"}, "Known: constant, one-cycle"),
        ({"precision": "float16"}, "Known: float32, bfloat16"),
    ],
)
def test_impossible_settings_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        VitTrainingConfig(**fields)


def test_what_cannot_be_trained_is_named(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"junk")
    with pytest.raises(ConfigurationError, match=r"checkpoint\.pt"):
        trained(tmp_path)
    x, y = pictures(4)
    with pytest.raises(ConfigurationError, match="no picture to train on"):
        train(make_pupil("small", CLASSES), x[:0], y[:0], x, y, tmp_path / "none", CONFIG)
    with pytest.raises(ConfigurationError, match="padding"):
        trained(tmp_path / "wide", replace(CONFIG, padding=8))


def archive(path: Path) -> Path:
    """A data set as CIFAR-10 is published as JPEG files, of three classes."""
    with tarfile.open(path, "w:xz") as target:
        for split, seed, count in (("train", 1, 24), ("test", 2, 12)):
            for i, (pixels, label) in enumerate(zip(*pictures(count, seed), strict=True)):
                content = io.BytesIO()
                Image.fromarray(pixels).save(content, format="PNG")
                entry = tarfile.TarInfo(f"{split}/{CLASSES[label]}/{i:04}.png")
                entry.size = len(content.getvalue())
                target.addfile(entry, io.BytesIO(content.getvalue()))
    return path


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = archive(tmp_path / "set.tar.xz")
    common = ["train", "vit", "--data", str(data), "--epochs", "2", "--batch", "8", "--device", "cpu"]
    out = tmp_path / "out"
    assert run([*common, "--model", "small", "--out", str(out), "--mirror", "--padding", "1"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(f"weights in {out}, ")
    assert "test accuracy" in captured.out
    assert "epoch 2/2 loss" in captured.err
    config = json.loads((out / "training.json").read_text())["config"]
    assert (config["padding"], config["mirror"], config["optimizer"]) == (1, True, "adam")
    assert sorted(load_classifier(str(out), "cpu").classes) == sorted(CLASSES)
    second = tmp_path / "second"
    options = ["--init", str(out), "--teacher", str(out), "--precision", "bfloat16", "--quantized", "0.5"]
    assert run([*common, "--out", str(second), *options, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["training_pictures"] == 24
    assert run([*common, "--model", "smal", "--out", str(tmp_path / "x")]) == 2
    assert capsys.readouterr().err.startswith("semcom: timm has no model 'smal'")
    assert run(["train", "vit", "--data", str(tmp_path / "none"), "--out", str(tmp_path / "x")]) == 2
    assert "no data set" in capsys.readouterr().err


@pytest.mark.slow
def test_it_learns(tmp_path: Path) -> None:
    """Three classes that differ in their mean colour: every test picture is classified rightly after 15 epochs."""
    config = VitTrainingConfig(epochs=15, batch=20, learning_rate=3e-3, schedule="one-cycle")
    x, y = pictures(200)
    tx, ty = pictures(100, seed=2)
    result = train(make_pupil("small", CLASSES), x, y, tx, ty, tmp_path, config)
    assert result["test"]["accuracy"] == 1.0
    assert result["curve"][0]["loss"] > result["curve"][-1]["loss"] + 0.3
