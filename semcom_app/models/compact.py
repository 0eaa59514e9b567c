"""The embedded autoencoder: four latent channels at one eighth of the resolution, small enough to ship.

The network has the interface of the diffusers autoencoders (`encode(...)`, `decode(...)`,
`from_pretrained`, `save_pretrained`), so that it, `AutoencoderKL` and `AutoencoderTiny` are exchangeable.
It differs from them where a CPU pays: a 4× pixel-unshuffle comes first, so that no layer runs at full
resolution, and there is no normalisation layer. Latents are bounded by ``bound·tanh(z/bound)``: a min–max
quantizer then never wastes its levels on an outlier.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from semcom_app.models.torchvision_ops import ensure_torchvision

ensure_torchvision()
from diffusers.configuration_utils import ConfigMixin, register_to_config  # noqa: E402
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTinyOutput  # noqa: E402
from diffusers.models.autoencoders.vae import DecoderOutput  # noqa: E402
from diffusers.models.modeling_utils import ModelMixin  # noqa: E402

PATCH = 4  # side of the pixel-unshuffle at the input and of the pixel-shuffle at the output


class ResidualBlock(nn.Module):
    """``x + conv(silu(conv(silu(x))))``, 3×3; the last convolution starts at zero, so the block starts as
    the identity and no normalisation is needed for a stable start."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(width, width, 3, padding=1)
        self.conv_out = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.conv_out.weight)

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.conv_in(nn.functional.silu(x))
        h = self.conv_out(nn.functional.silu(h))
        return x + h


def _stack(width: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)))


class CompactAutoencoder(ModelMixin, ConfigMixin):  # type: ignore[misc]  # as every model of diffusers
    """Convolutional autoencoder, images (N, 3, H, W) in [−1, 1] ↔ latents (N, `latent_channels`, H/8, W/8).

    Parameters
    ----------
    latent_channels: channels of the latent.
    fine_width, coarse_width: channels at 1/4 and at 1/8 resolution.
    encoder_fine_blocks, encoder_coarse_blocks, decoder_coarse_blocks, decoder_fine_blocks: residual
        blocks of each stage.
    latent_bound: latents lie in (−latent_bound, latent_bound).
    """

    @register_to_config
    def __init__(
        self,
        latent_channels: int = 4,
        fine_width: int = 64,
        coarse_width: int = 160,
        encoder_fine_blocks: int = 1,
        encoder_coarse_blocks: int = 2,
        decoder_coarse_blocks: int = 4,
        decoder_fine_blocks: int = 2,
        latent_bound: float = 4.0,
    ) -> None:
        super().__init__()
        if not (isinstance(latent_bound, int | float) and 0.0 < latent_bound < math.inf):
            raise ValueError(f"latent_bound must be a positive number, not {latent_bound!r}")
        pixels = 3 * PATCH**2
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(PATCH),
            nn.Conv2d(pixels, fine_width, 3, padding=1),
            _stack(fine_width, encoder_fine_blocks),
            nn.Conv2d(fine_width, coarse_width, 2, stride=2),
            _stack(coarse_width, encoder_coarse_blocks),
            nn.SiLU(),
            nn.Conv2d(coarse_width, latent_channels, 3, padding=1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(latent_channels, coarse_width, 3, padding=1),
            _stack(coarse_width, decoder_coarse_blocks),
            nn.Conv2d(coarse_width, 4 * fine_width, 1),
            nn.PixelShuffle(2),
            _stack(fine_width, decoder_fine_blocks),
            nn.SiLU(),
            nn.Conv2d(fine_width, pixels, 3, padding=1),
            nn.PixelShuffle(PATCH),
        )
        self.latent_bound = latent_bound

    def encode(self, x: Tensor, return_dict: bool = True) -> AutoencoderTinyOutput | tuple[Tensor]:
        """Images (N, 3, H, W) float in [−1, 1], H and W multiples of 8 → latents (N, C, H/8, W/8)."""
        z = self.latent_bound * torch.tanh(self.encoder(x) / self.latent_bound)
        return AutoencoderTinyOutput(latents=z) if return_dict else (z,)

    def decode(self, z: Tensor, return_dict: bool = True) -> DecoderOutput | tuple[Tensor]:
        """Latents (N, C, h, w) → images (N, 3, 8h, 8w), not clamped."""
        x = self.decoder(z)
        return DecoderOutput(sample=x) if return_dict else (x,)

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct images: encode, then decode."""
        (z,) = self.encode(x, return_dict=False)
        return self.decode(z, return_dict=False)[0]
