"""A small classifier, saved as training saves it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from semcom_app.models.classifiers import InputTransform, own_vit_args, save_classifier
from semcom_app.models.vit import VitConfig, build_vit

SHAPE = VitConfig(image_size=16, patch_size=4, width=24, depth=2, heads=3, classes=4)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Folder of a small vision transformer for 16×16 pixels and four classes."""
    torch.manual_seed(3)
    transform = InputTransform(16, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
    save_classifier(tmp_path / "vit", build_vit(SHAPE), "semcom_vit", own_vit_args(SHAPE), transform, tuple("abcd"))
    return tmp_path / "vit"
