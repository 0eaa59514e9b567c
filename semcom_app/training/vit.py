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
from semcom_app.training.checkpoints import save_checkpoint, weights_digest
from semcom_phy.errors import ConfigurationError

CHECKPOINT = "checkpoint.pt"
OPTIMIZERS = ("adam", "adamw")
SCHEDULES = ("constant", "one-cycle")
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class VitTrainingConfig:
    """Everything that determines a training run, apart from its model and its pictures.

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
    gradient_clip: float = 1.0
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
    """What is trained: the module and what `save_classifier` must know of it."""

    model: Any
    architecture: str
    model_args: dict[str, Any]
    transform: InputTransform
    classes: tuple[str, ...]


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
    if init is not None:
        source, weights = locate(init)
        if side not in (None, source.transform.side):
            raise ConfigurationError(f"{init} takes pictures of {source.transform.side} pixels: leave out --side")
        description = replace(source, classes=tuple(classes))
        module = build_model(description, drop_path=drop_path)
        load_weights(module, read_tensors(weights), weights, new_head=source.classes != description.classes)
    else:
        description = _fresh(model, classes, side)
        module = build_model(description, drop_path=drop_path)
    return Pupil(module, description.architecture, description.model_args, description.transform, description.classes)


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


def _load_checkpoint(path: Path, model: Any, optimizer: torch.optim.Optimizer, device: torch.device) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location=device)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        return {"step": int(state["step"]), "curve": list(state["curve"]), "seconds": float(state["seconds"])}
    except Exception as error:  # a damaged archive raises anything from KeyError to UnpicklingError
        raise ConfigurationError(
            f"{path} is no checkpoint of this model ({type(error).__name__}): delete it or change --out"
        ) from None


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

    Pictures uint8 (N, side, side, 3), labels int64 (N,). After every epoch the test pictures are classified; nothing is
    chosen by the result. `report(step, steps, line)` is called after every step; `line` is empty except after an epoch.
    Returns what also goes to training.json. Raises ConfigurationError when there is nothing to train on.
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
    progress: dict[str, Any] = {"step": 0, "curve": [], "seconds": 0.0}
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / CHECKPOINT
    if checkpoint.exists():
        progress = _load_checkpoint(checkpoint, model, optimizer, device)
        report(progress["step"], steps, f"resumed at step {progress['step']}")
    padded = pad_pictures(train_pictures, config.padding)
    started = time.monotonic() - progress["seconds"]
    running = 0.0
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
            progress.update(step=step + 1, seconds=time.monotonic() - started)
            save_checkpoint(checkpoint, {"model": model.state_dict(), "optimizer": optimizer.state_dict(), **progress})
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
