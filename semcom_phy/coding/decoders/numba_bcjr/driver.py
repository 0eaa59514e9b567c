"""From arrays to kernels: layout, memory, threads and stop rules of the numba decoder."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from semcom_phy.coding.crc import Crc, octet_tables
from semcom_phy.coding.decoders.interface import DecoderOutput, DecoderParams
from semcom_phy.coding.decoders.numba_bcjr import kernels
from semcom_phy.coding.decoders.numba_bcjr.arithmetic import ARITHMETICS_OF, Arithmetic, make_arithmetic
from semcom_phy.coding.decoders.numba_bcjr.host import SOURCES, VECTOR_BITS
from semcom_phy.coding.decoders.numba_bcjr.windows import Geometry, geometry, interleaver, neighbours
from semcom_phy.coding.turbo import STATES, TAIL_COLUMNS
from semcom_phy.errors import ConfigurationError

_CACHE_LINE = 64
_LAYOUTS_KEPT = 8
_NO_TABLES = np.zeros((8, 256), np.uint32)


def _aligned(count: int, dtype: Any) -> npt.NDArray:
    """Return an array (count,) that begins on a cache line, so that no vector straddles two."""
    kind = np.dtype(dtype)
    raw = np.zeros(count * kind.itemsize + _CACHE_LINE, np.uint8)
    start = -raw.ctypes.data % _CACHE_LINE
    return raw[start : start + count * kind.itemsize].view(kind)


def _workspace(layout: Geometry, arithmetic: Arithmetic) -> kernels.Workspace:
    dtype = arithmetic.dtype
    rows = layout.rows * layout.lanes
    decisions = layout.lanes // layout.shared * layout.size
    return kernels.Workspace(
        _aligned(rows, dtype),
        _aligned(rows, dtype),
        _aligned(rows, dtype),
        _aligned(rows, dtype),
        _aligned(rows, dtype),
        _aligned(layout.steps // arithmetic.alpha_stride * STATES * layout.lanes, dtype),
        _aligned(layout.steps * layout.lanes, dtype),
        _aligned(decisions, np.uint8),
        _aligned(decisions, np.float32),
        _aligned(decisions, np.uint8),
    )


def _seams(layout: Geometry, dtype: str) -> kernels.Seams:
    part = STATES * layout.lanes
    count = layout.windows * part
    return kernels.Seams(
        _aligned(count, dtype),
        _aligned(count, dtype),
        _aligned(count, dtype),
        _aligned(count, dtype),
        _aligned(2 * part, dtype),
    )


_Lent = tuple[kernels.Workspace, kernels.Seams, kernels.Seams]


class _Memory:
    """Workspaces, kept between calls and lent to one thread at a time.

    Fresh memory costs more than a short block's decoding.
    """

    def __init__(self) -> None:
        self._free: dict[tuple[Geometry, Arithmetic], list[_Lent]] = {}
        self._lock = threading.Lock()

    def take(self, layout: Geometry, arithmetic: Arithmetic) -> _Lent:
        """Return a workspace and the seams of both constituent codes; what they hold is undefined."""
        with self._lock:
            free = self._free.get((layout, arithmetic))
            if free:
                return free.pop()
        dtype = arithmetic.dtype
        return _workspace(layout, arithmetic), _seams(layout, dtype), _seams(layout, dtype)

    def give_back(self, layout: Geometry, arithmetic: Arithmetic, lent: _Lent) -> None:
        """Keep what `take` gave, for the next call."""
        key = (layout, arithmetic)
        with self._lock:
            if key not in self._free and len(self._free) >= _LAYOUTS_KEPT:
                self._free.pop(next(iter(self._free)))
            self._free.setdefault(key, []).append(lent)


_memory = _Memory()


def arithmetic_for(algorithm: str, dtype: str, vector_bits: int = VECTOR_BITS) -> Arithmetic:
    """Return the arithmetic for an algorithm; ConfigurationError when there is none with that `dtype`."""
    known = ARITHMETICS_OF[algorithm]
    if dtype != "auto" and dtype not in known:
        raise ConfigurationError(
            f"the numba decoder has no {dtype} arithmetic for {algorithm}; it has {', '.join(known)}"
        )
    return make_arithmetic(algorithm, known[0] if dtype == "auto" else dtype, vector_bits, SOURCES)


_ready: set[Arithmetic] = set()


def is_ready(arithmetic: Arithmetic) -> bool:
    """Tell whether the kernels of an arithmetic are loaded in this process."""
    return arithmetic in _ready


def make_ready(arithmetic: Arithmetic) -> None:
    """Load the kernels of an arithmetic from the disk, or compile them: seconds, once on a machine."""
    # Blocks of one lane and blocks of several are two versions of the kernels.
    for size in (40, 6144):
        decode_batch(np.zeros((1, 3, size + TAIL_COLUMNS), np.float32), DecoderParams(1), arithmetic)
    _ready.add(arithmetic)


def decode_batch(llrs: npt.NDArray, params: DecoderParams, arithmetic: Arithmetic) -> DecoderOutput:
    """Decode (B, 3, K + 4) LLRs in an arithmetic; see `interface.Decoder`."""
    batch, _, columns = llrs.shape
    size = columns - TAIL_COLUMNS
    layout = geometry(size, arithmetic.lanes, params.windows)
    order, lane_neighbours = interleaver(layout), neighbours(layout)
    if llrs.dtype == np.float32:
        flat = np.ascontiguousarray(llrs).reshape(-1)
    else:
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is clipped
            flat = np.ascontiguousarray(llrs, dtype=np.float32).reshape(-1)
    bits = np.empty(batch * size, np.uint8)
    soft = np.empty(batch * size if params.posterior else 0, np.float32)
    used = np.empty(batch, np.int32)

    stop, tables = kernels.NO_STOP, _NO_TABLES
    if isinstance(params.early_stop, Crc):
        stop, tables = kernels.STOP_BY_CRC, octet_tables(params.early_stop)
    elif params.early_stop is not None:
        stop = kernels.STOP_BY_AGREEMENT

    def work(first: int, last: int) -> None:
        memory = _memory.take(layout, arithmetic)
        try:
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
                tables,
                *memory,
                bits,
                soft,
                used,
            )
        finally:
            _memory.give_back(layout, arithmetic, memory)

    abreast = arithmetic.lanes // layout.shared
    tiles = -(-batch // abreast)
    threads = min(params.threads or os.cpu_count() or 1, tiles)
    if threads == 1:
        work(0, batch)
    else:
        edges = [min(batch, tiles * i // threads * abreast) for i in range(threads + 1)]
        (first, last), *others = pairwise(edges)
        with ThreadPoolExecutor(threads - 1) as pool:
            submitted = [pool.submit(work, a, b) for a, b in others]
            work(first, last)  # this thread takes its share
            for done in submitted:
                done.result()
    return DecoderOutput(bits.reshape(batch, size), soft.reshape(batch, size) if params.posterior else None, used)
