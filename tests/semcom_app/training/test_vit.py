"""Training of vision transformers: losses, determinism, resume, starting points, the command, and that it learns."""

from __future__ import annotations

import inspect
import io
import itertools
import json
import re
import shlex
import tarfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

import semcom_app
from semcom_app.cli import run
from semcom_app.commands.train import vit as vit_command
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
    assert config.gradient_clip == 0.0
    defaults = {name: parameter.default for name, parameter in inspect.signature(vit_command).parameters.items()}
    shared = {name: value for name, value in asdict(config).items() if name in defaults}
    assert len(shared) >= 15
    assert {name: defaults[name] for name in shared} == shared


@pytest.mark.parametrize("name", ["vit-device", "vit-server", "vit-views"])
def test_the_commands_of_the_cards_are_those_that_were_run(name: str) -> None:
    """Options in the card and defaults together are the configuration in training.json."""
    folder = Path(semcom_app.__file__).parent / "models" / "weights" / name
    found = re.search(r"^```\n(semcom train vit .*?)^```$", (folder / "README.md").read_text(), re.M | re.S)
    assert found
    words = shlex.split(found[1])[3:]
    values = [*words[1:], "--"]
    given = {
        word[2:].replace("-", "_"): "True" if value.startswith("--") else value
        for word, value in zip(words, values, strict=True)
        if word.startswith("--")
    }
    config = asdict(VitTrainingConfig())
    stated = {key: type(config[key])(value) for key, value in given.items() if key in config}
    assert config | stated == json.loads((folder / "training.json").read_text())["config"]


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
    """Stopped within an epoch and resumed, weights and curve are those of an uninterrupted run, to the last digit."""
    whole = trained(tmp_path / "whole")
    again = trained(tmp_path / "again")
    assert weights(tmp_path / "whole") == weights(tmp_path / "again")
    assert whole["curve"] == again["curve"]
    other = trained(tmp_path / "other", replace(CONFIG, seed=2))
    assert other["curve"] != whole["curve"]

    interrupted(tmp_path / "cut")
    assert not (tmp_path / "cut" / "model.safetensors").exists()
    lines: list[str] = []
    cut = trained(tmp_path / "cut", report=lambda step, steps, line: lines.append(line), checkpoint_every=3)
    assert lines[0] == "resumed at step 6"
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")
    assert cut["curve"] == whole["curve"]


def test_gradients_are_shortened_where_asked(tmp_path: Path) -> None:
    """Adam's first step has the learning rate's size, unless the gradient is far below its ε."""
    config = VitTrainingConfig(epochs=1, batch=40, learning_rate=1e-2)
    before = {n: p.detach().clone() for n, p in make_pupil("small", CLASSES).model.named_parameters()}

    def moved(out: Path, clip: float) -> float:
        trained(out, replace(config, gradient_clip=clip))
        after = load_classifier(str(out), "cpu").model.state_dict()
        return max(float((after[name] - value).abs().max()) for name, value in before.items())

    assert moved(tmp_path / "plain", 0.0) > 9e-3
    assert moved(tmp_path / "clipped", 1e-12) < 1e-3


class StoppedError(Exception):
    """Somebody pressed Ctrl-C."""


def stopped_at(step: int) -> Callable[[int, int, str], None]:
    def stop(now: int, steps: int, line: str) -> None:
        if now == step:
            raise StoppedError

    return stop


def interrupted(out: Path, config: VitTrainingConfig = CONFIG, step: int = 7, **options: Any) -> None:
    with pytest.raises(StoppedError):
        trained(out, config, report=stopped_at(step), checkpoint_every=3, **options)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 2, "learning_rate": 0.5}, r"learning-rate 0\.0001, not 0\.5, seed 1, not 2: "),
        ({"batch": 4}, "batch 8, not 4: "),
        ({"optimizer": "adamw"}, "optimizer adam, not adamw: "),
        ({"precision": "bfloat16"}, "precision float32, not bfloat16: "),
        ({"gradient_clip": 1.0}, r"gradient-clip 0\.0, not 1\.0: "),
    ],
)
def test_a_run_with_other_settings_is_not_resumed(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    interrupted(tmp_path)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(
        ConfigurationError, match=f"holds a training with {message}.*another --out, or remove"
    ) as raised:
        trained(tmp_path, replace(CONFIG, **changes))
    assert "\n" not in str(raised.value)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert not (tmp_path / "training.json").exists()


def test_a_run_on_other_pictures_or_from_another_start_is_not_resumed(tmp_path: Path) -> None:
    trained(tmp_path / "first")
    first = str(tmp_path / "first")
    interrupted(tmp_path / "cut")
    x, y = pictures(40, seed=3)
    tx, ty = pictures(20, seed=2)
    with pytest.raises(ConfigurationError, match="another data set"):
        train(make_pupil("small", CLASSES), x, y, tx, ty, tmp_path / "cut", CONFIG)
    with pytest.raises(ConfigurationError, match="another data set"):
        trained(tmp_path / "cut", pupil=make_pupil("small", ("red", "green", "white")))
    with pytest.raises(ConfigurationError, match="other weights to start from"):
        trained(tmp_path / "cut", pupil=make_pupil("ignored", CLASSES, init=first))
    with pytest.raises(ConfigurationError, match="another teacher"):
        trained(tmp_path / "cut", teacher=load_classifier(first, "cpu"))
    with pytest.raises(ConfigurationError, match=r"drop-path 0\.0, not 0\.1"):
        trained(tmp_path / "cut", pupil=make_pupil("small", CLASSES, drop_path=0.1))
    with pytest.raises(ConfigurationError, match="model-args"):
        trained(tmp_path / "cut", pupil=make_pupil("device", CLASSES))


def test_the_epochs_may_change_at_a_constant_rate(tmp_path: Path) -> None:
    """More of them give what they would have given at once; fewer than there were are refused, and so is a cycle."""
    trained(tmp_path / "whole", replace(CONFIG, epochs=3))
    trained(tmp_path / "more", CONFIG)
    done = trained(tmp_path / "more", replace(CONFIG, epochs=3))
    assert weights(tmp_path / "more") == weights(tmp_path / "whole")
    assert (done["config"]["epochs"], len(done["curve"])) == (3, 3)
    with pytest.raises(ConfigurationError, match=r"3 epochs or more already, not 1: give more --epochs"):
        trained(tmp_path / "more", replace(CONFIG, epochs=1))
    assert json.loads((tmp_path / "more" / "training.json").read_text()) == done
    cycle = replace(CONFIG, schedule="one-cycle")
    trained(tmp_path / "cycle", cycle)
    with pytest.raises(ConfigurationError, match="epochs 2, not 3"):
        trained(tmp_path / "cycle", replace(cycle, epochs=3))


def test_a_finished_run_that_is_repeated_says_the_same(tmp_path: Path) -> None:
    first = trained(tmp_path)
    assert trained(tmp_path, checkpoint_every=1) == first


@pytest.mark.parametrize("settings", [None, "[]", "{", '{"seed": [1]}', "1" * (1 << 17), 7])
def test_checkpoints_without_settings_are_refused(settings: object, tmp_path: Path) -> None:
    interrupted(tmp_path)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    state.pop("settings") if settings is None else state.update(settings=settings)
    torch.save(state, tmp_path / "checkpoint.pt")
    with pytest.raises(ConfigurationError, match=r"checkpoint\.pt (is no checkpoint|does not say)"):
        trained(tmp_path)


@pytest.mark.parametrize("missing", ["step", "curve", "loss", "model", "optimizer"])
def test_checkpoints_that_lack_parts_are_refused(missing: str, tmp_path: Path) -> None:
    interrupted(tmp_path)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    del state[missing]
    torch.save(state, tmp_path / "checkpoint.pt")
    with pytest.raises(ConfigurationError, match=r"checkpoint\.pt is no checkpoint"):
        trained(tmp_path)


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


def test_help_names_every_embedded_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(shapes.SHAPES, "small")
    (option,) = inspect.signature(vit_command, eval_str=True).parameters["model"].annotation.__metadata__
    assert f"({', '.join(shapes.SHAPES)})" in option.help


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
    assert run([*common, "--model", "small", "--out", str(out), "--mirror", "--padding", "1", "--seed", "9"]) == 2
    refusal = capsys.readouterr().err
    assert refusal.startswith(f"semcom: {out} holds a training with seed 1, not 9: ")
    assert refusal.count("\n") == 1
    assert sorted(load_classifier(str(out), "cpu").classes) == sorted(CLASSES)
    second = tmp_path / "second"
    options = [
        "--gradient-clip",
        "0.5",
        "--init",
        str(out),
        "--teacher",
        str(out),
        "--precision",
        "bfloat16",
        "--quantized",
        "0.5",
    ]
    assert run([*common, "--out", str(second), *options, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["training_pictures"], result["config"]["gradient_clip"]) == (24, 0.5)
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
