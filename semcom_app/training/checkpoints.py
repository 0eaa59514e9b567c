"""State of a training run on disk, from which it goes on."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch


def save_checkpoint(path: Path, state: dict[str, object]) -> None:
    """Write the state whole or not at all; tensors, numbers and texts only, so that it loads with ``weights_only``."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def weights_digest(folder: Path) -> str:
    """SHA-256 of the one safetensors file of a folder: training.json says by it which weights it speaks of."""
    (weights,) = folder.glob("*.safetensors")
    with weights.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
