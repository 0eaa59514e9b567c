"""Uniform importance, maps of the user, and resampling of grids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from semcom_app.images import ImageError
from semcom_app.importance import make_importance
from semcom_app.importance.base import normalised, patch_grid, resample_grid
from semcom_phy.errors import ConfigurationError


def test_uniform() -> None:
    maps = make_importance("uniform")(np.zeros((3, 8, 16, 3), np.uint8), 4)
    assert maps.shape == (3, 8)
    assert (maps == 1 / 8).all()


def test_a_map_of_the_user_is_stretched_over_the_picture(tmp_path: Path) -> None:
    brightness = np.zeros((10, 20), np.uint8)
    brightness[:, 15:] = 240  # the right quarter
    brightness[:5, :5] = 80  # the upper left corner
    Image.fromarray(brightness).save(tmp_path / "map.png")
    maps = make_importance("saliency", {"path": tmp_path / "map.png"})(np.zeros((2, 32, 64, 3), np.uint8), 16)
    np.testing.assert_allclose(maps[0].reshape(2, 4), np.array([[80, 0, 0, 240], [0, 0, 0, 240]]) / 560)
    np.testing.assert_array_equal(maps[0], maps[1])


def test_a_map_without_anything_in_it(tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "black.png")
    with pytest.raises(ConfigurationError, match="black all over"):
        make_importance("saliency", {"path": tmp_path / "black.png"})(np.zeros((1, 8, 8, 3), np.uint8), 4)
    with pytest.raises(ImageError, match="no file"):
        make_importance("saliency", {"path": tmp_path / "none.png"})(np.zeros((1, 8, 8, 3), np.uint8), 4)


@pytest.mark.parametrize(("shape", "patch"), [((1, 8, 9, 3), 4), ((1, 8, 8, 3), 0), ((8, 8, 3), 4), ((1, 8, 8, 1), 4)])
def test_grids_that_do_not_fit(shape: tuple[int, ...], patch: int) -> None:
    with pytest.raises(ConfigurationError):
        patch_grid(np.zeros(shape, np.uint8), patch)


def test_resampling_by_hand() -> None:
    grid = np.array([[[1.0, 2.0, 3.0]]])
    np.testing.assert_allclose(resample_grid(grid, (1, 2)), [[[4 / 3, 8 / 3]]])
    np.testing.assert_allclose(resample_grid(grid, (2, 3)), [[[1, 2, 3], [1, 2, 3]]])


@given(st.tuples(*[st.integers(1, 9)] * 4))
def test_resampling_keeps_the_mean_and_constants(sizes: tuple[int, int, int, int]) -> None:
    old, new = sizes[:2], sizes[2:]
    maps = np.random.default_rng(1).random((2, *old))
    found = resample_grid(maps, new)
    assert found.shape == (2, *new)
    np.testing.assert_allclose(found.mean(axis=(1, 2)), maps.mean(axis=(1, 2)), atol=1e-12)
    np.testing.assert_allclose(resample_grid(np.ones_like(maps), new), 1.0, atol=1e-12)
    assert found.min() >= maps.min() - 1e-12
    assert found.max() <= maps.max() + 1e-12


def test_normalised_maps() -> None:
    maps = normalised(np.array([[1.0, 3.0], [0.0, 0.0]]))
    np.testing.assert_allclose(maps, [[0.25, 0.75], [0.5, 0.5]])
