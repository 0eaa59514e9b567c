"""One face for every autoencoder behind VCSC: pictures to latents and back, on any device."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from semcom_app.models.devices import select_device
from semcom_app.models.torchvision_ops import ensure_torchvision
from semcom_app.models.weights import FILES, WeightsError, local_folder

ensure_torchvision()
from diffusers.utils import logging as diffusers_logging  # noqa: E402

MAX_CONFIG_BYTES = 1 << 20
MAX_LAYERS = 64
MAX_WIDTH = 8192


@dataclass(frozen=True)
class Autoencoder:
    """A loaded autoencoder.

    name: as it was asked for. model: the torch module. channels: latent channels. factor: pixels per
    latent position and side. fingerprint: first 32 bits of the SHA-256 of the weights file; it travels in the
    header, so that a receiver with other weights says so instead of showing noise.
    """

    name: str
    model: Any
    device: torch.device
    channels: int
    factor: int
    fingerprint: int

    @torch.inference_mode()
    def encode(self, pixels: NDArray[np.uint8], sample_seed: int | None = None) -> NDArray[np.float32]:
        """Picture uint8 (H, W, 3), sides multiples of `factor`, → latent float32 (C, H/f, W/f).

        The mode of the posterior, or, with `sample_seed`, a sample from it (VCSC, eq. 2) where the
        autoencoder has a posterior; deterministic autoencoders ignore the seed.
        """
        x = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].to(self.device).float() / 127.5 - 1.0
        output = self.model.encode(x)
        if hasattr(output, "latent_dist"):
            posterior = output.latent_dist
            if sample_seed is None:
                z = posterior.mode()
            else:
                z = posterior.sample(torch.Generator(self.device).manual_seed(sample_seed))
        else:
            z = output.latents
        latent: NDArray[np.float32] = z[0].float().cpu().numpy()
        return latent

    @torch.inference_mode()
    def decode(self, latent: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Latent float32 (C, h, w) → picture uint8 (h·f, w·f, 3)."""
        z = torch.from_numpy(np.ascontiguousarray(latent))[None].to(self.device)
        y = self.model.decode(z).sample[0].float().clamp(-1.0, 1.0)
        pixels: NDArray[np.uint8] = ((y + 1.0) * 127.5).round().byte().permute(1, 2, 0).cpu().numpy()
        return pixels


def _model_class(class_name: str) -> Any:
    # Imported here: each pulls in a different part of diffusers.
    if class_name == "CompactAutoencoder":
        from semcom_app.models.compact import CompactAutoencoder

        return CompactAutoencoder
    if class_name == "AutoencoderKL":
        from diffusers import AutoencoderKL

        return AutoencoderKL
    if class_name == "AutoencoderTiny":
        from diffusers import AutoencoderTiny

        return AutoencoderTiny
    raise WeightsError(
        f"config.json names the model class {class_name!r}; known are AutoencoderKL, AutoencoderTiny"
        " and CompactAutoencoder"
    )


def _read_config(path: Path) -> dict[str, Any]:
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise WeightsError(f"{path} is larger than {MAX_CONFIG_BYTES} bytes")
    try:
        config = json.loads(path.read_text())
    except (ValueError, OSError, RecursionError) as error:
        raise WeightsError(f"{path} is no JSON file ({error})") from None
    if not isinstance(config, dict):
        raise WeightsError(f"{path} is no JSON object")
    for key, value in config.items():
        _check_size(path, key, value)
    return config


def _check_size(path: Path, key: str, value: Any) -> None:
    """Refuse numbers that would build an absurdly large network before its weights are even looked at."""
    if isinstance(value, list):
        if len(value) > MAX_LAYERS:
            raise WeightsError(f"{path}: {key} has {len(value)} entries, more than {MAX_LAYERS}")
        for entry in value:
            _check_size(path, key, entry)
    elif isinstance(value, int | float):
        limit = MAX_LAYERS if "blocks" in key or "layers" in key else MAX_WIDTH
        if not -limit <= value <= limit:
            raise WeightsError(f"{path}: {key} is {value}, beyond ±{limit}")


def _fingerprint(path: Path) -> int:
    with path.open("rb") as file:
        return int.from_bytes(hashlib.file_digest(file, "sha256").digest()[:4], "big")


def _downscaling(model: Any, channels: int, device: torch.device) -> int:
    side = 64
    with torch.inference_mode():
        output = model.encode(torch.zeros(1, 3, side, side, device=device))
        z = output.latent_dist.mode() if hasattr(output, "latent_dist") else output.latents
    if z.shape[1] != channels or side % z.shape[-1]:
        raise WeightsError(f"autoencoder gives latents of shape {tuple(z.shape)} for a {side}×{side} picture")
    return side // int(z.shape[-1])


def load_autoencoder(spec: str = "compact", device: str = "auto") -> Autoencoder:
    """Load an autoencoder by weights name ("compact", "sd-vae", "taesd"), hub id or local folder.

    Only safetensors files are read. Raises WeightsError when something is missing or damaged.
    """
    target = select_device(device)
    folder = local_folder(spec)
    config = _read_config(folder / FILES[0])
    model_class = _model_class(str(config.get("_class_name")))
    diffusers_logging.set_verbosity_error()  # what it would warn of is checked here and raised
    try:
        model, loading = model_class.from_pretrained(
            str(folder),
            torch_dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            low_cpu_mem_usage=False,  # True needs one more package and only matters for models of gigabytes
            output_loading_info=True,
        )
    except Exception as error:  # safetensors, diffusers and torch each raise their own
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsError(f"weights in {folder} are damaged or do not fit their config.json ({reason})") from None
    if loading["missing_keys"]:
        # The library would go on with random numbers in their place.
        raise WeightsError(
            f"weights in {folder} are damaged or do not fit their config.json"
            f" ({len(loading['missing_keys'])} tensors are missing, first {sorted(loading['missing_keys'])[0]})"
        )
    model = model.to(target).eval().requires_grad_(False)
    channels = int(model.config["latent_channels"])
    return Autoencoder(
        name=spec,
        model=model,
        device=target,
        channels=channels,
        factor=_downscaling(model, channels, target),
        fingerprint=_fingerprint(folder / FILES[1]),
    )
