"""The kernels run here under Triton's interpreter, which needs no GPU, and are compiled for one."""

import importlib.util
import os
import subprocess
import sys

import pytest

pytest.importorskip("torch")

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")

PREAMBLE = """
import math
import numpy as np
import torch
from semcom_phy.coding.crc import CRC24B, attach
from semcom_phy.coding.decoders import DecoderParams, decode
from semcom_phy.coding.decoders.torch_bcjr import decode_tensor, decoder
from semcom_phy.coding.decoders.torch_bcjr.layout import windows_of
from semcom_phy.coding.turbo import encode

def noisy(blocks, ebn0_db):
    size = blocks.shape[1]
    variance = 1.0 / (2.0 * size / (3 * size + 12) * 10 ** (ebn0_db / 10))
    coded = encode(blocks)
    received = 2.0 * coded - 1.0 + math.sqrt(variance) * np.random.default_rng(size).standard_normal(coded.shape)
    return torch.from_numpy((2.0 * received / variance).astype(np.float32))

def random_blocks(count, size):
    return np.random.default_rng(size + 1).integers(0, 2, (count, size), dtype=np.uint8)

def in_plain_torch(llrs, params):
    wants, decoder._wants_triton = decoder._wants_triton, lambda tensor: False
    try:
        return decode_tensor(llrs, params)
    finally:
        decoder._wants_triton = wants

def same(output, expected):
    torch.testing.assert_close(output.llrs, expected.llrs, rtol=0, atol=2e-4)
    certain = expected.llrs.abs() > 2e-4
    assert torch.equal(output.bits[certain], expected.bits[certain])
    assert torch.equal(output.iterations, expected.iterations)
"""


def run(program: str, **environment: str) -> None:
    variables = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    result = subprocess.run(
        [sys.executable, "-c", PREAMBLE + program], env=variables, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_one_window_equals_the_numpy_reference_and_plain_torch() -> None:
    run(
        """
llrs = noisy(random_blocks(4, 40), 0.5)
assert decoder._wants_triton(llrs)
output = decode_tensor(llrs, DecoderParams(2))
same(output, in_plain_torch(llrs, DecoderParams(2)))
expected = decode(llrs.numpy(), DecoderParams(2), backend="numpy")
unsaturated = np.abs(expected.llrs) < 8.0
assert unsaturated.mean() > 0.2
assert np.abs(output.llrs.numpy() - expected.llrs)[unsaturated].max() < 2e-4
""",
        TRITON_INTERPRET="1",
    )


@pytest.mark.slow
def test_several_windows_and_programs_equal_plain_torch() -> None:
    run(
        """
from semcom_phy.coding.decoders.torch_bcjr import triton_kernels
triton_kernels._LANES = 64
# 8 windows of 9 blocks, padded to 12: 96 lanes in two programs, the second one not full.
llrs = noisy(random_blocks(9, 512), 0.5)
assert windows_of(512).count == 8
same(decode_tensor(llrs, DecoderParams(2)), in_plain_torch(llrs, DecoderParams(2)))
# 4 windows of 68 steps.
llrs = noisy(random_blocks(2, 272), 0.5)
assert windows_of(272).length == 68
same(decode_tensor(llrs, DecoderParams(2)), in_plain_torch(llrs, DecoderParams(2)))
""",
        TRITON_INTERPRET="1",
    )


@pytest.mark.slow
def test_blocks_leave_early() -> None:
    run(
        """
blocks = attach(random_blocks(16, 512 - 24), CRC24B)
llrs = noisy(blocks, 0.9)
params = DecoderParams(5, early_stop=CRC24B)
output = decode_tensor(llrs, params)
assert len(output.iterations.unique()) > 2, "the case must make blocks leave at different times"
same(output, in_plain_torch(llrs, params))
left = output.iterations < 5
assert torch.equal(output.bits[left], torch.from_numpy(blocks)[left])
""",
        TRITON_INTERPRET="1",
    )


@pytest.mark.slow
def test_extreme_input_stays_finite() -> None:
    run(
        """
rng = np.random.default_rng(1)
shape = (4, 3, 132)
signs = np.where(rng.random(shape) < 0.5, -1.0, 1.0)
contradictory = np.where(encode(random_blocks(4, 128)) == 1, np.inf, -np.inf)
contradictory[:, 0] *= -1.0
mixed = rng.standard_normal(shape) * 10.0 ** rng.uniform(-300, 300, shape)
nothing = np.full(shape, np.nan)
llrs = torch.from_numpy(np.concatenate([np.inf * signs, 15.0 * signs, contradictory, mixed, nothing]))
output = decode_tensor(llrs, DecoderParams(4))
assert output.llrs.isfinite().all()
assert torch.equal(output.bits == 1, output.llrs > 0)
assert not output.llrs[-4:].any()
""",
        TRITON_INTERPRET="1",
    )


@pytest.mark.slow
def test_kernels_compile_for_a_gpu() -> None:
    run(
        """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from semcom_phy.coding.decoders.torch_bcjr import triton_kernels

def compiled(kernel, **constants):
    types = {"windows": "i32", "blocks": "i32", "bound": "fp32", "floor": "fp32", "rows": "*i32"}
    signature = {
        name: "constexpr" if name in constants else types.get(name, "*fp32") for name in kernel.arg_names
    }
    positions = {(kernel.arg_names.index(name),): value for name, value in constants.items()}
    source = ASTSource(fn=kernel, signature=signature, constexprs=positions)
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options=triton_kernels._OPTIONS).asm

shape = {"STEPS": 64, "APPROACH": 32, "INTERLEAVED": True, "LANES": 128}
for code in (compiled(triton_kernels._decode, TOTAL=True, **shape), compiled(triton_kernels._approach, **shape)):
    assert len(code["cubin"]) > 0
    assert ".local" not in code["ptx"], "state metrics must stay in registers"
    assert "fma.rn.f32" in code["ptx"]
""",
        TRITON_INTERPRET="0",
    )
