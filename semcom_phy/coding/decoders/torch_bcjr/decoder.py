"""Iterations, stop rules, and the entries: `decode_tensor`, and `decode_torch` of the registry.

On a CUDA device log-MAP in float32 takes the kernels of `triton_kernels`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from semcom_phy.coding.crc import Crc, crc_bits
from semcom_phy.coding.decoders.interface import ALGORITHMS, DECODERS, DecoderOutput, DecoderParams, sanitised
from semcom_phy.coding.decoders.torch_bcjr.arithmetic import RANGES, Arithmetic, Logarithms, Probabilities
from semcom_phy.coding.decoders.torch_bcjr.layout import APPROACH, Windows, tail_metrics, windows_of
from semcom_phy.coding.decoders.torch_bcjr.recursions import Constituents, TorchConstituents
from semcom_phy.coding.qpp import BLOCK_SIZES
from semcom_phy.coding.turbo import MEMORY, TAIL_COLUMNS
from semcom_phy.errors import ConfigurationError
from semcom_phy.registry import nearest

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: Trellis steps × blocks decoded together, with 64 bytes of state metrics each in float32. On a processor tensors
#: that leave its cache cost more than the calls that larger ones save; a CUDA device wants all its units busy.
_CELLS_CPU: Final = 1 << 18
_CELLS_CUDA: Final = 1 << 24
#: Lanes are a multiple of this on a processor: torch handles what is left over with other instructions, and
#: the last bit of a result would depend on a block's place in the batch.
_VECTOR: Final = 32
#: The kernels need tuples, which Triton has since this version.
_TRITON_VERSION: Final = (3, 3)


@dataclass(frozen=True)
class TorchDecoderOutput:
    """Result of a batch of B blocks, on the device of the input.

    `bits`: (B, K) uint8 hard decisions (LLR > 0). `llrs`: (B, K) float32 a-posteriori ``ln P(b=1)/P(b=0)``, None
    unless asked for. `iterations`: (B,) int32, full iterations each block took.
    """

    bits: Tensor
    llrs: Tensor | None
    iterations: Tensor


@cache
def _syndrome_matrix(crc: Crc, size: int) -> npt.NDArray[np.float32]:
    """Matrix (L, size) over GF(2) that sends a block, its CRC in the last L bits, to zero if the CRC holds."""
    payload = size - crc.length
    return np.concatenate([crc_bits(np.eye(payload, dtype=np.uint8), crc).T, np.eye(crc.length)], axis=1).astype(
        np.float32
    )


class _StopRule:
    """`interface.finished` on tensors: which of the blocks in the columns of (W·P, B) hard decisions are done."""

    def __init__(self, early_stop: Crc | str | None, windows: Windows, device: torch.device) -> None:
        import torch

        self.early_stop = early_stop
        self._previous: Tensor | None = None
        self._syndrome: Tensor | None = None
        if isinstance(early_stop, Crc) and windows.size >= early_stop.length:
            matrix = _syndrome_matrix(early_stop, windows.size)[:, windows.time_of_row()]
            self._syndrome = torch.from_numpy(np.ascontiguousarray(matrix)).to(device)

    def finished(self, decided: Tensor) -> Tensor:
        previous, self._previous = self._previous, decided
        if self._syndrome is not None:
            # Sums of at most K ones: float32 holds them exactly.
            return ((self._syndrome @ decided.to(self._syndrome.dtype)) % 2 == 0).all(0)
        if self.early_stop != "agreement" or previous is None:
            return decided.new_zeros(decided.shape[1])
        return (decided == previous).all(0)

    def keep(self, blocks: Tensor) -> None:
        if self._previous is not None:
            self._previous = self._previous.index_select(1, blocks)


def _padded(blocks: Tensor, multiple: int) -> Tensor:
    """Repeat the last index until the length is a multiple."""
    missing = -len(blocks) % multiple
    return blocks if missing == 0 else blocks[[*range(len(blocks)), *[-1] * missing]]


def _decode_blocks(llrs: Tensor, params: DecoderParams, arithmetic: Arithmetic, windows: Windows) -> TorchDecoderOutput:
    """Decode clean LLRs (B, 3, K + 4), B ≥ 1, all at once."""
    import torch

    size, count, device = windows.size, windows.count, llrs.device
    multiple = 1 if llrs.is_cuda else _VECTOR // math.gcd(_VECTOR, count)
    active = torch.arange(len(llrs), device=device)
    padded = llrs if len(llrs) % multiple == 0 else llrs[_padded(active, multiple)]

    def in_rows(stream: Tensor) -> Tensor:
        rows = stream.unflatten(1, (count, windows.length)).permute(2, 1, 0)
        return rows.clone(memory_format=torch.contiguous_format).view(size, -1)

    def in_time(rows: Tensor) -> Tensor:
        return rows.view(windows.length, count, -1).permute(2, 1, 0).reshape(-1, size)

    systematic, *parities = (arithmetic.weights(in_rows(padded[:, row, :size])) for row in range(3))
    tails = padded[:, :, size:].permute(2, 1, 0).reshape(4 * MEMORY, -1)
    metrics = [arithmetic.metrics(tail_metrics(tail)) for tail in tails.split(2 * MEMORY)]
    constituents = _constituents(arithmetic, windows, parities, metrics)
    stop = _StopRule(params.early_stop, windows, device)

    bits = torch.empty(len(llrs), size, dtype=torch.uint8, device=device)
    posterior = torch.empty(len(llrs), size, dtype=torch.float32, device=device) if params.posterior else None
    used = torch.full((len(llrs),), params.iterations, dtype=torch.int32, device=device)
    known = systematic
    for iteration in range(1, params.iterations + 1):
        last = iteration == params.iterations
        deciding = last or params.early_stop is not None
        known, _ = constituents.decode(0, known, systematic, False)
        known, total = constituents.decode(1, known, systematic, deciding)
        if total is None:
            continue
        decided = total > arithmetic.one
        done = stop.finished(decided)[: len(active)]
        if last:
            done = torch.ones_like(done)
        leaving = done.nonzero()[:, 0]
        if len(leaving) == 0:
            continue
        blocks = active[leaving]
        bits[blocks] = in_time(decided.index_select(1, leaving)).to(torch.uint8)
        used[blocks] = iteration
        if posterior is not None:
            posterior[blocks] = arithmetic.llrs(in_time(total.index_select(1, leaving))).float()
        if len(leaving) == len(active):
            break
        staying = (~done).nonzero()[:, 0]
        active = active[staying]
        columns = _padded(staying, multiple)
        known, systematic = known.index_select(1, columns), systematic.index_select(1, columns)
        constituents.keep(columns)
        stop.keep(columns)
    return TorchDecoderOutput(bits, posterior, used)


def _constituents(
    arithmetic: Arithmetic, windows: Windows, parities: Sequence[Tensor], tails: Sequence[Tensor]
) -> Constituents:
    if isinstance(arithmetic, Probabilities) and _wants_triton(parities[0]):
        from semcom_phy.coding.decoders.torch_bcjr import triton_kernels

        limits = arithmetic.limits
        return triton_kernels.TritonConstituents(
            windows, parities, tails, APPROACH, math.exp(limits.extrinsic), limits.floor
        )
    return TorchConstituents(arithmetic, windows, parities, tails)


def _wants_triton(tensor: Tensor) -> bool:
    """Whether the kernels can take this tensor: on a CUDA device, or anywhere under Triton's interpreter."""
    import torch

    if tensor.dtype != torch.float32 or not (tensor.is_cuda or os.environ.get("TRITON_INTERPRET") == "1"):
        return False
    return _triton_version() >= _TRITON_VERSION


@cache
def _triton_version() -> tuple[int, ...]:
    """Major and minor version of Triton, (0, 0) without it."""
    try:
        import triton
    except ImportError:
        return 0, 0
    return tuple(int(number) for number in triton.__version__.split(".")[:2])


def _require_torch() -> None:
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise ConfigurationError("the torch decoder needs PyTorch: install torch, or take another back end") from error


@contextmanager
def _on_device_of(llrs: Tensor, threads: int) -> Iterator[None]:
    """Work on the tensor's CUDA device, or with `threads` processor cores (0 for all) until the end of the block."""
    import torch

    if llrs.is_cuda:
        with torch.cuda.device(llrs.device):
            yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(threads or os.cpu_count() or 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _arithmetic_of(params: DecoderParams, algorithm: str) -> tuple[str, Arithmetic]:
    if algorithm not in ALGORITHMS:
        raise ConfigurationError(
            f"unknown decoding algorithm {algorithm!r}.{nearest(algorithm, ALGORITHMS)} Known: {', '.join(ALGORITHMS)}"
        )
    number = "float32" if params.arithmetic == "auto" else params.arithmetic
    if number not in RANGES:
        raise ConfigurationError(f"the torch decoder calculates in float32 or float64, not {number}")
    return number, Probabilities(RANGES[number]) if algorithm == "log-map" else Logarithms(algorithm)


DEFAULT_PARAMS: Final = DecoderParams()


def decode_tensor(
    llrs: Tensor, params: DecoderParams = DEFAULT_PARAMS, algorithm: str = "log-map"
) -> TorchDecoderOutput:
    """Decode a batch of turbo code blocks (TS 36.212 §5.1.3.2) where the tensor is.

    `llrs` (B, 3, K + 4), real, any strides, B ≥ 0, in the layout of `semcom_phy.coding.turbo.encode`, holds
    ``ln P(b=1)/P(b=0)``; NaN counts as 0, and what lies beyond the arithmetic's range is clipped to it. The input is
    not changed and no gradient flows through the decoder. `params.arithmetic`: "float32" (= "auto") or "float64".
    In log-MAP channel LLRs are clipped to ± 12 and extrinsic ones to ± 19 nats in float32, so that a-posteriori
    LLRs end at ± 50; ± 110, ± 130 and ± 370 in float64. The other algorithms clip channel LLRs to ± `LLR_LIMIT`.
    `params.threads` is the number of torch's threads while a tensor in main memory is decoded.

    Raises ConfigurationError for a wrong shape or type, or unknown names.
    """
    _require_torch()
    import torch

    number, arithmetic = _arithmetic_of(params, algorithm)
    if (
        llrs.ndim != 3
        or llrs.shape[1] != 3
        or llrs.shape[2] - TAIL_COLUMNS not in BLOCK_SIZES
        or llrs.is_complex()
        or llrs.dtype == torch.bool
    ):
        raise ConfigurationError(
            "turbo decoder takes real LLRs of shape (blocks, 3, K + 4) with K of BLOCK_SIZES, "
            f"got {llrs.dtype} {tuple(llrs.shape)}"
        )
    windows = windows_of(llrs.shape[2] - TAIL_COLUMNS, params.windows)
    cells = _CELLS_CUDA if llrs.is_cuda else _CELLS_CPU
    together = max(1, cells // windows.size)
    with torch.no_grad(), _on_device_of(llrs, params.threads):
        parts = []
        for start in range(0, len(llrs), together):
            part = llrs[start : start + together].detach().to(getattr(torch, number))
            clean = part.nan_to_num(0.0).clamp_(-arithmetic.limit, arithmetic.limit)
            parts.append(_decode_blocks(clean, params, arithmetic, windows))
        if not parts:
            empty = llrs.new_empty(0, windows.size, dtype=torch.float32)
            return TorchDecoderOutput(
                empty.to(torch.uint8), empty if params.posterior else None, empty.new_empty(0, dtype=torch.int32)
            )
        soft = [part.llrs for part in parts if part.llrs is not None]
        return TorchDecoderOutput(
            torch.cat([part.bits for part in parts]),
            torch.cat(soft) if params.posterior else None,
            torch.cat([part.iterations for part in parts]),
        )


@DECODERS.register("torch")
def decode_torch(llrs: npt.NDArray, params: DecoderParams, algorithm: str) -> DecoderOutput:
    """Decode (B, 3, K + 4) LLRs on the first CUDA device, or on the processor if there is none; see `decode_tensor`."""
    _require_torch()
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    output = decode_tensor(torch.from_numpy(np.ascontiguousarray(sanitised(llrs))).to(device), params, algorithm)
    return DecoderOutput(
        output.bits.cpu().numpy(),
        None if output.llrs is None else output.llrs.cpu().numpy(),
        output.iterations.cpu().numpy(),
    )
