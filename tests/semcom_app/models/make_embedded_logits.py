"""What the embedded classifiers answer on the shipped photographs.

    python tests/semcom_app/models/make_embedded_logits.py

Writes embedded_logits.json, with which test_embedded.py compares. To be run when the embedded weights are replaced.
"""

from __future__ import annotations

import json
from pathlib import Path

from semcom_app.images import find_images, load_image
from semcom_app.models.classifiers import load_classifier
from semcom_app.models.weights import WEIGHTS

LOGITS = Path(__file__).with_name("embedded_logits.json")
PHOTOS = Path(__file__).parents[3] / "semcom_app" / "photos"


def main() -> None:
    """Write the logits of all embedded classifiers."""
    result: dict[str, dict[str, list[float]]] = {}
    for name in WEIGHTS.names():
        if name.startswith("vit-"):
            classifier = load_classifier(name, "cpu")
            result[name] = {
                path.name: [
                    round(float(score), 4)
                    for score in classifier.logits(classifier.transform.fit(load_image(path).pixels)[None].copy())[0]
                ]
                for path in find_images([PHOTOS])
            }
    LOGITS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
