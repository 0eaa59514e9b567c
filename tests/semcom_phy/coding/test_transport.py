from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semcom_phy.coding.crc import CRC24A, attach
from semcom_phy.coding.rate_matching import match
from semcom_phy.coding.segmentation import plan, segment_groups
from semcom_phy.coding.transport import (
    MAX_RATE,
    MAX_RATE_CODE,
    MIN_RATE,
    MIN_RATE_CODE,
    RATE_UNIT,
    TurboCode,
    coded_length,
    rate,
)
from semcom_phy.coding.turbo import encode
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


#: Highest rates (K − F)/E of a block at which a redundancy version is enough by itself. Above 0.93, 0.65, 0.65
#: and 0.79 there are block sizes whose punctured bits do not determine the block.
SELF_DECODABLE = {0: 0.92, 1: 0.62, 2: 0.62, 3: 0.77}


def shares(bits: int, coded_bits: int, bits_per_symbol: int) -> list[int]:
    """E of every block by the formulas of §5.1.4.1.2."""
    blocks = plan(bits + 24).blocks
    g = coded_bits // bits_per_symbol
    gamma = g % blocks
    return [bits_per_symbol * (g // blocks if r <= blocks - gamma - 1 else -(-g // blocks)) for r in range(blocks)]


def block_rates(bits: int, code: TurboCode) -> list[float]:
    layout = plan(bits + 24)
    told = [size - (layout.filler if r == 0 else 0) for r, size in enumerate(layout.sizes)]
    lengths = shares(bits, code.coded_length(bits), code.bits_per_symbol)
    return [t / e for t, e in zip(told, lengths, strict=True)]


def reachable(bits: int, code: TurboCode) -> bool:
    try:
        return code.coded_length(bits) > 0
    except ConfigurationError:
        return False


@settings(max_examples=40)
@given(
    bits=st.integers(1, 300) | st.integers(300, 2000) | st.integers(6000, 6300) | st.integers(2000, 20_000),
    rate=st.floats(MIN_RATE, MAX_RATE),
    redundancy_version=st.integers(0, 3),
    bits_per_symbol=st.sampled_from([1, 2, 4, 6]),
    seed=st.integers(0, 2**32 - 1),
)
def test_noiseless_round_trip_at_every_rate(
    bits: int, rate: float, redundancy_version: int, bits_per_symbol: int, seed: int
) -> None:
    code = TurboCode(iterations=8, rate=rate, bits_per_symbol=bits_per_symbol)
    if not reachable(bits, code):
        with pytest.raises(ConfigurationError, match="lower the rate or leave it out"):
            code.encode(payload(bits, seed))
        return
    sent = payload(bits, seed)
    coded = code.encode(sent, redundancy_version)
    assert coded.shape == (code.coded_length(bits),)
    assert coded.size % bits_per_symbol == 0
    # G = ⌈A/R⌉ in whole symbols, with R in units of 1/840.
    assert 0 <= coded.size - bits * RATE_UNIT / code.rate_code < bits_per_symbol
    output = code.decode((8.0 * coded - 4.0).astype(np.float32), bits, redundancy_version)
    assert output.bits.shape == output.llrs.shape == (bits,)
    if max(block_rates(bits, code)) <= SELF_DECODABLE[redundancy_version]:
        np.testing.assert_array_equal(output.bits, sent)
        assert output.transport_ok
        assert output.block_ok.all()
    assert output.transport_ok == np.array_equal(output.bits, sent)


@settings(max_examples=25)
@given(
    bits=st.integers(30, 20_000),
    rate=st.floats(MIN_RATE, 0.5),
    redundancy_version=st.integers(0, 3),
    bits_per_symbol=st.sampled_from([1, 2, 6]),
)
def test_coded_bits_follow_the_standard(bits: int, rate: float, redundancy_version: int, bits_per_symbol: int) -> None:
    """Block by block: the share of §5.1.4.1.2 of the block's streams, filler in the first block alone."""
    code = TurboCode(rate=rate, bits_per_symbol=bits_per_symbol)
    sent = payload(bits, bits)
    layout = plan(bits + 24)
    blocks = [row for group in segment_groups(attach(sent, CRC24A), layout) for row in group]
    lengths = shares(bits, code.coded_length(bits), bits_per_symbol)
    expected = [
        match(encode(block[None]), length, redundancy_version, layout.filler if r == 0 else 0)[0]
        for r, (block, length) in enumerate(zip(blocks, lengths, strict=True))
    ]
    np.testing.assert_array_equal(code.encode(sent, redundancy_version), np.concatenate(expected))


def test_shares_worked_out_by_hand() -> None:
    # 13 000 bits in C = 3 blocks at rate 1/2: G = 26 000 = 3·8666 + 2, so γ = 2.
    assert TurboCode(rate=1 / 2).coded_length(13_000) == 26_000
    assert shares(13_000, 26_000, 1) == [8666, 8667, 8667]
    # Six bits to the symbol: ⌈26 000/6⌉ = 4334 symbols = 3·1444 + 2.
    assert TurboCode(rate=1 / 2, bits_per_symbol=6).coded_length(13_000) == 26_004
    assert shares(13_000, 26_004, 6) == [8664, 8670, 8670]
    assert TurboCode(rate=1 / 3).coded_length(131_072) == 393_216
    assert TurboCode(rate=3 / 4).coded_length(131_072) == 174_763


def test_rates_in_frames() -> None:
    assert (MIN_RATE_CODE, MAX_RATE_CODE) == (105, 798)
    assert TurboCode().rate_code == 0
    assert TurboCode(rate=3 / 4).rate_code == 630
    for code in range(MIN_RATE_CODE, MAX_RATE_CODE + 1):
        turbo = CODE.with_rate_code(code)
        assert turbo.rate_code == code
        assert turbo.with_rate_code(0) == CODE
    for code in (1, MIN_RATE_CODE - 1, MAX_RATE_CODE + 1, 1023):
        with pytest.raises(ConfigurationError, match=r"from 1/8 to 0\.95"):
            CODE.with_rate_code(code)
    # Common fractions and multiples of 0.05 are exact: A bits take A/R coded bits.
    for numerator in range(1, 8):
        for denominator in range(numerator + 1, 9):
            if 1 / 8 <= numerator / denominator <= 0.95:
                turbo = TurboCode(rate=numerator / denominator)
                assert turbo.coded_length(840 * numerator) == 840 * denominator
    for twentieths in range(3, 20):
        assert TurboCode(rate=twentieths / 20).coded_length(840 * twentieths) == 840 * 20


@pytest.mark.parametrize("bits", [1000, 6500])
def test_undecided_bits_are_never_ok(bits: int) -> None:
    """At rate 3/4 version 2 leaves most bits at LLR 0, although more than K bits arrive."""
    code = TurboCode(rate=3 / 4)
    for seed in range(3):
        sent = payload(bits, seed) if seed else np.zeros(bits, np.uint8)
        first, other = (8.0 * code.encode(sent, version) - 4.0 for version in (0, 2))
        output = code.decode(other, bits, 2)
        assert np.mean(np.abs(output.llrs) < 1e-3) > 0.9
        assert not output.transport_ok
        assert not output.block_ok.any()
        # The same bits, decided, are fine.
        buffer = code.soft_buffer(bits, dtype=np.float64)
        buffer.add(other, 2)
        buffer.add(first)
        output = buffer.decode()
        assert output.transport_ok
        np.testing.assert_array_equal(output.bits, sent)


@pytest.mark.slow
def test_combining_lowers_the_frame_error_rate() -> None:
    """Rate 3/4 at Es/N0 = −1.75 dB: once is hopeless, twice the same is 1.26 dB in a rate-3/4 code, which is at
    its threshold, and two redundancy versions are one code of rate 3/8, which is beyond its threshold."""
    code = TurboCode(rate=3 / 4)
    bits, frames, esn0_db = 1000, 30, -1.75
    failed = {"once": 0, "Chase": 0, "incremental": 0}
    for number in range(frames):
        sent = payload(bits, number)
        first, again, other = (
            noisy_llrs(code.encode(sent, version), esn0_db, 3 * number + k).astype(np.float32)
            for k, version in enumerate((0, 0, 2))
        )
        chase, incremental = code.soft_buffer(bits), code.soft_buffer(bits)
        chase.add(first)
        incremental.add(first)
        outcome = {"once": chase.decode()}
        chase.add(again)
        incremental.add(other, 2)
        outcome |= {"Chase": chase.decode(), "incremental": incremental.decode()}
        # Version 2 alone is not decodable at this rate, with or without noise.
        assert not code.decode(other, bits, 2).transport_ok
        for name, output in outcome.items():
            assert output.transport_ok == np.array_equal(output.bits, sent)
            failed[name] += not output.transport_ok
    assert failed["once"] == frames
    assert failed["incremental"] < failed["Chase"] < failed["once"]
    assert failed["incremental"] == 0


def test_versions_that_fail_alone_decode_together_without_noise() -> None:
    code = TurboCode(rate=0.9)
    sent = payload(2000, 1)
    llrs = {version: (8.0 * code.encode(sent, version) - 4.0).astype(np.float32) for version in (1, 3)}
    buffer = code.soft_buffer(2000)
    for version, part in llrs.items():
        assert not code.decode(part, 2000, version).transport_ok
        buffer.add(part, version)
    output = buffer.decode()
    assert output.transport_ok
    np.testing.assert_array_equal(output.bits, sent)


def test_buffer_after_a_failure_takes_another_transmission() -> None:
    code = TurboCode(rate=1 / 2)
    sent = payload(13_000, 2)
    coded = code.encode(sent)
    llrs = (8.0 * coded - 4.0).astype(np.float32)
    buffer = code.soft_buffer(13_000)
    assert not buffer.decode().block_ok.any()
    # The fragment that carries the second block is lost on the way.
    received = llrs.copy()
    received[8666:17_333] = 0
    buffer.add(received)
    first = buffer.decode()
    assert first.block_ok.tolist() == [True, False, True]
    assert not first.transport_ok
    # Decoding changes nothing in the buffer.
    np.testing.assert_array_equal(buffer.decode().llrs, first.llrs)
    received = np.full(llrs.size, np.nan, np.float32)
    received[8666:17_333] = llrs[8666:17_333]
    buffer.add(received)
    second = buffer.decode()
    assert second.transport_ok
    assert second.block_ok.all()
    np.testing.assert_array_equal(second.bits, sent)


def test_natural_order_can_be_repeated_too() -> None:
    sent = payload(100, 3)
    buffer = CODE.soft_buffer(100)
    decoded = []
    for seed in range(6):
        buffer.add(noisy_llrs(CODE.encode(sent), -8.0, seed))
        decoded.append(buffer.decode().transport_ok)
    assert decoded[0] is False
    assert decoded[-1] is True


@pytest.mark.parametrize("code", [CODE, TurboCode(rate=0.9), TurboCode(rate=1 / 3), TurboCode(rate=1 / 8)])
@pytest.mark.parametrize("bits", [300, 6200])
def test_too_few_observations_are_never_ok(code: TurboCode, bits: int) -> None:
    """All-zero payloads satisfy every CRC whatever is missing; neither filler nor repetition adds observations."""
    layout = plan(bits + 24)
    llrs = 8.0 * code.encode(np.zeros(bits, np.uint8)) - 4.0
    assert code.decode(llrs, bits).transport_ok
    length = shares(bits, llrs.size, 1)[-1] if code.rate else llrs.size // layout.blocks
    told = layout.sizes[-1] - (layout.filler if layout.blocks == 1 else 0)
    llrs[llrs.size - length : llrs.size - told + 1] = 0
    buffer = code.soft_buffer(bits)
    for _ in range(3):
        buffer.add(llrs)
        output = buffer.decode()
        assert output.block_ok.tolist() == [True] * (layout.blocks - 1) + [False]
        assert not output.transport_ok


def test_as_many_observations_as_bits_can_be_enough() -> None:
    """K − F systematic bits and nothing else decide a block; one fewer does not."""
    bits = 300
    llrs = np.zeros(CODE.coded_length(bits), np.float32)
    layout = plan(bits + 24)
    assert layout.filler == 4
    systematic = layout.filler + 3 * np.arange(bits + 24)
    llrs[systematic] = -4.0
    assert CODE.decode(llrs, bits).transport_ok
    llrs[systematic[-1]] = 0
    assert not CODE.decode(llrs, bits).transport_ok


def test_a_frame_may_name_the_number_of_coded_bits() -> None:
    for rate_code in (105, 333, 700):
        code = CODE.with_rate_code(rate_code)
        sent = payload(7777, rate_code)
        coded = code.encode(sent)
        buffer = CODE.soft_buffer(7777, coded_bits=coded.size)
        buffer.add(8.0 * coded - 4.0)
        assert buffer.coded_bits == coded.size
        np.testing.assert_array_equal(buffer.decode().bits, sent)
    for nonsense in (-1, 0, 100, 7777, 8 * 7777 + 1, 1 << 32):
        with pytest.raises(ConfigurationError):
            CODE.soft_buffer(7777, coded_bits=nonsense)
    with pytest.raises(ConfigurationError, match="symbols of 2"):
        replace(CODE, bits_per_symbol=2).soft_buffer(7777, coded_bits=20_001)


def test_no_block_however_large_costs_memory_before_it_is_received() -> None:
    """Lengths come from the air; they are worked out from the numbers alone."""
    assert TurboCode(rate=1 / 2).coded_length(2**32 - 1) == 2**33 - 2
    assert CODE.coded_length(2**32 - 1) > 3 * 2**32


def test_bad_rates() -> None:
    for wrong in (0.0, 0.124, 0.951, 1.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigurationError, match=r"from 1/8 to 0\.95"):
            TurboCode(rate=wrong)
    for wrong_bits in (0, 17):
        with pytest.raises(ConfigurationError, match="bits per symbol"):
            TurboCode(bits_per_symbol=wrong_bits)
    # 40 bits and their CRC are 64 bits: no rate above 40/64 can tell them.
    with pytest.raises(ConfigurationError, match=r"need 64 coded bits, a rate of 0\.625 at most"):
        TurboCode(rate=0.65).encode(payload(40, 1))
    assert TurboCode(rate=0.625).encode(payload(40, 1)).size == 64
    with pytest.raises(ConfigurationError, match="leave it out"):
        TurboCode(rate=1 / 8).encode([1])
    with pytest.raises(ConfigurationError, match="give a rate"):
        CODE.encode([1], redundancy_version=1)
    with pytest.raises(ConfigurationError, match="use 0, 1, 2 or 3"):
        TurboCode(rate=1 / 2).encode(payload(100, 1), redundancy_version=4)
    buffer = TurboCode(rate=1 / 2).soft_buffer(100)
    with pytest.raises(ConfigurationError, match="use 0, 1, 2 or 3"):
        buffer.add(np.ones(200), 5)
    with pytest.raises(ConfigurationError, match="200 LLRs"):
        buffer.add(np.ones(199))
    assert not buffer.decode().transport_ok
