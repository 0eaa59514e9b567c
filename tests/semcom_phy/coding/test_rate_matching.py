"""Rate matching against §5.1.4.1 written down literally, and the algebra of its inverse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcom_phy import accel
from semcom_phy.coding.decoders import LLR_LIMIT
from semcom_phy.coding.qpp import BLOCK_SIZES
from semcom_phy.coding.rate_matching import (
    circular_buffer,
    dematch,
    match,
    natural_order,
    transmission_order,
)
from semcom_phy.coding.turbo import encode
from semcom_phy.errors import ConfigurationError

# Table 5.1.4-1 as printed.
PATTERN = [
    *(0, 16, 8, 24, 4, 20, 12, 28, 2, 18, 10, 26, 6, 22, 14, 30),
    *(1, 17, 9, 25, 5, 21, 13, 29, 3, 19, 11, 27, 7, 23, 15, 31),
]

Stream = list[object]


def literal_sub_block_interleaver(d: Stream, third: bool) -> Stream:
    """§5.1.4.1.1 step by step; None is <NULL>."""
    columns = 32
    rows = 1
    while rows * columns < len(d):
        rows += 1
    y: Stream = [None] * (rows * columns - len(d)) + d
    if third:
        total = rows * columns
        return [y[(PATTERN[k // rows] + columns * (k % rows) + 1) % total] for k in range(total)]
    matrix = [y[columns * row : columns * (row + 1)] for row in range(rows)]
    permuted = [[row[PATTERN[j]] for j in range(columns)] for row in matrix]
    return [permuted[row][column] for column in range(columns) for row in range(rows)]


def literal_rate_matching(d: list[Stream], e_bits: int, rv: int, n_cb: int | None = None) -> Stream:
    """§5.1.4.1.2 step by step, from the three streams to e_0 … e_(E−1)."""
    v0, v1, v2 = (literal_sub_block_interleaver(d[i], third=i == 2) for i in range(3))
    k_pi = len(v0)
    w: Stream = [None] * (3 * k_pi)
    for k in range(k_pi):
        w[k] = v0[k]
        w[k_pi + 2 * k] = v1[k]
        w[k_pi + 2 * k + 1] = v2[k]
    n_cb = len(w) if n_cb is None else min(n_cb, len(w))
    rows = k_pi // 32
    k0 = rows * (2 * math.ceil(n_cb / (8 * rows)) * rv + 2)
    e: Stream = []
    j = 0
    while len(e) < e_bits:
        bit = w[(k0 + j) % n_cb]
        if bit is not None:
            e.append(bit)
        j += 1
    return e


def labelled_streams(size: int, filler: int) -> list[Stream]:
    """Streams whose "bits" are their own places, so that an order can be read off."""
    streams: list[Stream] = [[stream * (size + 4) + k for k in range(size + 4)] for stream in range(3)]
    for stream in (0, 1):
        streams[stream][:filler] = [None] * filler
    return streams


def blocks_of(size: int, count: int, seed: int, filler: int = 0) -> np.ndarray:
    blocks = np.random.default_rng(seed).integers(0, 2, (count, size), dtype=np.uint8)
    blocks[:, :filler] = 0
    return encode(blocks)


@given(
    size=st.sampled_from(BLOCK_SIZES[:90]),
    redundancy_version=st.integers(0, 3),
    length=st.floats(0.0, 8.0),
    filler=st.integers(0, 63),
    limit=st.none() | st.floats(0.2, 1.2),
)
def test_equals_the_literal_standard(
    size: int, redundancy_version: int, length: float, filler: int, limit: float | None
) -> None:
    filler = min(filler, size - 1)
    e_bits = int(length * size)
    n_cb = None if limit is None else max(2 * filler + 66, int(3 * size * limit))
    expected = literal_rate_matching(labelled_streams(size, filler), e_bits, redundancy_version, n_cb)
    order = transmission_order(size, redundancy_version, filler, n_cb)
    np.testing.assert_array_equal(np.resize(order, e_bits), np.array(expected, np.int64))

    streams = blocks_of(size, 2, e_bits, filler)
    sent = match(streams, e_bits, redundancy_version, filler, n_cb)
    assert sent.shape == (2, e_bits)
    assert sent.dtype == np.uint8
    for block, bits in zip(streams, sent, strict=True):
        d: list[Stream] = [list(stream) for stream in block.tolist()]
        d[0][:filler] = d[1][:filler] = [None] * filler
        assert bits.tolist() == literal_rate_matching(d, e_bits, redundancy_version, n_cb)


@pytest.mark.slow
@pytest.mark.parametrize("size", BLOCK_SIZES)
def test_every_block_size_equals_the_literal_standard(size: int) -> None:
    for filler in (0, 13):
        streams = labelled_streams(size, filler)
        for redundancy_version in range(4):
            order = transmission_order(size, redundancy_version, filler)
            expected = literal_rate_matching(streams, order.size, redundancy_version)
            np.testing.assert_array_equal(order, np.array(expected, np.int64))


def test_worked_out_by_hand() -> None:
    # K = 40: D = 44, R = 2, 20 dummy bits; columns 0, 16, 8 … hold y_0 y_32, y_16 y_48, y_8 y_40 …
    buffer = circular_buffer(40)
    assert buffer.size == 192
    assert buffer[:6].tolist() == [-1, 12, -1, 28, -1, 20]
    # d(2) starts one place later: y_1 y_33, and lies at every second place after K_Π = 64.
    assert buffer[64:68].tolist() == [-1, -1, 44 + 12, 88 + 13]
    # d(2)'s shift takes y_0, a dummy, to the very end.
    assert buffer[-1] == -1
    # K = 6144: R = 193, K_w = 18528, ⌈K_w/8R⌉ = 12, k0 = 193·(24·rv + 2).
    full = circular_buffer(6144)
    assert full.size == 18528
    for redundancy_version, k0 in enumerate((386, 5018, 9650, 14282)):
        first = next(place for place in np.roll(full, -k0) if place >= 0)
        assert transmission_order(6144, redundancy_version)[0] == first


@given(size=st.sampled_from(BLOCK_SIZES), filler=st.integers(0, 63), redundancy_version=st.integers(0, 3))
def test_one_round_sends_every_bit_once(size: int, filler: int, redundancy_version: int) -> None:
    filler = min(filler, size - 1)
    every = np.arange(3 * (size + 4)).reshape(3, -1)
    expected = np.sort(np.concatenate([every[0, filler:], every[1, filler:], every[2]]))
    np.testing.assert_array_equal(np.sort(transmission_order(size, redundancy_version, filler)), expected)
    np.testing.assert_array_equal(np.sort(natural_order(size, filler)), expected)


@given(
    size=st.sampled_from(BLOCK_SIZES[:60]),
    filler=st.integers(0, 39),
    redundancy_version=st.integers(0, 3),
    length=st.floats(0.0, 8.0),
    seed=st.integers(0, 2**32 - 1),
)
def test_dematching_is_the_adjoint_of_matching(
    size: int, filler: int, redundancy_version: int, length: float, seed: int
) -> None:
    """⟨match(x), y⟩ = ⟨x, dematch(y)⟩ for all x and y; integers, so that both sides are exact."""
    rng = np.random.default_rng(seed)
    e_bits = int(length * size)
    streams = rng.integers(0, 2, (3, 3, size + 4), dtype=np.uint8)
    streams[:, :2, :filler] = 0  # the places that dematching declares known
    llrs = rng.integers(-50, 51, (3, e_bits)).astype(np.float64)
    sent = match(streams, e_bits, redundancy_version, filler)
    received = dematch(llrs, size, redundancy_version, filler)
    assert received.dtype == np.float64
    np.testing.assert_array_equal((sent * llrs).sum(axis=1), (streams * received).sum(axis=(1, 2)))
    assert (received[:, :2, :filler] == -LLR_LIMIT).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_transmissions_add_up(dtype: type) -> None:
    size, filler = 104, 5
    streams = blocks_of(size, 4, 1, filler)
    once = dematch((2.0 * match(streams, 200, 0, filler) - 1).astype(dtype), size, 0, filler)
    first = once.copy()
    both = dematch((2.0 * match(streams, 200, 2, filler) - 1).astype(dtype), size, 2, filler, into=once)
    assert both is once
    assert both.dtype == dtype
    second = dematch((2.0 * match(streams, 200, 2, filler) - 1).astype(dtype), size, 2, filler)
    second[:, :2, :filler] = 0
    np.testing.assert_array_equal(both, first + second)
    # What was sent n times counts n times, with the right sign.
    everything = dematch((2.0 * match(streams, 3 * 314, 1, filler) - 1).astype(dtype), size, 1, filler)
    everything[:, :2, :filler] = 3 * (2.0 * streams[:, :2, :filler] - 1)
    np.testing.assert_array_equal(everything, 3 * (2.0 * streams - 1))


@pytest.mark.parametrize("compiled", [True, False])
def test_erasures_and_certainties(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not compiled:
        monkeypatch.setattr(accel, "numba_available", lambda: False)
    order = transmission_order(40, 0)
    llrs = np.ones((1, 2 * order.size), np.float32)
    llrs[0, :3] = np.nan
    llrs[0, 3] = np.inf
    llrs[0, order.size + 3] = -np.inf
    llrs[0, order.size : order.size + 3] = [1, 0, np.nan]
    received = dematch(llrs, 40, 0).reshape(-1)[order]
    np.testing.assert_array_equal(received[:5], np.array([1, 0, 0, 0, 2], np.float32))


@given(
    size=st.sampled_from([40, 48, 512, 6144]),
    redundancy_version=st.integers(0, 3),
    length=st.floats(0.0, 8.0),
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 2**32 - 1),
)
def test_compiled_and_numpy_sums_are_the_same_bits(
    size: int, redundancy_version: int, length: float, dtype: type, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    llrs = (1e4 * rng.standard_normal((3, int(length * size)))).astype(dtype)
    llrs[rng.random(llrs.shape) < 0.1] = np.nan
    llrs[rng.random(llrs.shape) < 0.01] = np.inf
    compiled = dematch(llrs, size, redundancy_version, 7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accel, "numba_available", lambda: False)
        plain = dematch(llrs, size, redundancy_version, 7)
    assert compiled.tobytes() == plain.tobytes()


def test_awkward_arrays_are_taken() -> None:
    """Strided, unaligned, read-only: compiled code must not care."""
    llrs = np.random.default_rng(2).standard_normal((2, 100)).astype(np.float32)
    expected = dematch(llrs, 40, 0)
    strided = np.repeat(llrs, 2, axis=1)[:, ::2]
    raw = np.frombuffer(b"\0" + llrs.tobytes(), np.uint8)[1:]
    unaligned = raw.view(np.float32).reshape(llrs.shape)
    for awkward in (strided, unaligned, np.asfortranarray(llrs)):
        np.testing.assert_array_equal(dematch(awkward, 40, 0), expected)
    streams = blocks_of(40, 2, 1)
    np.testing.assert_array_equal(match(np.asfortranarray(streams), 90, 0), match(streams, 90, 0))


def test_bad_requests() -> None:
    streams = blocks_of(40, 1, 1)
    for redundancy_version in (-1, 4):
        with pytest.raises(ConfigurationError, match="use 0, 1, 2 or 3"):
            match(streams, 10, redundancy_version)
    with pytest.raises(ConfigurationError, match="shape"):
        match(streams[0], 10, 0)
    with pytest.raises(ConfigurationError, match="41 bits"):
        match(np.zeros((1, 3, 45), np.uint8), 10, 0)
    with pytest.raises(ConfigurationError, match="filler"):
        match(streams, 10, 0, filler=40)
    with pytest.raises(ConfigurationError, match="got -1"):
        match(streams, -1, 0)
    with pytest.raises(ConfigurationError, match="larger"):
        match(streams, 10, 0, buffer_limit=1)
    with pytest.raises(ConfigurationError, match="blocks, E"):
        dematch(np.zeros(10), 40, 0)
    for wrong in (np.zeros((1, 3, 48)), np.zeros((44, 3, 1)).transpose(2, 1, 0)):
        with pytest.raises(ConfigurationError, match="contiguous"):
            dematch(np.zeros((1, 10)), 40, 0, into=wrong)
