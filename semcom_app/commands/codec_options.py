"""What the command line says about codecs and pictures: options that several commands share, and their checks."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from semcom_phy.errors import ConfigurationError

_DEVICE = re.compile(r"auto|cpu|cuda(:[0-9]{1,3})?")

CodecOption = Annotated[
    str,
    typer.Option(help="vcsc-8bit, vcsc-4bit, vcsc-2bit, vcsc-attn-0.2, vcsc-attn-0.4 (any b, any T)."),
]
BitsOption = Annotated[int | None, typer.Option(help="Bits per latent value, 1 to 8.")]
ThresholdOption = Annotated[float | None, typer.Option(help="Attention threshold T, 0 to 1: 8 bits above it, 4 below.")]
VaeOption = Annotated[str, typer.Option(help="Autoencoder: compact, sd-vae, taesd, a hub id or a folder.")]
SampleOption = Annotated[
    bool, typer.Option("--sample/--mode", help="Draw the latent from the posterior, or take its mode.")
]
SizeOption = Annotated[int | None, typer.Option(help="Scale and centre-crop to SIZE×SIZE (the paper: 512).")]
SeedOption = Annotated[int, typer.Option(help="Seed of everything random.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print result.json, and nothing else, on stdout.")]


def check_codec_options(vae: str, bits: int | None = None, threshold: float | None = None) -> None:
    """Raise ConfigurationError for codec options out of range or weights that do not exist."""
    from semcom_app.models.weights import local_folder
    from semcom_app.quantization import MAX_BITS

    if bits is not None and not 1 <= bits <= MAX_BITS:
        raise ConfigurationError(f"--bits must be from 1 to {MAX_BITS}, not {bits}")
    if threshold is not None and not 0.0 <= threshold <= 1.0:
        raise ConfigurationError(f"--threshold must be from 0 to 1, not {threshold}")
    local_folder(vae)


def check_device(device: str) -> None:
    """Raise ConfigurationError for something that is no name of a torch device."""
    if not _DEVICE.fullmatch(device):
        raise ConfigurationError(f"unknown device {device!r}. Known: auto, cpu, cuda, cuda:N")


def check_seed(seed: int) -> None:
    """Raise ConfigurationError for a seed out of range."""
    if not 0 <= seed < 1 << 63:
        raise ConfigurationError(f"--seed must be from 0 to 2^63 - 1, not {seed}")
