"""Small autoencoders, saved to disk as the real ones are, and pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch


@pytest.fixture(scope="session")
def photos() -> Path:
    """Folder of the shipped photographs."""
    return Path(__file__).parents[2] / "semcom_app" / "photos"


@pytest.fixture(scope="session")
def kl_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Stable-Diffusion-shaped AutoencoderKL, saved as in a pipeline's folder (subfolder "vae")."""
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    model = AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        norm_num_groups=4,
        latent_channels=4,
    )
    folder = tmp_path_factory.mktemp("pipeline")
    model.save_pretrained(folder / "vae", safe_serialization=True)
    return folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TAESD-shaped AutoencoderTiny."""
    from diffusers import AutoencoderTiny

    torch.manual_seed(0)
    model = AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        num_encoder_blocks=(1, 1, 1, 1),
        num_decoder_blocks=(1, 1, 1, 1),
    )
    folder = tmp_path_factory.mktemp("tiny")
    model.save_pretrained(folder, safe_serialization=True)
    return folder


@pytest.fixture(scope="session")
def astronaut(photos: Path) -> np.ndarray:
    """The shipped photograph at 128×128, uint8."""
    from semcom_app.images import load_image

    return load_image(photos / "astronaut.png", 128).pixels
