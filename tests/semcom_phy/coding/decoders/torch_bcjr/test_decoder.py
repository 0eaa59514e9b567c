import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from semcom_phy.coding.crc import CRC8, CRC16, CRC24A, CRC24B, attach, check
from semcom_phy.coding.decoders import ALGORITHMS, DecoderParams, decode
from semcom_phy.coding.qpp import BLOCK_SIZES
from semcom_phy.coding.turbo import encode
from semcom_phy.errors import ConfigurationError

torch = pytest.importorskip("torch")

from semcom_phy.coding.decoders.torch_bcjr import decode_tensor, decoder, layout  # noqa: E402
from semcom_phy.coding.decoders.torch_bcjr.layout import windows_of  # noqa: E402


def awgn_llrs(coded: np.ndarray, ebn0_db: float, rng: np.random.Generator) -> np.ndarray:
    """BPSK (bit 1 ↔ +1) over AWGN; coded (B, 3, K + 4), LLR = 2 y/σ²."""
    size = coded.shape[2] - 4
    variance = 1.0 / (2.0 * size / (3 * size + 12) * 10 ** (ebn0_db / 10))
    received = 2.0 * coded - 1.0 + math.sqrt(variance) * rng.standard_normal(coded.shape)
    return 2.0 * received / variance


def random_blocks(count: int, size: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, (count, size), dtype=np.uint8)


def noisy(count: int, size: int, ebn0_db: float, seed: int) -> tuple[np.ndarray, torch.Tensor]:
    """Blocks (count, size) and what is received of them, in the layout of `encode`."""
    blocks = random_blocks(count, size, seed)
    return blocks, torch.from_numpy(awgn_llrs(encode(blocks), ebn0_db, np.random.default_rng(seed + 1)))


ONE_PIECE = {"windows": False}
EXACT = {"windows": False, "arithmetic": "float64"}


# --- against the reference -----------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    ("size", "count", "iterations"), [(40, 7, 5), (512, 3, 4), pytest.param(6144, 2, 2, marks=pytest.mark.slow)]
)
def test_float64_in_one_piece_equals_the_reference(size: int, count: int, iterations: int, algorithm: str) -> None:
    _, llrs = noisy(count, size, 0.5, size)
    expected = decode(llrs.numpy(), DecoderParams(iterations), algorithm, backend="numpy")
    output = decode_tensor(llrs, DecoderParams(iterations, **EXACT), algorithm)
    assert output.bits.dtype == torch.uint8
    assert output.llrs.dtype == torch.float32
    assert output.iterations.dtype == torch.int32
    # Both are rounded to float32 at the end; the rest of the tolerance is 1e-6.
    np.testing.assert_allclose(output.llrs.numpy(), expected.llrs, rtol=2e-7, atol=1e-6)
    np.testing.assert_array_equal(output.bits.numpy(), expected.bits)
    np.testing.assert_array_equal(output.iterations.numpy(), expected.iterations)


@pytest.mark.parametrize(("algorithm", "tolerance"), [("log-map", 2e-4), ("linear-log-map", 5e-3), ("max-log", 5e-3)])
@pytest.mark.parametrize(("size", "count", "ebn0_db"), [(40, 40, 0.0), (512, 10, 0.0), (1024, 5, 0.2)])
def test_float32_in_one_piece_agrees_with_the_reference(
    size: int, count: int, ebn0_db: float, algorithm: str, tolerance: float
) -> None:
    _, llrs = noisy(count, size, ebn0_db, 100 + size)
    expected = decode(llrs.numpy(), DecoderParams(5), algorithm, backend="numpy")
    output = decode_tensor(llrs, DecoderParams(5, **ONE_PIECE), algorithm)
    # log-MAP saturates: 13 nats from either constituent. Where it does not, the LLRs are the reference's.
    unsaturated = np.abs(expected.llrs) < (8.0 if algorithm == "log-map" else np.inf)
    assert unsaturated.mean() > 0.1
    difference = np.abs(output.llrs.numpy() - expected.llrs)[unsaturated]
    assert difference.max() < tolerance
    certain = np.abs(expected.llrs) > tolerance
    np.testing.assert_array_equal(output.bits.numpy()[certain], expected.bits[certain])


def test_float32_table_log_map_decides_as_the_reference() -> None:
    # The table has steps, at which float32 and float64 may part; what counts is the decision.
    blocks, llrs = noisy(30, 512, 0.8, 200)
    expected = decode(llrs.numpy(), DecoderParams(5), "table-log-map", backend="numpy").bits
    bits = decode_tensor(llrs, DecoderParams(5, **ONE_PIECE), "table-log-map").bits.numpy()
    assert (bits != expected).mean() < 1e-3
    assert (bits != blocks).mean() < 0.02


def test_numpy_arrays_through_the_registry() -> None:
    _, llrs = noisy(3, 512, 1.0, 300)
    params = DecoderParams(3, early_stop="agreement")
    output = decode(llrs.numpy().astype(np.float32), params, backend="torch")
    expected = decode_tensor(llrs.float(), params)
    assert isinstance(output.llrs, np.ndarray)
    np.testing.assert_allclose(output.llrs, expected.llrs.numpy(), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(output.bits, expected.bits.numpy())
    np.testing.assert_array_equal(output.iterations, expected.iterations.numpy())


# --- windows -----------------------------------------------------------------------------------------------


def test_every_block_size_is_cut_into_windows_that_read_one_row_each() -> None:
    for size in BLOCK_SIZES:
        windows = windows_of(size)
        assert windows.length * windows.count == size
        assert windows.length % layout.WINDOW_MULTIPLE == 0
        assert layout.MIN_WINDOW <= windows.length <= 244 or windows.count == 1
        assert windows_of(size, False).count == 1
        np.testing.assert_array_equal(windows.row_of_time()[windows.time_of_row()], np.arange(size))
        # Without contention: at each step the windows read different entries of one and the same step.
        rows = windows.interleaved_rows().reshape(windows.length, windows.count)
        np.testing.assert_array_equal(rows // windows.count, rows[:, :1] // windows.count * np.ones_like(rows))
        np.testing.assert_array_equal(np.sort(rows % windows.count), np.arange(windows.count) * np.ones_like(rows))
    assert windows_of(6144).count == 96
    assert windows_of(40).count == 1


def compare_windows_with_one_piece(count: int, size: int, ebn0_db: float, seed: int, algorithm: str) -> None:
    """Frame and bit errors of the same received blocks, decoded in windows and in one piece."""
    blocks, llrs = noisy(count, size, ebn0_db, seed)
    errors = {
        windows: decode_tensor(llrs.float(), DecoderParams(5, windows=windows), algorithm).bits.numpy() != blocks
        for windows in (False, True)
    }
    frames = {windows: wrong.any(axis=1) for windows, wrong in errors.items()}
    bits = {windows: int(wrong.sum()) for windows, wrong in errors.items()}
    print(f"{algorithm} K={size} {ebn0_db} dB: in one piece {frames[False].sum()}/{count}, {bits[False]} bits; "
          f"in windows {frames[True].sum()}/{count}, {bits[True]} bits")  # fmt: skip
    assert 0.02 < frames[False].mean() < 0.6, "the comparison needs blocks that fail and blocks that do not"
    only_windows = int((frames[True] & ~frames[False]).sum())
    parted = int((frames[True] != frames[False]).sum())
    assert parted == 0 or binomtest(only_windows, parted, alternative="greater").pvalue > 1e-3
    assert bits[True] < 1.25 * bits[False]


@pytest.mark.parametrize("algorithm", ["log-map", "max-log"])
def test_windows_cost_nothing_at_1024_bits(algorithm: str) -> None:
    compare_windows_with_one_piece(300, 1024, 0.7 if algorithm == "log-map" else 0.9, 400, algorithm)


@pytest.mark.slow
@pytest.mark.parametrize(("count", "size", "ebn0_db"), [(1000, 512, 0.8), (100, 6144, 0.55)])
def test_windows_cost_nothing(count: int, size: int, ebn0_db: float) -> None:
    compare_windows_with_one_piece(count, size, ebn0_db, 410, "log-map")


# --- properties --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("size", [40, 128, 488, 592, 976, 1056, 1184, 6144])
def test_noiseless_decoding_is_exact(size: int, algorithm: str) -> None:
    blocks = random_blocks(2, size, size)
    output = decode_tensor(torch.from_numpy(4.0 * encode(blocks) - 2.0), DecoderParams(2), algorithm)
    np.testing.assert_array_equal(output.bits.numpy(), blocks)
    np.testing.assert_array_equal(output.llrs.numpy() > 0, blocks == 1)
    assert output.iterations.tolist() == [2, 2]


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_bits_survive_without_noise(data: st.DataObject) -> None:
    size = data.draw(st.sampled_from([40, 64, 128, 192, 512]))
    payload = np.unpackbits(np.frombuffer(data.draw(st.binary(min_size=size // 8, max_size=size // 8)), np.uint8))
    strength = data.draw(st.floats(0.5, 1e6))
    algorithm = data.draw(st.sampled_from(ALGORITHMS))
    llrs = torch.from_numpy(strength * (2.0 * encode(payload[None]) - 1.0))
    output = decode_tensor(llrs, DecoderParams(3), algorithm)
    np.testing.assert_array_equal(output.bits[0].numpy(), payload)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("size", [40, 128])
def test_a_block_decodes_alike_alone_and_in_a_batch(size: int, algorithm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, llrs = noisy(70, size, 0.5, 500)
    params = DecoderParams(4, early_stop="agreement")
    together = decode_tensor(llrs.float(), params, algorithm)
    assert len(together.iterations.unique()) > 1
    monkeypatch.setattr(decoder, "_CELLS_CPU", 9 * size)
    in_parts = decode_tensor(llrs.float(), params, algorithm)
    torch.testing.assert_close(in_parts.llrs, together.llrs, rtol=0, atol=0)
    for index in (0, 1, 33, 69):
        alone = decode_tensor(llrs[index : index + 1].float(), params, algorithm)
        torch.testing.assert_close(alone.llrs[0], together.llrs[index], rtol=0, atol=0)
        assert alone.iterations[0] == together.iterations[index]
        assert torch.equal(alone.bits[0], together.bits[index])


@pytest.mark.parametrize("arithmetic", ["float32", "float64"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_nothing_received_gives_zeros(algorithm: str, arithmetic: str) -> None:
    for nothing in (torch.zeros(2, 3, 132), torch.full((2, 3, 132), math.nan)):
        output = decode_tensor(nothing, DecoderParams(3, arithmetic=arithmetic), algorithm)
        assert torch.equal(output.llrs, torch.zeros(2, 128))
        assert not output.bits.any()


def extremes(size: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(600)
    shape = (3, 3, size + 4)
    coded = encode(random_blocks(3, size, 601))
    signs = np.where(rng.random(shape) < 0.5, -1.0, 1.0)
    contradictory = np.where(coded == 1, np.inf, -np.inf)
    contradictory[:, 0] *= -1.0
    return {
        "infinite": np.inf * signs,
        "huge": 1e300 * signs,
        "at the clipping bound": 12.0 * signs,
        "of all sizes": rng.standard_normal(shape) * 10.0 ** rng.uniform(-300, 300, shape),
        "all one": np.full(shape, np.inf),
        "systematic bits inverted": contradictory,
        "some not a number": np.where(rng.random(shape) < 0.3, np.nan, 50.0 * signs),
    }


@pytest.mark.parametrize("arithmetic", ["float32", "float64"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_extreme_input_stays_finite(algorithm: str, arithmetic: str) -> None:
    for size, windows in ((40, True), (192, True), (192, False)):
        cases = extremes(size)
        llrs = torch.from_numpy(np.concatenate(list(cases.values())))
        output = decode_tensor(llrs, DecoderParams(8, arithmetic=arithmetic, windows=windows), algorithm)
        for case, soft, bits in zip(cases, output.llrs.split(3), output.bits.split(3), strict=True):
            assert soft.isfinite().all(), case
            assert torch.equal(bits == 1, soft > 0), case


def test_certain_input_decodes_and_saturates_as_documented() -> None:
    blocks = random_blocks(2, 512, 610)
    output = decode_tensor(torch.from_numpy(np.where(encode(blocks) == 1, np.inf, -np.inf)))
    np.testing.assert_array_equal(output.bits.numpy(), blocks)
    torch.testing.assert_close(output.llrs.abs().max(), torch.tensor(50.0))


def test_not_a_number_is_an_erasure() -> None:
    blocks, llrs = noisy(2, 512, 3.0, 620)
    erased = llrs.clone()
    llrs[:, :, ::7], erased[:, :, ::7] = math.nan, 0.0
    output = decode_tensor(llrs)
    assert torch.equal(output.llrs, decode_tensor(erased).llrs)
    np.testing.assert_array_equal(output.bits.numpy(), blocks)
    assert llrs.isnan().any(), "the input is not changed"


# --- stop rules --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crc", [CRC8, CRC16, CRC24A, CRC24B])
def test_crc_on_tensors_is_the_crc(crc) -> None:
    rng = np.random.default_rng(700)
    windows = windows_of(192)
    blocks = attach(rng.integers(0, 2, (60, 192 - crc.length), dtype=np.uint8), crc)
    blocks[np.arange(20), rng.integers(0, 192, 20)] ^= 1
    blocks[20:30] = rng.integers(0, 2, (10, 192))
    expected = check(blocks, crc)
    assert 0 < expected.sum() < 60
    rows = torch.from_numpy(blocks[:, windows.time_of_row()].T.copy())
    done = decoder._StopRule(crc, windows, torch.device("cpu")).finished(rows)
    np.testing.assert_array_equal(done.numpy(), expected)


@pytest.mark.parametrize("algorithm", ["log-map", "max-log"])
@pytest.mark.parametrize("rule", [CRC24B, "agreement"], ids=["crc", "agreement"])
def test_blocks_leave_early_as_in_the_reference(rule, algorithm: str) -> None:
    blocks = attach(random_blocks(24, 1000, 710), CRC24B)
    llrs = torch.from_numpy(awgn_llrs(encode(blocks), 0.8, np.random.default_rng(711)))
    expected = decode(llrs.numpy(), DecoderParams(8, early_stop=rule), algorithm, backend="numpy")
    output = decode_tensor(llrs, DecoderParams(8, early_stop=rule, **EXACT), algorithm)
    assert len(np.unique(expected.iterations)) > 2, "the case must make blocks leave at different times"
    np.testing.assert_array_equal(output.iterations.numpy(), expected.iterations)
    np.testing.assert_array_equal(output.bits.numpy(), expected.bits)
    np.testing.assert_allclose(output.llrs.numpy(), expected.llrs, rtol=1e-6, atol=1e-6)


def test_a_block_that_left_early_carries_what_that_many_iterations_give() -> None:
    blocks = attach(random_blocks(40, 1000, 720), CRC24B)
    llrs = torch.from_numpy(awgn_llrs(encode(blocks), 0.8, np.random.default_rng(721))).float()
    early = decode_tensor(llrs, DecoderParams(8, early_stop=CRC24B))
    assert len(early.iterations.unique()) > 2
    for count in early.iterations.unique().tolist():
        left = early.iterations == count
        full = decode_tensor(llrs[left], DecoderParams(count))
        assert torch.equal(early.llrs[left], full.llrs)
        assert torch.equal(early.bits[left], full.bits)
        if count < 8:
            assert check(early.bits[left].numpy(), CRC24B).all()


# --- tensors -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int8])
def test_every_real_type_is_taken(dtype: torch.dtype) -> None:
    blocks, llrs = noisy(3, 512, 2.0, 800)
    received = llrs.round().clamp(-100, 100).to(dtype)
    output = decode_tensor(received)
    np.testing.assert_array_equal(output.bits.numpy(), blocks)
    assert torch.equal(output.llrs, decode_tensor(received.double()).llrs)


def test_any_strides_are_taken() -> None:
    _, llrs = noisy(6, 128, 1.0, 810)
    expected = decode_tensor(llrs[::2].clone()).llrs
    assert torch.equal(decode_tensor(llrs[::2]).llrs, expected)
    transposed = llrs.permute(2, 1, 0).contiguous().permute(2, 1, 0)
    assert not transposed.is_contiguous()
    assert torch.equal(decode_tensor(transposed).llrs[::2], expected)
    one_for_all = llrs[:1].expand(5, -1, -1)
    assert torch.equal(decode_tensor(one_for_all).llrs, decode_tensor(llrs[:1]).llrs.expand(5, -1))


def test_no_graph_is_built() -> None:
    _, llrs = noisy(2, 64, 1.0, 820)
    llrs.requires_grad_()
    output = decode_tensor(llrs)
    assert not output.llrs.requires_grad
    # … but the result can stand beside trainable values.
    gain = torch.ones(64, requires_grad=True)
    (gain * output.llrs).sum().backward()
    torch.testing.assert_close(gain.grad, output.llrs.sum(0))


def test_result_lies_where_the_input_lies() -> None:
    output = decode_tensor(torch.ones(1, 3, 44))
    for tensor in (output.bits, output.llrs, output.iterations):
        assert tensor.device == torch.device("cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("arithmetic", ["float32", "float64"])
def test_a_cuda_device_decodes_as_the_processor(arithmetic: str, algorithm: str) -> None:
    for size, rule in ((40, None), (1024, "agreement"), (6144, None)):
        _, llrs = noisy(5, size, 1.0, 830)
        params = DecoderParams(4, early_stop=rule, arithmetic=arithmetic)
        expected, output = decode_tensor(llrs, params, algorithm), decode_tensor(llrs.cuda(), params, algorithm)
        assert output.llrs.is_cuda
        assert output.bits.is_cuda
        assert (output.bits.cpu() != expected.bits).float().mean() < 1e-3
        if algorithm != "table-log-map":
            torch.testing.assert_close(output.llrs.cpu(), expected.llrs, rtol=1e-3, atol=1e-2)


def test_posterior_llrs_only_when_wanted_and_empty_batches() -> None:
    assert decode_tensor(torch.ones(1, 3, 44), DecoderParams(posterior=False)).llrs is None
    empty = decode_tensor(torch.zeros(0, 3, 44))
    assert (empty.llrs.shape, empty.bits.shape, empty.iterations.shape) == ((0, 40), (0, 40), (0,))
    assert (empty.bits.dtype, empty.iterations.dtype) == (torch.uint8, torch.int32)


def test_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    _, llrs = noisy(2, 64, 1.0, 840)
    expected = decode_tensor(llrs).bits
    assert torch.equal(decode_tensor(llrs, DecoderParams(threads=2)).bits, expected)
    assert torch.get_num_threads() == before


def test_bad_requests() -> None:
    llrs = torch.zeros(1, 3, 44)
    with pytest.raises(ConfigurationError, match="float32 or float64, not int16"):
        decode_tensor(llrs, DecoderParams(arithmetic="int16"))
    with pytest.raises(ConfigurationError, match=r"'logmap'.*'log-map'"):
        decode_tensor(llrs, algorithm="logmap")
    for wrong in (
        torch.zeros(3, 44),
        torch.zeros(1, 2, 44),
        torch.zeros(1, 3, 45),
        torch.zeros(1, 3, 44, dtype=torch.complex64),
        torch.zeros(1, 3, 44, dtype=torch.bool),
    ):
        with pytest.raises(ConfigurationError, match="shape"):
            decode_tensor(wrong)


def test_torch_is_imported_only_to_decode(monkeypatch: pytest.MonkeyPatch) -> None:
    program = "import sys; import semcom_phy.coding.decoders.torch_bcjr; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ConfigurationError, match="install torch"):
        decode(np.zeros((1, 3, 44)), backend="torch")
