"""From arrays to kernels: layout, memory, threads and stop rules of the numba decoder."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from semcom_phy.coding.crc import Crc
from semcom_phy.coding.decoders.interface import DecoderOutput, DecoderParams
from semcom_phy.coding.decoders.numba_bcjr import kernels
from semcom_phy.coding.decoders.numba_bcjr.arithmetic import ARITHMETICS_OF, Arithmetic, make_arithmetic
from semcom_phy.coding.decoders.numba_bcjr.host import SOURCES, VECTOR_BITS
from semcom_phy.coding.decoders.numba_bcjr.windows import Geometry, geometry, interleaver, neighbours
from semcom_phy.coding.turbo import STATES, TAIL_COLUMNS
from semcom_phy.errors import ConfigurationError

_CACHE_LINE = 64


def _aligned(count: int, dtype: Any) -> npt.NDArray:
    """Return an array (count,) that begins on a cache line, so that no vector straddles two."""
    kind = np.dtype(dtype)
    raw = np.zeros(count * kind.itemsize + _CACHE_LINE, np.uint8)
    start = -raw.ctypes.data % _CACHE_LINE
    return raw[start : start + count * kind.itemsize].view(kind)


def _workspace(layout: Geometry, dtype: str) -> kernels.Workspace:
    rows = layout.rows * layout.lanes
    decisions = layout.lanes // layout.shared * layout.size
    return kernels.Workspace(
        *(_aligned(rows, dtype) for _ in range(5)),
        _aligned(layout.steps * STATES * layout.lanes, dtype),
        _aligned(layout.steps * layout.lanes, dtype),
        _aligned(decisions, np.uint8),
        _aligned(decisions, np.float32),
        _aligned(decisions, np.uint8),
    )


def _seams(layout: Geometry, dtype: str) -> kernels.Seams:
    part = STATES * layout.lanes
    return kernels.Seams(
        _aligned(layout.windows * part, dtype), _aligned(layout.windows * part, dtype), _aligned(2 * part, dtype)
    )


def arithmetic_for(algorithm: str, dtype: str, vector_bits: int = VECTOR_BITS) -> Arithmetic:
    """Return the arithmetic for an algorithm; ConfigurationError when there is none with that `dtype`."""
    known = ARITHMETICS_OF[algorithm]
    if dtype != "auto" and dtype not in known:
        raise ConfigurationError(
            f"the numba decoder has no {dtype} arithmetic for {algorithm}; it has {' and '.join(known)}"
        )
    return make_arithmetic(algorithm, known[0] if dtype == "auto" else dtype, vector_bits, SOURCES)


@cache
def _crc_table(crc: Crc) -> npt.NDArray[np.uint32]:
    from semcom_phy.coding.crc import _byte_table

    return _byte_table(crc)


def decode_batch(
    llrs: npt.NDArray, params: DecoderParams, algorithm: str, vector_bits: int = VECTOR_BITS
) -> DecoderOutput:
    """Decode (B, 3, K + 4) LLRs; see `interface.Decoder`."""
    arithmetic = arithmetic_for(algorithm, params.arithmetic, vector_bits)
    batch, _, columns = llrs.shape
    size = columns - TAIL_COLUMNS
    layout = geometry(size, arithmetic.lanes, params.windows)
    element_bits = 8 * np.dtype(arithmetic.dtype).itemsize
    order = interleaver(layout, element_bits)
    lane_neighbours = neighbours(layout, element_bits)
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is clipped
        flat = np.ascontiguousarray(llrs, dtype=np.float32).reshape(-1)
    bits = np.empty(batch * size, np.uint8)
    soft = np.empty(batch * size if params.posterior else 0, np.float32)
    used = np.empty(batch, np.int32)

    stop, table, length = kernels.NO_STOP, np.zeros(256, np.uint32), 8
    if isinstance(params.early_stop, Crc):
        stop, table, length = kernels.STOP_BY_CRC, _crc_table(params.early_stop), params.early_stop.length
    elif params.early_stop is not None:
        stop = kernels.STOP_BY_AGREEMENT

    def work(first: int, last: int) -> None:
        kernels.decode_tiles(
            arithmetic,
            flat,
            first,
            last,
            layout,
            order,
            lane_neighbours,
            params.iterations,
            stop,
            table,
            length,
            _workspace(layout, arithmetic.dtype),
            _seams(layout, arithmetic.dtype),
            _seams(layout, arithmetic.dtype),
            bits,
            soft,
            used,
        )

    abreast = arithmetic.lanes // layout.shared
    tiles = -(-batch // abreast)
    threads = min(params.threads or os.cpu_count() or 1, tiles)
    if threads == 1:
        work(0, batch)
    else:
        edges = [min(batch, tiles * i // threads * abreast) for i in range(threads + 1)]
        with ThreadPoolExecutor(threads) as pool:
            for done in [pool.submit(work, a, b) for a, b in zip(edges, edges[1:], strict=False)]:
                done.result()
    return DecoderOutput(
        bits.reshape(batch, size), soft.reshape(batch, size) if params.posterior else None, used
    )
