"""The compiled inner loops against their twins in NumPy."""

import numpy as np
import pytest

from semcom_phy.accel import kernel_module
from semcom_phy.channels.impairments import numpy_kernels
from semcom_phy.channels.impairments.fractional_delay import interpolation_table

NUMBA = kernel_module("semcom_phy.channels.impairments.numba_kernels")
pytestmark = pytest.mark.skipif(NUMBA is None, reason="numba is not installed")
SIZES = [0, 1, 7, 64, 5000]


def samples(count: int, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).standard_normal(2 * count).astype(np.float32).view(np.complex64)
    values.flags.writeable = False
    return values


def both(name: str, *arguments: object) -> tuple[np.ndarray, np.ndarray]:
    return getattr(NUMBA, name)(*arguments), getattr(numpy_kernels, name)(*arguments)


@pytest.mark.parametrize("count", SIZES)
def test_multiply(count: int) -> None:
    compiled, plain = both("multiply", samples(count), samples(count, 1))
    assert compiled.dtype == plain.dtype == np.complex64
    np.testing.assert_allclose(compiled, plain, atol=3e-6)


@pytest.mark.parametrize("count", SIZES)
def test_linear_map(count: int) -> None:
    matrix = np.array([[1.1, -0.2], [0.3, 0.9]], np.float32)
    compiled, plain = both("linear_map", samples(count), matrix)
    np.testing.assert_allclose(compiled, plain, atol=3e-6)
    np.testing.assert_allclose(
        plain.view(np.float32).reshape(-1, 2), samples(count).view(np.float32).reshape(-1, 2) @ matrix.T, atol=3e-6
    )


@pytest.mark.parametrize("bits", [1, 2, 8, 16])
def test_quantize(bits: int) -> None:
    top = 2.0 ** (bits - 1)
    compiled, plain = both("quantize", samples(5000), 1.7 / top, top)
    assert np.array_equal(compiled, plain)


@pytest.mark.parametrize(("taps", "first", "count"), [(1, 0, 0), (1, 3, 10), (32, 0, 1), (32, 5, 5000), (7, 0, 2048)])
def test_fir(taps: int, first: int, count: int) -> None:
    h = np.random.default_rng(1).standard_normal(taps).astype(np.float32)
    x = samples(first + count + taps - 1)
    compiled, plain = both("fir", x, first, h, count)
    direct = [np.sum(h * x[first + n : first + n + taps]) for n in range(count)]
    np.testing.assert_allclose(compiled, direct, atol=1e-5)
    np.testing.assert_allclose(plain, direct, atol=1e-5)


@pytest.mark.parametrize(("begin", "end"), [(0, 0), (0, 1), (0, 900), (17, 3000)])
@pytest.mark.parametrize("step", [0.99, 1.0, 1.0001])
def test_resample(begin: int, end: int, step: float) -> None:
    x = samples(1000)
    outs = []
    for kernels in (NUMBA, numpy_kernels):
        out = np.zeros(end - begin, np.complex64)
        written = kernels.resample(x, 2, 0.3, step, begin, end, interpolation_table(), out)
        outs.append((written, out))
    assert outs[0][0] == outs[1][0]
    assert outs[0][0] == end - begin or outs[0][0] < 1000
    np.testing.assert_allclose(outs[0][1], outs[1][1], atol=1e-5)


@pytest.mark.parametrize("spacing", [1, 2, 64])
def test_interpolate_gain(spacing: int) -> None:
    grid = samples(33).astype(np.complex128)
    compiled, plain = both("interpolate_gain", grid, spacing)
    assert compiled.size == plain.size == 32 * spacing
    np.testing.assert_allclose(compiled, plain, atol=1e-6)
    assert np.array_equal(plain[::spacing], grid[:-1].astype(np.complex64))


def test_first_order_section() -> None:
    x = np.random.default_rng(0).standard_normal(1000)
    results = []
    for kernels in (NUMBA, numpy_kernels):
        y, state = x.copy(), np.zeros(2)
        kernels.first_order_section(y[:300], 0.7, 0.5, 0.9, state)
        kernels.first_order_section(y[300:], 0.7, 0.5, 0.9, state)
        results.append((y, state))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-9)
