"""The loops of the arithmetic codes, compiled and not."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semcom_app import entropy_kernels
from semcom_phy import accel
from semcom_phy.errors import FormatError


@pytest.fixture(scope="module")
def plain() -> ModuleType:
    """The module where there is no numba."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accel, "numba_available", lambda: False)
        spec = importlib.util.spec_from_file_location("plain_entropy_kernels", entropy_kernels.__file__)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def compiled() -> None:
    assert hasattr(entropy_kernels._code_patches, "py_func"), "nothing to compare with"


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 2**32 - 1))
@settings(max_examples=50)
def test_masks_are_the_same(plain: ModuleType, height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((height, width)) < rng.random()
    room = mask.size // 4 + 16
    code = entropy_kernels.write_mask(mask, room)
    assert code == plain.write_mask(mask, room)
    assert np.array_equal(entropy_kernels.read_mask(code, mask.shape), mask)
    junk = rng.bytes(int(rng.integers(room)))
    assert np.array_equal(entropy_kernels.read_mask(junk, mask.shape), plain.read_mask(junk, mask.shape))


@given(
    st.integers(1, 12), st.integers(1, 12), st.booleans(), st.booleans(), st.integers(0, 3), st.integers(0, 2**32 - 1)
)
@settings(max_examples=100)
def test_patches_are_the_same(
    plain: ModuleType, rows: int, columns: int, coded: bool, own_ranges: bool, means: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    maximum, value_bits = (int(number) for number in rng.integers(1, 9, 2))
    bits = rng.integers(0, maximum + 1, rows * columns)
    numbers = rng.integers(0, 1 << value_bits, (2 + means, bits.size))
    numbers[:2].sort(axis=0)
    layout = (columns, maximum, own_ranges, value_bits)
    code = entropy_kernels.write_patches(coded, 100 * bits.size + 16, bits, numbers, *layout)
    assert code == plain.write_patches(coded, 100 * bits.size + 16, bits, numbers, *layout)
    found, values = entropy_kernels.read_patches(coded, code, bits.size, means, *layout)
    assert np.array_equal(found, bits)
    assert np.array_equal(values[:2, bits > 0], numbers[:2, bits > 0] if own_ranges else 0 * numbers[:2, bits > 0])
    assert np.array_equal(values[2:, bits == 0], numbers[2:, bits == 0])
    outcomes = []
    for module in (entropy_kernels, plain):
        junk = np.random.default_rng(seed).bytes(len(code))
        try:
            outcomes.append([part.tolist() for part in module.read_patches(coded, junk, bits.size, means, *layout)])
        except FormatError as problem:
            outcomes.append([str(problem)])
    assert outcomes[0] == outcomes[1]


def test_without_room_there_is_no_code(plain: ModuleType) -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((30, 30)) < 0.5
    bits, numbers = rng.integers(0, 9, 100), np.zeros((2, 100), np.int64)
    for module in (entropy_kernels, plain):
        assert module.write_mask(mask, 50) is None
        for coded in (False, True):
            assert module.write_patches(coded, 10, bits, numbers, 10, 8, False, 8) is None
