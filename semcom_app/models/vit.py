"""Vision transformers shaped as DeiT, small enough to be trained and shipped: device encoder and server classifier.

They are timm's `VisionTransformer` (class token, learned positions, pre-norm blocks), so that everything that reads a
timm model reads them too. The stem may be the patch projection of the papers or a few strided convolutions with
the same patch grid (Xiao et al., "Early Convolutions Help Transformers See Better", 2021), which learn from far fewer
passes over a small data set.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from semcom_app.models.torchvision_ops import import_timm
from semcom_phy.errors import ConfigurationError

STEMS = ("patch", "convolution")


@dataclass(frozen=True)
class VitConfig:
    """Shape of a small vision transformer.

    image_size: side of the square input, pixels. patch_size: side of a patch; the class token attends to
    (image_size / patch_size)² patches. width: of the tokens; depth: blocks; heads: of the attention (they divide the
    width); mlp_ratio: hidden width of a block's perceptron over `width`. classes: of the head. stem: "patch" or
    "convolution"; stem_widths: channels of the convolutional stem at full, half, … resolution, down to the patch grid
    (log2(patch_size) + 1 entries; empty: powers of two up to `width`/2); stem_repeats: plain convolutions after each
    strided one (with 0 a token sees little beyond its own patch).
    """

    image_size: int = 32
    patch_size: int = 4
    width: int = 192
    depth: int = 4
    heads: int = 3
    mlp_ratio: float = 4.0
    classes: int = 10
    stem: str = "patch"
    stem_widths: tuple[int, ...] = ()
    stem_repeats: int = 1

    def __post_init__(self) -> None:
        positive = ("image_size", "patch_size", "width", "depth", "heads", "classes")
        for name in positive:
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 1 << 16:
                raise ConfigurationError(f"{name} of a vision transformer must be from 1 to 65536, not {value!r}")
        if self.image_size % self.patch_size:
            raise ConfigurationError(f"patches of {self.patch_size} pixels do not tile {self.image_size} pixels")
        if self.width % self.heads:
            raise ConfigurationError(f"width {self.width} is no multiple of {self.heads} heads")
        if not (math.isfinite(self.mlp_ratio) and 0.0 < self.mlp_ratio <= 16.0):
            raise ConfigurationError(f"mlp_ratio must be above 0 and at most 16, not {self.mlp_ratio}")
        if not isinstance(self.stem_repeats, int) or not 0 <= self.stem_repeats <= 8:
            raise ConfigurationError(f"stem_repeats must be from 0 to 8, not {self.stem_repeats!r}")
        if self.stem not in STEMS:
            raise ConfigurationError(f"unknown stem {self.stem!r}. Known: {', '.join(STEMS)}")
        halvings = self.patch_size.bit_length() - 1
        if self.stem == "convolution" and self.patch_size != 1 << halvings:
            raise ConfigurationError(f"a convolutional stem needs a patch of 2, 4, 8, … pixels, not {self.patch_size}")
        if self.stem_widths and len(self.stem_widths) != halvings + 1:
            raise ConfigurationError(
                f"stem_widths needs {halvings + 1} entries for patches of {self.patch_size} pixels"
            )
        if not all(isinstance(width, int) and 1 <= width <= 1 << 16 for width in self.stem_widths):
            raise ConfigurationError(f"stem_widths must be from 1 to 65536, not {self.stem_widths}")


class ConvolutionalStem(nn.Module):
    """Patch embedding by convolutions: 3×3 at full resolution, then per halving one strided and `repeats` plain 3×3,
    each with batch norm and ReLU, and a 1×1 projection to the token width.

    Images (N, 3, H, W) → tokens (N, H/P·W/P, width), row by row as the patch projection of timm gives them; with `grid`
    (N, H/P, W/P, width), for models that take several sizes.
    """

    def __init__(
        self, widths: tuple[int, ...], repeats: int, image_size: int, channels: int, width: int, grid: bool = False
    ) -> None:
        super().__init__()
        self.grid = grid
        layers = _convolution(channels, widths[0], stride=1)
        for before, after in itertools.pairwise(widths):
            layers += _convolution(before, after, stride=2)
            for _ in range(repeats):
                layers += _convolution(after, after, stride=1)
        self.layers = nn.Sequential(*layers)
        self.proj = nn.Conv2d(widths[-1], width, 1)
        side = image_size >> (len(widths) - 1)
        self.num_patches = side * side
        self.grid_size = (side, side)
        self.patch_size = (image_size // side, image_size // side)
        self.img_size = (image_size, image_size)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens of images."""
        tokens: Tensor = self.proj(self.layers(x))
        return tokens.permute(0, 2, 3, 1).contiguous() if self.grid else tokens.flatten(2).transpose(1, 2)


def _convolution(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]


def build_vit(config: VitConfig, drop_path: float = 0.0, dynamic: bool = False) -> Any:
    """A timm `VisionTransformer` of that shape with random weights.

    drop_path: rate of stochastic depth at the last block, for training only. dynamic: take pictures of other sizes
    too. With torch seeded, the weights are the same at every call.
    """
    import_timm()
    from timm.models.vision_transformer import VisionTransformer

    stem: dict[str, Any] = {}
    if config.stem == "convolution":
        halvings = config.patch_size.bit_length() - 1
        widths = config.stem_widths or tuple(max(8, config.width >> (halvings - i + 1)) for i in range(halvings + 1))

        def embed(img_size: int, in_chans: int, embed_dim: int, **_: Any) -> ConvolutionalStem:
            return ConvolutionalStem(widths, config.stem_repeats, img_size, in_chans, embed_dim, grid=dynamic)

        stem["embed_layer"] = embed
    return VisionTransformer(
        img_size=config.image_size,
        patch_size=config.patch_size,
        num_classes=config.classes,
        embed_dim=config.width,
        depth=config.depth,
        num_heads=config.heads,
        mlp_ratio=config.mlp_ratio,
        drop_path_rate=drop_path,
        dynamic_img_size=dynamic,
        **stem,
    )


# Shapes of the embedded models: device and server for 32×32 pixels in patches of 4×4; views, for both ends, for 64×64
# pixels in patches of 8×8.
SHAPES = {
    "device": VitConfig(
        width=128, depth=4, heads=4, mlp_ratio=2.0, stem="convolution", stem_widths=(24, 48, 96), stem_repeats=0
    ),
    "server": VitConfig(width=192, depth=4, heads=3, mlp_ratio=2.0, stem="convolution", stem_widths=(32, 96, 192)),
    "views": VitConfig(image_size=64, patch_size=8, width=96, depth=3, heads=3, mlp_ratio=2.0, stem="patch"),
}
