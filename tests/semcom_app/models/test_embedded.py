"""The weights in the package are those that their cards speak of, and still compute what they did."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from semcom_app.images import load_image
from semcom_app.models.classifiers import load_classifier

FOLDERS = sorted(
    path.parent for path in (Path(__file__).parents[3] / "semcom_app/models/weights").glob("*/config.json")
)
LOGITS = json.loads(Path(__file__).with_name("embedded_logits.json").read_text())


def test_all_embedded_models_are_looked_at() -> None:
    assert [folder.name for folder in FOLDERS] == ["compact", "vit-device", "vit-server", "vit-views"]
    assert sorted(LOGITS) == [folder.name for folder in FOLDERS if folder.name.startswith("vit-")]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_weights_are_those_that_were_measured(folder: Path) -> None:
    (weights,) = folder.glob("*.safetensors")
    training = json.loads((folder / "training.json").read_text())
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == training["weights_sha256"]
    assert "training.json" in (folder / "README.md").read_text()


@pytest.mark.parametrize("name", sorted(LOGITS))
def test_logits_on_the_shipped_photographs(name: str, photos: Path) -> None:
    """make_embedded_logits.py has written them. Other processors round differently, other JPEG decoders, too."""
    classifier = load_classifier(name, "cpu")
    pictures = np.stack([classifier.transform.fit(load_image(photos / file).pixels) for file in LOGITS[name]])
    wanted = np.array(list(LOGITS[name].values()))
    assert wanted.shape == (3, len(classifier.classes))
    assert wanted.std() > 0.5  # far above the tolerance
    np.testing.assert_allclose(classifier.logits(pictures), wanted, atol=0.02)
