"""Maps of importance and bits: the picture of them, and their places in the report."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from semcom_app.report import maps_png, write_report
from semcom_app.report.maps import BITS_SCALE, importance_scale
from semcom_app.results import ImageResult


def result_with(artifacts: dict[str, Any]) -> ImageResult:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    row = {"image": "a.png", "codec": "iaq-ia", "delivered": True, "intact": True, "psnr_db": 20.0, "ssim": 0.5}
    return ImageResult(row, pixels, pixels, artifacts)


def maps(rows: int, columns: int) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    return {"importance": rng.random((rows, columns)), "patch_bits": rng.integers(0, 9, (rows, columns), np.uint8)}


@pytest.mark.parametrize("shape", [(1, 1), (4, 6), (1, 30), (40, 40)])
def test_pictures_of_maps(shape: tuple[int, int]) -> None:
    png = maps_png(result_with(maps(*shape)))
    assert png is not None
    assert png == maps_png(result_with(maps(*shape)))
    picture = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    assert picture.shape[1] > 2 * picture.shape[0]
    # The brightest colour of the bits is there exactly when a patch has them.
    eight = np.asarray(BITS_SCALE.picture(np.full((1, 1), 8.0)).convert("RGB")).astype(int)[0, 0]
    area = np.count_nonzero(np.all(np.abs(picture[:, : int(0.94 * picture.shape[1])] - eight) <= 1, axis=2))
    assert (area > 100) == bool((maps(*shape)["patch_bits"] == 8).any())


def test_nothing_without_maps() -> None:
    assert maps_png(result_with({})) is None
    assert maps_png(result_with({"importance": np.ones((2, 2))})) is None


def test_scale_of_importance_that_is_zero() -> None:
    assert importance_scale(np.zeros((2, 2))).high == 0.0
    assert maps_png(result_with({**maps(2, 2), "importance": np.zeros((2, 2))})) is not None


def test_report_shows_maps_and_what_the_budget_went_into(tmp_path: Path) -> None:
    result = result_with(maps(4, 6))
    result.row.update(
        patches=24,
        patch_bits_mean=2.5,
        patches_without_bits=3,
        rho_payload=0.3125,
        rho_total=0.32,
        patch_header_bits=99,
    )
    write_report(tmp_path / "report.html", {"images": [result.row], "mean": {}}, [result])
    report = (tmp_path / "report.html").read_text()
    for text in ("Importance of the patches", "Bits per sample", "4 × 6", "3 of 24 without any", "0.3125"):
        assert text.replace("4 × 6", "6 × 4") in report
    assert "patch header bits" not in report  # every figure has its place
