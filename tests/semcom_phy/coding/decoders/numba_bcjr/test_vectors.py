import numpy as np
import pytest

pytest.importorskip("numba", reason="the SIMD decoder needs numba: pip install numba")

from numba import njit, types

from semcom_phy.coding.decoders.interface import LINEAR_OFFSET, TABLE_STEP
from semcom_phy.coding.decoders.numba_bcjr.arithmetic import ARITHMETICS_OF, make_arithmetic, merge, normalised
from semcom_phy.coding.decoders.numba_bcjr.host import FEATURES
from semcom_phy.coding.decoders.numba_bcjr.recursions import load_states, store_states
from semcom_phy.coding.decoders.numba_bcjr.vectors import (
    Vec,
    average,
    columns_at_once,
    distance,
    exponential,
    larger,
    load,
    load_transposed,
    logarithm,
    other_where_own,
    permute_for,
    quartered,
    rough_reciprocal,
    saturating_add,
    saturating_sub,
    smaller,
    store,
    store_decisions,
    store_llrs,
    three_quarters,
)

permute = permute_for(FEATURES)
permute_one_by_one = permute_for(frozenset())


def arithmetic(algorithm: str, dtype: str, bits: int):
    return make_arithmetic(algorithm, dtype, bits, "test")


def lanewise(function, ar, *arrays):
    """Apply a jitted function of vectors to flat arrays, vector by vector."""
    lanes = ar.lanes

    @njit
    def one(ar, a, out):
        for at in range(0, a.size, lanes):
            store(out, at, function(load(ar, a, at)))

    @njit
    def two(ar, a, b, out):
        for at in range(0, a.size, lanes):
            store(out, at, function(load(ar, a, at), load(ar, b, at)))

    out = np.empty_like(arrays[0])
    (one if len(arrays) == 1 else two)(ar, *arrays, out)
    return out


@pytest.mark.parametrize("bits", [128, 256, 512])
def test_integer_operations(bits: int) -> None:
    rng = np.random.default_rng(1)
    ar = arithmetic("max-log", "int16", bits)
    a, b = rng.integers(0, 1 << 14, (2, 320)).astype(np.int16)
    np.testing.assert_array_equal(lanewise(larger, ar, a, b), np.maximum(a, b))
    np.testing.assert_array_equal(lanewise(smaller, ar, a, b), np.minimum(a, b))
    np.testing.assert_array_equal(lanewise(average, ar, a, b), (a.astype(int) + b + 1) // 2)
    np.testing.assert_array_equal(lanewise(distance, ar, a, b), np.abs(a.astype(int) - b))
    np.testing.assert_array_equal(lanewise(quartered, ar, -a), -a >> 2)


@pytest.mark.parametrize("bits", [128, 256, 512])
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_saturating_operations_on_all_pairs_of_bytes(dtype: str, bits: int) -> None:
    ar = arithmetic("max-log", dtype, bits)
    unit = 1 if dtype == "int8" else 256
    a, b = (unit * x.ravel() for x in np.meshgrid(np.arange(-128, 128), np.arange(-128, 128)))
    lowest, highest = np.iinfo(dtype).min, np.iinfo(dtype).max
    x, y = a.astype(dtype), b.astype(dtype)
    np.testing.assert_array_equal(lanewise(saturating_add, ar, x, y), np.clip(a + b, lowest, highest))
    np.testing.assert_array_equal(lanewise(saturating_sub, ar, x, y), np.clip(a - b, lowest, highest))
    np.testing.assert_array_equal(lanewise(three_quarters, ar, x), np.floor(0.75 * a + 0.5))


@pytest.mark.parametrize("bits", [128, 256, 512])
def test_normalisation_of_bytes_by_the_largest(bits: int) -> None:
    ar = arithmetic("max-log", "int8", bits)
    lanes = ar.lanes
    rng = np.random.default_rng(5)
    states = rng.integers(-128, 128, (8, lanes)).astype(np.int8)
    states[:, 0], states[:, 1], states[:, 2] = -128, 127, np.arange(8) - 128

    @njit
    def run(ar, states, out):
        store_states(out, 0, lanes, normalised(ar, load_states(ar, states, 0, lanes)))

    out = np.empty(8 * lanes, np.int8)
    run(ar, states.ravel(), out)
    wide = states.astype(int)
    by = np.minimum(wide.max(axis=0) - ar.bias, 127)
    np.testing.assert_array_equal(out.reshape(8, lanes), np.clip(wide - by, -128, 127))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_exponential_and_logarithm(dtype: str) -> None:
    ar = arithmetic("log-map", dtype, 512)
    precision = np.finfo(dtype).eps
    x = np.linspace(-80, 80, 1 << 12).astype(dtype)
    np.testing.assert_allclose(lanewise(exponential, ar, x), np.exp(x.astype(np.longdouble)), rtol=40 * precision)
    y = np.exp(x)
    np.testing.assert_allclose(
        lanewise(logarithm, ar, y), np.log(y.astype(np.longdouble)), rtol=4 * precision, atol=precision
    )
    near_one = (1 + np.linspace(-0.3, 0.5, 1 << 10)).astype(dtype)
    exact = np.log(near_one.astype(np.longdouble))
    np.testing.assert_allclose(lanewise(logarithm, ar, near_one), exact, rtol=8 * precision, atol=precision)
    # Any positive factor will do for a normalisation; this one must not miss by more than a fraction.
    assert np.abs(lanewise(rough_reciprocal, ar, y) * y - 1).max() < 0.13


@pytest.mark.parametrize(
    ("dtype", "bits"),
    [
        ("int8", 512),
        ("int8", 128),
        ("int16", 512),
        ("int16", 128),
        ("float32", 512),
        ("float32", 256),
        ("float64", 512),
    ],
)
@pytest.mark.parametrize("function", [permute, permute_one_by_one], ids=["instruction", "one by one"])
def test_permutation_of_lanes(dtype: str, bits: int, function) -> None:
    ar = arithmetic("log-map" if dtype == "float64" else "max-log", dtype, bits)
    rng = np.random.default_rng(2)
    lanes = np.concatenate([rng.permutation(ar.lanes) for _ in range(4)]).astype(np.int8)
    values = rng.integers(-99, 99, ar.lanes).astype(dtype)

    @njit
    def run(ar, a, lanes, out):
        for at in range(0, lanes.size, a.size):
            store(out, at, function(load(ar, a, 0), lanes, at))

    out = np.empty(lanes.size, dtype)
    run(ar, values, lanes, out)
    np.testing.assert_array_equal(out, values[lanes])


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
def test_lanes_that_keep_their_own_get_the_other(dtype: str) -> None:
    ar = arithmetic("max-log", dtype, 512)
    lanes = np.maximum(np.arange(ar.lanes) - (np.arange(ar.lanes) % 4 > 0), 0).astype(np.int8)
    a, other = np.random.default_rng(6).integers(-99, 99, (2, ar.lanes)).astype(dtype)

    @njit
    def run(ar, a, other, lanes, out):
        store(out, 0, other_where_own(load(ar, a, 0), load(ar, other, 0), lanes, 0))

    out = np.empty(ar.lanes, dtype)
    run(ar, a, other, lanes, out)
    np.testing.assert_array_equal(out, np.where(np.arange(ar.lanes) % 4 == 0, other, a))


@pytest.mark.parametrize(
    ("algorithm", "dtype", "bits"),
    [
        ("max-log", "int8", 512),
        ("max-log", "int8", 256),
        ("max-log", "int8", 128),
        ("max-log", "int16", 512),
        ("max-log", "int16", 256),
        ("max-log", "int16", 128),
        ("max-log", "float32", 512),
        ("max-log", "float32", 256),
        ("max-log", "float32", 128),
        ("log-map", "float64", 512),
        ("log-map", "float64", 128),
    ],
)
def test_transposition_there_and_back(algorithm: str, dtype: str, bits: int) -> None:
    ar = arithmetic(algorithm, dtype, bits)
    lanes, count = ar.lanes, columns_at_once(Vec(getattr(types, ar.dtype), ar.lanes))
    rng = np.random.default_rng(3)
    pitch = count + 5
    source = rng.normal(0, 8, lanes * pitch).astype(np.float32)
    source[3], source[pitch - 2], source[pitch + 3] = np.nan, np.inf, -np.inf
    starts = rng.permutation(lanes) * pitch
    scale, limit = 4.0, 20.0

    @njit
    def run(ar, source, starts, target, bits, llrs, places):
        load_transposed(ar, target, 0, source, starts, 3, scale, limit)
        store_decisions(ar, target, 0, bits, places, 1)
        store_llrs(ar, target, 0, llrs, places, 1, 1 / scale)

    target = np.empty(lanes * count, dtype)
    bits_out, llrs = np.empty(lanes * pitch, np.uint8), np.empty(lanes * pitch, np.float32)
    run(ar, source, starts, target, bits_out, llrs, starts)
    rows = source.reshape(lanes, pitch)[starts // pitch, 3 : 3 + count].astype(np.float64)
    expected = np.clip(np.nan_to_num(rows, nan=0.0, posinf=1e9, neginf=-1e9) * scale, -limit, limit)
    if dtype.startswith("int"):
        expected = np.rint(expected)
    np.testing.assert_allclose(target.reshape(count, lanes), expected.T, rtol=1e-6)
    back = llrs.reshape(lanes, pitch)[starts // pitch, 1 : 1 + count]
    np.testing.assert_allclose(back, expected / scale, rtol=1e-6)
    np.testing.assert_array_equal(bits_out.reshape(lanes, pitch)[starts // pitch, 1 : 1 + count], expected > 0)


@pytest.mark.parametrize("dtype", ["int16", "float32"])
@pytest.mark.parametrize("algorithm", ["max-log", "linear-log-map", "table-log-map"])
def test_merge_is_the_algorithm_s_max_star(algorithm: str, dtype: str) -> None:
    assert dtype in ARITHMETICS_OF[algorithm]
    ar = arithmetic(algorithm, dtype, 512)
    rng = np.random.default_rng(4)
    unit = ar.scale
    base = rng.integers(4000, 12000, 3200)
    a = base.astype(dtype)
    b = (base + rng.integers(-120, 121, 3200)).astype(dtype)

    @njit
    def run(ar, a, b, out):
        for at in range(0, a.size, ar_lanes):
            store(out, at, merge(ar, load(ar, a, at), load(ar, b, at)))

    ar_lanes = ar.lanes
    out = np.empty_like(a)
    run(ar, a, b, out)
    most = np.maximum(a, b).astype(np.float64)
    d = np.abs(a.astype(np.float64) - b) / unit
    correction = {
        "max-log": np.zeros_like(d),
        "linear-log-map": np.maximum(0.0, LINEAR_OFFSET - d / 4),
        "table-log-map": np.rint(np.log1p(np.exp(-d)) / TABLE_STEP) * TABLE_STEP,
    }[algorithm]
    # Two averages that round up cost at most one unit.
    tolerance = 1.0 if (algorithm, dtype) == ("linear-log-map", "int16") else 2e-3
    assert np.abs(out - (most + unit * correction)).max() <= tolerance
