"""Shapes of the embedded vision transformers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from semcom_app.models.vit import SHAPES, VitConfig, build_vit
from semcom_phy.errors import ConfigurationError


def parameters(model: Any) -> int:
    return sum(p.numel() for p in model.parameters())


def test_embedded_shapes_keep_their_bounds() -> None:
    """At most 1 M parameters at the device and 4 M at the server; in half precision 10 MB in all."""
    counts = {name: parameters(build_vit(shape)) for name, shape in SHAPES.items()}
    assert counts["device"] <= 1_000_000
    assert counts["server"] <= 4_000_000
    assert 2 * sum(counts.values()) <= 10_000_000
    for name, shape in SHAPES.items():
        assert build_vit(shape).patch_embed.num_patches == 64, name


def test_parameters_of_a_plain_vit_by_hand() -> None:
    shape = VitConfig(image_size=8, patch_size=4, width=12, depth=2, heads=3, mlp_ratio=2.0, classes=5)
    d, tokens = 12, 4 + 1
    embedding = 48 * d + d + d + tokens * d
    block = 2 * 2 * d + (3 * d * d + 3 * d) + (d * d + d) + (2 * d * d + 2 * d) + (2 * d * d + d)
    assert parameters(build_vit(shape)) == embedding + 2 * block + 2 * d + 5 * d + 5


def test_a_stem_without_plain_convolutions_sees_little_beyond_the_patch() -> None:
    """3×3 with strides 1, 2 and 2 reach over 9 pixels: 4 before the patch, its own 4, and 1 after it."""
    torch.manual_seed(0)
    shape = VitConfig(image_size=32, patch_size=4, width=16, depth=1, heads=2, stem="convolution", stem_repeats=0)
    model = build_vit(shape).eval()
    x = torch.randn(1, 3, 32, 32, requires_grad=True)
    model.patch_embed(x)[0, 3 * 8 + 4].sum().backward()
    assert x.grad is not None
    rows, columns = (x.grad.abs().sum(dim=(0, 1, other)).nonzero().flatten() for other in (3, 2))
    assert (int(rows.min()), int(rows.max())) == (12 - 4, 12 + 4)
    assert (int(columns.min()), int(columns.max())) == (16 - 4, 16 + 4)


@pytest.mark.parametrize("stem", ["patch", "convolution"])
def test_tokens_stand_for_their_patches(stem: str) -> None:
    """A change in one patch changes its own token; with the patch projection no other."""
    torch.manual_seed(0)
    model = build_vit(VitConfig(image_size=32, patch_size=4, width=16, depth=1, heads=2, stem=stem)).eval()
    x = torch.randn(1, 3, 32, 32)
    changed = x.clone()
    changed[:, :, 4:8, 8:12] += 1.0  # row 1, column 2 of the grid
    with torch.inference_mode():
        difference = (model.patch_embed(changed) - model.patch_embed(x)).abs().sum(dim=2)[0].reshape(8, 8)
    assert difference[1, 2] > 0.0
    if stem == "patch":
        assert int((difference > 1e-6).sum()) == 1
    else:
        assert difference[:, 6:].max() == 0.0  # 12 pixels away: out of reach of the convolutions


def test_weights_follow_the_seed() -> None:
    shape = VitConfig(width=16, depth=1, heads=2, stem="convolution")
    models = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        models.append(build_vit(shape))
    assert torch.equal(models[0].head.weight, models[1].head.weight)
    assert not torch.equal(models[0].patch_embed.proj.weight, models[2].patch_embed.proj.weight)


@pytest.mark.parametrize("stem", ["patch", "convolution"])
def test_dynamic_models_take_other_sizes(stem: str) -> None:
    model = build_vit(VitConfig(width=16, depth=1, heads=2, stem=stem), dynamic=True).eval()
    with torch.inference_mode():
        assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
        assert model(torch.zeros(2, 3, 16, 40)).shape == (2, 10)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_size": 30}, "do not tile"),
        ({"width": 100, "heads": 3}, "no multiple"),
        ({"depth": 0}, "depth"),
        ({"classes": 1 << 20}, "classes"),
        ({"width": True}, "width"),
        ({"mlp_ratio": math.nan}, "mlp_ratio"),
        ({"stem": "pyramid"}, "Known: patch, convolution"),
        ({"stem": "convolution", "image_size": 30, "patch_size": 6}, "2, 4, 8"),
        ({"stem": "convolution", "stem_widths": (8, 8)}, "3 entries"),
        ({"stem": "convolution", "stem_widths": (8, 8, 0)}, "stem_widths"),
        ({"stem": "convolution", "stem_repeats": 9}, "stem_repeats"),
    ],
)
def test_impossible_shapes_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        VitConfig(**fields)
