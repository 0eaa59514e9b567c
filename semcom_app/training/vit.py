"""Training of vision transformers, device encoder and server classifier alike (`semcom train vit`).

The defaults are the paper's: Adam and cross-entropy, no channel involved. Every step draws from its own generator,
seeded with (seed, step), so that a resumed run continues as if never stopped.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from semcom_app.models.classifiers import (
    OWN_ARCHITECTURE,
    Description,
    ImageClassifier,
    InputTransform,
    build_model,
    describe_timm_model,
    load_weights,
    locate,
    own_vit_args,
    read_tensors,
    save_classifier,
)
from semcom_app.models.vit import SHAPES
from semcom_app.training.augment import cut_out, pad_pictures, quantize_patches, random_crops
from semcom_app.training.checkpoints import (
    Settings,
    data_digest,
    file_digest,
    load_checkpoint,
    no_checkpoint,
    save_checkpoint,
    weights_digest,
)
from semcom_phy.errors import ConfigurationError

CHECKPOINT = "checkpoint.pt"
OPTIMIZERS = ("adam", "adamw")
SCHEDULES = ("constant", "one-cycle")
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class VitTrainingConfig:
    """Everything that determines a training run, apart from its model and its pictures.

    gradient_clip: longest gradient of a step, longer ones are shortened to it; 0: as they are.
    schedule "one-cycle": linear warm-up over the share `warmup` of the steps, then linear down to zero. padding: pixels
    by which crops may be shifted; mirror: half of the pictures mirrored; cutout: side of a blanked square; quantized:
    share of the pictures shown as a receiver of importance-aware quantization sees them (not the paper's: it trains
    without any channel), in patches of `quantized_patch` pixels. teacher_weight: share of the loss that compares with
    the teacher's class probabilities at temperature `temperature`, where there is a teacher.
    """

    epochs: int = 10
    batch: int = 64
    optimizer: str = "adam"
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    schedule: str = "constant"
    warmup: float = 0.1
    label_smoothing: float = 0.0
    gradient_clip: float = 0.0
    padding: int = 0
    mirror: bool = False
    cutout: int = 0
    quantized: float = 0.0
    quantized_patch: int = 4
    teacher_weight: float = 0.5
    temperature: float = 2.0
    precision: str = "float32"
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("epochs", "batch"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("learning_rate", "weight_decay", "gradient_clip", "temperature"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0.0):
                raise ConfigurationError(f"{name} must be a finite number from 0 up, not {value}")
        for name in ("warmup", "label_smoothing", "quantized", "teacher_weight"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigurationError(f"{name} must be from 0 to 1, not {getattr(self, name)}")
        for name, known in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise ConfigurationError(f"unknown {name} {getattr(self, name)!r}. Known: {', '.join(known)}")


@dataclass(frozen=True)
class Pupil:
    """What is trained: the module and what `save_classifier` must know of it.

    drop_path: stochastic depth. init: SHA-256 of the weights that it starts from, None for random ones.
    """

    model: Any
    architecture: str
    model_args: dict[str, Any]
    transform: InputTransform
    classes: tuple[str, ...]
    drop_path: float = 0.0
    init: str | None = None


def make_pupil(
    model: str,
    classes: Sequence[str],
    side: int | None = None,
    init: str | None = None,
    drop_path: float = 0.0,
    seed: int = 1,
) -> Pupil:
    """A model to train.

    model: a shape of `SHAPES` or a name of timm; without meaning where `init` names weights to start from (as
    `load_classifier` takes them), whose architecture and input it then has, with a new head unless the classes are the
    same. side: of the input, pixels. drop_path: stochastic depth. seed: of the random weights.

    Raises ConfigurationError for unknown names and sides that do not fit, WeightsError for damaged weights.
    """
    torch.manual_seed(seed)
    digest: str | None = None
    if init is not None:
        source, weights = locate(init)
        if side not in (None, source.transform.side):
            raise ConfigurationError(f"{init} takes pictures of {source.transform.side} pixels: leave out --side")
        description = replace(source, classes=tuple(classes))
        module = build_model(description, drop_path=drop_path)
        load_weights(module, read_tensors(weights), weights, new_head=source.classes != description.classes)
        digest = file_digest(weights)
    else:
        description = _fresh(model, classes, side)
        module = build_model(description, drop_path=drop_path)
    return Pupil(
        module,
        description.architecture,
        description.model_args,
        description.transform,
        description.classes,
        drop_path,
        digest,
    )


def _fresh(model: str, classes: Sequence[str], side: int | None) -> Description:
    if model in SHAPES:
        own = SHAPES[model]
        shape = replace(own, classes=len(classes), image_size=side or own.image_size)
        return Description(OWN_ARCHITECTURE, own_vit_args(shape), InputTransform(shape.image_size), tuple(classes))
    try:
        given = describe_timm_model(model, classes)
    except ConfigurationError as error:
        raise ConfigurationError(f"{error}; embedded shapes: {', '.join(SHAPES)}") from None
    if side not in (None, given.transform.side):
        raise ConfigurationError(f"{model} takes pictures of {given.transform.side} pixels: leave out --side")
    return given


def learning_rate(step: int, steps: int, config: VitTrainingConfig) -> float:
    """Rate of one step."""
    if config.schedule == "constant":
        return config.learning_rate
    warmup = max(1, round(config.warmup * steps))
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    return config.learning_rate * (steps - step) / max(1, steps - warmup)


def loss_of(scores: Tensor, labels: Tensor, teacher: Tensor | None, config: VitTrainingConfig) -> Tensor:
    """Cross-entropy, mixed with the divergence from the teacher's scores (Hinton et al., 2015) where there are any."""
    loss = functional.cross_entropy(scores, labels, label_smoothing=config.label_smoothing)
    if teacher is None:
        return loss
    t = config.temperature
    divergence = functional.kl_div(
        functional.log_softmax(scores / t, dim=1),
        functional.log_softmax(teacher / t, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    return (1.0 - config.teacher_weight) * loss + config.teacher_weight * t * t * divergence


def _optimizer(model: nn.Module, config: VitTrainingConfig) -> torch.optim.Optimizer:
    exempt: set[str] = getattr(model, "no_weight_decay", set)()
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        (plain if parameter.ndim <= 1 or name in exempt else decayed).append(parameter)
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": plain, "weight_decay": 0.0}]
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)


def unfuse_attention(model: nn.Module) -> None:
    """Plain matrix products instead of the fused attention kernel.

    The kernel's backward pass on a processor takes most of a step at a few dozen tokens: training is 1.6 times as
    fast without it.
    """
    for module in model.modules():
        if isinstance(getattr(module, "fused_attn", None), bool):
            module.fused_attn = False  # type: ignore[assignment]


@torch.inference_mode()
def evaluate(
    pupil: Pupil, pictures: NDArray[np.uint8], labels: NDArray[np.int64], config: VitTrainingConfig, batch: int = 250
) -> dict[str, float]:
    """Accuracy (first class right) and mean cross-entropy on fitted pictures uint8 (N, side, side, 3)."""
    pupil.model.eval()
    device = next(pupil.model.parameters()).device
    right, loss = 0, 0.0
    for start in range(0, len(pictures), batch):
        x = pupil.transform.normalise(torch.from_numpy(pictures[start : start + batch]).to(device))
        y = torch.from_numpy(labels[start : start + batch]).to(device)
        scores = _scores(pupil.model, x, config)
        right += int((scores.argmax(dim=1) == y).sum())
        loss += float(functional.cross_entropy(scores, y, reduction="sum"))
    pupil.model.train()
    return {"accuracy": right / len(labels), "cross_entropy": loss / len(labels)}


def _scores(model: Any, x: Tensor, config: VitTrainingConfig) -> Tensor:
    x = x.contiguous(memory_format=torch.channels_last)
    with torch.autocast(x.device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
        scores: Tensor = model(x)
    return scores.float()


def _settings(
    pupil: Pupil, config: VitTrainingConfig, teacher: ImageClassifier | None, arrays: Sequence[NDArray[Any]]
) -> Settings:
    """All that a run must have in common with the one that it goes on from."""
    return {
        **asdict(config),
        "architecture": pupil.architecture,
        "model_args": json.dumps(pupil.model_args, sort_keys=True),
        "drop_path": pupil.drop_path,
        "init": pupil.init,
        "teacher": None if teacher is None else f"{teacher.fingerprint:08x}",
        "data": data_digest(arrays, pupil.classes),
    }


def _resume(
    path: Path, settings: Settings, steps: int, model: Any, optimizer: torch.optim.Optimizer, device: torch.device
) -> dict[str, Any]:
    """Bring model and optimizer to where an earlier run stopped; steps, curve, seconds and running loss until then.

    A constant rate does not depend on the number of epochs, which may then be another one.
    """
    may_differ = {"epochs"} if settings["schedule"] == "constant" else set()
    state = load_checkpoint(path, settings, device, may_differ)
    try:
        step, seconds, loss = int(state["step"]), float(state["seconds"]), float(state["loss"])
        curve = [dict(entry) for entry in state["curve"]]
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    except Exception as error:  # parts that are missing, or of other shapes
        raise ConfigurationError(no_checkpoint(path, error)) from None
    if not 0 <= step <= steps:
        raise ConfigurationError(
            f"{path.parent} holds a training of {len(curve)} epochs or more already, not {settings['epochs']}:"
            " give more --epochs, take another --out, or remove the folder"
        )
    return {"step": step, "curve": curve, "seconds": seconds, "loss": loss}


def _batch(
    padded: NDArray[np.uint8],
    labels: NDArray[np.int64],
    order: NDArray[np.int64],
    pupil: Pupil,
    config: VitTrainingConfig,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """One augmented batch: normalised float32 (N, 3, S, S) and labels (N,)."""
    pictures: NDArray[Any] = random_crops(padded, order, pupil.transform.side, config.mirror, rng)
    if config.quantized:
        pictures = quantize_patches(pictures, config.quantized_patch, config.quantized, rng)
    x = pupil.transform.normalise(torch.from_numpy(pictures))
    return cut_out(x, config.cutout, rng), torch.from_numpy(labels[order])


def train(
    pupil: Pupil,
    train_pictures: NDArray[np.uint8],
    train_labels: NDArray[np.int64],
    test_pictures: NDArray[np.uint8],
    test_labels: NDArray[np.int64],
    out: Path,
    config: VitTrainingConfig,
    teacher: ImageClassifier | None = None,
    report: Callable[[int, int, str], None] = lambda step, steps, line: None,
    checkpoint_every: int = 100,
    device: torch.device = torch.device("cpu"),  # noqa: B008 (a constant)
) -> dict[str, Any]:
    """Train, resuming from `out`/checkpoint.pt if there is one; leave weights, config.json and training.json in `out`.

    Only a run with the same settings and pictures is resumed; its device, the steps between checkpoints and, at a
    constant rate, the number of epochs may be others.

    Pictures uint8 (N, side, side, 3), labels int64 (N,). After every epoch the test pictures are classified; nothing is
    chosen by the result. `report(step, steps, line)` is called after every step; `line` is empty except after an epoch.
    Returns what also goes to training.json. Raises ConfigurationError when there is nothing to train on, and when `out`
    holds a run with other settings.
    """
    if not len(train_labels):
        raise ConfigurationError("no picture to train on")
    if config.padding >= pupil.transform.side:
        raise ConfigurationError(f"padding must be below the side of {pupil.transform.side} pixels")
    model = pupil.model.to(device=device, memory_format=torch.channels_last).train()
    if device.type == "cpu":
        unfuse_attention(model)
    optimizer = _optimizer(model, config)
    batch = min(config.batch, len(train_labels))
    per_epoch = len(train_labels) // batch
    steps = config.epochs * per_epoch
    progress: dict[str, Any] = {"step": 0, "curve": [], "seconds": 0.0, "loss": 0.0}
    settings = _settings(pupil, config, teacher, (train_pictures, train_labels, test_pictures, test_labels))
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / CHECKPOINT
    if checkpoint.exists():
        progress = _resume(checkpoint, settings, steps, model, optimizer, device)
        report(progress["step"], steps, f"resumed at step {progress['step']}")
    padded = pad_pictures(train_pictures, config.padding)
    started = time.monotonic() - progress["seconds"]
    running = progress["loss"]
    for step in range(progress["step"], steps):
        epoch, within = divmod(step, per_epoch)
        order = np.random.default_rng((config.seed, 0, epoch)).permutation(len(train_labels))
        rng = np.random.default_rng((config.seed, 1, step))
        torch.manual_seed(int(rng.integers(1 << 62)))  # dropout and stochastic depth
        x, y = _batch(padded, train_labels, order[within * batch : (within + 1) * batch], pupil, config, rng)
        x, y = x.to(device), y.to(device)
        with torch.inference_mode():
            advice = None if teacher is None else _scores(teacher.model, x, config)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, config)
        loss = loss_of(_scores(model, x, config), y, None if advice is None else advice.clone(), config)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if config.gradient_clip:
            torch.nn.utils.clip_grad_norm_(model.parameters(), config.gradient_clip)
        optimizer.step()
        running = loss.item() if not running else 0.98 * running + 0.02 * loss.item()
        line = ""
        if within + 1 == per_epoch:
            figures = evaluate(pupil, test_pictures, test_labels, config) if len(test_labels) else {}
            entry = {"epoch": epoch + 1, "loss": round(running, 4), **{k: round(v, 5) for k, v in figures.items()}}
            progress["curve"].append(entry)
            line = f"epoch {epoch + 1}/{config.epochs} loss {running:.4f}"
            if figures:
                line += f" test accuracy {figures['accuracy']:.4f}"
            line += f" {time.monotonic() - started:.0f} s"
        if (step + 1) % checkpoint_every == 0 or line:
            progress.update(step=step + 1, seconds=time.monotonic() - started, loss=running)
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), **progress}
            save_checkpoint(checkpoint, settings, state)
        report(step + 1, steps, line)
    return _finish(pupil, test_pictures, test_labels, len(train_labels), out, config, progress)


def _finish(
    pupil: Pupil,
    test_pictures: NDArray[np.uint8],
    test_labels: NDArray[np.int64],
    trained_on: int,
    out: Path,
    config: VitTrainingConfig,
    progress: dict[str, Any],
) -> dict[str, Any]:
    """Save the weights in half precision and measure them as saved, in float32."""
    save_classifier(out, pupil.model, pupil.architecture, pupil.model_args, pupil.transform, pupil.classes)
    pupil.model.half().float()
    as_saved = VitTrainingConfig(precision="float32")
    result: dict[str, Any] = {
        "config": asdict(config),
        "architecture": pupil.architecture,
        "parameters": sum(p.numel() for p in pupil.model.parameters()),
        "weights_sha256": weights_digest(out),
        "training_pictures": trained_on,
        "test_pictures": len(test_labels),
        "seconds": round(progress["seconds"], 1),
        "curve": progress["curve"],
    }
    if len(test_labels):
        result["test"] = evaluate(pupil, test_pictures, test_labels, as_saved)
    (out / "training.json").write_text(json.dumps(result, indent=2) + "\n")
    return result
