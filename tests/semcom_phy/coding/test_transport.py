import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semcom_phy.coding.transport import TurboCode, coded_length, rate
from semcom_phy.errors import ConfigurationError

CODE = TurboCode()


def payload(bits: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, bits, dtype=np.uint8)


def noisy_llrs(coded: np.ndarray, esn0_db: float, seed: int) -> np.ndarray:
    variance = 0.5 * 10 ** (-esn0_db / 10)
    noise = np.sqrt(variance) * np.random.default_rng(seed).standard_normal(coded.size)
    return 2.0 * (2.0 * coded - 1.0 + noise) / variance


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 1500) | st.integers(6100, 6160), st.integers(0, 2**32 - 1))
def test_noiseless_round_trip(bits: int, seed: int) -> None:
    sent = payload(bits, seed)
    coded = CODE.encode(sent)
    assert coded.dtype == np.uint8
    assert coded.shape == (CODE.coded_length(bits),)
    output = CODE.decode(4.0 * coded - 2.0, bits)
    np.testing.assert_array_equal(output.bits, sent)
    np.testing.assert_array_equal(output.llrs > 0, sent == 1)
    assert output.llrs.dtype == np.float32
    assert output.transport_ok is True
    assert output.block_ok.all()
    assert (output.iterations == 1).all()


@pytest.mark.slow
@pytest.mark.parametrize("bits", [131_072, 2**24])
def test_large_blocks_round_trip(bits: int) -> None:
    sent = payload(bits, bits)
    coded = CODE.encode(sent)
    output = CODE.decode((4.0 * coded - 2.0).astype(np.float32), bits)
    np.testing.assert_array_equal(output.bits, sent)
    assert output.transport_ok
    assert output.block_ok.shape == (-(-(bits + 24) // 6120),)


def test_lengths_worked_out_by_hand() -> None:
    # 1 + 24 bits in K = 40 with F = 15: 3·44 − 2·15 = 102.
    assert coded_length(1) == 102
    # 16 + 24 = 40, no filler.
    assert coded_length(16) == 132
    assert coded_length(6120) == 3 * 6148
    # 131096 bits: 11 × 5952 and 11 × 6016 with F = 24.
    assert coded_length(131_072) == 33 * (5956 + 6020) - 48
    assert rate(16) == 16 / 132


def test_order_of_the_coded_bits() -> None:
    sent = payload(16, 3)
    coded = CODE.encode(sent)
    # d(0) is every third bit; without filler the payload stands at its front.
    np.testing.assert_array_equal(coded[0:48:3], sent)
    # With F = 15 filler bits the first 15 coded bits are d(2) alone, then the payload bit follows.
    one = CODE.encode([1])
    assert one[15] == 1
    assert CODE.encode([0])[15] == 0


@pytest.mark.parametrize("bits", [1, 100, 6500])
def test_decoding_through_noise(bits: int) -> None:
    sent = payload(bits, 5)
    llrs = noisy_llrs(CODE.encode(sent), -2.0, 6)
    assert (llrs[0::3] > 0).any()
    output = CODE.decode(llrs, bits)
    np.testing.assert_array_equal(output.bits, sent)
    assert output.transport_ok
    assert output.block_ok.all()


def test_early_stop_changes_iterations_and_not_bits() -> None:
    sent = payload(3000, 7)
    llrs = noisy_llrs(CODE.encode(sent), -3.0, 8)
    early = CODE.decode(llrs, 3000)
    full = TurboCode(early_stop=False).decode(llrs, 3000)
    np.testing.assert_array_equal(early.bits, full.bits)
    assert full.iterations.tolist() == [5]
    assert early.iterations[0] < 5


@pytest.mark.parametrize("bits", [500, 13_000])
def test_damaged_blocks_deliver_their_bits_and_are_named(bits: int) -> None:
    sent = payload(bits, 9)
    llrs = 4.0 * CODE.encode(sent) - 2.0
    blocks = CODE.decode(llrs, bits).block_ok.size
    llrs[-1000:] = np.random.default_rng(10).standard_normal(1000)
    llrs[-900:-100] *= -1
    output = CODE.decode(llrs, bits)
    assert output.block_ok.tolist() == [True] * (blocks - 1) + [False]
    assert output.transport_ok is False
    assert output.bits.shape == output.llrs.shape == (bits,)
    np.testing.assert_array_equal(output.llrs > 0, output.bits == 1)
    assert output.iterations[-1] == 5
    # What was not hit is still right.
    np.testing.assert_array_equal(output.bits[: bits // 4], sent[: bits // 4])


@pytest.mark.parametrize("nothing", [0.0, np.nan])
def test_an_erased_block_is_never_ok(nothing: float) -> None:
    """All-zero bits satisfy every CRC; a block that was not received must not profit from that."""
    for bits in (1, 40, 13_000):
        output = CODE.decode(np.full(coded_length(bits), nothing), bits)
        assert not output.block_ok.any()
        assert output.transport_ok is False
        assert not np.isnan(output.llrs).any()
    llrs = 4.0 * CODE.encode(np.zeros(13_000, np.uint8)) - 2.0
    assert CODE.decode(llrs, 13_000).transport_ok
    llrs[: llrs.size // 3] = nothing
    output = CODE.decode(llrs, 13_000)
    assert output.block_ok.tolist() == [False, True, True]
    assert not output.transport_ok


def test_wrong_llr_sign_does_not_decode() -> None:
    sent = payload(200, 11)
    assert not CODE.decode(2.0 - 4.0 * CODE.encode(sent), 200).transport_ok


def test_bad_requests() -> None:
    for empty in ([], np.zeros((0,), np.uint8)):
        with pytest.raises(ConfigurationError, match="at least one bit"):
            CODE.encode(empty)
    with pytest.raises(ConfigurationError, match="at least one bit"):
        CODE.encode([0, 2])
    with pytest.raises(ConfigurationError, match="at least 1 bit"):
        coded_length(0)
    with pytest.raises(ConfigurationError, match="132 LLRs"):
        CODE.decode(np.zeros(131), 16)
