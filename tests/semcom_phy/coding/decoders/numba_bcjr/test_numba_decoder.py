import logging
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba", reason="the SIMD decoder needs numba: pip install numba")

from semcom_phy.coding import decoders
from semcom_phy.coding.crc import CRC24A, CRC24B, attach
from semcom_phy.coding.decoders import ALGORITHMS, DecoderParams, decode, numba_decoder
from semcom_phy.coding.decoders.numba_bcjr import driver
from semcom_phy.coding.decoders.numba_bcjr.arithmetic import ARITHMETICS_OF
from semcom_phy.coding.qpp import BLOCK_SIZES
from semcom_phy.coding.rate_matching import dematch, match
from semcom_phy.coding.turbo import encode
from semcom_phy.errors import ConfigurationError

EVERY = [(algorithm, dtype) for algorithm in ALGORITHMS for dtype in ARITHMETICS_OF[algorithm]]


def noisy(count: int, size: int, ebn0_db: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Blocks (count, size) and their channel LLRs, float32."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 2, (count, size), dtype=np.uint8)
    variance = 1.0 / (2.0 * size / (3 * size + 12) * 10 ** (ebn0_db / 10))
    coded = encode(blocks)
    received = 2.0 * coded - 1.0 + np.sqrt(variance) * rng.standard_normal(coded.shape)
    return blocks, (2.0 * received / variance).astype(np.float32)


@pytest.mark.parametrize("size", [40, 104, 512])
def test_float64_log_map_in_one_piece_equals_the_reference(size: int) -> None:
    _, llrs = noisy(11, size, 0.5, 1)
    params = DecoderParams(4, arithmetic="float64", windows=False)
    ours = decode(llrs, params, backend="numba")
    reference = decode(llrs, DecoderParams(4), backend="numpy")
    np.testing.assert_array_equal(ours.bits, reference.bits)
    np.testing.assert_allclose(ours.llrs, reference.llrs, rtol=1e-6, atol=1e-6)


#: Largest and median difference of LLRs from the reference, in nats, after one iteration at Eb/N0 −1 dB: below the
#: waterfall LLRs are small and hang on every correction. Fixed point counts in 1/16 nat; linear and table max* are not
#: associative, so that the order in which eight paths merge shows (the rms of the LLRs is 2.3). int8 counts in 1/3 nat.
TOLERANCES = {
    ("log-map", "float32"): (1e-5, 1e-6),
    ("log-map", "float64"): (1e-6, 1e-6),
    ("linear-log-map", "int16"): (0.8, 0.12),
    ("linear-log-map", "float32"): (0.6, 0.08),
    ("table-log-map", "int16"): (0.9, 0.15),
    ("table-log-map", "float32"): (0.9, 0.15),
    ("max-log", "int16"): (0.8, 0.12),
    ("max-log", "float32"): (1e-4, 1e-5),
    ("max-log", "int8"): (3.2, 0.45),
}


@pytest.mark.parametrize(("algorithm", "dtype"), EVERY)
def test_llrs_follow_the_reference(algorithm: str, dtype: str) -> None:
    _, llrs = noisy(40, 104, -1.0, 2)
    ours = decode(llrs, DecoderParams(1, arithmetic=dtype, windows=False), algorithm, "numba").llrs
    reference = decode(llrs, DecoderParams(1), algorithm, "numpy").llrs
    error = np.abs(ours - reference)
    largest, median = TOLERANCES[algorithm, dtype]
    assert error.max() < largest
    assert np.median(error) < median


@pytest.mark.parametrize(("algorithm", "dtype"), EVERY)
def test_windows_cost_nothing_at_the_waterfall(algorithm: str, dtype: str) -> None:
    blocks, llrs = noisy(48, 2048, 0.8, 3)
    errors = []
    for windows in (True, False):
        output = decode(llrs, DecoderParams(5, arithmetic=dtype, windows=windows), algorithm, "numba")
        errors.append(int((output.bits != blocks).sum()))
    raw = int(((llrs[:, 0, :2048] > 0) != blocks).sum())
    assert max(errors) < raw / 20, "the decoder must be at work"
    # The same noise: a window that loses information at its seams shows as a multiple, not as a fraction.
    assert errors[0] <= 1.5 * errors[1] + 40


@pytest.mark.parametrize(("algorithm", "dtype"), EVERY)
@pytest.mark.parametrize("bits", [128, 256])
@pytest.mark.slow
def test_the_width_of_the_vectors_does_not_show(algorithm: str, dtype: str, bits: int) -> None:
    widest = driver.arithmetic_for(algorithm, dtype, 512)
    narrow = driver.arithmetic_for(algorithm, dtype, bits)
    for size in (40, 512, 6144):
        _, llrs = noisy(5, size, 0.7, 4)
        params = DecoderParams(3)
        wide, other = (driver.decode_batch(llrs, params, arithmetic) for arithmetic in (widest, narrow))
        if dtype.startswith("int"):
            np.testing.assert_array_equal(wide.llrs, other.llrs)
        else:  # LLVM chooses which products it fuses with a sum
            np.testing.assert_allclose(wide.llrs, other.llrs, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize(("algorithm", "dtype"), EVERY)
def test_a_block_decodes_alike_alone_in_a_batch_and_on_two_threads(algorithm: str, dtype: str) -> None:
    for size, count in ((40, 37), (1056, 9), (6144, 5)):
        _, llrs = noisy(count, size, 0.5, 5)
        params = DecoderParams(3, arithmetic=dtype)
        together = decode(llrs, params, algorithm, "numba")
        threads = decode(llrs, DecoderParams(3, arithmetic=dtype, threads=2), algorithm, "numba")
        np.testing.assert_array_equal(together.llrs, threads.llrs)
        for index in (0, count // 2, count - 1):
            alone = decode(llrs[index : index + 1], params, algorithm, "numba")
            np.testing.assert_array_equal(alone.llrs[0], together.llrs[index])
            np.testing.assert_array_equal(alone.bits[0], together.bits[index])


@pytest.mark.parametrize(("algorithm", "dtype"), [*((name, "auto") for name in ALGORITHMS), ("max-log", "int8")])
def test_noiseless_decoding_is_exact_at_every_size(algorithm: str, dtype: str) -> None:
    rng = np.random.default_rng(6)
    groups = [rng.integers(0, 2, (3, size), dtype=np.uint8) for size in BLOCK_SIZES]
    params = DecoderParams(2, arithmetic=dtype)
    outputs = decode([4.0 * encode(group) - 2.0 for group in groups], params, algorithm, "numba")
    for output, group in zip(outputs, groups, strict=True):
        np.testing.assert_array_equal(output.bits, group)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.sampled_from(BLOCK_SIZES[:80]),
    count=st.integers(1, 40),
    which=st.sampled_from(EVERY),
    amplitude=st.floats(0.5, 1e6),
)
def test_any_bits_of_any_size_come_through_a_clean_channel(seed, size, count, which, amplitude) -> None:
    algorithm, dtype = which
    blocks = np.random.default_rng(seed).integers(0, 2, (count, size), dtype=np.uint8)
    llrs = amplitude * (2.0 * encode(blocks) - 1.0)
    output = decode(llrs, DecoderParams(2, arithmetic=dtype), algorithm, "numba")
    np.testing.assert_array_equal(output.bits, blocks)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.sampled_from([40, 256, 512, 2048]),
    which=st.sampled_from(EVERY),
    special=st.sampled_from([0.0, np.nan, np.inf, -np.inf, 1e30, -1e30, 3e38, 1e-40]),
    share=st.floats(0, 1),
    decades=st.floats(0, 38),
)
def test_extreme_llrs_never_give_nan(seed, size, which, special, share, decades) -> None:
    algorithm, dtype = which
    rng = np.random.default_rng(seed)
    llrs = rng.standard_normal((3, 3, size + 4)) * 10.0 ** rng.uniform(-decades, decades, (3, 3, size + 4))
    llrs[rng.random(llrs.shape) < share] = special
    output = decode(llrs, DecoderParams(6, arithmetic=dtype), algorithm, "numba")
    assert np.isfinite(output.llrs).all()
    np.testing.assert_array_equal(output.bits, output.llrs > 0)


@pytest.mark.parametrize(("algorithm", "dtype"), EVERY)
def test_contradictions_at_full_scale_stay_finite(algorithm: str, dtype: str) -> None:
    # No codeword is near: every step pulls in another direction with all its might.
    for size in (40, 6144):
        for pattern in range(4):
            signs = np.random.default_rng(pattern).choice([-1.0, 1.0], (2, 3, size + 4))
            if pattern == 0:
                signs = np.tile([1.0, -1.0], (2, 3, size // 2 + 2))
            output = decode(np.inf * signs, DecoderParams(8, arithmetic=dtype), algorithm, "numba")
            assert np.isfinite(output.llrs).all()


@pytest.mark.parametrize(("algorithm", "dtype"), EVERY)
def test_nothing_received_gives_zeros(algorithm: str, dtype: str) -> None:
    for nothing in (np.zeros((2, 3, 6148)), np.full((2, 3, 44), np.nan, np.float32)):
        output = decode(nothing, DecoderParams(arithmetic=dtype), algorithm, "numba")
        assert not output.bits.any()
        np.testing.assert_allclose(output.llrs, 0.0, atol=1e-4)


@pytest.mark.parametrize("rate", [1 / 3, 3 / 4, 8 / 9])
def test_eight_bits_lose_little_to_sixteen(rate: float) -> None:
    # Where int16 loses one block in some ten. 0.1 dB is worth a factor of about four there.
    ebn0_db = {1 / 3: 0.65, 3 / 4: 2.75, 8 / 9: 4.1}[rate]
    size, count = 4096, 192
    rng = np.random.default_rng(10)
    blocks = rng.integers(0, 2, (count, size), dtype=np.uint8)
    sent = match(encode(blocks), round(size / rate), 0)
    variance = 1.0 / (2.0 * rate * 10 ** (ebn0_db / 10))
    received = 2.0 * sent - 1.0 + np.sqrt(variance) * rng.standard_normal(sent.shape)
    llrs = dematch((2.0 / variance * received).astype(np.float32), size, 0)
    lost = {}
    for dtype in ("int8", "int16"):
        output = decode(llrs, DecoderParams(5, arithmetic=dtype), "max-log", "numba")
        lost[dtype] = int((output.bits != blocks).any(axis=1).sum())
    assert 5 <= lost["int16"] <= count / 2
    assert lost["int8"] <= 2 * lost["int16"]


@pytest.mark.parametrize("dtype", ["int16", "int8"])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_certain_llrs_leave_room_for_a_bit_that_is_not(dtype: str, sign: float) -> None:
    # All metrics at their limits: full-scale LLRs for one path, one bit in a hundred against it.
    size = 1024
    blocks = np.random.default_rng(11).integers(0, 2, (8, size), dtype=np.uint8)
    blocks[:2] = sign > 0
    llrs = 1e3 * (2.0 * encode(blocks) - 1.0)
    wrong = np.random.default_rng(12).random(llrs.shape) < 0.01
    output = decode(np.where(wrong, -llrs, llrs), DecoderParams(4, arithmetic=dtype), "max-log", "numba")
    np.testing.assert_array_equal(output.bits, blocks)
    # Where the channel is wrong, both extrinsic values are at their limits, and one of them makes up for it.
    assert np.abs(output.llrs).min() > 10.0


@pytest.mark.parametrize(("algorithm", "dtype"), EVERY)
@pytest.mark.parametrize("stop", [None, "agreement"])
def test_bits_are_the_same_without_llrs(algorithm: str, dtype: str, stop: str | None) -> None:
    # Decisions take another way out when LLRs are not wanted, and when no stop rule looks at them.
    for size, count in ((40, 70), (512, 19), (6144, 3)):
        _, llrs = noisy(count, size, 0.5, 13)
        both = decode(llrs, DecoderParams(3, stop, dtype), algorithm, "numba")
        bits = decode(llrs, DecoderParams(3, stop, dtype, posterior=False), algorithm, "numba").bits
        np.testing.assert_array_equal(bits, both.bits)
        np.testing.assert_array_equal(bits, both.llrs > 0)


@pytest.mark.parametrize("crc", [CRC24A, CRC24B])
@pytest.mark.parametrize(("size", "ebn0_db"), [(1024, 0.8), (40, 2.0)])
def test_stop_by_crc_leaves_what_a_shorter_run_gives(crc, size: int, ebn0_db: float) -> None:
    rng = np.random.default_rng(7)
    blocks = attach(rng.integers(0, 2, (50, size - 24), dtype=np.uint8), crc)
    variance = 1.5 / 10 ** (ebn0_db / 10)
    llrs = (2.0 / variance) * (2.0 * encode(blocks) - 1.0 + np.sqrt(variance) * rng.standard_normal((50, 3, size + 4)))
    stopped = decode(llrs, DecoderParams(8, early_stop=crc), "linear-log-map", "numba")
    assert len(np.unique(stopped.iterations)) > 2, "the case must make blocks leave at different times"
    for used in np.unique(stopped.iterations):
        plain = decode(llrs, DecoderParams(int(used)), "linear-log-map", "numba")
        these = stopped.iterations == used
        np.testing.assert_array_equal(stopped.bits[these], plain.bits[these])
        np.testing.assert_array_equal(stopped.llrs[these], plain.llrs[these])
        if used < 8:
            np.testing.assert_array_equal(stopped.bits[these], blocks[these])
        earlier = decode(llrs, DecoderParams(int(used) - 1), "linear-log-map", "numba").bits if used > 1 else None
        assert earlier is None or (earlier[these] != blocks[these]).any(axis=1).all()


def test_stop_by_agreement_is_that_of_the_reference() -> None:
    _, llrs = noisy(30, 512, 1.2, 8)
    params = DecoderParams(8, early_stop="agreement", arithmetic="float64", windows=False)
    ours = decode(llrs, params, backend="numba")
    reference = decode(llrs, DecoderParams(8, early_stop="agreement"), backend="numpy")
    np.testing.assert_array_equal(ours.iterations, reference.iterations)
    np.testing.assert_array_equal(ours.bits, reference.bits)


def test_posterior_llrs_only_when_wanted() -> None:
    assert decode(np.ones((1, 3, 44)), DecoderParams(posterior=False), backend="numba").llrs is None


def test_an_arithmetic_that_is_not_there() -> None:
    with pytest.raises(ConfigurationError, match="no float64 arithmetic for max-log; it has int16, float32, int8"):
        decode(np.zeros((1, 3, 44)), DecoderParams(arithmetic="float64"), "max-log", "numba")


def test_numpy_takes_over_where_numba_is_missing(monkeypatch, caplog) -> None:
    for module in (decoders, numba_decoder):
        monkeypatch.setattr(module, "numba_available", lambda: False)
    decoders.fastest_backend.cache_clear()
    blocks, llrs = noisy(2, 40, 6.0, 9)
    try:
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                np.testing.assert_array_equal(decode(llrs).bits, blocks)
        assert [record.message.startswith("numba is not installed") for record in caplog.records] == [True]
        with pytest.raises(ConfigurationError, match="pip install numba"):
            decode(llrs, backend="numba")
    finally:
        decoders.fastest_backend.cache_clear()


SCRIPT = """
import numpy as np
from semcom_phy.coding.decoders import DecoderParams, decode
from semcom_phy.coding.turbo import encode
blocks = np.random.default_rng(0).integers(0, 2, (3, 512), dtype=np.uint8)
out = decode(4.0 * encode(blocks) - 2.0, DecoderParams(2), "max-log", "numba")
assert (out.bits == blocks).all()
from semcom_phy.coding.decoders.numba_bcjr.host import VECTOR_BITS
from semcom_phy.coding.decoders.numba_bcjr.kernels import decode_tiles
stats = decode_tiles.stats
print(VECTOR_BITS, sum(stats.cache_hits.values()), sum(stats.cache_misses.values()), float(np.abs(out.llrs).sum()))
"""


def run_script(cache: os.PathLike, **environment: str) -> tuple[list[str], str]:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), **environment}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=300, check=True
    )
    return done.stdout.split(), done.stderr


@pytest.mark.slow
def test_the_second_process_takes_the_machine_code_from_the_disk(tmp_path) -> None:
    first, said = run_script(tmp_path)
    assert first[1:3] == ["0", "2"]
    assert "compiling the turbo decoder for this machine (max-log, int16)" in said
    second, said = run_script(tmp_path)
    assert second[1:3] == ["2", "0"]
    assert said == ""


@pytest.mark.slow
@pytest.mark.parametrize("cpu", ["generic", "haswell"])
def test_a_machine_without_wide_registers_gets_the_same_llrs(tmp_path, cpu: str) -> None:
    features = {"generic": "", "haswell": "+avx,+avx2,+fma,+bmi,+bmi2"}[cpu]
    widest, _ = run_script(tmp_path)
    narrow, _ = run_script(tmp_path, NUMBA_CPU_NAME=cpu, NUMBA_CPU_FEATURES=features)
    assert narrow[0] == {"generic": "128", "haswell": "256"}[cpu]
    assert narrow[3] == widest[3]
