"""What the attention of `vit-device` is worth, for its card: python docs/make_card_tables.py --data FOLDER

FOLDER holds cifar10-jpeg.tar.xz (train/CLASS/FILE, test/CLASS/FILE). Of 1250 test pictures, drawn with seed 0, only
some of the 64 patches are shown to `vit-device`, the rest is grey: those with the most attention in the whole picture,
random ones, those with the least. The table stands in the card between ``<!-- attention -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from semcom_app.experiments.iaq_tasks import make_task
from semcom_app.images import write_bytes
from semcom_app.markdown import markdown_table
from semcom_app.models.classifiers import accuracy, load_classifier
from semcom_app.patches import assemble_patches, extract_patches

CARD: Final = Path(__file__).parents[1] / "semcom_app" / "models" / "weights" / "vit-device" / "README.md"
_TABLE: Final = re.compile(r"<!-- attention -->\n.*?<!-- end -->", re.DOTALL)
NAME, PICTURES, SHOWN, SEED, GREY = "vit-device", 1250, (48, 32, 16), 0, 128


def table(data: Path) -> str:
    """The table in Markdown."""
    device = load_classifier(NAME, "cpu")
    task = make_task("cifar10", data, PICTURES, SEED)
    count, height, width, _ = task.pictures.shape
    patches = extract_patches(task.pictures, task.side)
    orders = (task.importance, np.random.default_rng(SEED).random(task.importance.shape), -task.importance)

    def shown(importance: NDArray[np.float64], kept: int) -> float:
        """Accuracy with the `kept` most important patches."""
        hidden = np.argsort(-importance, axis=1, kind="stable")[:, kept:]
        masked = patches.copy()
        masked[np.arange(count)[:, None], hidden] = GREY
        return accuracy(device, assemble_patches(masked, height, width, task.side), task.labels)

    rows = [[str(kept), *(f"{100 * shown(order, kept):.1f} %" for order in orders)] for kept in SHOWN]
    return markdown_table(["patches shown", "most attention", "random", "least attention"], rows)


def main() -> None:
    """Measure and write the card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    made = table(parser.parse_args().data)
    print(made)
    card, places = _TABLE.subn(lambda _: f"<!-- attention -->\n{made}\n<!-- end -->", CARD.read_text())
    if places != 1:
        raise SystemExit(f"{CARD} has {places} places for the table")
    write_bytes(CARD, card.encode())


if __name__ == "__main__":
    main()
