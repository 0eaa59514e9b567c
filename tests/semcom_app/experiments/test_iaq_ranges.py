"""What ranges of the patches' own bring: where it is known beforehand."""

from __future__ import annotations

import numpy as np
import pytest

from semcom_app.experiments.iaq_ranges import PatchedPicture, range_gains, summarized_gains

SIDE = 16
IMPORTANCE = np.array([3.0, 1.0, 2.0, 1.5])


def narrow(*offsets: int) -> np.ndarray:
    """32×32 pixels, each colour within an eighth of the scale, the same in all patches, from its offset on."""
    pixels = np.random.default_rng(0).integers(0, 32, (32, 32, 3))
    pixels[::SIDE, ::SIDE], pixels[1::SIDE, ::SIDE] = 0, 31
    return (pixels + offsets).astype(np.uint8)


def test_narrow_patches_gain_what_the_ranges_say() -> None:
    """An eighth of the scale: 18 dB, however bits are shared, and no more by a range for each colour."""
    gains = range_gains(PatchedPicture(narrow(100, 100, 100), IMPORTANCE, SIDE), 2)
    assert gains["same"] == pytest.approx(20 * np.log10(255 / 31), abs=0.7)
    assert gains["allocated"] == pytest.approx(gains["same"], abs=0.2)
    assert gains["planes"] == pytest.approx(gains["same"], abs=0.5)
    assert gains["counted"] is not None
    assert gains["same"] - 1.5 < gains["counted"] < gains["same"] + 0.5


def test_full_ranges_gain_nothing_unless_each_colour_has_its_own() -> None:
    """Colours far apart: all three together take the whole scale, each for itself an eighth of it."""
    gains = range_gains(PatchedPicture(narrow(0, 112, 224), IMPORTANCE, SIDE), 2)
    assert gains["same"] == gains["allocated"] == 0.0
    assert gains["planes"] == pytest.approx(20 * np.log10(255 / 31), abs=1.5)
    assert gains["counted_planes"] is not None
    assert gains["counted_planes"] > 15.0


def test_what_cannot_be_paid_is_none() -> None:
    """Of patches of 2×2 with a bit for each sample the ranges cost more than the picture."""
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    gains = range_gains(PatchedPicture(pixels, IMPORTANCE, 2), 1)
    assert gains["counted"] is None
    assert gains["counted_planes"] is None
    assert summarized_gains([gains, gains])["counted"] is None


def test_means_and_quartiles() -> None:
    found = summarized_gains([{"same": float(k), "counted": None if k == 3 else 1.0} for k in range(5)])
    assert found == {"same": {"mean_db": 2.0, "quartiles_db": [1.0, 2.0, 3.0]}, "counted": None}
