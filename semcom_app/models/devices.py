"""Which device a network runs on."""

from __future__ import annotations

import torch

from semcom_phy.errors import ConfigurationError


def select_device(name: str) -> torch.device:
    """Torch device for "auto" (CUDA where there is one), "cpu", "cuda" or "cuda:N"."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name != "cpu" and name.split(":")[0] != "cuda":
        raise ConfigurationError(f"unknown device {name!r}. Known: auto, cpu, cuda, cuda:N")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigurationError("no CUDA device here; use --device auto or --device cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigurationError(f"unknown device {name!r}. Known: auto, cpu, cuda, cuda:N") from None
    if device.index is not None and device.index >= torch.cuda.device_count():
        raise ConfigurationError(f"no CUDA device {device.index}; there are {torch.cuda.device_count()}")
    return device
