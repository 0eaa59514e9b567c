"""Training of the embedded autoencoder: data, determinism, resume, and that it learns."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from semcom_app.models.autoencoders import load_autoencoder
from semcom_app.training.images import centre_crop, is_held_out, list_images, load_training_images, random_crops
from semcom_app.training.vae import TrainingConfig, box_ssim, evaluate, learning_rate, train
from semcom_phy.errors import ConfigurationError

SMALL = {"fine_width": 8, "coarse_width": 16, "encoder_coarse_blocks": 1, "decoder_coarse_blocks": 1}
CONFIG = TrainingConfig(steps=6, batch=2, crop=32, final_crop=32, warmup=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Path:
    """Eleven crops of a photograph, numbered, two of them (0 and 10) held out."""
    target = tmp_path_factory.mktemp("images")
    with Image.open(photos / "rocket.jpg") as rocket:
        for i in range(11):
            rocket.crop((40 * i, 100, 40 * i + 120, 220)).save(target / f"{i:04}_rocket.png")
    return target


def weights(out: Path) -> bytes:
    return (out / "diffusion_pytorch_model.safetensors").read_bytes()


def test_held_out_files_are_those_with_divisible_numbers() -> None:
    names = ["0000_tench.jpg", "0007_cock.jpg", "0010_bird.jpg", "bridge.jpg", "100.png"]
    assert [is_held_out(Path(n), 10) for n in names] == [True, False, True, False, True]
    assert not any(is_held_out(Path(n), 0) for n in names)


def test_images_are_listed_and_scaled(tmp_path: Path) -> None:
    Image.new("RGB", (1000, 700)).save(tmp_path / "large.png")
    Image.new("L", (60, 64)).save(tmp_path / "grey.jpg")
    Image.new("RGB", (20, 300)).save(tmp_path / "thin.png")
    (tmp_path / "notes.txt").write_text("no image")
    paths = list_images([tmp_path])
    assert [p.name for p in paths] == ["grey.jpg", "large.png", "thin.png"]
    images = load_training_images(paths, smallest_side=48)
    assert [tuple(i.shape) for i in images] == [(3, 64, 60), (3, 288, 411), (3, 432, 617), (3, 640, 914)]
    with pytest.raises(ConfigurationError, match="folder"):
        list_images([tmp_path / "missing"])


def test_crops_are_in_range_and_seeded() -> None:
    images = [torch.randint(0, 256, (3, 40, 50), dtype=torch.uint8)]
    a, b = (random_crops(images, 3, 32, np.random.default_rng(1)) for _ in range(2))
    assert a.shape == (3, 3, 32, 32)
    assert a.min() >= -1
    assert a.max() <= 1
    assert torch.equal(a, b)


def test_centre_crop_scales_small_pictures_up(tmp_path: Path) -> None:
    Image.new("RGB", (100, 300), (10, 20, 30)).save(tmp_path / "a.png")
    crop = centre_crop(tmp_path / "a.png", 256)
    assert crop.shape == (256, 256, 3)
    assert crop[128, 128].tolist() == [10, 20, 30]


def test_learning_rate_warms_up_and_ends_at_zero() -> None:
    config = TrainingConfig(steps=1000, warmup=100, learning_rate=1.0)
    rates = [learning_rate(step, config) for step in range(1001)]
    assert rates[0] == pytest.approx(0.01)
    assert max(rates) == pytest.approx(1.0)
    assert rates[1000] == pytest.approx(0.0, abs=1e-9)
    assert all(a >= b for a, b in itertools.pairwise(rates[100:]))


def test_box_ssim_is_one_for_equal_pictures_and_falls_with_noise() -> None:
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    assert box_ssim(x, x).item() == pytest.approx(1.0, abs=1e-4)
    noisy = [box_ssim(x, x + s * torch.randn_like(x)).item() for s in (0.1, 0.5)]
    assert 1.0 > noisy[0] > noisy[1] > -1.0


def test_training_is_deterministic_and_resumes(folder: Path, tmp_path: Path) -> None:
    """Stopped after half and resumed, the weights are those of an uninterrupted run."""
    lines: list[str] = []
    whole = train([folder], tmp_path / "whole", CONFIG, architecture=SMALL, validate_every=3)
    again = train([folder], tmp_path / "again", CONFIG, architecture=SMALL, validate_every=3)
    assert weights(tmp_path / "whole") == weights(tmp_path / "again")
    assert whole["held_out"] == again["held_out"]

    class StoppedError(Exception):
        pass

    def stop(step: int, line: str) -> None:
        if step == 3:
            raise StoppedError

    with pytest.raises(StoppedError):
        train([folder], tmp_path / "cut", CONFIG, architecture=SMALL, report=stop, validate_every=3)
    assert not (tmp_path / "cut" / "config.json").exists()
    train(
        [folder],
        tmp_path / "cut",
        CONFIG,
        architecture=SMALL,
        report=lambda step, line: lines.append(line),
        validate_every=3,
    )
    assert lines[0] == "resumed at step 3"
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")


def test_what_training_leaves_behind_loads(folder: Path, tmp_path: Path) -> None:
    train([folder], tmp_path, CONFIG, architecture=SMALL)
    figures = json.loads((tmp_path / "training.json").read_text())
    assert figures["training_images"] == 9
    assert figures["held_out_images"] == 2
    assert figures["config"]["seed"] == CONFIG.seed
    assert set(figures["held_out"]) == {"unquantized", "8bit", "4bit", "2bit"}
    assert load_autoencoder(str(tmp_path), "cpu").channels == 4


def test_a_run_with_other_settings_is_not_resumed(folder: Path, tmp_path: Path) -> None:
    """Not even a finished one: it would be written down with settings that it did not have."""
    train([folder], tmp_path / "out", CONFIG, architecture=SMALL)
    first = (tmp_path / "out" / "training.json").read_text()
    for config, options, message in (
        (replace(CONFIG, seed=2, learning_rate=0.5), {}, r"learning-rate 0\.0015, not 0\.5, seed 1, not 2: "),
        (replace(CONFIG, steps=3), {}, "steps 6, not 3: "),
        (CONFIG, {"holdout_every": 5}, "another data set, holdout-every 10, not 5: "),
        (CONFIG, {"initial": tmp_path / "out"}, "other weights to start from"),
    ):
        with pytest.raises(ConfigurationError, match=f"{message}.*another --out, or remove") as raised:
            train([folder], tmp_path / "out", config, architecture=SMALL, **options)
        assert "\n" not in str(raised.value)
    other = tmp_path / "other"
    other.mkdir()
    for path in folder.iterdir():
        Image.open(path).rotate(180).save(other / path.name)
    with pytest.raises(ConfigurationError, match="another data set: "):
        train([other], tmp_path / "out", CONFIG, architecture=SMALL)
    assert (tmp_path / "out" / "training.json").read_text() == first


def test_a_damaged_checkpoint_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"junk")
    with pytest.raises(ConfigurationError, match=r"checkpoint\.pt"):
        train([folder], tmp_path, CONFIG, architecture=SMALL)


def test_no_images_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no training image"):
        train([tmp_path], tmp_path / "out", CONFIG)


@pytest.mark.slow
def test_it_learns(folder: Path, tmp_path: Path) -> None:
    """300 steps on one scene must beat the flat grey picture by 3 dB (measured: 4.85)."""
    config = TrainingConfig(steps=300, batch=4, crop=48, final_crop=48, warmup=30)
    result = train([folder], tmp_path, config, architecture=SMALL)
    held_out = [np.asarray(Image.open(p)) for p in sorted(folder.glob("*0_rocket.png"))]
    flat = np.mean([10 * np.log10(255**2 / np.var(image.astype(float))) for image in held_out])
    assert result["held_out"]["8bit"]["psnr_db"] > flat + 3  # type: ignore[index]


def test_embedded_weights_meet_their_card(photos: Path) -> None:
    """On the shipped photographs, error free at 8 bits; the held-out set itself is not shipped."""
    autoencoder = load_autoencoder("compact", "cpu")
    figures = evaluate(autoencoder.model, [centre_crop(photos / n, 256) for n in ("astronaut.png", "coffee.png")])
    assert figures["psnr_db"] > 24.0
    assert figures["ssim"] > 0.70


def test_training_goes_on_from_saved_weights(folder: Path, tmp_path: Path, tiny_folder: Path) -> None:
    """With a learning rate of zero the weights that come out are those that went in."""
    first = train([folder], tmp_path / "first", CONFIG, architecture=SMALL)
    still = replace(CONFIG, learning_rate=0.0)
    second = train([folder], tmp_path / "second", still, initial=tmp_path / "first")
    for name, figures in first["held_out"].items():
        assert second["held_out"][name] == pytest.approx(figures, rel=1e-3)
    assert second["parameters"] == first["parameters"]
    a, b = (load_autoencoder(str(tmp_path / n), "cpu").model.state_dict() for n in ("first", "second"))
    assert all(torch.equal(a[key], b[key]) for key in a)
    with pytest.raises(ConfigurationError, match="AutoencoderTiny"):
        train([folder], tmp_path / "third", CONFIG, initial=tiny_folder)
