"""State of a training run on disk, from which it goes on."""

from __future__ import annotations

from pathlib import Path

import torch


def save_checkpoint(path: Path, state: dict[str, object]) -> None:
    """Write the state whole or not at all; tensors, numbers and texts only, so that it loads with ``weights_only``."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)
