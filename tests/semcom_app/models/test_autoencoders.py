"""Autoencoders of every kind behind one face, from disk, with every way of being missing or damaged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from semcom_app.models.autoencoders import load_autoencoder
from semcom_app.models.compact import CompactAutoencoder
from semcom_app.models.devices import select_device
from semcom_app.models.weights import WEIGHTS, WeightsError, package_folder
from semcom_phy.errors import ConfigurationError

WEIGHTS_FILE = "diffusion_pytorch_model.safetensors"


@pytest.mark.parametrize("kind", ["compact", "kl", "tiny"])
def test_all_kinds_have_one_face(kind: str, kl_folder: Path, tiny_folder: Path, astronaut: np.ndarray) -> None:
    spec = {"compact": "compact", "kl": str(kl_folder), "tiny": str(tiny_folder)}[kind]
    autoencoder = load_autoencoder(spec, "cpu")
    assert (autoencoder.channels, autoencoder.factor) == (4, 8)
    z = autoencoder.encode(astronaut)
    assert z.shape == (4, 16, 16)
    assert z.dtype == np.float32
    assert np.array_equal(z, autoencoder.encode(astronaut))
    pixels = autoencoder.decode(z)
    assert pixels.shape == astronaut.shape
    assert pixels.dtype == np.uint8


def test_kl_takes_the_mode_or_a_seeded_sample(kl_folder: Path, astronaut: np.ndarray) -> None:
    autoencoder = load_autoencoder(str(kl_folder), "cpu")
    with torch.inference_mode():
        x = torch.from_numpy(astronaut).permute(2, 0, 1)[None].float() / 127.5 - 1
        posterior = autoencoder.model.encode(x).latent_dist
    assert np.array_equal(autoencoder.encode(astronaut), posterior.mean[0].numpy())
    first, second, other = (autoencoder.encode(astronaut, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)
    deviation = (first - posterior.mean[0].numpy()) / posterior.std[0].numpy()
    # 1024 standard normal values: their standard deviation is 1 ± 0.022.
    assert deviation.std() == pytest.approx(1.0, abs=0.09)


def test_fingerprints_tell_weights_apart(kl_folder: Path, tiny_folder: Path) -> None:
    prints = {load_autoencoder(s, "cpu").fingerprint for s in ("compact", str(kl_folder), str(tiny_folder))}
    assert len(prints) == 3


def test_compact_saves_and_loads(tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = CompactAutoencoder(fine_width=8, coarse_width=8)
    model.save_pretrained(tmp_path, safe_serialization=True)
    loaded = load_autoencoder(str(tmp_path), "cpu")
    x = torch.rand(1, 3, 40, 24) * 2 - 1
    with torch.inference_mode():
        assert torch.equal(model(x), loaded.model(x))


def test_compact_latents_are_bounded() -> None:
    torch.manual_seed(1)
    model = CompactAutoencoder(fine_width=8, coarse_width=8, latent_bound=2.0)
    with torch.inference_mode():
        z = model.encode(torch.randn(1, 3, 16, 16) * 1e4).latents
    assert z.shape == (1, 4, 2, 2)
    assert z.abs().max() <= 2.0


def test_embedded_weights_are_small_fp16_and_free_of_outliers(astronaut: np.ndarray) -> None:
    folder = package_folder(WEIGHTS["compact"])
    assert (folder / WEIGHTS_FILE).stat().st_size <= 8_000_000
    header_size = int.from_bytes((folder / WEIGHTS_FILE).read_bytes()[:8], "little")
    header = json.loads((folder / WEIGHTS_FILE).read_bytes()[8 : 8 + header_size])
    assert {entry["dtype"] for name, entry in header.items() if name != "__metadata__"} == {"F16"}
    z = load_autoencoder("compact", "cpu").encode(astronaut)
    # A Gaussian latent of this size has its extrema at about ±3.5 σ; an outlier would waste levels.
    assert np.abs(z).max() < 4.5 * z.std()


def _copy(folder: Path, target: Path) -> Path:
    shutil.copytree(folder, target)
    return target


@pytest.mark.parametrize("damage", ["cut", "junk", "empty", "swapped"])
def test_damaged_weights(damage: str, tiny_folder: Path, kl_folder: Path, tmp_path: Path) -> None:
    folder = _copy(tiny_folder, tmp_path / "w")
    file = folder / WEIGHTS_FILE
    raw = file.read_bytes()
    file.write_bytes(
        {
            "cut": raw[: len(raw) // 2],
            "junk": bytes(range(256)) * 20,
            "empty": b"",
            "swapped": (kl_folder / "vae" / WEIGHTS_FILE).read_bytes(),
        }[damage]
    )
    with pytest.raises(WeightsError, match="damaged"):
        load_autoencoder(str(folder), "cpu")


def test_weights_under_the_old_names_of_attention_load(kl_folder: Path, tmp_path: Path) -> None:
    """The published Stable Diffusion v1.5 file names its attention weights as diffusers once did."""
    from safetensors.torch import load_file, save_file

    folder = _copy(kl_folder, tmp_path / "w") / "vae"
    state = load_file(folder / WEIGHTS_FILE)
    old_names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

    def old(key: str) -> str:
        for new, name in old_names.items():
            key = key.replace(f"attentions.0.{new}.", f"attentions.0.{name}.")
        return key

    renamed = {old(key): value for key, value in state.items()}
    assert renamed.keys() != state.keys()
    save_file(renamed, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    loaded = load_autoencoder(str(folder), "cpu").model.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in state.items())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "no JSON"),
        ("[1]", "no JSON object"),
        ('{"_class_name": "UNet"}', "UNet"),
        ("{}", "class"),
        ("[" * 100_000, "no JSON"),
        ('{"layers_per_block": 100000}', "layers_per_block"),
        ('{"block_out_channels": [1e9]}', "block_out_channels"),
        ('{"x": NaN}', "beyond"),
    ],
)
def test_foreign_config(content: str, message: str, tiny_folder: Path, tmp_path: Path) -> None:
    folder = _copy(tiny_folder, tmp_path / "w")
    (folder / "config.json").write_text(content)
    with pytest.raises(WeightsError, match=message):
        load_autoencoder(str(folder), "cpu")


@pytest.mark.parametrize("missing", ["config.json", WEIGHTS_FILE])
def test_missing_files_are_named(missing: str, tiny_folder: Path, tmp_path: Path) -> None:
    folder = _copy(tiny_folder, tmp_path / "w")
    (folder / missing).unlink()
    with pytest.raises(WeightsError, match=missing):
        load_autoencoder(str(folder), "cpu")


def test_missing_hub_weights_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match="semcom weights pull sd-vae"):
        load_autoencoder("sd-vae", "cpu")


def test_hub_weights_are_found_in_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kl_folder: Path) -> None:
    """Laid out as the hub's client does, with the autoencoder in a pipeline's subfolder."""
    revision = "0" * 40
    repository = tmp_path / "models--stable-diffusion-v1-5--stable-diffusion-v1-5"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(revision)
    shutil.copytree(kl_folder, repository / "snapshots" / revision)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for spec in ("sd-vae", "stable-diffusion-v1-5/stable-diffusion-v1-5"):
        assert load_autoencoder(spec, "cpu").fingerprint == load_autoencoder(str(kl_folder), "cpu").fingerprint


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cpu:zero", ""])
def test_unknown_devices(name: str) -> None:
    with pytest.raises(ConfigurationError):
        select_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="shows the message of a machine without CUDA")
def test_no_cuda_here() -> None:
    with pytest.raises(ConfigurationError, match="--device"):
        select_device("cuda")
    assert select_device("auto").type == "cpu"
