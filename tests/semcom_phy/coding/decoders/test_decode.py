import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from semcom_phy.coding.crc import CRC24B, attach, check
from semcom_phy.coding.decoders import ALGORITHMS, DECODERS, LLR_LIMIT, DecoderParams, decode
from semcom_phy.coding.decoders.numpy_log_map import MAX_BATCH
from semcom_phy.coding.qpp import BLOCK_SIZES, qpp_interleaver
from semcom_phy.coding.turbo import encode
from semcom_phy.errors import ConfigurationError

REFERENCE = Path(__file__).parents[3] / "refs" / "turbo_k6144_i6_awgn.txt"


def awgn_llrs(coded: np.ndarray, ebn0_db: float, rng: np.random.Generator) -> np.ndarray:
    """BPSK (bit 1 ↔ +1) over AWGN; coded (B, 3, K + 4), LLR = 2 y/σ²."""
    size = coded.shape[2] - 4
    variance = 1.0 / (2.0 * size / (3 * size + 12) * 10 ** (ebn0_db / 10))
    received = 2.0 * coded - 1.0 + math.sqrt(variance) * rng.standard_normal(coded.shape)
    return 2.0 * received / variance


def random_blocks(count: int, size: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, (count, size), dtype=np.uint8)


# --- an independent decoder: BCJR with probabilities, state by state ---------------------------------


def register_step(state: tuple[int, int, int], bit: int) -> tuple[tuple[int, int, int], int]:
    s1, s2, s3 = state
    a = bit ^ s2 ^ s3
    return (a, s1, s2), a ^ s1 ^ s3


def bcjr(u: np.ndarray, p: np.ndarray, steps: int) -> np.ndarray:
    """Extrinsic LLRs of the first `steps` input bits of a trellis that starts and ends in state zero."""
    states = [(i >> 2 & 1, i >> 1 & 1, i & 1) for i in range(8)]
    length = len(u)
    parity_given = np.zeros((length, 2, 8, 8))
    gamma = np.zeros((length, 8, 8))
    for k in range(length):
        prob_u = {1: 1 / (1 + math.exp(-u[k])), 0: 1 / (1 + math.exp(u[k]))}
        prob_p = {1: 1 / (1 + math.exp(-p[k])), 0: 1 / (1 + math.exp(p[k]))}
        for i, state in enumerate(states):
            for bit in (0, 1):
                following, parity = register_step(state, bit)
                j = states.index(following)
                parity_given[k, bit, i, j] = prob_p[parity]
                gamma[k, i, j] = prob_u[bit] * prob_p[parity]
    alpha = np.zeros((length + 1, 8))
    beta = np.zeros((length + 1, 8))
    alpha[0, 0] = beta[length, 0] = 1.0
    for k in range(length):
        alpha[k + 1] = alpha[k] @ gamma[k]
        alpha[k + 1] /= alpha[k + 1].sum()
    for k in range(length - 1, -1, -1):
        beta[k] = gamma[k] @ beta[k + 1]
        beta[k] /= beta[k].sum()
    weight = np.array([[alpha[k] @ parity_given[k, bit] @ beta[k + 1] for bit in (0, 1)] for k in range(steps)])
    return np.log(weight[:, 1] / weight[:, 0])


def turbo_by_bcjr(llrs: np.ndarray, iterations: int) -> np.ndarray:
    size = llrs.shape[1] - 4
    order = qpp_interleaver(size)
    tail = llrs[:, size:].T.ravel()
    prior = np.zeros(size)
    for _ in range(iterations):
        first = bcjr(np.append(llrs[0, :size] + prior, tail[0:6:2]), np.append(llrs[1, :size], tail[1:6:2]), size)
        second = bcjr(
            np.append((llrs[0, :size] + first)[order], tail[6::2]),
            np.append(llrs[2, :size], tail[7::2]),
            size,
        )
        prior = np.zeros(size)
        prior[order] = second
    return llrs[0, :size] + first + prior


@pytest.mark.parametrize("iterations", [1, 5])
def test_log_map_equals_probability_domain_bcjr(iterations: int) -> None:
    coded = encode(random_blocks(4, 40, 1))
    llrs = awgn_llrs(coded, 0.0, np.random.default_rng(2))
    output = decode(llrs, DecoderParams(iterations), backend="numpy")
    for row, block in zip(output.llrs, llrs, strict=True):
        expected = turbo_by_bcjr(block, iterations)
        # The output is float32; the rest of the tolerance is 1e-6.
        np.testing.assert_allclose(row, expected.astype(np.float32), rtol=2e-7, atol=1e-6)


# --- properties ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("size", [40, 48, 72, 112, 344, 504, 512, 528, 1056, 1504, 2112])
def test_noiseless_decoding_is_exact(size: int, algorithm: str) -> None:
    blocks = random_blocks(3, size, size)
    output = decode(4.0 * encode(blocks) - 2.0, DecoderParams(2), algorithm=algorithm)
    np.testing.assert_array_equal(output.bits, blocks)
    assert output.llrs.dtype == np.float32
    assert output.bits.dtype == np.uint8
    assert output.iterations.tolist() == [2, 2, 2]
    np.testing.assert_array_equal(output.llrs > 0, blocks == 1)


@pytest.mark.slow
@pytest.mark.parametrize("size", BLOCK_SIZES)
def test_noiseless_decoding_is_exact_at_every_size(size: int) -> None:
    blocks = random_blocks(2, size, size)
    np.testing.assert_array_equal(decode(4.0 * encode(blocks) - 2.0, DecoderParams(1)).bits, blocks)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_errors_of_the_channel_are_corrected(algorithm: str) -> None:
    blocks = random_blocks(6, 1024, 7)
    llrs = awgn_llrs(encode(blocks), 2.0, np.random.default_rng(8))
    assert ((llrs[:, 0, :1024] > 0) != blocks).mean() > 0.05
    np.testing.assert_array_equal(decode(llrs, DecoderParams(6), algorithm=algorithm).bits, blocks)


def test_a_block_decodes_alike_alone_and_in_a_batch() -> None:
    blocks = random_blocks(MAX_BATCH + 3, 64, 9)
    llrs = awgn_llrs(encode(blocks), 0.0, np.random.default_rng(10))
    together = decode(llrs, DecoderParams(3))
    for index in (0, 1, MAX_BATCH - 1, MAX_BATCH, MAX_BATCH + 2):
        alone = decode(llrs[index : index + 1], DecoderParams(3))
        np.testing.assert_array_equal(alone.bits[0], together.bits[index])
        np.testing.assert_allclose(alone.llrs[0], together.llrs[index], rtol=1e-6, atol=1e-9)


def test_scaling_of_max_log_is_linear() -> None:
    llrs = awgn_llrs(encode(random_blocks(3, 40, 11)), 1.0, np.random.default_rng(12))
    once = decode(llrs, algorithm="max-log", backend="numpy").llrs
    np.testing.assert_allclose(decode(4.0 * llrs, algorithm="max-log", backend="numpy").llrs, 4.0 * once, rtol=1e-5)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_nothing_received_gives_zeros(algorithm: str) -> None:
    for nothing in (np.zeros((2, 3, 44)), np.full((2, 3, 44), np.nan, np.float32)):
        output = decode(nothing, algorithm=algorithm)
        np.testing.assert_allclose(output.llrs, 0.0, atol=1e-9)
        assert not np.isnan(output.llrs).any()


def test_nan_is_an_erasure_and_infinity_is_clipped() -> None:
    blocks = random_blocks(2, 512, 13)
    certain = np.where(encode(blocks) == 1, np.inf, -np.inf)
    output = decode(certain)
    np.testing.assert_array_equal(output.bits, blocks)
    assert np.isfinite(output.llrs).all()
    np.testing.assert_array_equal(output.llrs, decode(np.clip(certain, -LLR_LIMIT, LLR_LIMIT)).llrs)

    llrs = awgn_llrs(encode(blocks), 3.0, np.random.default_rng(14))
    zeroed = llrs.copy()
    llrs[:, :, ::7] = np.nan
    zeroed[:, :, ::7] = 0.0
    output = decode(llrs)
    np.testing.assert_array_equal(output.llrs, decode(zeroed).llrs)
    np.testing.assert_array_equal(output.bits, blocks)


def test_mixed_huge_and_tiny_llrs_stay_finite() -> None:
    rng = np.random.default_rng(15)
    llrs = rng.standard_normal((4, 3, 132)) * 10.0 ** rng.uniform(-300, 300, (4, 3, 132))
    for algorithm in ALGORITHMS:
        assert np.isfinite(decode(llrs, DecoderParams(8), algorithm=algorithm).llrs).all()


def test_early_stop_gives_the_bits_of_the_full_run_when_the_crc_holds() -> None:
    payload = random_blocks(40, 1000, 16)
    blocks = attach(payload, CRC24B)
    llrs = awgn_llrs(encode(blocks), 0.8, np.random.default_rng(17))
    full = decode(llrs, DecoderParams(8))
    early = decode(llrs, DecoderParams(8, early_stop=CRC24B))
    passed = check(early.bits, CRC24B)
    assert passed.sum() > 20
    assert len(np.unique(early.iterations)) > 2, "the case must make blocks leave at different times"
    np.testing.assert_array_equal(early.bits[passed], full.bits[passed])
    np.testing.assert_array_equal(early.bits[passed], blocks[passed])
    assert (early.iterations[~passed] == 8).all()
    # A block that left early carries what a run of that many iterations gives.
    for index in np.flatnonzero(passed)[:5]:
        alone = decode(llrs[index : index + 1], DecoderParams(int(early.iterations[index])))
        np.testing.assert_allclose(early.llrs[index], alone.llrs[0], rtol=1e-6, atol=1e-9)


def test_agreement_stops_when_an_iteration_repeats_the_decisions() -> None:
    blocks = random_blocks(20, 512, 21)
    llrs = awgn_llrs(encode(blocks), 1.5, np.random.default_rng(22))
    output = decode(llrs, DecoderParams(8, early_stop="agreement"))
    assert 2 <= output.iterations.min() < output.iterations.max()
    for index, used in enumerate(output.iterations):
        runs = [decode(llrs[index : index + 1], DecoderParams(n)).bits for n in range(1, used + 1)]
        repeats = [bool((a == b).all()) for a, b in itertools.pairwise(runs)]
        assert not any(repeats[:-1])
        assert repeats[-1] or used == 8
        np.testing.assert_array_equal(output.bits[index], runs[-1][0])


def test_a_list_of_batches_gives_the_list_of_results() -> None:
    groups = [awgn_llrs(encode(random_blocks(2, size, 23)), 1.0, np.random.default_rng(24)) for size in (40, 512, 64)]
    for output, llrs in zip(decode(groups), groups, strict=True):
        alone = decode(llrs)
        np.testing.assert_array_equal(output.bits, alone.bits)
        np.testing.assert_array_equal(output.llrs, alone.llrs)


def test_posterior_llrs_only_when_wanted() -> None:
    assert decode(np.ones((1, 3, 44)), DecoderParams(posterior=False)).llrs is None


def test_float32_input_and_empty_batch() -> None:
    blocks = random_blocks(2, 40, 18)
    llrs = (4.0 * encode(blocks) - 2.0).astype(np.float32)
    np.testing.assert_array_equal(decode(llrs).bits, blocks)
    empty = decode(np.zeros((0, 3, 44)))
    assert (empty.llrs.shape, empty.bits.shape, empty.iterations.shape) == ((0, 40), (0, 40), (0,))


def test_input_is_not_changed() -> None:
    llrs = np.full((1, 3, 44), np.nan)
    decode(llrs)
    assert np.isnan(llrs).all()


def test_bad_requests() -> None:
    llrs = np.zeros((1, 3, 44))
    assert "numpy" in DECODERS
    with pytest.raises(ConfigurationError, match=r"unknown turbo decoder 'nunpy'.*'numpy'"):
        decode(llrs, backend="nunpy")
    with pytest.raises(ConfigurationError, match=r"'logmap'.*'log-map'"):
        decode(llrs, algorithm="logmap")
    with pytest.raises(ConfigurationError, match="1 to 1000 iterations"):
        DecoderParams(0)
    with pytest.raises(ConfigurationError, match="stop rule"):
        DecoderParams(early_stop="crc")
    with pytest.raises(ConfigurationError, match=r"'int61'.*'int16'"):
        DecoderParams(arithmetic="int61")
    with pytest.raises(ConfigurationError, match="float64, not int16"):
        decode(llrs, DecoderParams(arithmetic="int16"), backend="numpy")
    for wrong in (np.zeros((3, 44)), np.zeros((1, 2, 44)), np.zeros((1, 3, 45)), np.zeros((1, 3, 44), complex)):
        with pytest.raises(ConfigurationError, match="shape"):
            decode(wrong)


# --- reference curve -------------------------------------------------------------------------------------

#: Blocks simulated with max-log per Eb/N0; enough that a decoder 0.05 dB worse is found out (see below).
FER_BLOCKS = {0.5: 384, 0.6: 1024, 0.7: 1920}
SIGNIFICANCE = 1e-3


def reference_fer() -> dict[float, float]:
    return {ebn0_db: errors / frames for ebn0_db, frames, errors in np.loadtxt(REFERENCE)}


def frame_errors(blocks: int, ebn0_db: float, algorithm: str) -> int:
    rng = np.random.default_rng([6144, round(10 * ebn0_db)])
    errors = 0
    for _ in range(blocks // MAX_BATCH):
        sent = rng.integers(0, 2, (MAX_BATCH, 6144), dtype=np.uint8)
        llrs = awgn_llrs(encode(sent), ebn0_db, rng)
        decided = decode(llrs, DecoderParams(6), algorithm=algorithm, backend="numpy").bits
        errors += int((decided != sent).any(axis=1).sum())
    print(f"{algorithm}, Eb/N0 {ebn0_db} dB: {errors}/{blocks} = {errors / blocks:.4f}")
    return errors


def test_noise_of_the_reference_runs_is_calibrated() -> None:
    coded = encode(random_blocks(20, 6144, 19))
    raw = ((awgn_llrs(coded, 0.5, np.random.default_rng(20)) > 0) != coded).sum()
    esn0 = 6144 / (3 * 6144 + 12) * 10**0.05
    assert binomtest(int(raw), coded.size, 0.5 * math.erfc(math.sqrt(esn0))).pvalue > SIGNIFICANCE


def test_fer_test_would_notice_a_loss_of_a_twentieth_of_a_decibel() -> None:
    curve = reference_fer()
    points = sorted(curve)
    missed = 1.0
    for ebn0_db, blocks in FER_BLOCKS.items():
        fer = curve[ebn0_db]
        # The curve bends down, so that interpolating in the logarithm underrates the loss.
        worse = np.exp(np.interp(ebn0_db - 0.05, points, np.log([curve[x] for x in points])))
        plausible = [errors for errors in range(blocks // 2) if binomtest(errors, blocks, fer).pvalue > SIGNIFICANCE]
        missed *= binom.pmf(plausible, blocks, worse).sum()
    assert missed < 0.001


@pytest.mark.slow
@pytest.mark.parametrize("ebn0_db", sorted(FER_BLOCKS))
def test_frame_error_rate_of_max_log_lies_on_the_reference(ebn0_db: float) -> None:
    blocks = FER_BLOCKS[ebn0_db]
    result = binomtest(frame_errors(blocks, ebn0_db, "max-log"), blocks, reference_fer()[ebn0_db])
    assert result.pvalue > SIGNIFICANCE


@pytest.mark.slow
def test_log_map_is_better_than_the_max_log_reference() -> None:
    errors = frame_errors(128, 0.5, "log-map")
    assert binomtest(errors, 128, reference_fer()[0.5], alternative="less").pvalue < 1e-6
