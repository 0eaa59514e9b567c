"""Picture metrics against values worked out by other means."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import correlate1d

from semcom_app.metrics import METRICS, measure
from semcom_app.metrics.psnr import psnr_db
from semcom_app.metrics.ssim import ssim


def picture(seed: int, shape: tuple[int, int] = (40, 48)) -> np.ndarray:
    smooth = np.random.default_rng(seed).normal(128, 60, (*shape, 3))
    return np.clip(correlate1d(smooth, np.ones(5) / 5, axis=0), 0, 255).astype(np.uint8)


def test_psnr_of_a_constant_error() -> None:
    sent = np.full((8, 8, 3), 100, np.uint8)
    # An error of 10 everywhere: 20·log10(255/10) dB.
    assert psnr_db(sent, sent + 10) == pytest.approx(28.1308, abs=1e-4)
    assert psnr_db(sent + 10, sent) == psnr_db(sent, sent + 10)
    assert psnr_db(np.zeros_like(sent), np.full_like(sent, 255)) == pytest.approx(0.0)


def test_equal_pictures() -> None:
    sent = picture(1)
    assert psnr_db(sent, sent) is None
    assert ssim(sent, sent) == pytest.approx(1.0)


def test_ssim_against_its_definition() -> None:
    """Wang et al.: 11×11 Gaussian window, σ = 1.5, K1 = 0.01, K2 = 0.03, edges mirrored; in float64 with scipy."""
    x, y = (
        picture(1),
        np.clip(picture(1) + np.random.default_rng(2).normal(0, 20, (40, 48, 3)), 0, 255).astype(np.uint8),
    )
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets**2) / (2 * 1.5**2))
    window /= window.sum()

    def mean(values: np.ndarray) -> np.ndarray:
        return correlate1d(correlate1d(values, window, axis=0, mode="mirror"), window, axis=1, mode="mirror")

    a, b = x / 255.0, y / 255.0
    c1, c2 = 0.01**2, 0.03**2
    ma, mb = mean(a), mean(b)
    va, vb, cov = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
    expected = ((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))).mean()
    assert ssim(x, y) == pytest.approx(expected, abs=1e-5)


def test_pictures_smaller_than_the_window_have_no_ssim() -> None:
    assert ssim(picture(1, (10, 30)), picture(2, (10, 30))) is None
    assert ssim(picture(1, (11, 11)), picture(2, (11, 11))) is not None


def test_a_lost_picture_counts_with_the_worst_value() -> None:
    assert measure(picture(1), None) == {name: METRICS[name].worst for name in METRICS} == {"psnr_db": 0.0, "ssim": 0.0}
