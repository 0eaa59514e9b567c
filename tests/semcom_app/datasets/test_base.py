"""Fitting pictures, dividing views, sets of views."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcom_app.datasets.base import Split, fit_picture, natural_order, split_views
from semcom_app.datasets.cifar_binary import ArrayPictures
from semcom_phy.errors import ConfigurationError


def split_of(objects: list[int]) -> Split:
    count = len(objects)
    pictures = ArrayPictures(
        np.arange(count, dtype=np.uint8)[:, None, None, None].repeat(4, 1).repeat(4, 2).repeat(3, 3)
    )
    return Split(pictures, np.zeros(count, np.int64), np.array(objects, np.int64), [str(i) for i in range(count)])


def test_a_picture_of_the_right_size_is_left_alone() -> None:
    pixels = np.random.default_rng(1).integers(256, size=(32, 32, 3), dtype=np.uint8)
    assert fit_picture(pixels, 32) is pixels


def test_fitting_keeps_the_centre() -> None:
    pixels = np.zeros((100, 300, 3), np.uint8)
    pixels[:, 100:200] = 200
    fitted = fit_picture(pixels, 50)
    assert fitted.shape == (50, 50, 3)
    assert fitted[25, 25].tolist() == [200, 200, 200]
    assert (fitted[:, 5:45] == 200).all()
    # Of the share 0.5 of the short side, twice as many pixels per length.
    assert (fit_picture(pixels, 50, crop=0.5) == 200).all()


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.floats(0.05, 0.95))
def test_division_is_a_partition_with_the_asked_share(objects: list[int], share: float) -> None:
    paths = [Path(f"{i}.png") for i in range(len(objects))]
    train, test = split_views(paths, [0] * len(objects), objects, share)
    assert sorted([*train.names, *test.names]) == sorted(p.name for p in paths)
    for number in set(objects):
        wanted = share * objects.count(number)
        assert abs(int((train.objects == number).sum()) - wanted) <= 1.0


def test_division_spreads_the_views_evenly() -> None:
    paths = [Path(f"view{i}.png") for i in range(12)]
    train, _ = split_views(paths, [0] * 12, [0] * 12, None)
    assert train.names == ["view0.png", "view4.png", "view8.png"]
    for share in (0.0, 1.0, float("nan")):
        with pytest.raises(ConfigurationError, match="share"):
            split_views(paths, [0] * 12, [0] * 12, share)


def test_natural_order() -> None:
    names = ["a10", "a9", "b1", "a", "a1x", "10", "9"]
    assert sorted(names, key=natural_order) == ["a", "a1x", "a9", "a10", "b1", "9", "10"]


def test_view_sets_are_disjoint_seeded_and_of_one_object() -> None:
    split = split_of([0] * 9 + [1] * 4 + [2] * 3)
    sets = split.view_sets(4, seed=5)
    assert sets.shape == (3, 4)
    assert len(np.unique(sets)) == 12
    assert all(len(set(split.objects[row].tolist())) == 1 for row in sets)
    np.testing.assert_array_equal(sets, split.view_sets(4, seed=5))
    assert not np.array_equal(sets, split.view_sets(4, seed=6))
    with pytest.raises(ConfigurationError, match="10 views"):
        split.view_sets(10, seed=5)


def test_subset_and_tensor() -> None:
    split = split_of([0, 1, 2]).subset([2, 0])
    assert split.objects.tolist() == [2, 0]
    assert split.names == ["2", "0"]
    assert split.tensor(4)[:, 0, 0, 0].tolist() == [2, 0]
    assert split.subset([1]).tensor(4)[0, 0, 0, 0] == 0
    with pytest.raises(ConfigurationError, match="GiB"):
        split.tensor(1 << 17)
