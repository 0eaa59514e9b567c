import warnings

import numpy as np
import pytest
from commpy.channelcoding import Trellis, turbo_encode

from semcom_phy import accel
from semcom_phy.coding.qpp import BLOCK_SIZES, qpp_interleaver
from semcom_phy.coding.turbo import INPUT_BIT, NEXT_STATE, PARITY_BIT, encode
from semcom_phy.errors import ConfigurationError


def shift_register(bits: list[int]) -> tuple[list[int], list[tuple[int, int]]]:
    """Figure 5.1.3-2 bit by bit: the parities, and the three tail pairs (x, z)."""
    s1 = s2 = s3 = 0
    parity, tail = [], []
    for bit in bits:
        a = bit ^ s2 ^ s3
        parity.append(a ^ s1 ^ s3)
        s1, s2, s3 = a, s1, s2
    for _ in range(3):
        tail.append((s2 ^ s3, s1 ^ s3))
        s1, s2, s3 = 0, s1, s2
    assert (s1, s2, s3) == (0, 0, 0)
    return parity, tail


def by_shift_register(bits: list[int]) -> np.ndarray:
    """The three streams of §5.1.3.2 with the tail bits placed by the formulas of §5.1.3.2.2."""
    size = len(bits)
    parity, tail = shift_register(bits)
    parity2, tail2 = shift_register([bits[i] for i in qpp_interleaver(size)])
    x, z = zip(*tail, strict=True)
    x2, z2 = zip(*tail2, strict=True)
    d0 = [*bits, x[0], z[1], x2[0], z2[1]]
    d1 = [*parity, z[0], x[2], z2[0], x2[2]]
    d2 = [*parity2, x[1], z[2], x2[1], z2[2]]
    return np.array([d0, d1, d2], np.uint8)


@pytest.mark.parametrize("compiled", [True, False], ids=["numba", "numpy"])
@pytest.mark.parametrize("size", BLOCK_SIZES)
def test_equals_a_plain_shift_register(size: int, compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not compiled:
        monkeypatch.setattr(accel, "numba_available", lambda: False)
    bits = np.random.default_rng(size).integers(0, 2, size, dtype=np.uint8)
    coded = encode(bits[None])
    assert coded.shape == (1, 3, size + 4)
    assert coded.dtype == np.uint8
    np.testing.assert_array_equal(coded[0], by_shift_register(bits.tolist()))


class _Interleaver:
    """What commpy's turbo_encode asks of an interleaver."""

    def __init__(self, permutation: np.ndarray) -> None:
        self.p_array = permutation

    def interlv(self, bits: np.ndarray) -> np.ndarray:
        return bits[self.p_array]


def _assert_equals_commpy(size: int) -> None:
    with warnings.catch_warnings():
        # Only an integer feedback makes commpy's systematic output the input bit itself.
        warnings.simplefilter("ignore", DeprecationWarning)
        trellis = Trellis(np.array([3]), np.array([[1, 0o15]]), feedback=0o13, code_type="rsc")
    bits = np.random.default_rng(size).integers(0, 2, size)
    streams = turbo_encode(bits, trellis, trellis, _Interleaver(qpp_interleaver(size)))
    coded = encode(bits[None])[0]
    for ours, theirs in zip(coded, streams, strict=True):
        np.testing.assert_array_equal(ours[:size], theirs[:size])


@pytest.mark.parametrize("size", [40, 48, 104, 248, 504, 512, 528, 1024])
def test_equals_commpy(size: int) -> None:
    _assert_equals_commpy(size)


@pytest.mark.slow
@pytest.mark.parametrize("size", BLOCK_SIZES)
def test_equals_commpy_at_every_size(size: int) -> None:
    _assert_equals_commpy(size)


def test_batch_equals_single_blocks() -> None:
    blocks = np.random.default_rng(1).integers(0, 2, (9, 208), dtype=np.uint8)
    together = encode(blocks)
    for block, coded in zip(blocks, together, strict=True):
        np.testing.assert_array_equal(encode(block[None])[0], coded)


@pytest.mark.parametrize("size", [40, 56, 512, 1024, 6144])
def test_compiled_and_numpy_agree(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = np.random.default_rng(size).integers(0, 2, (64, size), dtype=np.uint8)
    compiled = encode(blocks)
    np.testing.assert_array_equal(encode(np.asfortranarray(blocks)), compiled)
    monkeypatch.setattr(accel, "numba_available", lambda: False)
    np.testing.assert_array_equal(encode(blocks), compiled)


@pytest.mark.parametrize("compiled", [True, False], ids=["numba", "numpy"])
def test_no_blocks(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not compiled:
        monkeypatch.setattr(accel, "numba_available", lambda: False)
    assert encode(np.zeros((0, 40), np.uint8)).shape == (0, 3, 44)


def test_trellis_tables() -> None:
    # From state (s1 s2 s3) = 011 with u = 0: a = 0 ^ 1 ^ 1 = 0, z = 0 ^ 0 ^ 1 = 1, next state 001.
    assert (INPUT_BIT[3, 0], PARITY_BIT[3, 0], NEXT_STATE[3, 0]) == (0, 1, 1)
    # From state 000 with u = 1: a = 1, z = 1, next state 100.
    assert (INPUT_BIT[0, 1], PARITY_BIT[0, 1], NEXT_STATE[0, 1]) == (1, 1, 4)


@pytest.mark.parametrize("shape", [(40,), (1, 41), (2, 0), (1, 1, 40)])
def test_illegal_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigurationError, match="BLOCK_SIZES"):
        encode(np.zeros(shape, np.uint8))
