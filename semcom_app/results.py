"""What one transmission leaves behind: figures for result.json and arrays for the report."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

import semcom_phy

MEAN_KEYS = (
    "payload_bits",
    "header_bits",
    "channel_uses",
    "cbr",
    "compression_rate",
    "compression_rate_with_header",
    "esn0_measured_db",
    "ber_raw",
    "ber_decoded",
    "blocks",
    "blocks_failed",
    "psnr_db",
    "ssim",
    "encode_ms",
    "link_ms",
    "decode_ms",
)
_PACKAGES = ("numpy", "scipy", "numba", "torch", "diffusers", "torchmetrics", "safetensors", "pillow")


@dataclass(frozen=True)
class ImageResult:
    """One picture's journey.

    `row`: its entry in result.json (keys: docs/result-json.md). `sent`, `received`: uint8 (H, W, 3), the
    latter a placeholder when the image was lost. `sent_artifacts`, `received_artifacts`: arrays of the
    codec at either end: "latent" float32 (C, h, w), "attention" float (h, w) in [0, 1], "mask" bool (h, w);
    of the link: "block_ok" bool, the CRC verdict of each code block.
    """

    row: dict[str, Any]
    sent: NDArray[np.uint8]
    received: NDArray[np.uint8]
    sent_artifacts: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    received_artifacts: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def versions() -> dict[str, str]:
    """Versions of this program and of the libraries that its figures depend on."""
    found = {"semcom": semcom_phy.__version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def mean_row(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over the images, lost ones included with each metric's worst value; and how many were lost.

    A value that is None (not defined, or infinite) is left out of its own mean.
    """
    mean: dict[str, Any] = {
        "images": len(rows),
        "images_lost": sum(not row["delivered"] for row in rows),
        "images_intact": sum(bool(row["intact"]) for row in rows),
    }
    for key in MEAN_KEYS:
        values = [row[key] for row in rows if row.get(key) is not None]
        mean[key] = float(np.mean(values)) if values else None
    return mean


def with_pilots(mean: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], uses: int) -> dict[str, Any]:
    """Means of costs that hold each picture's share of the `uses` that pilots took before the first one."""
    share = uses / len(rows)
    # A picture has channel_uses/cbr samples.
    ratios = [row["cbr"] * (1.0 + share / row["channel_uses"]) for row in rows if row["channel_uses"]]
    return {
        **mean,
        "pilot_channel_uses": share,
        "channel_uses_with_pilots": mean["channel_uses"] + share,
        "cbr_with_pilots": float(np.mean(ratios)) if ratios else None,
    }


def to_json(result: Mapping[str, Any]) -> str:
    """Serialise a result; infinities and NaN, which JSON does not have, become null."""
    return json.dumps(_finite(result), indent=2, ensure_ascii=False) + "\n"


def json_bytes(result: Mapping[str, Any]) -> bytes:
    """A result as it is written and printed."""
    # A file name that is no text holds lone surrogates; as \udcxx they are JSON.
    return to_json(result).encode("utf-8", "backslashreplace")


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
