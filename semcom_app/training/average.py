"""Weighted average of two trainings of one network (`semcom train average`).

A network and its fine-tuned descendant lie in one valley of the loss: points on the line between them trade what
the one and the other were trained for, such as PSNR against SSIM, without further training.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from semcom_app.training.checkpoints import weights_digest
from semcom_app.training.images import centre_crop, is_held_out, list_images
from semcom_app.training.vae import evaluate_all, load_trained, save_trained
from semcom_phy.errors import ConfigurationError


def average(first: Path, second: Path, share: float, out: Path, data: Sequence[Path], holdout_every: int) -> None:
    """Write (1 − share)·first + share·second to `out`, in half precision, with held-out figures in training.json.

    Raises ConfigurationError when the two are not trainings of the same network.
    """
    if not 0.0 <= share <= 1.0:
        raise ConfigurationError(f"--share must be from 0 to 1, not {share}")
    model, other = load_trained(first), load_trained(second)
    ours, theirs = model.state_dict(), other.state_dict()
    if {k: v.shape for k, v in ours.items()} != {k: v.shape for k, v in theirs.items()}:
        raise ConfigurationError(f"{first} and {second} hold networks of different shape")
    # Through half precision, so that the figures are those of the file.
    model.load_state_dict({k: ((1.0 - share) * ours[k] + share * theirs[k]).half() for k in ours})
    held_out = [centre_crop(p, 256) for p in list_images(data) if is_held_out(p, holdout_every)]
    runs = []
    for folder, part in ((first, 1.0 - share), (second, share)):
        record = folder / "training.json"
        runs.append({"share": part, "training": json.loads(record.read_text()) if record.is_file() else None})
    result = {
        "average_of": runs,
        "parameters": sum(p.numel() for p in model.parameters()),
        "held_out_images": len(held_out),
        "held_out": evaluate_all(model, held_out) if held_out else None,
    }
    save_trained(model, out)
    result["weights_sha256"] = weights_digest(out)
    (out / "training.json").write_text(json.dumps(result, indent=2) + "\n")
