"""Training of the embedded autoencoder (`semcom train vae`).

Loss: L1 + `ssim_weight`·(1 − SSIM). Gaussian noise on the latents stands for quantization: mostly of the
size of an 8-bit quantizer's error, for a share of the samples of a 4-bit quantizer's. Every step draws
from its own generator, seeded with (seed, step), so that a resumed run continues as if never stopped.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from semcom_app.metrics.psnr import psnr_db
from semcom_app.metrics.ssim import ssim
from semcom_app.models.autoencoders import load_autoencoder
from semcom_app.models.compact import CompactAutoencoder
from semcom_app.quantization import UniformQuantizer
from semcom_app.training.checkpoints import (
    Settings,
    data_digest,
    load_checkpoint,
    no_checkpoint,
    save_checkpoint,
    weights_digest,
)
from semcom_app.training.images import (
    centre_crop,
    is_held_out,
    list_images,
    load_training_images,
    random_crops,
)
from semcom_phy.errors import ConfigurationError

CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that determines a training run, apart from its images."""

    steps: int = 16000
    batch: int = 8
    crop: int = 96  # side of the training crops, pixels
    final_crop: int = 128  # side from `final_crop_from` on
    final_crop_from: float = 0.75  # fraction of the steps
    learning_rate: float = 1.5e-3
    weight_decay: float = 1e-4
    warmup: int = 300
    gradient_clip: float = 0.5
    ssim_weight: float = 0.15
    noise_start: float = 0.03  # latent noise at the first and at the last step
    noise_end: float = 0.015
    coarse_noise: float = 0.15  # for this share of the samples: the error of a 4-bit quantizer
    coarse_share: float = 0.12
    ema_decay: float = 0.999
    seed: int = 1


def box_ssim(x: Tensor, y: Tensor, window: int = 7) -> Tensor:
    """Mean SSIM of images in [−1, 1] with a uniform window (a fast loss, not the metric that is reported)."""
    c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
    stacked = torch.cat([x, y, x * x, y * y, x * y])
    mean_x, mean_y, xx, yy, xy = functional.avg_pool2d(stacked, window, stride=2).chunk(5)
    var_x, var_y, cov = xx - mean_x * mean_x, yy - mean_y * mean_y, xy - mean_x * mean_y
    ratio = (2 * mean_x * mean_y + c1) * (2 * cov + c2)
    return (ratio / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))).mean()


def learning_rate(step: int, config: TrainingConfig) -> float:
    """Linear warm-up, then half a cosine down to zero at the last step."""
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    done = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


@torch.inference_mode()
def evaluate(model: CompactAutoencoder, images: Sequence[NDArray[np.uint8]], bits: int | None = 8) -> dict[str, float]:
    """Error-free reconstruction quality: mean PSNR (dB) and SSIM over images (H, W, 3), min–max quantized
    to `bits` bits (None: not quantized)."""
    psnr, similarity = [], []
    for image in images:
        x = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].to(model.device).float() / 127.5 - 1
        (z,) = model.encode(x, return_dict=False)
        if bits is not None:
            latent = z.cpu().numpy()
            quantizer = UniformQuantizer.fit(latent, bits)
            z = torch.from_numpy(quantizer.dequantize(quantizer.quantize(latent))).to(x.device)
        y = model.decode(z, return_dict=False)[0][0].clamp(-1, 1)
        received = ((y + 1) * 127.5).round().byte().permute(1, 2, 0).cpu().numpy()
        psnr.append(psnr_db(image, received) or math.inf)
        similarity.append(ssim(image, received) or 0.0)
    return {"psnr_db": float(np.mean(psnr)), "ssim": float(np.mean(similarity))}


def evaluate_all(model: CompactAutoencoder, images: Sequence[NDArray[np.uint8]]) -> dict[str, dict[str, float]]:
    """`evaluate` unquantized and at 8, 4 and 2 bits."""
    settings = (("unquantized", None), ("8bit", 8), ("4bit", 4), ("2bit", 2))
    return {name: evaluate(model, images, bits) for name, bits in settings}


def load_trained(folder: Path) -> CompactAutoencoder:
    """The embedded network from a folder of saved weights, float32, ready to be trained."""
    model = load_autoencoder(str(folder), "cpu").model
    if not isinstance(model, CompactAutoencoder):
        raise ConfigurationError(f"{folder} holds a {type(model).__name__}; only the embedded network is trained here")
    return model.train().requires_grad_(True)


def save_trained(model: CompactAutoencoder, out: Path) -> None:
    """Write weights in half precision and config.json; the latter names no folder of this machine."""
    model.half().save_pretrained(out, safe_serialization=True)
    config = json.loads((out / "config.json").read_text())
    config.pop("_name_or_path", None)
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def _resume(
    path: Path,
    settings: Settings,
    model: CompactAutoencoder,
    average: CompactAutoencoder,
    optimizer: torch.optim.Optimizer,
    device: torch.device,
) -> tuple[int, float]:
    """Bring all three to where an earlier run stopped; steps and seconds until then."""
    state = load_checkpoint(path, settings, device)
    try:
        step, seconds = int(state["step"]), float(state["seconds"])
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
    except Exception as error:  # parts that are missing, or of other shapes
        raise ConfigurationError(no_checkpoint(path, error)) from None
    return step, seconds


def train(
    folders: Sequence[Path],
    out: Path,
    config: TrainingConfig,
    holdout_every: int = 10,
    report: Callable[[int, str], None] = lambda step, line: None,
    validate_every: int = 1000,
    architecture: dict[str, int] | None = None,
    initial: Path | None = None,
    device: torch.device = torch.device("cpu"),  # noqa: B008 (a constant)
) -> dict[str, object]:
    """Train, resuming from `out`/checkpoint.pt if there is one; leave the averaged weights in `out`.

    Only a run with the same settings and pictures is resumed, on whatever device; other ones raise ConfigurationError.
    `initial`: folder of saved weights (and their architecture) to start from instead of random ones.
    `report(step, line)` is called after every step; `line` is empty except after a validation. Returns
    the figures that also go to `out`/training.json.
    """
    paths = list_images(folders)
    held_out = [p for p in paths if is_held_out(p, holdout_every)]
    images = load_training_images(
        [p for p in paths if not is_held_out(p, holdout_every)], max(config.crop, config.final_crop)
    )
    if not images:
        raise ConfigurationError(f"no training image of {config.final_crop} pixels or more in {folders}")
    validation = [centre_crop(p, 256) for p in held_out]
    torch.manual_seed(config.seed)
    model = CompactAutoencoder(**(architecture or {})) if initial is None else load_trained(initial)
    start = None if initial is None else data_digest([tensor.numpy() for tensor in model.state_dict().values()])
    module: torch.nn.Module = model  # the signature that diffusers gives `to` is not one that can be called
    module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = CompactAutoencoder.from_config(model.config).to(device)
    average.load_state_dict(model.state_dict())
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        betas=(0.9, 0.99),
        fused=True,
    )
    settings: Settings = {
        **asdict(config),
        "holdout_every": holdout_every,
        "architecture": json.dumps({k: v for k, v in model.config.items() if not k.startswith("_")}, sort_keys=True),
        "init": start,
        "data": data_digest([*(image.numpy() for image in images), *validation]),
    }
    first, seconds = 0, 0.0
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / CHECKPOINT
    if checkpoint.exists():
        first, seconds = _resume(checkpoint, settings, model, average, optimizer, device)
        report(first, f"resumed at step {first}")
    started = time.monotonic() - seconds
    for step in range(first, config.steps):
        rng = np.random.default_rng((config.seed, step))
        late = step >= config.final_crop_from * config.steps
        x = random_crops(images, config.batch, config.final_crop if late else config.crop, rng)
        x = x.to(device).contiguous(memory_format=torch.channels_last)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, config)
        (z,) = model.encode(x, return_dict=False)
        fine = config.noise_start + (config.noise_end - config.noise_start) * step / config.steps
        sigma = np.where(rng.random(config.batch) < config.coarse_share, config.coarse_noise, fine)
        noise = rng.standard_normal(z.shape, np.float32) * sigma.astype(np.float32)[:, None, None, None]
        y = model.decode(z + torch.from_numpy(noise).to(device), return_dict=False)[0]
        loss = functional.l1_loss(y, x) + config.ssim_weight * (1 - box_ssim(y, x))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.gradient_clip)
        optimizer.step()
        decay = min(config.ema_decay, (step + 1) / (step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
        line = ""
        if (step + 1) % validate_every == 0 or step + 1 == config.steps:
            save_checkpoint(
                checkpoint,
                settings,
                {
                    "model": model.state_dict(),
                    "average": average.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "step": step + 1,
                    "seconds": time.monotonic() - started,
                },
            )
            line = f"step {step + 1} loss {loss.item():.4f} {time.monotonic() - started:.0f} s"
            if validation:
                figures = evaluate(average, validation[:: max(1, len(validation) // 20)])
                line += f" held out: {figures['psnr_db']:.2f} dB, SSIM {figures['ssim']:.4f}"
        report(step + 1, line)
    result: dict[str, object] = {
        "config": asdict(config),
        "training_images": len(images),
        "held_out_images": len(held_out),
        "seconds": round(time.monotonic() - started, 1),
        "parameters": sum(p.numel() for p in average.parameters()),
    }
    if validation:
        result["held_out"] = evaluate_all(average, validation)
    save_trained(average, out)
    result["weights_sha256"] = weights_digest(out)
    (out / "training.json").write_text(json.dumps(result, indent=2) + "\n")
    return result
